"""Names are those of what was loaded, whatever option was chosen."""

import pytest

from rftlab.runs import naming

PLAIN = {
    "name": "narrativeqa-ppo-none", "scale": "mini", "model.name": "t5_mini", "model.policy.source": "asset:t5_mini",
    "model.policy.init": "pretrained", "data.name": "narrativeqa", "data.source": "bundled",
    "data.loader._target_": "rftlab.data.narrativeqa.load", "data.loader.hub_id": "deepmind/narrativeqa",
    "paths.hub_mirror": None, "init_from": None,
}  # fmt: skip
IMDB = PLAIN | {"data.name": "imdb", "data.loader.hub_id": "stanfordnlp/imdb", "reward.source": "asset:sentiment"}
SAMPLED = {"data.rollout.temperature": 1.0, "data.rollout.top_k": 0, "data.rollout.top_p": 1.0}


def gpt2(**more: object) -> dict:
    return PLAIN | {"model.name": "gpt2", "model.policy.source": "openai-community/gpt2"} | more


@pytest.mark.parametrize(
    ("flat", "name"),
    [
        (PLAIN, "t5_mini"),
        (gpt2(), "gpt2"),
        (PLAIN | {"model.name": "t5_base", "model.policy.source": "google-t5/t5-base"}, "t5_base"),
        (PLAIN | {"model.name": "mlp", "model.policy.source": None}, "mlp"),
        (gpt2() | {"model.policy.source": "/models/llama-160m"}, "llama-160m"),
        (gpt2() | {"model.policy.source": "/models/llama-160m/"}, "llama-160m"),
        (gpt2() | {"model.policy.source": "/models/step 500", "loaded.architecture": "llama"}, "step_500-llama"),
        (gpt2() | {"model.policy.source": "/models/gpt2", "loaded.architecture": "llama"}, "gpt2-llama"),
        (gpt2() | {"model.policy.source": "distilgpt2", "loaded.architecture": "gpt2"}, "distilgpt2"),
        (gpt2() | {"model.policy.init": "random"}, "gpt2-random"),
        (gpt2() | {"model.policy.source": "/m/x", "loaded.architecture": "opt", "model.policy.init": "random"},
         "x-opt-random"),
    ],
)  # fmt: skip
def test_a_model_is_called_after_what_was_loaded(flat: dict, name: str) -> None:
    assert naming.model_name(flat) == name


HUB = PLAIN | {"data.source": "hub"}
MIRROR = HUB | {"paths.hub_mirror": "/data/hub"}


@pytest.mark.parametrize(
    ("flat", "source", "name"),
    [
        (PLAIN, "bundled", "narrativeqa"),
        (PLAIN | {"data.loader.hub_id": "me/toy"}, "bundled", "narrativeqa"),  # which is not read
        (HUB, "hub", "narrativeqa"),
        (MIRROR, "mirror", "narrativeqa"),
        (MIRROR | {"data.loader.hub_id": "me/toy"}, "mirror", "narrativeqa-toy"),
        (HUB | {"data.loader.hub_id": "/data/my rows.csv"}, "folder", "narrativeqa-my_rows.csv"),
        (HUB | {"data.loader.hub_id": "./rows"}, "folder", "narrativeqa-rows"),
        (HUB | {"data.loader._target_": "mine.read_csv"}, "own", "narrativeqa"),
        (HUB | {"data.name": "stsb", "data.loader.hub_id": "nyu-mll/glue", "data.loader.hub_config": "stsb"},
         "hub", "stsb"),
        ({"data.name": "one_token"}, "generated", "one_token"),
    ],
)  # fmt: skip
def test_rows_are_named_after_where_they_were_read(flat: dict, source: str, name: str) -> None:
    assert (naming.data_source(flat), naming.data_name(flat)) == (source, name)
    assert ("hub" in naming.source_in_words(source)) == (source == "hub")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, "the pretrained weights of asset:t5_mini"),
        ({"model.policy.source": "/models/llama-160m"}, "the pretrained weights of llama-160m"),
        ({"model.policy.init": "random"}, "random weights, nothing pretrained"),
        ({"model.policy.init": "random", "init_from": "0123456789ab"}, "the weights of run 0123456789ab"),
    ],
)
def test_random_weights_are_never_called_pretrained(more: dict, said: str) -> None:
    assert naming.start_in_words(PLAIN | more) == said


def test_the_headline_of_a_run_says_what_it_loads() -> None:
    assert naming.headline(PLAIN) == "narrativeqa-ppo-none  mini  model t5_mini  bundled data"
    toy = gpt2() | {"model.policy.source": "/models/llama-160m", "data.source": "hub", "paths.hub_mirror": "/data/hub"}
    toy |= {"data.loader.hub_id": "me/toy"}
    said = naming.headline(toy)
    assert said == "narrativeqa-ppo-none  mini  model llama-160m  rows of a local mirror narrativeqa-toy"


@pytest.mark.parametrize(
    ("more", "near"),
    [
        ({}, False),
        ({"data.source": "hub"}, True),
        ({"data.source": "hub", "paths.hub_mirror": "/data/hub"}, True),
        ({"data.source": "hub", "reward.source": "lvwerra/distilbert-imdb"}, False),
    ],
)
def test_the_embedded_classifier_is_named_near_chance_on_real_rows_alone(more: dict, near: bool) -> None:
    assert naming.near_chance(IMDB | more) is near
    assert ("near chance" in naming.headline(IMDB | more)) is near


@pytest.mark.parametrize(
    ("rollout", "words"),
    [
        (SAMPLED, "sampled"),
        (SAMPLED | {"data.rollout.temperature": 1.5, "data.rollout.top_k": 50}, "sampled, T=1.5, top_k 50"),
        (SAMPLED | {"data.rollout.top_p": 0.9}, "sampled, top_p 0.9"),
        ({"data.rollout.num_beams": 4}, "4 beams"),
        ({"data.rollout.num_beams": 1}, "greedy"),
        ({}, ""),
    ],
)
def test_a_decoding_is_said_in_a_few_words(rollout: dict, words: str) -> None:
    assert naming.decoding(rollout, "rollout") == words


def test_a_probe_keeps_its_temperature_where_the_rollouts_have_another() -> None:
    hot = PLAIN | SAMPLED | {"data.rollout.temperature": 1.5, "data.evaluation.temperature": 1.0}
    names = ["probe/reward_mean", "probe_own/reward_mean", "eval/test/reward", "eval_own/test/reward", "reward/mean"]
    names += ["eval/test/gold"]
    cold = hot | {"data.probe.temperature": 1.0}
    assert [naming.metric_label(name, cold) for name in names] == [
        "train reward (sampled)", "train reward (sampled, T=1.5)", "test reward (sampled)",
        "test reward (sampled, T=1.5)", "rollout reward (sampled, T=1.5)", "test gold reward (sampled)",
    ]  # fmt: skip
    assert naming.metric_label("probe/reward_mean", hot) == "train reward (sampled, T=1.5)"  # of before `data.probe`


def test_the_four_rewards_of_one_run_have_four_names() -> None:
    flat = PLAIN | SAMPLED | {"data.evaluation.num_beams": 4}
    names = ["reward/mean", "probe/reward_mean", "eval/train/reward", "eval/test/reward", "policy/kl"]
    assert [naming.metric_label(name, flat) for name in names] == [
        "rollout reward (sampled)", "train reward (sampled)", "train reward (4 beams)", "test reward (4 beams)",
        "policy/kl",
    ]  # fmt: skip
    assert naming.metric_label("reward/mean", PLAIN) == "reward/mean"  # of labels: exact, nothing is drawn
