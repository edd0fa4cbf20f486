"""What is asked of a language model before a run starts: dtypes that can train, and positions for the longest row."""

import json
from pathlib import Path

import pytest
from config.test_config import plan

from rftlab.errors import UserError
from rftlab.positions import positions_of

HALF = ("model.policy.dtype=bfloat16", "model.policy.compute_dtype=bfloat16")


@pytest.mark.parametrize("algo", ["ppo", "apa", "reinforce", "sft"])
def test_parameters_in_bfloat16_are_not_trained(algo: str) -> None:
    with pytest.raises(UserError, match=rf"dtype=bfloat16 with algo={algo}.*compute_dtype=bfloat16 for speed") as error:
        plan("data=imdb", f"algo={algo}", *HALF)
    assert error.value.change == "model.policy.dtype" and "\n" not in str(error.value)


def test_what_trains_nothing_may_have_them_but_not_its_parent() -> None:
    assert plan("data=imdb", "algo=diagnose", *HALF).config["model"]["policy"]["dtype"] == "bfloat16"
    with pytest.raises(UserError, match="algo=sft, which trains"):
        plan("data=imdb", "algo=diagnose", "heuristic=partial_sft", *HALF)
    with pytest.raises(UserError, match=r"change model\.policy\.compute_dtype"):
        plan("data=imdb", "algo=diagnose", HALF[0])


def test_the_compute_dtype_is_part_of_what_a_run_is() -> None:
    keys = {plan("data=imdb", f"model.policy.compute_dtype={dtype}").key for dtype in ("float32", "bfloat16")}
    assert len(keys) == 2


# --- positions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algo", ["ppo", "apa", "reinforce", "sft", "diagnose"])
def test_every_run_on_text_is_refused_where_prompt_and_response_do_not_fit(algo: str) -> None:
    plan("data=imdb", f"algo={algo}", "data.prompt.max_tokens=464")
    with pytest.raises(UserError, match="asset:gpt2_mini, a model of 512 positions; expected at most 512 together"):
        plan("data=imdb", f"algo={algo}", "data.prompt.max_tokens=465")


@pytest.mark.parametrize(
    ("algo", "key", "refused"),
    [
        ("sft", "data.target.max_tokens", True),
        ("ppo", "data.target.max_tokens", False),  # never read
        ("ppo", "data.rollout.max_new_tokens", True),
        ("sft", "data.rollout.max_new_tokens", True),  # of its reward statistics
        ("diagnose", "data.rollout.max_new_tokens", True),
        ("ppo", "data.evaluation.max_new_tokens", True),
        ("sft", "data.evaluation.max_new_tokens", True),
        ("diagnose", "data.evaluation.max_new_tokens", False),  # evaluates nothing
    ],
)
def test_the_refusal_names_the_part_that_is_too_long(algo: str, key: str, refused: bool) -> None:
    long = ("data=imdb", f"algo={algo}", "data.evaluation.max_new_tokens=48", f"{key}=500")
    if not refused:
        plan(*long)
        return
    with pytest.raises(UserError) as error:
        plan(*long)
    assert error.value.change == f"data.prompt.max_tokens or {key}"
    assert f"data.prompt.max_tokens=64 and {key}=500" in error.value.found


def test_pretraining_counts_its_documents() -> None:
    with pytest.raises(UserError, match=r"data\.target\.max_tokens=600"):
        plan("data=corpus_causal", "algo=pretrain", "data.target.max_tokens=600")


def test_relative_positions_have_no_limit() -> None:
    plan("data=narrativeqa", "algo=sft", "data.prompt.max_tokens=5000", "data.target.max_tokens=3000")


def test_a_classifier_reads_the_prompt_alone_and_so_does_a_reward() -> None:
    longer = ("data=review_labels", "algo=pretrain", "data.prompt.max_tokens=513")
    with pytest.raises(UserError) as error:
        plan(*longer)
    assert error.value.change == "data.prompt.max_tokens"
    with pytest.raises(UserError, match=r"reward\.max_tokens=600 in asset:sentiment, a model of 512 positions"):
        plan("data=imdb", "algo=ppo", "reward.max_tokens=600")


@pytest.mark.parametrize("place", ["folder", "mirror"])
def test_folders_and_mirrors_are_read_and_what_is_elsewhere_is_left_to_the_loading(tmp_path: Path, place: str) -> None:
    (tmp_path / "org" / "small").mkdir(parents=True)
    (tmp_path / "org" / "small" / "config.json").write_text(json.dumps({"max_position_embeddings": 100}))
    where = tmp_path / "org" / "small" if place == "folder" else "org/small"
    mirror = [f"paths.hub_mirror={tmp_path}"] if place == "mirror" else []
    asked = ("data=imdb", "algo=ppo", "data.source=bundled", "model=gpt2", *mirror)
    with pytest.raises(UserError, match="a model of 100 positions"):
        plan(*asked, f"model.policy.source={where}")
    plan(*asked, "model.policy.source=org/other")


@pytest.mark.parametrize(
    ("config", "positions"),
    [
        ({"model_type": "gpt2", "n_positions": 1024}, 1024),
        ({"model_type": "llama", "max_position_embeddings": 8192}, 8192),
        ({"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ({"model_type": "t5", "n_positions": 512, "relative_attention_num_buckets": 32}, None),
        ({"model_type": "deberta-v2", "max_position_embeddings": 512, "relative_attention": True}, None),
        ({"model_type": "bloom", "seq_length": 2048}, None),
        ({}, None),
    ],
)
def test_positions_of_known_architectures(config: dict[str, object], positions: int | None) -> None:
    assert positions_of(config) == positions


def test_a_whole_text_counts_alone() -> None:
    words = ("algo=sft", "data=imdb", "model=gpt2_mini")
    assert plan(*words, "algo.loop.whole_text=512").config["algo"]["loop"]["whole_text"] == 512
    with pytest.raises(UserError, match=r"algo.loop.whole_text=513 in asset:gpt2_mini, a model of 512 positions"):
        plan(*words, "algo.loop.whole_text=513")
