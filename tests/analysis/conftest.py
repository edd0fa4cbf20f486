"""One synthetic sweep for all tests of the analysis; the tests must not write into it."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for `builder`, in every import mode of pytest

import builder


@pytest.fixture(scope="session")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an outputs folder: 2 datasets x 2 algorithms x 2 heuristics x 3 seeds, one missing, one failed."""
    return builder.write_sweep(tmp_path_factory.mktemp("sweep") / "outputs")
