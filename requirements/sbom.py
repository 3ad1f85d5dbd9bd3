"""Writes what a lock holds as a CycloneDX 1.6 document: `make sbom`. Needs nothing but Python.

    requirements/sbom.py LOCK [OUTPUT]

Two runs on one lock give the same bytes. Each package has its version, its purl, the SHA-256 of every file that the
lock accepts, the marker under which it is installed, and what needs it.
"""

from __future__ import annotations

import json
import re
import sys
import uuid
from collections import defaultdict
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PROJECT = "airflow-provider-candle-keeper"
PINNED = re.compile(
    r"(?P<name>[A-Za-z0-9._-]+)(\[[^\]]*\])?==(?P<version>[^\s;\\]+)(\s*;\s*(?P<marker>[^\\]+?))?\s*\\?"
)
NAMESPACE = uuid.UUID("6f0f1f9e-6f0b-5b7a-9d0e-7c8e5f2b1a10")


class Package(NamedTuple):
    """One pinned package; ``needed_by``: names as the lock's comments give them."""

    name: str
    version: str
    marker: str | None
    sha256: list[str]
    needed_by: list[str]

    @property
    def purl(self) -> str:
        """The package's address, which names no registry's host."""
        return f"pkg:pypi/{re.sub(r'[-_.]+', '-', self.name).lower()}@{self.version}"


def packages_of(lock: str) -> list[Package]:
    """The packages of a lock's text. ValueError for a line that cannot be read."""
    packages: list[Package] = []
    for number, line in enumerate(lock.splitlines(), 1):
        text = line.strip()
        if match := PINNED.fullmatch(text):
            packages.append(Package(match["name"], match["version"], match["marker"], [], []))
        elif text.startswith("--hash=sha256:") and packages:
            packages[-1].sha256.append(text.removeprefix("--hash=sha256:").rstrip(" \\"))
        elif line.startswith("    #") and packages:
            if name := re.sub(r"^# *(via)? *", "", text):
                packages[-1].needed_by.append(name)
        elif text and not text.startswith("#"):
            raise ValueError(f"line {number} is no pinned package: {text}")
    return packages


def document(lock: str, project_version: str) -> dict[str, Any]:
    """The bill of materials of a lock's text."""
    packages = packages_of(lock)
    refs = defaultdict(list)
    for one in packages:
        refs[one.name].append(one.purl)
    root = f"pkg:pypi/{PROJECT}@{project_version}"
    needs: dict[str, set[str]] = {root: set(), **{one.purl: set() for one in packages}}
    for one in packages:
        for name in one.needed_by:
            for ref in refs.get(name.split("[")[0], [root]):
                needs[ref].add(one.purl)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(NAMESPACE, sha256(lock.encode()).hexdigest() + project_version)}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": root,
                "name": PROJECT,
                "version": project_version,
                "purl": root,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            }
        },
        "components": [_component(one) for one in packages],
        "dependencies": [{"ref": ref, "dependsOn": sorted(needs[ref])} for ref in needs],
    }


def _component(one: Package) -> dict[str, Any]:
    properties = [{"name": "candle-keeper:lock:sha256", "value": value} for value in one.sha256]
    if one.marker:
        properties.append({"name": "candle-keeper:lock:marker", "value": one.marker})
    return {
        "type": "library",
        "bom-ref": one.purl,
        "name": one.name,
        "version": one.version,
        "purl": one.purl,
        "properties": properties,
    }


def main(lock: str, output: str | None = None) -> None:
    """Write the document of the lock file to ``output`` or standard output."""
    version = re.search(r'__version__ = "([^"]+)"', (ROOT / "plugins/backfill/__init__.py").read_text())
    if version is None:
        raise SystemExit("plugins/backfill/__init__.py names no version")
    text = json.dumps(document(Path(lock).read_text(), version[1]), indent=1) + "\n"
    if output is None:
        sys.stdout.write(text)
        return
    Path(output).parent.mkdir(parents=True, exist_ok=True)
    Path(output).write_text(text)
    sys.stdout.write(f"{output}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
