"""Named laws of the frozen variables: each draw is the inverse distribution function at a hashed uniform number.

A prior's name holds its values (``disc_0.8``, ``uniform_0.05_0.5``), or stands for them (``reference``, ``arcs_observed``, and the names
that the file ``priors.toml`` beside the grids gives). Names and values enter the physical id: another law makes other injections.
"""

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import pi
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from halo_core.errors import ConfigurationError
from halo_core.seeds import canonical_json, uniforms
from halo_core.stages.laws import KINDS, numbers_of, parse_law, split_name

Array = NDArray[np.float64]

COLOURS: dict[str, tuple[float, ...]] = {
    "reference": (0.2, 0.2, 0.1, 0.2, -0.5, 1.5),
    "arcs_observed": (1.15, 0.30, 0.85, 0.20, -0.5, 3.0),
}
"""Intrinsic source colours: g-r mean and sigma, r-z mean and sigma, lower and upper clamp [AB mag]."""

STREAMS = ("src_radius", "src_direction", "src_phi", "lens_phi", "shear_phi", "lens_e", "src_gr", "src_rz")
"""One stream of uniform numbers per frozen variable, named by its purpose."""

PRIORS_FILE = "priors.toml"
"""File of named laws in a folder of grids: one table per purpose or grid axis, one ``name = "law"`` per line."""

_OWN_NAME = re.compile(r"[a-z][a-z0-9_]*")
_ELLIPTICITY_MAX = 0.95
_SERSIC_RANGE = (0.3, 6.0)


@dataclass(frozen=True)
class Priors:
    """The laws of one manifest, parsed: made by ``parse_priors``.

    ``values`` holds the numbers of each law by its purpose; ``names`` what the configuration called them.
    """

    names: Mapping[str, str]
    values: Mapping[str, tuple[float, ...] | str]

    def text(self) -> str:
        """Return names and values as one canonical text: the part of the physical id that stands for the priors."""
        return canonical_json({key: [self.names[key], self.values[key]] for key in sorted(self.names)})


def parse_priors(names: Mapping[str, str]) -> Priors:
    """Return the laws that these names stand for.

    Parameters
    ----------
    names : mapping of str to str
        Law by purpose, each as written here or as ``<name>=<law>`` (see ``with_named_laws``), all of: src_offset ``disc_<f>`` (uniform in
        area inside f theta_e), src_phi, lens_phi and shear_phi ``uniform_0_pi``, lens_e ``uniform_<lower>_<upper>``, src_colours
        ``reference``, ``arcs_observed`` or ``normal_<g-r>_<sigma>_<r-z>_<sigma>_<lower>_<upper>``, src_n_sersic ``fixed_<n>``,
        lens_model ``SIE``.

    Raises
    ------
    ConfigurationError
        A purpose is missing or unknown, a name is not of these forms, or its numbers are out of range.
    """
    if set(names) != set(_PARSERS):
        raise ConfigurationError(f"priors are given for {sorted(names)}; expected exactly {sorted(_PARSERS)}")
    written = {key: split_name(text) for key, text in names.items()}
    values = {key: _PARSERS[key](key, form) for key, (_, form) in sorted(written.items())}
    return Priors(names={key: name for key, (name, _) in written.items()}, values=values)


def load_named_laws(folder: Path) -> dict[str, dict[str, str]]:
    """Return the laws that a folder of grids names: by purpose or grid axis, then by name; none where it holds no ``priors.toml``.

    Raises
    ------
    ConfigurationError
        The file is not TOML, holds something else than tables of texts, or a law or its name cannot be used.
    """
    path = folder / PRIORS_FILE
    if not path.exists():
        return {}
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"file of priors {path} is not valid TOML: {error}") from error
    for purpose, laws in content.items():
        if not isinstance(laws, dict) or not all(isinstance(law, str) for law in laws.values()):
            raise ConfigurationError(f'file of priors {path}: {purpose} must be a table of name = "law", it is {laws!r}')
        for name, law in laws.items():
            _check_named(f"file of priors {path}: [{purpose}] {name}", purpose, name, law)
    return content


