"""Mistakes in what is chosen of the prompts and responses: dynamic sampling, curriculum, best of n."""

from mutants.mutation import Mutation

PROMPTS, BEST = "loops/test_chosen_prompts.py", "loops/test_best_of.py"

MUTATIONS = {
    "rounds-forget-their-place": Mutation(
        "loops/dynamic_sampling.py",
        "place.position + len(examples), missing)",
        "place.position, missing)",
        PROMPTS,
        "dynamic sampling asks the same prompts again in every round",
    ),
    "discarded-prompts-come-again": Mutation(
        "loops/dynamic_sampling.py",
        "prompts=len(examples),",
        "prompts=sampled.prompts,",
        PROMPTS,
        "prompts are drawn twice, and prompts without spread are met again and again",
    ),
    "prompts-without-spread-are-learned": Mutation(
        "loops/dynamic_sampling.py",
        "np.flatnonzero(learned.repeat",
        "np.flatnonzero(np.ones_like(learned).repeat",
        PROMPTS,
        "heuristic=dynamic_sampling filters nothing",
    ),
    "kept-rows-describe-the-policy": Mutation(
        "loops/experience.py",
        "        experience, schedule.samples_per_prompt, lab.evaluation.std_below",
        "        experience if collected.kept is None else experience.rows(collected.kept),\n"
        "        schedule.samples_per_prompt, lab.evaluation.std_below",
        PROMPTS,
        "reward/mean of prompts with spread alone stands beside that of all prompts",
    ),
    "skipped-steps-stay-in-the-schedule": Mutation(
        "loops/experience.py",
        "    state.step = iteration * schedule.steps // schedule.iterations\n",
        "",
        f"{PROMPTS} {BEST}",
        "runs that keep fewer rows end at a higher learning rate",
    ),
    "curriculum-upside-down": Mutation(
        "loops/curriculum.py",
        '-1.0 if self.order == "descending"',
        '-1.0 if self.order == "ascending"',
        PROMPTS,
        "the prompts without a gradient come first",
    ),
    "resume-measures-another-policy": Mutation(
        "loops/curriculum.py",
        'len(rows := known[known["phase"] == PHASE])',
        'len(rows := known[known["phase"] == "none"])',
        PROMPTS,
        "the measurement is paid twice",
    ),
    "ties-shuffled-once": Mutation(
        "loops/curriculum.py",
        "shuffled(len(self.stds), seed, epoch)",
        "shuffled(len(self.stds), seed, 0)",
        PROMPTS,
        "prompts of equal std come in one order in every pass",
    ),
    "worst-of-n": Mutation(
        "loops/best_of.py",
        "scores.argsort(descending=True, stable=True)",
        "scores.argsort(stable=True)",
        BEST,
        "rejection sampling learns the worst responses",
    ),
    "best-of-the-whole-rollout": Mutation(
        "loops/best_of.py",
        "firsts = (sizes.cumsum(0) - sizes)",
        "firsts = (0 * sizes)",
        BEST,
        "most prompts are not learned at all",
    ),
}
