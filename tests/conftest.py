"""Fixtures of all tests."""

pytest_plugins = [
    "tests.fixtures.databases",
    "tests.fixtures.survey",
    "tests.fixtures.campaigns",
    "tests.fixtures.storage",
    "tests.fixtures.certificates",
    "tests.fixtures.services",
    "tests.fixtures.schedulers",
    "tests.fixtures.clusters",
    "tests.fixtures.emr",
]
