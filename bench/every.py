"""Run every benchmark that measures against a bar, and print one table: `python bench/every.py [NAME ...]`.

A script of this folder takes part if it calls `report` of `sides.py`; its rows are in `outputs/bench/NAME.json`, those
of scripts that are not run now as they were measured last. One that fails says why and leaves its rows out.
"""

import json
import subprocess
import sys
from pathlib import Path

from sides import ROOT, WHERE, table

HERE = Path(__file__).parent
OWN = {"sides", "every", "check"}


def scripts() -> list[Path]:
    """Find the scripts that report rows."""
    found = [path for path in sorted(HERE.glob("*.py")) if path.stem not in OWN]
    return [path for path in found if "report(" in path.read_text()]


def main() -> None:
    """Run them one after the other."""
    names = sys.argv[1:]
    failed = []
    for script in scripts():
        if names and script.stem not in names:
            continue
        print(f"{script.name} ...", flush=True)
        if subprocess.run([sys.executable, str(script)], cwd=ROOT).returncode:
            failed.append(script.name)
    rows = [row for path in sorted(WHERE.glob("*.json")) for row in json.loads(path.read_text())]
    print("\n" + table(rows))
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
