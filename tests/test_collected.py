"""No folder of tests is passed over when all of them are run: pytest leaves out folders by their names."""

from fnmatch import fnmatch
from pathlib import Path

import pytest

TESTS = Path(__file__).parent


def test_the_whole_suite_enters_every_folder_of_tests(pytestconfig: pytest.Config) -> None:
    left_out = pytestconfig.getini("norecursedirs")
    folders = {path.name for file in TESTS.rglob("test_*.py") for path in file.parents if path.is_relative_to(TESTS)}
    assert {"build", "loops"} <= folders
    assert not [name for name in folders for pattern in left_out if fnmatch(name, pattern)]
