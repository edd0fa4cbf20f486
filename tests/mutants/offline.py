"""Mistakes in weighted regression, kept responses, learning from them, and Q-learning on them."""

from mutants.mutation import Mutation

AWR, ILQL, HEADS = "algorithms/test_awr.py", "algorithms/test_ilql.py", "models/test_action_values.py"
OFFLINE, KEPT, READ = "loops/test_offline.py", "loops/test_responses.py", "build/test_scored_responses.py"

MUTATIONS = {
    "responses-from-the-first-batch": Mutation(
        "loops/responses.py",
        "range(self._answered(rows, split), len(asked[split]), size)",
        "range(-(-self._answered(rows, split) // size) * size, len(asked[split]), size)",
        "loops/test_responses.py",
        "after a stop, batches of another size leave prompts out",
    ),
    "awr-weights-overflow": Mutation(
        "algorithms/awr.py",
        "weights = goal.clamp(max=MAX_LOG_RATIO).exp()",
        "weights = goal.exp()",
        AWR,
        "one large advantage makes the loss infinite",
    ),
    "awr-weights-clipped-from-below": Mutation(
        "algorithms/awr.py",
        "weights.clamp(max=self.weight_clip)",
        "weights.clamp(min=1 / self.weight_clip, max=self.weight_clip)",
        AWR,
        "bad tokens are cloned, too",
    ),
    "awr-multiplies-by-lambda": Mutation(
        "algorithms/awr.py",
        'goal = (batch["advantages"] / self.lam)',
        'goal = (batch["advantages"] * self.lam)',
        AWR,
        "lambda means its inverse, as in the released code",
    ),
    "share-of-effective-tokens-of-sums": Mutation(
        "loops/update.py",
        "found[name] ** 2 / mean_square",
        "found[name] / mean_square",
        AWR,
        "the effective share depends on the unit of the weights",
    ),
    "std-of-advantages-only-raw": Mutation(
        "loops/experience.py",
        "spreads = spreads or [advantage_std(experience, lab.ranks.sum)]",
        "spreads = [torch.ones(())]",
        "loops/test_advantages.py",
        "nobody sees that nothing was whitened",
    ),
    "scores-standardised-by-the-mean-alone": Mutation(
        "loops/scored.py",
        "return (scores - scores.mean()) / std",
        "return scores - scores.mean()",
        OFFLINE,
        "lambda depends on the unit of the reward",
    ),
    "columns-of-other-rows": Mutation(
        "loops/scored.py",
        "torch.cat([known[number] for number in numbers])",
        "torch.cat([known[number] for number in sorted(numbers)])",
        OFFLINE,
        "values and references of other responses",
    ),
    "passes-in-one-order": Mutation(
        "loops/scored.py",
        "lab.session.seed, place.position)",
        "lab.session.seed, place.position % len(self.rows))",
        OFFLINE,
        "the same minibatches in every pass",
    ),
    "responses-of-one-noise": Mutation(
        "loops/responses.py",
        "places_of(examples)[part]",
        "places_of(examples)[: len(examples[part])]",
        KEPT,
        "batches decide which responses there are",
    ),
    "responses-of-other-rows-are-taken": Mutation(
        "build/responses.py",
        'rows["rows"] != record.rows:',
        'rows["rows"] == 0:',
        READ,
        "an edited mirror gives prompts that are no longer there",
    ),
    "ilql-gradient-through-the-next-value": Mutation(
        "algorithms/ilql.py",
        "next_values(v.detach())",
        "next_values(v)",
        ILQL,
        "V is pulled towards its own Q errors",
    ),
    "ilql-value-behind-the-end": Mutation(
        "algorithms/ilql.py",
        "torch.cat([v[:, 1:], torch.zeros_like(v[:, :1])], dim=1)",
        "torch.cat([v[:, 1:], v[:, -1:]], dim=1)",
        ILQL,
        "what comes behind the end is worth something",
    ),
    "ilql-expectile-turned-round": Mutation(
        "algorithms/ilql.py",
        "(gap < 0).float()",
        "(gap > 0).float()",
        ILQL,
        "V is the worst of the actions",
    ),
    "copies-of-q-train": Mutation(
        "models/action_values.py",
        "copy.deepcopy(head).requires_grad_(False)",
        "copy.deepcopy(head)",
        HEADS,
        "the optimiser moves what should lag",
    ),
    "copies-of-q-jump": Mutation(
        "models/action_values.py",
        "slow.lerp_(fast, alpha)",
        "slow.lerp_(fast, 1 - alpha)",
        HEADS,
        "the goals run after the heads",
    ),
    "shift-by-the-larger-copy": Mutation(
        "models/action_values.py",
        "torch.minimum(self.copy_1(states), self.copy_2(states))",
        "torch.maximum(self.copy_1(states), self.copy_2(states))",
        HEADS,
        "decoding trusts the more hopeful of two guesses",
    ),
}
