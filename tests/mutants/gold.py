"""Mistakes about a gold reward: whose it is, what it scores, and what is said of over-optimisation."""

from mutants.mutation import Mutation

CONFIG, BUILD, LOOPS = "config/test_gold_config.py", "build/test_gold_reward.py", "loops/test_gold_evaluations.py"
ANALYSIS = "analysis/test_gold_figures.py"
STATISTICS = "../../analysis/statistics/gold.py"

MUTATIONS = {
    "gold-moves-every-key": Mutation(
        "runs/identity.py", '    "gold": None,\n', "", CONFIG,
        "all results of before are invisible to the commands that made them",
    ),
    "gold-of-the-evaluation": Mutation(
        "config/inheritance.py", 'OF_PAIRS = ("reward.parent", "gold.parent")', 'OF_PAIRS = ("reward.parent",)', CONFIG,
        "runs that are evaluated otherwise are measured by different gold rewards",
    ),
    "gold-without-a-reward": Mutation(
        "config/checks.py", '(kind != "text" or config["reward"] is None):', '(kind != "text"):', CONFIG,
        "a run makes a gold reward first and never asks it",
    ),
    "gold-is-the-reward": Mutation(
        "build/held_out.py", 'if gold["run"] in rewards:', "if False:", BUILD,
        "the reward is held against itself, and nothing is ever over-optimised",
    ),
    "shared-texts-are-no-matter": Mutation(
        "build/held_out.py", "logging.WARNING if share > SHARED else logging.INFO", "logging.INFO", BUILD,
        "a gold reward that learned what the reward learned passes for held out",
    ),
    "gold-scores-by-the-reward": Mutation(
        "build/rewards.py", 'reward=_made(node, late), name=_name(node), place="gold")',
        'reward=_made(config["reward"], late), name=_name(node), place="gold")', BUILD,
        "gold is the proxy under another name",
    ),
    "proxy-logged-as-gold": Mutation(
        "loops/evaluation.py", "else scored(lab.task.gold, answers)", "else scores", LOOPS,
        "gold rises with the proxy whatever becomes of the policy",
    ),
    "gold-teaches": Mutation(
        "loops/evaluation.py", "return texts, lab.task.reward(",
        "return texts, (lab.task.gold or lab.task.reward)(", LOOPS,
        "the policy is trained on the measure",
    ),
    "best-of-the-reported-prompts": Mutation(
        STATISTICS, "chooses=wide[CHOOSES],", "chooses=wide[GOLD],", ANALYSIS,
        "the highest of several noisy numbers: gold seems to fall where it does not",
    ),
    "last-of-several-best": Mutation(
        STATISTICS, 'run.loc[judged.idxmax()]', 'run.loc[judged[::-1].idxmax()]', ANALYSIS,
        "a gold reward that never moved has its best at the end",
    ),
    "verdict-without-the-proxy": Mutation(
        STATISTICS, "if proxy.low > 0 and gold.high < 0:", "if gold.high < 0:", ANALYSIS,
        "training that broke down is called over-optimisation",
    ),
    "verdict-of-means": Mutation(
        STATISTICS, "if proxy.low > 0 and gold.high < 0:", "if proxy.value > 0 and gold.value < 0:", ANALYSIS,
        "noise over seeds is called over-optimisation",
    ),
    "kl-and-not-its-root": Mutation(
        STATISTICS, "distance=np.sqrt(kl)", "distance=kl", ANALYSIS, "the axis is not the one that it names",
    ),
    "a-start-with-a-kl": Mutation(
        STATISTICS, 'wide[KL].mask(wide["step"] == 0, 0.0)', "wide[KL]", ANALYSIS,
        "curves do not begin where nothing has moved",
    ),
    "gold-is-an-axis": Mutation(
        "runs/axes.py", 'return key in LOOKS or key.split(".")[0] == GOLD', "return key in LOOKS",
        "runs/test_looks_are_no_axes.py", "runs that do the same stand in figures as different settings",
    ),
}  # fmt: skip
