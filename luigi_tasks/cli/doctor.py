"""`halo doctor`: what works here, and what to do about what does not."""

import platform
import shutil
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from halo_core.errors import HaloError
from halo_core.lensing import Lens, Source, psf_from_size, render_arc
from halo_core.store import schema
from luigi_tasks.cli.options import configured_value, objects_root_option, state_url_option
from luigi_tasks.objects import open_objects
from luigi_tasks.places import MOCK, survey_place
from luigi_tasks.stage import PACKAGES

_PROBE_KEY = "probe/written_by_halo_doctor"
_PYTHONS = ((3, 11), (3, 13))


@click.command()
@state_url_option
@objects_root_option
def doctor(state_url: str, objects_root: str) -> None:
    """Say what works: environment, renderer, state, objects, survey. Exit code 1 where something does not."""
    checks: list[tuple[str, Callable[[], str]]] = [
        ("python", _python),
        ("packages", lambda: ", ".join(f"{name} {version(name)}" for name in PACKAGES)),
        ("renderer", _renderer),
        ("state", lambda: _state(state_url)),
        ("objects", lambda: _objects(objects_root)),
        ("survey", lambda: _survey(objects_root)),
    ]
    table = Table("", "what", "found", title="halo doctor")
    n_bad = 0
    for name, check in checks:
        try:
            table.add_row("[green]ok", name, check())
        except HaloError as error:
            n_bad += 1
            table.add_row("[red]no", name, str(error))
    Console().print(table)
    if n_bad:
        sys.exit(1)


def _python() -> str:
    """Return the interpreter; one outside the supported versions is an error."""
    low, high = _PYTHONS
    if not low <= sys.version_info[:2] <= high:
        raise HaloError(f"Python {platform.python_version()}: 3.11 to 3.13 are supported; make the environment with one of them")
    return f"{platform.python_version()} on {platform.machine()}"


def _renderer() -> str:
    """Return that an unlensed source keeps its flux."""
    lens = Lens(theta_e_arcsec=0.0, q=0.8, phi_rad=0.0, gamma1=0.0, gamma2=0.0, x_arcsec=0.0, y_arcsec=0.0)
    source = Source(x_arcsec=0.0, y_arcsec=0.0, reff_arcsec=0.2, q=0.7, phi_rad=0.3, n_sersic=1.0, flux_nmgy=(1.0,))
    total = float(np.sum(render_arc(lens, source, [psf_from_size(1.2, model="gaussian")], size_pix=64)))
    if abs(total - 1.0) > 1e-3:
        raise HaloError(f"an unlensed source of flux 1 came out with {total:.6f}; reinstall the environment from the lock file")
    return f"an unlensed source keeps its flux: {total:.6f} of 1"


def _state(state_url: str) -> str:
    """Return the schema's revision."""
    schema.require_head(state_url)
    return f"{schema.current_revision(state_url)}, the newest"


def _objects(objects_root: str) -> str:
    """Return that an object can be written, read and removed."""
    objects = open_objects(objects_root)
    objects.put(_PROBE_KEY, b"halo")
    content = objects.read(_PROBE_KEY)
    objects.delete(_PROBE_KEY)
    if content != b"halo":
        raise HaloError(f"{objects.uri(_PROBE_KEY)} gave back other bytes than were put; check the disk")
    free = f"; {shutil.disk_usage(objects.root).free / 1e9:,.0f} GB free" if isinstance(objects.root, Path) else ""
    return f"{objects.root}: writes, reads and removes{free}"


def _survey(objects_root: str) -> str:
    """Return where the survey is."""
    root = configured_value("survey", "root")
    if root == MOCK:
        return "the mock survey, made by the first run"
    place = survey_place(root, configured_value("survey", "release"), open_objects(objects_root))
    return f"{place.root}: there is a survey"
