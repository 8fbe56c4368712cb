"""The parameters every entry task takes, the configuration of each stage, and the digest that names each stage's output.

A value comes from the flag, else from [campaign] (or [survey], [objects], [state]) of luigi.cfg and of the file LUIGI_CONFIG_PATH names.
"""

from functools import cached_property

import luigi

from halo_core.constants import BANDS, SPLITS
from halo_core.errors import ConfigurationError
from halo_core.stages.criteria import Criterion, proxy_reference, score_criteria, snr_matched
from halo_core.stages.grids import Grid, PopulationGrid, load_grid
from halo_core.stages.injection import InjectionConfig
from halo_core.stages.manifest_config import ManifestConfig
from halo_core.stages.parent_config import EXTERNAL, ParentConfig
from halo_core.stages.parent_cuts import UserCut
from halo_core.stages.priors import load_named_laws, with_named_laws
from halo_core.stages.selection_sets import SelectionSet, parse_selection_sets
from halo_core.stages.summary_config import SummaryConfig
from halo_core.survey import regions
from luigi_tasks.objects import Objects, open_objects
from luigi_tasks.parameters import (
    EdgesParameter,
    NamesParameter,
    NumbersParameter,
    SizesParameter,
    SwitchParameter,
    campaign_parameter,
    configured,
)
from luigi_tasks.places import SurveyPlace, grid_folder, survey_place

SELECTION = "selection"
"""Value of --parent that means: select from the survey's own catalogue."""


