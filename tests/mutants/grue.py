"""Mistakes in the datasets of GRUE: their formats, their splits, and where they come from."""

from mutants.mutation import Mutation

GRUE, MIRRORS, COUNTING = "data/test_grue.py", "data/test_mirror_files.py", "data/test_counting.py"

MUTATIONS = {
    "commongen-sets-in-both-halves": Mutation(
        "data/commongen.py", '" ".join(sorted(set(row)))', '" ".join(row)', GRUE, "test concept sets are validated on"
    ),
    "commongen-every-sentence-a-prompt": Mutation(
        "data/commongen.py",
        "[number for number in half(split, sets) if first[sets[number]] == number]",
        "half(split, sets)",
        GRUE,
        "sets with many sentences weigh more in the reported reward",
    ),
    "halves-by-row": Mutation(
        "data/parts/splits.py",
        "chosen = set(known[:middle] if",
        "chosen = set(known[: len(keys) // 2] if",
        GRUE,
        "validation and test are not halves",
    ),
    "iwslt-backwards": Mutation(
        "data/iwslt2017.py",
        '{pair[\'en\']}", targets=(pair["de"],)',
        '{pair[\'de\']}", targets=(pair["en"],)',
        GRUE,
        "German is translated to English under the other name",
    ),
    "daily-dialog-sees-the-answer": Mutation(
        "data/daily_dialog.py",
        "turns[place - CONTEXT : place]",
        "turns[place - CONTEXT + 1 : place + 1]",
        GRUE,
        "the prompt holds its target",
    ),
    "daily-dialog-early-turns": Mutation(
        "data/daily_dialog.py",
        "for place in range(CONTEXT, len(turns))",
        "for place in range(CONTEXT + 1, len(turns))",
        GRUE,
        "fewer prompts than the paper's",
    ),
    "totto-headers-beside": Mutation(
        "data/parts/tables.py",
        'if cell["is_header"] and first < end and start < last:',
        'if cell["is_header"] and first <= start and end <= last:',
        GRUE,
        "wide cells lose headers",
    ),
    "totto-titles-twice": Mutation(
        "data/totto.py",
        "plain = linearised(table, cells)",
        'plain = linearised(table, cells, row["table_page_title"])',
        GRUE,
        "other prompts than the paper's",
    ),
    "export-of-main": Mutation(
        "data/parts/hub.py",
        "dataset_info(hub_id, revision=revision, timeout",
        "dataset_info(hub_id, timeout",
        MIRRORS,
        "a dataset script is looked for in vain",
    ),
    # --- counting -------------------------------------------------------------------------------------------------
    "leaks-not-dropped": Mutation(
        "data/parts/counting.py",
        "first[said(row)] is row and said(row) not in taken",
        "first[said(row)] is row",
        COUNTING,
        "test rows are trained on although the config says no",
    ),
    "test-rows-dropped": Mutation(
        "data/parts/counting.py",
        "names[names.index(split) + 1 :]",
        "names[: names.index(split)]",
        COUNTING,
        "the test split is another one than the published",
    ),
    "duplicates-by-prompt": Mutation(
        "data/parts/counting.py",
        "return example.prompt, example.targets",
        "return example.prompt, ()",
        COUNTING,
        "prompts with several gold texts lose all but one",
    ),
    "empty-targets-pass": Mutation(
        "data/parts/text.py",
        "if not all(target.strip() for target in text.targets):",
        "if not any(target.strip() for target in text.targets) and False:",
        COUNTING,
        "rewards compare with nothing, without a word",
    ),
    "empty-rows-dropped-unasked": Mutation(
        "data/parts/counting.py",
        "    if drop.empty:\n",
        "    if True:\n",
        COUNTING,
        "fewer rows than the dataset has, without a key that says so",
    ),
}
