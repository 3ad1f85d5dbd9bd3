"""One file of candles on the disk: found, checked against its checksum, read."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from backfill.domain.candle_files import CandleFileName, checksum_in, parse_file_name
from backfill.errors import CandleFileRefused, ConfigurationError

if TYPE_CHECKING:
    from backfill.frames.file_frame import FileRows

# A month of minutes has 5 MB.
MAX_BYTES = 512 * 1024 * 1024
CHECKSUM = ".CHECKSUM"


@dataclass(frozen=True)
class ReadFile:
    """``sha256`` of the file's bytes. ``notes``: what a reader should know of it."""

    path: Path
    name: CandleFileName
    rows: FileRows
    sha256: str
    notes: list[str]


def candle_paths(where: Path) -> Iterator[tuple[Path, CandleFileName | str]]:
    """The files of candles in a folder and below, by name; a text says why one cannot be used."""
    if not where.exists():
        raise ConfigurationError(f"{where}: there is no such folder")
    files = [where] if where.is_file() else sorted(path for path in where.rglob("*") if path.is_file())
    for path in files:
        parsed = parse_file_name(path.name, path.absolute().parts[:-1])
        if parsed is not None:
            yield path, parsed


def read_candle_file(path: Path, name: CandleFileName | str) -> ReadFile:
    """Raises :class:`CandleFileRefused`; a text as ``name`` is why."""
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
    """A `.CHECKSUM` beside it is believed for transport, never for truth."""
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
        if path.suffix == ".gz":
            with gzip.open(path) as file:
                content: bytes = file.read(MAX_BYTES + 1)
        elif path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                members = [one for one in archive.infolist() if one.filename.lower().endswith(".csv")]
                if len(members) != 1:
                    raise CandleFileRefused(str(path), f"it has {len(members)} CSV files instead of one")
                with archive.open(members[0]) as file:
                    content = file.read(MAX_BYTES + 1)
        else:
            content = packed
    except (OSError, EOFError, ValueError, RuntimeError, NotImplementedError, zlib.error, zipfile.BadZipFile) as error:
        raise CandleFileRefused(str(path), f"it cannot be unpacked: {error}") from error
    if len(content) > MAX_BYTES:
        raise CandleFileRefused(str(path), f"it is larger than {MAX_BYTES // 1024**2} MB unpacked")
    return content
