"""Findings: how a check says what it saw. A stage's checks are in the module validation_<stage>."""

from collections.abc import Iterable

from halo_core.errors import StageValidationError
from halo_core.records import Finding

SCIENCE_VERSION = 2


def expect(stage: str, check: str, *, is_ok: bool, observed: object, expected: object, sentence: str) -> Finding:
    """Return the finding of a check whose failure stops the run."""
    return Finding(
        stage=stage, check=check, is_ok=bool(is_ok), severity="error", observed=str(observed), expected=str(expected), sentence=sentence
    )


def advise(stage: str, check: str, *, is_ok: bool, observed: object, expected: object, sentence: str) -> Finding:
    """Return the finding of a check whose failure a person should look at while the run goes on."""
    return Finding(
        stage=stage, check=check, is_ok=bool(is_ok), severity="warning", observed=str(observed), expected=str(expected), sentence=sentence
    )


def require(findings: Iterable[Finding]) -> None:
    """Raise where a check failed, or where none was made.

    Raises
    ------
    StageValidationError
        Names every failed check with what it observed and what it expected.
    """
    made = list(findings)
    if not made:
        raise StageValidationError("no check was made; a stage without checks is not validated")
    failed = [f for f in made if not f.is_ok and f.severity == "error"]
    if failed:
        lines = "; ".join(f"{f.check}: observed {f.observed}, expected {f.expected}. {f.sentence}" for f in failed)
        raise StageValidationError(f"stage {failed[0].stage}: {len(failed)} of {len(made)} checks failed: {lines}")
