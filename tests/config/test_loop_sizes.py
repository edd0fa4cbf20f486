"""How much a run does: in rows or in tokens, with warm-up and whitening that suit it; and the published numbers."""

import pytest
from test_config import plan

from rftlab.config import size_checks
from rftlab.config.checks import optimizer_steps
from rftlab.config.signatures import constant
from rftlab.errors import UserError

TOKENS = [
    "algo.loop.prompts_per_iteration=null", "algo.loop.minibatch_size=null",
    "algo.loop.tokens_per_iteration=960", "algo.loop.minibatch_tokens=480",
]  # fmt: skip
PAPER = ["scale=paper", "algo=ppo"]
ON_SFT = "experiment=vanishing_gradients/narrativeqa_ppo_on_sft"


@pytest.mark.parametrize(
    ("overrides", "steps", "kl"),
    [
        (["data=imdb"], 5_000, (0.1, 0.1)),
        (["data=narrativeqa"], 20_000, (0.001, 1.0)),
        (["data=narrativeqa", ON_SFT], 20_000, (0.001, 0.2)),
    ],
)
def test_a_published_run_takes_the_published_number_of_steps_at_the_published_kl(
    overrides: list[str], steps: int, kl: tuple[float, float]
) -> None:
    config = plan(*PAPER, *overrides).config
    control, loop = config["algo"]["loss"]["kl"], config["algo"]["loop"]
    assert optimizer_steps(config) == steps
    assert (control["initial"], control["target"], control["unit"], loop["minibatch_tokens"]) == (*kl, "token", 64)
    assert config["algo"]["loss"]["whiten_advantages"] == "rollout"


@pytest.mark.parametrize(
    ("overrides", "steps"),
    [
        (["algo=ppo", "data=imdb"], 30 * 2 * 2),
        (["algo=ppo", "data=imdb", *TOKENS], 30 * 2 * 2),
        (["algo=sft", "data=imdb", "algo.loop.step_fraction=0.1"], 60),
        (["algo=sft", "data=mnist", "data.loader.n_train=129", "algo.loop.batch_size=64"], 300 * 2),
        (["algo=sft", "data=mnist", "data.loader.n_train=130", "algo.loop.batch_size=64"], 300 * 3),
        (["algo=diagnose", "data=imdb"], None),
        (["data=stsb", "algo=sft", "scale=paper"], None),
    ],
)
def test_the_number_of_steps_is_known_before_the_start(overrides: list[str], steps: int | None) -> None:
    assert optimizer_steps(plan(*overrides).config) == steps


