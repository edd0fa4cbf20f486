"""Our maths beside verl 0.9.1, TRL 1.16 and TRL 0.11.4 on the same tensors, gradients too (`make peers`).

Where we differ on purpose the test says by how much, and what is right; docs/peers.md has the table.
"""

from dataclasses import replace

import pytest
import torch
from sizes import credited, totals

from rftlab.algorithms.credit import credit_by_group
from rftlab.algorithms.dpo import DPO
from rftlab.algorithms.grpo import GRPO
from rftlab.algorithms.kl_control import AdaptiveKL
from rftlab.algorithms.ppo import PPO
from rftlab.algorithms.reward_model import BradleyTerry
from rftlab.algorithms.rloo import RLOO
from rftlab.ops import MIN_STD, by_pair, gae, kl_k1, kl_k2, kl_k3, row_sum, token_rewards, whiten

pytestmark = pytest.mark.peer

CLOSE = {"rtol": 1e-5, "atol": 1e-6}
NO_KL = AdaptiveKL(initial=0.0, target=None, rate=0.0, unit="response")


def experience(case, make_experience, **columns):
    columns = {"old_logprobs": case["old"], "ref_logprobs": case["ref"], "advantages": case["advantages"]} | columns
    columns = {name: x.where(case["mask"], 0.0) for name, x in columns.items()}
    return replace(make_experience(mask=case["mask"], scores=case["scores"], **columns), unit=case["group"])


def loss_and_gradient(algorithm, batch, new, make_forward, values=None):
    """Return the loss of the whole batch as one optimiser step, and its gradients."""
    logprobs = new.clone().requires_grad_()
    values = None if values is None else values.clone().requires_grad_()
    n = len(batch.unit)
    step = replace(totals(int(batch.response_mask.sum())), rows=n, units=int(batch.unit.unique().numel()))
    loss = algorithm.loss(make_forward(logprobs, values=values), batch, step).loss
    loss.backward()
    return loss.detach(), logprobs.grad, None if values is None else values.grad


def ppo(**values) -> PPO:
    usual = {"clip_range": 0.2, "value_clip_range": 0.2, "value_coef": 0.1, "entropy_coef": 0.0, "gamma": 0.97}
    usual |= {"entropy": "exact", "kl_coef": 0.0}
    return PPO(**usual | {"gae_lambda": 0.9, "whiten_advantages": "rollout", "kl": NO_KL} | values)


def grpo(**values) -> GRPO:
    usual = {"clip_low": 0.1, "clip_high": 0.3, "scale": "std", "average": "token", "constant_length": 8}
    return GRPO(**usual | {"ratio": "token", "kl_coef": 0.0, "entropy_coef": 0.0, "whiten_advantages": "none"} | values)


def test_advantages_returns_and_token_rewards(case, verl, trl_ppo) -> None:
    """Both peers whiten always, with n - 1: sqrt(20 / 19) apart from our population std."""
    mask, n = case["mask"], int(case["mask"].sum())
    rewards, values = (case[name].where(mask, 0.0) for name in ("rewards", "values"))
    raw = gae(rewards, values, mask, 0.97, 0.9)
    for returns in (verl["returns"], trl_ppo["returns"]):
        torch.testing.assert_close((raw + values)[mask], returns[mask], **CLOSE)
    ours = whiten(raw, mask) * ((n - 1) / n) ** 0.5
    for whitened in (verl["gae"], trl_ppo["whitened"]):
        torch.testing.assert_close(ours[mask], whitened[mask], **CLOSE)
    ours = token_rewards(case["scores"], kl_k1(case["old"], case["ref"]), mask, 0.3)
    torch.testing.assert_close(ours[mask], trl_ppo["token_rewards"][mask], **CLOSE)


def test_kl_estimators_and_controller(case, verl, trl_ppo) -> None:
    for name, ours in (("k1", kl_k1), ("k2", kl_k2), ("k3", kl_k3)):
        torch.testing.assert_close(ours(case["old"], case["ref"]), verl[name], **CLOSE)
    control, beta, betas = AdaptiveKL(initial=0.05, target=6.0, rate=256 / 10_000, unit="response"), 0.05, []
    for kl in (3.0, 6.3, 12.0, 0.0):
        betas.append(beta := control.update(beta, kl))
    for theirs in (verl["betas"], trl_ppo["betas"]):
        torch.testing.assert_close(torch.tensor(betas, dtype=torch.float64), theirs)


