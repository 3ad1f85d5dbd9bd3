"""A package of somebody else's that is installed for a test: modules on the path, and its entry points."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from backfill.domain.registered_sources import GROUP, forget_registered

EXAMPLES = Path(__file__).parents[3] / "docs/examples"


@contextmanager
def installed(folder: Path, entry_points: Mapping[str, str], name: str = "somebody_elses") -> Iterator[None]:
    """As pip leaves it."""
    metadata = folder / f"{name}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = "".join(f"{source} = {value}\n" for source, value in entry_points.items())
    (metadata / "entry_points.txt").write_text(f"[{GROUP}]\n{lines}")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.syspath_prepend(EXAMPLES)
        forget_registered()
        try:
            yield
        finally:
            patch.undo()
            forget_registered()
