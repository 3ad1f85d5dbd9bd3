"""A process that gets no more memory: one line names it and the cure, and the run's row is finished."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator

import pytest

from backfill.errors import OutOfMemory
from backfill.storage.candle_store import CandleStore
from integration.cli.conftest import Cli
from integration.exchange import PaperBlofin, fill, run_log
from integration.helpers import one, wanted_series

# No address space has room for it.
TOO_LARGE = 1 << 46


@pytest.fixture
def no_room_for_threads() -> Iterator[None]:
    before = threading.stack_size(TOO_LARGE)
    yield
    threading.stack_size(before)


def chained(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "lacks"),
    [
        (MemoryError(), True),
        (MemoryError("Unable to allocate 12.3 MiB for an array"), True),
        (RuntimeError("can't start new thread"), True),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), True),
        (ImportError("_multiarray_umath.so: failed to map segment from shared object"), True),
        (chained(ImportError("Unable to import required dependencies"), MemoryError()), True),
        (RuntimeError("dictionary changed size during iteration"), False),
        (OSError(errno.ENOSPC, "No space left on device"), False),
        (ImportError("No module named pandas"), False),
    ],
)
def test_what_shows_that_memory_has_run_out(error: Exception, lacks: bool) -> None:
    assert (OutOfMemory.of(error) is not None) == lacks


def test_a_command_ends_in_one_line_that_names_the_cure(cli: Cli, no_room_for_threads: None) -> None:
    said = cli("fill")

    assert said.code == 1
    assert said.err.startswith("error: memory has run out (can't start new thread): raise the limit of this process")
    assert "Traceback" not in said.err


def test_an_attempt_that_lacks_memory_finishes_its_row(
    store: CandleStore, exchange: PaperBlofin, no_room_for_threads: None
) -> None:
    with pytest.raises(RuntimeError, match="start new thread"):
        fill(store, exchange, wanted_series(store))

    ((status, error, finished),) = run_log(store, "status, error, finished_at IS NOT NULL")
    assert (status, finished) == ("failed", True)
    assert error.startswith("memory has run out (can't start new thread)")
    assert one(store.connection, "SELECT count(*) FROM candles") == 0
