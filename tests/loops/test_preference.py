"""DPO in its loop: what the first step sees, what microbatches change, and that a resumed run is the same."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from losses import ppo, supervised
from safetensors.torch import load_file
from scored import with_responses
from test_resume import assert_equal, run_until, untimed
from toy import Killed, die, logged, plain_logprobs

from rftlab.algorithms.dpo import DPO
from rftlab.algorithms.sft import SFT
from rftlab.errors import UserError
from rftlab.files import read_lines
from rftlab.loops import checkpoint
from rftlab.loops.lab import Lab
from rftlab.loops.online import Online
from rftlab.loops.pairs import pairs_of_task
from rftlab.loops.preference import Preference

FAMILIES = pytest.mark.parametrize("family", ["causal", "seq2seq"])


def dpo(**values: object) -> DPO:
    return DPO(**{"beta": 0.5, "objective": "sigmoid", "label_smoothing": 0.0} | values)


def preference(**values: object) -> Preference:
    usual = {"steps": 3, "batch_size": 6, "microbatch_size": 6, "pairs": "all", "max_response_tokens": None}
    return Preference(**usual | values)


@FAMILIES
def test_the_first_loss_is_log_2_also_after_sft_in_memory(quick_lab: Callable[..., Lab], family: str) -> None:
    """The reference is the policy as the run found it, not what lies on a disk."""
    taught = quick_lab("taught", family=family)
    before = {name: value.clone() for name, value in taught.policy.state_dict().items()}
    supervised(steps=3, microbatch_size=4).run(taught, SFT())
    assert any(not torch.equal(value, before[name]) for name, value in taught.policy.state_dict().items())
    lab = replace(with_responses(quick_lab("start", family=family)), policy=taught.policy)
    preference(microbatch_size=2).run(lab, dpo())
    losses = logged(lab, "dpo/loss")
    assert losses[0] == pytest.approx(math.log(2), abs=1e-6) and losses[1] != pytest.approx(losses[0], abs=1e-6)
    assert logged(lab, "dpo/margin")[0] == 0.0 and logged(lab, "dpo/accuracy")[0] == pytest.approx(0.5)


@FAMILIES
def test_the_log_probabilities_are_sums_over_the_sampled_tokens(quick_lab: Callable[..., Lab], family: str) -> None:
    lab = with_responses(quick_lab("sums", family=family))
    pairs = pairs_of_task(lab, "train", "best_worst")
    count = len(pairs)  # one step takes all
    expected = [
        sum(
            plain_logprobs(lab.policy, p.example.prompt, getattr(p, which).response_ids, 0.7).sum().item()
            for p in pairs
        )
        / count
        for which in ("chosen", "rejected")
    ]
    preference(steps=1, batch_size=count, microbatch_size=3, pairs="best_worst").run(lab, dpo())
    found = [logged(lab, f"dpo/{which}_logprob")[0] for which in ("chosen", "rejected")]
    assert found == pytest.approx(expected, abs=1e-4)


@FAMILIES
def test_microbatches_change_nothing(quick_lab: Callable[..., Lab], family: str) -> None:
    labs = [with_responses(quick_lab(f"in {size}", family=family)) for size in (6, 1)]
    for lab, size in zip(labs, (6, 1), strict=True):
        preference(microbatch_size=size).run(lab, dpo())
    first, second = (lab.optimizer.build.steps[0].everything for lab in labs)
    torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-6)
    assert logged(labs[0], "dpo/loss") == pytest.approx(logged(labs[1], "dpo/loss"), rel=1e-3)


def test_preferred_responses_become_likelier_than_the_others(quick_lab: Callable[..., Lab]) -> None:
    lab = with_responses(quick_lab("learns", lr=1e-2))
    preference(steps=30).run(lab, dpo())
    assert logged(lab, "dpo/accuracy")[-1] > 0.9 and logged(lab, "dpo/margin")[-1] > 0.5


@FAMILIES
def test_evaluations_tell_loss_and_accuracy_on_held_out_pairs(quick_lab: Callable[..., Lab], family: str) -> None:
    """At the start policy and reference are one: log 2 and a tie on each pair; later the sign of log pi / pi_ref."""
    lab = with_responses(quick_lab("held out", family=family, lr=1e-2))
    pairs = pairs_of_task(lab, "validation", "all")
    before = [
        [plain_logprobs(lab.policy, p.example.prompt, r.response_ids, 0.7).sum().item() for r in (p.chosen, p.rejected)]
        for p in pairs
    ]
    final = preference(steps=8, microbatch_size=4).run(lab, dpo())
    found = {name: logged(lab, f"eval/validation/{name}") for name in ("pair_loss", "pair_accuracy", "pairs")}
    assert found["pair_loss"][0] == pytest.approx(math.log(2), abs=1e-5) and found["pair_accuracy"][0] == 0.5
    assert found["pairs"][0] == len(pairs) > 4
    margins = [
        sum(
            sign * (plain_logprobs(lab.policy, p.example.prompt, r.response_ids, 0.7).sum().item() - old)
            for sign, r, old in zip((1, -1), (p.chosen, p.rejected), olds, strict=True)
        )
        for p, olds in zip(pairs, before, strict=True)
    ]
    assert final["eval/validation/pair_accuracy"] == sum(margin > 0 for margin in margins) / len(pairs) > 0.5
    assert final["eval/validation/pair_loss"] == pytest.approx(
        sum(math.log1p(math.exp(-0.5 * margin)) for margin in margins) / len(pairs), abs=1e-4
    )


def test_a_run_without_held_out_pairs_measures_none(quick_lab: Callable[..., Lab]) -> None:
    lab = with_responses(quick_lab("none held out"))
    known = {"train": lab.task.responses["train"], "validation": ()}
    lab = replace(lab, task=replace(lab.task, responses=known))
    assert "eval/validation/pair_accuracy" not in preference(steps=1).run(lab, dpo())


def test_pairs_over_the_limit_are_counted_in_the_log(quick_lab: Callable[..., Lab]) -> None:
    lines: list[str] = []
    lab = with_responses(quick_lab("limit"))
    lab = replace(lab, session=replace(lab.session, describe=lines.append))
    preference(steps=1, max_response_tokens=3).run(lab, dpo())
    assert any("longer than 3 tokens" in line for line in lines)


@FAMILIES
def test_a_resumed_run_on_pairs_equals_the_uninterrupted_one_bit_for_bit(
    quick_lab: Callable[..., Lab], family: str
) -> None:
    whole = with_responses(quick_lab("whole", family=family))
    final = preference().run(whole, dpo())
    broken = with_responses(quick_lab("broken", family=family, watch={"at": 2, "then": die}))
    folder = broken.session.run.folder
    run_until(broken, preference(), dpo(), Killed)
    saved = checkpoint.latest(folder)
    assert saved is not None and (saved[0], saved[1]["position"]) == (1, 6)
    resumed = with_responses(quick_lab("broken", family=family))
    assert preference().run(resumed, dpo()) == final
    steps = [
        (line["attempt"], line["step"])
        for line in read_lines(folder / "metrics.jsonl")
        if "dpo/loss" in line["metrics"]
    ]
    assert steps == [(1, 1), (2, 2), (2, 3)]
    assert_equal(*(load_file(lab.session.run.folder / "final" / "model.safetensors") for lab in (whole, resumed)))
    assert untimed(whole.session.run.folder) == untimed(folder)


def test_loops_refuse_algorithms_of_other_units(quick_lab: Callable[..., Lab]) -> None:
    lab = with_responses(quick_lab("units"))
    with pytest.raises(UserError, match=r"change algo\.loss or algo\.loop"):
        preference().run(lab, ppo())
    sizes = {"iterations": 1, "prompts_per_iteration": 2, "tokens_per_iteration": None, "samples_per_prompt": 2}
    rest = {"update_epochs": 1, "minibatch_size": 4, "minibatch_tokens": None, "microbatch_size": 4}
    with pytest.raises(UserError, match="an algorithm of pairs"):
        Online(**sizes, **rest, score_scaling="none", score_clip=None).run(lab, dpo())
