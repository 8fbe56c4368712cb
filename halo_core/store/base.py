"""The declarative base of every table: constraint names, column types and UTC timestamps of the database's clock."""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, MappedColumn, mapped_column

NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
"""Every constraint has a name on both databases, so that a later migration can alter it."""

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""Surrogate keys; SQLite numbers rows by itself only where the type is INTEGER."""

DIGEST = "digest of the stage the row belongs to"
"""Comment of every column that holds one."""

OF_THE_STATE_ALONE: dict[Any, Any] = {"is_of_the_state_alone": True}
"""`info` of a column that no object holds: bulk rows may come without it, and what compares rows leaves it out."""

BYTEWISE = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""Ids of large tables: compared byte by byte on both databases, so that the key finds the start of an id."""


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """A moment with its time zone; SQLite stores UTC without saying so and gets the zone back on reading."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002
        """Return the moment in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Base of the tables; `int` is 64 bits wide and `float` is double precision on both databases."""

    metadata = sa.MetaData(naming_convention=NAMING_CONVENTION)
    type_annotation_map = {  # noqa: RUF012
        int: sa.BigInteger(),
        float: sa.Double(),
        str: sa.Text(),
        bool: sa.Boolean(),
        datetime: UtcDateTime(),
    }


def digest_key(kind: sa.types.TypeEngine[str] | None = None) -> MappedColumn[Any]:
    """Return the column `stage_digest` as the first part of a primary key."""
    return mapped_column(kind, primary_key=True, comment=DIGEST)


def created_now() -> MappedColumn[Any]:
    """Return a timestamp column that the database fills in when the row is inserted."""
    return mapped_column(server_default=sa.func.now(), comment="UTC, the database's clock")


def allowed(column: str, words: tuple[str, ...], *, name: str) -> sa.CheckConstraint:
    """Return a named CHECK that the column holds one of the words."""
    quoted = ", ".join(f"'{word}'" for word in words)
    return sa.CheckConstraint(f"{column} IN ({quoted})", name=name)
