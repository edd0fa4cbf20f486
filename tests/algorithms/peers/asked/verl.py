"""What verl's `core_algos` make of given tensors: `python verl.py CASES ANSWERS`, in the peer's environment."""

import sys
from types import SimpleNamespace

import numpy as np
import torch
from verl.trainer.ppo import core_algos as verl

case, target = torch.load(sys.argv[1]), sys.argv[2]
mask, group = case["mask"].float(), case["group"].numpy().astype(object)
found = {}

found["gae"], found["returns"] = verl.compute_gae_advantage_return(
    case["rewards"] * mask, case["values"] * mask, mask, gamma=0.97, lam=0.9
)
for name in ("k1", "k2", "k3"):
    found[name] = verl.kl_penalty(case["old"], case["ref"], name)
x = torch.tensor([-6.0], requires_grad=True)
(found["k3_pull"],) = torch.autograd.grad(verl.kl_penalty(x, torch.zeros(1), "k3").sum(), x)

for low, high, name in ((0.2, 0.2, "clip"), (0.1, 0.3, "clip_apart")):
    for mode in ("token-mean", "seq-mean-token-mean", "seq-mean-token-sum-norm"):
        new = case["new"].clone().requires_grad_()
        config = SimpleNamespace(
            clip_ratio=9.0, clip_ratio_low=low, clip_ratio_high=high, get=lambda key, default: 1e9,
            global_batch_info={"loss_scale_factor": 8} if mode.endswith("norm") else {},
        )  # fmt: skip
        loss, metrics = verl.compute_policy_loss_vanilla(case["old"], new, case["advantages"], mask, mode, config)
        loss.backward()
        found[f"{name}/{mode}"] = loss.detach()
        found[f"{name}/{mode}/gradient"] = new.grad
        found[f"{name}/{mode}/fraction"] = torch.tensor(metrics["actor/pg_clipfrac"])

dual = SimpleNamespace(
    clip_ratio=0.2, clip_ratio_low=0.2, clip_ratio_high=0.2, get=lambda key, d: d, global_batch_info={}
)
new = torch.tensor([[4.5]]).log().requires_grad_()
verl.compute_policy_loss_vanilla(torch.zeros(1, 1), new, -torch.ones(1, 1), torch.ones(1, 1), "token-mean", dual)[
    0
].backward()
found["dual_clip"] = new.grad

new = case["new_values"].clone().requires_grad_()
loss, _ = verl.compute_value_loss(new, case["returns"], case["values"], mask, 0.2)
loss.backward()
found["value"], found["value/gradient"] = loss.detach(), new.grad

scores = torch.zeros_like(case["rewards"])
scores[:, 0] = case["scores"]
for scale in (True, False):
    found[f"grpo/{scale}"] = verl.compute_grpo_outcome_advantage(scores, mask, group, norm_adv_by_std_in_grpo=scale)[0]
found["rloo"] = verl.compute_rloo_outcome_advantage(scores, mask, group)[0]
equal = torch.full((8, 1), 10.7)
found["grpo/equal"] = verl.compute_grpo_outcome_advantage(equal, torch.ones(8, 1), np.zeros(8, dtype=object))[0]

control = verl.AdaptiveKLController(0.05, 6.0, 10_000)
betas = []
for kl in (3.0, 6.3, 12.0, 0.0):
    control.update(kl, 256)
    betas.append(control.value)
found["betas"] = torch.tensor(betas, dtype=torch.float64)
torch.save(found, target)
