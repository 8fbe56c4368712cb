"""Findings: how a check says what it saw, and how one that could not run says so. A stage's checks are in validation_<stage>."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, ParamSpec, TypeVar

from halo_core.errors import StageValidationError, StoreError
from halo_core.records import Finding

SCIENCE_VERSION = 3

EVIDENCE = "evidence"
"""Name of the check that every stage has: what the others look at is there and can be read."""

P = ParamSpec("P")
T = TypeVar("T")


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


def is_broken(findings: Iterable[Finding]) -> bool:
    """Return whether a law is broken that must hold."""
    return any(not found.is_ok and found.severity == "error" for found in findings)


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


@dataclass(frozen=True)
class CouldNotRun(Finding):
    """The failed finding of a law that raised; ``errors`` are what it raised, for the log."""

    errors: tuple[Exception, ...] = field(default=(), repr=False, compare=False)


@dataclass(frozen=True)
class Raised:
    """What a law raised in place of a verdict."""

    error: Exception

    @property
    def text(self) -> str:
        """Type and message."""
        return f"{type(self.error).__name__}: {self.error}"

    def finding(self, stage: str, check: str, sentence: str) -> CouldNotRun:
        """Return the failed finding of the law."""
        return CouldNotRun(stage, check, False, "error", f"could not run: {self.text}", "a verdict", sentence, (self.error,))


def attempt(law: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | Raised:
    """Return what a law returns or, where it raises, what it raised: a law that could not run is a failure, never the end of the others.

    The one place where every Exception is caught. A law may meet anything in a damaged table, and whatever that is, its finding must be
    stored beside those of the other laws before the stage fails. Interrupts pass, and so does a state that cannot be asked
    (StoreError): nothing could be stored there.
    """
    try:
        return law(*args, **kwargs)
    except StoreError:
        raise
    except Exception as error:  # noqa: BLE001
        return Raised(error)


def judged(stage: str, check: str, law: Callable[P, Finding], *args: P.args, **kwargs: P.kwargs) -> Finding:
    """Return the finding of a law, failed where it raised."""
    found = attempt(law, *args, **kwargs)
    return found.finding(stage, check, "The check can be made.") if isinstance(found, Raised) else found


class Tally(Generic[T]):
    """What laws count in data that is looked at part by part; a law that raised is not tried again.

    Attributes
    ----------
    counts : dict of str to Counter
        Sums over the parts, by law.
    raised : dict of str to Raised
        By law, what it raised.
    """

    def __init__(self, laws: Mapping[str, Callable[[T], Counter[str]]]) -> None:
        self._laws = laws
        self.counts = {name: Counter[str]() for name in laws}
        self.raised: dict[str, Raised] = {}

    def add(self, part: T) -> None:
        """Count in one more part."""
        for name, law in self._laws.items():
            if name not in self.raised:
                found = attempt(law, part)
                if isinstance(found, Raised):
                    self.raised[name] = found
                else:
                    self.counts[name].update(found)


class Evidence:
    """What the checks of one stage look at: findings, and what could not be read for them.

    Attributes
    ----------
    findings : list of Finding
        Of the checks so far.
    """

    def __init__(self, stage: str) -> None:
        self.findings: list[Finding] = []
        self._stage = stage
        self._seen: list[str] = []
        self._missing: list[str] = []
        self._raised: list[Raised] = []

    def expect_objects(self, word: str, named: Mapping[str, Mapping[str, Any]], sizes: Mapping[str, int]) -> None:
        """Note the objects that a stage's commit mark names, by key, beside the sizes of those that are there [bytes]."""
        self._seen.append(f"{len(named)} objects of {word}")
        for key, record in named.items():
            if sizes.get(key) != record["n_bytes"]:
                found = "is missing" if key not in sizes else f"has {sizes[key]} bytes, {record['n_bytes']} were stored"
                self._missing.append(f"{key} {found}")

    def look(self, read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        """Return what is read, None where that raised, which is noted."""
        found = attempt(read, *args, **kwargs)
        if not isinstance(found, Raised):
            return found
        self._raised.append(found)
        return None

    def check(self, checks: Callable[P, list[Finding]], *args: P.args, **kwargs: P.kwargs) -> None:
        """Add the findings of some checks; where their data cannot be read there are none, which is noted."""
        self.findings += self.look(checks, *args, **kwargs) or []

    def all_findings(self) -> list[Finding]:
        """Return the finding on the evidence, then every other."""
        wrong = [*self._missing[:3], *([f"and {len(self._missing) - 3} more"] if self._missing[3:] else [])]
        wrong += [f"could not run: {raised.text}" for raised in self._raised]
        errors = tuple(raised.error for raised in self._raised)
        observed, expected = "; ".join(wrong) or ", ".join(self._seen) or "all tables", "every object as committed, every table readable"
        sentence = "What the checks look at is there and can be read."
        found = Finding(self._stage, EVIDENCE, not wrong, "error", observed, expected, sentence)
        return [CouldNotRun(**vars(found), errors=errors) if errors else found, *self.findings]
