"""`halo stamps`: one task's pixels for a person."""

from pathlib import Path

import click
import sqlalchemy as sa

from halo_core.constants import BANDS
from halo_core.errors import ConfigurationError, SurveyDataError
from halo_core.report.gallery import stamp_figure
from halo_core.stages.files import read_table
from halo_core.stamps import Stamp, write_fits, write_npz
from halo_core.store import injection as injection_rows
from halo_core.store.sessions import read
from luigi_tasks.cli.options import objects_root_option, state_url_option
from luigi_tasks.hosts import stored_stamps
from luigi_tasks.objects import Objects, open_objects
from luigi_tasks.targets import TASKS_FILE, block_prefix


@click.group()
def stamps() -> None:
    """Stamps: injected = host + arc."""


@stamps.command()
@click.argument("task_id")
@click.option("--out", type=click.Path(path_type=Path), default=Path(), show_default="here", help="Folder for the files.")
@state_url_option
@objects_root_option
def show(task_id: str, out: Path, state_url: str, objects_root: str) -> None:
    """Write the stamp of TASK_ID (or of the one task that starts so) as NPZ, FITS and, where it has g, r and z, a colour picture."""
    with read(state_url) as connection:
        found = injection_rows.task_by_prefix(connection, task_id)
    if len(found) != 1:
        raise ConfigurationError(f"{len(found)} tasks start with {task_id!r}; give more of the id (injection_tasks.task_id)")
    stamp = _stamp(found[0], open_objects(objects_root))
    out.mkdir(parents=True, exist_ok=True)
    base = out / str(found[0]["task_id"])
    write_npz(stamp, base.with_suffix(".npz"))
    write_fits(stamp, base.with_suffix(".fits"))
    written = [".npz", ".fits"]
    if stamp.bands == BANDS:
        base.with_suffix(".png").write_bytes(stamp_figure(stamp))
        written.append(".png")
    for suffix in written:
        click.echo(base.with_suffix(suffix))


def _stamp(found: sa.RowMapping, objects: Objects) -> Stamp:
    """Return the stamp of a task that the state knows."""
    tasks = read_table(objects.path(f"{block_prefix('manifest', found['manifest_digest'], found['block'])}/{TASKS_FILE}"))
    row = tasks.filter([task == found["task_id"] for task in tasks["task_id"].to_pylist()])
    if row.num_rows != 1:
        raise SurveyDataError(f"task {found['task_id']} is in the state and not in the manifest's objects below {objects.root}")
    return next(stored_stamps(objects, found["injection_digest"], found["block"], row))
