"""Figures: every figure of a campaign as files beside its summary, each with its caption and the numbers behind it."""

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import luigi
import matplotlib as mpl
import pyarrow as pa

from halo_core.errors import ObjectStoreError
from halo_core.report import figures
from halo_core.stages.files import read_table
from halo_core.stages.host_places import COLUMNS, gather_hosts
from luigi_tasks.objects import ObjectRecord, Objects
from luigi_tasks.progress import link
from luigi_tasks.report_settings import ReportSettings
from luigi_tasks.stage import IdentifiedTask
from luigi_tasks.summary import SummariseCompleteness
from luigi_tasks.targets import BLOCKS_FILE, CELLS_FILE, FACTS_FILE, STAGE_MARK, TASKS_FILE, CommitTarget, block_prefix, stage_prefix

logger = logging.getLogger(__name__)

FIGURES_FOLDER = "figures"
FIGURES_MARK = "_figures.json"

_WRITERS: Mapping[str, Callable[[figures.ReportFigure], bytes]] = {"png": figures.png, "pdf": figures.pdf}


class HasStages(Protocol):
    """A run: where its objects are, and its digests by stage word."""

    @property
    def objects(self) -> Objects:
        """The store."""

    @property
    def digests(self) -> Mapping[str, str]:
        """Digest by stage word."""


class DrawFigures(IdentifiedTask):
    """The figures of a summary as files. One unit of work; safe to run again: what this version drew in these formats stays."""

    def requires(self) -> luigi.Task:
        """The cells."""
        return self.clone(SummariseCompleteness)

    def output(self) -> CommitTarget:
        """Return the commit of the figures, beside the summary's."""
        return CommitTarget(self.objects, f"{stage_prefix('summary', self.digest_of('summary'))}/{FIGURES_FOLDER}", FIGURES_MARK)

    def complete(self) -> bool:
        """Whether figures are committed, drawn by this version, in the formats that are asked for."""
        mark = self.output().committed()
        return mark is not None and all(mark[name] == value for name, value in self._identity().items())

    def run(self) -> None:
        """Draw and write everything, then the mark; an older mark goes first, and what else stands there."""
        target = self.output()
        link(self, self.objects.uri(target.prefix))
        self.objects.delete(target.mark_key)
        written = dict(self._written(target.prefix))
        for key in sorted(set(self.objects.list_sizes(target.prefix)) - set(written)):
            self.objects.delete(key)
        target.commit({"stage": "figures", **self._identity(), "versions": {"matplotlib": mpl.__version__}}, written)
        logger.info("figures: done, %d files", len(written))

    def _identity(self) -> dict[str, Any]:
        """Return what the files depend on beside the summary."""
        return {"version": figures.VERSION, "formats": list(ReportSettings().figure_formats)}

    def _written(self, prefix: str) -> Iterator[tuple[str, ObjectRecord]]:
        """Write the files of every figure, and yield their keys and records."""
        for figure in self._figures():
            files = {"csv": figures.csv(figure), "txt": figure_text(figure)}
            files |= {name: _WRITERS[name](figure) for name in ReportSettings().figure_formats}
            for ending, content in files.items():
                key = f"{prefix}/{figure.name}.{ending}"
                yield key, self.objects.put(key, content)

    def _figures(self) -> list[figures.ReportFigure]:
        """Return the figures of the campaign."""
        summary = self.mark_of("summary")
        labels = {criterion["name"]: criterion["label"] for criterion in summary["parameters"]["criteria"]}
        facts = json.loads(self.objects.read(self.key_of("summary", FACTS_FILE)))
        digests = {word: found.digest for word, found in self.identities.items()}
        hosts = _host_places(self.objects, digests)
        return figures.campaign_figures(self.table_of("summary", CELLS_FILE), labels, facts=facts, hosts=hosts)


def figure_text(figure: figures.ReportFigure) -> bytes:
    """Return what is written beside a figure: its heading, its caption, what it shows in words, and each point that is not drawn."""
    notes = "\n".join(f"- {note}" for note in figure.notes)
    parts = (figure.heading, figure.caption, figure.description, notes)
    return ("\n\n".join(filter(None, parts)) + "\n").encode()


def host_places(run: HasStages) -> pa.Table:
    """Return the places of the hosts of a run whose parent and manifest are committed, as `gather_hosts` gives them."""
    return _host_places(run.objects, run.digests)


def _host_places(objects: Objects, digests: Mapping[str, str]) -> pa.Table:
    """Return the places of the hosts, read block by block."""
    parent = CommitTarget(objects, stage_prefix("parent", digests["parent"]), STAGE_MARK).mark()
    if parent is None:
        raise ObjectStoreError(f"stage parent {digests['parent']} is not committed below {objects.root}; run the campaign again")
    blocks = read_table(objects.path(f"{stage_prefix('manifest', digests['manifest'])}/{BLOCKS_FILE}"), ["block"])["block"].to_pylist()
    keys = (f"{block_prefix('manifest', digests['manifest'], block)}/{TASKS_FILE}" for block in blocks)
    return gather_hosts((read_table(objects.path(key), list(COLUMNS)) for key in keys), nside=parent["parameters"]["healpix_nside"])
