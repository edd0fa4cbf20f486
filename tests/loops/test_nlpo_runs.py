"""Runs under the mask of a lagged copy: sampler, old policy and updates share it, and a resumed run has it again."""

from collections.abc import Callable
from dataclasses import fields, replace

import pytest
import torch
from losses import online, ppo
from safetensors.torch import load_file
from test_resume import assert_equal, responses, run_until, untimed
from toy import Killed, die, logged

from rftlab.algorithms.nlpo import NLPO
from rftlab.loops import checkpoint
from rftlab.loops.lab import Lab
from rftlab.loops.networks import NetworkSet
from rftlab.types import Experience, Forward

KEEPS_ALL = 9  # EOS and eight letters


def nlpo(**values: object) -> NLPO:
    same = {name: getattr(ppo(), name) for name in (field.name for field in fields(NLPO)) if hasattr(ppo(), name)}
    masked = {"top_mask": 0.5, "min_tokens_to_keep": 3, "target_update_iterations": 2}
    return NLPO(**same | masked | values)


@pytest.fixture(params=["causal", "seq2seq"])
def family(request: pytest.FixtureRequest) -> str:
    return request.param


def final_weights(lab: Lab) -> dict[str, torch.Tensor]:
    return load_file(lab.session.run.folder / "final" / "model.safetensors")


@pytest.mark.parametrize("kept", [{"top_mask": 1.0}, {"top_mask": 0.01, "min_tokens_to_keep": KEEPS_ALL}])
def test_with_a_mask_that_keeps_everything_it_is_ppo(quick_lab: Callable[..., Lab], family: str, kept: dict) -> None:
    """Also where the mask is made and applied: same samples, same gradients, same weights."""
    one, other = quick_lab("ppo", family=family), quick_lab("nlpo", family=family)
    online(iterations=2).run(one, ppo())
    online(iterations=2).run(other, nlpo(**kept))
    assert [call.responses for call in one.task.reward.rollouts] == [c.responses for c in other.task.reward.rollouts]
    for a, b in zip(one.optimizer.build.steps, other.optimizer.build.steps, strict=True):
        assert torch.equal(a.everything, b.everything)
    assert_equal(final_weights(one), final_weights(other))


def test_a_mask_changes_the_samples_and_says_how_much_it_keeps(quick_lab: Callable[..., Lab]) -> None:
    one, other = quick_lab("ppo"), quick_lab("nlpo")
    online(iterations=1).run(one, ppo())
    online(iterations=1).run(other, nlpo())
    assert one.task.reward.rollouts[0].responses != other.task.reward.rollouts[0].responses
    sizes, masses = logged(other, "mask/size"), logged(other, "mask/kept_mass")
    assert len(sizes) == len(masses) == 2 and all(3 <= size <= KEEPS_ALL for size in sizes)
    assert all(0.3 < mass < 1 for mass in masses)
    assert not logged(one, "mask/size")


