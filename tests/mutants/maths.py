"""Mistakes in the maths: ops, algorithms, diagnostics."""

from mutants.mutation import Mutation

OPS, PPO, APA = "test_ops.py", "algorithms/test_ppo.py", "algorithms/test_apa.py"
BOTH = "algorithms/test_online.py"
BOUNDS, LANGUAGE = "diagnostics/test_bounds.py", "diagnostics/test_language.py"

MUTATIONS = {
    # --- ops ------------------------------------------------------------------------------------------------------
    "gae-without-lambda": Mutation(
        "ops.py",
        "deltas[:, t] + gamma * lam * following",
        "deltas[:, t] + gamma * following",
        OPS,
        "gae_lambda does nothing",
    ),
    "gae-without-gamma-in-the-delta": Mutation(
        "ops.py",
        "rewards + gamma * next_values - values",
        "rewards + next_values - values",
        OPS,
        "discounting is not what the paper says",
    ),
    "gae-bootstraps-from-pads": Mutation(
        "ops.py",
        "    rewards, values = torch.where(mask, rewards, 0.0), torch.where(mask, values, 0.0)\n",
        "",
        OPS,
        "advantages of short rows depend on their padding",
    ),
    "whitening-without-the-mean": Mutation(
        "ops.py",
        "whitened = (wide - mean) * torch.rsqrt(var + 1e-8)",
        "whitened = wide * torch.rsqrt(var + 1e-8)",
        OPS,
        "every token of a positive rollout is pushed up",
    ),
    "whitening-by-the-variance": Mutation(
        "ops.py",
        "torch.rsqrt(var + 1e-8)",
        "(1 / (var + 1e-8))",
        OPS,
        "the size of a step depends on the reward's unit",
    ),
    "whitening-amplifies-rounding": Mutation(
        "ops.py",
        "torch.where(mask & (var.sqrt() > MIN_STD), whitened, 0.0)",
        "torch.where(mask, whitened, 0.0)",
        OPS,
        "a rollout of equal rewards gets a full-size update of noise",
    ),
    "k3-with-the-sign-of-the-other-kl": Mutation(
        "ops.py",
        "return torch.expm1((-x).clamp(max=MAX_EXPONENT)) + x",
        "return torch.expm1(x.clamp(max=MAX_EXPONENT)) - x",
        OPS,
        "the logged KL is another divergence",
    ),
    "score-on-the-first-token": Mutation(
        "ops.py",
        "tokens_from_here = mask.flip(1).cumsum(dim=1).flip(1)",
        "tokens_from_here = mask.cumsum(dim=1)",
        OPS,
        "credit goes to the first token",
    ),
    "penalty-added-instead-of-subtracted": Mutation(
        "ops.py",
        "score_at_last_token(scores, mask) - beta *",
        "score_at_last_token(scores, mask) + beta *",
        OPS,
        "the KL is rewarded",
    ),
    "surrogate-takes-the-smaller-loss": Mutation(
        "ops.py",
        "unclipped = -advantages * ratio\n"
        "    clipped = -advantages * ratio.clamp(1.0 - clip_range, 1.0 + clip_range)\n"
        "    return torch.maximum(unclipped, clipped)",
        "unclipped = -advantages * ratio\n"
        "    clipped = -advantages * ratio.clamp(1.0 - clip_range, 1.0 + clip_range)\n"
        "    return torch.minimum(unclipped, clipped)",
        OPS,
        "PPO's trust region is open where it should be shut",
    ),
    "value-clip-takes-the-smaller-loss": Mutation(
        "ops.py",
        "squared_value_loss(near, returns, mask)\n    return torch.maximum(unclipped, clipped)",
        "squared_value_loss(near, returns, mask)\n    return torch.minimum(unclipped, clipped)",
        OPS,
        "the value network stops learning early",
    ),
    "masked-mean-over-all-elements": Mutation(
        "ops.py",
        "total(masked_sum(x, mask)) / total(mask.sum()).clamp(min=1)",
        "total(masked_sum(x, mask)) / max(mask.numel(), 1)",
        OPS,
        "every mean depends on the padding",
    ),
    "explained-variance-of-the-values": Mutation(
        "ops.py",
        "masked_var(returns - values, mask, total) / masked_var(returns, mask, total)",
        "masked_var(returns - values, mask, total) / masked_var(values, mask, total)",
        OPS,
        "a useless critic looks good",
    ),
    "ratio-without-a-limit": Mutation(
        "ops.py", "log_ratio.clamp(max=MAX_LOG_RATIO).exp()", "log_ratio.exp()", OPS, "one token makes the run infinite"
    ),
    # --- PPO, APA, and what they share ----------------------------------------------------------------------------
    "returns-from-whitened-advantages": Mutation(
        "algorithms/credit.py",
        "returns=(advantages + values).where(mask, 0.0)",
        "returns=(advantages / advantages[mask].std() + values).where(mask, 0.0)",
        BOTH,
        "the critic learns another quantity",
    ),
    "ppo-entropy-is-minimised": Mutation(
        "algorithms/ppo.py",
        "self.value_coef * value_loss - self.entropy_coef * entropy",
        "self.value_coef * value_loss + self.entropy_coef * entropy",
        BOTH,
        "heuristic=entropy does the opposite",
    ),
    "apa-entropy-is-minimised": Mutation(
        "algorithms/apa.py",
        "self.value_coef * value_loss - self.entropy_coef * entropy",
        "self.value_coef * value_loss + self.entropy_coef * entropy",
        BOTH,
        "heuristic=entropy does the opposite",
    ),
    "ppo-without-the-value-coefficient": Mutation(
        "algorithms/ppo.py",
        "policy_loss + self.value_coef * value_loss",
        "policy_loss + value_loss",
        f"{PPO} {BOTH}",
        "eta does nothing",
    ),
    "penalty-of-the-reference": Mutation(
        "loops/experience.py",
        'kl_k1(experience["old_logprobs"], experience["ref_logprobs"])',
        'kl_k1(experience["ref_logprobs"], experience["old_logprobs"])',
        PPO,
        "moving away from the start is rewarded",
    ),
    "ppo-ratio-to-the-start": Mutation(
        "algorithms/ppo.py",
        "clipped_surrogate(new.logprobs, old,",
        'clipped_surrogate(new.logprobs, batch["ref_logprobs"],',
        f"{PPO} {BOTH}",
        "everything is clipped once the policy has moved",
    ),
    "apa-ratio-to-the-sampler": Mutation(
        "algorithms/apa.py",
        '(new.logprobs - batch["ref_logprobs"]).where(mask, 0.0)',
        '(new.logprobs - batch["old_logprobs"]).where(mask, 0.0)',
        APA,
        "the optimum is not pi_init exp(A / lambda) (ADR 0001)",
    ),
    "apa-multiplies-with-lambda": Mutation(
        "algorithms/apa.py",
        '(batch["advantages"] / self.lam)',
        '(batch["advantages"] * self.lam)',
        APA,
        "a sweep over lambda runs backwards",
    ),
    "apa-rewards-with-a-penalty": Mutation(
        "algorithms/apa.py",
        "return credit_by_values(experience, self.gamma, self.gae_lambda)",
        'kl = experience["old_logprobs"] - experience["ref_logprobs"]\n'
        '        experience = experience.with_(rewards=experience["rewards"] - 0.1 * kl)\n'
        "        return credit_by_values(experience, self.gamma, self.gae_lambda)",
        APA,
        "KL is controlled twice",
    ),
    "sft-learns-the-mean-of-a-microbatch": Mutation(
        "algorithms/sft.py",
        "mask, tokens = batch.response_mask, max(totals.tokens, 1)",
        "mask, tokens = batch.response_mask, max(int(batch.response_mask.sum()), 1)",
        "algorithms/test_sft.py",
        "the gradient depends on the microbatches",
    ),
    "sft-averages-over-the-whole-grid": Mutation(
        "algorithms/sft.py",
        "nll = -masked_sum(new.logprobs, mask) / tokens",
        "nll = -new.logprobs.sum() / tokens",
        "algorithms/test_sft.py",
        "padding is learned",
    ),
    "beta-moves-without-a-limit": Mutation(
        "algorithms/kl_control.py",
        "self.rate * min(max(error, -MAX_ERROR), MAX_ERROR)",
        "self.rate * error",
        "algorithms/test_kl_control.py",
        "one large KL throws beta off",
    ),
    "beta-moves-the-other-way": Mutation(
        "algorithms/kl_control.py",
        "error = measured_kl / self.target - 1.0",
        "error = 1.0 - measured_kl / self.target",
        "algorithms/test_kl_control.py",
        "the penalty falls where the KL grows",
    ),
    "scores-centred": Mutation(
        "loops/score_scaling.py",
        "scores = scores / running.std",
        "scores = (scores - running.mean) / running.std",
        "loops/test_score_scaling.py",
        "bad responses of a good policy are rewarded",
    ),
    "running-std-of-the-last-rollout": Mutation(
        "loops/score_scaling.py",
        "m2=self.m2 + m2 + shift * shift * self.count * n / count",
        "m2=m2 * count / n",
        "loops/test_score_scaling.py",
        "the reward changes its scale from rollout to rollout",
    ),
    "running-std-without-the-shift": Mutation(
        "loops/score_scaling.py",
        "self.m2 + m2 + shift * shift * self.count * n / count",
        "self.m2 + m2",
        "loops/test_score_scaling.py",
        "a rising reward is not seen in the scale",
    ),
    "reinforce-from-uniform-labels": Mutation(
        "algorithms/reinforce.py",
        "cumulative = batch.logprobs.detach().exp().cumsum(-1)",
        "cumulative = torch.ones_like(batch.logprobs).cumsum(-1)",
        "loops/test_epochs.py::test_the_sampled_gradient_is_that_of_the_expected_reward_on_average",
        "the sampled gradient is biased",
    ),
    "expected-reward-of-log-probabilities": Mutation(
        "algorithms/expected_reinforce.py",
        "(batch.logprobs.exp() * batch.rewards)",
        "(batch.logprobs * batch.rewards)",
        "loops/test_epochs.py::test_the_sampled_gradient_is_that_of_the_expected_reward_on_average",
        "no vanishing gradients any more: another objective",
    ),
    # --- diagnostics ----------------------------------------------------------------------------------------------
    "std-with-bessel": Mutation(
        "diagnostics/prompts.py",
        "std=shifted.std(axis=1))",
        "std=shifted.std(axis=1, ddof=1))",
        "diagnostics/test_prompts.py",
        "every reward std, and the share of vanishing prompts",
    ),
    "vanishing-in-the-mean": Mutation(
        "diagnostics/prompts.py",
        "vanishing = self.std < std_below",
        "vanishing = self.mean < std_below",
        "diagnostics/test_prompts.py",
        "the share of vanishing prompts is that of low ones",
    ),
    "vanishing-or-low": Mutation(
        "diagnostics/prompts.py",
        "vanishing & (self.mean < low_reward)",
        "vanishing | (self.mean < low_reward)",
        "diagnostics/test_prompts.py",
        "Table 2 counts other prompts",
    ),
    "bound-without-the-root": Mutation(
        "diagnostics/bounds.py",
        "by_std = sqrt(2) * length * jacobian_norm * reward_std",
        "by_std = 2 * length * jacobian_norm * reward_std",
        BOUNDS,
        "a bound that is not the theorem's",
    ),
    "bound-without-the-length": Mutation(
        "diagnostics/bounds.py",
        "6 * length * jacobian_norm * np.cbrt(",
        "6 * jacobian_norm * np.cbrt(",
        BOUNDS,
        "a bound that responses of several tokens can break",
    ),
    "bound-by-the-whole-width": Mutation(
        "diagnostics/bounds.py",
        "(reward_range[1] - reward_range[0]) / 2",
        "(reward_range[1] - reward_range[0])",
        BOUNDS,
        "bounds of rewards in another interval",
    ),
    "moments-of-a-uniform-policy": Mutation(
        "diagnostics/bounds.py",
        "std = (probs * centred.square()).sum(-1).sqrt()",
        "std = centred.square().mean(-1).sqrt()",
        BOUNDS,
        "the std of the controlled experiments is of no policy",
    ),
    "jacobian-by-its-trace": Mutation(
        "diagnostics/bounds.py",
        "torch.linalg.eigvalsh(gram)[-1]",
        "torch.linalg.eigvalsh(gram).sum()",
        BOUNDS,
        "gamma is a Frobenius norm, and the bound loose",
    ),
    "baseline-with-the-own-score": Mutation(
        "diagnostics/language.py",
        "(shifted - shifted.mean()) * len(scores) / (len(scores) - 1)",
        "shifted - shifted.mean()",
        LANGUAGE,
        "every gradient norm is too small",
    ),
    "squared-norm-with-its-bias": Mutation(
        "diagnostics/language.py",
        "return sum_square / n**2, pairs / (1 + 1 / (n - 1) ** 2)",
        "return sum_square / n**2, pairs",
        LANGUAGE,
        "small gradients look larger than they are",
    ),
    "responses-of-equal-text-counted-once": Mutation(
        "diagnostics/language.py",
        "entry.add_(part, alpha=sum(shares))",
        "entry.add_(part, alpha=shares[0])",
        LANGUAGE,
        "gradients of peaked policies are too small",
    ),
    "jacobian-without-the-temperature": Mutation(
        "diagnostics/language.py",
        "prompt_mask, prefix) / temperature",
        "prompt_mask, prefix)",
        LANGUAGE,
        "gamma of another policy than the one that is sampled",
    ),
}
