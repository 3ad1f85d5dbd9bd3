"""A sensor for symbols with gaps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSensorTimeout, BaseSensorOperator, PokeReturnValue

from backfill.config.parameters import as_list, as_moment
from backfill.config.source_names import check_sources
from backfill.hooks.blofin_hook import BlofinHook
from backfill.hooks.candle_store_hook import CANDLES_CONN_ID
from backfill.hooks.refusal import refused_in_one_line

if TYPE_CHECKING:
    from airflow.sdk import Context


class GapDetectSensor(BaseSensorOperator):
    """Returns the symbols with gaps, newest gap first, for a mapped fill.

    It first writes the universe's wishes and marks dead runs. An empty list skips the mapped tasks. With
    ``wait_for_gaps`` it waits instead, in a worker slot or, if ``deferrable``, in the triggerer.

    :param symbols: list or comma list; None: all.
    :param timeframes: list or comma list; None: all.
    :param start: replaces the declared start (ISO 8601 or epoch ms).
    :param end: ends the windows before the last closed bar.
    :param sources: only gaps to ask these for (list or comma list).
    :param recheck: count bars confirmed absent too.
    :param plan_only: log the plan, ask no source and return an empty list.
    :param symbols_per_task: symbols in an item; None: as the universe says, by default one while they are few or have
        much work, else even batches.
    :param most_items: the most items to return: Airflow maps at most 1024 (``core.max_map_length``).
    """

    template_fields: Sequence[str] = ("symbols", "timeframes", "start", "end", "sources", "recheck", "plan_only")
    ui_color = "#cfe8d5"

    def __init__(
        self,
        *,
        symbols: Sequence[str] | str | None = None,
        timeframes: Sequence[str] | str | None = None,
        start: str | None = None,
        end: str | None = None,
        sources: Sequence[str] | str | None = None,
        recheck: bool | str = False,
        plan_only: bool | str = False,
        wait_for_gaps: bool = False,
        deferrable: bool = False,
        symbols_per_task: int | None = None,
        most_items: int = 1024,
        candles_conn_id: str = CANDLES_CONN_ID,
        blofin_conn_id: str = BlofinHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.symbols = symbols
        self.timeframes = timeframes
        self.start = start
        self.end = end
        self.sources = sources
        self.recheck = recheck
        self.plan_only = plan_only
        self.wait_for_gaps = wait_for_gaps
        self.deferrable = deferrable
        self.symbols_per_task = symbols_per_task
        self.most_items = most_items
        self.candles_conn_id = candles_conn_id
        self.blofin_conn_id = blofin_conn_id

    def execute(self, context: Context) -> Any:
        """Look once, or defer."""
        if not self.deferrable:
            return super().execute(context)
        return self.look_again(context)

    def look_again(self, context: Context, event: Any = None, waited_s: float = 0.0) -> Any:
        """Look; if nothing is found, wait in the triggerer."""
        from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger

        answer = self.poke(context)
        if answer.is_done:
            return answer.xcom_value
        if waited_s >= self.timeout:
            raise AirflowSensorTimeout(f"no gap has opened in {waited_s:.0f} s")
        pause = (
            self.poke_interval if isinstance(self.poke_interval, timedelta) else timedelta(seconds=self.poke_interval)
        )
        self.defer(
            trigger=TimeDeltaTrigger(pause),
            method_name="look_again",
            kwargs={"waited_s": waited_s + pause.total_seconds()},
        )
        return None

    def poke(self, context: Context) -> PokeReturnValue:
        """Look once for symbols with gaps."""
        with refused_in_one_line(context):
            return self._look(context)

    def _look(self, context: Context) -> PokeReturnValue:
        from backfill.hooks.run_conf import check_run_conf
        from backfill.hooks.runtime_hook import open_runtime
        from backfill.jobs.fill.fill_universe import select_declared
        from backfill.jobs.fill.find_gaps import find_gaps, gaps_in_words, symbols_with_gaps
        from backfill.jobs.fill.plan_fill import plan_fill

        sources, recheck, plan_only = as_list(self.sources), str(self.recheck) == "True", str(self.plan_only) == "True"
        check_run_conf(context)
        check_sources("sources", sources)
        with open_runtime(self.candles_conn_id, self.blofin_conn_id) as runtime:
            which = select_declared(
                runtime,
                symbols=as_list(self.symbols),
                timeframes=as_list(self.timeframes),
                start=as_moment("start", self.start),
                end=as_moment("end", self.end),
                ask=not plan_only,
            )
            per_task = self.symbols_per_task or runtime.universe.symbols_per_task
            abandoned = runtime.store.run_log.abandon_dead_runs()
            if sources or recheck or plan_only:
                plan = plan_fill(runtime, which, only=sources, recheck=recheck)
                gaps = plan.series_to_ask_for()
            else:
                gaps = find_gaps(runtime.store, which)
        if abandoned:
            self.log.warning("%d runs of killed processes are marked as abandoned", abandoned)
        if plan_only:
            for line in plan.lines():
                self.log.info(line)
            return PokeReturnValue(is_done=True, xcom_value=[])
        found = symbols_with_gaps(gaps, self.most_items, per_task)
        self.log.info("%s", gaps_in_words(gaps, len(found)))
        return PokeReturnValue(is_done=bool(found) or not self.wait_for_gaps, xcom_value=found)
