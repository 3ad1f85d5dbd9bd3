"""How long the pages' heaviest questions take: the overview of 5,000 series, charts of a million minutes.

The series of the overview have ledgers without candles, a quarter of them with twenty holes.
"""

from __future__ import annotations

import argparse
from datetime import datetime, timedelta, timezone

from throw_away import Stopwatch, spread, throw_away_database

from backfill.domain.chart_buckets import bucket_ms
from backfill.storage import coverage_page
from backfill.storage.coverage_page import AsOf, PageFilter
from backfill.storage.database import Connection, connect, fetch_one

AT = datetime(2026, 2, 1, tzinfo=timezone.utc)
AS_OF = AsOf(AT)
DAY = timedelta(days=1)
YEAR = 365 * DAY
SIZES = (1276, 5000)
MINUTES, BUCKETS, DAYS = 1_000_000, 900, 45

MAKE_SERIES = """
WITH made AS (
    INSERT INTO instruments (symbol) SELECT 'S' || n || '-USDT' FROM generate_series(1, %(series)s) AS n RETURNING id
), source AS (
    INSERT INTO sources (name) VALUES ('blofin'), ('okx')
    ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING id
)
INSERT INTO series (instrument_id, timeframe, wanted, history_ms, source_ids)
SELECT made.id, '1m', true, %(history_ms)s, (SELECT array_agg(id ORDER BY id) FROM source) FROM made
"""
MAKE_HELD = """
UPDATE series AS s
SET held = int8multirange(int8range(%(end_ms)s - s.history_ms, %(end_ms)s)) - coalesce((
    SELECT range_agg(int8range(first, first + s.step_ms * (1 + floor(180 * random() ^ 4)::bigint)))
    FROM (
        SELECT %(end_ms)s - s.step_ms * (181 + floor(random() * (s.history_ms / s.step_ms - 181))::bigint) AS first
        FROM generate_series(1, CASE WHEN s.id %% 4 = 0 THEN 20 ELSE 0 END)
    ) AS hole), '{}')
"""
MAKE_MINUTES = """
INSERT INTO candles (series_id, open_time, open, high, low, close, volume, quote_volume, source_id)
SELECT %(series_id)s, open_time, 100, 101, 99, 100, 1, 100, 1 + (n / 9000 %% 20 = 0)::integer
FROM generate_series(%(first)s::timestamptz, %(last)s, interval '1 minute') WITH ORDINALITY AS minute (open_time, n)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, choices=range(1, 101), metavar="1..100")
    rounds = parser.parse_args().rounds
    with throw_away_database() as uri, connect(uri) as connection:
        for series in SIZES:
            _overview(connection, series, rounds)
        _chart(connection, rounds)


def _overview(connection: Connection, series: int, rounds: int) -> None:
    connection.execute("TRUNCATE candles, series, instruments CASCADE")
    connection.execute("SELECT setseed(0.5)")
    connection.execute(MAKE_SERIES, {"series": series, "history_ms": YEAR // timedelta(milliseconds=1)})
    connection.execute(MAKE_HELD, {"end_ms": round(1000 * AT.timestamp())})
    connection.execute("VACUUM ANALYZE")
    watch = Stopwatch()
    for _ in range(rounds + 1):
        watch.start_round()
        with watch.timing("overview"):
            page = coverage_page.overview(connection, AS_OF, PageFilter(), "severity", descending=False)
        with watch.timing("map"):
            coverage_page.heat(connection, AS_OF, [row["series_id"] for row in page["rows"]], DAYS)
        with watch.timing("gaps"):
            coverage_page.gaps(connection, AS_OF, PageFilter(), "largest", pending=False)
    del watch.rounds[0]  # it has warmed up
    print(f"{series:,} series of a year of minutes; ms, median of {rounds} (range)")
    for what, about in (
        ("overview", "50 rows, worst first, and the totals of all"),
        ("map", f"{DAYS} days of those rows"),
        ("gaps", "the 50 largest, with who was asked"),
    ):
        print(f"  {what:10}{spread([1000 * one for one in watch.seconds(what)], '.0f')}: {about}")


def _chart(connection: Connection, rounds: int) -> None:
    first, last = AT - timedelta(minutes=MINUTES), AT - timedelta(minutes=1)
    series_id, symbol = fetch_one(
        connection,
        "UPDATE series AS s SET held = '{}' FROM instruments AS i "
        "WHERE s.id = (SELECT min(id) FROM series) AND i.id = s.instrument_id RETURNING s.id, i.symbol",
    )
    connection.execute("SELECT ensure_candle_partitions(%s, %s)", (first, AT))
    connection.execute(MAKE_MINUTES, {"series_id": series_id, "first": first, "last": last})
    connection.execute("VACUUM ANALYZE")
    head = coverage_page.series_head(connection, AS_OF, symbol, "1m")
    assert head is not None
    spans = {
        "all of it": AT - first,
        "90 days": timedelta(days=90),
        "a day": timedelta(days=1),
        "an hour": timedelta(hours=1),
    }
    watch, found = Stopwatch(), {}
    for _ in range(rounds + 1):
        watch.start_round()
        for what, span in spans.items():
            width_ms = bucket_ms(head["step_ms"], span // timedelta(milliseconds=1), BUCKETS)
            ends_ms = (round(1000 * (AT - span).timestamp()), round(1000 * AT.timestamp()))
            with watch.timing(what):
                rows = coverage_page.bars(connection, head, AT - span, AT, width_ms)
                coverage_page.bands(connection, AS_OF, head, *ends_ms, width_ms)
                coverage_page.marks(connection, head, AT - span, AT, 500)
            found[what] = (
                f"{len(rows):,} bars of {width_ms // 60_000:,} min from {sum(row['bars'] for row in rows):,} candles"
            )
    del watch.rounds[0]
    print(f"the chart of a series of {MINUTES:,} minutes; ms, median of {rounds} (range)")
    for what, shown in found.items():
        print(f"  {what:10}{spread([1000 * one for one in watch.seconds(what)], '.0f')}: {shown}")


if __name__ == "__main__":
    main()
