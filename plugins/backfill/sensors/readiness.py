"""A sensor for Dags that need complete candles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseSensorOperator, PokeReturnValue

from backfill.config.parameters import UNSET, as_list, as_moment
from backfill.config.settings import load_settings
from backfill.hooks.candle_store_hook import CANDLES_CONN_ID, CandleStoreHook

if TYPE_CHECKING:
    from airflow.sdk import Context

MOST_TOLD = 20


class ReadinessSensor(BaseSensorOperator):
    """Waits until the last closed bars of all chosen series have no gaps; returns their symbols.

    It reads only the ledger and holds no worker between checks. ``timeout`` fails it, or skips it with ``soft_fail``.
    An unknown name is an error at once.

    :param symbols: list or comma list; None: all wanted.
    :param timeframes: list or comma list; None: all.
    :param bars: number needed; None: the universe's ``ready_bars``.
    :param at: as of this moment (ISO 8601 or epoch ms), such as the end of the run's interval; None: now, when the
        newest bar is seldom stored yet.
    :param leave_out_young: neither wait for nor return gapless instruments too young to have that many bars.
    """

    template_fields: Sequence[str] = ("symbols", "timeframes", "bars", "at")
    ui_color = "#cfe8d5"

    def __init__(
        self,
        *,
        symbols: Sequence[str] | str | None = None,
        timeframes: Sequence[str] | str | None = None,
        bars: int | str | None = None,
        at: str | None = None,
        leave_out_young: bool = False,
        candles_conn_id: str = CANDLES_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"mode": "reschedule", **kwargs})
        self.symbols = symbols
        self.timeframes = timeframes
        self.bars = bars
        self.at = at
        self.leave_out_young = leave_out_young
        self.candles_conn_id = candles_conn_id

    def poke(self, context: Context) -> PokeReturnValue:
        """Look once for unready series."""
        from backfill.jobs.status.readiness import readiness

        bars = None if self.bars in (None, *UNSET) else int(self.bars)
        with CandleStoreHook(self.candles_conn_id).get_conn() as store:
            series = readiness(
                store,
                symbols=as_list(self.symbols),
                timeframes=as_list(self.timeframes),
                bars=bars,
                at=as_moment("at", self.at),
                settle_ms=round(load_settings().settle_s * 1000),
            )
        young = {one.symbol for one in series if self.leave_out_young and one.is_young}
        asked = [one for one in series if one.symbol not in young]
        waiting = [one for one in asked if not one.is_ready]
        for one in waiting[:MOST_TOLD]:
            self.log.info("not ready: %s", one)
        if young:
            self.log.info("too young, left out: %s", ", ".join(sorted(young)))
        self.log.info("%d of %d series are ready", len(asked) - len(waiting), len(asked))
        return PokeReturnValue(is_done=bool(asked) and not waiting, xcom_value=sorted({one.symbol for one in asked}))