def with_named_laws(names: Mapping[str, str], named: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return the laws by purpose, those that a file names written as ``<name>=<law>``, so that both enter every identity."""
    return {key: f"{name}={named[key][name]}" if name in named.get(key, {}) else name for key, name in names.items()}


def _check_named(where: str, purpose: str, name: str, law: str) -> None:
    """Raise unless the name is free and stands for a law of its purpose (of any one quantity, where the purpose is a grid axis)."""
    if not _OWN_NAME.fullmatch(name) or name in COLOURS or name.partition("_")[0] in (*KINDS, "disc") or "=" in law:
        raise ConfigurationError(
            f"{where} = {law!r}: a name is lower-case letters, digits and _, begins with no kind of law and is none of {', '.join(COLOURS)}"
        )
    if purpose in _PARSERS:
        _PARSERS[purpose](purpose, law)
    else:
        parse_law(where, law)


def stream_uniforms(physical_ids: Sequence[str]) -> dict[str, Array]:
    """Return the uniform numbers of every stream, each of shape (n,), in the open interval (0, 1)."""
    return {stream: uniforms(physical_ids, stream) for stream in STREAMS}


def draw(priors: Priors, u: Mapping[str, Array], *, theta_e_arcsec: Array) -> dict[str, Array]:
    """Return the frozen variables of n injections.

    Parameters
    ----------
    priors : Priors
        The laws.
    u : mapping of str to ndarray, shape (n,)
        Uniform numbers by stream, from ``stream_uniforms``.
    theta_e_arcsec : ndarray, shape (n,)
        Einstein radius [arcsec]; > 0.

    Returns
    -------
    dict of str to ndarray, shape (n,)
        Manifest columns: source offset relative to the lens [arcsec] and its density [arcsec^-2], angles in [0, pi) [rad],
        lens ellipticity, intrinsic colours [AB mag], Sersic index.
    """
    (disc_frac,) = _numbers(priors, "src_offset")
    radius_max = disc_frac * theta_e_arcsec
    radius, direction = radius_max * np.sqrt(u["src_radius"]), 2.0 * pi * u["src_direction"]
    lower, upper = _numbers(priors, "lens_e")
    gr_mean, gr_sigma, rz_mean, rz_sigma, bluest, reddest = _numbers(priors, "src_colours")
    (n_sersic,) = _numbers(priors, "src_n_sersic")
    return {
        "src_x_arcsec": radius * np.cos(direction),
        "src_y_arcsec": radius * np.sin(direction),
        "src_offset_density_arcsec_m2": 1.0 / (pi * radius_max**2),
        "src_phi_rad": pi * u["src_phi"],
        "lens_phi_rad": pi * u["lens_phi"],
        "shear_phi_rad": pi * u["shear_phi"],
        "lens_e": lower + (upper - lower) * u["lens_e"],
        "src_gr": np.clip(gr_mean + gr_sigma * ndtri(u["src_gr"]), bluest, reddest),
        "src_rz": np.clip(rz_mean + rz_sigma * ndtri(u["src_rz"]), bluest, reddest),
        "src_n_sersic": np.full(len(theta_e_arcsec), n_sersic),
    }


def colour_range(priors: Priors) -> tuple[float, float]:
    """Return the limits that intrinsic source colours are clamped to [AB mag]."""
    *_, bluest, reddest = _numbers(priors, "src_colours")
    return bluest, reddest


def _numbers(priors: Priors, key: str) -> tuple[float, ...]:
    """Return the numbers of one law."""
    values = priors.values[key]
    if isinstance(values, str):
        raise ConfigurationError(f"prior {key} is {values!r}, which holds no numbers")
    return values


def _split(key: str, name: str, kind: str, n: int) -> tuple[float, ...]:
    """Return the n numbers of a name such as ``uniform_0.05_0.5``."""
    return numbers_of(f"prior {key}", name, kind, n)


def _require(condition: bool, key: str, name: str, limit: str) -> None:
    """Raise where a law's numbers are out of range."""
    if not condition:
        raise ConfigurationError(f"prior {key}: {name!r} is out of range: {limit}")


def _disc(key: str, name: str) -> tuple[float, ...]:
    values = _split(key, name, "disc", 1)
    _require(0.0 < values[0] <= 5.0, key, name, "0 < radius / theta_e <= 5")
    return values


def _half_turn(key: str, name: str) -> tuple[float, ...]:
    if name != "uniform_0_pi":
        raise ConfigurationError(f"prior {key}: {name!r} is unknown; the choice is uniform_0_pi")
    return (0.0, pi)


def _ellipticity(key: str, name: str) -> tuple[float, ...]:
    values = _split(key, name, "uniform", 2)
    _require(0.0 <= values[0] < values[1] <= _ELLIPTICITY_MAX, key, name, f"0 <= lower < upper <= {_ELLIPTICITY_MAX}")
    return values


def _colours(key: str, name: str) -> tuple[float, ...]:
    values = COLOURS[name] if name in COLOURS else _split(key, name, "normal", 6)
    _require(values[1] > 0.0 and values[3] > 0.0 and values[4] < values[5], key, name, "sigmas > 0, lower clamp < upper clamp")
    return values


def _sersic(key: str, name: str) -> tuple[float, ...]:
    values = _split(key, name, "fixed", 1)
    _require(_SERSIC_RANGE[0] <= values[0] <= _SERSIC_RANGE[1], key, name, f"{_SERSIC_RANGE[0]} <= n <= {_SERSIC_RANGE[1]}")
    return values


def _model(key: str, name: str) -> str:
    if name != "SIE":
        raise ConfigurationError(f"prior {key}: {name!r} is unknown; the choice is SIE")
    return name


_PARSERS: dict[str, Callable[[str, str], tuple[float, ...] | str]] = {
    "src_offset": _disc,
    "src_phi": _half_turn,
    "lens_phi": _half_turn,
    "shear_phi": _half_turn,
    "lens_e": _ellipticity,
    "src_colours": _colours,
    "src_n_sersic": _sersic,
    "lens_model": _model,
}
