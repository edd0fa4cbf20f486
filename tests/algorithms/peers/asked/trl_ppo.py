"""What TRL 0.11's step-wise PPO makes of given tensors: `python trl_ppo.py CASES ANSWERS`."""

import sys
import warnings
from types import SimpleNamespace

import torch

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from trl import PPOTrainer
    from trl.trainer.utils import AdaptiveKLController

case, target = torch.load(sys.argv[1]), sys.argv[2]
mask = case["mask"].float()
found = {}
config = SimpleNamespace(
    cliprange_value=0.2, cliprange=0.2, vf_coef=0.1, ratio_threshold=1e9, whiten_rewards=False, gamma=0.97, lam=0.9,
    kl_penalty="kl",
)  # fmt: skip
trainer = SimpleNamespace(config=config, kl_ctl=SimpleNamespace(value=0.3))
trainer._kl_penalty = lambda logprobs, ref: PPOTrainer._kl_penalty(trainer, logprobs, ref)

found["token_rewards"] = PPOTrainer.compute_rewards(trainer, case["scores"], case["old"], case["ref"], mask)[0]
_, found["whitened"], found["returns"] = PPOTrainer.compute_advantages(trainer, case["values"], case["rewards"], mask)

new, values = case["new"].clone().requires_grad_(), case["new_values"].clone().requires_grad_()
logits = torch.zeros(*mask.shape, 3)
policy, value, _ = PPOTrainer.loss(
    trainer, case["old"], case["values"], logits, values, new, mask, case["advantages"], case["returns"]
)
(policy + value).backward()
found["policy"], found["value"] = policy.detach(), value.detach()
found["policy/gradient"], found["value/gradient"] = new.grad, values.grad

control, betas = AdaptiveKLController(0.05, 6.0, 10_000), []
for kl in (3.0, 6.3, 12.0, 0.0):
    control.update(kl, 256)
    betas.append(control.value)
found["betas"] = torch.tensor(betas, dtype=torch.float64)
torch.save(found, target)
