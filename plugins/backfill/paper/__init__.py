"""A pretend exchange on this machine, for the demo, the tests and the benchmarks.

    market.py               what candles and instruments exist (the interface)
      synthetic_market.py   ... computed from a seed, any minute of any year
      replayed_market.py    ... read from files of real candles, moved to end now
    protocol.py             how one exchange words questions and answers (the interface)
      blofin_protocol.py    ... Blofin's public REST API
    limits.py               house rules: how often one address may ask, what happens past that
    server.py               all of it behind HTTP on 127.0.0.1

``python -m backfill.paper`` serves one until Ctrl-C. Nothing here is imported by a Dag.
"""
