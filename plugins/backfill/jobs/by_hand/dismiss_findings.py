"""Dismiss findings that need no action."""

from __future__ import annotations

from collections.abc import Sequence

from backfill.errors import DecisionRefused
from backfill.storage.candle_store import CandleStore


def dismiss_findings(store: CandleStore, ids: Sequence[int], reason: str) -> None:
    """Dismiss all of ``ids`` or none, for good; ``detail`` gets the reason.

    Raises :class:`DecisionRefused` if one is missing or already dismissed.
    """
    if others := store.findings.dismiss(ids, reason):
        raise DecisionRefused("dismiss", [f"{one}: no finding, or dismissed before" for one in others])
