"""Types of a universe file, and the series it asks for.

:mod:`backfill.config.universe_file` checks keys against each other.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictStr,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from backfill.config.parameters import our_name
from backfill.config.source_names import SPOT_ONLY_SOURCES, is_source, why_no_source
from backfill.domain.market_hours import ALWAYS_OPEN, FOREX
from backfill.domain.symbols import is_instrument_name
from backfill.domain.timeframes import DAY_MS, HOUR_MS, MINUTE_MS, TIMEFRAMES, timeframe
from backfill.errors import ConfigurationError, UnknownTimeframe

ALL = "all"
AUTO = "auto"
# A 200-bar average is the longest in common use.
READY_BARS = 200
UNIT_MS = {"m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS, "w": 7 * DAY_MS}


@dataclass(frozen=True, slots=True)
class SeriesWish:
    """One series that must exist; times in ms. Either history or since is given.

    ``until_ms`` (exclusive) ends the window, else the last closed bar. ``calendar`` None: its market never closes.
    """

    symbol: str
    timeframe: str
    history_ms: int | None
    since_ms: int | None
    until_ms: int | None
    retention_ms: int | None
    sources: tuple[str, ...]
    spot_proxy: bool
    objective_pct: float = 99.9
    roll_up: bool = False
    ready_bars: int = READY_BARS
    calendar: str | None = None
    splits: str | None = None

    def window_start_ms(self, now_ms: int, settle_ms: int = 0) -> int:
        """The start of the window that ends with the last bar closed by ``now_ms - settle_ms``.

        On the grid and never after that end: 7 days of 1m are always 10,080 bars. Cut are partial bars (10 days of 1w
        are one bar) and those past retention.
        """
        grid = TIMEFRAMES[self.timeframe]
        end_ms = grid.last_closed_end(now_ms, settle_ms)
        if self.until_ms is not None:
            end_ms = min(end_ms, grid.floor(self.until_ms))
        start_ms = self.since_ms or 0
        if self.history_ms is not None:
            start_ms = end_ms - self.history_ms
        if self.retention_ms is not None:
            start_ms = max(start_ms, end_ms - self.retention_ms)
        return min(grid.ceil(max(start_ms, 0)), end_ms)


def parse_duration(value: object) -> int:
    """``7d`` in ms; no months and years, whose lengths vary."""
    match = re.fullmatch(r"([1-9][0-9]{0,7})([mhdw])", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{_shown(value)} is not a duration; write a whole number and m, h, d or w, such as 7d")
    return int(match[1]) * UNIT_MS[match[2]]


def parse_instant(value: object) -> int:
    """``2024-01-01`` (midnight UTC) or ``2024-01-01T12:00Z`` in epoch ms."""
    text = value if isinstance(value, str) else ""
    try:
        instant = datetime.fromisoformat(re.sub("[zZ]$", "+00:00", text))
    except ValueError:
        raise ValueError(f"{_shown(value)} is not a date; write it in UTC, such as 2024-01-01") from None
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        instant = instant.replace(tzinfo=timezone.utc)
    if instant.tzinfo is None:
        raise ValueError(f"{_shown(value)} has no time zone; end it with Z for UTC")
    if instant.year < 1970:
        raise ValueError(f"{_shown(value)} lies before 1970")
    return int(instant.timestamp() * 1000)


def _not_in_the_future(since_ms: int) -> int:
    if since_ms > datetime.now(timezone.utc).timestamp() * 1000:
        raise ValueError("lies in the future")
    return since_ms


def _at_least_a_week(retention_ms: int) -> int:
    if retention_ms < 7 * DAY_MS:
        raise ValueError("is shorter than 7d; what is newer is still read")
    return retention_ms


def parse_symbol(value: object) -> str:
    """An instrument's name as its primary source spells it, BASE-QUOTE; also read from ccxt's BASE/QUOTE."""
    if isinstance(value, str):
        value = our_name(value)
    if isinstance(value, str) and is_instrument_name(value):
        return value
    text = str(value).upper().split(":")[0]
    likely = re.fullmatch(r"([A-Z0-9]+?)[-/_ ]?(USDT|USDC|USD)", text)
    hint = f"; did you mean {likely[1]}-{likely[2]}?" if likely else "; write BASE-QUOTE, such as BTC-USDT"
    raise ValueError(f"{_shown(value)} is not an instrument's name{hint}")


def _parse_source(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{_shown(value)} is not a source's name")  # noqa: TRY004 - pydantic wants a ValueError
    if not is_source(value):
        raise ValueError(why_no_source(value))
    return value


def _parse_timeframe(value: object) -> str:
    try:
        return timeframe(value).name
    except UnknownTimeframe as error:
        raise ValueError(str(error)) from error


def _not_empty_or_repeated(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names:
        raise ValueError("is empty; name at least one")
    repeated = [name for name, times in Counter(names).items() if times > 1]
    if repeated:
        raise ValueError(f"named more than once: {', '.join(repeated)}")
    return names


def _all_or_list(value: object, as_list: ValidatorFunctionWrapHandler) -> tuple[str, ...] | None:
    """None stands for all that the primary source lists."""
    if value == ALL:
        return None
    if value is None:  # an empty key must not mean all
        raise ValueError(f"is empty; name at least one, or write {ALL}")
    names: tuple[str, ...] = as_list(value)
    return names


def _auto_or_number(value: object, as_number: ValidatorFunctionWrapHandler) -> int | None:
    """None stands for as many as make even tasks."""
    if value == AUTO:
        return None
    if type(value) is not int or value < 1:
        raise ValueError(f"{value!r} is neither a number from 1 on nor {AUTO}")
    number: int = as_number(value)
    return number


def _rule_from_short_form(value: object) -> object:
    """``1m: 7d`` is short for ``1m: {history: 7d}``."""
    return value if isinstance(value, dict) else {"history": value}


def _false_is_off(value: object) -> object:
    return None if value is False else value


def _word_is_none(value: object) -> object:
    return None if value == ALL else value


def _shown(value: object) -> str:
    """A value as in the file, or "this"."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, (str, int, float)) else "this"


