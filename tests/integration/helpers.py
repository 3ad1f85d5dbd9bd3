"""What the tests of storage, jobs and command line share: series, candles, and the questions asked of both."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import Any

import pandas as pd
import psycopg

from backfill.domain.answers import bar_intervals
from backfill.domain.intervals import Interval
from backfill.domain.timeframes import timeframe as timeframe_named
from backfill.domain.timeframes import utc
from backfill.local.embedded_postgres import EmbeddedPostgres
from backfill.storage.candle_store import CandleStore, QuarantinedRow, StoredPage
from backfill.storage.database import Connection
from backfill.storage.series import Selection, SeriesWindow
from backfill.storage.silences import Silences
from waiting import wait_for
from workers import one_at_a_time

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
# 2026-03-10T12:00:30Z, a Tuesday: every window of these tests ends before it, and spans no month unless it says so.
NOW_MS = 1_773_144_030_000
NOON_MS = NOW_MS - 30_000

# The ledger as it ought to be, worked out from the candles without any of the schema's own functions.
_DRIFT = """
SELECT i.symbol, s.timeframe, s.held AS says, truth.held AS holds, s.stand_in AS says_stand_in, truth.stand_in
FROM backfill.series AS s
JOIN backfill.instruments AS i ON i.id = s.instrument_id
CROSS JOIN LATERAL (
    SELECT coalesce(range_agg(int8range(ms, ms + s.step_ms)), '{}') AS held,
           coalesce(range_agg(int8range(ms, ms + s.step_ms)) FILTER (WHERE source_id = ANY (s.source_ids[2:])), '{}')
           AS stand_in
    FROM (
        SELECT (extract(epoch FROM open_time) * 1000)::bigint AS ms, source_id
        FROM backfill.candles WHERE series_id = s.id
    ) AS c
    WHERE (ms - CASE s.timeframe WHEN '1w' THEN 345600000 ELSE 0 END) % s.step_ms = 0
) AS truth
WHERE (s.held, s.stand_in) <> (truth.held, truth.stand_in)
"""


def assert_held_is_true(connection: psycopg.Connection[Any]) -> None:
    """``series.held`` and ``stand_in`` of every series say exactly what ``candles`` holds, and from whom."""
    drift = connection.execute(_DRIFT).fetchall()
    assert drift == []


def moment(text: str) -> datetime:
    """An aware UTC time from ISO 8601."""
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=timezone.utc)


def last_full_hour(store: CandleStore) -> datetime:
    """The last full hour by the database's clock whose bars no fill holds for too young."""
    return (store.now() - timedelta(minutes=1)).replace(minute=0, second=0, microsecond=0)


def ms(text: str) -> int:
    return round(moment(text).timestamp() * 1000)


def wanted_series(
    store: CandleStore,
    symbol: str = "BTC-USDT",
    timeframe: str = "1m",
    *,
    history_ms: int = DAY_MS,
    sources: Sequence[str] = ("blofin",),
    list_ms: int | None = None,
    state: str | None = None,
    now_ms: int = NOW_MS,
) -> SeriesWindow:
    """Declare a series and give its window as of ``now_ms``."""
    instrument_id = one(
        store.connection,
        "INSERT INTO backfill.instruments (symbol, state, list_time, described_by) VALUES (%s, %s, %s, %s) "
        "ON CONFLICT (symbol) DO UPDATE SET symbol = excluded.symbol RETURNING id",
        (symbol, state, None if list_ms is None else utc(list_ms), store.source_id("blofin")),
    )
    store.connection.execute(
        "INSERT INTO backfill.series (instrument_id, timeframe, wanted, history_ms, source_ids) "
        "VALUES (%s, %s, true, %s, %s)",
        (instrument_id, timeframe, history_ms, [store.source_id(name) for name in sources]),
    )
    return window_of(store, symbol, timeframe, now_ms=now_ms)


def window_of(store: CandleStore, symbol: str, timeframe: str, *, now_ms: int = NOW_MS) -> SeriesWindow:
    (window,) = store.windows(Selection(utc(now_ms), symbols=[symbol], timeframes=[timeframe]))
    return window


def candles(opens_ms: Iterable[int], *, close: float = 100.0, quote_volume: float = 250.0) -> pd.DataFrame:
    """Sound rows as ``store_page`` takes them, one for each open time, all of one price."""
    opens = sorted(opens_ms)
    columns = {"open": 100.0, "high": max(close, 101.0), "low": min(close, 99.0), "close": close, "volume": 2.5}
    frame = pd.DataFrame({"open_ms": pd.Series(opens, dtype="int64"), **dict.fromkeys(columns)})
    for name, value in {**columns, "quote_volume": quote_volume}.items():
        frame[name] = float(value)
    return frame


