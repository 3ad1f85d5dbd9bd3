"""How bad a gap is."""

from __future__ import annotations

from typing import Literal

from backfill.domain.timeframes import MINUTE_MS

Severity = Literal["minor", "major"]


def severity(length_ms: int, max_gap_minutes: int) -> Severity:
    """`major`: longer than is acceptable. A missing bar of 1h is a gap of 60 minutes."""
    return "major" if length_ms > max_gap_minutes * MINUTE_MS else "minor"
