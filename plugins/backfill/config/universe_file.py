"""Reads ``include/universe.yaml``; reports every fault at once, by line and key."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from backfill.config.located_yaml import LocatedYaml, read_yaml
from backfill.config.source_names import SPOT_ONLY_SOURCES, has_kind
from backfill.config.universe_model import (
    ALL,
    AssetClass,
    Override,
    Rule,
    SeriesWish,
    Universe,
    UniverseFile,
    Validation,
)
from backfill.domain.price_kinds import contract_of, kind_of
from backfill.domain.symbols import is_pair_name
from backfill.domain.timeframes import HOUR_MS, TIMEFRAMES
from backfill.domain.venues import known_venue
from backfill.errors import UniverseInvalid, UnknownSymbol, UnknownTimeframe

__all__ = ["SeriesWish", "Universe", "declared_series", "load_universe", "select_series"]

Loc = tuple[int | str, ...]
Fault = tuple[Loc, str]


def load_universe(path: Path, profile: str | None = None) -> Universe:
    """The file's universe or profile. Raises :class:`UniverseInvalid` with every fault."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UniverseInvalid(str(path), [f"{reason}; set BACKFILL_UNIVERSE to the file's path"]) from error
    except UnicodeDecodeError as error:
        raise UniverseInvalid(str(path), ["not text in UTF-8; save the file as UTF-8"]) from error
    file = _universe_of(str(path), text)
    if profile is None:
        return file
    if profile not in file.profiles:
        known = ", ".join(file.profiles) or "none"
        raise UniverseInvalid(str(path), [f"profiles: there is no profile {profile!r}; known are {known}"])
    return file.profiles[profile]


@lru_cache(maxsize=4)
def _universe_of(path: str, text: str) -> UniverseFile:
    """Kept, as task processes inherit what their parent has read."""
    located = read_yaml(text)
    if located.problems:
        raise UniverseInvalid(path, located.problems)
    return _checked(path, located)


def declared_series(
    universe: Universe, lookback_hours: int | None = None, listed: Sequence[str] | None = None
) -> list[SeriesWish]:
    """Every series to keep, with ``lookback_hours`` for its history if set.

    ``listed`` as for :meth:`Universe.series`. For BACKFILL_SYMBOLS and BACKFILL_TIMEFRAMES, which only limit runs, see
    :func:`select_series`.
    """
    wishes = universe.series(listed)
    if lookback_hours is None:
        return wishes
    return [_with_history(wish, lookback_hours * HOUR_MS) for wish in wishes]


def select_series(
    wishes: Sequence[SeriesWish],
    symbols: Sequence[str] | None = None,
    timeframes: Sequence[str] | None = None,
) -> list[SeriesWish]:
    """The named ``wishes``, in their own order; None or empty names all.

    Raises :class:`UnknownSymbol` or :class:`UnknownTimeframe`.
    """
    known_symbols = dict.fromkeys(wish.symbol for wish in wishes)
    known_timeframes = [name for name in TIMEFRAMES if any(wish.timeframe == name for wish in wishes)]
    for symbol in symbols or ():
        if symbol not in known_symbols:
            raise UnknownSymbol(symbol, list(known_symbols))
    for timeframe in timeframes or ():
        if timeframe not in known_timeframes:
            raise UnknownTimeframe(timeframe, known_timeframes)
    return [
        wish
        for wish in wishes
        if (not symbols or wish.symbol in symbols) and (not timeframes or wish.timeframe in timeframes)
    ]


def _with_history(wish: SeriesWish, history_ms: int) -> SeriesWish:
    step_ms = TIMEFRAMES[wish.timeframe].step_ms
    return replace(wish, history_ms=max(history_ms, step_ms), since_ms=None)


def _checked(path: str, located: LocatedYaml) -> UniverseFile:
    if not isinstance(located.data, dict):
        raise UniverseInvalid(path, ["holds no keys; it needs at least `instruments:` and `timeframes:`"])
    faults: list[Fault] = []
    try:
        file = UniverseFile.model_validate(located.data)
    except ValidationError as error:
        faults = [_in_plain_words(fault) for fault in error.errors()]
    else:
        faults = [*_contradictions(file)]
        for name, profile in file.profiles.items():
            faults += [(("profiles", name, *loc), message) for loc, message in _contradictions(profile)]
    if faults:
        faults.sort(key=lambda fault: _line(located, fault[0]) or 0)
        raise UniverseInvalid(path, [_problem(located, loc, message) for loc, message in faults])
    return file


