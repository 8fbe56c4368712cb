"""Rows of the validation stage: what every check saw, passed or not."""

from collections.abc import Iterable
from typing import Literal, cast

import sqlalchemy as sa

from halo_core.records import Finding
from halo_core.store.models import ValidationFinding
from halo_core.store.sessions import lock

_COLUMNS = (
    ValidationFinding.stage,
    ValidationFinding.check_name,
    ValidationFinding.is_ok,
    ValidationFinding.severity,
    ValidationFinding.observed,
    ValidationFinding.expected,
    ValidationFinding.sentence,
)


def store_findings(connection: sa.Connection, digest: str, findings: Iterable[Finding]) -> None:
    """Put the findings about a stage digest in place of what it had; a check stands once."""
    lock(connection, "validation_findings", digest)
    connection.execute(sa.delete(ValidationFinding).where(ValidationFinding.stage_digest == digest))
    rows = [
        {
            "stage_digest": digest,
            "stage": finding.stage,
            "check_name": finding.check,
            "is_ok": finding.is_ok,
            "severity": finding.severity,
            "observed": finding.observed,
            "expected": finding.expected,
            "sentence": finding.sentence,
        }
        for finding in findings
    ]
    if rows:
        connection.execute(sa.insert(ValidationFinding), rows)


def findings(connection: sa.Connection, digest: str) -> list[Finding]:
    """Return the findings about a stage digest, in the order they were stored."""
    query = sa.select(*_COLUMNS).where(ValidationFinding.stage_digest == digest).order_by(ValidationFinding.finding_id)
    return [_finding(*row) for row in connection.execute(query)]


def _finding(stage: str, check: str, is_ok: bool, severity: str, *texts: str) -> Finding:
    """Return one row as a finding."""
    observed, expected, sentence = texts
    return Finding(stage, check, is_ok, cast(Literal["error", "warning"], severity), observed, expected, sentence)