def test_far_below_the_reference_our_k3_still_pulls_and_that_of_verl_does_not(verl) -> None:
    x = torch.tensor([-6.0], requires_grad=True)
    (pull,) = torch.autograd.grad(kl_k3(x, torch.zeros(1)).sum(), x)
    assert verl["k3_pull"] == 0 and pull.item() == pytest.approx(1 - torch.tensor(6.0).exp().item())


def test_the_losses_of_ppo(case, verl, trl_ppo, make_experience, make_forward) -> None:
    columns = {"values": case["values"], "returns": case["returns"]}
    batch = experience(case, make_experience, **columns)
    loss, gradient, values = loss_and_gradient(ppo(), batch, case["new"], make_forward, case["new_values"])
    torch.testing.assert_close(loss, verl["clip/token-mean"] + 0.1 * verl["value"], **CLOSE)
    torch.testing.assert_close(loss, trl_ppo["policy"] + trl_ppo["value"], **CLOSE)
    for theirs in (verl["clip/token-mean/gradient"], trl_ppo["policy/gradient"]):
        torch.testing.assert_close(gradient, theirs, **CLOSE)
    torch.testing.assert_close(values, 0.1 * verl["value/gradient"], **CLOSE)
    torch.testing.assert_close(values, trl_ppo["value/gradient"], **CLOSE)


def test_a_large_ratio_with_a_bad_response_still_has_its_gradient(verl, make_experience, make_forward) -> None:
    """verl clips a second time there, at a ratio of 3, unasked; Schulman et al. 2017 do not."""
    mask = torch.ones(1, 1, dtype=torch.bool)
    batch = make_experience(mask=mask, old_logprobs=0.0, advantages=-1.0, values=0.0, returns=0.0)
    new = torch.tensor([[4.5]]).log()
    _, gradient, _ = loss_and_gradient(ppo(), batch, new, make_forward, torch.zeros(1, 1))
    assert verl["dual_clip"].item() == 0 and gradient.item() == pytest.approx(4.5)


@pytest.mark.parametrize(
    ("average", "mode"),
    [("token", "token-mean"), ("row", "seq-mean-token-mean"), ("constant", "seq-mean-token-sum-norm")],
)
def test_the_averages_of_grpo_beside_verl(case, verl, make_experience, make_forward, average, mode) -> None:
    batch = experience(case, make_experience)
    loss, gradient, _ = loss_and_gradient(grpo(average=average), batch, case["new"], make_forward)
    torch.testing.assert_close(loss, verl[f"clip_apart/{mode}"], **CLOSE)
    torch.testing.assert_close(gradient, verl[f"clip_apart/{mode}/gradient"], **CLOSE)


@pytest.mark.parametrize("ratio", ["token", "sequence"])
@pytest.mark.parametrize("beta", [0.0, 0.3])
@pytest.mark.parametrize(
    ("average", "loss_type"), [("row", "grpo"), ("token", "dapo"), ("token", "bnpo"), ("constant", "dr_grpo")]
)
def test_the_losses_of_grpo_beside_trl(case, trl, make_experience, make_forward, ratio, beta, average, loss_type):
    batch = experience(case, make_experience)
    algorithm = grpo(average=average, ratio=ratio, kl_coef=beta)
    loss, gradient, _ = loss_and_gradient(algorithm, batch, case["new"], make_forward)
    name = f"grpo/{ratio}/{loss_type}/{beta}"
    torch.testing.assert_close(loss, trl[name], **CLOSE)
    torch.testing.assert_close(gradient.where(case["mask"], 0.0), trl[f"{name}/gradient"], **CLOSE)


