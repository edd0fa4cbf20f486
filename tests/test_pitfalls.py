"""The page of pitfalls has all of them, and every test that it names is there."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "pitfalls.md").read_text()
ROWS = {int(number): rest for number, rest in re.findall(r"^\| (\d+) \| (.*) \|$", PAGE, flags=re.MULTILINE)}


def functions(file: str) -> set[str]:
    """Name the tests of a file, without importing it."""
    path = ROOT / file
    nodes = ast.parse(path.read_text()).body if path.exists() else []
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef)}


def test_every_pitfall_is_there_in_order_and_has_a_test() -> None:
    assert list(ROWS) == list(range(1, 37))
    for number, rest in ROWS.items():
        said, here, tests = rest.split(" | ")
        assert said and here and "::test_" in tests, number


def test_every_test_of_the_page_exists() -> None:
    named = re.findall(r"`(tests/[\w/.]+)::(\w+)`", PAGE)
    assert len(named) == PAGE.count("::") > 36
    assert not [f"{file}::{name}" for file, name in named if name not in functions(file)]
