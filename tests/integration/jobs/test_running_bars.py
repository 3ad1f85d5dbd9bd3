"""A bar that the exchange gives but does not call closed is neither stored nor absent."""

from __future__ import annotations

import json
from email.utils import formatdate

import pytest

from backfill.exchanges.blofin_client import BlofinClient
from backfill.jobs.fill.fill_gaps import fill_gaps
from backfill.sources.blofin_source import BlofinSource
from backfill.storage.candle_store import CandleStore
from backfill.storage.gap_fill_log import RunIdentity
from integration.helpers import MINUTE_MS, NOON_MS, one, stored_ms, wanted_series
from unit.exchanges.canned_answers import Answer, CannedAnswers, session_with

BARS = [NOON_MS - k * MINUTE_MS for k in (1, 2, 3, 4, 5)]


def page(confirm_of_newest: str, server_ms: int) -> Answer:
    confirms = [confirm_of_newest, "1", "1", "1", "1"]
    rows = [[str(ms), "1", "2", "0.5", "1.5", "10", "1", "1.5", told] for ms, told in zip(BARS, confirms, strict=True)]
    body = json.dumps({"code": "0", "msg": "success", "data": rows}).encode()
    return Answer(body, headers={"Date": formatdate(server_ms / 1000, usegmt=True)})


@pytest.mark.parametrize(
    ("confirm", "server_ms"),
    [
        ("0", NOON_MS + 1_000),
        ("1", NOON_MS - 1_000),  # its clock is behind ours, by which the bar is over
        ("0", NOON_MS + 20 * MINUTE_MS),
    ],
)
def test_it_stays_a_gap_until_it_is_closed(store: CandleStore, confirm: str, server_ms: int) -> None:
    window = wanted_series(store, history_ms=5 * MINUTE_MS)
    answers = CannedAnswers(page(confirm, server_ms), page("1", NOON_MS + MINUTE_MS))
    source = BlofinSource(BlofinClient(session_with(answers)))
    who = RunIdentity("test", "run", "fill")

    first = fill_gaps(store, [source], window, who)

    assert stored_ms(store.connection, window) == sorted(BARS[1:])
    assert (first.status, first.missing_after, first.absent_found) == ("partial", 1, 0)
    assert one(store.connection, "SELECT count(*) FROM backfill.absences") == 0

    second = fill_gaps(store, [source], window, who)

    assert (second.status, second.rows_inserted, second.missing_after) == ("complete", 1, 0)
    assert stored_ms(store.connection, window) == sorted(BARS)
