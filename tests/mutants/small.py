"""Mistakes in where a model is found, in what its tokens are, and in concept coverage."""

from mutants.mutation import Mutation

SMALL, COVERAGE, CHAT = "config/test_small.py", "rewards/test_concept_coverage.py", "models/test_chat.py"
PUBLISHED = "rewards/test_published.py"

MUTATIONS = {
    "converted-before-the-mirror": Mutation(
        "assets/__init__.py",
        "    if hub_mirror is not None and (Path(hub_mirror) / name).is_dir():",
        "    if converted(name) is None and hub_mirror is not None and (Path(hub_mirror) / name).is_dir():",
        SMALL,
        "a mirror is given, and weights of four bits are read",
    ),
    "converted-weights-under-the-hubs-key": Mutation(
        "config/sources.py",
        "elif (folder := converted(value)) is not None:",
        "elif (folder := converted(value)) is None:",
        SMALL,
        "two runs with other weights have one key",
    ),
    "special-tokens-of-the-data": Mutation(
        "models/text.py",
        "add_special_tokens=False, split_special_tokens=not marked, verbose=False",
        "add_special_tokens=False, split_special_tokens=False, verbose=False",
        CHAT,
        "a text that names the end of a turn ends it",
    ),
    "marks-lost-in-a-copy": Mutation(
        "models/policy.py",
        "policy.chat, policy.eos_id, policy.marked = self.chat, self.eos_id, self.marked",
        "policy.chat, policy.eos_id = self.chat, self.eos_id",
        CHAT,
        "the reference reads other prompts than the policy",
    ),
    "coverage-counts-repetition": Mutation(
        "rewards/coverage.py",
        "return len(asked & _stems(response)) / len(asked)",
        "return min(1.0, len(response.split()) / len(asked)) if asked & _stems(response) else 0.0",
        COVERAGE,
        "the same word again and again covers all",
    ),
    "coverage-of-the-whole-prompt": Mutation(
        "rewards/coverage.py",
        "prompt.rpartition(self.after)",
        'prompt.partition("")if False else ("", "x", prompt)',
        COVERAGE,
        "the words of the instruction are concepts too",
    ),
    "scalar-of-the-pad": Mutation(
        "rewards/published.py",
        "position = mask.sum(1) - (1",
        "position = 0 * mask.sum(1) + mask.shape[1] - (1",
        PUBLISHED,
        "the score of a text depends on how long its batch mates are",
    ),
    "reward-model-keeps-the-beginning": Mutation(
        "rewards/published.py",
        "[-self.max_tokens :]",
        "[: self.max_tokens]",
        PUBLISHED,
        "long texts are scored without their end",
    ),
    "special-tokens-of-a-response": Mutation(
        "rewards/published.py",
        "text if lead else self.before + text)",
        "text if lead else self.before + text, marked=True)",
        PUBLISHED,
        "a response that names the EOS ends what the reward model reads",
    ),
}
