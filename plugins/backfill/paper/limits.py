"""Rate limits: how many requests an address may make, and how more are refused."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class RequestWindow:
    """At most ``max_requests``, by weight, in any ``span_ms``; then ``status`` for ``suspension_ms``.

    Without a suspension only the excess is refused and does not count. Only paths that begin with ``path`` count.
    """

    max_requests: int
    span_ms: int
    suspension_ms: int = 0
    status: int = 429
    path: str = ""


@dataclass(frozen=True)
class Ban:
    """After ``refusals`` in a row ``status`` for ``first_ms``, doubling up to ``longest_ms``."""

    refusals: int
    status: int
    first_ms: int
    longest_ms: int


@dataclass(frozen=True)
class HouseRules:
    """All windows hold at once; without any there is no limit."""

    windows: tuple[RequestWindow, ...] = ()
    ban: Ban | None = None


NO_LIMITS = HouseRules()


class PaperRefusal(NamedTuple):
    """A request is refused with ``status`` until ``until_ms``."""

    status: int
    until_ms: int


class _Log:
    """The requests of one address that one window counts, oldest first."""

    def __init__(self, window: RequestWindow) -> None:
        self.window = window
        self.weight = 0
        self._requests: deque[tuple[int, int]] = deque()  # time in ms, weight

    def forget_before(self, now_ms: int) -> None:
        """Drop requests that have left the window by ``now_ms``."""
        while self._requests and now_ms - self._requests[0][0] >= self.window.span_ms:
            self.weight -= self._requests.popleft()[1]

    def has_room(self, weight: int) -> bool:
        """Whether a request of ``weight`` still fits."""
        return self.weight + weight <= self.window.max_requests

    def room_ms(self, weight: int) -> int:
        """When, in epoch ms, a request of ``weight`` will fit."""
        needed = self.weight + weight - self.window.max_requests
        for when_ms, freed in self._requests:
            needed -= freed
            if needed <= 0:
                return when_ms + self.window.span_ms
        return self._requests[-1][0] + self.window.span_ms

    def add(self, now_ms: int, weight: int) -> None:
        """Count a request of ``weight``."""
        self._requests.append((now_ms, weight))
        self.weight += weight


class _Visitor:
    def __init__(self, rules: HouseRules) -> None:
        self.logs = [_Log(window) for window in rules.windows]
        self.suspension = PaperRefusal(0, 0)
        self.refusals_in_a_row = 0
        self.bans = 0


class Doorkeeper:
    """Counts requests by address and decides which are refused.

    Requests during a suspension are refused and not counted. (Whether Blofin counts them is not documented.)
    """

    def __init__(self, rules: HouseRules) -> None:
        self._rules = rules
        self.reset()

    def reset(self) -> None:
        """Forget all requests and lift all suspensions."""
        self._visitors: dict[str, _Visitor] = {}
        self._everyone = PaperRefusal(0, 0)

    def suspend_everyone(self, status: int, until_ms: int) -> None:
        """Answer ``status`` to every address until ``until_ms``."""
        self._everyone = PaperRefusal(status, until_ms)

    def refusal(self, address: str, now_ms: int, path: str = "", weight: int = 1) -> PaperRefusal | None:
        """How this request is refused; None if it is admitted and counted."""
        visitor = self._visitor(address)
        for suspension in (self._everyone, visitor.suspension):
            if now_ms < suspension.until_ms:
                return suspension
        logs = [log for log in visitor.logs if path.startswith(log.window.path)]
        for log in logs:
            log.forget_before(now_ms)
        full = [log for log in logs if not log.has_room(weight)]
        if full:
            return self._turn_away(visitor, full, now_ms, weight)
        for log in logs:
            log.add(now_ms, weight)
        visitor.refusals_in_a_row = 0
        return None

    def used(self, address: str, path: str, now_ms: int) -> int:
        """Weight used of the first window that counts ``path``."""
        for log in self._visitor(address).logs:
            if path.startswith(log.window.path):
                log.forget_before(now_ms)
                return log.weight
        return 0

    def _visitor(self, address: str) -> _Visitor:
        if address not in self._visitors:
            self._visitors[address] = _Visitor(self._rules)
        return self._visitors[address]

    def _turn_away(self, visitor: _Visitor, full: list[_Log], now_ms: int, weight: int) -> PaperRefusal:
        worst = max((log.window for log in full), key=lambda window: window.suspension_ms)
        refusal = PaperRefusal(worst.status, now_ms + worst.suspension_ms)
        if worst.suspension_ms:
            visitor.suspension = refusal
        else:
            refusal = PaperRefusal(worst.status, max(log.room_ms(weight) for log in full))
        visitor.refusals_in_a_row += 1
        ban = self._rules.ban
        if ban is not None and visitor.refusals_in_a_row >= ban.refusals:
            until_ms = now_ms + min(ban.longest_ms, ban.first_ms << visitor.bans)
            visitor.suspension = refusal = PaperRefusal(ban.status, until_ms)
            visitor.refusals_in_a_row, visitor.bans = 0, visitor.bans + 1
        return refusal
