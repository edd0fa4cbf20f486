"""Mistakes in which rows a run sees, and in what is said of them."""

from mutants.mutation import Mutation

PAIRED, OWN = "data/test_pair_members.py", "data/test_own_file.py"

MUTATIONS = {
    "leaks-of-own-rows-not-dropped": Mutation(
        "data/parts/columns.py",
        'attrgetter("said"), later(said, split))',
        'attrgetter("said"), ())',
        "data/test_own_file.py",
        "rows of test are trained on although the config says no",
    ),
    "chance-on-real-rows": Mutation(
        "../../conf/data/stack_exchange.yaml",
        "at_chance: ${equal:${data.source},bundled}",
        "at_chance: true",
        "config/test_starts.py",
        "a reward model at chance scores real answers, and nobody asked for it",
    ),
    "rows-of-pairs-untold": Mutation(
        "data/parts/text.py",
        "        tell(\n",
        "        (lambda *_: None)(\n",
        f"{PAIRED} data/test_counting.py",
        "repeated prompts are weighted without a word",
    ),
    "rows-of-pairs-kept": Mutation(
        "data/parts/text.py",
        "left = kept(made, drop)",
        "left = dict(made)",
        f"{PAIRED} data/test_counting.py",
        "a key that drops rows does nothing",
    ),
    "pairs-with-a-null": Mutation(
        "data/parts/pairs.py",
        "(lambda: NO_PAIR) if drop.empty else None",
        "lambda: NO_PAIR",
        PAIRED,
        "pairs of nothing are learned",
    ),
    "nulls-of-own-rows": Mutation(
        "data/parts/columns.py",
        "if not parts or any(part is None for part in parts)",
        "if any(part is None for part in parts)",
        OWN,
        "a row without any target is trained on as if it had one",
    ),
    "empty-prompts-of-own-rows": Mutation(
        "data/parts/columns.py",
        'or (strict and word == "prompt")',
        "",
        OWN,
        "prompts without a text stay, though the key says they go",
    ),
    "revision-of-own-hub-rows": Mutation(
        "data/hub_text.py",
        "revision=hub_revision",
        "revision=None",
        "data/test_mirror_files.py",
        "rows of main under the name of another revision",
    ),
    "split-by-another-key": Mutation(
        "data/hub_text.py",
        "            change_split=key_of_name(split),\n",
        "",
        "data/test_hub_text.py",
        "a refusal sends the user to a key that mends nothing",
    ),
    "long-rows-kept": Mutation(
        "build/limits.py",
        " if not any(of_row)]",
        "]",
        "build/test_limits.py",
        "rows that a key leaves out are cut and learned",
    ),
    "pairs-of-long-prompts-kept": Mutation(
        "build/limits.py",
        'if "prompts" in dropped else',
        "if not dropped else",
        "build/test_limits.py",
        "pairs about prompts that a key leaves out are learned, cut",
    ),
    "lengths-of-a-few": Mutation(
        "build/limits.py",
        "some if what in whole else _first(some)",
        "_first(some)[:200]",
        "build/test_limits.py",
        "one row in a hundred is looked at, and none of the others said",
    ),
}
