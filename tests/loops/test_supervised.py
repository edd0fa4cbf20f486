"""Supervised finetuning: which answers it learns, of which prompts, at which rate; and the loss it is evaluated by."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from losses import supervised
from toy import LETTERS, MAX_NEW, ids_of, logged, plain_logprobs

from rftlab.algorithms.sft import SFT
from rftlab.errors import UserError
from rftlab.loops.evaluation import evaluate
from rftlab.loops.lab import Lab
from rftlab.types import Example


@pytest.mark.parametrize("family", ["causal", "seq2seq"])
def test_each_pass_over_the_prompts_takes_the_next_answer(quick_lab: Callable[..., Lab], family: str) -> None:
    lab = quick_lab("answers", family=family, lr=0.0)
    asked = [replace(e, targets=(*e.targets, "gg")) if i % 2 else e for i, e in enumerate(lab.task.splits.train)]
    lab = replace(lab, task=replace(lab.task, splits=replace(lab.task.splits, train=asked)))
    supervised(steps=4, sample_fraction=1.0, batch_size=len(asked), microbatch_size=5).run(lab, SFT())
    for epoch, loss in enumerate(logged(lab, "sft/loss")):
        pairs = [(e.prompt, ids_of(e.targets[epoch % len(e.targets)], MAX_NEW)) for e in asked]
        logprobs = torch.cat([plain_logprobs(lab.policy, prompt, ids, 1.0).detach() for prompt, ids in pairs])
        assert loss == pytest.approx(-float(logprobs.mean()), rel=1e-4), epoch


@pytest.mark.parametrize("limit", [64, 5])
def test_of_a_whole_text_every_token_but_the_first_is_learned(quick_lab: Callable[..., Lab], limit: int) -> None:
    lab = quick_lab("whole", family="causal", lr=0.0)
    asked = lab.task.splits.train
    supervised(steps=1, sample_fraction=1.0, batch_size=len(asked), microbatch_size=5, whole_text=limit).run(lab, SFT())
    texts = [(e.prompt + e.targets[0])[-limit:] for e in asked]  # cut where prompts are: on the left
    assert max(map(len, texts)) == 5 if limit == 5 else max(map(len, texts)) > 5
    rest = [(text[0], [1 + LETTERS.index(letter) for letter in text[1:]]) for text in texts]
    logprobs = torch.cat([plain_logprobs(lab.policy, first, ids, 1.0).detach() for first, ids in rest])
    assert logged(lab, "sft/loss") == pytest.approx([-float(logprobs.mean())], rel=1e-4)


@pytest.mark.parametrize(("share", "same"), [(0.25, True), (1.0, False)])
def test_a_share_of_the_prompts_is_the_same_few_in_every_pass(
    quick_lab: Callable[..., Lab], share: float, same: bool
) -> None:
    lab = quick_lab("share", lr=0.0)  # all prompts have two answers: every other pass of three prompts is the same
    supervised(steps=3, sample_fraction=share, batch_size=3).run(lab, SFT())
    losses = logged(lab, "sft/loss")
    assert (losses[0] == pytest.approx(losses[2], rel=1e-5)) == same


def test_without_a_reward_the_loss_of_the_first_answer_is_evaluated(quick_lab: Callable[..., Lab]) -> None:
    lab = quick_lab("loss", evaluation={"sizes": {"train": 3, "validation": 4, "test": 0}, "batch_size": 3})
    lab = replace(lab, task=replace(lab.task, reward=None))
    final = supervised(steps=1).run(lab, SFT())
    pairs = [(e.prompt, ids_of(e.targets[0], MAX_NEW)) for e in lab.task.splits.validation]
    logprobs = torch.cat([plain_logprobs(lab.policy, prompt, ids, 1.0).detach() for prompt, ids in pairs])
    assert final["eval/validation/loss"] == pytest.approx(-float(logprobs.mean()), rel=1e-4)
    assert final["eval/validation/confident"] == pytest.approx(float((logprobs > np.log(0.5)).float().mean()))


def test_the_learning_rate_of_sft_is_scheduled_over_all_steps(quick_lab: Callable[..., Lab]) -> None:
    lab = quick_lab("schedule")
    supervised(steps=5).run(lab, SFT())
    steps = np.arange(1, 6)
    expected = lab.optimizer.lr * np.minimum(steps / 3, (1 + np.cos(np.pi * (steps - 3).clip(0) / 2)) / 2)
    assert [step.lr for step in lab.optimizer.build.steps] == pytest.approx(expected)
    assert logged(lab, "optimizer/lr") == pytest.approx(expected)


@pytest.mark.parametrize("family", ["causal", "seq2seq"])
@pytest.mark.parametrize("empty", ["some", "all"])
def test_a_target_without_a_token_has_no_part_in_the_loss(
    quick_lab: Callable[..., Lab], family: str, empty: str
) -> None:
    """Without EOS an empty text has no token: alone in a microbatch, and in a minibatch of its like."""
    labs = []
    for name, size in (("one", 1), ("four", 4)):
        lab = quick_lab(f"{name}", family=family)
        asked = [replace(e, targets=("",) if empty == "all" or i % 2 else ("ab",)) for i, e in enumerate(examples(4))]
        task = replace(lab.task, append_eos=False, splits=replace(lab.task.splits, train=asked))
        lab = replace(lab, task=task)
        supervised(steps=2, sample_fraction=1.0, batch_size=4, microbatch_size=size).run(lab, SFT())
        labs.append(lab)
    one, four = labs
    assert logged(one, "sft/loss") == pytest.approx(logged(four, "sft/loss"), rel=1e-5)
    for a, b in zip(one.optimizer.build.steps, four.optimizer.build.steps, strict=True):
        torch.testing.assert_close(a.everything, b.everything, rtol=1e-4, atol=1e-6)
    if empty == "all":
        assert logged(one, "sft/loss") == logged(one, "grad/norm") == [0.0, 0.0]


def examples(n: int) -> list[Example]:
    return [Example(id=str(i), prompt="abc"[: 1 + i % 3], targets=()) for i in range(n)]


@pytest.mark.parametrize("family", ["causal", "seq2seq"])
def test_a_token_loss_of_no_token_is_refused(quick_lab: Callable[..., Lab], family: str) -> None:
    lab = quick_lab("silent", family=family)
    silent = [replace(example, targets=("",)) for example in lab.task.splits.test]
    splits = replace(lab.task.splits, test=silent)
    lab = replace(lab, task=replace(lab.task, append_eos=False, reward=None, splits=splits))
    with pytest.raises(UserError, match=r"no token in the gold texts of .* rows of the split test"):
        evaluate(lab, 0)


def test_runs_of_other_seeds_can_learn_the_same_share_of_the_prompts(quick_lab: Callable[..., Lab]) -> None:
    seen = {}
    for name, seed, sample_seed in (("a", 0, 7), ("b", 1, 7), ("c", 7, None), ("d", 0, 0), ("e", 0, None)):
        lab = quick_lab(name, lr=0.0)
        lab = replace(lab, session=replace(lab.session, seed=seed))
        three = 3 / len(lab.task.splits.train)
        supervised(steps=1, sample_fraction=three, batch_size=3, sample_seed=sample_seed).run(lab, SFT())
        (seen[name],) = logged(lab, "sft/loss")  # of the same three pairs, in any order
    assert seen["a"] == pytest.approx(seen["b"], rel=1e-5) == pytest.approx(seen["c"], rel=1e-5)
    assert seen["d"] == pytest.approx(seen["e"], rel=1e-5) and seen["d"] != pytest.approx(seen["a"], rel=1e-5)
