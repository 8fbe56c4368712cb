"""Which selection sets hold which regions; and the density that a population grid drew a task's parameters with, which v_task_full shows.

Revision ID: 0019
Revises: 0018
"""

import sqlalchemy as sa
from alembic import context, op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

COMMENTS = {
    ("region_selections", ""): "One row per selection set and region that it holds.",
    ("region_selections", "stage_digest"): "digest of the stage the row belongs to",
    ("region_selections", "selection_set_id"): "name of the set",
    ("region_selections", "selection_strategy"): "how the set chose: top_k, stratified, or as given",
    ("region_selections", "ranking_mode"): "what it ranked regions by: density, count, area, psf_quality, or as given",
    ("region_selections", "region_id"): "HEALPix cell (nested), or the given region",
    ("region_selections", "region_split"): "train, val or test",
    ("region_selections", "region_rank"): "1-based rank in its split (top_k) or bin and split (stratified); NULL where given",
    ("region_selections", "region_bin"): "0-based quantile bin of the ranked quantity; NULL where given",
    ("region_selections", "n_bricks"): "bricks that hold parents of the region",
    ("region_selections", "area_deg2"): "[deg^2] area of these bricks; NULL where no parent is",
    ("region_selections", "n_parents"): "parents of the region",
    ("region_selections", "n_hosts"): "parents outside the guard band",
    ("region_selections", "density_deg2"): "[deg^-2] n_parents / area_deg2",
    ("region_selections", "psfsize_r_median_arcsec"): "[arcsec] over the parents",
    ("region_selections", "psfdepth_r_median_mag"): "[AB mag] over the parents",
    (
        "injection_tasks",
        "proposal_density",
    ): "[arcsec^-2 mag^-1] density a population grid drew the parameters with; NULL otherwise",
}
_TABLE = sa.table("comments", sa.column("relation"), sa.column("column_name"), sa.column("sentence"))


def upgrade() -> None:
    """Make the table and the column, make the views again with it, and say what they are."""
    op.create_table(
        "region_selections",
        sa.Column("stage_digest", sa.Text(), nullable=False),
        sa.Column("selection_set_id", sa.Text(), nullable=False),
        sa.Column("selection_strategy", sa.Text(), nullable=False),
        sa.Column("ranking_mode", sa.Text(), nullable=False),
        sa.Column("region_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("region_split", sa.Text(), nullable=False),
        sa.Column("region_rank", sa.BigInteger(), nullable=True),
        sa.Column("region_bin", sa.BigInteger(), nullable=True),
        sa.Column("n_bricks", sa.BigInteger(), nullable=False),
        sa.Column("area_deg2", sa.Double(), nullable=True),
        sa.Column("n_parents", sa.BigInteger(), nullable=False),
        sa.Column("n_hosts", sa.BigInteger(), nullable=False),
        sa.Column("density_deg2", sa.Double(), nullable=True),
        sa.Column("psfsize_r_median_arcsec", sa.Double(), nullable=True),
        sa.Column("psfdepth_r_median_mag", sa.Double(), nullable=True),
        sa.CheckConstraint("region_split IN ('train', 'val', 'test')", name=op.f("ck_region_selections_split_known")),
        sa.CheckConstraint("n_hosts >= 0 AND n_hosts <= n_parents", name=op.f("ck_region_selections_hosts_are_parents")),
        sa.PrimaryKeyConstraint("stage_digest", "selection_set_id", "region_id", name=op.f("pk_region_selections")),
    )
    context.script.get_revision("0013").module._drop_views()
    op.add_column("injection_tasks", sa.Column("proposal_density", sa.Double(), nullable=True))
    _create_views("t.proposal_density")
    op.bulk_insert(_TABLE, [{"relation": name, "column_name": column, "sentence": said} for (name, column), said in COMMENTS.items()])
    if op.get_bind().dialect.name == "postgresql":
        for (name, column), said in COMMENTS.items():
            place = f"COLUMN {name}.{column}" if column else f"TABLE {name}"
            op.get_bind().execute(sa.text(f"COMMENT ON {place} IS :said"), {"said": said})


def downgrade() -> None:
    """Drop them and make the views again without; the objects keep both."""
    for name, column in COMMENTS:
        op.execute(sa.delete(_TABLE).where(_TABLE.c.relation == name, _TABLE.c.column_name == column))
    context.script.get_revision("0013").module._drop_views()
    op.drop_column("injection_tasks", "proposal_density")
    _create_views()
    op.drop_table("region_selections")


def _create_views(*more: str) -> None:
    """Create the views by the text of the revisions that made them, with these columns more; in Postgres with their comments."""
    tasks, losses, accounting, added, said, joined = (
        context.script.get_revision(number).module for number in ("0009", "0010", "0012", "0013", "0016", "0017")
    )
    is_postgres = op.get_bind().dialect.name == "postgresql"
    columns = [f"t.{name}" for name in tasks.TASK_COLUMNS.split()]
    columns += [f"r.{name}" for name in (*tasks.RESULT_COLUMNS.split(), *added.COLUMNS)]
    text = joined.V_TASK_FULL if is_postgres else tasks.V_TASK_FULL
    for statement in (text.format(columns=", ".join([*columns, *more])), losses.V_LOSSES, accounting.V_ACCOUNTING):
        op.execute(statement)
    for name in ("v_task_full", "v_losses", "v_accounting") if is_postgres else ():
        op.get_bind().execute(sa.text(f"COMMENT ON VIEW {name} IS :sentence"), {"sentence": said.VIEWS[name]})