def test_the_first_ratio_is_one_and_the_start_has_no_kl(
    quick_lab: Callable[..., Lab], family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ratio is of masked distributions on both sides, the KL of whole ones on both sides."""
    seen: list[tuple[Forward, Experience]] = []
    loss = NLPO.loss
    monkeypatch.setattr(
        NLPO, "loss", lambda self, new, batch, totals: seen.append((new, batch)) or loss(self, new, batch, totals)
    )
    lab = quick_lab("run", family=family)
    online(iterations=1, update_epochs=1, minibatch_size=8, microbatch_size=4).run(lab, nlpo())
    for new, batch in seen:
        assert torch.equal(new.logprobs, batch["old_logprobs"])
        assert torch.equal(batch["unmasked_logprobs"], batch["ref_logprobs"])
        inside = batch["old_logprobs"] - batch["unmasked_logprobs"]
        assert (inside >= -1e-6).all() and inside.max() > 0.05  # renormalising what is left makes it likelier
    assert logged(lab, "policy/kl")[0] == 0.0


def test_the_mask_of_a_rollout_stays_through_all_its_updates(
    quick_lab: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy changes after the second and the fourth iteration, and at no other time."""
    seen: list[tuple[str, float]] = []

    def weight(networks: NetworkSet) -> float:
        return float(sum(p.double().sum() for p in networks.lagged.parameters()))

    for name in ("annotate", "forward"):
        real = getattr(NetworkSet, name)

        def noting(self: NetworkSet, *args: object, _real: Callable = real, _name: str = name) -> object:
            if args[-1] != "none":  # the check of the networks at the end of an iteration
                seen.append((_name, weight(self)))
            return _real(self, *args)

        monkeypatch.setattr(NetworkSet, name, noting)
    online(iterations=4, update_epochs=2).run(quick_lab("run"), nlpo())
    rounds: list[set[float]] = []
    for name, value in seen:
        if name == "annotate":
            rounds.append(set())
        rounds[-1].add(value)
    assert len(rounds) == 5 and all(len(values) == 1 for values in rounds)
    (first,), (second,), (third,), (fourth,), (fifth,) = rounds
    assert first == second and second != third and third == fourth and fourth != fifth


def test_it_resumes_bit_for_bit_between_two_copies(quick_lab: Callable[..., Lab], family: str) -> None:
    """The run dies in the fourth of five iterations: the copy is of the second, the policy of the third."""
    loop, loss = online(iterations=5, update_epochs=1, microbatch_size=4), nlpo()
    whole = quick_lab("whole", family=family)
    final = loop.run(whole, loss)
    broken = quick_lab("broken", family=family, watch={"at": 7, "then": die})
    run_until(broken, loop, loss, Killed)
    saved = checkpoint.latest(broken.session.run.folder)
    assert saved is not None and saved[0] == 3
    networks, start = saved[1]["networks"], quick_lab("start", family=family).policy.state_dict()
    names = [name for name in start if name.endswith("weight")]
    lagged = {name: networks[f"lagged.{name}"] for name in names}
    assert any(not torch.equal(lagged[name], networks[f"policy.{name}"]) for name in names)
    assert any(not torch.equal(lagged[name], start[name]) for name in names)
    resumed = quick_lab("broken", family=family)
    assert loop.run(resumed, loss) == final
    assert len(resumed.optimizer.build.steps) == 4 and len(whole.optimizer.build.steps) == 10
    assert_equal(whole.task.reward.checkpoint, resumed.task.reward.checkpoint)
    assert_equal(final_weights(whole), final_weights(resumed))
    assert untimed(whole.session.run.folder) == untimed(resumed.session.run.folder)
    assert responses(whole.session.run.folder) == responses(resumed.session.run.folder)


def test_a_penalty_is_paid_by_the_whole_policy(quick_lab: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch) -> None:
    credited: list[Experience] = []
    credit = NLPO.credit
    monkeypatch.setattr(
        NLPO, "credit", lambda self, experience: credited.append(experience) or credit(self, experience)
    )
    lab = quick_lab("run")
    loss = nlpo(kl=replace(ppo().kl, initial=0.5, target=None))
    online(iterations=2, score_scaling="none", score_clip=None).run(lab, loss)
    rollout = credited[1]
    mask = rollout.response_mask
    paid = 0.5 * torch.where(mask, rollout["unmasked_logprobs"] - rollout["ref_logprobs"], 0.0).sum(1)
    torch.testing.assert_close(rollout["rewards"].sum(1), rollout.scores - paid, rtol=1e-4, atol=1e-5)
    assert paid.abs().max() > 0.01
    whole = torch.where(mask, rollout["unmasked_logprobs"] - rollout["ref_logprobs"], 0.0).sum(1).mean()
    assert logged(lab, "policy/kl")[1] == pytest.approx(float(whole), abs=1e-5)
