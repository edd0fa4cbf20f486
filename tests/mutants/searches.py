"""Mistakes in what a search tries, in what a trial is worth, and in what is given up."""

from mutants.mutation import Mutation

TRIALS, SPACE, WHOLE = "sweeps/test_search_trials.py", "config/test_search_space.py", "launch/test_whole_search.py"
PRUNED = "runs/test_pruned_runs.py"

MUTATIONS = {
    "a-resumed-search-draws-the-first-trials-again": Mutation(
        "sweeps/search/study.py",
        "return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])",
        "return int(np.random.SeedSequence([seed, 0]).generate_state(1)[0])",
        TRIALS,
        "half of the trials repeat the other half",
    ),
    "a-trial-is-its-best-seed": Mutation(
        "sweeps/search/study.py",
        "float(np.mean(list(values.values())))",
        "float(np.max(list(values.values())))",
        TRIALS,
        "the search looks for luck",
    ),
    "a-trial-is-judged-by-the-seeds-that-came-so-far": Mutation(
        "sweeps/search/trials.py",
        "set.intersection(*map(set, looks))",
        "set.union(*map(set, looks))",
        TRIALS,
        "means over different seeds are compared",
    ),
    "the-look-after-training-judges": Mutation(
        "sweeps/search/trials.py",
        'if self._judged_by in line["metrics"] and 0 < line["step"] < last:',
        'if self._judged_by in line["metrics"]:',
        TRIALS,
        "a trial is judged before it has learned anything",
    ),
    "a-failure-of-the-machine-is-an-end": Mutation(
        "sweeps/search/trials.py",
        'return any(DIVERGED.search(str((read_json(folder / "status.json") or {}).get("error"))) for folder in failed)',
        "return bool(failed)",
        TRIALS,
        "a full disk speaks against a learning rate",
    ),
    "a-diverged-trial-is-worth-nan": Mutation(
        "sweeps/search/trials.py",
        "if any(not math.isfinite(value) for value in values.values()) or self._any_diverged(each, ended):",
        "if self._any_diverged(each, ended):",
        TRIALS,
        "a run that broke ends the search, or is its best",
    ),
    "a-run-of-another-command-is-started-twice": Mutation(
        "sweeps/search/trials.py",
        "if row.to_do or (self._follows and key in self._queued):",
        "if True:",
        TRIALS,
        "two processes want one folder",
    ),
    "a-run-given-up-comes-again": Mutation(
        "sweeps/search/trials.py",
        "if any(runs.pruned(job.folder) for job in jobs.values()):",
        "if False:",
        TRIALS,
        "what was pruned is computed after all",
    ),
    "another-space-goes-on-with-a-study": Mutation(
        "sweeps/search/study.py",
        "            if known != value:\n",
        "            if False:\n",
        TRIALS,
        "trials of two searches are one",
    ),
    "logarithms-are-forgotten": Mutation(
        "config/search_space.py",
        "return FloatDistribution(low, high, log=log)",
        "return FloatDistribution(low, high)",
        SPACE,
        "nine of ten learning rates are in the last decade",
    ),
    "whole-ends-make-whole-numbers": Mutation(
        "config/search_space.py",
        "    if not whole:\n",
        "    if not (low.is_integer() and high.is_integer()):\n",
        SPACE,
        "a coefficient between 0 and 1 is 0 or 1",
    ),
    "drawn-numbers-lose-digits": Mutation(
        "sweeps/search/space.py", "return repr(value)", 'return f"{value:.3g}"', SPACE, "two trials are one run"
    ),
    "less-is-not-better": Mutation(
        "runs/searches.py",
        'sign = 1 if self.direction == "maximize" else -1',
        "sign = 1",
        WHOLE,
        "the worst trial is called the best",
    ),
    "a-run-given-up-is-lost": Mutation(
        "runs/records.py",
        "    if (folder / PRUNED).exists():\n",
        "    if False:\n",
        PRUNED,
        "pruned runs look like crashes, and are retried",
    ),
    "a-job-does-not-hear-that-it-is-given-up": Mutation(
        "launch/worker.py",
        "with _stopped_when_pruned(folder, stop):",
        "if True:",
        PRUNED,
        "pruning saves nothing",
    ),
}
