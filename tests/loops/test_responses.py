"""A run that samples, scores and keeps responses, and trains nothing."""

from collections.abc import Callable

import pytest
from test_resume import assert_equal
from toy import MAX_NEW, ids_of, shared_letters

from rftlab.errors import UserError
from rftlab.loops.lab import Lab
from rftlab.loops.responses import Responses
from rftlab.runs import read_responses
from rftlab.stop import StopRequested

LOOP = Responses(samples_per_prompt=3, prompts=None)


def rows(lab: Lab) -> list[dict]:
    frame = read_responses(lab.session.run.folder)
    lists = {name: frame[name].map(list) for name in ("targets", "response_ids")}
    return frame.assign(**lists).to_dict("records")


def test_every_prompt_of_train_and_validation_gets_its_responses_with_their_scores(
    make_lab: Callable[..., Lab],
) -> None:
    lab = make_lab("run")
    start = {name: value.clone() for name, value in lab.policy.state_dict().items()}
    final = LOOP.run(lab)
    found, splits = rows(lab), lab.task.splits
    asked = [(split, e) for split in ("train", "validation") for e in getattr(splits, split) for _ in range(3)]
    assert sorted((row["split"], row["prompt_id"]) for row in found) == sorted((s, e.id) for s, e in asked)
    by_id = {example.id: example for _, example in asked}
    for row in found:
        example = by_id[row["prompt_id"]]
        assert (row["prompt"], tuple(row["targets"])) == (example.prompt, example.targets)
        assert row["score"] == shared_letters([example.prompt], [row["response"]], [example.targets])[0]
        assert list(row["response_ids"]) == ids_of(row["response"], MAX_NEW)  # EOS where one was sampled
    train = [row["score"] for row in found if row["split"] == "train"]
    assert final["reward/mean"] == pytest.approx(sum(train) / len(train))
    assert len({row["response"] for row in found}) > len(found) / 2
    assert_equal(start, lab.policy.state_dict())


def test_prompts_are_a_subset_of_each_split(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab("run")
    Responses(samples_per_prompt=1, prompts=3).run(lab)
    assert [row["split"] for row in rows(lab)] == ["train"] * 3 + ["validation"] * 3


@pytest.mark.parametrize("sizes", [(12, 9, 3), (3, 12, 6), (6, 9, 64)])
def test_batches_of_another_size_leave_no_prompt_out(
    make_lab: Callable[..., Lab], lab_in: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch, sizes: tuple[int, ...]
) -> None:
    """Three attempts, each with batches of another size, and none of them a multiple of what was answered."""
    loop = Responses(samples_per_prompt=3, prompts=None)
    whole = make_lab("whole")
    loop.run(whole)
    lab = make_lab("broken", evaluation={"batch_size": sizes[0]})
    folder, save = lab.session.run.folder, type(lab.session).save
    answered: list[int] = []

    def stop_after_one(session: object, step: int, state: object) -> None:
        if session is not whole.session:
            answered.append(step)
            session.stop.request("a test")
        save(session, step, state)

    monkeypatch.setattr(type(lab.session), "save", stop_after_one)
    for size in sizes[1:]:
        with pytest.raises(StopRequested):
            loop.run(lab)
        lab.session.run.stop()
        lab = lab_in(folder, evaluation={"batch_size": size})
    monkeypatch.setattr(type(lab.session), "save", save)
    loop.run(lab)
    assert 0 < answered[0] < answered[1] < 16
    assert [(row["prompt_id"], row["response"], row["score"]) for row in rows(lab)] == [
        (row["prompt_id"], row["response"], row["score"]) for row in rows(whole)
    ]


def test_a_checkpoint_that_leaves_a_prompt_out_is_refused(
    make_lab: Callable[..., Lab], lab_in: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = make_lab("run", evaluation={"batch_size": 6})
    save = type(lab.session).save

    def damaged(session: object, step: int, state: dict) -> None:
        del state["rows"]["train"]["asked"][0]
        save(session, step, state)
        session.stop.request("a test")
        session.stop.check()

    monkeypatch.setattr(type(lab.session), "save", damaged)
    with pytest.raises(StopRequested):
        LOOP.run(lab)
    lab.session.run.stop()
    with pytest.raises(UserError, match="do not answer the first prompts in their order"):
        LOOP.run(lab_in(lab.session.run.folder))


@pytest.mark.parametrize("batch_size", [4, 64])
def test_a_run_that_was_stopped_goes_on_and_writes_the_same_rows(
    make_lab: Callable[..., Lab], lab_in: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch, batch_size: int
) -> None:
    whole = make_lab("whole")
    final = LOOP.run(whole)
    broken = make_lab("broken", evaluation={"batch_size": batch_size})
    save, folder = type(broken.session).save, broken.session.run.folder
    steps: list[int] = []

    def asked_to_stop(session: object, step: int, state: object) -> None:
        steps.append(step)
        if len(steps) == 2 and session is broken.session:
            session.stop.request("a test")
        save(session, step, state)

    monkeypatch.setattr(type(broken.session), "save", asked_to_stop)
    with pytest.raises(StopRequested):
        LOOP.run(broken)
    broken.session.run.stop()
    assert 0 < steps[-1] <= 16 and read_responses(folder) is None
    resumed = lab_in(folder)
    assert LOOP.run(resumed) == final
    assert len(resumed.task.reward.calls) < len(whole.task.reward.calls)  # what was done is not done again
    assert rows(whole) == rows(resumed)
