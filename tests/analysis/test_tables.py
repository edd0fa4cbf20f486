"""Tables: the same text in three formats, escaped for each."""

import math
from pathlib import Path

import kinds
import pandas as pd
import pytest

from analysis import everything, load
from analysis.drawing import table as tables
from analysis.drawing.save import save_table
from analysis.drawing.table import Table
from analysis.statistics import stats
from analysis.tables import correlations as correlations_table

GOLDEN = Path(__file__).parent / "golden"
NAMES = sorted(path.stem for path in GOLDEN.glob("table_*.md"))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Table]:
    outputs = tmp_path_factory.mktemp("tables")
    for data, rewards in {
        "imdb": {"ppo": 0.8, "sft": 0.6},
        "narrativeqa": {"ppo": 0.1, "apa": 0.2, "sft": 0.5},
    }.items():
        for algo, reward in rewards.items():
            for seed in range(2):
                kinds.write_language(outputs, data, algo, seed, 0.7 if data == "narrativeqa" else 0.05, reward)
    for seed in range(2):
        for algo in ("expected_reinforce", "sft"):
            kinds.write_controlled(outputs, "mnist", algo, seed)
    kinds.write_controlled(outputs, "cifar10", "sft", optimizer="sgd", wrong=0.5)
    kinds.write_theory(outputs)
    kept, _ = stats.one_run_per_seed(load.load_runs(outputs))
    drawn = everything.draw(everything.read(outputs, None, kept))
    return {table.name: table for table in drawn if isinstance(table, Table)}


@pytest.mark.parametrize("name", NAMES)
def test_the_tables_equal_the_golden_ones(written: dict[str, Table], name: str) -> None:
    assert tables.markdown(written[name]) == (GOLDEN / f"{name}.md").read_text()


def test_the_three_formats_hold_the_same_cells(written: dict[str, Table], tmp_path: Path) -> None:
    table = written["table_relative_reward-mini-bundled"]
    csv, markdown, latex = save_table(table, tmp_path)
    pd.testing.assert_frame_equal(pd.read_csv(csv, dtype=str), table.cells, check_dtype=False)
    assert all(cell in markdown.read_text() for cell in table.cells.to_numpy().ravel())
    assert all(in_latex(cell) in latex.read_text() for cell in table.cells.to_numpy().ravel())


def in_latex(text: str) -> str:
    """Write a cell as a table for LaTeX holds it."""
    cells = pd.DataFrame({"name": [text]})
    return tables.latex(Table("t", "", cells, pd.Series(dtype=str))).splitlines()[5].removesuffix(r" \\")


def test_every_character_that_latex_reads_as_a_command_is_escaped() -> None:
    assert in_latex("a_b & 5% #1 $x {y} <z>") == r"a\_b \& 5\% \#1 \$x \{y\} \textless{}z\textgreater{}"
    assert in_latex("~^\\|") == r"\textasciitilde \textasciicircum \textbackslash \textbar{}"
    assert in_latex("1 → 2 ± 3 · 4") == r"1 $\to$ 2 $\pm$ 3 $\cdot$ 4"


def test_columns_of_numbers_are_set_right_and_others_left() -> None:
    cells = pd.DataFrame({"name": ["a|b", "c"], "x": ["0.10", "-"], "empty": ["-", "-"]})
    assert tables.markdown(Table("t", "About.", cells, pd.Series(dtype=str))).splitlines() == [
        "| name   |    x | empty   |",
        "|:-------|-----:|:--------|",
        r"| a\|b   | 0.10 | -       |",
        "| c      |    - | -       |",
        "",
        "About.",
    ]
    latex = tables.latex(Table("t", "About.", cells, pd.Series(dtype=str))).splitlines()
    assert latex[:4] == ["% About.", r"\begin{tabular}{lrl}", r"\toprule", r"name & x & empty \\"]


def test_numbers_have_a_form_and_nothing_is_a_dash() -> None:
    assert [tables.number(math.nan), tables.number(0.12345), tables.number(0.5, "+.1f")] == ["-", "0.123", "+0.5"]
    assert tables.over_seeds(0.5, 0.4, 0.6, n=1) == "0.500"
    assert tables.over_seeds(0.5, 0.4, 0.6, n=2) == "0.500 [0.400, 0.600]"
    assert tables.over_seeds(math.nan, math.nan, math.nan, n=2) == "-"


def test_a_correlation_that_does_not_exist_says_why() -> None:
    row = {
        "scale": "mini",
        "source": "hub",
        "data": "imdb",
        "model": "m",
        "algo": "ppo",
        "variant": "",
        "n": 0,
        "n_null": 0,
        "run_keys": "",
    }
    row |= {"r": math.nan, "low": math.nan, "high": math.nan, "undefined": "the std is the same for every prompt"}
    cells = correlations_table.laid_out(pd.DataFrame([row])).cells
    assert cells.to_numpy().tolist() == [["PPO", "undefined: the std is the same for every prompt"]]
