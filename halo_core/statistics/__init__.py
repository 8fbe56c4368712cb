"""Proportions counted honestly: binomial intervals, sky clusters, weights, scatter between regions."""

from halo_core.statistics.clustering import ClusteredInterval, clustered_interval
from halo_core.statistics.intervals import LEVEL_68, LEVEL_95, clopper_pearson_interval, jeffreys_interval, wilson_interval
from halo_core.statistics.regions import RegionScatter, between_region_scatter
from halo_core.statistics.weights import WeightedInterval, weighted_interval

__all__ = [
    "LEVEL_68",
    "LEVEL_95",
    "ClusteredInterval",
    "RegionScatter",
    "WeightedInterval",
    "between_region_scatter",
    "clopper_pearson_interval",
    "clustered_interval",
    "jeffreys_interval",
    "weighted_interval",
    "wilson_interval",
]
