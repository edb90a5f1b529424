"""Run every benchmark, one after the other, each in a process of its own; `make bench`.

Figures are ratios side by side in one run wherever two things are compared: walls of a shared machine mean little.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCHMARKS = ("one_pass", "detectors", "redecide", "near_duplicates", "duplicate_tables", "review", "release")


def main() -> int:
    """Run the benchmarks named on the command line, or all; return how many failed."""
    failed = 0
    for name in sys.argv[1:] or BENCHMARKS:
        print(f"\n== {name}", flush=True)
        failed += (
            subprocess.run(
                [sys.executable, str(Path(__file__).parent / f"{name}.py")], check=False
            ).returncode
            != 0
        )
    return failed


if __name__ == "__main__":
    sys.exit(main())
