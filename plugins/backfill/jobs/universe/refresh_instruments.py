"""Ask the home exchange for its instruments, write down what it tells, and log what has changed.

The list names what can be traded; what it no longer names is gone, without another word (FACTS: the documentation lists
only open contracts). So what was known of an instrument stays, and the log says when it was seen to go or to come back.
See docs/decisions/0020-retention-listing-readiness.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from backfill.domain.symbols import readings
from backfill.errors import BadPayload
from backfill.storage.candle_store import CandleStore
from backfill.storage.database import fetch_one, translated_errors
from backfill.storage.named_queries import query

if TYPE_CHECKING:
    pass

# Two refreshes at once meet at this advisory lock ("bfin" in ASCII).
INSTRUMENTS_LOCK = 0x6266_696E

# Every instrument of the home exchange, as it spells them.
Instruments = Callable[[], Sequence[Mapping[str, Any]]]


def refresh_instruments(store: CandleStore, ask: Instruments, wished: set[str]) -> None:
    """Write down what the exchange tells, and of what is known or ``wished`` and not told, just that."""
    asked_at = store.now()
    told = ask()
    if not told:  # believed, it would end every series of `instruments: all`
        raise BadPayload("blofin", "lists no instrument at all")
    rows = [_instrument_row(one) for one in told]
    unnamed = {"wished": sorted(wished), "told": [row["symbol"] for row in rows], "asked_at": asked_at}
    with translated_errors(), store.connection.transaction():
        store.connection.execute(query("instruments/lock_instruments"), {"lock": INSTRUMENTS_LOCK})
        last_id = last_log_id(store)
        store.connection.execute(
            query("instruments/upsert_instruments"), {"instruments": Jsonb(rows), "asked_at": asked_at}
        )
        store.connection.execute(query("instruments/mark_unlisted_instruments"), unnamed)
        if renamed := _renamed(logged_after(store, last_id)):
            store.connection.execute(query("instruments/log_renamed_instruments"), {"renamed": Jsonb(renamed)})


def _renamed(changes: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Those that went just as another scale of the same coin came: BONK-USDT and 1000BONK-USDT.

    The exchange has no word for a rename, so nothing else is called one; where two could be meant, none is.
    """
    gone = [change["instrument"] for change in changes if change["what"] == "delisted"]
    come = [change["instrument"] for change in changes if change["what"] in ("listed", "relisted")]
    pairs = [(old, new) for old in gone for new in come if _is_rescaled(old, new)]
    return [
        {"old": old, "new": new}
        for old, new in pairs
        if sum(old == other for other, _ in pairs) == 1 and sum(new == other for _, other in pairs) == 1
    ]


def _is_rescaled(old: str, new: str) -> bool:
    (base, _, quote), (new_base, _, new_quote) = old.partition("-"), new.partition("-")
    return quote == new_quote and not readings(base).keys().isdisjoint(readings(new_base))


def last_log_id(store: CandleStore) -> int:
    with translated_errors():
        return int(fetch_one(store.connection, query("instruments/select_last_instrument_log"))[0])


def logged_after(store: CandleStore, last_id: int) -> list[dict[str, Any]]:
    with translated_errors(), store.connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query("instruments/select_instrument_log"), {"last_id": last_id}).fetchall()


def _instrument_row(told: Mapping[str, Any]) -> dict[str, Any]:
    """Blofin's instrument ("Get Instruments") in our columns. An empty field is unknown, never a guess."""
    try:
        return {
            "symbol": _name(told["instId"]),
            "base_currency": told.get("baseCurrency"),
            "quote_currency": told.get("quoteCurrency"),
            # Missing from answers before 2025: linear contracts then settled in their quote currency.
            "settle_currency": told.get("settleCurrency") or None,
            "contract_type": told.get("contractType"),
            "contract_value": _size(told.get("contractValue")),
            "tick_size": _size(told.get("tickSize")),
            "state": told.get("state"),
            "list_time": _time(told.get("listTime")),
            "list_time_told": _time(told.get("listTime")),
            "expire_time": _time(told.get("expireTime")),
        }
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError, OSError) as error:
        raise BadPayload("blofin", f"an instrument that cannot be read ({error!r}): {told!r:.200}") from error


def _name(symbol: Any) -> str:
    if not isinstance(symbol, str) or not symbol:
        raise ValueError("it has no name")
    return symbol


def _size(text: Any) -> float | None:
    if text in (None, ""):
        return None
    size = float(text)
    if not 0 < size < math.inf:
        raise ValueError("a size that is none")
    return size


def _time(ms: Any) -> str | None:
    if ms in (None, "", "0"):
        return None
    at = datetime.fromtimestamp(int(ms) / 1000, tz=timezone.utc)
    return at.isoformat()
