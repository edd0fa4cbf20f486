"""What runs side by side do not share stands under them, found in their configs and in no list."""

import json
from pathlib import Path

import builder
import kinds
import pytest
from config.test_config import plan
from matplotlib.figure import Figure

from analysis import everything, learned, load
from analysis.drawing import unlike
from analysis.drawing.save import Drawn
from analysis.drawing.table import Table
from analysis.drawing.unlike import Cell, differences
from analysis.statistics import stats
from rftlab.runs import flatten

ONLINE = {"iterations": 10, "prompts_per_iteration": 8, "samples_per_prompt": 4, "update_epochs": 2}
ONLINE |= {"minibatch_size": 16}


def cell(name: str, heuristic: str = "none", label: str = "", **config: object) -> Cell:
    setting = {key: json.dumps(value) for key, value in flatten(config).items()}
    return Cell(name, heuristic, frozenset(label.split()), setting)


def online(name: str, lr: float = 1e-4, **loop: object) -> Cell:
    return cell(name, algo={"loop": ONLINE | loop}, optimizer={"lr": lr})


def composed(*overrides: str) -> Cell:
    config = plan(*overrides).config
    setting = {key: json.dumps(value) for key, value in flatten(config).items()}
    return Cell(config["algo"]["name"], config["heuristic"]["name"], frozenset(), setting)


def test_equal_runs_have_nothing_to_say_and_a_lone_one_neither() -> None:
    assert differences([online("ppo"), online("apa")]) == []
    assert differences([online("ppo")]) == []


def test_a_shared_setting_is_named_with_its_values_and_owners() -> None:
    assert differences([online("ppo", 5e-4), online("apa", 1e-4), online("rloo", 5e-4)]) == [
        "optimizer.lr 0.0005 (PPO, RLOO), 0.0001 (APA)"
    ]


def test_budgets_are_computed_from_the_configs() -> None:
    said = differences([online("ppo"), online("apa", iterations=30)])
    assert said == ["budget 320 responses (PPO), 960 responses (APA)", "optimiser steps 40 (PPO), 120 (APA)"]


def test_a_budget_in_tokens_is_told_from_one_in_responses() -> None:
    tokens = {"tokens_per_iteration": 2560, "minibatch_tokens": 64, "prompts_per_iteration": None}
    said = differences([online("ppo", **tokens, minibatch_size=None), online("apa")])
    assert said[:2] == [
        "budget 25,600 tokens (PPO), 320 responses (APA)",
        "optimiser steps 800 (PPO), 40 (APA)",
    ]


def test_supervised_steps_count_as_far_as_they_are_taken() -> None:
    loop = {"steps": 600, "step_fraction": 0.4, "batch_size": 32}
    said = differences([online("ppo"), cell("sft", algo={"loop": loop}, optimizer={"lr": 1e-4})])
    assert said == ["budget 320 responses (PPO), 7,680 gold texts (SFT)", "optimiser steps 40 (PPO), 240 (SFT)"]


def test_a_budget_says_what_it_is_of() -> None:
    steps = {"steps": 80, "batch_size": 16}
    loops = {"dpo": steps | {"pairs": "all"}, "ilql": steps | {"standardise_scores": True}, "sft": steps}
    said = differences([cell(name, algo={"loop": loop}) for name, loop in loops.items()])
    assert said == ["budget 1,280 pairs (DPO), 1,280 kept responses (ILQL), 1,280 gold texts (SFT)"]


def test_an_update_on_the_best_responses_takes_steps_on_these_alone() -> None:
    best = online("rejection", best={"keep": 1}, minibatch_size=4)  # 8 of 32 responses are kept
    assert not any(word.startswith("optimiser steps") for word in differences([online("ppo"), best]))


def test_equal_budgets_taken_in_other_portions_are_named() -> None:
    said = differences([online("ppo"), online("apa", iterations=20, prompts_per_iteration=4)])
    assert [words.split()[0] for words in said] == ["loop.iterations", "loop.prompts_per_iteration"]


def test_what_one_algorithm_alone_has_is_not_shared_and_what_labels_name_is_said() -> None:
    ppo = cell("ppo", algo={"loss": {"clip_range": 0.2, "gamma": 1.0}}, label="algo.loss.gamma")
    apa = cell("apa", algo={"loss": {"lam": 0.1, "gamma": 0.9}}, label="algo.loss.gamma")
    sft = cell("sft", algo={"loss": {}})
    assert differences([ppo, apa, sft]) == []
    unlabelled = cell("apa", algo={"loss": {"gamma": 0.9}})
    assert differences([ppo, unlabelled, sft]) == ["loss.gamma 1 (PPO), 0.9 (APA)"]


def test_what_differs_between_heuristics_is_theirs() -> None:
    hot = cell("ppo", "temperature", data={"rollout": {"temperature": 1.5}})
    said = differences([cell("ppo", data={"rollout": {"temperature": 1.0}}), hot])
    assert said == ["rollout.temperature 1 (alone), 1.5 (temperature)"]


