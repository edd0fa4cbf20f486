"""Titles and files of figures name what was loaded, not the options that were chosen."""

import json
from pathlib import Path

import builder
import pytest

from analysis import everything, learned, load
from analysis.drawing.save import Drawn
from analysis.statistics import stats

HUB = {"name": "imdb", "source": "hub", "low_reward": 0.5, "loader": {"_target_": "rftlab.data.imdb.load"}}


def rows(hub_id: str, **more: object) -> dict:
    return HUB | {"loader": HUB["loader"] | {"hub_id": hub_id, "hub_config": "plain_text"}} | more


def curves(outputs: Path) -> list[tuple[str, str]]:
    """Return file name and title of the learning curves."""
    kept, _ = stats.one_run_per_seed(load.load_runs(outputs))
    drawn = everything.draw(everything.read(outputs, None, kept))
    found = [each for each in drawn if isinstance(each, Drawn) and each.name.startswith("learning_curves")]
    return [(each.name, " ".join(each.figure.subfigs[0].get_suptitle().split())) for each in found]


def write(outputs: Path, architecture: str | None = None, **changes: object) -> None:
    folder = builder.write_run(outputs, builder.config("imdb", "ppo", "none", 0) | changes)
    status = json.loads((folder / "status.json").read_text())
    (folder / "status.json").write_text(json.dumps(status | {"architecture": architecture}))


@pytest.mark.parametrize(
    ("changes", "name", "title"),
    [
        ({"model": {"name": "gpt2", "policy": {"source": "/models/llama-160m"}}},
         "imdb-llama-160m-mini-bundled", "IMDB · model llama-160m · scale mini · bundled data"),
        ({"data": rows("stanfordnlp/imdb")},
         "imdb-gpt2_mini-mini-hub", "IMDB · model gpt2_mini · scale mini · hub data"),
        ({"data": rows("stanfordnlp/imdb"), "paths": {"hub_mirror": "/data/hub"}},
         "imdb-gpt2_mini-mini-mirror", "IMDB · model gpt2_mini · scale mini · rows of a local mirror"),
        ({"data": rows("me/toy"), "paths": {"hub_mirror": "/data/hub"}},
         "imdb-toy-gpt2_mini-mini-mirror", "imdb-toy · model gpt2_mini · scale mini · rows of a local mirror"),
        ({"data": rows("/data/reviews.csv")},
         "imdb-reviews.csv-gpt2_mini-mini-folder",
         "imdb-reviews.csv · model gpt2_mini · scale mini · rows of a local folder"),
        ({"data": HUB | {"loader": {"_target_": "mine.read_csv"}}},
         "imdb-gpt2_mini-mini-own", "IMDB · model gpt2_mini · scale mini · rows of a loader of the user's own"),
    ],
)  # fmt: skip
def test_a_figure_is_called_after_what_was_loaded(changes: dict, name: str, title: str, tmp_path: Path) -> None:
    write(tmp_path, **changes)
    assert curves(tmp_path) == [(f"learning_curves-{name}", title)]


def test_a_llama_and_a_gpt2_under_one_option_share_no_axis(tmp_path: Path) -> None:
    for source, architecture in (("openai-community/gpt2", "gpt2"), ("/models/gpt2", "llama")):
        write(tmp_path, architecture, model={"name": "gpt2", "policy": {"source": source}})
    names = [name for name, _ in curves(tmp_path)]
    assert names == ["learning_curves-imdb-gpt2-mini-bundled", "learning_curves-imdb-gpt2-llama-mini-bundled"]


def test_a_noted_architecture_makes_no_other_cell(tmp_path: Path) -> None:
    for seed, architecture in ((0, None), (1, "gpt2")):
        write(tmp_path, architecture, seed=seed)
    assert load.load_runs(tmp_path)["cell"].nunique() == 1


@pytest.mark.parametrize(("source", "near"), [("hub", True), ("bundled", False)])
def test_a_reward_near_chance_is_named_in_title_and_words(
    source: str, near: bool, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    data = rows("stanfordnlp/imdb", source=source, reward={"source": "asset:sentiment"})
    for algo in ("ppo", "apa"):
        builder.write_run(tmp_path, builder.config("imdb", algo, "none", 0) | {"data": data})
    ((_, title),) = curves(tmp_path)
    assert ("reward near chance on real reviews" in title) is near
    assert learned.main(["--outputs", str(tmp_path)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert ("These numbers measure noise, reward near chance on real reviews" in said) is near


def test_a_command_repeats_the_options_and_no_names(tmp_path: Path) -> None:
    write(tmp_path, model={"name": "gpt2", "policy": {"source": "/models/llama-160m"}}, data=rows("me/toy"))
    commands = set(everything.missing(load.load_runs(tmp_path), whole=False)["command"])
    assert commands
    for command in commands:
        assert "data=imdb model=gpt2" in command and "data.source=hub" in command
