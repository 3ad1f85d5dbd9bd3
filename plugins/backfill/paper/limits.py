"""House rules: how many requests one address may make, and what happens past that."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass


@dataclass(frozen=True)
class RequestWindow:
    """At most ``max_requests`` in any ``span_ms``; the next one gets ``status`` and so does all that follows
    within ``suspension_ms``.
    """

    max_requests: int
    span_ms: int
    suspension_ms: int
    status: int = 429


@dataclass(frozen=True)
class HouseRules:
    """All of these windows hold at once; none of them: no limit."""

    windows: tuple[RequestWindow, ...] = ()


NO_LIMITS = HouseRules()


@dataclass
class _Suspension:
    status: int
    until_ms: int


class Doorkeeper:
    """Counts requests by address and says who is refused.

    A suspension runs its time: what is asked during it is refused but neither counted nor held against the
    address. (Whether Blofin counts such requests is not documented.)
    """

    def __init__(self, rules: HouseRules) -> None:
        self._rules = rules
        self.reset()

    def reset(self) -> None:
        """Forget all requests and lift all suspensions."""
        # A window is overrun when the request `max_requests` before this one is younger than its span.
        self._recent: dict[str, list[deque[int]]] = defaultdict(
            lambda: [deque(maxlen=window.max_requests + 1) for window in self._rules.windows]
        )
        self._suspended: dict[str, _Suspension] = {}
        self._everyone: _Suspension | None = None

    def suspend_everyone(self, status: int, until_ms: int) -> None:
        """Answer ``status`` to every address until then, whatever it did."""
        self._everyone = _Suspension(status, until_ms)

    def refusal(self, address: str, now_ms: int) -> int | None:
        """The HTTP status with which this request is turned away, or None: come in."""
        for suspension in (self._everyone, self._suspended.get(address)):
            if suspension is not None and now_ms < suspension.until_ms:
                return suspension.status
        overrun = self._count(address, now_ms)
        if overrun is None:
            return None
        self._suspended[address] = _Suspension(overrun.status, now_ms + overrun.suspension_ms)
        return overrun.status

    def _count(self, address: str, now_ms: int) -> RequestWindow | None:
        overrun = None
        for window, recent in zip(self._rules.windows, self._recent[address], strict=True):
            recent.append(now_ms)
            full = len(recent) > window.max_requests
            if full and now_ms - recent[0] < window.span_ms:
                overrun = max(window, overrun or window, key=lambda w: w.suspension_ms)
        return overrun
