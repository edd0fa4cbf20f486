"""Between sampler and update: what a run learns from are the tokens that were sampled, cut, empty or neither."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from losses import online, ppo
from toy import EOS, logged
from transformers import GenerationConfig

from rftlab.loops import experience
from rftlab.loops.lab import Lab
from rftlab.loops.metrics import KL_WINDOW
from rftlab.models import Policy
from rftlab.runs import read_run

FAMILIES = pytest.mark.parametrize("family", ["causal", "seq2seq"])


def untimed(lab: Lab) -> list[tuple[int, str, float]]:
    return [line for line in read_run(lab.session.run.folder).metrics() if not line[1].startswith("time/")]


@FAMILIES
@pytest.mark.parametrize("cut", [{"top_k": 3}, {"top_p": 0.6}])
def test_a_cut_vocabulary_has_ratio_one_and_no_kl_at_the_start_and_says_what_is_missing(
    quick_lab: Callable[..., Lab], family: str, cut: dict[str, float]
) -> None:
    """Old policy, new policy and reference are read over the whole vocabulary, whatever could be sampled."""
    lab = quick_lab("cut", family=family, lr=0.0, rollout=cut)
    online(iterations=1).run(lab, ppo())
    for name in ("policy/kl", "policy/kl_token", "policy/kl_k3", "policy/approx_kl_old", "policy/clip_frac"):
        assert logged(lab, name) == pytest.approx([0.0] * len(logged(lab, name)), abs=1e-5), name
    assert all(0.2 < mass < 0.99 for mass in logged(lab, "rollout/kept_mass"))


@FAMILIES
def test_the_generation_config_of_a_checkpoint_changes_no_number_of_a_run(
    quick_lab: Callable[..., Lab], family: str
) -> None:
    plain, odd = quick_lab("plain", family=family), quick_lab("odd", family=family)
    odd.policy.lm.generation_config = GenerationConfig(
        do_sample=True, top_k=1, temperature=3.0, repetition_penalty=5.0, min_length=4, num_beams=2, max_length=3
    )
    for lab in (plain, odd):
        online(iterations=2).run(lab, ppo())
    assert untimed(plain) == untimed(odd)


@FAMILIES
def test_a_sampled_response_is_never_tokenised_again(
    quick_lab: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    """A text may be cut into other tokens than those that it came from: only prompts are tokenised in a run."""
    lab = quick_lab("ids", family=family)
    monkeypatch.setattr(Policy, "encode_targets", None)
    tokenised: list[str] = []
    tokenizer = lab.policy.tokenizer
    call = type(tokenizer).__call__

    def listen(self: object, text: str, *args: object, **values: object) -> object:
        tokenised.append(text)
        return call(self, text, *args, **values)

    monkeypatch.setattr(type(tokenizer), "__call__", listen)
    online(iterations=2).run(lab, ppo())
    splits = lab.task.splits
    prompts = {example.prompt for split in (splits.train, splits.validation, splits.test) for example in split}
    assert tokenised and set(tokenised) <= prompts | {""}
    assert not {text for call in lab.task.reward.rollouts for text in call.responses if len(text) > 4} & prompts


@FAMILIES
def test_a_run_whose_responses_are_all_an_immediate_eos_goes_on(quick_lab: Callable[..., Lab], family: str) -> None:
    lab = quick_lab("empty", family=family)
    ends = torch.zeros(lab.policy.lm.config.vocab_size)
    ends[EOS] = 100.0
    lab.policy.lm.get_output_embeddings().register_forward_hook(lambda *args: args[2] + ends)
    final = online(iterations=2).run(lab, ppo(entropy_coef=0.01))
    assert all(set(call.responses) == {""} for call in lab.task.reward.rollouts)
    assert logged(lab, "rollout/length") == [1.0] * 3 and logged(lab, "rollout/truncated") == [0.0] * 3
    assert math.isnan(final.pop("value/explained_var")), "returns that are all alike have no variance to explain"
    assert all(math.isfinite(value) for value in final.values())
    assert all(p.isfinite().all() for p in lab.policy.parameters())


def test_a_run_tells_of_a_lasting_negative_kl(quick_lab: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch) -> None:
    measure = experience.rollout_metrics
    monkeypatch.setattr(experience, "rollout_metrics", lambda *a, **b: measure(*a, **b) | {"policy/kl": -0.5})
    lines: list[str] = []
    lab = quick_lab("alarm")
    lab = replace(lab, session=replace(lab.session, describe=lines.append))
    loop = online(iterations=KL_WINDOW, update_epochs=1, minibatch_size=8, microbatch_size=8)
    loop.run(lab, ppo())
    assert len([line for line in lines if "the sampler differs from the policy that is scored" in line]) == 1
