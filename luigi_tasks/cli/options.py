"""Options that several subcommands take; their defaults stand in luigi.cfg of the working folder."""

from collections.abc import Callable
from typing import Any

import click
import luigi

from halo_core.errors import ConfigurationError


def configured_value(section: str, name: str) -> str:
    """Return a value of luigi.cfg (and of the file LUIGI_CONFIG_PATH names).

    Raises
    ------
    ConfigurationError
        There is no such value.
    """
    value = luigi.configuration.get_config().get(section, name, None)
    if value is None:
        raise ConfigurationError(
            f"[{section}] {name} is not set: run in a folder with a luigi.cfg (halo init DIR makes one), or give the option"
        )
    return str(value)


def state_url_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --state-url."""
    return click.option(
        "--state-url", default=lambda: configured_value("state", "url"), show_default="[state] url", help="SQLAlchemy URL of the state."
    )(function)


def keeps_parents_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --parents/--no-parents."""
    return click.option(
        "--parents/--no-parents",
        "keeps_parents",
        default=lambda: luigi.configuration.get_config().getboolean("state", "parents", True),
        show_default="[state] parents",
        help="Whether the state holds a row per parent.",
    )(function)


def objects_root_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --objects-root."""
    return click.option(
        "--objects-root",
        default=lambda: configured_value("objects", "root"),
        show_default="[objects] root",
        help="Folder or s3://bucket/prefix.",
    )(function)
