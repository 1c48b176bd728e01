"""Run seeds: `python -m tests.backend.system.simulation --seed 7`, or `--seeds 1000 --from 0`."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.backend.system.simulation.database import a_template
from tests.backend.system.simulation.world import Broken, run_seed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, help="this seed only")
    parser.add_argument("--seeds", type=int, default=100, help="how many, one after another")
    parser.add_argument("--from", dest="first", type=int, default=0, help="the first of them")
    parser.add_argument("--ops", type=int, default=100, help="how much happens in each")
    parser.add_argument("--keep-going", action="store_true", help="count the seeds that fail, and show each one's end")
    wanted = parser.parse_args()
    seeds = [wanted.seed] if wanted.seed is not None else range(wanted.first, wanted.first + wanted.seeds)
    failed, began = 0, time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        template = a_template(Path(folder))
        for seed in seeds:
            try:
                digest = run_seed(seed, ops=wanted.ops, template=template)
            except Broken as broken:
                failed += 1
                print(broken if not wanted.keep_going else "\n".join(str(broken).splitlines()[-6:]), flush=True)
                if not wanted.keep_going:
                    return 1
            else:
                if wanted.seed is not None:
                    print(digest)
    print(f"{len(seeds)} seeds, {failed} failed, {time.monotonic() - began:.1f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
