"""What each stage's output is known by: its own parameters, the digests upstream, its external inputs, its science version."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path, PurePath
from typing import Any

from halo_core.errors import ConfigurationError
from halo_core.report import page
from halo_core.seeds import hash_hex, stage_digest
from halo_core.stages import cache, injection, manifest, parent, summary, survey, validation
from halo_core.stages.selection_sets import sets_to_parameters
from halo_core.survey import layout
from luigi_tasks.campaign import SELECTION, CampaignTask
from luigi_tasks.fingerprints import TableMemory, local_table, tables_of
from luigi_tasks.objects import Objects

VALIDATED = ("parent", "manifest", "injection", "summary", "campaign")
"""What is validated, in the order of the flow; cache and injection share their blocks and their checks."""


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
    selection = {**task.parent_config().to_parameters(), **sets_to_parameters(task.region_sets())}
    add("parent", parent.SCIENCE_VERSION, selection, ("survey",), _external_tables(task))
    grids = {name: grid.to_parameters() for name, grid in task.grids().items()}
    add("manifest", manifest.SCIENCE_VERSION, {**task.manifest_config().to_parameters(), "grid_values": grids}, ("parent",), {})
    cut = {"mode": "sections", "store_size_pix": max(task.stamp_sizes)} if task.cache_mode == "sections" else {}
    add("cache", cache.SCIENCE_VERSION, {"bands": list(task.bands), **cut}, ("survey", "manifest"), {})
    add("injection", injection.SCIENCE_VERSION, asdict(task.injection_config()), ("manifest", "cache"), {})
    add("summary", summary.SCIENCE_VERSION, asdict(task.summary_config()), ("injection",), _score_tables(task))
    return found


def validation_digest(word: str, identities: Mapping[str, StageIdentity]) -> str:
    """Return the digest of the checks of one stage, or of the whole campaign."""
    upstream = {word: identities[word].digest} if word in identities else {name: found.digest for name, found in identities.items()}
    return stage_digest(f"validation_{word}", science_version=validation.SCIENCE_VERSION, parameters={}, upstream=upstream, fingerprints={})


def fingerprint(objects: Objects, path: Path, flag: str) -> str:
    """Return the sha256 of a local table, or one hash of those of a folder; remembered by place, size and modification time."""
    files = [path] if not path.is_dir() else sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))
    try:
        tables = {file.relative_to(path).as_posix(): local_table(file) for file in files}
    except OSError as error:
        raise ConfigurationError(f"cannot read the table {path}: {error.strerror}; check {flag}") from error
    found = TableMemory(objects, str(path.absolute())).sha256(tables)
    return hash_hex(*(part for pair in sorted(found.items()) for part in pair), n_bytes=32) if path.is_dir() else found["."]


def catalogue_tags(files: Objects) -> dict[str, str]:
    """Return the keys of a survey's sweeps or, where it has none, of its Tractor catalogues, and what changes when one does."""
    tags = files.list_tags(layout.SWEEP_FOLDER)
    sweeps = {key: tag for key, tag in tags.items() if PurePath(key).match(f"{layout.SWEEP_FOLDER}/*.fits")}
    if sweeps:
        return sweeps
    tags = files.list_tags(layout.TRACTOR_FOLDER)
    return {key: tag for key, tag in tags.items() if PurePath(key).match(f"{layout.TRACTOR_FOLDER}/*/tractor-*.fits")}


def _survey_tables(task: CampaignTask) -> dict[str, str]:
    """Return the hashes of a survey's tables, one for all Tractor catalogues; a mock survey is known by its parameters alone."""
    if task.survey.mock is not None:
        return {}
    files = task.survey.files
    tags = files.list_tags(layout.BRICKS_KEY) | catalogue_tags(files)
    found = TableMemory(task.objects, task.survey.root).sha256(tables_of(files, tags))
    per_brick = [part for key in sorted(found) if key.startswith(f"{layout.TRACTOR_FOLDER}/") for part in (key, found[key])]
    few = {key: sha256 for key, sha256 in found.items() if not key.startswith(f"{layout.TRACTOR_FOLDER}/")}
    return few | ({layout.TRACTOR_FOLDER: hash_hex(*per_brick, n_bytes=32)} if per_brick else {})


def _external_tables(task: CampaignTask) -> dict[str, str]:
    """Return the hashes of the tables given in place of the selection, the survey's bricks and sets of one's own, by parameter."""
    given = {} if task.parent == SELECTION else {"parent": task.parent}
    given |= {name: value for name in ("bricks_table", "region_selections") if (value := getattr(task, name))}
    return {name: fingerprint(task.objects, Path(value), f"--{name.replace('_', '-')}") for name, value in given.items()}


def _score_tables(task: CampaignTask) -> dict[str, str]:
    """Return the hash of the table of a detector's scores, where one is given."""
    return {"scores": fingerprint(task.objects, Path(task.scores), "--scores")} if task.scores else {}


def report_digest(identities: Mapping[str, StageIdentity], *, campaign_name: str, config: Mapping[str, str]) -> str:
    """Return the digest of a campaign's page: its name, its configuration and everything upstream."""
    upstream = {name: found.digest for name, found in identities.items()} | {"validation": validation_digest("campaign", identities)}
    parameters = {"campaign_name": campaign_name, "config": dict(config)}
    return stage_digest("report", science_version=page.SCIENCE_VERSION, parameters=parameters, upstream=upstream, fingerprints={})
