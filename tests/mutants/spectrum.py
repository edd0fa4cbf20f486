"""Mistakes in the spectrum of datasets: what counts as vanishing, and what the page says of it."""

from mutants.mutation import Mutation

DIAGNOSE, PAGE, FIGURE = "loops/test_diagnose_loop.py", "commands/test_spectrum_page.py", "analysis/test_spectrum.py"
STATISTICS = "../../analysis/statistics/spectrum.py"

MUTATIONS = {
    "no-interval-is-none-wide": Mutation(
        "loops/diagnose.py",
        "width = 1.0 if self._interval is None",
        "width = 2.0 if self._interval is None",
        DIAGNOSE,
        "the threshold of a learned reward is another",
    ),
    "threshold-of-every-run-alike": Mutation(
        STATISTICS,
        "1.0 if low is None or high is None else high - low",
        "1.0",
        FIGURE,
        "a reward on a wide interval has another share in the picture than in its run",
    ),
    "low-of-all-prompts": Mutation(
        STATISTICS,
        'share["share_low"] / share["share"] if',
        'share["share_low"] if',
        FIGURE,
        "the share of low ones is that of all prompts",
    ),
    "interval-of-a-whole-split": Mutation(
        STATISTICS,
        'own.assign(n_train=run["preflight/n_train"])',
        "own",
        FIGURE,
        "an interval over prompts that do not exist",
    ),
    "old-line-wins": Mutation(
        "commands/spectrum.py",
        "[*standing, *new]",
        "[*new, *standing]",
        PAGE,
        "the page keeps numbers of a run that was repeated",
    ),
    "lines-of-diagnoses-among-those-of-rows": Mutation(
        "commands/datasets.py",
        "text.partition(TITLE)[0]",
        "text",
        "commands/test_datasets.py",
        "the page grows a second copy of its diagnoses each time that it is written",
    ),
    "missing-cells-unsaid": Mutation(
        "commands/spectrum.py",
        "if where == source and not any(",
        "if where == source and any(",
        PAGE,
        "cells without a diagnosis are not named",
    ),
}
