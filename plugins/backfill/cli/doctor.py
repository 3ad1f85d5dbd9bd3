"""``backfill doctor``."""

from __future__ import annotations

import argparse

from backfill.cli.output import Output
from backfill.jobs.status.doctor import examine


def doctor(args: argparse.Namespace, output: Output) -> int:
    """Print every health check; exit code 1 if any failed, warnings aside."""
    findings = []
    for finding in examine(args.db):
        findings.append(vars(finding))
        if not output.as_json:
            output.line(f"{finding.state:<8} {finding.check}: {finding.detail}")
            if finding.advice:
                output.line(f"{'':<8} -> {finding.advice}")
    if output.as_json:
        output.document({"checks": findings})
    return 1 if any(finding["state"] == "failed" for finding in findings) else 0
