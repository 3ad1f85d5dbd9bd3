"""What can be wrong with one page of candles, in every exchange's wire format."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backfill.domain.timeframes import DAY_MS, HOUR_MS, MINUTE_MS
from backfill.errors import ConfigurationError, UnknownSymbol
from backfill.paper.given_market import GivenMarket
from backfill.paper.page_faults import GARBLED, MOVES, PAGES, PageDamage, sound_page
from faulty_pages import VENUES, bars_from, faulty_page, mixes, question, symbol_at, true_page

FIRST_MS = 1_763_596_800_000  # 2025-11-20T00:00Z
COUNT, LIMIT = 400, 100
OPENS_MS = [FIRST_MS + k * MINUTE_MS for k in range(COUNT)]
NOW_MS = OPENS_MS[-1] + MINUTE_MS
BARS = bars_from(OPENS_MS)
CURSOR_MS = OPENS_MS[300]
SEED = 7

venues = pytest.mark.parametrize("venue", VENUES)
with_cursor = pytest.mark.parametrize("venue", [venue for venue in VENUES if venue != "kraken"])


def asked(venue, **differently):
    return question(venue, BARS, **{"cursor_ms": CURSOR_MS, "limit": LIMIT, **differently})


def damaged(venue, name, seed=SEED, **how):
    return faulty_page(asked(venue), [PageDamage(name, **how)], seed)


def sent(venue, answer):
    """The rows that a client reads, in the order they come, open times in ms."""
    body = json.loads(answer.body)
    if isinstance(body, dict):
        body = body.get("data", body.get("result"))
    if isinstance(body, dict):
        body = next(value for value in body.values() if isinstance(value, list))
    unit_ms = 1000 if venue == "kraken" else 1
    return [(int(row[0]) * unit_ms, *row[1:]) for row in body]


def oldest_first(venue, page):
    rows = sent(venue, page.answer())
    return rows if venue in ("binance", "kraken") else rows[::-1]


def true_rows(venue):
    return oldest_first(venue, true_page(asked(venue)))


def opens(rows):
    return [row[0] for row in rows]


def bars_of(rows):
    """Rows by what they hold beside their times."""
    return [tuple(row[1:6]) for row in rows]


@venues
def test_a_page_without_a_fault_is_the_exchanges_own(venue):
    page = faulty_page(asked(venue), [], SEED)
    assert page.answer() == asked(venue).protocol.answer(
        page.question.market, "GET", page.question.path, page.question.query, NOW_MS
    )
    assert page.left_out == set()
    assert list(page.true_opens_ms) == (OPENS_MS if venue == "kraken" else OPENS_MS[200:300])


@venues
@pytest.mark.parametrize(
    ("by", "by_ms"),
    [
        ("+1h", HOUR_MS),
        ("-1h", -HOUR_MS),
        ("+400d", 400 * DAY_MS),
        ("-400d", -400 * DAY_MS),
        ("-17s", -17_000),
        ("+77s", 77_000),
        ("-1ms", -1),
        ("+1page", None),
        ("-1page", None),
    ],
)
def test_one_rows_time_is_moved_and_nothing_else(venue, by, by_ms):
    true = true_rows(venue)
    if by_ms is None:
        by_ms = int(f"{by[0]}1") * len(true) * MINUTE_MS
    if venue == "kraken" and by == "-1ms":
        by_ms = -1000  # its times are whole seconds
    page = damaged(venue, "moved", by=by)
    rows = oldest_first(venue, page)
    assert bars_of(rows) == bars_of(true)
    moved = [(new - old, old) for new, old in zip(opens(rows), opens(true), strict=True) if new != old]
    assert [by for by, _ in moved] == [by_ms]
    assert page.left_out == {moved[0][1]}


def test_a_moved_bar_of_binance_ends_when_a_bar_that_opens_then_ends():
    rows = oldest_first("binance", damaged("binance", "moved", by="-1h", share=1))
    assert all(row[6] - row[0] == MINUTE_MS - 1 for row in rows)


@venues
def test_rows_can_be_moved_into_the_future(venue):
    rows = oldest_first(venue, damaged(venue, "moved", by="future", rows=3))
    assert [open_ms for open_ms in opens(rows) if open_ms >= NOW_MS] == [NOW_MS + k * MINUTE_MS for k in (1, 2, 3)]


@venues
def test_a_row_can_take_its_neighbours_time(venue):
    true, rows = true_rows(venue), oldest_first(venue, damaged(venue, "neighbours_time"))
    assert len(set(opens(rows))) == len(true) - 1
    assert bars_of(rows) == bars_of(true)
    assert {abs(new - old) for new, old in zip(opens(rows), opens(true), strict=True)} == {0, MINUTE_MS}


@venues
def test_two_rows_can_swap_their_times(venue):
    true, rows = true_rows(venue), oldest_first(venue, damaged(venue, "times_swapped"))
    assert bars_of(rows) == bars_of(true)
    places = [k for k, (new, old) in enumerate(zip(opens(rows), opens(true), strict=True)) if new != old]
    one, other = places
    assert (rows[one][0], rows[other][0]) == (true[other][0], true[one][0])


@venues
def test_a_block_can_be_shifted_onto_other_bars_times(venue):
    at = opens(true_rows(venue))[50:60]
    page = damaged(venue, "block_shifted", by="-20bar", opens_ms=tuple(at))
    rows = oldest_first(venue, page)
    assert len(rows) == len(set(opens(rows))) == len(page.true_opens_ms) - 10
    wrong = {row.true_ms: row.open_ms for row in page.rows if not row.is_true}
    assert wrong == {open_ms: open_ms - 20 * MINUTE_MS for open_ms in at}
    assert page.left_out == {*wrong, *wrong.values()}
    by_time = dict(zip(opens(true_rows(venue)), bars_of(true_rows(venue)), strict=True))
    sent_by_time = dict(zip(opens(rows), bars_of(rows), strict=True))
    assert all(sent_by_time[said] == by_time[true] for true, said in wrong.items())


@venues
def test_rows_can_be_left_out(venue):
    true, page = true_rows(venue), damaged(venue, "left_out")
    rows = oldest_first(venue, page)
    assert len(rows) == len(true) - len(true) // 20
    assert set(rows) < set(true)
    assert page.left_out == set(opens(true)) - set(opens(rows))
    assert len(oldest_first(venue, damaged(venue, "left_out", share=0.0))) == len(true)
    at = (true[3][0], true[9][0])
    assert damaged(venue, "left_out", opens_ms=at).left_out == set(at)


@venues
def test_rows_can_be_there_twice(venue):
    true, rows = true_rows(venue), oldest_first(venue, damaged(venue, "duplicated", rows=4))
    assert len(rows) == len(true) + 4
    assert list(dict.fromkeys(rows)) == true


@venues
@pytest.mark.parametrize(
    ("value", "is_wrong"),
    [
        ("text", lambda cell: cell == "n/a"),
        ("nan", lambda cell: cell == "NaN"),
        ("empty", lambda cell: cell == ""),
        ("null", lambda cell: cell is None),
        ("negative", lambda cell: float(cell) < 0),
    ],
)
def test_a_number_can_be_garbled(venue, value, is_wrong):
    true, page = true_rows(venue), damaged(venue, "garbled", value=value, rows=5)
    rows = oldest_first(venue, page)
    assert opens(rows) == opens(true)
    wrong = [(new, old) for new, old in zip(rows, true, strict=True) if new != old]
    assert len(wrong) == 5
    for new, old in wrong:
        changed = [k for k, (cell, was) in enumerate(zip(new, old, strict=True)) if cell != was]
        assert len(changed) == 1
        assert is_wrong(new[changed[0]])
    assert page.left_out == {new[0] for new, _ in wrong}


@venues
def test_rows_can_come_out_of_order(venue):
    true, page = true_rows(venue), damaged(venue, "reordered")
    rows = oldest_first(venue, page)
    assert rows != true
    assert sorted(rows) == sorted(true)
    assert page.left_out == set()


@venues
def test_a_page_can_be_cut_at_either_end(venue):
    true = true_rows(venue)
    assert oldest_first(venue, damaged(venue, "short_page", rows=30)) == true[-30:]
    assert oldest_first(venue, damaged(venue, "short_page", rows=30, keep="oldest")) == true[:30]
    assert oldest_first(venue, damaged(venue, "short_page")) == true[-round(0.3 * len(true)) :]


@venues
def test_a_page_can_be_empty_although_there_are_bars(venue):
    page = damaged(venue, "empty_page")
    assert oldest_first(venue, page) == []
    assert page.answer().status == 200
    assert page.left_out == set(page.true_opens_ms)


@venues
def test_a_late_replica_has_not_got_the_newest_bars(venue):
    newest = asked(venue, cursor_ms=None)
    rows = oldest_first(venue, faulty_page(newest, [PageDamage("lagging", rows=50)], SEED))
    assert opens(rows) == (OPENS_MS[:-50] if venue == "kraken" else OPENS_MS[-150:-50])
    if venue != "kraken":  # an older page has nothing to do with it
        assert oldest_first(venue, damaged(venue, "lagging", rows=50)) == true_rows(venue)


@with_cursor
def test_a_page_can_be_that_of_another_cursor(venue):
    assert opens(oldest_first(venue, damaged(venue, "wrong_cursor"))) == OPENS_MS[100:200]
    assert opens(oldest_first(venue, damaged(venue, "wrong_cursor", by="+1page"))) == OPENS_MS[300:400]
    assert opens(oldest_first(venue, damaged(venue, "wrong_cursor", by="-7bar"))) == OPENS_MS[193:293]
    page = damaged(venue, "wrong_cursor")
    assert all(row.is_true for row in page.rows)
    assert page.left_out == set(page.true_opens_ms)


def test_kraken_has_no_cursor_to_be_wrong():
    assert oldest_first("kraken", damaged("kraken", "wrong_cursor")) == true_rows("kraken")


@venues
def test_a_page_can_be_that_of_another_instrument_or_timeframe(venue):
    symbol = symbol_at(venue)
    other = symbol.replace("BTC", "ETH")
    others = BARS.copy()
    others["close"] += 1
    longer = bars_from(OPENS_MS[::3])
    market = GivenMarket({(symbol, "1m"): BARS, (other, "1m"): others, (symbol, "3m"): longer})
    on_market = asked(venue, market=market)
    true = oldest_first(venue, true_page(on_market))
    page = faulty_page(on_market, [PageDamage("other_instrument")], SEED)
    rows = oldest_first(venue, page)
    assert opens(rows) == opens(true)
    assert all(new != old for new, old in zip(bars_of(rows), bars_of(true), strict=True))
    assert page.left_out == set(opens(true))
    assert rows == oldest_first(venue, faulty_page(on_market, [PageDamage("other_instrument", other=other)], SEED))
    page = faulty_page(on_market, [PageDamage("other_timeframe")], SEED)
    assert page.left_out == set(opens(true))
    if venue != "kraken":  # it fills what is not there
        assert opens(oldest_first(venue, page)) == OPENS_MS[:300:3]


@venues
def test_the_same_seed_damages_the_same_rows_and_another_seed_others(venue):
    pages = [damaged(venue, "left_out", seed=seed).left_out for seed in (1, 1, 2)]
    assert pages[0] == pages[1] != pages[2]


@venues
def test_faults_come_one_after_another(venue):
    mix = [PageDamage("short_page", rows=20), PageDamage("moved", by="-400d"), PageDamage("duplicated")]
    rows = oldest_first(venue, faulty_page(asked(venue), mix, SEED))
    assert len(rows) == 21
    assert sum(open_ms < FIRST_MS for open_ms in opens(rows)) in (1, 2)


@pytest.mark.parametrize("venue", ["blofin", "bybit"])
def test_a_bar_that_still_runs_is_left_alone(venue):
    from backfill.paper.synthetic_market import SyntheticMarket

    running = asked(venue, cursor_ms=None, market=SyntheticMarket(), now_ms=NOW_MS + 20_000, limit=3)
    page = faulty_page(running, [PageDamage("moved", by="-1h", share=1)], SEED)
    assert [row.is_true for row in page.rows] == [False, False, True]


@given(
    venue=st.sampled_from(VENUES),
    mix=mixes(),
    seed=st.integers(0, 2**32),
    held=st.sets(st.integers(0, 59), min_size=1),
    limit=st.integers(1, 40),
)
@settings(max_examples=150, deadline=None)
def test_whatever_is_damaged_what_was_done_is_known(venue, mix, seed, held, limit):
    bars = bars_from([OPENS_MS[k] for k in sorted(held)])
    asked = question(venue, bars, limit=limit)
    page, again = faulty_page(asked, mix, seed), faulty_page(asked, mix, seed)
    answer = page.answer()
    assert answer == again.answer()
    rows = oldest_first(venue, page)
    assert opens(rows) == [row.open_ms for row in page.rows]
    market = GivenMarket({(symbol_at(venue), "1m"): bars})
    everything = sound_page(question(venue, bars, limit=1000, market=market))
    for row in page.rows:
        # What is called true is what the market has, and nothing else is; Kraken's made-up flat bars are alike.
        is_the_bar = everything.true_rows.get(row.open_ms) == row.cells
        assert row.is_true <= is_the_bar
        if not row.is_garbled and row.true_ms is not None and not row.is_true and venue != "kraken":
            assert not is_the_bar
    assert page.left_out <= set(page.true_opens_ms)
    if not mix:
        assert answer == page.true


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"name": "gremlins"}, "known are moved"),
        ({"name": "moved", "by": "a bit"}, "as in -400d"),
        ({"name": "short_page", "keep": "middle"}, "newest or oldest"),
        ({"name": "garbled", "value": "emoji"}, ", ".join(GARBLED)),
        ({"name": "left_out", "share": 5}, "between 0 and 1"),
        ({"name": "left_out", "rows": -1}, "number of rows"),
        ({"name": "block_shifted", "by": "future"}, "as in -400d"),
        ({"name": "other_timeframe", "other": "7m"}, "7m"),
    ],
)
def test_a_damage_that_cannot_be_is_refused_with_a_reason(wrong, complaint):
    with pytest.raises(ConfigurationError, match=complaint):
        PageDamage(**wrong)


def test_every_fault_and_every_move_is_named():
    assert len(set(PAGES)) == len(PAGES) == 14
    assert all(PageDamage("moved", by=by).by == by for by in MOVES)


def test_an_error_is_no_page():
    asked = question("blofin", BARS)
    assert sound_page(asked._replace(query={"instId": "NO-USDT"})) is None
    assert sound_page(asked._replace(path="/api/v1/market/instruments", query={})) is None


@venues
def test_an_instrument_that_is_not_there_cannot_be_mistaken_for_another(venue):
    with pytest.raises(UnknownSymbol, match="NO-USDT"):
        damaged(venue, "other_instrument", other="NO-USDT")