def _contradictions(universe: Universe) -> Iterator[Fault]:
    """Faults between keys that are valid alone."""
    yield from _rule_faults(universe.timeframes, spot_proxy=universe.spot_proxy)
    yield from _class_faults(universe)
    yield from _symbol_faults(universe)
    yield from _primary_faults(universe.sources, spot_proxy=universe.spot_proxy)
    yield from _provider_faults(universe)
    if universe.instruments is not None:
        for index, symbol in enumerate(universe.exclude):
            if symbol not in universe.instruments:
                yield ("exclude", index), f"{symbol} is not among the instruments"
        if not set(universe.instruments) - set(universe.exclude):
            yield ("exclude",), "leaves no instrument"
    for symbol, override in universe.overrides.items():
        for loc, message in _override_faults(universe, symbol, override):
            yield ("overrides", symbol, *loc), message


def _provider_faults(universe: Universe) -> Iterator[Fault]:
    """Only a series' own sources have proved listings."""
    rules = [
        *universe.timeframes.values(),
        *(rule for one in universe.overrides.values() for rule in one.timeframes.values()),
    ]
    named = {name for rule in rules if rule is not None for name in rule.sources or ()}
    named |= {name for one in universe.overrides.values() for name in one.sources or ()}
    named |= {*universe.sources, *(name for one in universe.classes.values() for name in one.sources)}
    for index, name in enumerate(universe.validation.providers or ()):
        if name not in named:
            yield (
                ("validation", "providers", index),
                f"{name} is among no `sources`; name it there too, last if it should not fill",
            )


def _class_faults(universe: Universe) -> Iterator[Fault]:
    class_of: dict[str, str] = {}
    for name, one in universe.classes.items():
        if one.kind == "stocks" and one.calendar is None:
            yield ("classes", name), "has stocks and no `calendar`; name their exchange's, such as XNYS"
        if one.splits is not None and one.kind != "stocks":
            yield ("classes", name, "splits"), f"{one.kind} has no splits"
        yield from ((("classes", name), message) for message in _split_faults(universe, one))
        for loc, message in _primary_faults(one.sources, spot_proxy=universe.spot_proxy):
            yield ("classes", name, *loc), message
        for index, symbol in enumerate(one.instruments):
            if universe.instruments is not None and symbol not in universe.instruments:
                yield ("classes", name, "instruments", index), f"{symbol} is not among the instruments"
            if class_of.setdefault(symbol, name) != name:
                yield ("classes", name, "instruments", index), f"{symbol} is of the class {class_of[symbol]} already"


def _split_faults(universe: Universe, one: AssetClass) -> Iterator[str]:
    """Sources of a class that never have the prices it wants."""
    wanted = one.split_prices
    named = {
        source for symbol in one.instruments for name in TIMEFRAMES for source in universe.sources_of(symbol, name)
    }
    for source in sorted(named if wanted else ()):
        row = known_venue(source)
        if row is not None and row.split_prices is not None and wanted not in row.split_prices:
            has = " or ".join(row.split_prices)
            yield f"{source} has {has} prices of stocks only, the class asks for {wanted} ones; name another source"


def _symbol_faults(universe: Universe) -> Iterator[Fault]:
    """Names that need a class, or a primary source with such prices."""
    for index, symbol in enumerate(universe.instruments or ()):
        kind, primaries = kind_of(symbol), {universe.sources_of(symbol, name)[0] for name in universe.timeframes}
        for primary in sorted(primaries):
            if not has_kind(primary, kind):
                yield ("instruments", index), f"{primary} comes first and has no {kind} prices"
        own = universe.class_of(symbol)
        if not is_pair_name(contract_of(symbol)) and (own is None or own.kind == "crypto"):
            yield ("instruments", index), f"{symbol} is no BASE-QUOTE; name it in a class of `kind: stocks` or `forex`"


def _override_faults(universe: Universe, symbol: str, override: Override) -> Iterator[Fault]:
    if universe.instruments is not None and symbol not in universe.instruments:
        yield (), f"{symbol} is not among the instruments"
    spot_proxy = universe.spot_proxy if override.spot_proxy is None else override.spot_proxy
    yield from _rule_faults(override.timeframes, spot_proxy=spot_proxy)
    rules = {**universe.timeframes, **override.timeframes}
    if not any(rules.values()):
        yield ("timeframes",), f"leaves nothing of {symbol}; name it under `exclude` instead"
    if override.sources:
        yield from _primary_faults(override.sources, spot_proxy=spot_proxy)
    elif override.spot_proxy is False:  # the shared lists may need it
        shared = {universe.sources_of(symbol, name) for name in rules if not override.timeframes.get(name)}
        yield from (fault for sources in shared for fault in _primary_faults(sources, spot_proxy=False))


