"""``backfill explain SYMBOL TIMEFRAME OPEN_TIME``: the history of one bar."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from backfill.cli.lists import exact
from backfill.cli.output import Output
from backfill.config.connections import database_uri, source_from_environment
from backfill.config.settings import load_settings
from backfill.jobs.status.explain_candle import CandleStory, explain_candle
from backfill.sources.runtime import Runtime

THERE, NOT_THERE = 0, 3
FIELDS = ("open", "high", "low", "close", "volume", "quote_volume")
SAID = {
    "agree": "agrees",
    "agree_unless_lacking": "agrees, unless this is one of the bars that were not on both sides",
    "upheld": "differs, but a third source voted for ours",
    "disagree": "disagrees",
    "unverified": "unverified",
    "not_compared": "says nothing of this bar",
    "no_trade": "no trade",
    "lost": "a bar was lost",
}

Row = Mapping[str, Any]


def explain(args: argparse.Namespace, output: Output) -> int:
    """Print the history of one bar; exit code 3 if it has no candle."""
    with Runtime(database_uri(args.db), load_settings(), source_from_environment) as runtime:
        story = explain_candle(runtime.store, args.symbol, args.timeframe, args.open_time, settle_ms=runtime.settle_ms)
    if output.as_json:
        output.document(vars(story))
    else:
        for line in _lines(story):
            output.line(line)
    return THERE if story.candle else NOT_THERE


def _lines(story: CandleStory) -> Iterator[str]:
    what = f"a candle of {_named(story.candle['source'])}" if story.candle else f"no candle, {story.state}: {story.why}"
    yield f"{story.symbol} {story.timeframe} {_at(story.open_time)} UTC: {what}"
    if story.candle:
        yield f"  {_values(story.candle)}"
        yield f"  {_origin(story, story.candle)}"
        yield from (f"  {_carried(one)}" for one in story.carried)
        if story.candle["listing"]:
            yield f"  its listing: {_listing(story.candle['listing'])}"
    looks = [_look(one) for one in (*story.compared, *story.proved)]
    yield from _section("who agreed", looks or ["no source has been asked"])
    yield from _section("what else checks have found", map(_finding, story.findings))
    yield from _section(
        "what it was before", map(_former_self, story.former_selves) if story.former_selves else ["nothing else"]
    )
    yield from _section("in quarantine", map(_quarantined, story.quarantine))
    if not story.candle:
        yield from _section("who may be asked", (_source(one, story.as_of) for one in story.sources))


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    listed = list(lines)
    if listed:
        yield f"{title}:"
        yield from (f"  {line}" for line in listed)


def _origin(story: CandleStory, candle: Row) -> str:
    primary = next((_source(one, story.as_of) for one in story.sources if one["rank"] == 1), "it has none")
    confirmed = "sent again after it had settled" if story.confirmed else "not sent again yet"
    return {
        "primary": f"from its primary source, {confirmed}",
        "stand_in": f"a stand-in for the primary source's: {primary}",
        "derived": f"made of finer bars of {story.primary}, its primary source, until that gives its own",
        "manual": "written by a person; no source replaces it",
        "other": f"from a source that the series does not name; its primary source is {story.primary}",
    }[candle["given_by"]]


def _carried(carried: Row) -> str:
    scale = "" if carried["price_divisor"] == 1 else f", its price divided by {exact(carried['price_divisor'])}"
    proof = f"{carried['agreeing_bars']:,} of {carried['common_bars']:,} bars in common agreed ({carried['proved_by']})"
    return f"carried over from {carried['from_symbol']} on {_at(carried['carried_at'])}{scale}: {proof}"


def _listing(listing: Row) -> str:
    proof = [listing["status"], f"{listing['overlap_bars']} bars in common" if listing["overlap_bars"] else None]
    if listing["proved_by"]:
        proof.append(f"with {listing['proved_by']}")
    if listing["median_close_ratio"] is not None:
        proof.append(f"median close ratio {exact(listing['median_close_ratio'])}")
    if listing["reason"]:
        proof.append(listing["reason"])
    return (
        f"{listing['venue_symbol']}, {listing['instrument_class']}, price x {exact(listing['price_scale'])}, "
        f"volume x {exact(listing['volume_scale'])}; {', '.join(filter(None, proof))}"
    )


def _look(look: Row) -> str:
    detail = look["detail"]
    if look["kind"] == "cross_source":
        who = _named(look["source"]) if look["source"] else "other sources"
        counts = (
            f"{detail['agreed']} of {detail['compared']} bars agreed"
            if "agreed" in detail
            else _joined(detail.get("why"))
        )
    else:
        who = f"{detail['timeframe']} bars of {_named(look['source'])}"
        counts = f"{detail['equal']} add up, {detail['disagree']} do not"
    page = f"{_at(look['start_time'])} to {_at(look['end_time'])}: {counts}; {_at(look['last_seen_at'])}"
    former = (
        "" if look["of_this_candle"] or look["bar"] in ("no_trade", "lost") else " (before the bar became what it is)"
    )
    return f"{who}: {SAID[look['bar']]}{former} [{page}, {_run(look['run'])}]"


def _finding(finding: Row) -> str:
    detail = finding["detail"]
    parts = [f"{finding['kind']}, {finding['verdict']}, {finding['status']}"]
    if finding["source"]:
        parts.append(finding["source"])
    if finding["stored"] is not None or finding["other"] is not None:
        figures = f"ours {exact(finding['stored'])}, theirs {exact(finding['other'])}"
        off = "" if finding["difference"] is None else f", {finding['difference']:+.3g}"
        parts.append(f"{finding['field']}: {figures}{off}")
    if detail.get("vote"):
        parts.append(f"{detail['voter']} voted: {detail['vote']}")
    if detail.get("says"):
        parts.append(detail["says"])
    return f"{'; '.join(parts)} [{_at(finding['last_seen_at'])}, {_run(finding['run'])}]"


def _former_self(former: Row) -> str:
    when = f" on {_at(former['replaced_at'])} by {_run(former['run'])}" if former["replaced_at"] else ""
    note = f" ({former['note']})" if former["note"] else ""
    end = "removed without a revision" if former["reason"] == "removed" else f"replaced{when}: {former['reason']}{note}"
    return f"{former['version']}. {_named(former['source'])}: {_values(former)}; {end}"


def _quarantined(row: Row) -> str:
    note = f" ({row['note']})" if row["note"] else ""
    return (
        f"{row['id']}: {row['rule']}, from {row['source']}, {row['status']}{note}, seen {row['times_seen']} times, "
        f"last {_at(row['last_seen_at'])}: {json.dumps(row['payload'])}"
    )


def _source(source: Row, as_of: datetime) -> str:
    listings = source["listings"]
    if source["rank"] is None:
        said = "may not be asked"
    elif listings and all(one["status"] == "refused" for one in listings):
        said = f"its listing is refused: {listings[0]['reason']}"
    elif source["absent_until"] is None:
        said = "has not been found to lack it"
    elif source["grade"] == "refused":
        said = f"gave only rows that broke a rule, and is asked again from {_at(source['absent_until'])} on"
    elif source["absent_until"] > as_of:
        said = f"has answered that it has none, believed until {_at(source['absent_until'])}"
    else:
        said = f"has answered that it has none, believed until {_at(source['absent_until'])}: it may be asked again"
    return f"{source['source']}: {said}"


def _values(candle: Row) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {exact(candle[name])}" for name in FIELDS)


def _run(run: Row | None) -> str:
    if run is None:
        return "no run"
    return f"run {run['id']}" + (f" ({run['dag_id']} {run['task_id']} {run['run_id']})" if run["dag_id"] else "")


def _named(source: str | None) -> str:
    return source or "an unknown source"


def _joined(reasons: Sequence[str] | None) -> str:
    return "; ".join(reasons or ["no reason given"])


def _at(at: datetime | None) -> str:
    return "an unknown time" if at is None else f"{at:%F %R}"
