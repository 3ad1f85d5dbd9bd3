"""The kinds of trouble that call for a person."""

KINDS = ("outage", "coverage", "silence", "reach", "ban", "quarantine")
