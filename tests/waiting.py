"""How tests wait: for a condition, and as long as a slow machine may need for it."""

from __future__ import annotations

import time
from collections.abc import Callable

# Longer than anything takes that ends at all, on a machine that does much else. No test waits that long and passes.
PATIENCE_S = 180.0


def wait_for(
    what: str, condition: Callable[[], object], *, within_s: float = PATIENCE_S, every_s: float = 0.01
) -> None:
    """Until ``condition`` holds; ``what`` is named by the failure if it never does."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {within_s:.0f} s for {what}"
        time.sleep(every_s)
