"""Mistakes in algorithms that compare the responses to a prompt with each other."""

from mutants.mutation import Mutation

GROUPS = "algorithms/test_rloo.py algorithms/test_grpo.py algorithms/test_unbiased.py"

MUTATIONS = {
    "others-baseline-holds-the-response-itself": Mutation(
        "algorithms/credit.py",
        "above = above * n / (n - 1).clamp(min=1)",
        "above = above * n / n",
        GROUPS,
        "RLOO is biased by (G - 1) / G",
    ),
    "rounding-in-a-group-of-equals-is-a-signal": Mutation(
        "algorithms/credit.py",
        "above = above.where(std > MIN_STD, 0.0)",
        "above = above.where(std >= 0, 0.0)",
        GROUPS,
        "eight equal rewards move the policy",
    ),
    "group-std-of-everybody": Mutation(
        "algorithms/credit.py",
        "std = _mean_of(above.square(), group, sizes).sqrt()[group]",
        "std = above.square().mean().sqrt().expand_as(above)",
        GROUPS,
        "the scale of one prompt is that of another",
    ),
    "rloo-mean-over-tokens": Mutation(
        "algorithms/rloo.py",
        "/ max(totals.rows, 1)",
        "/ max(totals.tokens, 1)",
        "algorithms/test_rloo.py",
        "short responses count as much as long ones no more",
    ),
    "grpo-clips-below-where-it-should-above": Mutation(
        "algorithms/grpo.py",
        "rho.clamp(1.0 - self.clip_low, 1.0 + self.clip_high)",
        "rho.clamp(1.0 - self.clip_high, 1.0 + self.clip_low)",
        "algorithms/test_grpo.py",
        "the two ranges are swapped",
    ),
    "grpo-k3-the-other-way": Mutation(
        "algorithms/grpo.py",
        "kl_k3(now, start)",
        "kl_k3(start, now)",
        "algorithms/test_grpo.py",
        "another divergence, whose gradient explodes where the policy is below the start",
    ),
    "grpo-row-average-over-tokens": Mutation(
        "algorithms/grpo.py",
        "return 1.0 / (lengths.clamp(min=1) * max(totals.rows, 1))",
        "return torch.ones_like(lengths) / max(totals.tokens, 1)",
        "algorithms/test_grpo.py",
        "average=row is average=token",
    ),
    "grpo-sequence-ratio-is-a-sum": Mutation(
        "algorithms/grpo.py",
        ".unsqueeze(1) / lengths, 0.0)",
        ".unsqueeze(1), 0.0)",
        "algorithms/test_grpo.py",
        "a long response is always clipped",
    ),
}