Symbol = Annotated[str, BeforeValidator(parse_symbol)]
Source = Annotated[str, BeforeValidator(_parse_source)]
CandleTimeframe = Annotated[str, BeforeValidator(_parse_timeframe)]
DurationMs = Annotated[int, BeforeValidator(parse_duration)]
LogRetentionMs = Annotated[DurationMs, AfterValidator(_at_least_a_week)]
InstantMs = Annotated[int, BeforeValidator(parse_instant)]
Sources = Annotated[tuple[Source, ...], AfterValidator(_not_empty_or_repeated)]
Symbols = Annotated[tuple[Symbol, ...], AfterValidator(_not_empty_or_repeated)]
Bars = Annotated[int, Field(gt=0, le=2**31 - 1, strict=True)]
Percentage = Annotated[float, Field(ge=0, le=100, strict=True, allow_inf_nan=False)]


class _Section(BaseModel):
    """A mapping of the file; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Rule(_Section):
    """What to keep of one timeframe: ``history`` back from the end, or all ``since`` a date."""

    history_ms: DurationMs | None = Field(default=None, alias="history")
    since_ms: Annotated[InstantMs, AfterValidator(_not_in_the_future)] | None = Field(default=None, alias="since")
    until_ms: InstantMs | None = Field(default=None, alias="until")
    retention_ms: DurationMs | None = Field(default=None, alias="retention")
    sources: Sources | None = None
    objective_pct: Percentage | None = None
    ready_bars: Bars | None = None
    roll_up: StrictBool | None = None


class Validation(_Section):
    """How stored bars are checked, and what becomes of a failing series.

    ``enabled``: after each fill. ``every_ms``: how soon each page is compared with another source and read again; None:
    only the newest. ``ceiling_pct``: the largest tolerated price difference. ``providers``: who may be compared with,
    best first; None: every source of the series. ``max_gap_minutes``: a longer gap is a problem, a shorter one a note.
    """

    enabled: StrictBool = True
    objective_pct: Percentage = 99.9
    on_failure: Literal["warn", "fail"] = "warn"
    newest_page: StrictBool = True
    every_ms: Annotated[DurationMs | None, BeforeValidator(_false_is_off)] = Field(default=7 * DAY_MS, alias="every")
    ceiling_pct: Annotated[Percentage, Field(gt=0, alias="tolerance_pct")] = 1.0
    providers: Annotated[Sources | None, BeforeValidator(_word_is_none)] = None
    max_gap_minutes: Annotated[int, Field(ge=0, le=525_600, strict=True)] = 5
    next_timeframe: StrictBool = True

    @model_validator(mode="before")
    @classmethod
    def _former_name(cls, data: object) -> object:
        """`ceiling_pct`, as `tolerance_pct` was called."""
        if isinstance(data, dict) and "ceiling_pct" in data and "tolerance_pct" not in data:
            return {("tolerance_pct" if key == "ceiling_pct" else key): value for key, value in data.items()}
        return data


KeptRule = Annotated[Rule, BeforeValidator(_rule_from_short_form)]
RuleOrOff = Annotated[KeptRule | None, BeforeValidator(_false_is_off)]


class AssetClass(_Section):
    """Instruments with sources of their own, and the hours of their market.

    ``calendar``: a name of ``exchange_calendars``, `forex` or `24/7`. ``splits``: what a source's prices are asked for.
    """

    instruments: Symbols
    sources: Sources
    kind: Literal["crypto", "stocks", "forex"] = "crypto"
    calendar: Annotated[str, Field(pattern=r"^[A-Za-z0-9_/]{3,30}$", strict=True)] | None = None
    splits: Literal["adjusted", "raw"] | None = None

    @property
    def hours(self) -> str | None:
        """The calendar of closed bars; None: its market never closes."""
        named = self.calendar or (FOREX if self.kind == "forex" else ALWAYS_OPEN)
        return None if named == ALWAYS_OPEN else named

    @property
    def split_prices(self) -> str | None:
        """`adjusted` or `raw`; None: there are no splits."""
        return (self.splits or "adjusted") if self.kind == "stocks" else None


class Override(_Section):
    """One instrument's differences. Its timeframes replace general ones; false is off."""

    timeframes: dict[CandleTimeframe, RuleOrOff] = Field(default_factory=dict)
    sources: Sources | None = None
    spot_proxy: StrictBool | None = None
    roll_up: StrictBool | None = None


