"""The possible answers to a question of `candles_review`, for its Dag file, which imports nothing heavy."""

from __future__ import annotations

RELEASE, DISCARD = "Store them anyway", "They are wrong"
KEEP, TAKE = "Keep our values", "Take the other values"
LATER = "Later"
QUARANTINE, FINDINGS = "quarantine", "findings"
OPTIONS = {QUARANTINE: [RELEASE, DISCARD, LATER], FINDINGS: [KEEP, TAKE, LATER]}