REFUSED = {
    "tokens beside rows": ([TOKENS[2]], "tokens_per_iteration=960"),
    "all four": (TOKENS[2:], "and null for the other two"),
    "tokens and rows mixed": ([TOKENS[0], TOKENS[2]], "either prompts_per_iteration and minibatch_size, or tokens"),
    "none of the four": (TOKENS[:2], "tokens_per_iteration=null"),
    "half of the tokens": (TOKENS[:3], "minibatch_tokens=null"),
    "a minibatch above the rollout": ([*TOKENS[:3], "algo.loop.minibatch_tokens=961"], "at most 960"),
    "a minibatch below a response": ([*TOKENS[:3], "algo.loop.minibatch_tokens=47"], "expected 48 or more"),
    "whitening over few rows": (["algo.loss.whiten_advantages=minibatch", "algo.loop.minibatch_size=4",
                                 "algo.loop.microbatch_size=4"], "minibatch over 4 responses"),
    "whitening over few tokens": (["algo.loss.whiten_advantages=minibatch", *TOKENS[:3],
                                   "algo.loop.minibatch_tokens=383"], "minibatch over 7 responses"),
    "whitening over a small rollout": (["algo.loop.prompts_per_iteration=3", "algo.loop.samples_per_prompt=2",
                                        "algo.loop.minibatch_size=6", "algo.loop.microbatch_size=6"],
                                       "rollout over 6 responses"),
    "a minibatch of half a group": (["algo=grpo", "algo.loop.minibatch_size=2", "algo.loop.microbatch_size=2"],
                                    "minibatch_size=2, which parts groups of algo.loop.samples_per_prompt=4"),
    "half a group of RLOO": (["algo=rloo", "algo.loop.minibatch_size=2", "algo.loop.microbatch_size=2"],
                             "expected a multiple of 4; change algo.loop.minibatch_size or algo.loop.sam"),
    "groups of another size": (["algo=grpo", "algo.loop.samples_per_prompt=3", "algo.loop.prompts_per_iteration=32",
                                "algo.loop.minibatch_size=32"], "parts groups of algo.loop.samples_per_prompt=3"),
    "warm-up longer than the run": (["optimizer.warmup_steps=120"], "warmup_steps=120 of 120 optimiser steps"),
    "warm-up longer than the SFT": (["algo=sft", "algo.loop.step_fraction=0.1", "optimizer.warmup_steps=60"],
                                    "expected fewer than 60"),
    "warm-up longer than the epochs": (["data=mnist", "algo=sft", "algo.loop.epochs=1", "optimizer.warmup_steps=999"],
                                       "optimizer.warmup_steps"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_sizes_that_do_not_go_together_are_refused_at_composition(case: str) -> None:
    overrides, words = REFUSED[case]
    given = overrides if "data=mnist" in overrides else ["data=imdb", *overrides]
    with pytest.raises(UserError, match=r"; expected .*; change ") as refusal:
        plan(*given)
    assert words in str(refusal.value)


def test_what_is_at_the_limit_is_taken() -> None:
    whitened = ["algo.loss.whiten_advantages=minibatch", *TOKENS[:3], "algo.loop.minibatch_tokens=384"]
    assert plan("data=imdb", *whitened, "optimizer.warmup_steps=119").config["optimizer"]["warmup_steps"] == 119
    assert plan("data=imdb", *TOKENS[:3], "algo.loop.minibatch_tokens=48") is not None


def test_where_a_unit_is_a_group_a_minibatch_holds_all_responses_to_a_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    assert constant("rftlab.algorithms.ppo.PPO", "unit") == "row"
    assert constant("rftlab.algorithms.ppo.PPO", "units") is None
    assert constant("rftlab.algorithms.grpo.GRPO", "unit") == "group"
    monkeypatch.setattr(size_checks, "constant", lambda target, name: "group")
    given = ["data=imdb", *TOKENS[:2], "algo.loop.tokens_per_iteration=1920"]
    with pytest.raises(UserError, match=r"samples_per_prompt=4; expected 192 or more"):
        plan(*given, "algo.loop.minibatch_tokens=191", "algo.loss.whiten_advantages=rollout")
    assert plan(*given, "algo.loop.minibatch_tokens=192") is not None


def test_minibatches_of_whole_groups_are_taken_and_single_responses_need_no_group() -> None:
    small = ["algo.loop.minibatch_size=4", "algo.loop.microbatch_size=4"]
    assert plan("algo=grpo", "data=imdb", *small) is not None
    half = ["algo.loop.minibatch_size=2", "algo.loop.microbatch_size=2"]
    assert plan("algo=reinforce", "data=imdb", "algo.loss.whiten_advantages=none", *half) is not None


def test_a_constant_is_that_of_a_class_above_where_the_class_says_nothing(tmp_path, monkeypatch) -> None:
    lines = ["from rftlab.algorithms.grpo import GRPO", "class Mine(GRPO):", "    pass"]
    lines += ["class Apart(GRPO):", "    unit = 'row'"]
    (tmp_path / "algorithms_of_mine.py").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(str(tmp_path))
    assert constant("algorithms_of_mine.Mine", "unit") == "group"
    assert constant("algorithms_of_mine.Apart", "unit") == "row"
