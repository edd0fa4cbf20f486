"""What sets a run apart from the plain scale stands in every figure, also where there is nothing beside it."""

import json
from pathlib import Path

import builder
import kinds
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from analysis import everything, load, settings
from analysis.drawing import layout, style
from analysis.drawing.save import Drawn, save
from analysis.statistics import stats
from rftlab.runs import LOOKS, NOT_IDENTITY

REDUCED = ["scale=paper", "experiment=vanishing_gradients/stsb_two_cores", "data.source=hub"]


def draw(outputs: Path) -> dict[str, Drawn]:
    kept, _ = stats.one_run_per_seed(load.load_runs(outputs))
    return {
        each.name: each for each in everything.draw(everything.read(outputs, None, kept)) if isinstance(each, Drawn)
    }


def title(figure: Figure) -> str:
    return figure.subfigs[0].get_suptitle().replace("\n", " ")


def texts(figure: Figure) -> str:
    found = [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]
    return " ".join(found).replace("\n", " ")


def asked(resolved: dict, *overrides: str) -> dict:
    return resolved | {"overrides": list(overrides)}


def variants(outputs: Path) -> list[str]:
    return sorted(set(load.load_runs(outputs)["variant"]))


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ([], ""),
        (["algo=apa", "data=imdb", "model=gpt2_mini", "scale=mini", "data.source=hub", "heuristic=none"], ""),
        (["experiment=null"], ""),
        (["experiment=apa/released_code_ppo"], "preset=released_code_ppo"),
        (["optimizer.lr=3e-4"], "optimizer.lr=0.0003"),  # as the config has it
        (["optimizer.lr=${other.lr}", "data.loader.seed=1", "data.loader.seed=0"],
         "optimizer.lr=0.0003 data.loader.seed=0"),
        (["+algo.loss={lam: 1, b: ${c}}"], "algo.loss={lam:1,b:{c}}"),  # one word, no dollars: they begin mathematics
        (["optimizer.lr=3e-4", "experiment=a/b"], "preset=b optimizer.lr=0.0003"),
    ],
)  # fmt: skip
def test_a_lone_cell_is_named_by_what_was_set_beyond_its_groups(
    overrides: list[str], words: str, tmp_path: Path
) -> None:
    builder.write_run(tmp_path, asked(builder.config("imdb", "apa", "none", 0), *overrides))
    assert variants(tmp_path) == [words]


def test_when_and_how_a_run_is_looked_at_needs_no_words(tmp_path: Path) -> None:
    resolved = builder.config("imdb", "ppo", "none", 0)
    looks = {key.partition(".")[2]: 7 for key in LOOKS}
    gold = {"gold": {"run": "0123456789ab", "at_chance": True}}
    words = [*(f"{key}=7" for key in LOOKS), "gold=reward_model", "gold.at_chance=true"]
    builder.write_run(tmp_path, asked(resolved | {"eval": looks} | gold, *words))
    assert variants(tmp_path) == [""]


def test_long_labels_break_within_the_figure(tmp_path: Path) -> None:
    for algo in ("expected_reinforce", "sft"):
        resolved = kinds.controlled("stsb", algo)
        many = [f"algo.loop.a_long_name_{i}=0" for i in range(5) if algo != "sft"]
        kinds.write(
            tmp_path, asked(resolved, *many), metrics=kinds.controlled_metrics(resolved, np.random.default_rng(0))
        )
    figure = draw(tmp_path)["controlled-adam-default_rewards-stsb-bert_mini-mini-bundled"].figure
    figure.draw_without_rendering()
    (legend,) = figure.subfigs[0].legends
    box = legend.get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.width
    assert "a_long_name_4=0" in " ".join(text.get_text() for text in legend.get_texts())


def test_a_key_that_tells_cells_apart_is_named_once(tmp_path: Path) -> None:
    for lam in (0.1, 1.0):
        resolved = builder.config("imdb", "apa", "none", 0, algo__loss__lam=lam)
        builder.write_run(tmp_path, asked(resolved, f"algo.loss.lam={lam}", "optimizer.lr=3e-4"))
    assert variants(tmp_path) == [f"algo.loss.lam={lam} optimizer.lr=0.0003" for lam in (0.1, 1.0)]


