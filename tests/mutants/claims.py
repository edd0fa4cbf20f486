"""Mistakes in how claims of a paper are held against runs."""

from mutants.mutation import Mutation

CLAIMS, TEST = "../../analysis/statistics/claims.py", "analysis/test_claims.py"

MUTATIONS = {
    "verdict-of-the-mean": Mutation(
        CLAIMS,
        "if not found.bounded or found.low <= 0 <= found.high:",
        "if not found.bounded:",
        TEST,
        "a difference whose interval holds 0 supports a claim",
    ),
    "one-seed-decides": Mutation(
        CLAIMS,
        "if not found.bounded or found.low <= 0 <= found.high:",
        "if found.bounded and found.low <= 0 <= found.high:",
        TEST,
        "a single seed supports a claim",
    ),
    "best-setting-afterwards": Mutation(
        CLAIMS,
        'if more["cell"].nunique() != 1 or less["cell"].nunique() != 1:',
        "if more.empty or less.empty:",
        TEST,
        "settings of one algorithm are mixed into one side of a claim",
    ),
    "lambdas-turned-round": Mutation(
        CLAIMS,
        "values == (values.max() if largest else values.min())",
        "values == (values.min() if largest else values.max())",
        TEST,
        "the smaller lambda is taken for the larger one",
    ),
    "constant-beta-is-adaptive": Mutation(
        CLAIMS, "if target is not None:", "if initial is not None:", TEST, "PPO without a target counts as controlled"
    ),
}
