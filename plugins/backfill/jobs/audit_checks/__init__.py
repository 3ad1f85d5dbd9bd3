"""What the audit looks at, one check a module; ``backfill.jobs.audit`` runs them in order."""