def test_the_words_in_which_a_run_was_asked_for_do_not_change_its_cell(tmp_path: Path) -> None:
    builder.write_run(tmp_path, asked(builder.config("imdb", "apa", "none", 0), "optimizer.lr=3e-4"))
    builder.write_run(tmp_path, asked(builder.config("imdb", "apa", "none", 1)))
    builder.write_run(tmp_path, builder.config("imdb", "apa", "none", 2))
    runs = load.load_runs(tmp_path)
    assert runs["cell"].nunique() == 1
    assert set(runs["variant"]) == {""}  # the shortest account is true of all


def test_nothing_outside_the_identity_of_a_run_makes_a_cell(tmp_path: Path) -> None:
    base = builder.config("imdb", "ppo", "none", 0, resources={"mem_gb": 1})
    for key in sorted(NOT_IDENTITY - {"name", "sweep", "paths", "schema_version", "overrides"}):
        builder.write_run(tmp_path, base | {"seed": len(key), key: {"changed": True}})
    assert load.load_runs(tmp_path)["cell"].nunique() == 1


def test_a_class_that_moves_to_another_module_makes_no_other_cell_and_another_class_does(tmp_path: Path) -> None:
    targets = ["rftlab.loops.online.Online", "rftlab.loops.experience.Online", "rftlab.loops.online.Other"]
    targets += ["my.loops.Online", "your.loops.Online"]
    for seed, target in enumerate(targets):
        loop = {"_target_": target, "iterations": 3}
        builder.write_run(tmp_path, builder.config("imdb", "ppo", "none", seed, algo__loop=loop))
    cells = load.load_runs(tmp_path).set_index("seed")["cell"]
    assert cells[0] == cells[1] and cells.nunique() == 4


def test_at_paper_scale_a_run_that_kept_no_overrides_promises_nothing(tmp_path: Path) -> None:
    builder.write_run(tmp_path, builder.config("imdb", "ppo", "none", 0, scale="paper", data__source="hub"))
    curves = draw(tmp_path)["learning_curves-imdb-gpt2_mini-paper-hub"]
    assert "what was changed is not recorded" in title(curves.figure)
    mini = builder.config("imdb", "ppo", "none", 0)
    builder.write_run(tmp_path / "mini", mini)
    assert "changed" not in title(draw(tmp_path / "mini")["learning_curves-imdb-gpt2_mini-mini-bundled"].figure)


def test_the_titles_of_all_language_figures_say_what_their_runs_changed(tmp_path: Path) -> None:
    for algo in ("ppo", "sft"):
        folder = kinds.write_language(tmp_path, "imdb", algo, 0, 0.3, 0.5, during=True)
        with (folder / "config.yaml").open("a") as file:
            file.write(f"overrides: [algo={algo}, data.loader.seed=0, experiment=small]\n")
    drawn = draw(tmp_path)
    assert drawn
    for each in drawn.values():
        assert "preset small  ·  changed: loader.seed=0" in title(each.figure), each.name
        assert set(each.data["changed"]) == {"preset=small data.loader.seed=0"}
        assert set(each.data["variant"]) == {""}


def test_the_figure_of_a_reduced_controlled_run_says_so_though_it_is_alone(tmp_path: Path) -> None:
    for algo in ("expected_reinforce", "sft"):
        resolved = asked(kinds.controlled("stsb", algo, scale="paper"), *REDUCED, f"algo={algo}")
        kinds.write(tmp_path, resolved, metrics=kinds.controlled_metrics(resolved, np.random.default_rng(0)))
    one = draw(tmp_path)["controlled-adam-default_rewards-stsb-bert_mini-paper-bundled"]
    assert "preset stsb_two_cores" in title(one.figure)
    assert "RFT, expected reward (n=1)" in texts(one.figure)  # said once, above
    save(one, tmp_path / "figures")


