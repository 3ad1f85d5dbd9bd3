"""One source against its paper exchange."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import requests

from backfill.errors import RateLimited
from backfill.exchanges.source_contract import SourceAccess
from backfill.paper.server import PaperExchange

KEY = "paper-key-5c1e"


@dataclass
class Bench:
    """One source against its paper exchange.

    ``turns`` counts turns in the rate budget, ``limits`` holds its reports. ``timeout_s``: per request.
    """

    exchange: PaperExchange
    session: requests.Session
    turns: int = 0
    limits: list[RateLimited] = field(default_factory=list)
    timeout_s: float = 60.0

    def take_turn(self) -> None:
        """One turn in the rate budget."""
        self.turns += 1

    def access(self, **given: Any) -> SourceAccess:
        """What the runtime hands a client."""
        defaults = {"api_secret": KEY, "timeout_s": self.timeout_s}
        return SourceAccess(
            session=self.session,
            base_url=self.exchange.url,
            before_request=self.take_turn,
            on_limit=self.limits.append,
            sleep=lambda _: None,
            **{**defaults, **given},
        )
