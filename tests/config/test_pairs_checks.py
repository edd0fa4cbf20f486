"""Algorithms that learn from pairs: what is refused before anything starts."""

import pytest
from test_config import plan

from rftlab.config.checks import optimizer_steps
from rftlab.errors import UserError
from rftlab.runs.cost import total_steps


@pytest.mark.parametrize("algo", ["dpo", "reward_model"])
def test_steps_and_sizes_are_those_of_the_loop(algo: str) -> None:
    config = plan("data=imdb", f"algo={algo}", "algo.loop.steps=70").config
    assert optimizer_steps(config) == total_steps(config) == 70
    with pytest.raises(UserError, match="warmup_steps=70 of 70"):
        plan("data=imdb", f"algo={algo}", "algo.loop.steps=70", "optimizer.warmup_steps=70")
    with pytest.raises(UserError, match=r"algo\.loop\.microbatch_size"):
        plan("data=imdb", f"algo={algo}", "algo.loop.batch_size=16", "algo.loop.microbatch_size=5")


@pytest.mark.parametrize("algo", ["dpo", "reward_model"])
def test_pairs_need_a_reward(algo: str) -> None:
    with pytest.raises(UserError, match=f"algo={algo} with data=corpus_causal, which has no reward"):
        plan("data=corpus_causal", f"algo={algo}")


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("algo.loss.label_smoothing=0.5", r"a number in \[0, 0\.5\)"),
        ("algo.loss.objective=hinge", "sigmoid or ipo"),
        ("algo.loop.pairs=some", "best_worst or all"),
        ("algo.loop.max_response_tokens=0", "a number above 0"),
        ("algo.responses.run=abc", "a run key"),
    ],
)
def test_values_out_of_range_are_refused(word: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        plan("data=imdb", "algo=dpo", word)


def test_ipo_has_no_label_smoothing() -> None:
    plan("data=imdb", "algo=dpo", "algo.loss.objective=ipo")
    with pytest.raises(UserError, match=r"label_smoothing=0\.1 with algo\.loss\.objective=ipo"):
        plan("data=imdb", "algo=dpo", "algo.loss.objective=ipo", "algo.loss.label_smoothing=0.1")


def test_a_reward_model_needs_a_position_for_the_end_of_a_response() -> None:
    """The embedded GPT-2 has 512 positions; prompts of IMDB take 64 of them."""
    for algo, most in (("dpo", 448), ("reward_model", 447)):
        limit = f"algo.loop.max_response_tokens={most}"
        plan("data=imdb", f"algo={algo}", limit)
        with pytest.raises(UserError, match=r"algo\.loop\.max_response_tokens"):
            plan("data=imdb", f"algo={algo}", f"algo.loop.max_response_tokens={most + 1}")
