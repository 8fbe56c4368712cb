"""`halo init`: a new place of work."""

from importlib.resources import files
from pathlib import Path

import click

from halo_core.errors import ConfigurationError

_SETTINGS = ("luigi.cfg", "scheduler.cfg", "logging.cfg")
_PARTS = {"campaigns": "*.cfg", "grids": "*.toml"}


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
def init(folder: Path) -> None:
    """Write luigi.cfg, scheduler.cfg, logging.cfg, campaigns and grids into FOLDER; nothing that is there is overwritten."""
    wanted = {folder / name: files("luigi_tasks.cli").joinpath(name).read_text() for name in _SETTINGS}
    for part, pattern in _PARTS.items():
        for source in sorted(Path(str(files(f"halo_core.{part}"))).glob(pattern)):
            wanted[folder / part / source.name] = source.read_text()
    existing = [str(path) for path in wanted if path.exists()]
    if existing:
        raise ConfigurationError(f"{', '.join(existing)} exist already; give an empty or new folder")
    for path, text in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    click.echo(f"{len(wanted)} files in {folder}. Next: cd {folder} && halo state upgrade && halo doctor")
