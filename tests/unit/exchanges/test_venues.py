"""The table of venues, held against ccxt and against itself."""

from __future__ import annotations

import ccxt
import pytest

from backfill.config.source_names import SOURCES, SPOT_ONLY_SOURCES
from backfill.domain.timeframes import DAY_MS, HOUR_MS, MINUTE_MS, TIMEFRAMES
from backfill.domain.venues import VENUES, venue
from backfill.errors import ConfigurationError
from backfill.storage.rate_budget import SPARE_PERCENT, default_margin_ms

NOW_MS = 1_763_601_425_500


# What the venues permit: (most, seconds, what a page of ours counts for).
LEGAL = {
    "blofin": (1500, 300, 1),
    "okx": (20, 2, 1),
    "bybit": (600, 5, 1),
    "binanceusdm": (2400, 60, 5),
    "bitget": (3000, 300, 1),
    "gate": (200, 10, 1),
    "kucoinfutures": (2000, 30, 3),
    "hyperliquid": (1200, 60, 100),
    "mexc": (20, 2, 1),
    "binance": (6000, 60, 2),
}


def test_every_source_that_a_universe_may_name_is_in_the_table_and_no_other():
    assert set(VENUES) == set(SOURCES)
    assert {name for name, known in VENUES.items() if not known.perpetuals} == set(SPOT_ONLY_SOURCES)


BEHIND_CCXT = {name: known for name, known in VENUES.items() if known.client == "ccxt"}


@pytest.mark.parametrize("known", BEHIND_CCXT.values(), ids=BEHIND_CCXT)
def test_a_venue_says_nothing_that_ccxt_or_our_grid_knows_better(known):
    exchange = getattr(ccxt, known.ccxt_id)
    assert known.ccxt_id in ccxt.exchanges
    assert known.timeframes is not None
    assert set(known.timeframes) <= set(TIMEFRAMES) & set(exchange().timeframes)
    assert known.perpetuals or known.spot


@pytest.mark.parametrize("known", VENUES.values(), ids=VENUES)
def test_a_page_of_ours_is_one_that_the_venue_gives_at_once(known):
    """By ccxt's clamps, and by what was seen live; one row is kept for the bar before an exclusive `since`."""
    most = {"okx": 300, "bitget": 200, "gate": 1999, "kucoinfutures": 200, "hyperliquid": 4800, "mexc": 2000}
    most |= {"kraken": 720, "coinbase": 300, "blofin": 1440, "binance_vision": 31 * 1440}  # a file
    early = 0 if known.since_inclusive else 1
    assert max(known.rows(name) for name in known.timeframes) + early == most.get(known.source, 1000)


@pytest.mark.parametrize("name", ["4h", "6h", "12h", "1d"])
def test_a_page_of_bitgets_long_bars_spans_ninety_days_at_most(name):
    assert (VENUES["bitget"].rows(name) + 1) * TIMEFRAMES[name].step_ms <= 90 * DAY_MS


@pytest.mark.parametrize("source", LEGAL)
def test_what_a_venue_permits_is_used_and_not_exceeded(source):
    """While there is work; the reserved rate is the slowest of the limits' and the spacing's."""
    known, (most, legal_period_s, page) = VENUES[source], LEGAL[source]
    paces = [
        (limit - limit * SPARE_PERCENT // 100) / (period_s + default_margin_ms(1000 * period_s) / 1000)
        for limit, period_s in known.limits_per_period_s
    ]
    paces += [1000 / known.spacing_ms] if known.spacing_ms else []
    assert 0.9 <= round(min(paces) * page / (most / legal_period_s), 6) < 1
    in_a_burst = legal_period_s * 1000 / known.spacing_ms if known.spacing_ms else 0
    assert min(in_a_burst, known.limits_per_period_s[0][0]) * page <= most


@pytest.mark.parametrize("known", VENUES.values(), ids=VENUES)
def test_manners_leave_room_for_an_hour_without_a_ban(known):
    for requests, period_s in known.limits_per_period_s:
        assert requests >= 1
        # Else the limit would never be used.
        assert known.spacing_ms * requests <= period_s * 1000 + default_margin_ms(1000 * period_s)
    assert known.rules.ban_s >= 300
    assert known.rules.longest_s >= known.rules.ban_s >= known.rules.rate_limit_s


def test_codes_of_one_venue_mean_one_thing_each():
    for known in VENUES.values():
        assert not known.rate_codes & known.outage_codes
        assert not known.geo_codes & (known.rate_codes | known.outage_codes)


def test_the_venues_facts_are_as_recorded():
    assert [name for name, known in VENUES.items() if known.volume == "contracts"] == ["gate", "kucoinfutures", "mexc"]
    assert [name for name, known in VENUES.items() if not known.since_inclusive] == ["bitget", "kucoinfutures"]
    assert {name: known.reach_bars for name, known in VENUES.items() if known.reach_bars} == {
        "gate": 10_000,
        "hyperliquid": 5000,
        "kraken": 720,
    }
    assert [name for name, known in VENUES.items() if known.fills_no_trade is False] == ["kucoinfutures", "coinbase"]
    assert [name for name, known in VENUES.items() if known.k_is_thousand] == ["hyperliquid"]
    assert VENUES["okx"].rules.forbidden == "geo"
    assert VENUES["bybit"].rules.ban_s == 600


@pytest.mark.parametrize(("source", "step_ms", "bars"), [("kraken", MINUTE_MS, 710), ("gate", HOUR_MS, 9990)])
def test_what_lies_beyond_a_venues_reach_is_not_worth_asking_for(source, step_ms, bars):
    oldest_ms = VENUES[source].oldest_open_ms(step_ms, NOW_MS)
    assert oldest_ms % step_ms == 0
    assert NOW_MS - (bars + 1) * step_ms < oldest_ms <= NOW_MS - bars * step_ms


def test_a_venue_that_goes_back_to_the_listing_has_no_bound():
    assert VENUES["binanceusdm"].oldest_open_ms(MINUTE_MS, NOW_MS) is None


@pytest.mark.parametrize(
    ("source", "timeframe", "served"),
    [
        ("okx", "1d", True),  # ccxt asks for 1Dutc
        ("okx", "8h", False),
        ("gate", "1w", False),  # 7d is counted from a Thursday
        ("mexc", "1d", False),
        ("kraken", "1w", False),
        ("binanceusdm", "1w", True),
    ],
)
def test_only_bars_on_our_grid_are_asked_for(source, timeframe, served):
    assert VENUES[source].serves(timeframe) is served


def test_an_exchange_that_only_ccxt_knows_gets_careful_defaults():
    stranger = venue("bitfinex")
    assert (stranger.source, stranger.ccxt_id, stranger.rows_per_page) == ("bitfinex", "bitfinex", 100)
    assert (stranger.limits_per_period_s, stranger.spacing_ms) == (((60, 60),), 1000)
    assert stranger.fills_no_trade is None
    assert not stranger.bounded
    assert [name for name in TIMEFRAMES if not stranger.serves(name)] == ["6h", "12h", "1d", "1w"]


def test_a_venue_that_nobody_knows_is_an_error_that_names_it():
    with pytest.raises(ConfigurationError, match="'mtgox'"):
        venue("mtgox")
