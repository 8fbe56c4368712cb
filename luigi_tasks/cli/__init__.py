"""The `halo` command: what Luigi is not."""

from luigi_tasks.cli.main import main

__all__ = ["main"]
