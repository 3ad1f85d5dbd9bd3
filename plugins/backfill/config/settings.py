"""``BACKFILL_*`` environment variables over defaults. docs/settings.md lists them.

Only this module and its neighbours read the environment. Empty means unset; unknown or malformed is an error; older
names are accepted (:mod:`backfill.config.older_names`). pydantic-settings would ignore unknown names and add 35 ms to
every parse of a Dag file.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from backfill.config.addresses import http_url, postgres_uri
from backfill.config.older_names import accepted
from backfill.config.parameters import our_name
from backfill.config.resources import include_dir
from backfill.config.source_names import is_source, why_no_source
from backfill.domain.timeframes import timeframe
from backfill.errors import SettingsInvalid, UnknownTimeframe

PREFIX = "BACKFILL_"

# Blofin docs, Get Candlesticks: "The maximum is 1440".
MAX_BATCH_LIMIT = 1440
MAX_REQUEST_SLEEP_MS = 60_000
HUNDRED_YEARS_H = 876_600
MAX_TIMEOUT_S = 300


def _comma_list(value: object) -> object:
    if not isinstance(value, str):
        return value
    names = tuple(dict.fromkeys(name.strip() for name in value.split(",") if name.strip()))
    if not names:
        raise ValueError("names nothing; write names with commas between them")
    return names


def _known_timeframe(name: str) -> str:
    try:
        return timeframe(name).name
    except UnknownTimeframe as error:
        raise ValueError(str(error)) from error


def _postgres_secret(value: SecretStr) -> SecretStr:
    return SecretStr(postgres_uri(value.get_secret_value()))


CommaList = BeforeValidator(_comma_list)
CandleTimeframe = Annotated[str, AfterValidator(_known_timeframe)]
HomePath = Annotated[Path, AfterValidator(Path.expanduser)]
Port = Annotated[int, Field(ge=1, le=65_535)]


def default_universe() -> Path:
    """The path of ``include/universe.yaml``."""
    return include_dir() / "universe.yaml"


class Settings(BaseModel):
    """One field per variable: ``batch_limit`` is ``BACKFILL_BATCH_LIMIT``. None means unset."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    db: Annotated[SecretStr, AfterValidator(_postgres_secret)] | None = None
    universe: HomePath = Field(default_factory=default_universe)
    profile: str | None = None
    symbols: Annotated[tuple[Annotated[str, AfterValidator(our_name)], ...], CommaList] | None = None
    timeframes: Annotated[tuple[CandleTimeframe, ...], CommaList] | None = None
    lookback_hours: Annotated[int, Field(ge=1, le=HUNDRED_YEARS_H)] | None = None
    alert_after_hours: float = Field(default=6.0, gt=0, le=HUNDRED_YEARS_H)
    settle_s: float = Field(default=5.0, ge=0, le=3600)
    batch_limit: int = Field(default=MAX_BATCH_LIMIT, ge=1, le=MAX_BATCH_LIMIT)
    drop_series: bool = False
    env_file: HomePath | None = None
    older_names: bool = False
    pages_in_flight: int = Field(default=4, ge=1, le=64)
    request_sleep_ms: int = Field(default=0, ge=0, le=MAX_REQUEST_SLEEP_MS)
    http_timeout_s: float = Field(default=10.0, gt=0, le=MAX_TIMEOUT_S)
    export_folder: str | None = None
    home: HomePath = Path(".backfill")
    api_port: Port | None = None
    paper_port: Port | None = None
    source_urls: dict[str, Annotated[str, AfterValidator(http_url)]] = Field(default_factory=dict)


_FIELDS = {f"{PREFIX}{field.upper()}": field for field in Settings.model_fields if field != "source_urls"}


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings in ``environ`` (default: the process's). :class:`SettingsInvalid` names every fault."""
    given = accepted(os.environ if environ is None else environ)
    ours = {name: value for name, value in given.items() if name.startswith(PREFIX) and value.strip()}
    values: dict[str, Any] = {_FIELDS[name]: value for name, value in ours.items() if name in _FIELDS}
    values["source_urls"] = {source: value for name, value in ours.items() if is_source(source := _source_of_url(name))}
    problems = [
        f"{name}: {_why_unknown(name)}" for name in ours if name not in _FIELDS and not is_source(_source_of_url(name))
    ]
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        problems += [_problem(fault["loc"], fault["msg"], ours) for fault in error.errors()]
        raise SettingsInvalid(problems) from None  # pydantic's message would show the password
    if problems:
        raise SettingsInvalid(problems)
    return settings


def _source_of_url(name: str) -> str | None:
    return name.removeprefix(PREFIX).removesuffix("_URL").lower() if name.endswith("_URL") else None


def _why_unknown(name: str) -> str:
    if name.endswith("_URL"):
        return why_no_source(_source_of_url(name))
    rest = [known.removeprefix(PREFIX) for known in _FIELDS]
    close = difflib.get_close_matches(name.removeprefix(PREFIX), rest, n=1)
    advice = f"did you mean {PREFIX}{close[0]}?" if close else "docs/settings.md lists the known ones"
    return f"unknown setting; {advice}"


def _problem(loc: tuple[int | str, ...], message: str, ours: Mapping[str, str]) -> str:
    """The variable, its value unless secret, and the fault."""
    field = str(loc[0])
    name = f"{PREFIX}{str(loc[1]).upper()}_URL" if field == "source_urls" else f"{PREFIX}{field.upper()}"
    shown = "" if field in ("db", "source_urls") else f"={ours[name]}"
    message = message.removeprefix("Value error, ").replace("Input should be", "should be")
    return f"{name}{shown}: {message}"
