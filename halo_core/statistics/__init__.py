"""Proportions counted honestly: binomial intervals, sky clusters, weights, scatter between regions, a smooth model."""

from halo_core.statistics.clustering import ClusteredInterval, clustered_interval
from halo_core.statistics.completeness_checks import BinnedComparison, check_held_out, compare_with_bins
from halo_core.statistics.completeness_fit import CompletenessSample, FitOutcome, FitStatus, fit_completeness
from halo_core.statistics.completeness_model import CompletenessModel
from halo_core.statistics.intervals import LEVEL_68, LEVEL_95, clopper_pearson_interval, jeffreys_interval, wilson_interval
from halo_core.statistics.regions import RegionScatter, between_region_scatter
from halo_core.statistics.weights import WeightedInterval, weighted_interval

__all__ = [
    "LEVEL_68",
    "LEVEL_95",
    "BinnedComparison",
    "ClusteredInterval",
    "CompletenessModel",
    "CompletenessSample",
    "FitOutcome",
    "FitStatus",
    "RegionScatter",
    "WeightedInterval",
    "between_region_scatter",
    "check_held_out",
    "clopper_pearson_interval",
    "clustered_interval",
    "compare_with_bins",
    "fit_completeness",
    "jeffreys_interval",
    "weighted_interval",
    "wilson_interval",
]
