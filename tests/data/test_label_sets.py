"""Label sets of the controlled experiments: what is inside and outside, counts, seeds, rewards and refusals."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rftlab.data.parts.label_sets import LabelSets, assign, reward_table
from rftlab.errors import UserError

N = 400


def draw(classes: int = 10, labels_per_input: int = 5, modified_share: float = 0.1, seed: int = 0, n: int = N):
    labels = torch.arange(n) * 7 % classes
    return labels, assign(labels, classes, labels_per_input, modified_share, seed)


def inside(sets: LabelSets) -> torch.Tensor:
    return (sets.pretraining == sets.finetuning.unsqueeze(1)).any(1)


@st.composite
def settings_of_a_draw(draw_one: st.DrawFn) -> dict:
    classes = draw_one(st.integers(2, 12))
    return {
        "classes": classes,
        "labels_per_input": draw_one(st.integers(1, classes - 1)),
        "modified_share": draw_one(st.floats(0, 1)),
        "seed": draw_one(st.integers(0, 2**31)),
        "n": draw_one(st.integers(0, 60)),
    }


@given(settings_of_a_draw())
@settings(max_examples=60, deadline=None)
def test_modified_inputs_alone_have_a_label_outside_their_set(arguments: dict):
    labels, sets = draw(**arguments)
    n, m = arguments["n"], arguments["labels_per_input"]
    assert sets.pretraining.shape == (n, m) and sets.finetuning.shape == sets.modified.shape == (n,)
    assert (sets.pretraining[:, 0] == labels).all()
    assert all(len({*row}) == m for row in sets.pretraining.tolist())
    assert torch.equal(inside(sets), ~sets.modified)
    assert torch.equal(sets.finetuning[~sets.modified], labels[~sets.modified])
    assert int(sets.modified.sum()) == round(n * arguments["modified_share"])
    every = torch.cat([sets.pretraining.flatten(), sets.finetuning])
    assert ((every >= 0) & (every < arguments["classes"])).all()


def test_all_inputs_of_a_class_have_the_same_extra_labels():
    labels, sets = draw()
    for label in range(10):
        assert len(sets.pretraining[labels == label].unique(dim=0)) == 1


def test_extra_labels_of_a_class_do_not_depend_on_the_inputs():
    few, many = assign(torch.tensor([3]), 10, 5, 0.0, 1), assign(torch.tensor([0, 1, 3]), 10, 5, 1.0, 1)
    assert torch.equal(few.pretraining[0], many.pretraining[2])


def test_extra_labels_differ_between_classes_and_spread_over_them():
    _, sets = draw(n=10)
    assert len({frozenset(row) for row in sets.pretraining[:, 1:].tolist()}) > 5
    pooled = torch.cat([draw(n=10, seed=seed)[1].pretraining[:, 1:].flatten() for seed in range(200)])
    counts = torch.bincount(pooled, minlength=10).double()  # 800 each in expectation
    assert (counts - 800).abs().max() < 100


def test_modified_labels_are_uniform_outside_the_set():
    labels = torch.zeros(5000, dtype=torch.int64)
    sets = assign(labels, 10, 5, 1.0, 0)
    counts = torch.bincount(sets.finetuning, minlength=10)
    assert (counts > 0).sum() == 5
    assert (counts[counts > 0] - 1000).abs().max() < 120


def test_the_same_seed_gives_the_same_sets_and_another_seed_others():
    (_, first), (_, again), (_, other) = draw(seed=192), draw(seed=192), draw(seed=193)
    for name in ("pretraining", "finetuning", "modified"):
        assert torch.equal(getattr(first, name), getattr(again, name))
        assert not torch.equal(getattr(first, name), getattr(other, name))


def test_the_global_random_state_is_left_alone():
    before = torch.get_rng_state()
    draw()
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("labels_per_input", [0, 10, 11])
def test_sets_that_leave_no_label_outside_are_refused(labels_per_input: int):
    with pytest.raises(UserError) as error:
        draw(labels_per_input=labels_per_input)
    assert error.value.change == "data.labels_per_input"


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_outside_0_to_1_is_refused(share: float):
    with pytest.raises(UserError) as error:
        draw(modified_share=share)
    assert error.value.change == "data.modified_share"


def test_rewards_tell_the_right_label_and_wrong_labels_of_modified_inputs():
    rewards = reward_table(torch.tensor([2, 0]), torch.tensor([False, True]), 3, 1, -1, 0.5)
    assert rewards.tolist() == [[-1, -1, 1], [1, 0.5, 0.5]]
    assert rewards.dtype == torch.float32
