"""Exchanges' descriptions of our instruments, and the log of changes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, NamedTuple

from psycopg.rows import class_row, dict_row
from psycopg.types.json import Jsonb

from backfill.domain.symbols import Instrument, InstrumentDescription
from backfill.domain.timeframes import utc
from backfill.storage.database import Connection, fetch_one, translated_errors
from backfill.storage.named_queries import query

# Advisory lock: "bfin" in ASCII.
INSTRUMENTS_LOCK = 0x6266_696E


@dataclass(frozen=True, slots=True)
class KnownInstrument:
    """``age_s``: since its last description. ``described_by``: the source that lists it."""

    symbol: str
    contract_type: str | None
    settle_currency: str | None
    quote_currency: str | None
    state: str | None
    described_by: int | None
    age_s: float | None

    @property
    def is_live_usdt_perpetual(self) -> bool:
        """Whether it is a live linear USDT contract."""
        settled_in = self.settle_currency or self.quote_currency
        return (self.contract_type, self.state, settled_in) == ("linear", "live", "USDT")


class InstrumentChange(NamedTuple):
    instrument: str
    what: str
    old: str | None
    new: str | None


class Instruments:
    """``instruments`` and ``instrument_log``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def known(self) -> dict[str, KnownInstrument]:
        """Every stored instrument, by symbol."""
        with translated_errors(), self._connection.cursor(row_factory=class_row(KnownInstrument)) as cursor:
            rows = cursor.execute(query("instruments/select_instruments")).fetchall()
        return {row.symbol: row for row in rows}

    def identity(self, symbol: str) -> Instrument:
        """The instrument as its source describes it, else as named."""
        with translated_errors():
            _, base, quote, settle, contract_type = fetch_one(
                self._connection, query("instruments/select_instrument"), {"symbol": symbol}
            )
        named = Instrument.named(symbol)
        return Instrument(
            symbol, base or named.base, quote or named.quote, settle, contract_type or named.contract_type
        )

    def wanted_symbols(self) -> set[str]:
        """The instruments with a wanted series."""
        with translated_errors():
            return {str(row[0]) for row in self._connection.execute(query("series/select_wanted_symbols"))}

    def is_list_doubted(self, source_id: int) -> bool:
        """Whether the source has since rejected an instrument that it lists."""
        with translated_errors():
            params = {"source_id": source_id}
            return bool(fetch_one(self._connection, query("instruments/is_listing_doubted"), params)[0])

    @contextmanager
    def one_refresh_at_a_time(self) -> Iterator[None]:
        """A transaction that excludes other refreshes."""
        with translated_errors(), self._connection.transaction():
            self._connection.execute(query("instruments/lock_instruments"), {"lock": INSTRUMENTS_LOCK})
            yield

    def describe(
        self,
        source_id: int,
        described: Sequence[InstrumentDescription],
        wished: set[str],
        asked_at: datetime,
        unreadable: Collection[str] = (),
    ) -> None:
        """Store a source's list; instruments missing from it, ``wished`` or known, become unlisted.

        A name given to another listing starts afresh; the former one is kept under another name.

        What is known of ``unreadable`` ones stays. While one of those has no name, no instrument is called missing.
        """
        listings = {
            "instruments": Jsonb([_as_row(one) for one in described]),
            "asked_at": asked_at,
            "source_id": source_id,
        }
        if ended := self._connection.execute(query("instruments/begin_epochs"), listings).fetchall():
            self._connection.execute(query("series/end_series"), {"instrument_ids": [row[0] for row in ended]})
        self._connection.execute(query("instruments/upsert_instruments"), listings)
        if "" in unreadable:
            return
        self._connection.execute(
            query("instruments/mark_unlisted_instruments"),
            {
                "wished": sorted(wished),
                "listed": [*(one.symbol for one in described), *unreadable],
                "asked_at": asked_at,
                "source_id": source_id,
            },
        )

    def log_renamed(self, renamed: Sequence[tuple[str, str]]) -> None:
        """Log pairs of old and new symbol."""
        rows = [{"old": old, "new": new} for old, new in renamed]
        self._connection.execute(query("instruments/log_renamed_instruments"), {"renamed": Jsonb(rows)})

    def last_log_id(self) -> int:
        """The id of the newest log row."""
        with translated_errors():
            return int(fetch_one(self._connection, query("instruments/select_last_instrument_log"))[0])

    def logged_after(self, last_id: int) -> list[InstrumentChange]:
        """Changes after the log row ``last_id``, oldest first."""
        with translated_errors(), self._connection.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(query("instruments/select_instrument_log"), {"last_id": last_id}).fetchall()
        return [InstrumentChange(row["instrument"], row["what"], row["old"], row["new"]) for row in rows]


def _as_row(described: InstrumentDescription) -> dict[str, Any]:
    row = asdict(described)
    list_ms, expire_ms = row.pop("list_ms"), row.pop("expire_ms")
    listed_at = None if list_ms is None else utc(list_ms).isoformat()
    return {
        **row,
        "list_time": listed_at,
        "list_time_told": listed_at,
        "expire_time": None if expire_ms is None else utc(expire_ms).isoformat(),
    }
