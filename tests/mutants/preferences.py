"""Mistakes in rows that bring responses, in files of the user's own, and in how prompts keep their end."""

from mutants.mutation import Mutation

COUNTS, FILE, MEMBERS = "data/test_pair_counts.py", "data/test_own_file.py", "data/test_pair_members.py"
CHECKS = "config/test_row_checks.py"

MUTATIONS = {
    "contradictions-of-other-prompts": Mutation(
        "data/parts/pairs.py",
        "return TextPair(prompt=self.prompt, chosen=self.rejected, rejected=self.chosen)",
        'return TextPair(prompt="p", chosen=self.rejected, rejected=self.chosen)',
        COUNTS,
        "pairs about different prompts contradict each other",
    ),
    "pairs-of-a-prompt-compared-with-each-other": Mutation(
        "data/parts/pairs.py",
        'example = Example(id=f"{split}-pair-{number}", prompt=pair.prompt, targets=(pair.chosen,))',
        "example = Example(id=pair.prompt, prompt=pair.prompt, targets=(pair.chosen,))",
        COUNTS,
        "best_worst makes one pair of many",
    ),
    "rejected-preferred": Mutation(
        "data/parts/pairs.py", "CHOSEN, REJECTED = 1.0, 0.0", "CHOSEN, REJECTED = 0.0, 1.0", COUNTS, "bad is good"
    ),
    "prompts-in-two-splits": Mutation(
        "data/parts/columns.py",
        'dealt[held_out.get(row.prompt, "train")].append(row)',
        'dealt[held_out.get(row.prompt + str(row.targets), "train")].append(row)',
        FILE,
        "held-out prompts are trained on",
    ),
    "csv-of-short-lines": Mutation(
        "data/parts/table_file.py",
        "if len(line) not in (0, len(names)):",
        "if False:",
        FILE,
        "a row that is short has no place",
    ),
    "dialogues-cut-at-the-last-turn": Mutation(
        "data/hh.py",
        "if rejected.startswith(chosen[:end]):",
        "if len(rejected) >= end:",
        MEMBERS,
        "a reply is judged after a dialogue that it does not follow",
    ),
    "eos-behind-no-response-of-rows": Mutation(
        "build/responses.py",
        "text.response), *end)",
        "text.response),)",
        "build/test_responses_of_rows.py",
        "a policy learns never to end",
    ),
    "reward-model-that-needs-itself": Mutation(
        "config/inheritance.py",
        'return learns_rows(config) and "centre" in config["algo"]["loop"]',
        "return False",
        CHECKS,
        "no run on such data can start",
    ),
    "end-of-the-prompt-cut": Mutation(
        "models/text.py",
        "if len(ids) <= max_tokens or not ending or not text.endswith(ending):",
        "if True:",
        "models/test_prompt_ending.py",
        "a post is continued, not summarised",
    ),
    "file-not-part-of-the-key": Mutation(
        "config/sources.py",
        "    found |= {text: _content(text, folders) for text in _data_files(config)}\n",
        "",
        CHECKS,
        "an edited file answers with the old result",
    ),
}
