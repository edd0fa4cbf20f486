"""Mistakes between sampler and update, in what a whole run says of itself."""

from mutants.mutation import Mutation

SAMPLED, ROLLOUT, TRACES = "loops/test_sampled_tokens.py", "sampling/test_rollout.py", "loops/test_loss_traces.py"

MUTATIONS = {
    "sampler-reads-the-generation-config": Mutation(
        "sampling/sample.py",
        "if t < sampling.min_new_tokens else None",
        "if t < max(sampling.min_new_tokens, policy.lm.generation_config.min_length or 0) else None",
        SAMPLED,
        "two checkpoints with the same weights give other numbers",
    ),
    "response-tokenised-again": Mutation(
        "loops/collect.py",
        "        _, scores = score(lab, examples, responses)\n        experience",
        "        texts, scores = score(lab, examples, responses)\n        lab.policy.encode_targets(texts, 99, True)\n"
        "        experience",
        SAMPLED,
        "tokens are learned that were never sampled",
    ),
    "text-cut-at-a-blank-line": Mutation(
        "models/policy.py",
        "return self.tokenizer.batch_decode(rows, skip_special_tokens=True, clean_up_tokenization_spaces=False)",
        "said = self.tokenizer.batch_decode(rows, skip_special_tokens=True, clean_up_tokenization_spaces=False)\n"
        '        return [text.partition("\\n\\n")[0] for text in said]',
        ROLLOUT,
        "tokens are credited with a score that does not know them",
    ),
    "negative-kl-is-not-told": Mutation(
        "loops/experience.py",
        "                session.describe(warning)",
        "                pass",
        SAMPLED,
        "a sampler that differs from the scorer goes unnoticed",
    ),
    "kept-mass-is-always-one": Mutation(
        "sampling/sample.py",
        "    if kept is not full:\n        of_kept",
        "    if False:\n        of_kept",
        f"{SAMPLED} {ROLLOUT}",
        "top_k changes what is sampled, and nothing says by how much",
    ),
    "reference-at-another-temperature": Mutation(
        "loops/networks.py",
        "*_row(batch), batch.temperature, batch.prompt_index, entropy, chunk, allowed=allowed, trunk=trunk",
        "*_row(batch), batch.temperature if network is self.policy else 1.0, batch.prompt_index, entropy, chunk,\n"
        "            allowed=allowed, trunk=trunk",
        SAMPLED,
        "there is a KL before anything was learned",
    ),
    "explained-variance-of-nothing": Mutation(
        "ops.py", "torch.where(spread > 0, ", "torch.where(spread >= 0, ", "test_ops.py", "-inf in a mean over seeds"
    ),
    "entropy-bonus-doubled": Mutation(
        "algorithms/rloo.py",
        "policy_loss - self.entropy_coef * entropy",
        "policy_loss - 2 * self.entropy_coef * entropy",
        TRACES,
        "the coefficient of the paper is another one here",
    ),
}
