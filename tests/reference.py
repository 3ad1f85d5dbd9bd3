"""Where tests take reference data from: made by us, always; recorded at real venues, where ``../shared`` is."""

from __future__ import annotations

import copy
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from made.payloads import PAYLOADS

SHARED = Path(os.environ.get("CANDLE_KEEPER_TEST_SHARED", Path(__file__).parents[2] / "shared"))
MADE, REAL = "made", "real"


def origins(folder: str) -> list[str]:
    """Where there is data of a kind; real data that are not here are no case, so that nothing is skipped."""
    return [MADE, REAL] if (SHARED / folder).is_dir() else [MADE]


@dataclass(frozen=True)
class Payloads:
    """Answers of venues by the names of their files."""

    origin: str

    def __call__(self, name: str) -> Any:
        if self.origin == MADE:
            return copy.deepcopy(PAYLOADS[name])
        return json.loads((SHARED / "payloads" / name).read_text(encoding="utf-8"))
