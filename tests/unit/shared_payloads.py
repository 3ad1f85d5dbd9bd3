"""Real answers of exchanges, where a folder of them lies beside the project."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[3] / "shared" / "payloads"


def shared_payload(name: str) -> Any:
    """The JSON of one file; skips the test where there is none."""
    path = FOLDER / name
    if not path.is_file():
        pytest.skip(f"no recorded answer ../shared/payloads/{name}")
    return json.loads(path.read_text(encoding="utf-8"))
