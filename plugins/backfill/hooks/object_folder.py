"""A folder of segments in any object storage that Airflow knows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import ObjectStoragePath

from backfill.errors import FolderUnusable
from backfill.jobs.files.folder import LocalFolder, SegmentFolder, is_url

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath as StoragePath


def folder_at(where: str) -> SegmentFolder:
    """A folder of this machine, or the one at a URL."""
    return object_folder(where) if is_url(where) else LocalFolder(Path(where))


def object_folder(where: str) -> SegmentFolder:
    """The folder at a URL such as ``s3://aws_default@bucket/candles``; ``file://`` is local."""
    with _faults_of(where):
        path = ObjectStoragePath(where)
    if path.protocol == "file":
        return LocalFolder(Path(path.path))
    return ObjectFolder(path, where)


class ObjectFolder:
    """An object appears whole when its upload ends: no temporary name is needed."""

    def __init__(self, folder: StoragePath, where: str) -> None:
        self._folder = folder
        self._where = where.rstrip("/")

    def path(self, name: str) -> str:
        """The URL of a file."""
        return f"{self._where}/{name}"

    def names(self) -> set[str]:
        with _faults_of(self._where):
            return {entry.name for entry in self._folder.iterdir()} if self._folder.exists() else set()

    def put(self, name: str, content: bytes) -> None:
        with _faults_of(self._where):
            (self._folder / name).write_bytes(content)

    def read(self, name: str) -> bytes:
        """A file's bytes."""
        with _faults_of(self._where):
            content: bytes = (self._folder / name).read_bytes()
            return content

    def remove(self, name: str) -> None:
        with _faults_of(self._where):
            if (self._folder / name).exists():
                (self._folder / name).unlink()

    def remove_parts(self, prefix: str) -> None:
        """There are none."""


@contextmanager
def _faults_of(where: str) -> Iterator[None]:
    try:
        yield
    except FolderUnusable:
        raise
    except Exception as error:  # each storage has errors of its own
        why = " ".join(str(error).split()) or type(error).__name__
        raise FolderUnusable(where, why) from error
