"""The key of a run never changes by accident: every line of `tests/golden/run_keys.txt` still composes to its key.

A key that changes makes every result under the old one invisible to the same command. Where that is meant, write the
file anew (`PYTHONPATH=src:tests/config python tests/config/test_run_keys.py`) and say so in the changelog.
"""

from pathlib import Path

import pytest
from test_config import plan

from rftlab.config.options import kind_of_data, kinds_of_algo, of_group

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "run_keys.txt"
LINES = [line.split(maxsplit=1) for line in GOLDEN.read_text().splitlines()] if GOLDEN.exists() else []


@pytest.mark.parametrize(("key", "overrides"), LINES, ids=[overrides for _, overrides in LINES])
def test_the_key_of_a_command_is_the_one_that_was_written_down(key: str, overrides: str) -> None:
    assert plan(*overrides.split()).key == key


def test_the_commands_cover_every_option_of_every_group() -> None:
    written = {word for _, overrides in LINES for word in overrides.split()}
    for group in ("data", "model", "algo", "optimizer", "heuristic", "scale", "reward", "gold"):
        for path in (ROOT / "conf" / group).glob("*.yaml"):
            assert f"{group}={path.stem}" in written, f"{group}={path.stem} is in no line of {GOLDEN.name}"
    assert len(LINES) >= 60


def test_every_algorithm_has_a_key_and_hence_all_its_values_at_scale_paper() -> None:
    written = {overrides for _, overrides in LINES}
    for data, content in of_group("data").items():
        kind = kind_of_data(content)
        algos = {algo for algo, of_algo in of_group("algo").items() if kind in kinds_of_algo(of_algo)}
        algos -= {"pretrain"} if kind == "text" else set()  # of a plain-text corpus
        missing = [
            algo
            for algo in algos
            if not any(w.startswith(f"scale=paper data={data} ") and w.endswith(f"algo={algo}") for w in written)
        ]
        assert not missing or kind == "cases" or "paper" not in content.get("scales", {}), (data, missing)


def write() -> None:
    """Compose every command of the file again and write the keys that they have now."""
    keys = [f"{plan(*overrides.split()).key}  {overrides}\n" for _, overrides in LINES]
    GOLDEN.write_text("".join(keys))


if __name__ == "__main__":
    write()
