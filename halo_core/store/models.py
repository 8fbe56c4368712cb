"""Every table of the state; importing this module completes `Base.metadata`, comments included."""

from collections.abc import Mapping

import pyarrow as pa

from halo_core.records import BRICKS, CELLS, MANIFEST, PARENT_CUTS, PARENTS, PLANES, REGION_SELECTIONS, RESULTS
from halo_core.store.base import Base
from halo_core.store.tables_injection import InjectionResult, InjectionTask, PlannedCount
from halo_core.store.tables_run import Block, Campaign, CampaignStage, Comment, FlagName, Stage, ValidationFinding
from halo_core.store.tables_summary import CompletenessCell
from halo_core.store.tables_survey import Brick, CoaddPlane, Parent, ParentCut, RegionSelection

__all__ = [
    "VIEWS",
    "Base",
    "Block",
    "Brick",
    "Campaign",
    "CampaignStage",
    "CoaddPlane",
    "Comment",
    "CompletenessCell",
    "FlagName",
    "InjectionResult",
    "InjectionTask",
    "Parent",
    "ParentCut",
    "PlannedCount",
    "RegionSelection",
    "Stage",
    "ValidationFinding",
]

VIEWS: Mapping[str, str] = {
    "v_latest_stages": "One row per campaign and stage word: the digest that the campaign's latest run uses.",
    "v_progress": "One row per campaign and stage of the latest run: status, blocks and tasks planned and finished, first and last time.",
    "v_task_full": "One row per task of each campaign's latest run, parameters and seeds beside its result; arc_snr is snr_peak_pixel_r.",
    "v_completeness": "One row per completeness cell of the latest run of each campaign; axes names the columns that vary.",
    "v_losses": "One row per tier, split, stamp size, bandset and loss flag: tasks of the latest run that were lost for this reason.",
    "v_accounting": "One row per tier, split and stamp size of the latest run: planned = built = processed, and injections = summarised.",
}
"""What each view is; the views are made by the migrations."""

_RECORDS: Mapping[type[Base], pa.Schema] = {
    Brick: BRICKS,
    Parent: PARENTS,
    ParentCut: PARENT_CUTS,
    RegionSelection: REGION_SELECTIONS,
    CoaddPlane: PLANES,
    InjectionTask: MANIFEST,
    InjectionResult: RESULTS,
    CompletenessCell: CELLS,
}


def _complete_comments() -> None:
    """Give each table the first sentence of its class as comment, and each column of a record the record's own words."""
    for mapper in Base.registry.mappers:
        words = " ".join(str(mapper.class_.__doc__).split())
        Base.metadata.tables[mapper.class_.__tablename__].comment = words.partition(";")[0].partition(". ")[0].rstrip(".") + "."
    for model, schema in _RECORDS.items():
        for field in schema:
            Base.metadata.tables[model.__tablename__].c[field.name].comment = field.metadata[b"doc"].decode()


_complete_comments()
