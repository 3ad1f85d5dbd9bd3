"""Fill one symbol from Blofin."""

from __future__ import annotations

from backfill.operators.primary_candles import PrimaryCandlesOperator


class BlofinCandlesOperator(PrimaryCandlesOperator):
    """:class:`PrimaryCandlesOperator` for series whose primary source is Blofin.

    ``fill_from_fallback`` fills those of other primaries.
    """

    primary: str = "blofin"
