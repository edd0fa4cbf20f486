"""Mistakes in packed rows, in scores with a gradient of their own, and in the pass that serves rollout and update."""

from mutants.mutation import Mutation

PACKING, SCORING, ONCE = "models/test_packing.py", "models/test_scoring.py", "loops/test_learned_once.py"

MUTATIONS = {
    "positions-of-responses-from-zero": Mutation(
        "models/packing.py",
        "given[prompt_index[line]] + within",
        "within",
        PACKING,
        "every response is read as if it were the beginning of the text",
    ),
    "responses-see-the-first-prompt": Mutation(
        "models/packing.py",
        "per_prompt = torch.zeros_like(given).index_add_(0, owner, lengths)",
        "per_prompt = torch.zeros_like(given).index_add_(0, torch.zeros_like(owner), lengths)",
        PACKING,
        "responses are scored as answers to another prompt",
    ),
    "padding-of-prompts-is-seen": Mutation(
        "models/shared_attention.py",
        "return None if packing.hidden_keys is None else packing.hidden_keys.to(dtype)",
        "return None",
        PACKING,
        "a log-probability depends on the longest prompt beside it",
    ),
    "blocks-normalised-apart": Mutation(
        "models/shared_attention.py",
        "joint = torch.logaddexp(near_norm, far_norm)",
        "joint = near_norm",
        PACKING,
        "weights of a response and of its prompt are no softmax",
    ),
    "gradient-without-the-prompt": Mutation(
        "models/shared_attention.py",
        "near[0] = near[0] + packing.groups.collect(_heads(far[0]))",
        "pass",
        PACKING,
        "a policy learns as if it had not read the prompt",
    ),
    "gradients-of-empty-places": Mutation(
        "models/packing.py",
        "found if left is None else found.index_fill_(0, left, 0.0)",
        "found",
        PACKING,
        "padding teaches",
    ),
    "gradient-without-the-token": Mutation(
        "models/scoring.py",
        "slope.scatter_add_(-1, ids[rows].unsqueeze(-1), scale)",
        "pass",
        SCORING,
        "the chosen token is never made more likely",
    ),
    "gradient-not-over-the-temperature": Mutation(
        "models/scoring.py",
        "slope if ctx.temperature == 1.0 else slope.div_(ctx.temperature)",
        "slope",
        SCORING,
        "a policy at another temperature takes steps of another length",
    ),
    "normaliser-of-rounded-scores": Mutation(
        "models/scoring.py",
        "exact = logits.float()",
        "exact = logits",
        SCORING,
        "log-probabilities in steps of 1/32",
    ),
    "rest-of-the-rows-not-scored": Mutation(
        "models/scoring.py",
        "for start in range(0, len(logits), k):",
        "for start in range(0, len(logits) - k + 1, k):",
        SCORING,
        "the last tokens of a batch have whatever score memory held",
    ),
    "slope-not-scaled": Mutation(
        "models/scoring.py",
        "slope * gradient.unsqueeze(-1)",
        "slope",
        SCORING,
        "with a frozen head in parts, advantages do not matter",
    ),
    "pretrained-labels-scored-in-pieces": Mutation(
        "models/policy.py",
        "scored = score_logits(*row, plain=self.plain)",
        "scored = score_logits(*row)",
        "build/test_plain.py",
        "make assets gives a classifier of other bits",
    ),
    "pretraining-is-fused": Mutation(
        "build/labs.py",
        'policy.plain = config["algo"]["name"] == "pretrain"',
        "policy.plain = False",
        "build/test_plain.py",
        "make assets gives other bits",
    ),
    "old-policy-with-a-gradient": Mutation(
        "loops/networks.py",
        'columns["old_logprobs"] = new.logprobs.detach()',
        'columns["old_logprobs"] = new.logprobs',
        ONCE,
        "the ratio is constant and nothing is learned",
    ),
    "read-once-in-every-epoch": Mutation(
        "loops/experience.py",
        "if schedule.update_epochs > 1 or schedule.trimmed",
        "if schedule.trimmed",
        ONCE,
        "the second pass over a rollout learns from the networks before the first",
    ),
    "prompts-are-parted": Mutation(
        "loops/online.py",
        'algorithm.unit == "group" or self.minibatch_of == "prompts"',
        'algorithm.unit == "group"',
        ONCE,
        "minibatch_of=prompts changes nothing",
    ),
}
