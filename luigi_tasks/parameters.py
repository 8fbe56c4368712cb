"""Luigi parameter types of this project, and where their values stand in the configuration."""

from typing import Any

import luigi

from halo_core.errors import ConfigurationError


def campaign_parameter(kind: type[luigi.Parameter], name: str, description: str, **options: Any) -> Any:
    """Return a parameter whose value stands in [campaign] unless a flag gives it; there is no default in the code."""
    return configured(kind, "campaign", name, description, **options)


def configured(kind: type[luigi.Parameter], section: str, name: str, description: str, **options: Any) -> Any:
    """Return a parameter whose value stands in a section of the configuration unless a flag gives it."""
    place = {"section": section, "name": name}
    return kind(config_path=place, description=f"{description} [{section}] {name}", positional=False, **options)


class NamesParameter(luigi.Parameter):
    """Names separated by commas; a tuple of str."""

    def parse(self, x: str) -> tuple[str, ...]:
        """Read ``a,b``."""
        return tuple(word.strip() for word in x.split(",") if word.strip())

    def serialize(self, x: tuple[str, ...]) -> str:
        """Write ``a,b``."""
        return ",".join(x)

    def normalize(self, x: Any) -> tuple[str, ...]:
        """Accept any sequence of names."""
        return self.parse(x) if isinstance(x, str) else tuple(x)


class SizesParameter(luigi.Parameter):
    """Whole numbers separated by commas; a tuple of int."""

    def parse(self, x: str) -> tuple[int, ...]:
        """Read ``64,96``."""
        try:
            return tuple(int(word) for word in x.split(",") if word.strip())
        except ValueError as error:
            raise ConfigurationError(f"stamp sizes {x!r}: whole numbers separated by commas are expected, such as 64,96") from error

    def serialize(self, x: tuple[int, ...]) -> str:
        """Write ``64,96``."""
        return ",".join(str(size) for size in x)

    def normalize(self, x: Any) -> tuple[int, ...]:
        """Accept any sequence of sizes."""
        return self.parse(x) if isinstance(x, str) else tuple(int(size) for size in x)


class NumbersParameter(luigi.Parameter):
    """Numbers by name, ``train:0.70,val:0.15``; a tuple of (str, float) pairs in the order given."""

    def parse(self, x: str) -> tuple[tuple[str, float], ...]:
        """Read ``name:number`` pairs."""
        try:
            pairs = [word.split(":") for word in x.split(",") if word.strip()]
            return tuple((name.strip(), float(number)) for name, number in pairs)
        except ValueError as error:
            raise ConfigurationError(f"{x!r}: name:number pairs separated by commas are expected, such as train:0.70,val:0.15") from error

    def serialize(self, x: tuple[tuple[str, float], ...]) -> str:
        """Write ``name:number`` pairs."""
        return ",".join(f"{name}:{number!r}" for name, number in x)

    def normalize(self, x: Any) -> tuple[tuple[str, float], ...]:
        """Accept pairs or text."""
        return self.parse(x) if isinstance(x, str) else tuple((str(name), float(number)) for name, number in x)


class EdgesParameter(luigi.Parameter):
    """Rising numbers separated by commas; a tuple of float."""

    def parse(self, x: str) -> tuple[float, ...]:
        """Read ``0.4,0.6``."""
        try:
            return tuple(float(word) for word in x.split(",") if word.strip())
        except ValueError as error:
            raise ConfigurationError(f"edges {x!r}: numbers separated by commas are expected, such as 0.4,0.6") from error

    def serialize(self, x: tuple[float, ...]) -> str:
        """Write ``0.4,0.6``."""
        return ",".join(repr(edge) for edge in x)

    def normalize(self, x: Any) -> tuple[float, ...]:
        """Accept any sequence of numbers."""
        return self.parse(x) if isinstance(x, str) else tuple(float(edge) for edge in x)


class SwitchParameter(luigi.Parameter):
    """true or false; unlike Luigi's own it has no default, so that a configuration must say which."""

    def parse(self, x: str) -> bool:
        """Read ``true`` or ``false``."""
        if x not in ("true", "false"):
            raise ConfigurationError(f"switch {x!r}: true or false is expected")
        return x == "true"

    def serialize(self, x: bool) -> str:
        """Write ``true`` or ``false``."""
        return "true" if x else "false"

    def normalize(self, x: Any) -> bool:
        """Accept a truth value or text."""
        return self.parse(x) if isinstance(x, str) else bool(x)
