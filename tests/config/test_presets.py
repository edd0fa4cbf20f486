"""Published experiments: every file composes as it says, and the presets change what the docs list, no more."""

from pathlib import Path
from typing import Any

import pytest
from test_config import CONF, plan

from rftlab import runs

FILES = sorted((CONF / "experiment").rglob("*.yaml"))
SHARED = {  # of the released code of APA, beside the defaults
    "algo.loss.whiten_advantages": "minibatch",
    "algo.loop.score_scaling": "running",
    "optimizer.build.betas": [0.9, 0.95],
}


def differences(one: list[str], other: list[str]) -> dict[str, Any]:
    """Return the keys whose values differ between two configs, with their values in the second."""
    configs = (plan(*overrides).config for overrides in (one, other))
    first, second = (runs.flatten({key: config[key] for key in config if key != "overrides"}) for config in configs)
    assert first.keys() == second.keys()
    return {key: value for key, value in second.items() if value != first[key]}


@pytest.mark.parametrize("scale", ["mini", "paper"])
@pytest.mark.parametrize("data", ["narrativeqa", "imdb"])
def test_a_diagnosis_samples_and_scores_what_training_does(scale: str, data: str) -> None:
    common = [f"scale={scale}", f"data={data}"]
    first, *others = (plan(*common, f"algo={algo}").config for algo in ("diagnose", "ppo", "apa", "sft"))
    for other in others:
        assert (first["data"], first["model"]) == (other["data"], other["model"])


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CONF / "experiment").with_suffix("")))
def test_the_first_comment_of_an_experiment_is_a_command_that_composes_it(path: Path) -> None:
    command = next(line for line in path.read_text().splitlines() if line.startswith("# ") and "@package" not in line)
    program, overrides = command.split(" src/train.py ")
    assert program == "# python"
    assert f"experiment={path.relative_to(CONF / 'experiment').with_suffix('')}" in overrides.split()
    assert "???" not in str(plan(*overrides.split()).config)


def test_released_code_of_apa_changes_what_the_docs_list() -> None:
    changed = differences(["algo=apa", "data=imdb"], ["data=imdb", "experiment=apa/released_code_apa"])
    assert changed == SHARED | {
        "algo.loop.score_clip": 100.0,
        "data.rollout.top_k": 50,
        "data.evaluation.top_k": 50,  # IMDB is evaluated as it is sampled
    }


def test_released_code_of_ppo_changes_what_the_docs_list() -> None:
    changed = differences(["algo=ppo", "data=imdb"], ["data=imdb", "experiment=apa/released_code_ppo"])
    assert changed == SHARED | {
        "algo.loss.value_coef": 1.0,
        "algo.loss.kl.initial": 0.05,
        "algo.loss.kl.target": 6.0,
        "algo.loss.kl.rate": 0.0128,
        "algo.loop.score_clip": 10.0,
        "model.value.kind": "head",
    }


@pytest.mark.parametrize(("algo", "lr"), [("apa", 1e-6), ("ppo", 8e-6)])
def test_the_budget_of_the_125m_model_is_that_of_the_released_code(algo: str, lr: float) -> None:
    preset = f"experiment=apa/released_code_{algo}"
    unwhitened = "algo.loss.whiten_advantages=none"  # over the budget in tokens of scale=paper, PPO's would be refused
    changed = differences(["data=imdb", "scale=paper", preset, unwhitened], ["data=imdb", f"{preset}_125m"])
    sizes = {"iterations": 625, "prompts_per_iteration": 128, "minibatch_size": 8, "microbatch_size": 8}
    sizes |= {"tokens_per_iteration": None, "minibatch_tokens": None}
    expected = {f"algo.loop.{name}": value for name, value in sizes.items()} | {"optimizer.lr": lr}
    expected |= {"algo.loss.whiten_advantages": "minibatch"}
    assert changed.items() <= expected.items()
    assert {"algo.loop.iterations", "algo.loop.prompts_per_iteration"} <= changed.keys()


def test_released_code_of_razin_changes_what_the_docs_list() -> None:
    preset = "experiment=vanishing_gradients/released_code"
    assert differences(["scale=paper"], ["scale=paper", preset]) == {"data.rollout.top_k": 50}
    changed = differences(["scale=mini"], ["scale=mini", preset])
    assert changed == {
        "algo.loss.value_clip_range": None,
        "algo.loss.gamma": 0.99,
        "algo.loop.update_epochs": 5,
        "data.rollout.top_k": 50,
        "model.value.head": "linear",
        "optimizer.max_grad_norm": 0.5,
    }


@pytest.mark.parametrize("preset", ["apa/released_code_apa", "apa/released_code_ppo"])
def test_a_preset_goes_with_a_heuristic_whose_parent_it_leaves_alone(preset: str) -> None:
    made = plan(f"experiment={preset}", "heuristic=partial_sft")
    assert made.parent is not None
    assert made.parent.config["algo"]["name"] == "sft"
