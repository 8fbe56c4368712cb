"""A picture of one task for a person: injected, host and arc in one colour stretch, and the arc's signal to noise by pixel."""

import io

import numpy as np
from matplotlib.figure import Figure

from halo_core.report.colour import rgb, stretch_of
from halo_core.stamps import Stamp

_TRUTH = ("tier", "region_split", "brickname", "theta_e_arcsec", "src_dmag", "src_reff_arcsec", "shear", "stamp_size", "is_control")


def stamp_figure(stamp: Stamp) -> bytes:
    """Return a PNG of a stamp in g, r, z, with its truth in the title.

    Parameters
    ----------
    stamp : Stamp
        Bands g, r and z.

    Raises
    ------
    ValueError
        The stamp lacks one of the three bands.
    """
    if stamp.bands != ("g", "r", "z"):
        raise ValueError(f"a colour picture needs the bands g, r, z; the stamp has {', '.join(stamp.bands)}")
    stretch = stretch_of(stamp.injected)
    figure = Figure(figsize=(14, 4.2), layout="constrained")
    panels = figure.subplots(1, 4)
    for panel, name in zip(panels, ("injected", "host", "arc"), strict=False):
        panel.imshow(rgb(getattr(stamp, name), stretch), interpolation="nearest")
        panel.set_title(name)
    snr = stamp.arc[1] * np.sqrt(np.maximum(stamp.invvar[1], 0.0))
    shown = panels[3].imshow(snr, origin="lower", cmap="viridis", interpolation="nearest")
    figure.colorbar(shown, ax=panels[3], shrink=0.8)
    panels[3].set_title("arc, S/N per pixel in r")
    for panel in panels:
        panel.set_xticks([])
        panel.set_yticks([])
    figure.suptitle("  ".join(f"{name} {stamp.truth[name]}" for name in _TRUTH), fontsize=9)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110, metadata={"Software": "Dark Halo Scope"})
    return stream.getvalue()
