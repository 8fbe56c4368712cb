"""Templates of the pages: one style, one script named by its hash in the page's policy, and how entries of tables are written."""

import base64
import hashlib
import re
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from halo_core.report.data import PlainTable
from halo_core.report.tables import TOO_FEW

NO_NUMBER = (None, "", TOO_FEW, "not applicable")
"""What may stand in the place of a number."""

_NUMBERS = re.compile(r"[+-]?\d[\d,.]*( \(\d[\d.]* – \d[\d.]*\)| – \d[\d.]*| to [+-]?\d[\d.]*)?")


def render(name: str, **content: object) -> str:
    """Return the page that a template makes of some content, a whole document."""
    environment = Environment(loader=PackageLoader("halo_core.report", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters |= {"cell": cell_text, "number_columns": number_columns}
    style, script = (resources.files("halo_core.report").joinpath(file).read_text(encoding="utf-8") for file in ("page.css", "page.js"))
    script_hash = "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return environment.get_template(name).render(style=Markup(style), script=Markup(script), script_hash=script_hash, **content)


def cell_text(value: object) -> str:
    """Return a table entry as text: None as a dash, whole numbers with thin spaces, other numbers with six digits."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}".replace(",", "\u202f")
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def is_numeric(value: object) -> bool:
    """Return whether an entry is a number, or a text of numbers such as an interval."""
    return (isinstance(value, (int, float)) and not isinstance(value, bool)) or (isinstance(value, str) and bool(_NUMBERS.fullmatch(value)))


def number_columns(table: PlainTable) -> set[int]:
    """Return the columns of numbers, in which nothing else stands but a word in the place of a number; they are aligned to the right."""
    columns = [[value for row in table.rows if (value := row[place]) not in NO_NUMBER] for place in range(len(table.headings))]
    return {place for place, values in enumerate(columns) if values and all(map(is_numeric, values))}
