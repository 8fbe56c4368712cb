"""What a unit of work costs: bytes, seconds of one core, requests, memory; each measured by the command beside it.

"Now" is one run of that command on an AMD EPYC (x86-64, AVX-512, 2 shared cores, load 1.3 to 3.3; processor's time where the load would
tell, and load 4 to 5 for rows). "Recorded" is what an earlier run of it left in the named document, on the same kind of machine.
"""

from types import MappingProxyType

# python -m benchmarks.campaign_rates --parts planes; now. DR10 itself: 74 MB a brick of image, invvar in g, r, z and maskbits; here 71.
PLANE_FILE_BYTES = MappingProxyType({"image": 14_300.0, "invvar": 13_400.0, "psfsize": 10_200.0, "maskbits": 36_800.0})
"""Bytes of a plane whatever its size, by type."""
PLANE_PIXEL_BYTES = MappingProxyType({"image": 0.954, "invvar": 0.855, "psfsize": 0.0085, "maskbits": 0.0104})
"""Bytes of a plane for each of its pixels, by type."""

# python -m benchmarks.campaign_rates --parts stamps; now.
HOST_FILE_BYTES, HOST_BYTES, HOST_PIXEL_BAND_BYTES = 15_700.0, 1_400.0, 5.8
"""A file of hosts, a host in it, and each of its pixels in each band."""
ARC_FILE_BYTES, ARC_BYTES, ARC_PIXEL_BAND_BYTES = 8_000.0, 28.0, 3.13
"""A file of arcs, an arc in it, and each of its pixels in each band; as much again for the noise of its photons."""
RESULT_FILE_BYTES, RESULT_BYTES, RESULT_BAND_BYTES = 18_000.0, 30.0, 22.0
"""A file of results, a result in it, and each of its bands."""
TASK_FILE_BYTES, TASK_BYTES = 20_500.0, 290.0
"""A file of tasks, and a task in it."""
MARK_BYTES, MARK_PLANE_BYTES, ASSET_BYTES = 8_000.0, 120.0, 150.0
"""A block's commit marks and table of planes, and what they say of each plane."""

# The same; the processor's time of injection, fitted to blocks of 5 to 1,000 arcs of 48 to 96 pixels in one and three bands: within 1.24.
PLANE_OPEN_S = 6.3e-3
HOST_BAND_S, HOST_PIXEL_BAND_S = 9.5e-4, 1.18e-7
ARC_S, ARC_PIXEL_BAND_S = 3.2e-4, 6.5e-9
VIEW_S, VIEW_PIXEL_BAND_S = 6.4e-6, 2.2e-8
EFFORT_SLOPE = 0.3
"""By how much an arc's cost grows with each unit of effort above 1 (measured to 8: 3.2 times)."""
GALSIM_FACTOR = 25.0
"""An arc by the renderer galsim over one by the engine; recorded, docs/engine.md."""

# python -m benchmarks.fetch_planes; recorded, docs/cache.md: 5, 20 and 220 ms of the processor for planes of 0.038, 0.7 and 8.5 MB.
FETCH_PLANE_S, FETCH_BYTE_S = 4.5e-3, 2.54e-8
"""Proving, hashing and storing a plane: a plane, and each of its bytes."""

# python benchmarks/parent_scale.py --parents 20000000; recorded, docs/stages.md: 26,045,266 rows, 19,993,906 parents.
CATALOGUE_ROW_S, PARENT_S, PARENT_CHECK_S = 145.0 / 26.0e6, 97.0 / 20.0e6, 151.0 / 20.0e6
"""Selecting from a row of the catalogue, merging a parent, checking a parent."""
PARENT_BYTES, PARENT_MEMORY_BYTES, PARENT_CHECK_BYTES = 200.0, 0.5e9, 1.3e9
"""A parent as it is stored (campaign_rates, made rows), the memory of the merge beyond the interpreter, and that of the checks."""
MOST_GROUPS = 100
"""Tasks that select from the catalogue (`MAX_GROUPS` of `luigi_tasks.parent`)."""

# python benchmarks/manifest_scale.py; recorded, docs/stages.md: 1 to 12 million rows from 20 million parents.
MANIFEST_PARENT_S, MANIFEST_ROW_S, MANIFEST_BLOCK_S = 32.0 / 20.0e6, 5.4e-6, 5.0e-3
MANIFEST_PARENT_BYTES, MANIFEST_HOST_BYTES = 115.0, 170.0
"""Memory for each parent and each host that is drawn."""
MANIFEST_CHECK_PARENT_S, MANIFEST_CHECK_ROW_S, MANIFEST_CHECK_ROW_BYTES = 15.0 / 20.0e6, 13.1e-6, 300.0

# python benchmarks/summary_scale.py; recorded, docs/stages.md: 12 million rows in 1,800 blocks.
SUMMARY_ROW_S, SUMMARY_ROW_BYTES = 86.0 / 12.0e6, 125.0
SUMMARY_CHECK_ROW_S, INJECTION_CHECK_ROW_S, CHECK_ROW_BYTES = 43.0 / 12.0e6, 52.0 / 12.0e6, 90.0
PROCESS_BYTES = 0.3e9
"""Memory of a process that holds no rows."""
BLOCK_BYTES = 1.5e9
"""Memory that a block keeps below, whatever the campaign."""

# python benchmarks/sample_scale.py; now.
SAMPLE_STAMP_S = 0.02
"""Looking at one of the sampled stamps: read, painted again, held to every law."""

# python -m benchmarks.s3_requests; now: wall clock of figures and page of the tiny campaign, by its log. Not measured at scale.
REPORT_S = 6.0

# python -m benchmarks.campaign_rates --parts rows; now: a million rows into an empty state, with every key, index and check.
ROW_BYTES = MappingProxyType(
    {
        "SQLite": MappingProxyType({"tasks": 610.0, "results": 507.0, "planes": 383.0, "parents": 405.0}),
        "Postgres": MappingProxyType({"tasks": 645.0, "results": 507.0, "planes": 409.0, "parents": 401.0}),
    }
)
"""Bytes of a row in the state, by database and table, keys and indexes included."""
ROWS_PER_S = MappingProxyType(
    {
        "SQLite": MappingProxyType({"tasks": 15_700.0, "results": 32_000.0, "planes": 85_000.0, "parents": 70_000.0}),
        "Postgres": MappingProxyType({"tasks": 82_000.0, "results": 115_000.0, "planes": 177_000.0, "parents": 98_000.0}),
    }
)
"""Rows a second into the state by one process; tasks in SQLite recorded, docs/stages.md: 2,594,880 in 165 s (21,800 a second here)."""
STATE_BYTES = MappingProxyType({"SQLite": 0.4e6, "Postgres": 9.0e6})
"""A state without rows."""
