"""Laws of the shipped campaigns: the demo can give pooled intervals, the reference plans its exact numbers."""

import configparser
from pathlib import Path

import numpy as np
import pytest

from halo_core.stages.grids import load_grid
from halo_core.stages.priors import parse_priors
from halo_core.survey.mock import MockSurvey, mock_bricks
from halo_core.survey.regions import region_of, split_of
from luigi_tasks import RunCampaign
from luigi_tasks.parameters import NumbersParameter

ROOT = Path(__file__).resolve().parents[1]
LEAST_CELLS = 8


def _campaign(name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read([ROOT / "luigi.cfg", ROOT / f"campaigns/{name}.cfg"])
    return parser


def test_the_demo_has_hosts_in_at_least_eight_sky_cells_of_each_split():
    config = _campaign("demo")
    campaign, mock = config["campaign"], {name: int(value) for name, value in config["mock_survey"].items()}
    bricks = [brick for brick in mock_bricks(MockSurvey(**mock)) if not brick.is_missing]
    ra, dec = np.array([b.ra_deg for b in bricks]), np.array([b.dec_deg for b in bricks])
    regions = region_of(ra, dec, campaign.getint("healpix_nside"))
    fractions = dict(NumbersParameter().parse(campaign["split_fractions"]))
    splits = split_of(regions, split_seed=campaign.getint("split_seed"), fractions=fractions)
    cells = region_of(ra, dec, campaign.getint("cluster_nside"))
    counts = {split: len(set(cells[splits == split].tolist())) for split in ("train", "val", "test")}
    assert min(counts.values()) >= LEAST_CELLS, counts


@pytest.mark.parametrize("name", ["demo", "real_field", "reference"])
def test_a_shipped_campaign_gives_every_parameter_a_value_and_no_other(name):
    campaign = _campaign(name)["campaign"]
    placed = {"survey_root", "survey_release", "parent", "parent_table", "bricks_table", "region_selections"}
    placed |= {"objects_root", "state_url", "state_parents", "grid_path", "plan_only", "cache_mode", "scores"}
    assert set(campaign) == set(RunCampaign.get_param_names(include_significant=True)) - placed
    parse_priors(dict(RunCampaign.priors.parse(campaign["priors"])))
    for tier in ("debug", "grid", "train"):
        assert load_grid(campaign[f"grid_{tier}"], ROOT / "grids").n_configs > 0
