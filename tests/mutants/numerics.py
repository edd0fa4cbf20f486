"""Mistakes in dtypes, in the positions of models, and in measurements within a budget."""

from mutants.mutation import Mutation

DTYPES, POSITIONS, BUDGET = "models/test_compute_dtype.py", "config/test_policy_checks.py", "loops/test_budget.py"

MUTATIONS = {
    # --- dtypes ---------------------------------------------------------------------------------------------------
    "sampler-in-float32": Mutation(
        "sampling/sample.py",
        "with torch.inference_mode(), policy.computing():",
        "with torch.inference_mode():",
        DTYPES,
        "responses come from another policy than the one that is scored",
    ),
    "beams-in-float32": Mutation(
        "sampling/beam.py",
        "    with policy.computing():\n        ids, logprobs = search(",
        "    if True:\n        ids, logprobs = search(",
        DTYPES,
        "another policy is evaluated than the one that trains",
    ),
    "copies-in-float32": Mutation(
        "models/policy.py",
        "Policy(lm, self.tokenizer, self.family, self.compute_dtype)",
        "Policy(lm, self.tokenizer, self.family)",
        DTYPES,
        "the KL to the reference does not start at 0",
    ),
    "compute-dtype-not-read": Mutation(
        "models/load.py",
        "return Policy(lm, words, kind, DTYPES[compute_dtype])",
        "return Policy(lm, words, kind)",
        DTYPES,
        "the key changes the name of a run and nothing else",
    ),
    "two-kernels-of-attention": Mutation(
        "models/attention.py",
        "    with sdpa_kernel(SDPBackend.MATH):\n        return",
        "    if True:\n        return",
        DTYPES,
        "the first ratio of a T5 is off by up to 10 %",
    ),
    "logits-not-upcast": Mutation(
        "models/policy.py",
        "return self._head(hidden).float()",
        "return self._head(hidden)",
        DTYPES,
        "log-probabilities in steps of 1/32",
    ),
    "coarse-parameters-trained": Mutation(
        "config/policy_checks.py",
        '    if algo["loss"] is not None:\n        raise UserError(\n            f"model.policy.dtype',
        '    if False:\n        raise UserError(\n            f"model.policy.dtype',
        POSITIONS,
        "a flat curve that looks like vanishing gradients",
    ),
    "impossible-token-in-the-entropy": Mutation(
        "ops.py",
        "logprobs.masked_fill(logprobs == -torch.inf, 0.0)",
        "logprobs",
        "test_ops.py models/test_models.py",
        "the loss is NaN where tokens are masked",
    ),
    # --- positions ------------------------------------------------------------------------------------------------
    "gold-texts-not-counted": Mutation(
        "config/policy_checks.py",
        'if "whole_text" in algo["loop"]:',
        "if False:",
        POSITIONS,
        "SFT dies in the middle of its data",
    ),
    "prompt-not-counted": Mutation(
        "config/policy_checks.py",
        "yield from ({**prompt, key: tokens} for",
        "yield from ({key: tokens} for",
        POSITIONS,
        "a run dies at its first long prompt",
    ),
    "loaded-model-not-checked": Mutation(
        "build/labs.py",
        "    check_positions(config, policy.lm.config.to_dict(), policy.family)\n",
        "",
        "build/test_labs.py",
        "a run of a hub model dies at its first long prompt",
    ),
    "relative-positions-limited": Mutation(
        "positions.py",
        "or any(config.get(key) for key in RELATIVE)",
        "or False",
        POSITIONS,
        "T5 is refused beyond 512 tokens",
    ),
    # --- budgets --------------------------------------------------------------------------------------------------
    "budget-starts-again-with-a-resume": Mutation(
        "loops/budget.py",
        "time.perf_counter() - kept.seconds\n    first",
        "time.perf_counter()\n    first",
        BUDGET,
        "a preempted diagnosis never ends",
    ),
    "gradients-from-one-end": Mutation(
        "loops/diagnose.py",
        "int(order[ranks[i]]) for i in spread(len(ranks))",
        "int(order[rank]) for rank in ranks",
        BUDGET,
        "a budget leaves the prompts without a gradient alone",
    ),
    "gradients-measured-again": Mutation(
        "loops/budget.py",
        "for number in numbers[first:]:",
        "for number in numbers:",
        BUDGET,
        "rows stand twice in cases.parquet",
    ),
    "converted-head-that-stays": Mutation(
        "models/fused.py",
        "kept is None or kept[0] != weight._version or ",
        "kept is None or ",
        "models/test_compute_dtype.py",
        "a head that was loaded later scores as the one before",
    ),
    "converted-for-every-pass": Mutation(
        "models/fused.py",
        '        setattr(weight, "converted_once", kept)',
        '        setattr(weight, "converted", kept)',
        "models/test_compute_dtype.py",
        "every pass over a large vocabulary converts the head anew",
    ),
}
