"""Exchanges on paper, as the tests of the fallback have them."""

from __future__ import annotations

from integration.fallback.conftest import opened, running_venues, venues

__all__ = ["opened", "running_venues", "venues"]
