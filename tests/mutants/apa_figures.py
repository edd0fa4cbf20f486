"""Mistakes in what the figures of preference sweeps say: whose runs, from which side, up to which KL."""

from mutants.mutation import Mutation

FIGURES, EFFICIENCY = "analysis/test_apa_figures.py", "analysis/test_efficiency.py"
STATISTICS = "../../analysis/statistics/"

MISSING = "../../analysis/missing/"

MUTATIONS = {
    "runs-of-others-fulfil-a-wish": Mutation(
        MISSING + "wanted.py",
        'return here[[sweep in sweeps for sweeps in here["sweeps"]]]',
        "return here",
        "analysis/test_coverage.py",
        "a figure whose sweep never ran is not missed",
    ),
    "two-sweeps-in-one-command": Mutation(
        MISSING + "wanted.py",
        "_axes(each).get(SWEEP)), []",
        "None), []",
        "analysis/test_coverage.py",
        "the command that is printed does not compose",
    ),
    "curve-in-the-order-of-time": Mutation(
        STATISTICS + "efficiency.py",
        "x, where = np.unique(places, return_inverse=True)",
        "x, where = places, np.arange(len(places))",
        EFFICIENCY,
        "the area of a run whose KL went back is that of no curve",
    ),
    "extrapolated-gain": Mutation(
        STATISTICS + "efficiency.py",
        "if not 0 < upto <= places.max():",
        "if not 0 < upto:",
        EFFICIENCY,
        "an algorithm that stayed near its start is credited with KL that it never had",
    ),
    "common-kl-of-the-furthest": Mutation(
        STATISTICS + "efficiency.py",
        "common = min((row",
        "common = max((row",
        EFFICIENCY,
        "algorithms are compared up to a KL that only one of them has",
    ),
    "fall-from-the-start": Mutation(
        STATISTICS + "efficiency.py",
        'fall = runs["best"] - runs["end"]',
        'fall = runs["start"] - runs["end"]',
        EFFICIENCY,
        "a run that lost all that it had gained has not collapsed",
    ),
    "limit-of-the-luckiest": Mutation(
        STATISTICS + "efficiency.py",
        '(runs["best"] - runs["start"]).median()',
        '(runs["best"] - runs["start"]).max()',
        EFFICIENCY,
        "one run that gains much hides the collapse of the others",
    ),
    "shared-runs-in-one-sweep": Mutation(
        "../../analysis/load.py",
        "held = dict.fromkeys([run.sweep, *shared.get(run.folder, [])])",
        "held = dict.fromkeys([run.sweep])",
        FIGURES,
        "the figure of lambda lacks the value that another sweep had trained",
    ),
    "interval-of-the-other-side": Mutation(
        STATISTICS + "win_rates.py",
        '"rate_low": 1 - found["rate_high"], "rate_high": 1 - found["rate_low"]',
        '"rate_low": 1 - found["rate_low"], "rate_high": 1 - found["rate_high"]',
        FIGURES,
        "the interval of a win rate is turned round and leans to the wrong side",
    ),
    "kl-of-shifted-decoding": Mutation(
        STATISTICS + "offline.py",
        'rewards["kl"] = rewards["kl"].where(rewards["decoded"] == "")',
        'rewards["kl"] = rewards["kl"].where(rewards["decoded"] != "none")',
        FIGURES,
        "ILQL with b = 4 is shown with the KL of another policy",
    ),
    "rollouts-as-evaluations": Mutation(
        STATISTICS + "evaluations.py",
        'on=["run_key", "sweep", "step"]), frames.runs)',
        'on=["run_key", "sweep", "step"], how="left"), frames.runs)',
        FIGURES,
        "KL of iterations without an evaluation are drawn as evaluations",
    ),
}
