"""Everything that can go wrong, and what to do next.

BackfillError
├── ConfigurationError            mend the named setting, file or argument; nothing was written
│   ├── UniverseInvalid           .problems, one line per key of the file
│   ├── SettingsInvalid           .problems, one line per BACKFILL_* variable
│   ├── UnknownTimeframe          .timeframe
│   ├── UnknownSymbol             .symbol
│   ├── InvalidWindow             .start_ms, .end_ms
│   ├── CorrectionsInvalid        .problems, one line per fault
│   ├── CandleFileRefused         .file; mend or leave out that file
│   └── DecisionRefused           .problems, one line per row
├── DatabaseError
│   ├── DatabaseUnreachable       start Postgres or mend the address
│   │   └── ConnectionsExhausted  raise the connection limit it names
│   ├── DatabaseAccessDenied      mend user, password or grants
│   ├── SchemaMissing             run `backfill migrate`
│   ├── SchemaTooOld              run `backfill migrate`
│   ├── SchemaTooNew              upgrade this package
│   └── SeriesBusy                wait, ask again
├── ExchangeError                 .exchange
│   ├── ExchangeUnreachable       wait, ask again
│   ├── RateLimited               wait .retry_after_s
│   │   └── AddressBanned         every process of this address waits
│   ├── GeoBlocked                ask the next exchange
│   ├── SymbolNotListed           ask the next exchange
│   ├── SourceSkipped             ask the next exchange; the next run probes it
│   ├── RequestRefused            a person must look: our question was wrong
│   ├── BadPayload                ask again once; then a person must look
│   │   └── FileNotServed         ask the next exchange for these bars
│   └── ContradictoryAnswer       ask again later; nothing is recorded as absent
├── PaginationStalled             a person must look
├── FolderUnusable                mend rights, room or address of the folder it names; the ledger is unchanged
├── LocalStackFailed              look into the log it names
├── OutOfMemory                   give this process more memory
├── Stopped                       run it again to go on
└── CoverageIncomplete            .missing: the run ended with gaps left
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from datetime import datetime, timezone


def _utc(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, tz=timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class BackfillError(Exception):
    """Base of all errors raised on purpose."""


class ConfigurationError(BackfillError):
    """What was asked for cannot be done as written."""


class UniverseInvalid(ConfigurationError):
    """The universe file breaks its rules."""

    def __init__(self, path: str, problems: Sequence[str]) -> None:
        super().__init__(f"{path} is not a valid universe:\n" + "\n".join(f"  {p}" for p in problems))
        self.path = path
        self.problems = tuple(problems)


class SettingsInvalid(ConfigurationError):
    """An unknown or malformed BACKFILL_* variable."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("bad settings:\n" + "\n".join(f"  {p}" for p in problems))
        self.problems = tuple(problems)


class UnknownTimeframe(ConfigurationError):
    """A timeframe outside the table."""

    def __init__(self, timeframe: object, known: Sequence[str]) -> None:
        super().__init__(f"unknown timeframe {timeframe!r}; known are {' '.join(known)}")
        self.timeframe = timeframe


class UnknownSymbol(ConfigurationError):
    """A symbol outside the universe file."""

    def __init__(self, symbol: str, known: Sequence[str], universe_path: str | None = None) -> None:
        shown = ", ".join(list(known)[:8]) + (", ..." if len(known) > 8 else "")
        advice = f"; to keep it, add it to `instruments` of {universe_path}" if universe_path else ""
        super().__init__(f"unknown symbol {symbol!r}: not in the universe ({shown or 'which is empty'}){advice}")
        self.symbol = symbol


class InvalidWindow(ConfigurationError):
    """An empty, reversed or unfinished window."""

    def __init__(self, start_ms: int, end_ms: int, why: str) -> None:
        super().__init__(f"window [{_utc(start_ms)}, {_utc(end_ms)}): {why}")
        self.start_ms = start_ms
        self.end_ms = end_ms


class CorrectionsInvalid(ConfigurationError):
    """A file of corrections breaks its rules."""

    def __init__(self, path: str, problems: Sequence[str]) -> None:
        super().__init__(f"{path} cannot be applied:\n" + "\n".join(f"  {p}" for p in problems))
        self.path = path
        self.problems = tuple(problems)


class CandleFileRefused(ConfigurationError):
    """A file cannot be imported; nothing of it was written."""

    def __init__(self, file: str, why: str) -> None:
        super().__init__(f"{file}: {why}")
        self.file = file
        self.why = why


class DecisionRefused(ConfigurationError):
    """A decision cannot be applied."""

    def __init__(self, decision: str, problems: Sequence[str]) -> None:
        super().__init__(f"cannot {decision}; nothing was changed:\n" + "\n".join(f"  {p}" for p in problems))
        self.problems = tuple(problems)


