"""Chromium, driven by the scripts of this folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from waiting import PATIENCE_S

HERE = Path(__file__).parent
CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))


def is_here() -> bool:
    """Whether tests/browser/install.sh has run."""
    return CHROMIUM.exists() and shutil.which("node") is not None and (HERE / "node_modules").is_dir()


def screenshots() -> Path:
    """Where they are kept, to be looked at."""
    folder = Path(os.environ.get("SCREENSHOTS", HERE.parents[1] / "dist" / "screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def node(script: str, *arguments: object) -> list[Any]:
    """Run a script; gives the lines of JSON that it prints."""
    assert is_here(), "no Chromium, or not its driver: run tests/browser/install.sh"
    command = ["node", str(HERE / script), *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]