def test_beside_the_whole_setting_the_reduced_one_is_named_in_the_legend(tmp_path: Path) -> None:
    for epochs, overrides in ((40, REDUCED), (5000, ["scale=paper"])):
        resolved = kinds.controlled("stsb", "expected_reinforce", scale="paper")
        resolved = asked(resolved | {"algo": {"name": "expected_reinforce", "loop": {"epochs": epochs}}}, *overrides)
        kinds.write(tmp_path, resolved, metrics=kinds.controlled_metrics(resolved, np.random.default_rng(0)))
    one = draw(tmp_path)["controlled-adam-default_rewards-stsb-bert_mini-paper-bundled"]
    assert "preset" not in title(one.figure)
    assert "epochs=40, preset=stsb_two_cores (n=1)" in texts(one.figure)
    assert "epochs=5000 (n=1)" in texts(one.figure)


def test_a_preset_of_the_theory_is_in_the_title_and_leaves_the_file_name(tmp_path: Path) -> None:
    resolved = asked(kinds.theory("time_separation"), "experiment=theory/time_separation")
    kinds.write(tmp_path, resolved, cases=kinds.separation_cases(np.random.default_rng(0)))
    one = draw(tmp_path)["time_separation-one_token-softmax-mini-generated"]
    assert "preset time_separation" in title(one.figure)
    assert one.data["slope"].notna().all()  # points and fits still find each other


def test_shared_words_are_those_of_every_setting() -> None:
    assert layout.shared_words(pd.Series(["a=1 b=2", "b=2 c=3"]), pd.Series(["b=2"])) == ["b=2"]
    assert layout.shared_words(pd.Series(["a=1", ""])) == []
    assert layout.shared_words(pd.Series([], dtype=str)) == []


def test_a_label_counts_the_words_that_it_has_no_room_for() -> None:
    frame = pd.DataFrame({"variant": [" ".join(f"k{i}={i}" for i in range(9))]})
    assert list(layout.without(frame, ["k0=0"])["variant"]) == ["k1=1 k2=2 k3=3 k4=4 others=4"]


def steps(*pairs: tuple[str, str]) -> str:
    return layout.step_label(pd.DataFrame(pairs, columns=["algo", "counts"]))


def test_steps_are_named_after_what_the_runs_count() -> None:
    assert steps(("ppo", "iteration"), ("apa", "iteration")) == "iteration"
    assert steps(("sft", "optimiser step")) == "optimiser step"
    assert steps(("sft", "optimiser step"), ("ppo", "iteration")) == "iteration (SFT: optimiser step)"
    assert steps(("sft", "epoch"), ("dpo", "optimiser step")) == "epoch (DPO: optimiser step)"


def test_an_axis_has_no_room_for_a_list_of_algorithms_so_the_caption_has_it() -> None:
    pairs = [("ppo", "iteration"), ("ilql", "optimiser step"), ("offline_apa", "optimiser step")]
    cells = pd.DataFrame(pairs, columns=["algo", "counts"])
    assert layout.step_label(cells) == "iteration or optimiser step"
    assert layout.step_note(cells) == ["Steps are optimiser steps of ILQL, offline APA."]
    assert layout.step_note(cells[:2]) == layout.step_note(cells[:1]) == []


def test_more_algorithms_than_colours_are_told_apart_by_markers() -> None:
    many = [f"algorithm{number}" for number in range(12)]
    looks = style.looks(many, ["none"])
    assert (
        looks.by == "hue" and len({(looks.palette[hue], looks.markers[hue], looks.dashes[hue]) for hue in many}) == 12
    )
    assert style.looks(many[:3], ["none"]).by == "heuristic"


@pytest.mark.parametrize(
    ("heuristic", "parent", "said"),
    [
        ("none", None, "none"),
        ("none", ["algo=sft", "reward=none"], "sft"),
        ("partial_sft", ["algo=sft"], "partial_sft"),
        ("none", ["algo=pretrain"], "none"),
    ],
)
def test_runs_that_begin_after_a_whole_sft_are_not_called_runs_alone(heuristic, parent, said) -> None:
    setting = {"heuristic.name": json.dumps(heuristic)} | ({"parent.overrides": json.dumps(parent)} if parent else {})
    assert ({"heuristic": heuristic} | settings._beginning(setting))["heuristic"] == said
