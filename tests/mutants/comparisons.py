"""Mistakes in which setting is called the best, and in how sure that is."""

from mutants.mutation import Mutation

COMPARISON, INTERVALS = "sweeps/test_comparison.py", "test_intervals.py"

MUTATIONS = {
    "interval-of-a-normal-distribution": Mutation(
        "intervals.py",
        "_stats().t.ppf(0.5 + level / 2, n - 1) * _stats().sem(numbers)",
        "_stats().norm.ppf(0.5 + level / 2) * _stats().sem(numbers)",
        INTERVALS,
        "three seeds look like a hundred",
    ),
    "shared-seeds-as-if-they-were-not": Mutation(
        "intervals.py", "if len(shared) >= 2:", "if len(shared) >= 99:", INTERVALS, "a sure difference is lost in luck"
    ),
    "one-seed-tells-apart": Mutation(
        "intervals.py",
        "return self.estimate.bounded and not self.estimate.low <= 0 <= self.estimate.high",
        "return not self.estimate.low <= 0 <= self.estimate.high",
        INTERVALS,
        "the luckiest single run is the best setting",
    ),
    "a-diverged-run-has-failed": Mutation(
        "sweeps/comparison.py",
        'return "diverged" if DIVERGED.search(str(record.status.get("error"))) else "failed"',
        'return "failed"',
        COMPARISON,
        "a learning rate that breaks the policy looks like a broken disk",
    ),
    "a-setting-of-some-seeds-alone": Mutation(
        "sweeps/comparison.py",
        "if len(each) == most}",
        "}",
        COMPARISON,
        "seeds with the easier settings alone count as the others",
    ),
    "a-changed-default-is-no-setting": Mutation(
        "runs/axes.py",
        "for key in [*sorted(asked, key=lambda key: -classes([key])), *rest]:",
        "for key in sorted(asked, key=lambda key: -classes([key])):",
        COMPARISON,
        "two settings are shown under one name",
    ),
    "rewards-of-two-datasets-in-one-table": Mutation(
        "runs/axes.py",
        'return data_name(flat), data_source(flat), str(flat.get("scale")), tuple(same)',
        'return "", "", str(flat.get("scale")), ()',
        COMPARISON,
        "the easier dataset is the best setting",
    ),
}