class CampaignTask(luigi.Task):
    """A task that knows the whole campaign: where things live, what is planned, how it is counted."""

    survey_root = configured(luigi.Parameter, "survey", "root", "mock, or the folder, s3://bucket/prefix or https://host/path of coadd/.")
    survey_release = configured(luigi.Parameter, "survey", "release", "Release of the survey, part of what coadds are known by.")
    parent = configured(luigi.Parameter, "survey", "parent", "selection, or a CSV, FITS or Parquet table of targets in its place.")
    parent_table = configured(
        luigi.ChoiceParameter,
        "survey",
        "parent_table",
        "What a table given as parent is: targets, taken whole, or compact, to which variant and brick limits are applied.",
        choices=["targets", "compact"],
        default="targets",
    )
    bricks_table = configured(
        luigi.Parameter, "survey", "bricks_table", "Table of bricks in the survey's place, with regions where it has some.", default=""
    )
    region_selections = configured(
        luigi.Parameter, "survey", "region_selections", "Table of selection sets over the regions of bricks_table.", default=""
    )
    scores = configured(
        luigi.Parameter, "summary", "scores", "Table of a detector's scores by task_id; empty: no detector is measured.", default=""
    )
    cache_mode = configured(
        luigi.ChoiceParameter,
        "cache",
        "mode",
        "What stays of a plane: whole, its file, or sections, the cut-outs of this campaign's hosts.",
        choices=["whole", "sections"],
        default="whole",
    )
    objects_root = configured(luigi.Parameter, "objects", "root", "Folder or s3://bucket/prefix of the objects.", significant=False)
    state_url = configured(
        luigi.Parameter,
        "state",
        "url",
        "SQLAlchemy URL of the state, without a password.",
        significant=False,
        visibility=luigi.parameter.ParameterVisibility.HIDDEN,
    )
    state_parents = configured(
        SwitchParameter, "state", "parents", "Whether the state holds a row per parent: true or false.", significant=False, default=True
    )
    grid_path = configured(luigi.Parameter, "grids", "path", "Folder of your own grid files; empty for the shipped ones.")

    campaign_name = campaign_parameter(luigi.Parameter, "campaign_name", "A label for people, in no digest.", significant=False)
    variant = campaign_parameter(luigi.Parameter, "variant", "LRG selection: v1_pure_massive .. v5_very_relaxed, desi_lrg.")
    ebv_max = campaign_parameter(luigi.FloatParameter, "ebv_max", "Largest E(B-V) of a brick [mag].")
    psfsize_r_max_arcsec = campaign_parameter(luigi.FloatParameter, "psfsize_r_max_arcsec", "Largest r psfsize of a brick [arcsec].")
    psfdepth_r_min_mag = campaign_parameter(luigi.FloatParameter, "psfdepth_r_min_mag", "Least r depth of a brick [AB mag].")
    parent_cuts = campaign_parameter(
        luigi.DictParameter, "parent_cuts", "Cuts of your own: condition on named columns by name (JSON object).", default={}
    )
    healpix_nside = campaign_parameter(luigi.IntParameter, "healpix_nside", "HEALPix nside of the regions that are split.")
    split_fractions = campaign_parameter(NumbersParameter, "split_fractions", "Shares of the splits, train:0.70,val:0.15,test:0.15.")
    split_seed = campaign_parameter(luigi.IntParameter, "split_seed", "Seed of the split.")
    selection_sets = campaign_parameter(
        luigi.Parameter, "selection_sets", "Sets of regions that hosts are drawn from (JSON list); empty: all regions.", default=""
    )

    tiers = campaign_parameter(NamesParameter, "tiers", "Tiers to plan: debug,grid,train.")
    splits = campaign_parameter(NamesParameter, "splits", "Splits to plan: train,val,test.")
    stamp_sizes = campaign_parameter(SizesParameter, "stamp_sizes", "Stamp sizes, such as 64,96 [pix].")
    bandsets = campaign_parameter(NamesParameter, "bandsets", "Band sets, such as grz.")
    n_total_train_per_split = campaign_parameter(
        luigi.IntParameter, "n_total_train_per_split", "Train tier: tasks per split and replicate."
    )
    n_per_config_grid = campaign_parameter(luigi.IntParameter, "n_per_config_grid", "Grid tier: hosts per configuration and split.")
    n_per_config_debug = campaign_parameter(luigi.IntParameter, "n_per_config_debug", "Debug tier: hosts per configuration and split.")
    replicates = campaign_parameter(luigi.IntParameter, "replicates", "Times each host and configuration is drawn anew.")
    control_frac_train = campaign_parameter(luigi.FloatParameter, "control_frac_train", "Share of controls in the train tier.")
    control_frac_grid = campaign_parameter(luigi.FloatParameter, "control_frac_grid", "Share of controls in the grid tier.")
    control_frac_debug = campaign_parameter(luigi.FloatParameter, "control_frac_debug", "Share of controls in the debug tier.")
    sampling_seed = campaign_parameter(luigi.IntParameter, "sampling_seed", "Seed of the host draw and of every frozen variable.")
    grid_debug = campaign_parameter(luigi.Parameter, "grid_debug", "Grid of the debug tier.")
    grid_grid = campaign_parameter(luigi.Parameter, "grid_grid", "Grid of the grid tier.")
    grid_train = campaign_parameter(luigi.Parameter, "grid_train", "Grid of the train tier.")
    priors = campaign_parameter(luigi.DictParameter, "priors", "Named law of each frozen variable (JSON object).")
    on_shortage = campaign_parameter(luigi.ChoiceParameter, "on_shortage", "Too few hosts: error or reduce.", choices=["error", "reduce"])
    max_total_tasks = campaign_parameter(
        luigi.IntParameter, "max_total_tasks", "A plan above this many tasks stops before anything is written."
    )
    block_max_injections = campaign_parameter(luigi.IntParameter, "block_max_injections", "Most physical injections in a block.")
    block_max_bricks = campaign_parameter(luigi.IntParameter, "block_max_bricks", "Most bricks in a block.")

    psf_model = campaign_parameter(luigi.ChoiceParameter, "psf_model", "Profile of the PSF.", choices=["moffat", "gaussian"])
    renderer = campaign_parameter(luigi.ChoiceParameter, "renderer", "Rendering engine.", choices=["adaptive", "galsim"])
    effort = campaign_parameter(luigi.FloatParameter, "effort", "Error control of the renderer, 1 for the documented accuracy.")
    shot_noise = campaign_parameter(SwitchParameter, "shot_noise", "Poisson noise of the arc's own photons: true or false.")

    snr_peak_pixel_min = campaign_parameter(luigi.FloatParameter, "snr_peak_pixel_min", "proxy_reference: least peak-pixel S/N in r.")
    resolution_min = campaign_parameter(luigi.FloatParameter, "resolution_min", "proxy_reference: least theta_e / psf_fwhm in r.")
    snr_matched_min = campaign_parameter(luigi.FloatParameter, "snr_matched_min", "snr_matched: least matched S/N in r.")
    score_criteria = campaign_parameter(
        luigi.DictParameter, "score_criteria", "Criteria on the columns of --scores by name (JSON object).", default={}
    )
    cluster_nside = campaign_parameter(
        luigi.IntParameter, "cluster_nside", "HEALPix nside of the sky cells that pooled intervals cluster by."
    )
    min_n = campaign_parameter(luigi.IntParameter, "min_n", "Cells with fewer evaluated injections show no number.")
    clean_max_bad_pixel_frac = campaign_parameter(
        luigi.FloatParameter, "clean_max_bad_pixel_frac", "clean subset: largest share of bad pixels."
    )
    clean_max_wise_frac = campaign_parameter(luigi.FloatParameter, "clean_max_wise_frac", "clean subset: largest share on WISE masks.")

    psf_fwhm_bin_width_arcsec = campaign_parameter(luigi.FloatParameter, "psf_fwhm_bin_width_arcsec", "Width of the seeing bins [arcsec].")
    psfdepth_bin_width_mag = campaign_parameter(luigi.FloatParameter, "psfdepth_bin_width_mag", "Width of the depth bins [mag].")
    resolution_edges = campaign_parameter(EdgesParameter, "resolution_edges", "Edges of the theta_e / psf_fwhm bins.")
    snr_matched_r_edges = campaign_parameter(EdgesParameter, "snr_matched_r_edges", "Edges of the matched S/N bins.")

    model_fit_split = campaign_parameter(luigi.ChoiceParameter, "model_fit_split", "Split smooth models are fitted to.", choices=SPLITS)
    model_held_out_split = campaign_parameter(
        luigi.ChoiceParameter, "model_held_out_split", "Split smooth models are checked on.", choices=SPLITS
    )
    model_level = campaign_parameter(luigi.FloatParameter, "model_level", "Two-sided level of the smooth models' intervals.")

    def __repr__(self) -> str:
        """Return the task's name, its campaign and what is its own; the campaign's parameters would fill the screen."""
        shared = set(CampaignTask.get_param_names(include_significant=True))
        own = {name: value for name, value in self.to_str_params().items() if name not in shared}
        return f"{self.task_family}({', '.join([f'campaign={self.campaign_name}', *(f'{name}={value}' for name, value in own.items())])})"

    @cached_property
    def objects(self) -> Objects:
        """The object store of the campaign."""
        return open_objects(self.objects_root)

    @cached_property
    def survey(self) -> SurveyPlace:
        """The survey: its place and what it is known by."""
        return survey_place(self.survey_root, self.survey_release, self.objects)

    @cached_property
    def bands(self) -> tuple[str, ...]:
        """Every band of the bandsets, in survey order."""
        unknown = sorted({letter for bandset in self.bandsets for letter in bandset} - set(BANDS))
        if unknown:
            raise ConfigurationError(f"bandsets {self.bandsets}: unknown bands {unknown}; this project knows {''.join(BANDS)}")
        return tuple(band for band in BANDS if any(band in bandset for bandset in self.bandsets))

    def parent_config(self) -> ParentConfig:
        """Return what decides the parent catalogue."""
        return ParentConfig(
            variant=EXTERNAL if self.parent != SELECTION and self.parent_table == "targets" else self.variant,
            ebv_max=self.ebv_max,
            psfsize_r_max_arcsec=self.psfsize_r_max_arcsec,
            psfdepth_r_min_mag=self.psfdepth_r_min_mag,
            healpix_nside=self.healpix_nside,
            split_seed=self.split_seed,
            split_fractions=dict(self.split_fractions),
            guard_arcsec=regions.guard_arcsec(max(self.stamp_sizes)),
            cuts=tuple(UserCut(name, str(expression)) for name, expression in self.parent_cuts.items()),
        )

    def region_sets(self) -> tuple[SelectionSet, ...]:
        """Return how the campaign's selection sets choose their regions; none where hosts are drawn everywhere."""
        return parse_selection_sets(self.selection_sets)

    def manifest_config(self) -> ManifestConfig:
        """Return what decides the manifest."""
        return ManifestConfig(
            tiers=self.tiers,
            stamp_sizes=self.stamp_sizes,
            bandsets=self.bandsets,
            splits=self.splits,
            n_total_train_per_split=self.n_total_train_per_split,
            n_per_config={"grid": self.n_per_config_grid, "debug": self.n_per_config_debug},
            replicates=self.replicates,
            control_frac={"train": self.control_frac_train, "grid": self.control_frac_grid, "debug": self.control_frac_debug},
            grids={"debug": self.grid_debug, "grid": self.grid_grid, "train": self.grid_train},
            priors=with_named_laws(dict(self.priors), load_named_laws(grid_folder(self.grid_path))),
            split_seed=self.split_seed,
            sampling_seed=self.sampling_seed,
            on_shortage=self.on_shortage,
            max_total_tasks=self.max_total_tasks,
            block_max_injections=self.block_max_injections,
            block_max_bricks=self.block_max_bricks,
        )

    def grids(self) -> dict[str, Grid]:
        """Return the grids of the planned tiers, by name."""
        config = self.manifest_config()
        names = sorted({config.grids[tier] for tier in config.tiers})
        return {name: load_grid(name, grid_folder(self.grid_path)) for name in names}

    def injection_config(self) -> InjectionConfig:
        """Return what decides the pixels."""
        return InjectionConfig(
            psf_model=self.psf_model,
            renderer=self.renderer,
            effort=self.effort,
            store_size_pix=max(self.stamp_sizes),
            bands=self.bands,
            shot_noise=self.shot_noise,
        )

    def detector_criteria(self) -> tuple[Criterion, ...]:
        """Return the criteria on a detector's scores; none without a table of them.

        Raises
        ------
        ConfigurationError
            Of table and criteria only one is given, or a criterion is not of its form.
        """
        if bool(self.scores) != bool(self.score_criteria):
            raise ConfigurationError(
                f"--scores {self.scores!r} and --score-criteria {dict(self.score_criteria)!r}: give both, the table and what its "
                "columns must reach, or neither"
            )
        return score_criteria(self.score_criteria)

    def summary_config(self) -> SummaryConfig:
        """Return what decides the completeness; the criteria on scores are added where a table of them is given."""
        return SummaryConfig(
            criteria=(
                proxy_reference(snr_peak_pixel_r_min=self.snr_peak_pixel_min, resolution_min=self.resolution_min),
                snr_matched(snr_matched_r_min=self.snr_matched_min),
                *self.detector_criteria(),
            ),
            absolute_magnitude_grids=tuple(name for name, grid in self.grids().items() if grid.mag_kind == "src_mag_r"),
            cluster_nside=self.cluster_nside,
            min_n=self.min_n,
            clean_max_bad_pixel_frac=self.clean_max_bad_pixel_frac,
            clean_max_wise_frac=self.clean_max_wise_frac,
            psf_fwhm_bin_width_arcsec=self.psf_fwhm_bin_width_arcsec,
            psfdepth_bin_width_mag=self.psfdepth_bin_width_mag,
            resolution_edges=self.resolution_edges,
            snr_matched_r_edges=self.snr_matched_r_edges,
            model_fit_split=self.model_fit_split,
            model_held_out_split=self.model_held_out_split,
            model_level=self.model_level,
            population_grids=tuple(name for name, grid in self.grids().items() if isinstance(grid, PopulationGrid)),
        )
