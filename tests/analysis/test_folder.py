"""Figures and tables are found by their folders; whatever a folder holds is drawn, named and asked for."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import apa_runs
import builder
import gold_runs
import kinds
import pandas as pd
import pytest

from analysis import everything, figures, folder, load, make_figures, tables
from analysis.drawing.save import Drawn
from analysis.drawing.table import Table
from analysis.statistics import stats
from analysis.statistics.frames import Frames
from rftlab.errors import UserError
from rftlab.runs.searches import Search, Tried, write_search

FILES = everything.files()
DROPPED = '''"""How many runs there are."""

from matplotlib.figure import Figure

from analysis.drawing.save import Drawn
from analysis.missing.wanted import Wanted

METRICS = ["train/loss"]
WANTED = [Wanted("entropy", "ppo", "heuristic=entropy", lambda runs: runs[runs["heuristic"] == "entropy"])]


def draw(frames):
    """Draw an empty page of every run."""
    yield Drawn("dropped-all", Figure(), frames.metrics[frames.metrics["metric"] == METRICS[0]])
'''


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Frames:
    """Return runs of every family, each asked for with a value of its own choice."""
    outputs = tmp_path_factory.mktemp("every")
    kinds.write_language(outputs, "imdb", "ppo", 0, 0.3, 0.5, during=True)
    kinds.write_language(outputs, "imdb", "sft", 0, 0.3, 0.5)
    for algo in ("expected_reinforce", "sft"):
        kinds.write_controlled(outputs, "mnist", algo)
    kinds.write_theory(outputs)
    kinds.write_diagnosis(outputs, "imdb")
    apa_runs.write_offline(outputs)
    gold_runs.write_gold(outputs)
    apa_runs.write_judged(outputs, apa_runs.write_online(outputs, "apa_stack", "stack_exchange"))
    for config in outputs.rglob("config.yaml"):
        with config.open("a") as file:
            file.write("overrides: [experiment=some/preset]\n")
    kept, _ = stats.one_run_per_seed(load.load_runs(outputs))
    write_search(outputs, search_of(kept[kept["algo"] == "ppo"].iloc[0]))
    return everything.read(outputs, None, kept)


def search_of(run: pd.Series) -> Search:
    """Describe a search whose only trial is a run."""
    keys, values = {"0": run["run_key"]}, {"0": 0.4}
    trial = Tried(number=0, state="done", params={"seed": "0"}, runs=keys, value=0.4, values=values, looks={})
    told = {"sweep": run["sweep"], "metric": "eval/test/reward", "direction": "maximize", "judged_by": None}
    return Search(**told, n_trials=1, seeds=[0], space={"seed": "choice(0,1)"}, trials=[trial])


def name(file: ModuleType) -> str:
    return file.__name__.rpartition(".")[2]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.__name__)
def test_a_file_draws_what_its_name_says_and_says_what_the_runs_changed(file: ModuleType, frames: Frames) -> None:
    drawn = list(file.draw(frames))
    assert drawn
    for each in drawn:
        if isinstance(each, Drawn):
            assert each.name.startswith(name(file))
            assert "preset preset" in each.figure.subfigs[0].get_suptitle()
            assert set(each.data["changed"]) == {"preset=preset"}
        else:
            assert isinstance(each, Table) and each.name.startswith(f"table_{name(file)}")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.__name__)
def test_a_file_draws_nothing_of_no_runs(file: ModuleType, frames: Frames) -> None:
    nothing = Frames(*(frame.iloc[:0] for frame in (frames.runs, frames.metrics, frames.prompts, frames.cases)))
    assert list(file.draw(nothing)) == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.__name__)
def test_what_a_file_wants_is_there_or_asked_for(file: ModuleType, frames: Frames) -> None:
    commands = " ".join(everything.missing(frames.runs, whole=True)["command"])
    for wanted in file.WANTED:
        asked_for = all(value in commands for value in wanted.words.partition("=")[2].split(","))
        assert asked_for or not wanted.of(frames.runs).empty


def test_the_list_holds_every_file_with_its_first_lines(capsys: pytest.CaptureFixture) -> None:
    assert make_figures.main(["--list"]) == 0
    printed = capsys.readouterr().out
    for file in FILES:
        assert f"{name(file)}.py\n    {(file.__doc__ or '').splitlines()[0]}" in printed


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Put a copy of the folder of figures in its place, without the modules that were imported from there."""
    copy = Path(shutil.copytree(Path(figures.__path__[0]), tmp_path / "figures"))
    monkeypatch.setattr(figures, "__path__", [str(copy)])
    yield copy
    sys.modules.pop("analysis.figures.dropped", None)
    vars(figures).pop("dropped", None)


def test_a_figure_dropped_into_the_folder_is_drawn_listed_and_its_runs_are_asked_for(
    copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (copied / "dropped.py").write_text(DROPPED)
    one = builder.write_run(tmp_path / "outputs", builder.config("imdb", "ppo", "none", 0))
    (one / "metrics.jsonl").write_text(builder.log_lines([(1, {"train/loss": 0.5})]))
    where = ["--outputs", str(tmp_path / "outputs"), "--figures", str(tmp_path / "drawn")]
    assert make_figures.main([*where]) == 0
    assert "train/loss" in (tmp_path / "drawn" / "dropped-all.csv").read_text()
    printed = capsys.readouterr().out
    assert "dropped-all.png" in printed
    assert "python src/train.py heuristic=entropy\n" in printed
    assert make_figures.main(["--list"]) == 0
    assert "figures/dropped.py\n    How many runs there are." in capsys.readouterr().out
    builder.write_run(tmp_path / "outputs", builder.config("imdb", "ppo", "entropy", 0))
    make_figures.main([*where])
    assert "python src/train.py heuristic=entropy\n" not in capsys.readouterr().out


def test_a_file_that_lacks_what_a_figure_needs_is_named(copied: Path) -> None:
    (copied / "dropped.py").write_text("WANTED = ()\n")
    with pytest.raises(UserError, match=r"dropped\.py without draw; expected draw and WANTED; change the file"):
        folder.members(figures)


def test_nothing_but_figures_and_tables_lies_in_their_folders() -> None:
    for package in (figures, tables):
        files = {path.stem for path in Path(package.__path__[0]).glob("*.py")} - {"__init__"}
        assert files == {name(file) for file in folder.members(package)}
