"""What calls for a person, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from backfill.domain.alert_kinds import KINDS
from backfill.storage.alerts import bans, new_quarantine, telling_new, weak_series
from backfill.storage.candle_store import CandleStore
from backfill.storage.run_reports import external_outage
from backfill.storage.series import Selection
from backfill.storage.series_status import leaving_reach

MOST_TOLD = 10
# Two rounds of the fill: younger bars may still arrive.
EXCUSED = timedelta(hours=1)
# Bans and refused rows of this long count as news.
NEWS = timedelta(hours=24)


@dataclass(frozen=True)
class Alert:
    """One kind of trouble: ``text`` for a person, and its subjects."""

    kind: str
    text: str
    subjects: tuple[str, ...]


def find_alerts(
    store: CandleStore, *, alert_after_hours: float, settle_ms: int = 0, kinds: Sequence[str] = KINDS
) -> list[Alert]:
    """What calls for a person now."""
    found: list[Alert | None] = []
    at = store.now()
    weak = weak_series(store, at - EXCUSED, settle_ms) if {"coverage", "silence"} & set(kinds) else []
    if "outage" in kinds:
        found.append(_outage(store, alert_after_hours))
    if "coverage" in kinds:
        found.append(_coverage([one for one in weak if one["coverage_pct"] < one["objective_pct"]]))
    if "silence" in kinds:
        found.append(_silence([one for one in weak if one["doubtful_candles"]]))
    if "reach" in kinds:
        found.append(_reach(store, at, settle_ms))
    if "ban" in kinds:
        found.append(_ban(bans(store, at - NEWS)))
    if "quarantine" in kinds:
        found.append(_quarantine(new_quarantine(store, at - NEWS)))
    return [alert for alert in found if alert is not None]


@contextmanager
def telling(store: CandleStore, told_by: str, alerts: Sequence[Alert], repeat: timedelta) -> Iterator[list[Alert]]:
    """Those with a subject that ``told_by`` has not sent for ``repeat``; sent if the block ends well."""
    pairs = [(alert.kind, subject) for alert in alerts for subject in alert.subjects]
    with telling_new(store, told_by, pairs, repeat) as new:
        kinds = {kind for kind, _ in new}
        yield [alert for alert in alerts if alert.kind in kinds]


def _outage(store: CandleStore, alert_after_hours: float) -> Alert | None:
    outage = external_outage(store)
    if outage is None or outage.hours < alert_after_hours:
        return None
    return Alert("outage", outage_text(outage.hours, outage.errors), ("all",))


def outage_text(hours: float, errors: Sequence[str]) -> str:
    """The alert that no other source answers."""
    return f"every external source has failed for {hours:.1f} hours: " + "; ".join(errors)


def _coverage(weak: list[dict[str, Any]]) -> Alert | None:
    lines = [
        f"{one['symbol']} {one['timeframe']} {one['coverage_pct']:.3f} % of {one['objective_pct']:g} %, "
        f"{one['missing_candles']:,} missing"
        for one in weak
    ]
    return _listed("coverage", f"coverage is below the objective in {_series(weak)}", lines, _names(weak))


def _silence(weak: list[dict[str, Any]]) -> Alert | None:
    worst = sorted(weak, key=lambda one: -one["doubtful_candles"])
    lines = [f"{one['symbol']} {one['timeframe']} {one['doubtful_candles']:,} bars" for one in worst]
    return _listed("silence", f"a silence is not believed yet in {_series(weak)}", lines, _names(weak))


def _reach(store: CandleStore, at: datetime, settle_ms: int) -> Alert | None:
    leaving = leaving_reach(store, Selection(at, settle_ms), round(EXCUSED.total_seconds() * 1000))
    subjects = [f"{one.symbol} {one.timeframe}" for one in leaving]
    title = "missing bars will soon be beyond every source's reach"
    return _listed("reach", title, [str(one) for one in leaving], subjects)


def _ban(rows: list[dict[str, Any]]) -> Alert | None:
    lines = [
        one["source"]
        + (f": {one['reason']}" if one["reason"] else "")
        + (f", nobody asks it until {one['paused_until']:%Y-%m-%d %H:%M} UTC" if one["paused_until"] else "")
        for one in rows
    ]
    return _listed("ban", "a source has shut this address out", lines, [one["source"] for one in rows])


def _quarantine(rows: list[dict[str, Any]]) -> Alert | None:
    lines = [
        f"{one['symbol']} {one['timeframe']} from {one['source']}: {one['rows']:,} rows break {one['rule']}"
        for one in rows
    ]
    subjects = [f"{one['symbol']} {one['timeframe']} {one['source']} {one['rule']}" for one in rows]
    title = f"quarantine has grown by {sum(one['rows'] for one in rows):,} rows in a day"
    return _listed("quarantine", title, lines, subjects)


def _listed(kind: str, title: str, lines: Sequence[str], subjects: Sequence[str]) -> Alert | None:
    if not subjects:
        return None
    more = f"; and {len(lines) - MOST_TOLD} more" if len(lines) > MOST_TOLD else ""
    return Alert(kind, f"{title}: " + "; ".join(lines[:MOST_TOLD]) + more, tuple(subjects))


def _series(rows: Sequence[object]) -> str:
    return "1 series" if len(rows) == 1 else f"{len(rows):,} series"


def _names(rows: Sequence[dict[str, Any]]) -> list[str]:
    return [f"{one['symbol']} {one['timeframe']}" for one in rows]