def test_advantages_of_a_group(case, verl, make_experience) -> None:
    """verl divides by the std with n - 1, plus 1e-6; we by that of the population."""
    rows = experience(case, make_experience)
    one = rows.with_(
        rewards=torch.zeros_like(case["rewards"]).index_fill(1, torch.tensor([0]), 1.0) * case["scores"][:, None]
    )
    ours = credit_by_group(one, baseline="mean", scale="std")["advantages"]
    torch.testing.assert_close(ours * (2 / 3) ** 0.5, verl["grpo/True"], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(
        credit_by_group(one, baseline="mean", scale="none")["advantages"], verl["grpo/False"], **CLOSE
    )
    torch.testing.assert_close(
        credit_by_group(one, baseline="others", scale="none")["advantages"], verl["rloo"], **CLOSE
    )


def test_eight_equal_rewards_are_no_signal_and_in_verl_they_are(verl, make_experience) -> None:
    rows = make_experience(mask=torch.ones(8, 1, dtype=torch.bool), scores=torch.full((8,), 10.7))
    ours = credited(grpo(), replace(rows, unit=torch.zeros(8, dtype=torch.long)))["advantages"]
    assert (ours == 0).all() and verl["grpo/equal"].abs().min() > 0.1 > MIN_STD


def test_the_loss_of_rloo_before_any_update(case, trl, make_experience, make_forward) -> None:
    """TRL's ratio is of whole sequences and 1 here: minus the mean advantage; its gradient is ours."""
    rloo = RLOO(entropy_coef=0.0, whiten_advantages="none", kl=NO_KL)
    _, gradient, _ = loss_and_gradient(rloo, experience(case, make_experience), case["new"], make_forward)
    torch.testing.assert_close(trl["rloo"], -case["advantages"][:, 0].mean(), **CLOSE)
    torch.testing.assert_close(gradient, trl["rloo/gradient"], **CLOSE)
    assert row_sum(gradient, case["mask"]).abs().min() > 0


def pairs(case, make_experience, mask):
    """Make the rows pairs of neighbours, the chosen one first."""
    batch = experience({**case, "mask": mask}, make_experience)
    return replace(batch, unit=torch.tensor([0, 0, 1, 1, 2, 2]))


@pytest.mark.parametrize(("objective", "tokens"), [("sigmoid", "all"), ("ipo", "one")])
def test_the_losses_of_dpo(case, trl, make_experience, make_forward, objective, tokens) -> None:
    mask = case["mask"] if tokens == "all" else torch.zeros_like(case["mask"]).index_fill(1, torch.tensor([0]), True)
    dpo = DPO(beta=0.1, objective=objective, label_smoothing=0.0)
    loss, gradient, _ = loss_and_gradient(dpo, pairs(case, make_experience, mask), case["new"], make_forward)
    name = f"dpo/{objective}" + ("" if tokens == "all" else "/one token")
    torch.testing.assert_close(loss, trl[name], **CLOSE)
    torch.testing.assert_close(gradient.where(mask, 0.0), trl[f"{name}/gradient"], **CLOSE)


def test_ipo_of_longer_responses_is_of_sums_here_and_of_means_in_trl(case, trl, make_experience, make_forward) -> None:
    """Azar et al. 2023, eq. 17 has the log-ratio of whole responses; TRL divides each by its length."""
    batch = pairs(case, make_experience, case["mask"])
    dpo = DPO(beta=0.1, objective="ipo", label_smoothing=0.0)
    loss, _, _ = loss_and_gradient(dpo, batch, case["new"], make_forward)
    log_ratio = row_sum(case["new"] - case["ref"], case["mask"])
    mean = log_ratio / case["mask"].sum(1)
    for x, theirs in ((log_ratio, loss), (mean, trl["dpo/ipo"])):
        torch.testing.assert_close((x[0::2] - x[1::2] - 5.0).square().mean(), theirs, **CLOSE)


def test_the_loss_of_a_reward_model(case, trl) -> None:
    scores = case["scores"].clone().requires_grad_()
    loss = BradleyTerry().pair_loss(*by_pair(scores)).mean()
    (gradient,) = torch.autograd.grad(loss, scores)
    torch.testing.assert_close(loss, trl["reward"], **CLOSE)
    torch.testing.assert_close(gradient, trl["reward/gradient"], **CLOSE)
