"""What a run draws from a policy that is not trained yet: once for all runs that would draw the same, and no others."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from losses import online, reinforce
from toy import shared_letters

from rftlab.loops import evaluation
from rftlab.loops.evaluation import encode, evaluate, look_before
from rftlab.loops.first_looks import Draw, FirstLooks, key_of
from rftlab.loops.lab import Lab
from rftlab.runs import read_run

ROOT = Path(__file__).parents[2]
TINY = [
    "data=narrativeqa", "algo.loop.prompts_per_iteration=4", "algo.loop.samples_per_prompt=2", "eval.n_train=2",
    "algo.loop.minibatch_size=8", "algo.loop.microbatch_size=8", "algo.loop.iterations=1", "eval.n_validation=2",
    "eval.n_test=2", "eval.probe_prompts=3", "data.loader.n_train=8", "data.loader.n_validation=2", "seed=3",
    "data.loader.n_test=2", "tracking=none", "runtime.threads=1",
]  # fmt: skip


@pytest.fixture
def lab_of(make_lab: Callable[..., Lab], tmp_path: Path) -> Callable[..., Lab]:
    """Make a lab that shares its first looks with the others, unless `alone`."""

    def make(name: str, *, alone: bool = False, **values: Any) -> Lab:
        lab = make_lab(name, evaluation={"n_logged": 100}, **values)
        looks = None if alone else FirstLooks(tmp_path / "looks")
        return replace(lab, task=replace(lab.task, reward=shared_letters), first_looks=looks)

    return make


@pytest.fixture
def draws(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """List how many rows were sampled, call by call."""
    rows: list[int] = []
    generate = evaluation.generate

    def counted(policy: Any, ids: torch.Tensor, *rest: Any) -> Any:
        rows.append(len(ids))
        return generate(policy, ids, *rest)

    monkeypatch.setattr(evaluation, "generate", counted)
    return rows


def looked(lab: Lab) -> tuple[Any, ...]:
    """Look at the policy as a run does before it trains; returns all that the run has kept of it."""
    look_before(lab)
    evaluate(lab, 0)
    lab.session.run.flush()
    run = read_run(lab.session.run.folder)
    prompts = run.prompts()
    assert prompts is not None
    return run.samples(), run.metrics(), prompts.to_dict("list")


@pytest.mark.parametrize("family", ["causal", "seq2seq"])
def test_a_second_run_keeps_what_it_would_have_drawn_and_draws_nothing(
    lab_of: Callable[..., Lab], draws: list[int], family: str
) -> None:
    alone = looked(lab_of("alone", alone=True, family=family))
    first = looked(lab_of("first", family=family))
    assert len(alone[0]) > 20 and len(draws) > 4
    draws.clear()
    assert looked(lab_of("second", family=family)) == first == alone
    assert draws == []


def test_a_trained_policy_is_looked_at_itself(lab_of: Callable[..., Lab], draws: list[int], tmp_path: Path) -> None:
    lab = lab_of("trained")
    online(iterations=1).run(lab, reinforce())
    kept = len(list((tmp_path / "looks").iterdir()))
    assert kept == 4  # the look, and three splits
    draws.clear()
    evaluate(lab, 1)
    assert len(draws) >= 3 and len(list((tmp_path / "looks").iterdir())) == kept


def test_a_policy_that_decodes_shifted_is_looked_at_itself(
    lab_of: Callable[..., Lab], draws: list[int], tmp_path: Path
) -> None:
    for name, drawn in (("first", 6), ("second", 3)):  # by splits: what shifts it is no weight of it
        draws.clear()
        lab = lab_of(name)
        evaluate(replace(lab, shifted={"_b1": lab.policy}), 0)
        assert len(draws) == drawn and len(list((tmp_path / "looks").iterdir())) == 3


def test_another_reward_scores_the_same_answers(lab_of: Callable[..., Lab], draws: list[int]) -> None:
    one, _, _ = looked(lab_of("one"))
    draws.clear()
    lab = lab_of("other")
    other, _, _ = looked(replace(lab, task=replace(lab.task, reward=lambda *texts: -shared_letters(*texts))))
    assert [row["response"] for row in one] == [row["response"] for row in other] and draws == []
    assert [row["score"] for row in one] == [-row["score"] for row in other]


def test_what_was_torn_or_changed_or_is_of_another_size_is_drawn_again(
    lab_of: Callable[..., Lab], draws: list[int], tmp_path: Path
) -> None:
    first = looked(lab_of("first"))
    files = sorted((tmp_path / "looks").iterdir())
    whole = [json.loads(file.read_text()) for file in files]
    files[0].write_text(files[0].read_text()[:-9])
    files[1].write_text(json.dumps(whole[0]))
    files[2].write_text("[]")
    changed = [*whole[3]["texts"][1:], 5]
    files[3].write_text(json.dumps(whole[3] | {"texts": changed}))
    draws.clear()
    assert looked(lab_of("second")) == first and draws
    looks = FirstLooks(tmp_path / "looks")
    assert looks.find(files[0].stem, len(whole[0]["texts"])) is not None
    assert looks.find(files[0].stem, len(whole[0]["texts"]) + 1) is None
    assert [json.loads(file.read_text()) for file in files] == whole


def test_every_thing_that_answers_depend_on_gives_another_key(lab_of: Callable[..., Lab], tmp_path: Path) -> None:
    lab, looks = lab_of("lab"), FirstLooks(tmp_path)
    examples = lab.task.splits.train[:3]
    assert lab.task.probe is not None
    draw = Draw(
        seed=1, purpose=("probe", 0), places=["a", "b", "c"], samples=2, decoding=lab.task.probe, stop=(),
        prompts_at_once=4,
    )  # fmt: skip
    ids, mask = encode(lab, examples)

    def key(changed: Draw = draw, ids: torch.Tensor = ids, mask: torch.Tensor = mask) -> str:
        return key_of(lab.policy, looks.weights_of(lab.policy), ids, mask, changed)

    keys = [
        key(), key(replace(draw, seed=2)), key(replace(draw, purpose=("probe", 1))), key(replace(draw, samples=3)),
        key(replace(draw, places=["a", "b", "d"])), key(replace(draw, stop=("x",))),
        key(replace(draw, prompts_at_once=2)), key(replace(draw, decoding=replace(lab.task.probe, temperature=0.5))),
        key(ids=ids.flip(1)), key(mask=~mask),
    ]  # fmt: skip
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    keys.append(key())
    torch.set_num_threads(threads)
    lab.policy.compute_dtype = torch.bfloat16
    keys.append(key())
    lab.policy.compute_dtype = torch.float32
    assert key() == keys[0]
    weight = next(lab.policy.parameters())
    with torch.no_grad():
        weight.view(-1)[0] = torch.nextafter(weight.view(-1)[0], torch.tensor(1e9))
    keys.append(key())
    assert len(set(keys)) == len(keys) == 13


@pytest.mark.slow
def test_two_algorithms_of_one_seed_share_their_first_look(tmp_path: Path) -> None:
    told = []
    for algo in ("ppo", "apa"):
        done = subprocess.run(
            [sys.executable, "src/train.py", f"algo={algo}", *TINY, f"paths.outputs={tmp_path}"], cwd=ROOT,
            capture_output=True, text=True, env=os.environ | {"PYTHONPATH": f"src{os.pathsep}."},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        told.append("30 responses that another run has drawn" in done.stdout + done.stderr)
    assert told == [False, True]
    runs = [read_run(path.parent) for path in sorted(tmp_path.glob("default/*/config.yaml"))]
    before = [[row for row in run.samples() if row["step"] == 0] for run in runs]
    texts = [[(row["split"], row["prompt_id"], row["response"], row["score"]) for row in rows] for rows in before]
    assert len(runs) == 2 and texts[0] == texts[1] and len(texts[0]) >= 6