class Universe(_Section):
    """Which series must exist. ``instruments`` None: all that the primary source lists."""

    instruments: Annotated[Symbols | None, WrapValidator(_all_or_list)]
    exclude: tuple[Symbol, ...] = ()
    timeframes: dict[CandleTimeframe, KeptRule] = Field(min_length=1)
    sources: Sources = ("blofin",)
    classes: dict[StrictStr, AssetClass] = Field(default_factory=dict)
    spot_proxy: StrictBool = False
    roll_up: StrictBool = False
    ready_bars: Bars = READY_BARS
    symbols_per_task: Annotated[Bars | None, WrapValidator(_auto_or_number)] = None
    validation: Validation = Validation()
    funding: Annotated[DurationMs | None, BeforeValidator(_false_is_off)] = None
    log_retention: Annotated[LogRetentionMs | None, BeforeValidator(_false_is_off)] = None
    overrides: dict[Symbol, Override] = Field(default_factory=dict)

    def series(self, listed: Sequence[str] | None = None) -> list[SeriesWish]:
        """Every wanted series: instruments in file order, timeframes from small to large.

        ``listed``: live linear USDT perpetuals of the primary source, which `instruments: all` needs, else
        :class:`ConfigurationError`.
        """
        names = listed if self.instruments is None else self.instruments
        if names is None:
            raise ConfigurationError("`instruments: all` needs the primary source's list, and there is none here")
        return [wish for symbol in names if symbol not in self.exclude for wish in self._series_of(symbol)]

    def all_sources(self) -> list[str]:
        """Every source of any series, in order of first mention."""
        by_class = [symbol for one in self.classes.values() for symbol in one.instruments]
        some_other = ""  # any instrument of `all`
        symbols = self.instruments or (some_other, *by_class, *self.overrides)
        wishes = (wish for symbol in symbols if symbol not in self.exclude for wish in self._series_of(symbol))
        return list(dict.fromkeys(source for wish in wishes for source in wish.sources))

    def sources_of(self, symbol: str, timeframe: str) -> Sources:
        """A series' sources, spot included, by the narrowest list. See decision 3."""
        override = self.overrides.get(symbol, Override())
        own_rule = override.timeframes.get(timeframe)
        rule = None if own_rule else self.timeframes.get(timeframe)  # replaced whole by its own
        return (
            (own_rule and own_rule.sources)
            or override.sources
            or (rule and rule.sources)
            or ((own_class := self.class_of(symbol)) and own_class.sources)
            or self.sources
        )

    def class_of(self, symbol: str) -> AssetClass | None:
        """The class that names ``symbol``, if any."""
        return next((one for one in self.classes.values() if symbol in one.instruments), None)

    def rolls_up(self, symbol: str, timeframe: str) -> bool:
        """Whether bars may be made of finer ones, by the narrowest setting. See decision 19."""
        override = self.overrides.get(symbol, Override())
        own_rule = override.timeframes.get(timeframe)
        rule = None if own_rule else self.timeframes.get(timeframe)
        sections = (own_rule, override, rule, self)
        return next(one.roll_up for one in sections if one is not None and one.roll_up is not None)

    def _series_of(self, symbol: str) -> Iterator[SeriesWish]:
        override = self.overrides.get(symbol, Override())
        rules = {**self.timeframes, **override.timeframes}
        spot_proxy = self.spot_proxy if override.spot_proxy is None else override.spot_proxy
        own_class = self.class_of(symbol)
        for name in TIMEFRAMES:
            if (rule := rules.get(name)) is not None:
                yield SeriesWish(
                    symbol=symbol,
                    timeframe=name,
                    history_ms=rule.history_ms,
                    since_ms=rule.since_ms,
                    until_ms=rule.until_ms,
                    retention_ms=rule.retention_ms,
                    sources=tuple(
                        source
                        for source in self.sources_of(symbol, name)
                        if spot_proxy or source not in SPOT_ONLY_SOURCES
                    ),
                    spot_proxy=spot_proxy,
                    objective_pct=self.validation.objective_pct if rule.objective_pct is None else rule.objective_pct,
                    ready_bars=self.ready_bars if rule.ready_bars is None else rule.ready_bars,
                    roll_up=self.rolls_up(symbol, name),
                    calendar=own_class.hours if own_class else None,
                    splits=own_class.split_prices if own_class else None,
                )


class UniverseFile(Universe):
    """The whole file: a universe, and others by name."""

    profiles: dict[StrictStr, Universe] = Field(default_factory=dict)
