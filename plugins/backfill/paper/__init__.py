"""Paper exchanges on this machine, for the demo, tests and benchmarks. No Dag imports them.

    market.py      instruments and candles (interface); *_market.py: computed, replayed, given, as another venue has it
    protocol.py    requests and answers (interface); *_protocol.py: one each
    venues.py      what each venue lists; builds an exchange by name
    limits.py      rate limits and bans, by address
    faults.py      faults by name; switchboard.py switches them, delivery.py breaks connections
      page_faults.py  faults of candle pages; wrong_views.py serves other pages
    server.py      HTTP on 127.0.0.1, with control.py for the test or demo

``python -m backfill.paper`` serves until Ctrl-C.
"""
