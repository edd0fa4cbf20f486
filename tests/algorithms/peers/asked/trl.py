"""What TRL's GRPO, RLOO, DPO and reward losses make of given tensors: `python trl.py CASES ANSWERS`."""

import sys
from collections import defaultdict
from types import SimpleNamespace

import torch
from trl import DPOTrainer, GRPOTrainer, RewardTrainer, RLOOTrainer

case, target = torch.load(sys.argv[1]), sys.argv[2]
mask = case["mask"].long()
rows, width = mask.shape
found = {}


def same(x, **_):
    return x


ACCELERATOR = SimpleNamespace(
    num_processes=1, device=torch.device("cpu"), gather=same, gather_for_metrics=same, reduce=same, sync_gradients=True
)
COMMON = {
    "aux_loss_enabled": False,
    "accelerator": ACCELERATOR,
    "model": SimpleNamespace(training=True),
    "_total_train_tokens": 0,
    "_tp_size": 1,
}


def with_metrics(**values):
    return SimpleNamespace(**COMMON | values, _metrics=defaultdict(lambda: defaultdict(list)))


def on_policy_losses(kind, trainer, new, **inputs):
    trainer._get_per_token_logps_and_entropies = lambda *_, **__: (new, torch.zeros_like(new), None)
    ids = torch.zeros(rows, 1, dtype=torch.long)
    given = {
        "prompt_ids": ids, "prompt_mask": ids + 1, "completion_ids": mask, "completion_mask": mask,
        "advantages": case["advantages"][:, 0], "num_items_in_batch": mask.sum(), **inputs,
    }  # fmt: skip
    loss = kind._compute_loss(trainer, None, given)
    (gradient,) = torch.autograd.grad(loss, new)
    return loss.detach(), gradient


for level in ("token", "sequence"):
    for loss_type in ("grpo", "dapo", "bnpo", "dr_grpo"):
        for beta in (0.0, 0.3):
            trainer = with_metrics(
                top_entropy_quantile=1.0, off_policy_mask_threshold=None, importance_sampling_level=level, beta=beta,
                args=SimpleNamespace(use_bias_correction_kl=False, delta=None, steps_per_generation=1),
                loss_type=loss_type, epsilon_low=0.1, epsilon_high=0.3, use_vllm=False, max_completion_length=8,
                current_gradient_accumulation_steps=1, _entropy_bonus_enabled=False,
            )  # fmt: skip
            new = case["new"].clone().requires_grad_()
            name = f"grpo/{level}/{loss_type}/{beta}"
            found[name], found[f"{name}/gradient"] = on_policy_losses(
                GRPOTrainer, trainer, new, old_per_token_logps=case["old"], ref_per_token_logps=case["ref"]
            )

new = case["new"].clone().requires_grad_()
old = (new.detach() * mask).sum(1)
trainer = with_metrics(epsilon_low=0.2, epsilon_high=0.2)
found["rloo"], found["rloo/gradient"] = on_policy_losses(RLOOTrainer, trainer, new, old_logps=old)


def preference(loss_type, mask):
    """Rows 0, 2, 4 are chosen, rows 1, 3, 5 rejected; TRL wants all chosen ones first, and a prompt token."""
    order = torch.tensor([0, 2, 4, 1, 3, 5])
    new = case["new"].clone().requires_grad_()
    spread = torch.zeros_like(new)
    said = SimpleNamespace(
        log_probs=(new * mask)[order], entropy=spread, mean_logits=spread, is_top1=spread.bool(), logits=None
    )
    ref = (case["ref"] * mask)[order].sum(1)
    trainer = with_metrics(
        ld_alpha=None, precompute_ref_logps=True, f_divergence_type="reverse_kl", loss_types=[loss_type],
        loss_weights=[1.0], beta=0.1, label_smoothing=0.0, use_weighting=False, args=SimpleNamespace(),
    )  # fmt: skip
    completion = torch.cat([torch.zeros(rows, 1, dtype=torch.long), mask[order]], dim=1)
    inputs = {
        "input_ids": completion, "attention_mask": completion, "completion_mask": completion,
        "ref_chosen_logps": ref[:3], "ref_rejected_logps": ref[3:],
    }  # fmt: skip
    loss = DPOTrainer._compute_loss(trainer, lambda **_: said, inputs, False)
    (gradient,) = torch.autograd.grad(loss, new)
    return loss.detach(), gradient


first = torch.zeros_like(mask).index_fill(1, torch.tensor([0]), 1)
for loss_type, name, counted in (("sigmoid", "", mask), ("ipo", "", mask), ("ipo", "/one token", first)):
    found[f"dpo/{loss_type}{name}"], found[f"dpo/{loss_type}{name}/gradient"] = preference(loss_type, counted)

scores = case["scores"].clone().requires_grad_()
order = torch.tensor([0, 2, 4, 1, 3, 5])
trainer = with_metrics(args=SimpleNamespace(center_rewards_coefficient=None))
model = lambda **_: SimpleNamespace(logits=scores[order].unsqueeze(1))  # noqa: E731
loss = RewardTrainer.compute_loss(trainer, model, {"attention_mask": mask})
(found["reward/gradient"],) = torch.autograd.grad(loss, scores)
found["reward"] = loss.detach()
torch.save(found, target)
