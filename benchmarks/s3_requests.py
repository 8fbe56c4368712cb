"""How many requests a campaign sends to the S3 server that holds its objects, task by task, and what one more block adds.

The tiny campaign of the tests runs twice on a SeaweedFS server of its own, in one process, with blocks of two bricks and of one; a hook in
boto3 counts what is sent. The difference over the difference in blocks is what a block costs outside its bricks; the law of a block itself
is `halo_core/stages/estimate_requests.py`, which the tests hold against the same counts.

    python -m benchmarks.s3_requests
"""

import tempfile
from collections import Counter
from pathlib import Path

from luigi_tasks.targets import BLOCKS_FILE
from tests.fixtures.requests import Requests, counted
from tests.fixtures.storage import S3Server, new_s3_place, running_server

KINDS = ("put", "get", "head", "list", "delete")


def run(folder: Path, server: S3Server, max_bricks: int) -> tuple[int, Requests]:
    """Run the tiny campaign with blocks of so many bricks; return the number of blocks and what was sent."""
    place = new_s3_place(folder, server, block_max_bricks=str(max_bricks))
    with counted(place.server) as found:
        place.run()
    return place.task().table_of("manifest", BLOCKS_FILE).num_rows, found


def main() -> None:
    """Print requests by task for both campaigns, and what a block adds."""
    with tempfile.TemporaryDirectory() as temporary:
        servers = running_server()
        server = next(servers)
        try:
            (few, one), (many, two) = (run(Path(temporary) / str(n), server, n) for n in (2, 1))
        finally:
            servers.close()
    print(f"{few} and {many} blocks; requests of each kind ({', '.join(KINDS)}), and what a block adds")
    for family in sorted({*one.of_family, *two.of_family}):
        counts = [[found.of_family.get(family, Counter())[kind] for kind in KINDS] for found in (one, two)]
        slope = [(b - a) / (many - few) for a, b in zip(*counts, strict=True)]
        print(f"  {family:24s} {counts[0]} {counts[1]} a block {[round(value, 2) for value in slope]}")


if __name__ == "__main__":
    main()
