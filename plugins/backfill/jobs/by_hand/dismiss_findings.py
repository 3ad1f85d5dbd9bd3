"""A person decides that findings need nobody to act."""

from __future__ import annotations

from collections.abc import Sequence

from backfill.errors import DecisionRefused
from backfill.storage.candle_store import CandleStore
from backfill.storage.database import translated_errors
from backfill.storage.named_queries import query


def dismiss_findings(store: CandleStore, ids: Sequence[int], reason: str) -> None:
    """Dismiss all of ``ids`` or none; seen again they stay dismissed, and ``detail`` says why.

    Raises :class:`DecisionRefused` for one that is not there or has been dismissed before.
    """
    params = {"ids": list(ids), "reason": reason}
    with translated_errors(), store.connection.transaction():
        dismissed = {int(row[0]) for row in store.connection.execute(query("findings/dismiss_findings"), params)}
        if others := [one for one in ids if one not in dismissed]:
            raise DecisionRefused("dismiss", [f"{one}: no finding, or dismissed before" for one in others])
