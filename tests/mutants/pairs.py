"""Mistakes in what is learned from pairs: which pairs there are, their loss, what a reward model reads."""

from mutants.mutation import Mutation

DPO, PAIRS = "algorithms/test_dpo.py", "loops/test_pairs.py"
LOOP, NETWORK = "loops/test_reward_model_loop.py", "models/test_reward_model.py"

MUTATIONS = {
    "dpo-prefers-the-rejected": Mutation(
        "ops.py",
        "chosen, rejected = x.view(-1, 2).unbind(1)",
        "rejected, chosen = x.view(-1, 2).unbind(1)",
        f"{DPO}",
        "bad responses are learned",
    ),
    "dpo-mean-over-tokens": Mutation(
        "algorithms/dpo.py",
        "logprobs = row_sum(new.logprobs, mask)",
        "logprobs = row_sum(new.logprobs, mask) / mask.sum(1)",
        DPO,
        "the implicit reward is no log-ratio",
    ),
    "dpo-denominator-of-rows": Mutation(
        "algorithms/dpo.py", "max(totals.units, 1)", "max(totals.rows, 1)", DPO, "half the step size"
    ),
    "held-out-pairs-without-reference": Mutation(
        "loops/preference.py",
        "log_ratio = new.logprobs if before is None else new.logprobs - before",
        "log_ratio = new.logprobs",
        "loops/test_preference.py",
        "what the start preferred counts as learned",
    ),
    "held-out-loss-over-rows": Mutation(
        "loops/preference.py",
        "rows=2 * len(pairs), units=len(pairs))",
        "rows=2 * len(pairs), units=2 * len(pairs))",
        "loops/test_preference.py",
        "half the held-out loss",
    ),
    "ipo-target": Mutation("algorithms/dpo.py", "1 / (2 * self.beta)", "1 / self.beta", DPO, "twice the margin"),
    "smoothing-on-the-wrong-side": Mutation(
        "algorithms/dpo.py",
        "self.label_smoothing * logsigmoid(-margin)",
        "self.label_smoothing * logsigmoid(margin)",
        DPO,
        "no smoothing at all",
    ),
    "pairs-of-equal-scores": Mutation(
        "loops/pairs.py",
        "if pair.chosen.score - pair.rejected.score <= MIN_STD:",
        "if pair.chosen.score < pair.rejected.score:",
        PAIRS,
        "noise is learned as a preference",
    ),
    "pairs-of-identical-texts": Mutation(
        "loops/pairs.py",
        "if pair.chosen.response == pair.rejected.response:",
        "if pair.chosen is pair.rejected:",
        PAIRS,
        "a response is preferred to itself",
    ),
    "reward-model-before-the-last-token": Mutation(
        "models/reward_model.py",
        "last = response_mask.sum(1)",
        "last = response_mask.sum(1) - 1",
        NETWORK,
        "the end of a response has no part in its score",
    ),
    "reward-model-keeps-the-beginning": Mutation(
        "models/reward_model.py",
        'self.reading.max_response_tokens, "left")',
        'self.reading.max_response_tokens, "right")',
        NETWORK,
        "the tail is not scored",
    ),
    "scores-of-another-prompt": Mutation(
        "models/reward_model.py",
        "torch.tensor([asked[prompts[i]] for i in chosen]",
        "torch.tensor([0 for i in chosen]",
        NETWORK,
        "responses are scored as if they answered another prompt",
    ),
    "prompts-read-for-every-response": Mutation(
        "models/reward_model.py",
        "enumerate(dict.fromkeys(prompts[i] for i in chosen))",
        "enumerate(prompts[i] for i in chosen)",
        NETWORK,
        "scores of responses to one prompt are not told from those of another",
    ),
    "pairs-of-a-part-mixed": Mutation(
        "loops/reward_model.py",
        "scores.reshape(2, len(part))",
        "scores.reshape(len(part), 2).T",
        LOOP,
        "a chosen response is compared with that of another pair",
    ),
    "reward-model-not-centred": Mutation(
        "loops/reward_model.py", "if self.centre:", "if not self.centre:", LOOP, "scores keep an arbitrary offset"
    ),
    "interval-of-dependent-pairs": Mutation(
        "diagnostics/pairs.py",
        "float(sum(counts) ** 2 / sum(m * m for m in counts))",
        "float(sum(counts))",
        "diagnostics/test_pair_accuracy.py",
        "a model at chance counts as good",
    ),
    "a-reward-at-chance": Mutation(
        "rewards/finished.py",
        "if low > chance:",
        "if value > chance:",
        "rewards/test_learned.py",
        "noise is the reward",
    ),
}
