"""What an optimiser step does with a rollout: rows, scale, temperature and clipping of the gradient, by hand."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from losses import apa, online, ppo, supervised
from toy import MAX_NEW, TEMPERATURE, Call, Step, ids_of, logged, plain_logits, plain_logprobs

from rftlab.algorithms.kl_control import AdaptiveKL
from rftlab.algorithms.sft import SFT
from rftlab.loops.lab import Lab
from rftlab.models import Policy
from rftlab.runs import read_run
from rftlab.types import Algorithm, Example, Splits

NO_PENALTY = AdaptiveKL(initial=0.0, target=None, rate=0.0, unit="response")
WHOLE = {"gae_lambda": 1.0, "whiten_advantages": "none"}  # the advantage is the score less a value, whatever the token


def one_prompt(n: int = 4) -> Splits:
    """Make a dataset that asks the same n times."""
    same = [Example(id=f"train-{i}", prompt="abc", targets=("ab", "cdef", "g")) for i in range(n)]
    return Splits(train=same, validation=[], test=[], source="bundled")


# --- one step, by hand --------------------------------------------------------------------------------------------


def first_gradient(lab: Lab, loss: Algorithm) -> dict[str, torch.Tensor]:
    """Return the policy's gradient in the only step of a run of one iteration, in uneven microbatches."""
    online(iterations=1, update_epochs=1, minibatch_size=8, microbatch_size=3).run(lab, loss)
    (step,) = lab.optimizer.build.steps
    return step.policy


def by_hand(policy: Policy, call: Call) -> dict[str, torch.Tensor]:
    """Return the gradient of the token mean of score / std * log-probability."""
    rows = [(prompt, ids_of(text, MAX_NEW)) for prompt, text in zip(call.prompts, call.responses, strict=True)]
    logprobs = [plain_logprobs(policy, prompt, ids, TEMPERATURE).sum() for prompt, ids in rows]
    weights = torch.tensor(call.scores / call.scores.std(ddof=1), dtype=torch.float32)
    mean = (weights * torch.stack(logprobs)).sum() / sum(len(ids) for _, ids in rows)
    names, parameters = zip(*policy.named_parameters(), strict=True)
    return dict(zip(names, torch.autograd.grad(mean, parameters), strict=True))


@pytest.mark.parametrize("family", ["causal", "seq2seq"])
@pytest.mark.parametrize(
    ("loss", "factor"),
    [(ppo(**WHOLE, kl=NO_PENALTY, entropy_coef=0.0), -1.0), (apa(**WHOLE, lam=0.5), -2.0 / 0.5)],
    ids=["ppo", "apa"],
)
def test_the_first_gradient_weighs_each_response_with_its_own_scaled_score(
    quick_lab: Callable[..., Lab], make_policy: Callable[[str], Policy], family: str, loss: Algorithm, factor: float
) -> None:
    """Advantages are score minus value: the gradient less that of a run without scores holds no value any more."""
    scored = quick_lab("scored", family=family, max_grad_norm=None)
    without = quick_lab("without", family=family, max_grad_norm=None, reward={"change": np.zeros_like})
    found, baseline = first_gradient(scored, loss), first_gradient(without, loss)
    expected = by_hand(make_policy(family), scored.task.reward.rollouts[0])
    assert found.keys() == baseline.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name] - baseline[name], factor * gradient, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("family", ["causal", "seq2seq"])