def store_bars(
    store: CandleStore,
    window: SeriesWindow,
    frame: pd.DataFrame,
    *,
    source: str = "blofin",
    absent: Sequence[Interval] = (),
    quarantined: Sequence[QuarantinedRow] = (),
    fill_run_id: int | None = None,
) -> StoredPage:
    """One page in its own transaction, as a fill stores it. Without a run what is absent is believed at once."""
    store.prepare(window)
    bars = bar_intervals(frame["open_ms"].to_numpy(), timeframe_named(window.timeframe).step_ms)

    def write() -> StoredPage:
        page = store.store_page(
            window,
            store.source_id(source),
            frame,
            bars=bars,
            absent=absent,
            quarantined=quarantined,
            fill_run_id=fill_run_id,
        )
        if absent and fill_run_id is None:
            Silences(store.connection).grade(window, [store.source_id(source)], absent, "reported")
        return page

    return store.in_page_transaction(write)


def foreign_rows(series_id: int, opens_ms: Iterable[int], source_id: int = 1) -> list[tuple[Any, ...]]:
    """Whole rows of ``candles`` as a stranger would insert them."""
    return [(series_id, utc(open_ms), 1.0, 2.0, 0.5, 1.5, 10.0, 15.0, source_id) for open_ms in opens_ms]


def insert_foreign(connection: psycopg.Connection[Any], rows: Iterable[tuple[Any, ...]], tail: str = "") -> None:
    """One INSERT statement for all ``rows``; ``tail`` is what follows its values."""
    listed = list(rows)
    row = "(" + ", ".join(["%s"] * 9) + ")"
    sql = f"INSERT INTO backfill.candles VALUES {', '.join([row] * len(listed))} {tail}"
    connection.execute(sql, [value for one_row in listed for value in one_row])


def opens(start_ms: int, end_ms: int, step_ms: int = MINUTE_MS) -> list[int]:
    """The open times of the half-open span."""
    return list(range(start_ms, end_ms, step_ms))


def one(connection: psycopg.Connection[Any], sql: str, params: Any = None) -> Any:
    """The single value that ``sql`` gives."""
    row = connection.execute(sql, params).fetchone()
    assert row is not None
    return row[0]


def rows(connection: psycopg.Connection[Any], sql: str, params: Any = None) -> list[tuple[Any, ...]]:
    return connection.execute(sql, params).fetchall()


def held_ms(connection: psycopg.Connection[Any], window: SeriesWindow) -> list[Interval]:
    """The held intervals of a series, oldest first."""
    held = one(connection, "SELECT held FROM backfill.series WHERE id = %s", (window.series_id,))
    return [Interval(r.lower, r.upper) for r in held]


def stored_ms(connection: psycopg.Connection[Any], window: SeriesWindow) -> list[int]:
    """The open times of a series's candles, oldest first."""
    sql = "SELECT open_time FROM backfill.candles WHERE series_id = %s ORDER BY open_time"
    return [round(at.timestamp() * 1000) for (at,) in rows(connection, sql, (window.series_id,))]


def missing_candles(store: CandleStore, window: SeriesWindow, now_ms: int = NOW_MS) -> int:
    """What the query behind `backfill gaps` says of the series."""
    which = Selection(utc(now_ms), symbols=[window.symbol], timeframes=[window.timeframe])
    return sum(row["missing_candles"] for row in store.rows("ledger/select_gaps", which))


def contents(connection: Connection) -> dict[str, list[tuple[Any, ...]]]:
    """All that a page may change, for telling whether anything has."""
    return {
        "candles": rows(connection, "SELECT * FROM backfill.candles ORDER BY series_id, open_time"),
        "revisions": rows(connection, "SELECT * FROM backfill.revisions ORDER BY id"),
        "absences": rows(connection, "SELECT * FROM backfill.absences ORDER BY 1, 2, 3, 4, 5, 6, 7"),
        "held": rows(connection, "SELECT id, held FROM backfill.series ORDER BY id"),
    }


# Of this database: other tests have databases of their own on the same server.
ADVISORY_LOCKS = (
    "SELECT classid::bigint, objid::bigint FROM pg_locks WHERE locktype = 'advisory' "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


def wait_until_blocked(connection: psycopg.Connection[Any], how_many: int = 1) -> None:
    """Until that many backends of this database wait for a lock."""
    sql = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' "
        "AND pid <> pg_backend_pid()"
    )
    wait_for(f"{how_many} who are blocked", lambda: one(connection, sql) >= how_many)


@contextmanager
def password_for(server: EmbeddedPostgres, role: str, password: str) -> Iterator[None]:
    """Within: a role of the test server that must give a password, as all others need not."""
    rules = server.data / "pg_hba.conf"
    with (
        one_at_a_time(server.home / "rules.lock"),
        psycopg.connect(server.uri("postgres"), autocommit=True) as connection,
    ):
        trusting = rules.read_text()
        connection.execute(f"DROP ROLE IF EXISTS {role}; CREATE ROLE {role} LOGIN PASSWORD '{password}'")
        try:
            rules.write_text(f"local all {role} scram-sha-256\n{trusting}")
            connection.execute("SELECT pg_reload_conf()")
            stranger = server.uri("postgres").replace("postgres@", f"{role}@")
            wait_for("the server to read its rules", lambda: not _lets_in(stranger))
            yield
        finally:
            rules.write_text(trusting)
            connection.execute("SELECT pg_reload_conf()")
            connection.execute(f"DROP ROLE {role}")


def _lets_in(uri: str) -> bool:
    try:
        psycopg.connect(uri).close()
    except psycopg.OperationalError:
        return False
    return True
