"""Names, kinds and sentences of the flag bits.

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

FLAGS = (
    (0, "BRICK_MISSING", "loss", "The survey has no coadd of this brick."),
    (1, "MASKBITS_MISSING", "loss", "The brick's maskbits plane is absent or could not be verified."),
    (2, "IMAGE_MISSING_G", "loss", "The g image plane is absent or could not be verified."),
    (3, "IMAGE_MISSING_R", "loss", "The r image plane is absent or could not be verified."),
    (4, "IMAGE_MISSING_Z", "loss", "The z image plane is absent or could not be verified."),
    (5, "INVVAR_MISSING_G", "loss", "The g inverse-variance plane is absent or could not be verified."),
    (6, "INVVAR_MISSING_R", "loss", "The r inverse-variance plane is absent or could not be verified."),
    (7, "INVVAR_MISSING_Z", "loss", "The z inverse-variance plane is absent or could not be verified."),
    (8, "PLANE_UNVERIFIED", "loss", "At least one plane exists but failed verification after its retries."),
    (9, "OFF_IMAGE", "loss", "A stamp of this size does not fit in the file around the host."),
    (10, "PIXEL_NAN", "loss", "The stamp holds a non-finite pixel where the inverse variance is positive."),
    (11, "PSF_UNUSABLE_G", "loss", "No usable g PSF size at the host, neither in the map nor for the brick."),
    (12, "PSF_UNUSABLE_R", "loss", "No usable r PSF size at the host, neither in the map nor for the brick."),
    (13, "PSF_UNUSABLE_Z", "loss", "No usable z PSF size at the host, neither in the map nor for the brick."),
    (14, "NO_GOOD_PIXEL_G", "loss", "The stamp has no good pixel in g."),
    (15, "NO_GOOD_PIXEL_R", "loss", "The stamp has no good pixel in r."),
    (16, "NO_GOOD_PIXEL_Z", "loss", "The stamp has no good pixel in z."),
    (17, "CONTROL", "note", "A control: the host is left as it is, lens metrics do not apply."),
    (18, "PSF_FROM_BRICK", "note", "The PSF size of at least one band is the brick's value, not the map's."),
    (19, "HAS_BAD_PIXELS", "note", "Some pixels of the stamp are not good in r."),
    (20, "ON_WISE_MASK", "note", "Some pixels of the stamp lie on a WISE bright-star mask."),
    (21, "EBV_UNKNOWN", "note", "E(B-V) is not known and taken as 0: no extinction was applied."),
    (22, "W1_UNKNOWN", "note", "The host has no W1 magnitude."),
    (23, "CONDITIONS_UNKNOWN", "note", "Seeing or depth at the host is not known before the coadds are read."),
    (24, "OUTSIDE_PRIMARY", "note", "The host lies outside the unique area of its brick."),
)
"""Exponent of the bit, name, kind and sentence."""


def upgrade() -> None:
    """Create the table and fill it."""
    table = op.create_table(
        "flag_names",
        sa.Column("bit", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.CheckConstraint("kind IN ('loss', 'note')", name=op.f("ck_flag_names_kind_known")),
        sa.PrimaryKeyConstraint("bit", name=op.f("pk_flag_names")),
        sa.UniqueConstraint("name", name=op.f("uq_flag_names_name")),
    )
    rows = [{"bit": 1 << shift, "name": name, "kind": kind, "sentence": sentence} for shift, name, kind, sentence in FLAGS]
    op.bulk_insert(table, rows)


def downgrade() -> None:
    """Drop it."""
    op.drop_table("flag_names")
