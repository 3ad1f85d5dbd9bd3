"""Explain one bar: its origin, checks and former values, or why it is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from backfill.domain.timeframes import Timeframe, timeframe, utc
from backfill.errors import ConfigurationError, UnknownSymbol
from backfill.jobs.validate.compare_sources import MISFILED
from backfill.storage.candle_records import candle_records
from backfill.storage.candle_store import CandleStore
from backfill.storage.candles_by_hand import writable_series

EPOCH = datetime.fromtimestamp(0, tz=timezone.utc)
LATEST_MS = (datetime.max.replace(tzinfo=timezone.utc) - EPOCH) // timedelta(milliseconds=1)
# Kinds that, without a field, record page checks.
LOOKS = ("cross_source", "next_timeframe")
RUN_COLUMNS = ("fill_run_id", "dag_id", "run_id", "task_id")

Row = dict[str, Any]


@dataclass(frozen=True)
class CandleStory:
    """Everything known of one bar. Times are aware; a run is None if no run did it.

    ``state``: `held`, or why there is no candle, explained in ``why``. ``candle``: values, ``source``, ``listing`` (the
    source's name and scale; None: ours) and ``given_by``: `primary`, `stand_in` (a lower source), `derived` (finer
    bars), `manual` or `other`. ``confirmed``: the primary source sent it some time after the bar ended.

    ``compared``: page checks against another source; ``proved``: against coarser bars. ``verdict`` is the page's,
    ``bar`` this bar's: `agree`, `agree_unless_lacking` (one side lacked some bars of the page, perhaps this one),
    `upheld` (a third source voted for ours), `disagree`, `unverified`, `not_compared`; without a candle `no_trade` or
    `lost`. ``of_this_candle``: false for a check of a former value.

    ``findings``: all others. ``former_selves``: oldest first, with why each was replaced. ``sources``: best first, with
    listings and how long they are believed to lack the bar. ``carried``: its former name, with the proof.
    """

    symbol: str
    timeframe: str
    open_time: datetime
    as_of: datetime
    state: str
    why: str
    candle: Row | None
    primary: str | None
    confirmed: bool
    compared: list[Row]
    proved: list[Row]
    findings: list[Row]
    former_selves: list[Row]
    quarantine: list[Row]
    sources: list[Row]
    carried: list[Row]


def explain_candle(
    store: CandleStore, symbol: str, timeframe_name: str, open_time: datetime, *, settle_ms: int = 0
) -> CandleStory:
    """The story of the bar that opens at ``open_time``, as of now.

    Raises :class:`UnknownSymbol`, :class:`UnknownTimeframe`, and :class:`ConfigurationError` for a series not kept or a
    time off the grid.
    """
    bars = timeframe(timeframe_name)
    open_ms = _open_ms(bars, open_time)
    found = candle_records(store, symbol, bars.name, open_time, open_ms, settle_ms=settle_ms)
    if found is None:
        raise _not_kept(store, symbol, bars)
    series = found.series
    candle = _with_origin(found.candle, series, found.sources) if found.candle else None
    state, why = ("held", "") if candle else _no_candle(series, bars, open_ms)
    former = [_with_run(one) for one in found.versions if not one.pop("is_current")]
    findings = [one for one in found.findings if not _is_look(one)]
    since = max((one["replaced_at"] for one in former if one["replaced_at"]), default=None)
    looks = [_with_run(_of_bar(one, candle, series, findings, since)) for one in found.findings if _is_look(one)]
    return CandleStory(
        symbol=symbol,
        timeframe=bars.name,
        open_time=open_time,
        as_of=found.at,
        state=state,
        why=why,
        candle=candle,
        primary=_primary(series),
        confirmed=candle is not None and series["settled"],
        compared=[one for one in looks if one["kind"] == "cross_source"],
        proved=[one for one in looks if one["kind"] == "next_timeframe"],
        findings=[_with_run(one) for one in findings],
        former_selves=former,
        quarantine=found.quarantine,
        sources=found.sources,
        carried=found.carried,
    )


def _open_ms(bars: Timeframe, open_time: datetime) -> int:
    ms, rest = divmod(open_time - EPOCH, timedelta(milliseconds=1))
    if rest or not bars.is_on_grid(ms):
        before_ms = bars.floor(ms)
        after_ms = before_ms + bars.step_ms
        nearest_ms = after_ms if ms - before_ms > after_ms - ms and after_ms <= LATEST_MS else before_ms
        contains = "" if nearest_ms == before_ms else f", the one that this lies in at {utc(before_ms):%FT%RZ}"
        nearest = f"the nearest opens at {utc(nearest_ms):%FT%RZ}{contains}"
        raise ConfigurationError(f"no {bars.name} bar opens at {open_time.isoformat()}: {nearest}")
    return ms


def _not_kept(store: CandleStore, symbol: str, bars: Timeframe) -> ConfigurationError:
    kept: dict[str, list[str]] = {}
    for window in writable_series(store, settle_ms=0):
        kept.setdefault(window.symbol, []).append(window.timeframe)
    if symbol not in kept:
        return UnknownSymbol(symbol, list(kept))
    return ConfigurationError(f"{symbol} is not kept as {bars.name} bars, but as {', '.join(kept[symbol])}")


def _no_candle(series: Mapping[str, Any], bars: Timeframe, open_ms: int) -> tuple[str, str]:
    """The first reason that holds."""
    end_ms = open_ms + bars.step_ms
    primary = _primary(series)
    listed_from_ms, listed_until_ms = series["listed_from_ms"], series["listed_until_ms"]
    kept_from_ms, start_ms = series["kept_from_ms"], series["start_ms"]
    reasons = (
        (series["held"], "not_as_said", "the ledger says that it is held: `backfill audit --repair` recounts it"),
        (end_ms > series["closed_until_ms"], "not_closed", "the bar is not over yet"),
        (not series["wanted"], "not_wanted", "the universe does not name the series now, so no source is asked for it"),
        (_before(open_ms, listed_from_ms), "not_listed_yet", f"{primary} lists it since {_utc(listed_from_ms)}"),
        (_before(listed_until_ms, end_ms), "delisted", f"{primary} listed it until {_utc(listed_until_ms)}"),
        (_before(open_ms, kept_from_ms), "pruned", f"the retention keeps what opens at {_utc(kept_from_ms)} or later"),
        (start_ms is None, "outside_window", "the series has no window now"),
        (_before(open_ms, start_ms), "outside_window", f"the declared history begins at {_utc(start_ms)}"),
        (_before(series["end_ms"], end_ms), "outside_window", f"the window ends at {_utc(series['end_ms'])}"),
        (series["closed"], "closed", "its market is closed then"),
        (
            series["lost"],
            "lost",
            f"{primary} lost it: its coarser bars count its trades. It stays a gap, to be asked for",
        ),
        (series["no_trade"], "no_trade", f"no trade: coarser bars of {primary} are whole without it"),
        (
            series["refused"],
            "refused",
            "its only rows broke a rule and are in quarantine; a later answer or a person's decision settles it",
        ),
        (series["absent"], "absent", "every source that may be asked has answered, and none has it"),
        (True, "gap", "a source is still to be asked for it"),
    )
    return next((state, why) for holds, state, why in reasons if holds)


def _is_look(finding: Row) -> bool:
    return finding["field"] is None and finding["kind"] in LOOKS


def _with_origin(candle: Row, series: Mapping[str, Any], sources: Sequence[Row]) -> Row:
    source = candle["source"]
    listings = [one["listings"] for one in sources if one["source"] == source and one["listings"]]
    return {**candle, "given_by": _given_by(source, series["sources"]), "listing": listings[0][0] if listings else None}


def _given_by(source: str | None, best_first: Sequence[str]) -> str:
    if source in best_first:
        return "primary" if source == best_first[0] else "stand_in"
    if source is not None and source.startswith("derived:"):
        return "derived"
    return "manual" if source == "manual" else "other"


def _of_bar(
    look: Row, candle: Row | None, series: Mapping[str, Any], findings: Sequence[Row], since: datetime | None
) -> Row:
    """``since``: when the bar was last replaced."""
    judge = _compared_bar if look["kind"] == "cross_source" else _proved_bar
    row = {name: value for name, value in look.items() if name not in ("field", "stored", "other", "difference")}
    is_of_this_candle = candle is not None and (since is None or look["last_seen_at"] >= since)
    return {**row, "bar": judge(look, candle, series, findings), "of_this_candle": is_of_this_candle}


def _compared_bar(look: Row, candle: Row | None, _: Mapping[str, Any], findings: Sequence[Row]) -> str:
    if look["verdict"] == "unverified":
        return "unverified"
    is_spot = candle is not None and (candle["listing"] or {}).get("instrument_class") == "spot_proxy"
    if candle is None or is_spot or candle["source"] == look["source"]:
        return "not_compared"
    said = [one for one in findings if one["source"] == look["source"] and one["kind"] in ("cross_source", *MISFILED)]
    if any(one["verdict"] == "disagree" and one["status"] != "settled" for one in said):
        return "disagree"
    if any(one["verdict"] == "agree" and one["last_seen_at"] >= look["last_seen_at"] for one in said):
        return "upheld"
    return "agree_unless_lacking" if look["detail"].get("only_stored") else "agree"


def _proved_bar(look: Row, candle: Row | None, series: Mapping[str, Any], findings: Sequence[Row]) -> str:
    if candle is None:
        return "no_trade" if series["no_trade"] else "lost" if series["lost"] else "not_compared"
    looked_at = look["detail"]["equal"] + look["detail"]["disagree"]
    if candle["source"] != look["source"] or not looked_at:  # coarser bars cannot judge another source's
        return "not_compared"
    coarse = look["detail"]["timeframe"]
    said = [
        one
        for one in findings
        if one["source"] == look["source"]
        and one["kind"] in ("timeframes", *MISFILED)
        and one["detail"].get("timeframe") == coarse
    ]
    if any(one["verdict"] == "disagree" and one["status"] != "settled" for one in said):
        return "disagree"
    bucket = timedelta(milliseconds=timeframe(coarse).step_ms)
    is_whole = looked_at * bucket >= look["end_time"] - look["start_time"]
    return "agree" if is_whole else "agree_unless_lacking"


def _with_run(row: Row) -> Row:
    number, dag_id, run_id, task_id = (row[name] for name in RUN_COLUMNS)
    run = None if number is None else {"id": number, "dag_id": dag_id, "run_id": run_id, "task_id": task_id}
    return {**{name: value for name, value in row.items() if name not in RUN_COLUMNS}, "run": run}


def _primary(series: Mapping[str, Any]) -> str | None:
    return next(iter(series["sources"]), None)


def _before(ms: int | None, bound_ms: int | None) -> bool:
    return ms is not None and bound_ms is not None and ms < bound_ms


def _utc(ms: int | None) -> str:
    return "never" if ms is None else f"{utc(ms):%F %R} UTC"
