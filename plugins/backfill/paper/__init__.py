"""Pretend exchanges on this machine, for the demo, the tests and the benchmarks.

    market.py               what candles and instruments exist (the interface)
      synthetic_market.py   ... computed from a seed, any minute of any year
      replayed_market.py    ... read from files of real candles, moved to end now
      venue_market.py       ... one of those as another venue has it: other names, units, prices, volumes
    protocol.py             how one exchange words questions and answers (the interface)
      blofin_protocol.py    ... Blofin's public REST API; okx_, bybit_, binance_ and kraken_protocol.py likewise
    venues.py               which venue lists what, under which name; builds a whole exchange by its name
    limits.py               house rules: how often one address may ask, what happens past that
    faults.py               what can be made to go wrong; switchboard.py switches it, delivery.py breaks connections
      page_faults.py        ... and what can be wrong with a page of candles; wrong_views.py has other pages
    server.py               all of it behind HTTP on 127.0.0.1, with control.py for the test or the demo

``python -m backfill.paper`` serves until Ctrl-C. Nothing here is imported by a Dag.
"""
