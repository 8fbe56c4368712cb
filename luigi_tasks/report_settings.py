"""[report] of luigi.cfg: where the latest report goes, and the formats of its figures."""

from typing import Any

import luigi

from halo_core.errors import ConfigurationError
from luigi_tasks.parameters import NamesParameter

FORMATS = ("png", "pdf")
"""What a figure can be kept as, beside its numbers and its caption."""


class FormatsParameter(NamesParameter):
    """Formats of figures separated by commas; none is a choice too."""

    def normalize(self, x: Any) -> tuple[str, ...]:
        """Return each format once in one order; one that is not known is an error."""
        given = super().normalize(x)
        unknown = sorted(set(given) - set(FORMATS))
        if unknown:
            raise ConfigurationError(
                f"[report] figure_formats {','.join(given)!r}: {', '.join(unknown)} unknown; {', '.join(FORMATS)} are known"
            )
        return tuple(name for name in FORMATS if name in given)


class ReportSettings(luigi.Config):
    """Where the latest report is copied to, and what figures are kept as; [report] in luigi.cfg."""

    path = luigi.Parameter(description="File of the latest report.")
    figure_formats = FormatsParameter(
        default=FORMATS, description="Formats of the figures beside the summary: png,pdf, one of them or none."
    )

    @classmethod
    def get_task_family(cls) -> str:
        """Return the section's name."""
        return "report"
