"""House rules, on a clock that the test turns."""

from __future__ import annotations

from backfill.paper.blofin_protocol import HOUSE_RULES
from backfill.paper.limits import NO_LIMITS, Ban, Doorkeeper, HouseRules, PaperRefusal, RequestWindow

SECOND_MS, MINUTE_MS, HOUR_MS = 1000, 60_000, 3_600_000


def statuses(door, times_ms, address="10.0.0.1"):
    refusals = [door.refusal(address, now_ms) for now_ms in times_ms]
    return [refusal.status if refusal else None for refusal in refusals]


def test_500_requests_in_a_minute_are_served_and_the_501st_is_not():
    door = Doorkeeper(HOUSE_RULES)
    assert set(statuses(door, range(500))) == {None}
    assert statuses(door, [59_999]) == [429]


def test_the_minute_slides():
    door = Doorkeeper(HOUSE_RULES)
    statuses(door, [0] * 250 + [30 * SECOND_MS] * 250)
    assert set(statuses(door, [MINUTE_MS] * 250)) == {None}
    assert statuses(door, [MINUTE_MS + 1]) == [429]


def test_more_than_500_a_minute_suspends_for_five_minutes_however_often_one_asks():
    door = Doorkeeper(HOUSE_RULES)
    statuses(door, [0] * 501)
    until_ms = 5 * MINUTE_MS
    assert set(statuses(door, range(0, until_ms, SECOND_MS))) == {429}
    assert statuses(door, [until_ms]) == [None]


def test_more_than_1500_in_five_minutes_suspends_for_an_hour():
    door = Doorkeeper(HOUSE_RULES)
    steady = [k * 200 - k // 100 for k in range(1500)]  # just above five a second
    assert set(statuses(door, steady)) == {None}
    breach_ms = steady[-1] + 1
    assert statuses(door, [breach_ms]) == [429]
    assert statuses(door, [breach_ms + HOUR_MS - 1]) == [429]
    assert statuses(door, [breach_ms + HOUR_MS]) == [None]


def test_five_a_second_can_go_on_for_ever():
    door = Doorkeeper(HOUSE_RULES)
    assert set(statuses(door, range(0, HOUR_MS, 200))) == {None}


def test_addresses_are_counted_apart():
    door = Doorkeeper(HOUSE_RULES)
    statuses(door, [0] * 501, address="10.0.0.1")
    assert statuses(door, [1], address="10.0.0.1") == [429]
    assert statuses(door, [1], address="10.0.0.2") == [None]


def test_a_firewall_turns_everyone_away_for_its_time():
    door = Doorkeeper(NO_LIMITS)
    door.suspend_everyone(403, until_ms=5 * MINUTE_MS)
    assert statuses(door, [0, 5 * MINUTE_MS - 1, 5 * MINUTE_MS]) == [403, 403, None]


def test_a_reset_lifts_suspensions_and_forgets_what_was_asked():
    door = Doorkeeper(HOUSE_RULES)
    statuses(door, [0] * 501)
    door.suspend_everyone(403, until_ms=HOUR_MS)
    door.reset()
    assert set(statuses(door, [1] * 500)) == {None}


def test_another_exchanges_rules_are_other_numbers():
    door = Doorkeeper(HouseRules((RequestWindow(2, span_ms=5000, suspension_ms=10_000, status=403),)))
    assert statuses(door, [0, 0, 0, 9_999, 10_000]) == [None, None, 403, 403, None]


def test_without_rules_nobody_is_refused():
    assert set(statuses(Doorkeeper(NO_LIMITS), [0] * 5000)) == {None}


def test_a_refusal_says_until_when():
    door = Doorkeeper(HOUSE_RULES)
    statuses(door, [0] * 500)
    assert door.refusal("10.0.0.1", 1000) == PaperRefusal(429, 1000 + 5 * MINUTE_MS)
    assert door.refusal("10.0.0.1", 9000) == PaperRefusal(429, 1000 + 5 * MINUTE_MS)


def test_without_a_suspension_only_what_is_too_much_is_refused_and_does_not_count():
    door = Doorkeeper(HouseRules((RequestWindow(3, span_ms=2000),)))
    assert statuses(door, [0, 500, 1000]) == [None, None, None]
    assert door.refusal("10.0.0.1", 1500) == PaperRefusal(429, 2000)
    assert statuses(door, [1999, 2000, 2499, 2500]) == [429, None, 429, None]


def test_a_request_may_weigh_more_than_one():
    door = Doorkeeper(HouseRules((RequestWindow(10, span_ms=MINUTE_MS),)))
    assert door.refusal("me", 0, weight=2) is None
    assert door.refusal("me", 10, weight=5) is None
    assert door.refusal("me", 20, weight=5) == PaperRefusal(429, MINUTE_MS)
    assert door.refusal("me", 20, weight=9) == PaperRefusal(429, MINUTE_MS + 10)
    assert door.refusal("me", 20, weight=3) is None
    assert [door.used("me", "", 30), door.used("me", "", MINUTE_MS + 10), door.used("you", "", 30)] == [10, 3, 0]


def test_a_window_counts_its_own_paths_only():
    door = Doorkeeper(HouseRules((RequestWindow(1, 1000, path="/a"), RequestWindow(2, 1000, path="/b"))))
    asked = [door.refusal("me", 0, path) for path in ("/a", "/b", "/c", "/b", "/c", "/a", "/b")]
    assert asked == [None] * 5 + [PaperRefusal(429, 1000)] * 2


def test_who_goes_on_asking_is_banned_and_longer_each_time():
    rules = HouseRules((RequestWindow(1, span_ms=MINUTE_MS),), Ban(3, 418, 2 * MINUTE_MS, 5 * MINUTE_MS))
    door = Doorkeeper(rules)
    for begun_ms, ban_ms in ((0, 2 * MINUTE_MS), (HOUR_MS, 4 * MINUTE_MS), (2 * HOUR_MS, 5 * MINUTE_MS)):
        assert statuses(door, range(begun_ms, begun_ms + 5)) == [None, 429, 429, 418, 418]
        assert door.refusal("10.0.0.1", begun_ms + 5) == PaperRefusal(418, begun_ms + 3 + ban_ms)


def test_who_waits_is_not_banned():
    door = Doorkeeper(HouseRules((RequestWindow(1, span_ms=1000),), Ban(3, 418, HOUR_MS, HOUR_MS)))
    assert set(statuses(door, [k * 1000 + ms for k in range(20) for ms in (0, 1, 2)])) == {None, 429}
