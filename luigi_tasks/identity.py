"""What each stage's output is known by: its own parameters, the digests upstream, its external inputs, its science version."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path, PurePath
from typing import Any

from halo_core.errors import ConfigurationError
from halo_core.report import page
from halo_core.seeds import stage_digest
from halo_core.stages import cache, injection, manifest, parent, summary, survey, validation
from halo_core.survey import layout
from luigi_tasks.campaign import SELECTION, CampaignTask
from luigi_tasks.objects import Objects, sha256_of

WORDS = ("survey", "parent", "manifest", "cache", "injection", "summary")
"""The stages that have a digest of their own, in the order of the flow."""

VALIDATED = ("parent", "manifest", "injection", "summary", "campaign")
"""What is validated, in the order of the flow; cache and injection share their blocks and their checks."""

_HASHES: dict[tuple[str, str], str] = {}


@dataclass(frozen=True)
class StageIdentity:
    """Everything that decides a stage's output."""

    word: str
    science_version: int
    parameters: Mapping[str, Any]
    upstream: Mapping[str, str]
    fingerprints: Mapping[str, str]

    @cached_property
    def digest(self) -> str:
        """The hash of it all."""
        return stage_digest(
            self.word,
            science_version=self.science_version,
            parameters=self.parameters,
            upstream=self.upstream,
            fingerprints=self.fingerprints,
        )


def stage_identities(task: CampaignTask) -> dict[str, StageIdentity]:
    """Return the identity of every stage of a campaign, by word."""
    found: dict[str, StageIdentity] = {}

    def add(word: str, version: int, parameters: Mapping[str, Any], upstream: tuple[str, ...], fingerprints: Mapping[str, str]) -> None:
        digests = {name: found[name].digest for name in upstream}
        found[word] = StageIdentity(word, version, parameters, digests, fingerprints)

    add("survey", survey.SCIENCE_VERSION, task.survey.identity, (), _survey_tables(task))
    add("parent", parent.SCIENCE_VERSION, task.parent_config().to_parameters(), ("survey",), _external_table(task))
    grids = {name: grid.to_parameters() for name, grid in task.grids().items()}
    add("manifest", manifest.SCIENCE_VERSION, {**task.manifest_config().to_parameters(), "grid_values": grids}, ("parent",), {})
    add("cache", cache.SCIENCE_VERSION, {"bands": list(task.bands)}, ("survey", "manifest"), {})
    add("injection", injection.SCIENCE_VERSION, asdict(task.injection_config()), ("manifest", "cache"), {})
    add("summary", summary.SCIENCE_VERSION, asdict(task.summary_config()), ("injection",), {})
    return found


def validation_digest(word: str, identities: Mapping[str, StageIdentity]) -> str:
    """Return the digest of the checks of one stage, or of the whole campaign."""
    upstream = {word: identities[word].digest} if word in identities else {name: found.digest for name, found in identities.items()}
    return stage_digest(f"validation_{word}", science_version=validation.SCIENCE_VERSION, parameters={}, upstream=upstream, fingerprints={})


def fingerprint(path: Path) -> str:
    """Return the sha256 of a local table, remembered by its path, size and modification time."""
    try:
        stat = path.stat()
    except OSError as error:
        raise ConfigurationError(f"cannot read the table {path}: {error.strerror}; check --parent") from error
    return _remembered(str(path), f"{stat.st_size}-{stat.st_mtime_ns}", lambda: path)


def sweep_tags(files: Objects) -> dict[str, str]:
    """Return the keys of a survey's sweep catalogues, and what changes when one does."""
    tags = files.list_tags(layout.SWEEP_FOLDER)
    return {key: tag for key, tag in tags.items() if PurePath(key).match(f"{layout.SWEEP_FOLDER}/*.fits")}


def _remembered(place: str, tag: str, path: Callable[[], Path]) -> str:
    """Return the sha256 of a file; this process reads the same file once."""
    if (place, tag) not in _HASHES:
        _HASHES[place, tag] = sha256_of(path())
    return _HASHES[place, tag]


def _survey_tables(task: CampaignTask) -> dict[str, str]:
    """Return the hashes of a survey's tables; a mock survey is known by its parameters alone."""
    if task.survey.mock is not None:
        return {}
    files = task.survey.files
    tags = files.list_tags(layout.BRICKS_KEY) | sweep_tags(files)
    return {key: _remembered(files.uri(key), tag, partial(files.path, key)) for key, tag in tags.items()}


def _external_table(task: CampaignTask) -> dict[str, str]:
    """Return the hash of the table given in place of the selection."""
    return {} if task.parent == SELECTION else {"parent": fingerprint(Path(task.parent))}


def report_digest(identities: Mapping[str, StageIdentity], *, campaign_name: str, config: Mapping[str, str]) -> str:
    """Return the digest of a campaign's page: its name, its configuration and everything upstream."""
    upstream = {name: found.digest for name, found in identities.items()} | {"validation": validation_digest("campaign", identities)}
    parameters = {"campaign_name": campaign_name, "config": dict(config)}
    return stage_digest("report", science_version=page.SCIENCE_VERSION, parameters=parameters, upstream=upstream, fingerprints={})
