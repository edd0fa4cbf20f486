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
        "torch.tensor([rows[i][1] for i in chosen])",
        "torch.tensor([rows[i][1] - len(rows[i][0]) for i in chosen]) + mask.shape[1]",
        PUBLISHED,
        "the score of a text depends on how long its batch mates are",
    ),
    "reward-model-keeps-the-beginning": Mutation(
        "rewards/published.py",
        "whole[lost:], place - lost",
        "whole[: self.max_tokens], place - lost",
        PUBLISHED,
        "long texts are scored without their end",
    ),
    "reward-model-scores-what-is-cut-off": Mutation(
        "rewards/published.py",
        "min(place, self.max_tokens - 1)",
        "min(place, self.max_tokens - (1 if self.position == 'last' else 2))",
        PUBLISHED,
        "a text without its EOS is scored one token too early",
    ),
    "a-token-before-the-first": Mutation(
        "rewards/published.py",
        "if place < 0:",
        "if place < -9:",
        PUBLISHED,
        "an empty text is scored at its padding",
    ),
    "a-prompt-is-read-whole": Mutation(
        "rewards/published.py",
        "limit.max_tokens is None or",
        "True or",
        PUBLISHED,
        "what the policy never read is scored",
    ),
    "a-prompt-in-tokens-of-the-reward-model": Mutation(
        "rewards/published.py",
        "if prompt.tokenizer else vocabulary",
        "if False else vocabulary",
        PUBLISHED,
        "a prompt is cut elsewhere than the policy cuts it",
    ),
    "a-published-key-of-before-moves": Mutation(
        "runs/identity.py",
        '".".join(target.split(".")[-2:])',
        "target",
        "build/test_later_keys.py",
        "runs with a published reward are made again",
    ),
    "a-stored-reward-lacks-its-later-keys": Mutation(
        "build/rewards.py",
        "    node = runs.completed(node)\n",
        "",
        "build/test_later_keys.py",
        "an old run with a published reward cannot be resumed",
    ),
    "special-tokens-of-a-response": Mutation(
        "rewards/published.py",
        "text if lead else self.before + text)",
        "text if lead else self.before + text, marked=True)",
        PUBLISHED,
        "a response that names the EOS ends what the reward model reads",
    ),
}
