"""Runs that train an adapter or the top blocks alone: resumed bit by bit, stored small, started from and opened."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from losses import apa, online, ppo, supervised
from safetensors.torch import load_file
from test_resume import assert_equal, run_until, untimed
from toy import Killed, die
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

from rftlab.algorithms.sft import SFT
from rftlab.loops import checkpoint
from rftlab.loops.lab import Lab
from rftlab.models import LoRA, Policy, adapt, freeze_below, load_policy_weights, merged
from rftlab.types import Algorithm

ADAPTER = LoRA(rank=2, alpha=8.0, targets=None)
FAMILIES = ["causal", "seq2seq"]
STEPS = 4  # of the optimiser, per iteration


def prepared(lab: Lab, part: str, **changes: object) -> Lab:
    """Let a part of the policy train."""
    if part == "adapter":
        adapt(lab.policy, ADAPTER, torch.Generator().manual_seed(3))
    else:
        freeze_below(lab.policy, 1)
    return replace(lab, **changes)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("part", ["adapter", "top block"])
@pytest.mark.parametrize("loss", [ppo(), apa()], ids=["ppo", "apa"])
def test_a_resumed_run_of_a_part_equals_the_uninterrupted_one_bit_for_bit(
    quick_lab: Callable[..., Lab], family: str, part: str, loss: Algorithm
) -> None:
    loop = online(microbatch_size=4)
    whole = prepared(quick_lab("whole", family=family), part)
    final = loop.run(whole, loss)
    broken = prepared(quick_lab("broken", family=family, watch={"at": 2 * STEPS, "then": die}), part)
    folder = broken.session.run.folder
    run_until(broken, loop, loss, Killed)
    saved = checkpoint.latest(folder)
    assert saved is not None and saved[0] == 1
    resumed = prepared(quick_lab("broken", family=family), part)
    assert loop.run(resumed, loss) == final
    assert len(resumed.optimizer.build.steps) == 2 * STEPS
    assert_equal(*(load_file(lab.session.run.folder / "final" / "model.safetensors") for lab in (whole, resumed)))
    assert untimed(whole.session.run.folder) == untimed(folder)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("part", ["adapter", "top block"])
def test_a_run_that_shares_what_is_frozen_equals_one_that_copies_it(
    quick_lab: Callable[..., Lab], family: str, part: str
) -> None:
    loop = online(microbatch_size=8, minibatch_size=8)
    shared, copied = (
        prepared(quick_lab(str(share), family=family), part, share_trunk=share) for share in (True, False)
    )
    one, other = loop.run(shared, ppo()), loop.run(copied, ppo())
    for name, value in other.items():
        if not name.startswith("memory/"):
            assert one[name] == pytest.approx(value, rel=1e-4, abs=1e-5), name


@pytest.mark.parametrize("family", FAMILIES)
def test_checkpoints_and_optimiser_hold_what_trains_and_nothing_else(
    quick_lab: Callable[..., Lab], family: str
) -> None:
    sizes = {}
    for part in ("adapter", "top block", "all"):
        lab = quick_lab(part, family=family, value="head", watch={"at": STEPS + 1, "then": die})
        lab = lab if part == "all" else prepared(lab, part)
        run_until(lab, online(microbatch_size=4), ppo(), Killed)
        _, saved = checkpoint.latest(lab.session.run.folder)
        parameters = {id(p): p for p in lab.policy.parameters() if p.requires_grad}.values()
        head = sum(t.numel() for name, t in saved["networks"].items() if name.startswith("value."))
        kept = {t.data_ptr(): t.numel() for name, t in saved["networks"].items() if not name.startswith("value.")}
        assert sum(kept.values()) == sum(p.numel() for p in parameters)
        moments = [state["exp_avg"].numel() for state in saved["optimizer"]["state"].values()]
        assert sum(moments) == sum(p.numel() for p in parameters) + head
        sizes[part] = sum(kept.values())
    assert sizes["adapter"] < sizes["top block"] < sizes["all"] and sizes["adapter"] < sizes["all"] / 10


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("part", ["adapter", "top block"])
def test_what_is_frozen_never_changes_and_never_has_a_gradient(
    quick_lab: Callable[..., Lab], family: str, part: str
) -> None:
    lab = prepared(quick_lab("audit", family=family), part)
    start = {name: p.detach().clone() for name, p in lab.policy.named_parameters()}
    trains = {name for name, p in lab.policy.named_parameters() if p.requires_grad}
    online(microbatch_size=4).run(lab, ppo())
    for step in lab.optimizer.build.steps:
        assert set(step.policy) == trains
    changed = {name for name, p in lab.policy.named_parameters() if not torch.equal(p, start[name])}
    assert changed == trains
    head, embedding = lab.policy.lm.get_output_embeddings(), lab.policy.lm.get_input_embeddings()
    assert head.weight is embedding.weight and not embedding.weight.requires_grad, "a tied head is frozen as well"


def test_the_number_of_microbatches_changes_no_gradient_of_an_adapter(quick_lab: Callable[..., Lab]) -> None:
    labs = [prepared(quick_lab(str(size)), "adapter") for size in (1, 4)]
    for lab, size in zip(labs, (1, 4), strict=True):
        online(iterations=1, update_epochs=1, microbatch_size=size).run(lab, apa())
    one, other = (lab.optimizer.build.steps[0].everything for lab in labs)
    torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_finished_run_is_a_folder_that_transformers_opens_and_that_starts_a_run(
    quick_lab: Callable[..., Lab], family: str, make_policy: Callable[[str], Policy]
) -> None:
    parent = quick_lab("parent", family=family)
    supervised(steps=2).run(parent, SFT())
    final = parent.session.run.folder / "final"
    loader = AutoModelForCausalLM if family == "causal" else AutoModelForSeq2SeqLM
    opened = parent.policy.with_lm(loader.from_pretrained(final))
    row = (*opened.encode_prompts(["abc", "a"], 8, "left"), *opened.encode_targets(["bc", "d"], 6, True))
    assert torch.equal(opened(*row).logprobs, parent.policy(*row).logprobs)
    words = AutoTokenizer.from_pretrained(final)
    assert words("abc").input_ids == parent.policy.tokenizer("abc").input_ids
    assert not (final / "adapter").exists() and not list(final.parent.glob(".final*"))

    child = quick_lab("child", family=family)  # SFT in full, then RL on an adapter
    load_policy_weights(child.policy, final / "model.safetensors")
    prepared(child, "adapter")
    assert torch.equal(child.policy(*row).logprobs, parent.policy(*row).logprobs)
    online(iterations=1).run(child, ppo())
    assert (child.session.run.folder / "final" / "adapter" / "adapter_config.json").exists()

    grandchild = quick_lab("grandchild", family=family)  # and on from there, in full
    load_policy_weights(grandchild.policy, child.session.run.folder / "final" / "model.safetensors")
    assert torch.equal(grandchild.policy(*row).logprobs, merged(child.policy)(*row).logprobs)
    assert not torch.equal(grandchild.policy(*row).logprobs, parent.policy(*row).logprobs)


def test_what_earlier_versions_stored_of_a_run_still_starts_one(tmp_path: Path, make_policy) -> None:
    from rftlab.models import save_weights

    one, other = make_policy("causal"), make_policy("causal")
    with torch.no_grad():
        for parameter in one.parameters():
            parameter.add_(0.1)
    save_weights(one, tmp_path / "model.safetensors")
    assert all(name.startswith("lm.") for name in load_file(tmp_path / "model.safetensors"))
    load_policy_weights(other, tmp_path / "model.safetensors")
    assert_equal(one.state_dict(), other.state_dict())
