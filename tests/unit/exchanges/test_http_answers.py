"""An answer is read to its end, in time and in bounds, whatever it is packed in."""

from __future__ import annotations

import gzip
import io
import random
import time

import pytest
import requests
import urllib3

from backfill.errors import BadPayload
from backfill.exchanges.http_answers import MOST_LEVELS, json_of, read_until
from unit.exchanges.canned_answers import Answer, CannedAnswers, session_with

TEXT = b'{"code":"0"}' * 1000
MEGABYTE = 1_000_000


def read(answer: Answer, max_bytes: int = MEGABYTE, timeout_s: float = 10) -> bytes:
    with session_with(CannedAnswers(answer)).get("http://exchange.example/", stream=True) as response:
        return read_until(response, time.monotonic() + timeout_s, max_bytes)


class Drops(io.BytesIO):
    """Gives a byte at a time, and takes its time."""

    def read1(self, size: int | None = -1) -> bytes:
        time.sleep(0.002)
        return super().read1(1 if size else 0)


def test_an_answer_is_unpacked():
    assert read(Answer(gzip.compress(TEXT), headers={"Content-Encoding": "gzip"})) == TEXT
    assert read(Answer(TEXT)) == TEXT


def test_a_drip_is_cut_off_though_its_packing_gives_nothing_to_read_yet():
    """urllib3's own decoder would wait for the first block to be whole."""
    packed = gzip.compress(random.Random(7).randbytes(50_000))
    began = time.monotonic()
    with pytest.raises(requests.Timeout, match="not complete"):
        read(Answer(Drops(packed), headers={"Content-Encoding": "gzip"}), timeout_s=0.1)
    assert time.monotonic() - began < 2


def test_a_small_packet_that_unpacks_to_a_flood_is_cut_off():
    bomb = gzip.compress(bytes(50 * MEGABYTE))
    assert len(bomb) < MEGABYTE
    with pytest.raises(requests.Timeout, match="not complete"):
        read(Answer(bomb, headers={"Content-Encoding": "gzip"}))


def test_an_answer_as_long_as_the_bound_is_whole():
    assert len(read(Answer(bytes(MEGABYTE)))) == MEGABYTE


def test_what_is_not_packed_as_it_says_is_an_error():
    with pytest.raises(urllib3.exceptions.DecodeError):
        read(Answer(TEXT, headers={"Content-Encoding": "gzip"}))


@pytest.mark.parametrize(("opened", "closed"), [(b"[", b"]"), (b'[1,{"a":', b"}]")])
def test_json_that_python_could_read_but_not_write_again_is_no_answer(opened, closed):
    """A row of nine hundred levels was read by a thread, and ended the task that was to put it into the quarantine."""
    levels = MOST_LEVELS // len(closed)
    assert json_of("okx", opened * levels + b"1" + closed * levels, "/path")
    with pytest.raises(BadPayload, match="nested deeper than 32 levels"):
        json_of("okx", opened * (levels + 1) + b"1" + closed * (levels + 1), "/path")
