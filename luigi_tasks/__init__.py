"""The pipeline: `luigi --module luigi_tasks TASK`. Thin tasks of order and completion; what they do is in halo_core.

Workers share a machine by processes, so each computes on one thread unless the environment says otherwise before the import.
"""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

from luigi_tasks.cache import CacheCoadds
from luigi_tasks.figures import DrawFigures
from luigi_tasks.injection import InjectAll
from luigi_tasks.manifest import BuildManifest
from luigi_tasks.parent import BuildParent
from luigi_tasks.report import RenderReport
from luigi_tasks.run import RunCampaign
from luigi_tasks.submit import SubmitEmr
from luigi_tasks.summary import SummariseCompleteness
from luigi_tasks.survey import MakeMockSurvey, ReadSurvey
from luigi_tasks.validation import ValidateCampaign, ValidateStage

__all__ = [
    "BuildManifest",
    "BuildParent",
    "CacheCoadds",
    "DrawFigures",
    "InjectAll",
    "MakeMockSurvey",
    "ReadSurvey",
    "RenderReport",
    "RunCampaign",
    "SubmitEmr",
    "SummariseCompleteness",
    "ValidateCampaign",
    "ValidateStage",
]
