"""A gold reward scores evaluations beside the reward, and changes nothing else of a run."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from losses import ilql, offline, online, ppo
from scored import with_responses
from toy import Killed, die, logged

from rftlab.loops.evaluation import evaluate
from rftlab.loops.lab import Lab
from rftlab.runs import read_run


def many_letters(prompts: Sequence[str], responses: Sequence[str], targets: Sequence[tuple[str, ...]]) -> np.ndarray:
    """Score what the reward does not: how many different letters there are."""
    return np.array([10.0 + len(set(response)) for response in responses])


def with_gold(lab: Lab) -> Lab:
    return replace(lab, task=replace(lab.task, gold=many_letters))


def written(lab: Lab) -> tuple[list, list]:
    lab.session.run.flush()
    run = read_run(lab.session.run.folder)
    samples = [{key: row[key] for key in row if key != "attempt"} for row in run.samples()]
    return samples, [metric for metric in run.metrics() if not metric[1].startswith("time/")]


def plain(rows: list) -> list:
    """Leave gold out of samples or metrics."""
    samples = [{key: row[key] for key in row if key != "gold"} if isinstance(row, dict) else row for row in rows]
    return [row for row in samples if isinstance(row, dict) or not row[1].endswith("/gold")]


def test_every_split_says_the_mean_gold_score_of_the_responses_that_the_reward_scored(
    make_lab: Callable[..., Lab],
) -> None:
    lab = with_gold(make_lab("gold", evaluation={"n_logged": 100}))
    metrics = evaluate(lab, 0)
    samples, _ = written(lab)
    for split in ("train", "validation", "test"):
        rows = [row for row in samples if row["split"] == split]
        assert metrics[f"eval/{split}/gold"] == pytest.approx(np.mean([10 + len(set(r["response"])) for r in rows]))
        assert metrics[f"eval/{split}/gold"] == pytest.approx(np.mean([row["gold"] for row in rows]))
        assert metrics[f"eval/{split}/reward"] == pytest.approx(np.mean([row["score"] for row in rows]))


def test_responses_that_are_decoded_otherwise_have_their_own(make_lab: Callable[..., Lab]) -> None:
    lab = with_gold(make_lab("own"))
    hot = replace(lab.task.rollout, temperature=2.0)
    metrics = evaluate(replace(lab, task=replace(lab.task, evaluation=hot)), 0)
    assert {"eval/test/gold", "eval_own/test/gold"} <= set(metrics)


def test_gold_changes_no_other_number_and_no_text_of_a_run(quick_lab: Callable[..., Lab]) -> None:
    loop = online(update_epochs=1, microbatch_size=4)
    alone, beside = quick_lab("alone"), with_gold(quick_lab("beside"))
    finals = [loop.run(lab, ppo()) for lab in (alone, beside)]
    (samples, metrics), (gold_samples, gold_metrics) = written(alone), written(beside)
    assert plain(gold_samples) == samples and plain(gold_metrics) == metrics
    assert len(gold_metrics) > len(metrics)
    assert {key: value for key, value in finals[1].items() if not key.endswith("/gold")} == finals[0]
    steps = [[step.everything for step in lab.optimizer.build.steps] for lab in (alone, beside)]
    assert len(steps[0]) == len(steps[1]) and all((a == b).all() for a, b in zip(*steps, strict=True))
    assert all("gold" not in row for row in gold_samples if "phase" in row)  # probes are of the reward alone


def test_gold_is_asked_at_evaluations_alone(quick_lab: Callable[..., Lab]) -> None:
    asked = []
    lab = quick_lab("counted")

    def gold(prompts: Sequence[str], responses: Sequence[str], targets: Sequence[tuple[str, ...]]) -> np.ndarray:
        asked.append(list(responses))
        return many_letters(prompts, responses, targets)

    online(update_epochs=1, microbatch_size=4).run(replace(lab, task=replace(lab.task, gold=gold)), ppo())
    assert len(asked) == 3 * len(logged(lab, "eval/test/reward")) and {len(texts) for texts in asked} == {1}


def test_policies_that_decode_shifted_are_scored_as_they_decode(make_lab: Callable[..., Lab]) -> None:
    lab = with_gold(with_responses(make_lab("shifted", checkpoint_every=1000)))
    final = offline(values="refreshed").run(lab, ilql())
    shifts = {key.removeprefix("eval/test/reward") for key in final if key.startswith("eval/test/reward_b")}
    assert shifts and {f"eval/test/gold{shift}" for shift in shifts} <= set(final)


def test_a_resumed_run_with_gold_equals_the_uninterrupted_one(quick_lab: Callable[..., Lab]) -> None:
    loop = online(update_epochs=1, microbatch_size=4)
    whole, broken = with_gold(quick_lab("whole")), with_gold(quick_lab("broken", watch={"at": 4, "then": die}))
    final = loop.run(whole, ppo())
    with pytest.raises(Killed):
        loop.run(broken, ppo())
    broken.session.run.stop()
    resumed = with_gold(quick_lab("broken"))
    assert loop.run(resumed, ppo()) == final
    assert written(whole) == written(resumed) and "eval/test/gold" in final


def test_the_line_of_an_evaluation_says_it(quick_lab: Callable[..., Lab]) -> None:
    lines: list[str] = []
    lab = with_gold(quick_lab("told"))
    told = replace(lab, session=replace(lab.session, describe=lines.append))
    final = online(update_epochs=1, microbatch_size=4).run(told, ppo())
    assert lines[-1].endswith(f"  test {final['eval/test/reward']:.3f}  test gold {final['eval/test/gold']:.3f}")
