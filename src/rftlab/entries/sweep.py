"""Look after sweeps: status, compare, report, logs, cancel, retry, sync, clean."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_page(account: Mapping[str, Any], outputs: Path, path: Path) -> None:
    """Draw what a sweep was asked and what became of it; the analysis, with its plotting libraries, loads only now."""
    from rftlab.entries import reach_analysis

    reach_analysis()
    from analysis.sweep_page import write

    write(account, outputs, path)


def main() -> None:
    """Do what the command line says."""
    from rftlab.commands.sweep import main

    main(write_page)
