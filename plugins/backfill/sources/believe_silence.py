"""Upgrade doubtful silence that is plausible for the series.

`reported`: two runs got the same answer. `proved`: another source lacks the same bars. The rest stays a gap.
"""

from __future__ import annotations

from backfill.domain.intervals import difference
from backfill.domain.silence import plausible
from backfill.domain.timeframes import timeframe
from backfill.storage.candle_store import CandleStore
from backfill.storage.series import SeriesWindow
from backfill.storage.silences import Silence


def believe_silence(store: CandleStore, window: SeriesWindow, source_id: int) -> Silence | None:
    """Return the silence as it stays; None if it was upgraded."""
    silences = store.silences
    silence = silences.of(window, source_id)
    if not silence.confirmed and not silence.elsewhere:
        return silence
    step_ms = timeframe(window.timeframe).step_ms
    proved = plausible(silence.elsewhere, silence.held, silence.silent, step_ms)
    reported = difference(plausible(silence.confirmed, silence.held, silence.silent, step_ms), proved)
    if proved:
        silences.grade(window, window.source_ids, proved, "proved")
    if reported:
        silences.grade(window, [source_id], reported, "reported")
    return None if proved or reported else silence
