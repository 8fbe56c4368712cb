"""Laws of one quantity: how it is drawn from a uniform number, and with what density.

A law is written ``<kind>_<numbers>``: ``fixed_<x>``, ``uniform_<lower>_<upper>``, ``loguniform_<lower>_<upper>``,
``powerlaw_<index>_<lower>_<upper>`` (density proportional to x^index) or ``normal_<mean>_<sigma>_<lower>_<upper>`` (cut at its limits,
not clamped). A law with a name of its own is written ``<name>=<law>``.
"""

from dataclasses import dataclass
from math import isfinite, pi

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from halo_core.errors import ConfigurationError

Array = NDArray[np.float64]

KINDS = {"fixed": 1, "uniform": 2, "loguniform": 2, "powerlaw": 3, "normal": 4}
"""Kinds of laws, and how many numbers each takes."""

_LEAST_MASS = 1e-4
"""Share of a normal law that its limits must hold: below it the inverse distribution function loses digits."""


@dataclass(frozen=True)
class Law:
    """The law of one quantity; made by ``parse_law``.

    Parameters
    ----------
    name : str
        Its own name, or what it is written as.
    kind : str
        Family.
    numbers : tuple of float
        As written.
    """

    name: str
    kind: str
    numbers: tuple[float, ...]

    @property
    def support(self) -> tuple[float, float]:
        """Return the least and the largest value."""
        return self.numbers[-2:] if self.kind != "fixed" else 2 * self.numbers  # type: ignore[return-value]

    def draw(self, u: Array) -> Array:
        """Return the values at uniform numbers in (0, 1), same shape: the inverse distribution function."""
        lower, upper = self.support
        match self.kind:
            case "fixed":
                return np.full(np.shape(u), lower)
            case "uniform":
                values = lower + (upper - lower) * u
            case "normal":
                mean, sigma = self.numbers[:2]
                below = ndtr((lower - mean) / sigma)
                values = mean + sigma * ndtri(below + u * (ndtr((upper - mean) / sigma) - below))
            case _:
                values = _power_quantile(u, self._index, lower, upper)
        return np.clip(values, lower, upper)

    def density(self, values: Array) -> Array:
        """Return the probability density at values, same shape [one over their unit]; 0 outside the support.

        A fixed value is a point mass and has no density: it counts as 1, and 0 elsewhere.
        """
        lower, upper = self.support
        inside = (values >= lower) & (values <= upper)
        match self.kind:
            case "fixed":
                density = np.ones(np.shape(values))
            case "uniform":
                density = np.full(np.shape(values), 1.0 / (upper - lower))
            case "normal":
                mean, sigma = self.numbers[:2]
                mass = ndtr((upper - mean) / sigma) - ndtr((lower - mean) / sigma)
                density = np.exp(-0.5 * ((values - mean) / sigma) ** 2) / (np.sqrt(2.0 * pi) * sigma * mass)
            case _:
                density = np.where(inside, values, lower) ** self._index / _power_integral(self._index, lower, upper)
        return np.where(inside, density, 0.0)

    @property
    def _index(self) -> float:
        """Return the exponent of a power law; log-uniform is the one of index -1."""
        return self.numbers[0] if self.kind == "powerlaw" else -1.0


def parse_law(where: str, text: str) -> Law:
    """Return the law that a text stands for.

    Parameters
    ----------
    where : str
        What an error message calls the place.
    text : str
        ``<kind>_<numbers>`` or ``<name>=<kind>_<numbers>``.

    Raises
    ------
    ConfigurationError
        The kind is unknown, numbers are missing or not finite, limits do not rise, a logarithmic or power law reaches down to 0, or the
        limits of a normal law hold too little of it.
    """
    name, written = split_name(text)
    kind = written.partition("_")[0]
    if kind not in KINDS:
        raise ConfigurationError(f"{where}: law {written!r} is unknown; the choice is {', '.join(KINDS)}, each with its numbers")
    law = Law(name, kind, numbers_of(where, written, kind, KINDS[kind]))
    _check_law(law, f"{where}: {written!r} is out of range")
    return law


def split_name(text: str) -> tuple[str, str]:
    """Return the name and the form of ``<name>=<form>``; a form alone is its own name."""
    name, equals, written = text.partition("=")
    return (name, written) if equals else (text, text)


def numbers_of(where: str, written: str, kind: str, n: int) -> tuple[float, ...]:
    """Return the n numbers of a form such as ``uniform_0.05_0.5``.

    Raises
    ------
    ConfigurationError
        It is not the kind, an underscore and n finite numbers.
    """
    head, *rest = written.split("_")
    try:
        values = tuple(float(item) for item in rest)
    except ValueError as error:
        raise ConfigurationError(f"{where}: {written!r} is not {kind}_ and {n} numbers") from error
    if head != kind or len(values) != n or not all(isfinite(value) for value in values):
        raise ConfigurationError(f"{where}: {written!r} is not {kind}_ and {n} numbers")
    return values


def _check_law(law: Law, complaint: str) -> None:
    """Raise where a law's numbers are out of range."""
    if law.kind == "fixed":
        return
    lower, upper = law.support
    if not lower < upper:
        raise ConfigurationError(f"{complaint}: lower < upper")
    if law.kind in ("loguniform", "powerlaw") and not lower > 0.0:
        raise ConfigurationError(f"{complaint}: a logarithmic or power law needs lower > 0")
    if law.kind == "normal":
        mean, sigma = law.numbers[:2]
        if not sigma > 0.0:
            raise ConfigurationError(f"{complaint}: sigma > 0")
        mass = float(ndtr((upper - mean) / sigma) - ndtr((lower - mean) / sigma))
        if not mass >= _LEAST_MASS:
            raise ConfigurationError(f"{complaint}: its limits hold a share of {mass:.3g} of the normal law, at least {_LEAST_MASS:g}")


def _power_quantile(u: Array, index: float, lower: float, upper: float) -> Array:
    """Return the inverse distribution function of x^index between limits; exact also where the index comes near -1."""
    power, span = index + 1.0, np.log(upper / lower)
    steps = u * span if power == 0.0 else np.log1p(u * np.expm1(power * span)) / power
    return np.asarray(lower * np.exp(steps))


def _power_integral(index: float, lower: float, upper: float) -> float:
    """Return the integral of x^index between limits."""
    power, span = index + 1.0, np.log(upper / lower)
    return float(span if power == 0.0 else lower**power * np.expm1(power * span) / power)