def test_the_penalty_of_a_token_is_beta_times_its_log_ratio_to_the_start(
    quick_lab: Callable[..., Lab], make_policy: Callable[[str], Policy], family: str
) -> None:
    """The first iteration pays no penalty whatever beta is, so two runs with other betas share the second rollout."""
    labs = []
    for beta in (0.0, 0.5):
        lab = quick_lab(f"beta{beta}", family=family, max_grad_norm=None)
        loss = ppo(**WHOLE, entropy_coef=0.0, kl=AdaptiveKL(initial=beta, target=None, rate=0.0, unit="response"))
        online(iterations=2, update_epochs=1, minibatch_size=8, microbatch_size=8).run(lab, loss)
        labs.append(lab)
    free, bound = (lab.optimizer.build.steps[1].policy for lab in labs)
    first, second, _ = labs[0].task.reward.rollouts
    assert labs[1].task.reward.rollouts[1].responses == second.responses
    now, start = make_policy(family), make_policy(family)
    now.load_state_dict(second.weights)
    start.load_state_dict(first.weights)
    weighted, tokens = [], 0
    for prompt, text in zip(second.prompts, second.responses, strict=True):
        ids = ids_of(text, MAX_NEW)
        logprobs, before = (plain_logprobs(policy, prompt, ids, TEMPERATURE) for policy in (now, start))
        still_to_pay = (logprobs - before).detach().flip(0).cumsum(0).flip(0)
        weighted.append((0.5 * still_to_pay * logprobs).sum())
        tokens += len(ids)
    names, parameters = zip(*now.named_parameters(), strict=True)
    expected = torch.autograd.grad(torch.stack(weighted).sum() / tokens, parameters)
    for name, gradient in zip(names, expected, strict=True):
        torch.testing.assert_close(bound[name] - free[name], gradient, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("loop", [online(iterations=1, update_epochs=1, minibatch_size=8), supervised(steps=1)])
def test_the_joint_norm_of_all_gradients_is_clipped(quick_lab: Callable[..., Lab], loop: object) -> None:
    steps, norms = [], []
    for name, limit in (("free", None), ("clipped", 1e-3)):
        lab = quick_lab(name, max_grad_norm=limit)
        loop.run(lab, SFT() if isinstance(loop, type(supervised())) else ppo())
        steps.append(lab.optimizer.build.steps[0].everything)
        norms += logged(lab, "grad/norm")
    free, clipped = steps
    assert norms == pytest.approx([float(free.norm())] * 2, rel=1e-4)  # the norm before clipping is logged
    torch.testing.assert_close(clipped, free * 1e-3 / free.norm(), rtol=1e-3, atol=1e-9)


def test_advantages_whitened_over_a_minibatch_of_one_response_forget_its_score(quick_lab: Callable[..., Lab]) -> None:
    def gradients(name: str, whiten: str, change: Callable | None) -> list[Step]:
        lab = quick_lab(name, lr=0.0, max_grad_norm=None, reward={"change": change})
        loss = ppo(gae_lambda=1.0, whiten_advantages=whiten, kl=NO_PENALTY)
        online(iterations=1, update_epochs=1, minibatch_size=1, microbatch_size=1).run(lab, loss)
        return lab.optimizer.build.steps

    for whiten, forgets in (("minibatch", True), ("rollout", False)):
        one, other = (gradients(f"{whiten}{i}", whiten, change) for i, change in enumerate((None, np.zeros_like)))
        same = [
            torch.allclose(a.policy[name], b.policy[name], rtol=1e-3, atol=1e-5)
            for a, b in zip(one, other, strict=True)
            for name in a.policy
        ]
        assert all(same) == forgets, whiten


@pytest.mark.parametrize(
    "loss", [ppo(), apa(), apa(whiten_advantages="minibatch")], ids=["ppo", "apa", "apa-minibatch"]
)
def test_the_number_of_microbatches_changes_nothing(quick_lab: Callable[..., Lab], loss: Algorithm) -> None:
    norms = []
    for size in (1, 4):
        lab = quick_lab(f"micro{size}")
        online(iterations=1, microbatch_size=size).run(lab, loss)
        norms += logged(lab, "grad/norm")
    assert norms[0] == pytest.approx(norms[1], rel=1e-4)


def test_apa_compares_every_token_with_its_own_probability_at_the_start(quick_lab: Callable[..., Lab]) -> None:
    lab = quick_lab("start", lr=0.0)
    online(iterations=1, update_epochs=1).run(lab, apa())
    assert logged(lab, "policy/log_ratio_abs") == pytest.approx([0.0], abs=1e-5)


@pytest.mark.parametrize(("whiten", "white"), [("rollout", True), ("minibatch", True), ("none", False)])
def test_at_the_start_the_loss_of_apa_is_the_mean_square_of_its_advantages(
    quick_lab: Callable[..., Lab], whiten: str, white: bool
) -> None:
    lab, loss = quick_lab("squares", lr=0.0), apa(whiten_advantages=whiten)
    online(iterations=1, update_epochs=1, minibatch_size=8).run(lab, loss)
    assert (logged(lab, "policy/loss") == pytest.approx([1 / loss.lam**2], rel=1e-4)) == white


def test_the_value_network_learns(quick_lab: Callable[..., Lab]) -> None:
    losses = []
    for epochs in (1, 8):
        lab = quick_lab(f"epochs{epochs}")
        online(iterations=1, update_epochs=epochs, minibatch_size=8).run(lab, apa(value_coef=1.0))
        losses += logged(lab, "value/loss")  # a mean over the epochs
    assert losses[1] < 0.7 * losses[0]


# --- the scale of the scores --------------------------------------------------------------------------------------


class OwnScaling:
    """Divide scores by the std of all scores so far, then clip them: what the loop is asked for, done outside."""

    def __init__(self, clip: float) -> None:
        self.seen: list[float] = []
        self.clip = clip

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        self.seen += list(scores)
        return (scores / np.std(self.seen, ddof=1)).clip(-self.clip, self.clip)


def test_scaled_and_clipped_scores_are_what_is_learned_from(quick_lab: Callable[..., Lab]) -> None:
    clip, loss = 1.5, ppo(whiten_advantages="none")
    scaled = quick_lab("scaled")
    online(score_clip=clip, iterations=2).run(scaled, loss)
    outside = quick_lab("outside", reward={"change": OwnScaling(clip)})
    online(score_scaling="none", score_clip=None, iterations=2).run(outside, loss)
    raw = [call.scores for call in scaled.task.reward.rollouts]
    unclipped = OwnScaling(np.inf)
    inside = [unclipped(scores) for scores in raw]
    assert (np.concatenate(inside) > clip).any()  # clipping has something to do
    for one, other in zip(scaled.optimizer.build.steps, outside.optimizer.build.steps, strict=True):
        torch.testing.assert_close(one.everything, other.everything, rtol=1e-3, atol=1e-5)
    assert logged(scaled, "reward/mean") == pytest.approx([scores.mean() for scores in raw], abs=1e-6)


# --- nothing moves: what differs is chance ------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["causal", "seq2seq"])
def still(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, lab_in: Callable[..., Lab]) -> Lab:
    """Run two iterations of two epochs on one prompt, with responses of one length, without learning anything."""
    lab = lab_in(
        tmp_path_factory.mktemp(request.param) / "still",
        family=request.param,
        lr=0.0,
        max_grad_norm=None,
        rollout={"min_new_tokens": MAX_NEW},
        data=one_prompt(),
    )
    online(iterations=2).run(lab, ppo(whiten_advantages="none"))
    return lab


def test_without_a_step_the_new_policy_is_the_old_one_and_the_start(still: Lab) -> None:
    for name in ("policy/approx_kl_old", "policy/clip_frac", "policy/kl", "policy/kl_token", "policy/kl_k3"):
        assert logged(still, name) == pytest.approx([0.0] * len(logged(still, name)), abs=1e-5), name


def test_before_a_step_both_losses_follow_from_the_raw_advantages(still: Lab) -> None:
    """With ratios of 1 the policy loss is minus their mean, and half their mean square is the value loss."""
    losses = zip(logged(still, "policy/loss"), logged(still, "value/loss"), strict=True)
    for (policy, value), std in zip(losses, logged(still, "advantage/std_raw")[:2], strict=True):
        assert value == pytest.approx((std**2 + policy**2) / 2, rel=1e-4)


@torch.no_grad()
def test_the_entropy_of_an_update_is_at_the_temperature_of_sampling(still: Lab) -> None:
    for call, entropy in zip(still.task.reward.rollouts[:2], logged(still, "policy/entropy"), strict=True):
        rows = [(prompt, ids_of(text, MAX_NEW)) for prompt, text in zip(call.prompts, call.responses, strict=True)]
        probs = torch.cat([plain_logits(still.policy, *row) / TEMPERATURE for row in rows]).softmax(-1)
        assert entropy == pytest.approx(float(torch.special.entr(probs).sum(-1).mean()), rel=1e-4)


def test_each_iteration_draws_noise_of_its_own(still: Lab) -> None:
    first, second, _ = (call.responses for call in still.task.reward.rollouts)
    assert len(set(first)) > 4
    assert sum(a == b for a, b in zip(first, second, strict=True)) < 4


def test_each_prompt_of_the_probe_is_sampled_with_noise_of_its_own(still: Lab) -> None:
    samples = still.evaluation.probe_samples
    before = looks(still)[0]
    assert len({tuple(before[i : i + samples]) for i in range(0, 4 * samples, samples)}) == 4  # they are one text


def test_each_epoch_takes_the_same_rows_in_another_order(still: Lab) -> None:
    steps = [step.everything for step in still.optimizer.build.steps]
    epochs = [steps[i : i + 2] for i in range(0, len(steps), 2)]
    assert len(epochs) == 4
    for one, other in (epochs[:2], epochs[2:]):
        torch.testing.assert_close(sum(one), sum(other), rtol=1e-3, atol=1e-5)
        assert not any(torch.allclose(one[0], step, rtol=1e-2) for step in other)


def test_looks_at_an_unchanged_policy_differ_by_chance(still: Lab) -> None:
    frame = read_run(still.session.run.folder).prompts()
    parts = [part for _, part in frame.groupby("phase", sort=False)]
    assert all(list(part["prompt_id"]) == list(parts[0]["prompt_id"]) for part in parts)
    assert len({tuple(look) for look in looks(still)}) == len(parts) > 1


def looks(lab: Lab) -> list[list[str]]:
    """Give the responses of each look at the four prompts."""
    rows = 4 * lab.evaluation.probe_samples
    return [call.responses for call in lab.task.reward.calls if len(call.responses) == rows]
