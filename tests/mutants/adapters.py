"""Mistakes in adapters, shared trunks, recomputation and stored models."""

from mutants.mutation import Mutation

ADAPTERS, TRUNK = "models/test_adapters.py", "models/test_trunk.py"
RUNS = "loops/test_adapter_runs.py"

MUTATIONS = {
    "reference-with-the-adapter-on": Mutation(
        "models/freeze.py",
        "    switch_off(reference.lm)\n",
        "",
        ADAPTERS,
        "the KL of a run that goes on from an adapter is to that adapter",
    ),
    "adapter-of-a-copy-shared": Mutation(
        "models/adapters.py",
        "if (trained if p.requires_grad else frozen)",
        "if frozen",
        f"{ADAPTERS} {TRUNK}",
        "the reference follows the policy and the KL is always 0",
    ),
    "adapters-left-in-training-mode": Mutation(
        "models/adapters.py",
        "    policy.eval()  # peft leaves its layers in training mode, whatever the model was in\n",
        "",
        ADAPTERS,
        "dropout would be on in some layers",
    ),
    "adapter-drawn-from-the-global-stream": Mutation(
        "models/adapters.py",
        "        torch.manual_seed(seed)\n",
        "",
        ADAPTERS,
        "the seed of a run does not say what its adapter starts from",
    ),
    "base-trains-beside-its-adapter": Mutation(
        "models/adapters.py",
        "    policy.eval()  # peft",
        "    policy.lm.requires_grad_(True)\n    policy.eval()  # peft",
        ADAPTERS,
        "the reference of a shared base moves",
    ),
    "head-tied-to-the-embedding-adapted": Mutation(
        "models/adapters.py",
        "and module is not tied:",
        "and True:",
        ADAPTERS,
        "merging changes the embedding as well",
    ),
    "trunk-under-moving-embeddings": Mutation(
        "models/trunk.py",
        "if any(p.requires_grad for p in stack.parameters() if id(p) not in within):",
        "if False:",
        TRUNK,
        "updates read the states of an older policy",
    ),
    "trunk-of-one-block-too-many": Mutation(
        "models/trunk.py",
        "*blocks[trunk.blocks :]]",
        "*blocks[trunk.blocks + 1 :]]",
        TRUNK,
        "a block is skipped in the updates",
    ),
    "trunk-of-t5-without-its-position-bias": Mutation(
        "models/trunk.py",
        "self.compute_bias(length, length, device=self.states.device), None",
        "None, None",
        TRUNK,
        "updates read another network than the rollout",
    ),
    "checkpointing-that-is-off-in-evaluation-mode": Mutation(
        "models/policy.py",
        "if self.recompute and torch.is_grad_enabled()",
        "if self.recompute and self.training",
        TRUNK,
        "runtime.gradient_checkpointing saves no memory",
    ),
    "checkpoint-without-what-trains": Mutation(
        "loops/networks.py",
        "if not p.requires_grad}",
        "if p.requires_grad}",
        RUNS,
        "a resumed run starts again from the first weights",
    ),
    "final-model-without-its-adapter": Mutation(
        "models/weights.py",
        "copy_sharing(merged(policy).lm, trained=True)",
        "copy_sharing(policy.lm, trained=True)",
        ADAPTERS,
        "a finished run cannot be opened",
    ),
}
