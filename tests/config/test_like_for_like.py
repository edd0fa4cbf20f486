"""`experiment=apa/like_for_like`: online algorithms differ in what one of them alone has, and in nothing else."""

from typing import Any

import pytest
from test_config import plan
from test_presets import BUDGET, ONLINE

from rftlab import runs

NAMES = {"algo.name", "name", "algo.loss._target_"}  # which algorithm it is
ELSEWHERE = {"algo.loss.kl_coef"}  # GRPO has its KL there, PPO in the reward: each has one
OWN = {  # key -> why an algorithm may lack it; a key that all have must have one value
    "algo.loss.lam": "of APA and AWR: how far a policy may go for an advantage, in units that differ",
    "algo.loss.weight_clip": "AWR's alone: the largest weight",
    "algo.loss.clip_range": "PPO's alone: how far the ratio to the policy that sampled may go",
    "algo.loss.value_clip_range": "PPO's alone: APA does not clip values",
    "algo.loss.value_coef": "of algorithms with a value function",
    "algo.loss.gamma": "of algorithms that credit token by token, not whole responses",
    "algo.loss.gae_lambda": "of algorithms with a value function",
    "algo.loss.kl.initial": "of algorithms with the KL in the reward; APA has it in its loss",
    "algo.loss.kl.target": "as above",
    "algo.loss.kl.rate": "as above",
    "algo.loss.kl.unit": "as above",
    "algo.loss.kl._target_": "as above",
    "algo.loss.entropy": "PPO's alone: the bonus can be of the sampled token",
    "algo.loss.top_mask": "NLPO's alone: what a lagged copy masks",
    "algo.loss.min_tokens_to_keep": "as above",
    "algo.loss.target_update_iterations": "as above",
    "algo.loss.clip_low": "GRPO's alone: it may clip on both sides unequally",
    "algo.loss.clip_high": "as above",
    "algo.loss.scale": "GRPO's alone: what a group's advantages are divided by",
    "algo.loss.average": "GRPO's alone: what its loss is averaged over",
    "algo.loss.constant_length": "as above",
    "algo.loss.ratio": "GRPO's alone: of tokens, or of responses",
    "algo.loss.whiten_advantages": "of algorithms with advantages",
    "algo.loss.entropy_coef": "of algorithms with an entropy bonus",
    "algo.loop.best._target_": "rejection sampling's alone: which responses are learned",
    "algo.loop.best.keep": "as above",
    "algo.loop.best.min_score": "as above",
    "algo.loop.best.min_quantile": "as above",
    "algo.labels": "of algorithms that also train classifiers; null on texts",
}

ROWS = {"algo.loop.prompts_per_iteration", "algo.loop.samples_per_prompt"}  # whose product is shared
CUT = {"algo.loop.minibatch_size", "algo.loop.microbatch_size"}  # shared, but for rows that are kept: a quarter of all


DIFFERENT = {"algo.loss.lam"}  # keys of which each algorithm that has them has a value of its own


def flat(*words: str) -> dict[str, Any]:
    config = plan(*words, *BUDGET).config
    return runs.flatten({key: value for key, value in config.items() if key != "overrides"})


@pytest.mark.parametrize("data", ["narrativeqa", "imdb"])
@pytest.mark.parametrize("scale", ["mini", "paper"])
def test_algorithms_differ_in_what_one_of_them_alone_has_and_in_nothing_else(scale: str, data: str) -> None:
    cells = {algo: flat(f"scale={scale}", f"data={data}", f"algo={algo}") for algo in ONLINE}
    assert {"ppo", "apa", "reinforce"} <= cells.keys()
    assert (
        len({cell["algo.loop.prompts_per_iteration"] * cell["algo.loop.samples_per_prompt"] for cell in cells.values()})
        == 1
    )
    for key in sorted(set().union(*cells.values()) - NAMES - ELSEWHERE - ROWS):
        having = [cell[key] for algo, cell in cells.items() if key in cell and not (key in CUT and algo == "rejection")]
        assert len(having) == len(cells) or key in OWN or key in CUT, f"{key} is not shared"
        assert key in DIFFERENT or all(value == having[0] for value in having), f"{key}: {having}"
    with_groups = {algo for algo, cell in cells.items() if cell["algo.loop.samples_per_prompt"] > 1}
    assert with_groups == (set(cells) if scale == "mini" else {"rloo", "grpo", "rejection"})
    kept = cells["rejection"]
    steps = kept["algo.loop.prompts_per_iteration"] * kept["algo.loop.best.keep"] // kept["algo.loop.minibatch_size"]
    assert scale == "paper" or steps == 64 // cells["ppo"]["algo.loop.minibatch_size"]
    for key in OWN:
        assert any(key not in cell for cell in cells.values()), f"{key} is shared now"


@pytest.mark.parametrize("scale", ["mini", "paper"])
def test_the_cells_start_from_one_sft_of_all_layers(scale: str) -> None:
    common = [f"scale={scale}", "heuristic=partial_sft"]
    cells = [["algo=ppo"], ["algo=apa"], ["algo=ppo", "model.value.kind=head"], ["algo=apa", *BUDGET]]
    parents = {parent.key: parent for cell in cells for parent in plan(*common, *cell).parents}
    (sft,) = parents.values()
    assert sft.config["model"]["unfrozen_blocks"] is None


def test_the_paper_scale_is_the_setting_that_zhu_et_al_describe() -> None:
    shared = flat("scale=paper", "data=imdb", "algo=ppo")
    loop = {key.removeprefix("algo.loop."): value for key, value in shared.items() if key.startswith("algo.loop.")}
    assert loop["prompts_per_iteration"] * loop["samples_per_prompt"] == 64 and loop["update_epochs"] == 2
    assert shared["model.unfrozen_blocks"] == 2
    assert (shared["model.value.kind"], shared["model.value.head"]) == ("separate", "mlp")
    assert (shared["algo.loss.gamma"], shared["optimizer.lr"]) == (1.0, 1e-6)
