"""Names, colours and units for algorithms and datasets that nobody has announced."""

from pathlib import Path

import builder
import kinds
import pytest
from matplotlib.figure import Figure

from analysis import everything, load
from analysis.drawing import style
from analysis.drawing.save import Drawn
from analysis.statistics import stats

UNHEARD = ["rloo", "grpo", "dpo", "remax", "raft"]


def draw(outputs: Path) -> dict[str, Drawn]:
    kept, _ = stats.one_run_per_seed(load.load_runs(outputs))
    drawn = everything.draw(everything.read(outputs, None, kept))
    return {each.name: each for each in drawn if isinstance(each, Drawn)}


def texts(figure: Figure) -> str:
    return " ".join(text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")))


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("rloo", "RLOO"),
        ("ppo", "PPO"),
        ("imdb", "IMDB"),
        ("one_token", "one_token"),
        ("summarize", "summarize"),
        ("narrativeqa", "NarrativeQA"),
        ("reinforce", "REINFORCE"),
    ],
)
def test_short_names_are_acronyms_and_others_stay(word: str, name: str) -> None:
    assert style.name(word) == name


def test_ppo_apa_and_sft_keep_their_colours_and_come_first() -> None:
    palette = style.colours(["rloo", "sft", "apa", "ppo"])
    blue_orange_green = [style.colours([algo])[algo] for algo in ("ppo", "apa", "sft")]
    assert [palette[algo] for algo in ("ppo", "apa", "sft")] == blue_orange_green
    assert style.algo_order(["rloo", "sft", "apa", "ppo", "dpo"]) == ["ppo", "apa", "sft", "dpo", "rloo"]


def test_algorithms_of_one_figure_have_colours_of_their_own() -> None:
    settings = ["ppo lam=1", "ppo lam=2"]
    palette = style.colours(["ppo", "apa", *UNHEARD, *settings[:1]])
    assert len(set(palette.values())) == len(palette) == 8
    assert len(set(style.colours(["reinforce", "sft", *settings]).values())) == 4


@pytest.mark.parametrize("algo", UNHEARD)
def test_an_algorithm_has_the_same_colour_in_every_figure(algo: str) -> None:
    alone = style.colours([algo])[algo]
    assert alone == style.colours([algo, "ppo", "apa", "sft", "ppo lam=2"])[algo]
    assert alone not in style.colours(["ppo", "apa", "sft"]).values()


def test_unheard_algorithms_side_by_side_keep_the_colours_that_they_have_alone() -> None:
    together = style.colours(["rloo", "grpo", "dpo"])
    assert together == {algo: style.colours([algo])[algo] for algo in together}


@pytest.mark.parametrize(
    ("loop", "counts"),
    [({"iterations": 12}, "iteration"), ({"steps": 12}, "optimiser step"), ({"epochs": 12}, "epoch"), ({}, "step")],
)
def test_the_axis_of_an_unheard_algorithm_is_named_after_what_its_loop_counts(
    loop: dict, counts: str, tmp_path: Path
) -> None:
    kinds.write_language(tmp_path, "imdb", "rloo", 0, 0.3, 0.5, during=True, algo__loop=loop)
    drawn = draw(tmp_path)
    for kind in ("learning_curves", "vanishing_over_training"):
        figure = drawn[f"{kind}-imdb-gpt2_mini-mini-bundled"].figure
        assert {axes.get_xlabel() for axes in figure.axes if axes.get_xlabel()} == {counts}
        assert ("RLOO, alone (n=1)" in texts(figure)) == (counts in ("iteration", "step"))


def test_two_algorithms_that_count_otherwise_are_told_apart_on_the_axis(tmp_path: Path) -> None:
    kinds.write_language(tmp_path, "imdb", "rloo", 0, 0.3, 0.5, during=True, algo__loop={"iterations": 12})
    kinds.write_language(tmp_path, "imdb", "dpo", 0, 0.3, 0.5, during=True, algo__loop={"steps": 12})
    figure = draw(tmp_path)["vanishing_over_training-imdb-gpt2_mini-mini-bundled"].figure
    assert "iteration (DPO: optimiser step)" in texts(figure)
    assert "RLOO, alone (n=1)" in texts(figure) and "DPO (n=1)" in texts(figure)


def test_an_unheard_algorithm_of_the_controlled_experiments_has_a_line_and_a_row(tmp_path: Path) -> None:
    for algo in ("sft", "rloo", "grpo", "pretrain"):
        kinds.write_controlled(tmp_path, "mnist", algo)
    kept, _ = stats.one_run_per_seed(load.load_runs(tmp_path))
    drawn = {each.name: each for each in everything.draw(everything.read(tmp_path, None, kept))}
    figure = drawn["controlled-adam-default_rewards-mnist-mlp-mini-bundled"].figure
    (legend,) = figure.subfigs[0].legends
    assert [text.get_text() for text in legend.get_texts()] == ["GRPO (n=1)", "RLOO (n=1)", "SFT (n=1)"]
    looks = {(line.get_linestyle(), line.get_color()) for line in legend.get_lines()}
    assert len({str(line._dash_pattern) for line in legend.get_lines()}) == len(looks) == 3
    assert list(drawn["table_controlled-mini-bundled"].cells["algorithm"]) == ["GRPO", "RLOO", "SFT"]


@pytest.mark.parametrize(
    ("changes", "family"),
    [
        ({}, "language"),
        ({"data__classes": 10}, "controlled"),
        ({"model__policy": {"init": "random"}}, "pretraining"),
        ({"algo__loss": None}, "theory"),
        ({"algo__loss": None, "data__classes": 10}, "theory"),
        ({"algo__loss": None, "data__rollout": {"temperature": 1.0}}, "diagnose"),
    ],
)
def test_the_family_of_an_unheard_algorithm_is_read_from_its_config(changes: dict, family: str, tmp_path: Path) -> None:
    builder.write_run(tmp_path, builder.config("imdb", "unheard", "none", 0, **changes))
    assert list(load.load_runs(tmp_path)["family"]) == [family]


def test_a_share_of_an_sft_is_a_label_in_words() -> None:
    label = style.cell_label(
        "sft", "none", "algo.loop.step_fraction=0.4 algo.loop.sample_fraction=0.01", "optimiser step"
    )
    assert label == "SFT, 40% of its steps, 1% of its prompts"
    assert style.override_in_words("algo.loss.lam=0.1") == "lam=0.1"
    assert style.override_in_words("algo.loss.kl.initial=0.1") == "KL coefficient 0.1"
