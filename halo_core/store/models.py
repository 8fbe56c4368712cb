"""Every table of the state; importing this module completes `Base.metadata`."""

from halo_core.store.base import Base
from halo_core.store.tables_injection import InjectionResult, InjectionTask, PlannedCount
from halo_core.store.tables_run import Block, Campaign, CampaignStage, FlagName, Stage, ValidationFinding
from halo_core.store.tables_summary import CompletenessCell
from halo_core.store.tables_survey import Brick, CoaddPlane, Parent

__all__ = [
    "Base",
    "Block",
    "Brick",
    "Campaign",
    "CampaignStage",
    "CoaddPlane",
    "CompletenessCell",
    "FlagName",
    "InjectionResult",
    "InjectionTask",
    "Parent",
    "PlannedCount",
    "Stage",
    "ValidationFinding",
]
