"""Pairs of a sweep: policies of one seed, each setting with every other, and what a seed lacks."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from rftlab.errors import UserError
from rftlab.runs import run_key
from rftlab.runs.records import note_elsewhere
from rftlab.sweeps.asked import ASKED
from rftlab.sweeps.policies import pairs_of

LOOPS = {
    "sft": "supervised.Supervised",
    "reward_model": "reward_model.RewardModelling",
    "diagnose": "diagnose.Diagnose",
    "responses": "responses.Responses",
}


def config(algo: str, seed: int, *, lam: float = 0.1, model: str = "gpt2_mini", data: str = "hh") -> dict[str, Any]:
    return {
        "scale": "mini",
        "seed": seed,
        "init_from": f"start {seed}",
        "data": {"name": data, "source": "bundled", "prompt": {}, "evaluation": {"temperature": 1.0}},
        "model": {"name": model, "policy": {"source": f"asset:{model}"}},
        "algo": {"name": algo, "loop": {"_target_": f"rftlab.loops.{LOOPS.get(algo, 'online.Online')}"}, "lam": lam},
        "reward": None if algo == "sft" else {"_target_": "rftlab.rewards.rouge.Rouge"},
        "overrides": [f"algo={algo}", f"algo.lam={lam}", f"model={model}", f"data={data}"],
    }


def write(outputs: Path, sweep: str, content: dict[str, Any], state: str = "done") -> Path:
    """Write the folder of a run; returns it."""
    folder = outputs / sweep / f"{content['algo']['name']}-{run_key(content)}"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(content))
    (folder / "status.json").write_text(json.dumps({"state": state}))
    if state == "done":
        (folder / "DONE").write_text(json.dumps({"final": {}}))
    return folder


def told(outputs: Path, sweep: str = "s") -> list[tuple[str, str, int]]:
    return [(pair.a, pair.b, pair.seed) for pair in pairs_of(outputs, sweep).there]


def test_every_setting_is_compared_with_every_other_of_its_seed_and_sft_stands_second(tmp_path: Path) -> None:
    for seed in (0, 1):
        for algo in ("sft", "ppo", "apa"):
            write(tmp_path, "s", config(algo, seed))
    assert told(tmp_path) == [
        (a, b, seed) for seed in (0, 1) for a, b in (("apa", "ppo"), ("apa", "sft"), ("ppo", "sft"))
    ]
    for pair in pairs_of(tmp_path, "s").there:
        assert [record.config["algo"]["name"] for record in pair.records] == [pair.a, pair.b]
        assert {record.config["seed"] for record in pair.records} == {pair.seed}
    assert pairs_of(tmp_path, "s").lacking == ()


def test_settings_of_one_algorithm_are_told_apart_in_words(tmp_path: Path) -> None:
    for lam in (0.1, 1.0):
        write(tmp_path, "s", config("apa", 0, lam=lam))
    assert told(tmp_path) == [("apa algo.lam=0.1", "apa algo.lam=1", 0)]


def test_models_and_datasets_are_not_mixed(tmp_path: Path) -> None:
    for other in ({}, {"model": "t5_mini"}, {"data": "tldr"}):
        for algo in ("apa", "ppo"):
            write(tmp_path, "s", config(algo, 0, **other))
    found = pairs_of(tmp_path, "s").there
    assert len(found) == len({pair.panel for pair in found}) == 3


def test_what_leaves_no_policy_of_its_own_is_in_no_pair(tmp_path: Path) -> None:
    for algo in ("apa", "reward_model", "diagnose", "responses"):
        write(tmp_path, "s", config(algo, 0))
    assert pairs_of(tmp_path, "s") == pairs_of(tmp_path, "s") and told(tmp_path) == []
    assert pairs_of(tmp_path, "s").lacking == ()


def test_a_run_that_a_seed_lacks_is_named_with_its_state(tmp_path: Path) -> None:
    for seed in (0, 1, 2):
        write(tmp_path, "s", config("apa", seed))
    write(tmp_path, "s", config("ppo", 0))
    failed = write(tmp_path, "s", config("ppo", 1), "failed")
    found = pairs_of(tmp_path, "s")
    assert told(tmp_path) == [("apa", "ppo", 0)]
    panel = "hh, bundled, scale mini, gpt2_mini"
    assert found.lacking == (
        f"missing: ppo seed 1 of {panel}: run {failed.name[-12:]} is failed",
        f"missing: ppo seed 2 of {panel}: never run",
    )


def test_a_run_that_was_asked_for_and_has_no_folder_is_named(tmp_path: Path) -> None:
    for algo in ("apa", "ppo"):
        write(tmp_path, "s", config(algo, 0))
    later, awr, judge = config("ppo", 3), config("awr", 0), config("reward_model", 0)
    asked = {key: {"name": c["algo"]["name"], "seed": c["seed"], "overrides": c["overrides"]}
             for key, c in (("a" * 12, later), ("b" * 12, awr), ("c" * 12, judge))}  # fmt: skip
    (tmp_path / "s" / ASKED).write_text(json.dumps(asked))
    assert pairs_of(tmp_path, "s").lacking == (
        "missing: apa seed 3 of hh, bundled, scale mini, gpt2_mini: never run",
        "missing: ppo seed 3 of hh, bundled, scale mini, gpt2_mini: never run",
        f"missing: awr-{'b' * 12} seed 0: never run",
    )


def test_runs_that_the_sweep_found_done_elsewhere_are_its_own_and_count_once(tmp_path: Path) -> None:
    ppo = write(tmp_path, "other", config("ppo", 0))
    write(tmp_path, "s", config("apa", 0))
    assert told(tmp_path) == []
    note_elsewhere(tmp_path, "s", {ppo.name[-12:]: ppo})
    assert told(tmp_path) == [("apa", "ppo", 0)]
    write(tmp_path, "s", config("ppo", 0), "failed")
    assert [[record.done for record in pair.records] for pair in pairs_of(tmp_path, "s").there] == [[True, True]]


@pytest.mark.parametrize("sweep", ["absent", "*"])
def test_a_sweep_without_runs_is_answered_with_those_that_have_some(tmp_path: Path, sweep: str) -> None:
    write(tmp_path, "mine", config("apa", 0))
    with pytest.raises(UserError, match=r"expected one that has run: mine; change sweep"):
        pairs_of(tmp_path, sweep)
