"""Fixtures of the tests in this folder."""

from tests.fixtures.databases import migrated_url, postgres_server, postgres_template, shared_url, sqlite_template, state_url

__all__ = ["migrated_url", "postgres_server", "postgres_template", "shared_url", "sqlite_template", "state_url"]
