"""What the audit looks at, one check a module; ``backfill.jobs.maintain.audit`` runs them in order."""
