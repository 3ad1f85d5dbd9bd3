"""The audit's checks, one per module."""
