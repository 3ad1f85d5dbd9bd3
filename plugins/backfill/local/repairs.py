"""What a Dag run found and repaired, in lines of 80 columns, and what to look at next; from rows already read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from textwrap import wrap

from backfill.local.fill_result import Key, Row, SeriesResult

COLUMNS = 80
MOST_SERIES = 12
STEPS = 3


def repairs(
    results: Sequence[SeriesResult], revisions: Sequence[Row], sources: Mapping[Key, Sequence[str]]
) -> list[str]:
    """A line or two for each series that was more than filled from empty, then the others together.

    ``sources``: who may be asked for a series, the primary one first.
    """
    touched = [result for result in results if result.missing_before or result.counts["rows_revised"]]
    if not touched:
        return [f"  nothing was missing: {len(results):,} series were whole"]
    usual = Counter(names[0] for names in sources.values()).most_common(1)
    plain = [result for result in touched if usual and _is_plain(result, usual[0][0])]
    told = [result for result in touched if result not in plain]
    indent = max((len(_name(result)) for result in told), default=0) + 4
    lines = []
    for result in told[:MOST_SERIES]:
        said = [
            *_sentences(result, sources.get(result.key, ())),
            *(_replaced(row) for row in revisions if _is_of(row, result)),
        ]
        name = f"  {_name(result)}".ljust(indent)
        for sentence in said:
            lines += wrap(sentence, COLUMNS, initial_indent=name, subsequent_indent=" " * (indent + 2))
            name = " " * indent
    if len(told) > MOST_SERIES:
        rest = told[MOST_SERIES:]
        before, after = sum(one.missing_before for one in rest), sum(one.missing for one in rest)
        lines.append(f"  {len(rest):,} more: {before:,} bars were missing, {after:,} are")
    if plain:
        others = f"{len(plain):,} {'other ' if told else ''}series"
        bars = sum(result.filled.total() for result in plain)
        lines.append(f"  {others} filled from empty: {bars:,} from {usual[0][0]}")
    return lines


def next_steps(results: Sequence[SeriesResult], revisions: Sequence[Row]) -> list[str]:
    """Arguments of `backfill` that show what the run has done, the most telling first."""
    steps = [f"explain {row['symbol']} {row['timeframe']} {row['open_time']:%Y-%m-%dT%H:%M}" for row in revisions[:1]]
    steps += [f"condition {_name(one)}" for one in results if len(one.filled) > 1][:1]
    steps += [f"condition {_name(one)}" for one in results if one.silent][:1]
    return [*dict.fromkeys([*steps, "status", "gaps", "findings"])][:STEPS]


def _is_plain(result: SeriesResult, usual: str) -> bool:
    """Whether the usual source has filled it from empty, with nothing more to say."""
    rare = (result.missing, result.silent, result.error, result.counts["rows_revised"])
    return result.coverage_before == 0 and list(result.filled) == [usual] and not any(rare)


def _sentences(result: SeriesResult, sources: Sequence[str]) -> Iterator[str]:
    holes = "1 hole" if result.holes == 1 else f"{result.holes:,} holes"
    found = f"{holes}, {result.missing_before:,} bars" if result.coverage_before else "filled from empty"
    if result.filled:
        yield f"{found}: {_from_whom(result.filled, sources)}"
    if result.silent:
        yield f"{result.silent:,} bars had no trade"
    if result.missing:
        yield f"{result.missing:,} bars are still missing{f': {result.error}' if result.error else ''}"


def _from_whom(filled: Counter[str], sources: Sequence[str]) -> str:
    """Bars by source, in the order in which the sources are asked."""
    said = [f"{filled[name]:,} from {name}" for name in sorted(filled, key=[*sources, *filled].index)]
    if len(sources) == 1:
        return f"{said[0]}, its only source"
    if len(said) == 1 or not sources or sources[0] not in filled:
        return ", ".join(said)
    return f"{said[0]}; what {sources[0]} lacks, {', '.join(said[1:])}"


def _replaced(row: Row) -> str:
    was, now = (_price_and_volume(row, prefix) for prefix in ("", "new_"))
    bars = "1 bar" if row["bars"] == 1 else f"{row['bars']:,} bars"
    return f"{bars} replaced by {row['task_id']}: {row['open_time']:%Y-%m-%d %H:%M} was {was}, is {now}"


def _price_and_volume(row: Row, prefix: str) -> str:
    close, volume = row[f"{prefix}close"], row[f"{prefix}volume"]
    return f"close {close:.10g}" + ("" if volume is None else f" volume {volume:.6g}")


def _is_of(row: Row, result: SeriesResult) -> bool:
    return (row["symbol"], row["timeframe"]) == result.key


def _name(result: SeriesResult) -> str:
    return f"{result.symbol} {result.timeframe}"
