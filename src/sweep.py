"""Look after sweeps: `python src/sweep.py --help`."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def write_page(account: Mapping[str, Any], outputs: Path, path: Path) -> None:
    """Draw what a sweep was asked and what became of it; the analysis, with its plotting libraries, loads only now."""
    sys.path.append(str(ROOT))  # the analysis lies beside src
    from analysis.sweep_page import write

    write(account, outputs, path)


if __name__ == "__main__":
    from rftlab.stop import exit_on_interrupt

    with exit_on_interrupt():
        from rftlab.commands.report import no_pages
        from rftlab.commands.sweep import main

        main(write_page if (ROOT / "analysis").is_dir() else no_pages)
