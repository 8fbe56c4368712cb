"""The long crash test: many kills over many campaigns, and the report. Run it by `make crash-test`; it takes about half an hour."""

import argparse
import sys
from pathlib import Path

from tests.crash.chaos import Chaos, clear, report


def main() -> int:
    """Run the command line: 0 where the disturbed runs left what undisturbed ones leave."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="Made anew.")
    parser.add_argument("--report", type=Path, required=True, help="Markdown file to write.")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    folder = given.folder.absolute()
    clear(folder)
    chaos = Chaos(folder, n_kills=given.kills, seed=given.seed)
    found, calm = chaos.run()
    given.report.write_text(report(chaos, found, calm))
    differences = found.differences(calm)
    sys.stdout.write("\n".join([*differences[:50], f"{len(chaos.kills)} kills, {len(differences)} differences; {given.report}\n"]))
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
