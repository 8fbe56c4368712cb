"""Cut-outs: hosts that are cut while their planes are here, and kept in the planes' place.

A cut-out holds to the bit what `cut_hosts` gave, so that an injection from cut-outs is the injection from planes.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from halo_core.constants import BANDS
from halo_core.errors import SurveyDataError
from halo_core.records import conform, hosts_schema
from halo_core.stages.hosts import BrickPlanes, Host, cut_hosts, distinct_targets
from halo_core.stages.injection_tables import host_columns
from halo_core.survey.maskbits import MaskBits

_NEEDED = ["host_id", "brickname", "objid", "ra", "dec", *(f"psfsize_{band}_arcsec" for band in BANDS)]

_LEFT_OUT = ("psf_model", "psf_fwhm_model", "maskbits_source")
_OF_PLANE = (
    pa.field("file_nx_pix", pa.int64(), nullable=False, metadata={"doc": "[pix] width of the file it was cut from"}),
    pa.field("file_ny_pix", pa.int64(), nullable=False, metadata={"doc": "[pix] height of the file it was cut from"}),
    pa.field("maskbits_meaning", pa.string(), metadata={"doc": "what each mask bit means in that file (JSON)"}),
)


def cutouts_schema(size_pix: int) -> pa.Schema:
    """Return the columns of cut-outs: those of `records.hosts_schema` but for the PSF's model, and what else a plane tells."""
    return pa.schema([*(field for field in hosts_schema(size_pix) if not field.name.startswith(_LEFT_OUT)), *_OF_PLANE])


def cut_brick(tasks: pa.Table, planes: BrickPlanes, *, bands: Sequence[str], size_pix: int) -> pa.Table:
    """Return the cut-outs of a brick's hosts, columns of `cutouts_schema`; none where every plane is lost.

    Parameters
    ----------
    tasks : Table
        Rows of `records.MANIFEST` of one brick.
    planes : BrickPlanes
        The brick's verified planes, and what was lost.
    bands : sequence of str
        Every band of the campaign.
    size_pix : int
        Largest stamp size of the campaign [pix].
    """
    targets = distinct_targets(tasks.select(_NEEDED).to_pylist()) if planes.paths else []
    hosts = cut_hosts(targets, planes, bands=bands, size_pix=size_pix) if targets else []
    columns = host_columns(hosts, targets, size_pix=size_pix)
    columns |= {"file_ny_pix": [host.file_shape[0] for host in hosts], "file_nx_pix": [host.file_shape[1] for host in hosts]}
    columns["maskbits_meaning"] = [_meaning(host.bits) for host in hosts]
    for band in BANDS:
        columns[f"psf_fwhm_used_{band}_arcsec"] = [host.psf_fwhm_arcsec.get(band) for host in hosts]
        columns[f"psf_source_{band}"] = [host.psf_source.get(band) for host in hosts]
    return conform(columns, cutouts_schema(size_pix), where=f"cut-outs of brick {planes.brickname}")


class Cutouts:
    """The cut-outs of a block, read brick by brick.

    Raises
    ------
    SurveyDataError
        A row group holds more than one brick: the file is not what a block writes.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = pq.ParquetFile(path)
        self._groups: dict[str, list[int]] = {}
        column = self._file.schema_arrow.get_field_index("brickname")
        for group in range(self._file.num_row_groups):
            found = self._file.metadata.row_group(group)
            if found.num_rows == 0:
                continue
            seen = found.column(column).statistics
            if seen is None or seen.min != seen.max:
                raise SurveyDataError(f"{path}: row group {group} is not of one brick; remove the file and run again")
            self._groups.setdefault(seen.min, []).append(group)

    def hosts(self, brickname: str) -> list[Host]:
        """Return the hosts of a brick as `cut_hosts` gave them; their pixels are the table's memory and cannot be written."""
        return [host for group in self._groups.get(brickname, []) for host in _hosts_of(self._file.read_row_group(group))]

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> "Cutouts":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _hosts_of(table: pa.Table) -> Iterator[Host]:
    """Yield the hosts of a table of cut-outs."""
    stamps = {name: _stamps(table, name) for name in table.column_names if pa.types.is_fixed_size_list(table.schema.field(name).type)}
    meanings: dict[str | None, MaskBits | None] = {None: None}
    plain = table.drop_columns(list(stamps))
    for i, row in enumerate(plain.to_pylist()):
        if row["maskbits_meaning"] not in meanings:
            meanings[row["maskbits_meaning"]] = _bits(row["maskbits_meaning"])
        with_psf = [band for band in BANDS if row[f"psf_fwhm_used_{band}_arcsec"] is not None]
        yield Host(
            host_id=row["host_id"],
            size_pix=row["size_pix"],
            x0_pix=row["x0_pix"],
            y0_pix=row["y0_pix"],
            host_x_pix=row["host_x_pix"],
            host_y_pix=row["host_y_pix"],
            file_shape=(row["file_ny_pix"], row["file_nx_pix"]),
            image=_by_band(stamps, "image", i),
            invvar=_by_band(stamps, "invvar", i),
            maskbits=stamps["maskbits"][i],
            bits=meanings[row["maskbits_meaning"]],
            psf_fwhm_arcsec={band: row[f"psf_fwhm_used_{band}_arcsec"] for band in with_psf},
            psf_source={band: row[f"psf_source_{band}"] for band in with_psf},
        )


def _by_band(stamps: Mapping[str, Sequence[NDArray[Any] | None]], kind: str, i: int) -> dict[str, NDArray[Any]]:
    """Return the stamps of a host by band, without those that were lost."""
    return {band: stamp for band in BANDS if (stamp := stamps[f"{kind}_{band}"][i]) is not None}


def _stamps(table: pa.Table, name: str) -> list[NDArray[Any] | None]:
    """Return the stamps of a column, shape (size, size), without a copy; None where there is none."""
    column = table[name].combine_chunks()
    sides = table["size_pix"].to_pylist()
    if column.null_count == 0:
        pixels = column.flatten().to_numpy()
        return list(pixels.reshape(-1, sides[0], sides[0])) if sides else []
    return [item.values.to_numpy().reshape(side, side) if item.is_valid else None for item, side in zip(column, sides, strict=True)]


def _meaning(bits: MaskBits | None) -> str | None:
    """Return what the bits of a mask mean, as JSON."""
    return None if bits is None else json.dumps({"bits": dict(bits.bits), "source": bits.source, "filled": bits.filled}, sort_keys=True)


def _bits(meaning: str) -> MaskBits:
    """Return what `_meaning` wrote."""
    content = json.loads(meaning)
    return MaskBits(content["bits"], content["source"], tuple(content["filled"]))
