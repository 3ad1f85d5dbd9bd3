"""The CSV in a zip or gzip file, no larger than is sensible."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib

# A month of minutes has 5 MB.
MAX_BYTES = 512 * 1024 * 1024


def unpacked(name: str, packed: bytes) -> bytes:
    """The text of a ``.zip`` or ``.gz``, else the bytes as they are. Raises :class:`ValueError` with the reason."""
    try:
        content = _read(name, packed)
    except (OSError, EOFError, RuntimeError, NotImplementedError, zlib.error, zipfile.BadZipFile) as error:
        raise ValueError(f"it cannot be unpacked: {error}") from error
    if len(content) > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES // 1024**2} MB unpacked")
    return content


def _read(name: str, packed: bytes) -> bytes:
    if name.endswith(".gz"):
        with gzip.open(io.BytesIO(packed)) as file:
            content: bytes = file.read(MAX_BYTES + 1)
            return content
    if not name.endswith(".zip"):
        return packed
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        members = [one for one in archive.infolist() if one.filename.lower().endswith(".csv")]
        if len(members) != 1:
            raise ValueError(f"it has {len(members)} CSV files instead of one")
        with archive.open(members[0]) as member:
            return member.read(MAX_BYTES + 1)