def _rule_faults(rules: Mapping[str, Rule | None], *, spot_proxy: bool) -> Iterator[Fault]:
    for name, rule in rules.items():
        if rule is None:
            continue
        if message := _rule_fault(rule, TIMEFRAMES[name].step_ms):
            yield ("timeframes", name), message
        for loc, message in _primary_faults(rule.sources or (), spot_proxy=spot_proxy):
            yield ("timeframes", name, *loc), message


def _rule_fault(rule: Rule, step_ms: int) -> str | None:
    history_ms, since_ms, until_ms, retention_ms = rule.history_ms, rule.since_ms, rule.until_ms, rule.retention_ms
    if history_ms is None and since_ms is None:
        return "does not say how far back; give it a `history` or a `since`"
    if history_ms is not None and since_ms is not None:
        return "has both a `history` and a `since`; keep one"
    if history_ms is not None and history_ms < step_ms:
        return "its `history` is shorter than one bar"
    if history_ms is not None and rule.ready_bars is not None and history_ms < rule.ready_bars * step_ms:
        return f"its `ready_bars` asks for {rule.ready_bars} bars, its `history` has {history_ms // step_ms}"
    if since_ms is not None and until_ms is not None and until_ms - since_ms < step_ms:
        return "its `until` is less than one bar after its `since`"
    if retention_ms is not None and (since_ms is not None or until_ms is not None):
        return "has a `retention`, which would in time drop what a fixed date asks for; keep one of the two"
    if retention_ms is not None and history_ms is not None and retention_ms < history_ms:
        return "its `retention` is shorter than its `history`: bars would be fetched only to be dropped"
    return None


def _primary_faults(sources: Sequence[str], *, spot_proxy: bool) -> Iterator[Fault]:
    if sources[:1] and sources[0] in SPOT_ONLY_SOURCES and not spot_proxy:
        yield ("sources", 0), f"{sources[0]} has spot only and comes first; that needs `spot_proxy: true`"
    row = known_venue(sources[0]) if sources else None
    if row is not None and not row.fills:
        yield ("sources", 0), f"{sources[0]} is only compared with, since its candles are too coarse; name it last"


def _line(located: LocatedYaml, loc: Loc) -> int | None:
    return located.line(tuple(map(str, loc)))


def _problem(located: LocatedYaml, loc: Loc, message: str) -> str:
    """``line 12: overrides.BTC-USDT.sources[1]: ...``"""
    if loc[-1] == "history" and tuple(map(str, loc)) not in located.lines:
        loc = loc[:-1]  # the short form `1m: 7d` has no such key
    line = _line(located, loc)
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).removeprefix(".")
    return f"{f'line {line}: ' if line else ''}{key}: {message}"


def _in_plain_words(fault: Mapping[str, Any]) -> Fault:
    loc: Loc = tuple(part for part in fault["loc"] if part != "[key]")
    kind = fault["type"]
    if kind == "value_error":
        return loc, str(fault["ctx"]["error"])
    if kind == "extra_forbidden":
        known = [field.alias or name for name, field in _section_at(loc).model_fields.items()]
        close = difflib.get_close_matches(str(loc[-1]), known, n=1)
        return (
            loc,
            f"unknown key; {f'did you mean {close[0]}?' if close else 'known are ' + ', '.join(known)}",
        )
    words = {
        "missing": "is missing",
        "too_short": "is empty",
        "bool_type": "is neither true nor false",
        "tuple_type": f"is not a list{f', nor the word {ALL}' if loc[-1] == 'instruments' else ''}",
        "dict_type": "is not a mapping of keys to values",
        "model_type": "is not a mapping of keys to values",
    }
    return loc, words.get(kind, fault["msg"])


def _section_at(loc: Loc) -> type[BaseModel]:
    if loc[0] == "profiles":
        return _section_at(loc[2:]) if len(loc) > 3 else Universe
    if "timeframes" in loc[:-1]:
        return Rule
    if loc[0] == "validation":
        return Validation
    if loc[0] == "classes":
        return AssetClass
    return Override if "overrides" in loc[:-1] else UniverseFile