class DatabaseError(BackfillError):
    """Postgres could not do its part."""


class DatabaseUnreachable(DatabaseError):
    """No answer from Postgres."""


class ConnectionsExhausted(DatabaseUnreachable):
    """Postgres admits no further connection."""


class DatabaseAccessDenied(DatabaseError):
    """Postgres answered and refused us."""


class SchemaMissing(DatabaseError):
    """The database has no `backfill` schema."""


class SchemaTooOld(DatabaseError):
    """The schema lacks migrations that this package has."""


class SchemaTooNew(DatabaseError):
    """The schema has migrations that this package does not know."""


class SeriesBusy(DatabaseError):
    """Another run holds the series."""

    def __init__(self, symbol: str, timeframe: str, waited_s: float, holder: str) -> None:
        super().__init__(
            f"{symbol} {timeframe} is being worked on by another run (waited {waited_s:.0f} s): it is held by {holder}"
        )
        self.symbol = symbol
        self.timeframe = timeframe


class ExchangeError(BackfillError):
    """An exchange did not answer as it should."""

    def __init__(self, exchange: str, message: str) -> None:
        super().__init__(f"{exchange}: {message}")
        self.exchange = exchange


class ExchangeUnreachable(ExchangeError):
    """No answer, or a 5xx."""


class RateLimited(ExchangeError):
    """Too many requests: all processes wait ``retry_after_s``."""

    def __init__(self, exchange: str, message: str, retry_after_s: float) -> None:
        super().__init__(exchange, f"{message} (retry after {retry_after_s:.0f} s)")
        self.retry_after_s = retry_after_s


class AddressBanned(RateLimited):
    """The exchange's firewall banned our address."""


class GeoBlocked(ExchangeError):
    """The exchange does not serve this country."""


class SymbolNotListed(ExchangeError):
    """The exchange does not know the instrument."""

    def __init__(self, exchange: str, symbol: str, message: str = "instrument is not listed") -> None:
        super().__init__(exchange, f"{symbol}: {message}")
        self.symbol = symbol


class SourceSkipped(ExchangeError):
    """The source failed too often and is not asked."""


class RequestRefused(ExchangeError):
    """The exchange calls our request wrong."""


class BadPayload(ExchangeError):
    """Not what the protocol promises: HTML, cut JSON, wrong types."""


class FileNotServed(BadPayload):
    """The archive has no such file."""


class ContradictoryAnswer(ExchangeError):
    """The answer contradicts the source's earlier ones."""


class PaginationStalled(BackfillError):
    """A page is not older than its cursor."""

    def __init__(self, exchange: str, cursor_ms: int, oldest_ms: int) -> None:
        super().__init__(
            f"{exchange}: asked for candles older than {_utc(cursor_ms)}, the oldest was {_utc(oldest_ms)}"
        )
        self.exchange = exchange


class FolderUnusable(BackfillError):
    """A folder of files cannot be read or written; nothing was registered."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"{where}: {why}; nothing more was registered, run it again once that is mended")
        self.where = where


class LocalStackFailed(BackfillError):
    """A process of the local stack cannot be kept up, or refuses requests."""


class OutOfMemory(BackfillError):
    """This process gets no more memory, for an array, a thread or a module."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"memory has run out ({why}): raise the limit of this process (the container's, MemoryMax, ulimit -v), or "
            "lower BACKFILL_PAGES_IN_FLIGHT; what was stored stays stored"
        )
        self.why = why

    @classmethod
    def of(cls, error: BaseException) -> OutOfMemory | None:
        """The error in our words, if it or one that it came from shows that memory has run out."""
        seen: set[int] = set()
        one: BaseException | None = error
        while one is not None and id(one) not in seen:
            if isinstance(one, cls):
                return one
            if _lacks_memory(one):
                return cls(" ".join(str(one).split()) or type(one).__name__)
            seen.add(id(one))
            one = one.__cause__ or one.__context__
        return None


def _lacks_memory(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    if isinstance(error, RuntimeError):
        return "start new thread" in str(error)
    if isinstance(error, ImportError):
        return any(words in str(error) for words in ("annot allocate memory", "failed to map segment"))
    return isinstance(error, MemoryError)


class Stopped(BackfillError):
    """A person or the host ended the run."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"stopped by {reason}: what had arrived is stored, the next run goes on")
        self.reason = reason


class CoverageIncomplete(BackfillError):
    """The run ended with gaps left."""

    def __init__(self, message: str, missing: int) -> None:
        super().__init__(message)
        self.missing = missing
