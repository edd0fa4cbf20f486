"""The list of known mistakes fits the code, and the default suite notices those in the loops."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from mutations import ROOT, all_mutations, stale


def test_every_mistake_stands_once_in_the_code_and_its_tests_exist():
    assert stale(all_mutations()) == []


def test_a_mistake_that_no_longer_fits_is_named():
    mutation = next(iter(all_mutations().values()))
    wrong = {
        "no text": replace(mutation, old="no such text"),
        "often": replace(mutation, old="mask"),
        "no file": replace(mutation, file="none.py"),
        "no test": replace(mutation, tests="loops/test_none.py::test_nothing"),
    }
    assert [line.split(":")[0] for line in stale(wrong)] == list(wrong)


@pytest.mark.slow
def test_the_default_suite_notices_every_mistake_in_the_loops():
    script = Path(ROOT) / "tests" / "mutations.py"
    done = subprocess.run(
        [sys.executable, script, "loops.*", "groups.*", "steps.*"],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
