"""Where segments lie: a local folder, or anything that holds whole files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from backfill.errors import FolderUnusable

PART = ".part"


class SegmentFolder(Protocol):
    """A flat folder. Every method raises :class:`FolderUnusable`."""

    def path(self, name: str) -> str:
        """The file's full path or URL, as in the ledger."""
        ...

    def names(self) -> set[str]:
        """The files there now."""
        ...

    def put(self, name: str, content: bytes) -> None:
        """Write a file whole or not at all."""
        ...

    def read(self, name: str) -> bytes:
        """A file's bytes."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file, if there."""
        ...

    def remove_parts(self, prefix: str) -> None:
        """Remove what killed writers left of files that start with ``prefix``."""
        ...


class LocalFolder:
    """A folder of this machine, made on the first write."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.expanduser().absolute()

    def path(self, name: str) -> str:
        return str(self._folder / name)

    def names(self) -> set[str]:
        with _faults_of(self._folder):
            if not self._folder.exists():
                return set()
            return {entry.name for entry in os.scandir(self._folder) if not entry.name.endswith(PART)}

    def put(self, name: str, content: bytes) -> None:
        """Write beside the file, to the disk, then rename: a reader never sees half of it."""
        part = self._folder / f".{name}{PART}"
        with _faults_of(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            try:
                with part.open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                part.replace(self._folder / name)
            except OSError:
                part.unlink(missing_ok=True)
                raise
            _sync(self._folder)

    def read(self, name: str) -> bytes:
        """A file's bytes."""
        with _faults_of(self._folder / name):
            return (self._folder / name).read_bytes()

    def remove(self, name: str) -> None:
        with _faults_of(self._folder / name):
            (self._folder / name).unlink(missing_ok=True)

    def remove_parts(self, prefix: str) -> None:
        with _faults_of(self._folder):
            if not self._folder.exists():
                return
            for entry in os.scandir(self._folder):
                if entry.name.startswith(f".{prefix}") and entry.name.endswith(PART):
                    Path(entry.path).unlink(missing_ok=True)


def folder_of(path: str) -> tuple[str, str]:
    """A full path or URL as folder and file name."""
    folder, _, name = path.rpartition("/")
    return folder or "/", name


def is_url(where: str) -> bool:
    """Whether it is an address such as s3://bucket/candles."""
    return re.match(r"[a-z][a-z0-9+.-]*://", where) is not None


def _sync(folder: Path) -> None:
    """The rename must reach the disk before the ledger names the file."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _faults_of(where: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FolderUnusable(str(where), error.strerror or str(error)) from error
