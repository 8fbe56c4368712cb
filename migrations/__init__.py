"""Alembic's environment of the state database; `halo state upgrade` runs it."""
