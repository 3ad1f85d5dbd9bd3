"""One file of candles on the disk: found, verified by its checksum, read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from backfill.domain.candle_files import CandleFileName, checksum_in, parse_file_name
from backfill.errors import CandleFileRefused, ConfigurationError
from backfill.exchanges.packed_csv import unpacked

if TYPE_CHECKING:
    from backfill.frames.file_frame import FileRows

CHECKSUM = ".CHECKSUM"


@dataclass(frozen=True)
class ReadFile:
    """``sha256``: of the file's bytes. ``notes``: for its reader."""

    path: Path
    name: CandleFileName
    rows: FileRows
    sha256: str
    notes: list[str]


def candle_paths(where: Path) -> Iterator[tuple[Path, CandleFileName | str]]:
    """The files of candles in a folder and below, by name, or why one cannot be used."""
    if not where.exists():
        raise ConfigurationError(f"{where}: there is no such folder")
    files = [where] if where.is_file() else sorted(path for path in where.rglob("*") if path.is_file())
    for path in files:
        parsed = parse_file_name(path.name, path.absolute().parts[:-1])
        if parsed is not None:
            yield path, parsed


def read_candle_file(path: Path, name: CandleFileName | str) -> ReadFile:
    """Raises :class:`CandleFileRefused`, also if ``name`` is the reason for it."""
    if isinstance(name, str):
        raise CandleFileRefused(str(path), name)
    from backfill.frames.file_frame import read_parquet, read_rows
    from backfill.frames.segment_frame import sha256

    try:
        packed = path.read_bytes()
    except OSError as error:
        raise CandleFileRefused(str(path), error.strerror or str(error)) from error
    notes = _check(path, digest := sha256(packed))
    read = read_parquet if path.suffix == ".parquet" else read_rows
    return ReadFile(path, name, read(str(path), _unpacked(path, packed)), digest, notes)


def _check(path: Path, digest: str) -> list[str]:
    """A `.CHECKSUM` beside it proves transport, never truth."""
    beside = path.with_name(path.name + CHECKSUM)
    if not beside.exists():
        return ["it has no .CHECKSUM"] if path.suffix == ".zip" else []
    try:
        expected = checksum_in(beside.read_text(encoding="utf-8"), path.name)
    except (OSError, ValueError):
        expected = None
    if expected is None:
        raise CandleFileRefused(str(path), f"{beside.name} gives no SHA-256 of it; fetch both again")
    if expected != digest:
        raise CandleFileRefused(str(path), f"its SHA-256 is not that of {beside.name}; fetch both again")
    return []


def _unpacked(path: Path, packed: bytes) -> bytes:
    try:
        return unpacked(path.name, packed)
    except ValueError as error:
        raise CandleFileRefused(str(path), str(error)) from error
