"""Fill what one symbol lacks from Blofin, all its timeframes."""

from __future__ import annotations

from backfill.operators.primary_candles import PrimaryCandlesOperator


class BlofinCandlesOperator(PrimaryCandlesOperator):
    """Asks Blofin for the series whose primary source it is; see :class:`PrimaryCandlesOperator`.

    A series with another primary is left to ``fill_from_fallback``, which asks every source, in the universe's order,
    that the run has not asked yet. Where a symbol has no series of Blofin's the task skips itself.
    """

    primary: str = "blofin"
