"""Looks at a policy: evaluation, probe, diagnosis; what they draw, and what must not matter."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
from losses import online, reinforce
from toy import examples, logged, shared_letters, splits

from rftlab.loops.diagnose import Diagnose
from rftlab.loops.evaluation import evaluate, look_before, places_of, probe
from rftlab.loops.lab import Lab
from rftlab.runs import read_run

FAMILIES = ("causal", "seq2seq")
DIAGNOSIS = Diagnose(
    n_prompts=6, samples_per_prompt=3, bound_prompts=0, bound_seconds=None, bound_samples=4, bound_prefixes=1,
    power_iterations=1, reward_low=0.0, reward_high=1.0,
)  # fmt: skip


@pytest.fixture
def lab_of(make_lab: Callable[..., Lab]) -> Callable[..., Lab]:
    """Make a lab that decodes so many responses at a time; `sampled` evaluates with the rollout's sampling."""

    def make(family: str, size: int, sampled: bool = False) -> Lab:
        lab = make_lab(f"{family}-{size}-{sampled}", family=family, evaluation={"batch_size": size, "n_logged": 100})
        task = replace(lab.task, reward=shared_letters)
        return replace(lab, task=replace(task, evaluation=task.rollout) if sampled else task)

    return make


def written(lab: Lab) -> tuple[list[dict[str, Any]], list[tuple[int, str, float]], pd.DataFrame | None]:
    """Read every text, metric and statistic that was written."""
    lab.session.run.flush()
    run = read_run(lab.session.run.folder)
    return run.samples(), run.metrics(), run.prompts()


def of_probe(name: str) -> bool:
    return name.startswith("probe/")


@pytest.mark.parametrize("family", FAMILIES)
def test_evaluation_does_not_depend_on_the_batches(lab_of: Callable[..., Lab], family: str) -> None:
    for sampled in (False, True):
        found = []
        for size in (1, 3, 64):
            lab = lab_of(family, size, sampled)
            evaluate(lab, 0)
            found.append(written(lab)[:2])
        assert len(found[0][0]) == 9 and found[0] == found[1] == found[2]


@pytest.mark.parametrize("family", FAMILIES)
def test_probe_and_diagnosis_draw_the_same_whatever_the_batches(lab_of: Callable[..., Lab], family: str) -> None:
    found = []
    for size, diagnosed in ((1, False), (3, True), (7, True), (64, False)):
        lab = lab_of(family, size)
        if diagnosed:
            DIAGNOSIS.run(lab)
        else:
            probe(lab, "before", 0)
        samples, metrics, prompts = written(lab)
        assert prompts is not None
        texts = [(row["prompt_id"], row["response"], row["score"]) for row in samples]
        found.append((texts, sorted((n, v) for _, n, v in metrics if of_probe(n)), prompts.to_dict("list")))
    assert len(found[0][0]) == 18 and len(set(found[0][0])) > 8
    assert all(other == found[0] for other in found[1:])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_rollout_does_not_depend_on_the_decoding_batch(make_lab: Callable[..., Lab], family: str) -> None:
    rollouts = []
    for size in (1, 3, 64):
        lab = make_lab(f"{size}", family=family, evaluation={"batch_size": size})
        online(iterations=1).run(lab, reinforce())
        rollouts.append([call.responses for call in lab.task.reward.rollouts])
    assert len(rollouts[0]) == 2 and rollouts[0] == rollouts[1] == rollouts[2]


def test_every_look_has_noise_of_its_own(lab_of: Callable[..., Lab]) -> None:
    lab = lab_of("causal", 64)
    for phase, step in (("before", 0), ("during", 2), ("during", 4), ("after", 6), ("before", 0)):
        probe(lab, phase, step)
    looks: dict[tuple, list[list[str]]] = {}
    for row in written(lab)[0]:
        looks.setdefault((row["phase"], row["step"]), []).append(row["response"])
    again = looks.pop(("before", 0))
    assert again[:18] == again[18:]  # the same look again
    drawn = [tuple(again[:12]), *(tuple(texts[:12]) for texts in looks.values())]
    assert len(set(drawn)) == 4


def test_runs_at_other_temperatures_are_looked_at_alike_and_at_their_own(make_lab: Callable[..., Lab]) -> None:
    found = {}
    for name, temperature in (("plain", 0.7), ("hot", 3.0)):
        lab = make_lab(name, rollout={"temperature": temperature}, probe={"temperature": 0.7})
        lab = replace(lab, task=replace(lab.task, evaluation=lab.task.probe))
        evaluate(lab, 0)
        probe(lab, "before", 0)
        _, metrics, prompts = written(lab)
        assert prompts is not None
        found[name] = ({key: value for _, key, value in metrics}, prompts)
    (plain, plain_rows), (hot, hot_rows) = found["plain"], found["hot"]
    assert plain == {key: value for key, value in hot.items() if "_own/" not in key}
    own = {key.replace("_own/", "/"): value for key, value in hot.items() if "_own/" in key}
    assert own.keys() == plain.keys() and own["probe/reward_std"] != plain["probe/reward_std"]
    assert set(plain_rows["decoding"]) == {"common"} and set(hot_rows["decoding"]) == {"common", "own"}
    common = hot_rows[hot_rows["decoding"] == "common"].reset_index(drop=True)
    pd.testing.assert_frame_equal(common, plain_rows)
    assert list(hot_rows["prompt_id"][6:]) == list(plain_rows["prompt_id"])


def test_the_untrained_policy_is_drawn_twice_where_asked_for(make_lab: Callable[..., Lab]) -> None:
    for null in (True, False):
        lab = make_lab(f"{null}", evaluation={"probe_null": null}, rollout={"temperature": 3.0}, probe={})
        metrics = look_before(lab)
        frame = read_run(lab.session.run.folder).prompts()
        assert frame is not None
        looks = dict(list(frame[frame["decoding"] == "common"].groupby("phase")))
        assert set(looks) == ({"before", "again"} if null else {"before"})
        assert metrics["probe/reward_mean"] == looks["before"]["reward_mean"].mean()
        assert logged(lab, "probe/reward_mean") == [metrics["probe/reward_mean"]]
        if null:  # the own temperature has no second look
            assert len(frame) == 18 and set(looks["again"]["step"]) == {0}
            assert list(looks["again"]["prompt_id"]) == list(looks["before"]["prompt_id"])
            assert list(looks["again"]["reward_mean"]) != list(looks["before"]["reward_mean"])


def test_examples_with_one_id_are_answered_with_noise_of_their_own(make_lab: Callable[..., Lab]) -> None:
    twice = [replace(example, id="same", prompt="ab") for example in examples(4, "train", "a")]
    lab = make_lab("twice", data=replace(splits(), train=twice), evaluation={"n_logged": 100})
    assert len(set(places_of(twice))) == 4
    probe(lab, "before", 0)
    texts = [row["response"] for row in written(lab)[0]]
    assert len({tuple(texts[i : i + 3]) for i in range(0, 12, 3)}) == 4
