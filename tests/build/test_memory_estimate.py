"""What is estimated of a run's memory, from its composed config: by hand, and each part as it should change."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from rftlab.build.memory import EVERYTHING, asked_of, estimate_of
from rftlab.config.compose import Composer
from rftlab.config.options import CONF
from rftlab.memory import passes
from rftlab.memory.estimate import ALWAYS, SAMPLING, STEP, UPDATE, Component, Estimate, gib
from rftlab.memory.known import known_shape
from rftlab.memory.networks import Network
from rftlab.memory.passes import Rows

HH = ["data=hh", "scale=paper", "algo=apa"]


@pytest.fixture(scope="module")
def composer() -> Iterator[Composer]:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield Composer(GlobalHydra.instance().config_loader())


def estimate(composer: Composer, words: list[str], *, gpu: bool = False, **others: Any) -> Estimate:
    job = composer.job(words)
    found = estimate_of(job.config, asked_of(job.config), {p.key: p.config for p in job.parents} | others, gpu=gpu)
    assert found is not None
    return found


def sizes(found: Estimate) -> dict[str, int]:
    return {part.name: part.size for part in found.components}


def test_apa_of_6b_on_hh_by_hand(composer: Composer) -> None:
    """Two blocks, the last norm and the head of Pythia 6.9B train, and a whole copy for the values with its head."""
    d, v, block, whole = 4096, 50_432, 201_379_840, 6_857_302_016
    top, values = 2 * block + 2 * d + v * d, (whole - v * d) + (d * 2 * d + 2 * d + 2 * d + 1)
    found = sizes(estimate(composer, [*HH, "model=pythia_6b_sft"]))
    assert found["policy"] == 4 * whole
    assert found["value network"] == 4 * values
    assert found["reference"] == 4 * top
    assert found["gradients"] == 4 * (top + values)
    assert found["moments"] == 2 * 4 * (top + values)
    assert found["reward: model"] == 2 * (6_050_882_784 - 50_400 * d - 50_400)  # GPT-J in float16, without its head
    assert found["keys and values"] == 256 * (896 + 128) * 2 * d * 32 * 4
    assert found["states of the trunk"] == 128 * (896 + 128) * d * 4
    assert found["logits"] == 8 * 128 * v * 4 * 2
    assert found["weights of the decoder"] == 4 * (32 * (3 * d * d + d * d + 2 * d * 4 * d) + v * d)
    phases = {part.name: set(part.when) for part in estimate(composer, [*HH, "model=pythia_6b_sft"]).components}
    assert phases["moments"] == {ALWAYS} and phases["gradients"] == {STEP} and phases["logits"] == {UPDATE}


@pytest.mark.parametrize(
    ("words", "parameters"),
    [
        (["data=hh", "model=pythia_125m_sft"], 162_322_944),
        (["data=hh", "model=pythia_1b_sft"], 1_011_781_632),
        (["data=hh", "model=dolly_7b"], 6_856_056_832),
        (["data=tldr", "model=gptj_6b_tldr_sft"], 6_050_882_784),
        (["data=tldr", "model=gpt_neo_2_7b"], 2_651_307_520),
        (["data=stack_exchange", "model=llama_7b"], 6_738_415_616 + 8_388_608),  # with its adapter of rank 16
    ],
)
def test_every_model_of_the_paper_is_held_in_float32(composer: Composer, words: list[str], parameters: int) -> None:
    assert sizes(estimate(composer, [*words, "scale=paper", "algo=ppo"]))["policy"] == 4 * parameters


def test_what_an_algorithm_needs_is_what_it_holds(composer: Composer) -> None:
    run = ["data=hh", "scale=paper"]
    algos = {algo: set(sizes(estimate(composer, [*run, f"algo={algo}"]))) for algo in ("ppo", "rloo", "sft", "ilql")}
    assert {"value network", "reference"} <= algos["ppo"]
    assert "value network" not in algos["rloo"] and "reference" in algos["rloo"]
    assert not {"value network", "reference", "start"} & algos["sft"]
    assert {"Q and V heads", "action values", "start"} <= algos["ilql"] and "value network" not in algos["ilql"]
    masked = sizes(estimate(composer, [*run, "algo=nlpo", "algo.loss.top_mask=0.9"]))
    assert masked["lagged copy"] == masked["reference"]
    told = sizes(estimate(composer, [*run, "algo=sft", "eval.kl_to_start=true"]))
    assert told["start"] == sizes(estimate(composer, [*run, "algo=ppo"]))["reference"]


def test_an_adapter_takes_most_of_gradients_moments_and_copies_away(composer: Composer) -> None:
    run = ["data=tldr", "scale=paper", "algo=ppo", "model.unfrozen_blocks=null"]
    whole, adapted = (sizes(estimate(composer, [*run, *more])) for more in ([], ["model.lora.rank=8"]))
    rank_8 = 28 * 2 * 8 * (4096 + 4096)
    assert adapted["policy"] == whole["policy"] + 4 * rank_8
    assert adapted["reference"] == 4 * rank_8 and whole["reference"] == whole["policy"]
    head = 2 * 4096 * 4096 + 4 * 4096 + 1
    assert adapted["value network"] == 4 * (rank_8 + head)
    assert adapted["moments"] == 2 * adapted["gradients"] == 2 * 4 * (2 * rank_8 + head)
    assert adapted["states of the policy"] < whole["states of the policy"]


def test_what_is_shared_is_not_held_twice(composer: Composer) -> None:
    run = [*HH, "model=pythia_1b_sft"]
    shared, apart = (sizes(estimate(composer, [*run, f"runtime.share_trunk={word}"])) for word in ("true", "false"))
    assert apart["reference"] == apart["policy"] > 4 * shared["reference"]
    assert "states of the trunk" not in apart


def test_gradient_checkpointing_and_chunks_of_the_head_take_states_and_logits_away(composer: Composer) -> None:
    plain = sizes(estimate(composer, HH))
    again = sizes(estimate(composer, [*HH, "runtime.gradient_checkpointing=true"]))
    value = "states of the value network"
    assert again[value] < plain[value] / 3 and again["policy"] == plain["policy"]
    chunked = sizes(estimate(composer, [*HH, "runtime.head_chunk=64"]))
    assert chunked["logits"] * 8 * 128 == plain["logits"] * 64
    half = sizes(estimate(composer, [*HH, "algo.loop.microbatch_size=4"]))
    assert (half[value], half["logits"]) == (plain[value] // 2, plain["logits"] // 2)


def test_a_value_head_on_the_policy_is_no_network(composer: Composer) -> None:
    found = sizes(estimate(composer, [*HH, "model.value.kind=head"]))
    assert found["value network"] == 4 * (2 * 768 * 768 + 4 * 768 + 1)
    assert "states of the value network" not in found


def test_gradients_stand_beside_the_states_of_a_pass_where_a_step_has_several_or_little_is_kept(
    composer: Composer,
) -> None:
    asked = ("algo.loop.microbatch_size=8", "algo.loop.microbatch_size=2", "runtime.gradient_checkpointing=true")
    found = [estimate(composer, [*HH, word]).components for word in asked]
    when = [next(set(part.when) for part in parts if part.name == "gradients") for parts in found]
    assert when == [{STEP}, {STEP, UPDATE}, {STEP, UPDATE}]


def test_an_optimiser_keeps_what_it_keeps(composer: Composer) -> None:
    config = composer.job(HH).config

    def moments(target: str, **more: object) -> tuple[int, object]:
        optimizer = {**config["optimizer"], "build": {"_target_": target, **more}}
        found = estimate_of({**config, "optimizer": optimizer}, asked_of(config), {}, gpu=False)
        assert found is not None
        return sizes(found).get("moments", 0), [what for what in found.unknown if "Lion" in what]

    adam, none = moments("torch.optim.AdamW")
    assert adam > 0 and none == []
    assert moments("torch.optim.SGD", momentum=0.0) == (0, [])
    assert moments("torch.optim.SGD", momentum=0.9) == (adam // 2, [])
    assert moments("mine.Lion") == (0, ["what mine.Lion keeps of each parameter"])


def test_half_precision_halves_states_and_keys_and_converts_weights(composer: Composer) -> None:
    plain, half = (
        sizes(estimate(composer, [*HH, f"model.policy.compute_dtype={dtype}"])) for dtype in ("float32", "bfloat16")
    )
    assert half["policy"] == plain["policy"] and half["moments"] == plain["moments"]
    for name in ("keys and values", "logits", "weights of the decoder"):
        assert 2 * half[name] == plain[name], name
    block = 3 * 768 * 768 + 768 * 768 + 2 * 768 * 3072
    assert half["converted weights"] == 2 * (2 * block + 50304 * 768) and "converted weights" not in plain


def test_a_gpu_holds_more_at_a_step_and_over_the_vocabulary(composer: Composer) -> None:
    cpu, gpu = (sizes(estimate(composer, HH, gpu=gpu)) for gpu in (False, True))
    assert gpu["optimiser step"] == gpu["gradients"] and gpu["logits"] == 2 * cpu["logits"]
    assert gpu["policy"] == cpu["policy"]


def test_a_reward_model_has_no_head_over_the_vocabulary_and_reads_pairs(composer: Composer) -> None:
    run = ["data=hh", "scale=paper", "algo=reward_model", "model=pythia_1b", "start=base", "model.unfrozen_blocks=null"]
    found = sizes(estimate(composer, run))
    trunk = 1_011_781_632 - 50_304 * 2048
    assert found["policy"] == 4 * trunk and found["gradients"] == 4 * (trunk + 2048) and "logits" not in found
    rows = 2 * composer.job(run).config["algo"]["loop"]["microbatch_size"]
    assert found["states of the policy"] % rows == 0


def test_the_reward_model_of_a_run_is_held_beside_it(composer: Composer) -> None:
    run = ["data=stack_exchange", "scale=paper", "algo=ppo"]
    rank_8, trunk = 32 * 2 * 8 * (4096 + 4096), 6_738_415_616 - 32_000 * 4096
    assert sizes(estimate(composer, run))["reward: model"] == 4 * (trunk + rank_8)
    job = composer.job(run)
    missing = estimate_of(job.config, asked_of(job.config), {}, gpu=False)
    assert missing is not None and missing.unknown == ["reward, as its model is not known here"]


def test_a_model_that_nothing_here_describes_is_not_guessed(composer: Composer) -> None:
    run = ["data=imdb", "algo=ppo", "model=hub", "model.policy.source=nobody/nothing", "model.policy.family=causal"]
    found = estimate(composer, run)
    assert not found.components and "nobody/nothing" in found.unknown[0]
    labels = composer.job(["data=mnist", "algo=expected_reinforce"]).config
    assert estimate_of(labels, EVERYTHING, {}, gpu=False) is None


def test_the_config_of_a_folder_goes_before_the_table(composer: Composer, tmp_path: Path) -> None:
    folder = tmp_path / "EleutherAI" / "pythia-160m"
    folder.mkdir(parents=True)
    small = '{"model_type": "gpt2", "n_embd": 8, "n_layer": 1, "n_head": 1, "vocab_size": 10, "n_positions": 4}'
    (folder / "config.json").write_text(small)
    found = known_shape("EleutherAI/pythia-160m", str(tmp_path))
    assert found is not None and found.model_type == "gpt2" and found.parameters == 14 * 8 + (12 * 64 + 13 * 8) + 16


def test_all_that_an_algorithm_may_ask_for_is_at_least_what_one_asks_for(composer: Composer) -> None:
    """The quick look before a launch, which does not ask the algorithm, never lets pass what the exact one refuses."""
    for algo in ("ppo", "apa", "rloo", "dpo", "ilql", "sft", "reward_model"):
        config = composer.job(["data=hh", "scale=paper", f"algo={algo}"]).config
        exact, most = (estimate_of(config, asked, {}, gpu=True) for asked in (asked_of(config), EVERYTHING))
        assert exact is not None and most is not None
        assert exact.least <= most.least and exact.longest <= most.longest, algo


def test_the_fullest_phase_counts_and_rows_only_in_the_longest() -> None:
    def part(size: int, *when: str, by_rows: bool = False) -> Component:
        return Component(name=f"{size}", size=size * 2**30, how="", when=when, by_rows=by_rows)

    found = Estimate(components=[part(1, ALWAYS), part(2, STEP), part(4, UPDATE, by_rows=True), part(3, SAMPLING)])
    assert (found.least, found.longest) == (4 * 2**30, 5 * 2**30)
    assert found.told(longest=False) == "3 3.00, 1 1.00" and found.told(longest=True) == "4 4.00, 1 1.00"
    assert [gib(size * 2**30) for size in (139.84, 2.345, 0.0123)] == ["139.8", "2.35", "0.012"]


def test_states_kept_for_the_backward_pass_by_hand() -> None:
    """A block of GPT-2: states before and behind two norms, q k v and the result, the MLP before and behind GELU."""
    shape = known_shape("openai-community/gpt2", None)
    assert shape is not None
    network = Network(
        shape=shape, dtype="float32", compute_dtype="float32", unfrozen_blocks=None, rank=None, targets=("c_attn",)
    )
    assert passes.kept_per_token(network, shape.block) == 4 * 768 * (2 + 2 + 3 + 1 + 4 + 4)
    rows = Rows(rows=4, prompts=2, prompt_tokens=10, response_tokens=5)
    assert passes.activations(network, rows, checkpointing=False, gpu=False) == 12 * (2 * 10 + 4 * 5) * 4 * 768 * 16
    adapted = replace(network, rank=4)  # of frozen layers nothing is kept but what their own backward pass reads
    assert passes.kept_per_token(adapted, shape.block) == 4 * 768 * (2 + 1 + 3 + 1 + 4)