def test_where_and_when_a_run_is_looked_at_is_no_difference() -> None:
    looks = [{"eval": {"every": n, "batch_size": n}, "runtime": {"threads": n}, "seed": n} for n in (1, 2)]
    assert differences([cell("ppo", **looks[0]), cell("apa", **looks[1])]) == []


def test_ppo_and_apa_of_the_quickstart_say_what_they_do_not_share() -> None:
    cells = [composed("data=imdb", f"algo={algo}") for algo in ("ppo", "apa")]
    (ppo, apa) = (json.loads(each.setting["optimizer.lr"]) for each in cells)
    assert (f"optimizer.lr {ppo:g} (PPO), {apa:g} (APA)" in differences(cells)) == (ppo != apa)


def texts(figure: Figure) -> str:
    return " ".join(text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")))


@pytest.fixture
def unequal(tmp_path: Path) -> Path:
    """Return runs whose PPO has ten times the learning rate of the others, and an SFT."""
    for algo, lr in (("ppo", 1e-3), ("apa", 1e-4), ("sft", 1e-4)):
        kinds.write_language(tmp_path / "outputs", "imdb", algo, 0, 0.3, 0.5, during=True, optimizer__lr=lr)
    return tmp_path / "outputs"


def test_every_figure_and_table_of_unlike_runs_says_so_below_it(unequal: Path) -> None:
    kept, _ = stats.one_run_per_seed(load.load_runs(unequal))
    drawn = list(everything.draw(everything.read(unequal, None, kept)))
    assert {type(each) for each in drawn} == {Drawn, Table}
    for each in drawn:
        said = " ".join((each.caption if isinstance(each, Table) else texts(each.figure)).split())
        others = "APA" if each.name.startswith("table_claims") else "APA, SFT"  # nothing is claimed of SFT here
        assert f"runs differ in: optimizer.lr 0.001 (PPO), 0.0001 ({others})" in said, each.name
        assert "One seed each is no comparison." in said
        if isinstance(each, Drawn):
            each.figure.draw_without_rendering()
            (caption,) = each.figure.subfigs[1].texts
            box = caption.get_window_extent()
            assert box.y0 >= -1 and box.x1 <= each.figure.bbox.width  # there is room for all of it


def test_the_words_of_learned_say_so_too(unequal: Path, capsys: pytest.CaptureFixture) -> None:
    assert learned.main(["--outputs", str(unequal)]) == 0
    assert "runs differ in: optimizer.lr 0.001 (PPO), 0.0001 (APA, SFT)." in capsys.readouterr().out


def test_training_before_a_run_is_in_no_budget(outputs: Path) -> None:
    runs, _ = stats.one_run_per_seed(load.load_runs(outputs))
    said = unlike.sentences(runs[(runs["data"] == "imdb") & (runs["algo"] == "ppo")])
    assert said == ["Runs after partial SFT were trained before, which counts in no budget here."]
    assert not unlike.one_seed_each(runs)


def test_responses_of_another_run_are_in_no_budget(tmp_path: Path) -> None:
    responses = {"run": None, "parent": {"overrides": ["algo=responses"]}}
    for algo in ("ppo", "ilql", "dpo"):
        more = {} if algo == "ppo" else {"algo__responses": responses}
        builder.write_run(tmp_path, builder.config("imdb", algo, "none", 0, **more))
    (said,) = unlike.sentences(load.load_runs(tmp_path))
    assert said.endswith(
        "DPO and ILQL learned from responses that another run sampled, which counts in no budget here."
    )


def test_responses_that_the_rows_bring_are_no_other_runs(tmp_path: Path) -> None:
    responses = {"run": None, "parent": {"overrides": ["algo=responses"]}}
    for algo, more in {"sft": {}, "dpo": {"algo__responses": responses}}.items():
        builder.write_run(tmp_path, builder.config("imdb", algo, "none", 0, data__responses=True, **more))
    assert not any("another run" in said for said in unlike.sentences(load.load_runs(tmp_path)))


def test_what_chose_prompts_drew_more_than_its_budget(tmp_path: Path) -> None:
    for name, more in {"none": {}, "dynamic_sampling": {"heuristic__prompts": {"max_rounds": 10}}}.items():
        builder.write_run(tmp_path, builder.config("imdb", "ppo", name, 0, **more))
    (said,) = unlike.sentences(load.load_runs(tmp_path))
    assert said.endswith("Runs with dynamic sampling drew more responses than their budget says.")


def test_datasets_are_told_apart_and_not_compared(tmp_path: Path) -> None:
    for data, lr in (("imdb", 1e-3), ("narrativeqa", 1e-4)):
        for algo, factor in (("ppo", 1.0), ("apa", 2.0)):
            builder.write_run(tmp_path, builder.config(data, algo, "none", 0, optimizer__lr=lr * factor))
    said = unlike.sentences(load.load_runs(tmp_path))
    assert [words.partition(":")[0] for words in said] == ["IMDB, gpt2_mini", "NarrativeQA, t5_mini"]
