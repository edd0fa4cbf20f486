"""Mistakes in what is refused before a run, and in what a run tells of itself."""

from mutants.mutation import Mutation

SIZES = "config/test_loop_sizes.py"
HEURISTICS = "config/test_heuristics.py::test_a_heuristic_that_does_not_do_what_its_name_says_is_refused"
EVERY, PROMPTS = "algorithms/test_every.py", "loops/test_chosen_prompts.py"
ROUNDING = "test_scores_that_differ_by_rounding_alone_are_no_spread"
KL = 'kl_k3(batch["old_logprobs"], new.logprobs.detach())'
SWAPPED = 'kl_k3(new.logprobs.detach(), batch["old_logprobs"])'

MUTATIONS = {
    "groups-parted-by-minibatches": Mutation(
        "config/size_checks.py",
        'if grouped and loop["minibatch_size"] % group:',
        'if grouped and loop["minibatch_size"] % 1:',
        SIZES,
        "GRPO takes other minibatches, and other learning rates, than asked for",
    ),
    "unit-of-the-class-alone": Mutation(
        "config/signatures.py",
        "(said := constant(path, name)) is not None",
        "(said := None) is not None",
        SIZES,
        "a variant of GRPO of one's own parts groups",
    ),
    "heuristic-by-its-name-alone": Mutation(
        "config/heuristic_checks.py",
        "if key not in heuristic]:",
        "if key not in said]:",
        HEURISTICS,
        "runs of plain finetuning are drawn as those of a heuristic",
    ),
    "turned-back-by-hand": Mutation(
        "config/heuristic_checks.py",
        "elif values.get(key) != wanted:",
        "elif key not in values:",
        HEURISTICS,
        "a temperature is in the label, and another in the run",
    ),
    "value-that-turns-nothing": Mutation(
        "config/heuristic_checks.py",
        "if heuristic[key] == value:",
        "if heuristic[key] is value:",
        HEURISTICS,
        "runs of plain finetuning are drawn as those of a heuristic",
    ),
    "no-prompts-chosen": Mutation(
        "config/heuristic_checks.py",
        'if "prompts" in heuristic and heuristic["prompts"] is None:',
        'if "prompts" in heuristic and heuristic["prompts"] == {}:',
        HEURISTICS,
        "runs of plain finetuning are drawn as those of a heuristic",
    ),
    "update-of-ppo-in-the-other-direction": Mutation(
        "algorithms/ppo.py",
        "kl_k3(old, new.logprobs.detach())",
        "kl_k3(new.logprobs.detach(), old)",
        EVERY,
        "policy/approx_kl_old is no KL of the policy that sampled",
    ),
    "update-of-apa-in-the-other-direction": Mutation(
        "algorithms/apa.py", KL, SWAPPED, EVERY, "policy/approx_kl_old is no KL of the policy that sampled"
    ),
    "update-of-grpo-in-the-other-direction": Mutation(
        "algorithms/grpo.py", KL, SWAPPED, EVERY, "policy/approx_kl_old is no KL of the policy that sampled"
    ),
    "bonus-logged-as-entropy": Mutation(
        "algorithms/ppo.py",
        '"policy/entropy": entropy.detach()',
        '"policy/entropy": bonus.detach()',
        "algorithms/test_ppo.py",
        "with entropy=sampled the curve is that of an estimate, which later policies bias",
    ),
    "clipped-share-of-responses": Mutation(
        "algorithms/grpo.py",
        "masked_sum(clipped.float(), mask) / tokens",
        "masked_sum(clipped.float() * weights, mask)",
        "algorithms/test_grpo.py",
        "policy/clip_frac of GRPO cannot be compared with that of PPO",
    ),
    "std-of-the-first-minibatch": Mutation(
        "loops/experience.py",
        "torch.stack(spreads).mean()",
        "spreads[0]",
        "loops/test_advantages.py",
        "advantage/std hides minibatches without any spread",
    ),
    "spread-of-rounding": Mutation(
        "loops/dynamic_sampling.py",
        ".std > MIN_STD",
        ".std > 0",
        f"{PROMPTS}::{ROUNDING}",
        "prompts of equal scores are learned",
    ),
    "curriculum-of-looks": Mutation(
        "loops/curriculum.py",
        "places_of(examples), lab.task.rollout, samples,",
        "places_of(examples), lab.task.probe, samples,",
        PROMPTS,
        "prompts are sorted by the std of another distribution than the one that is trained on",
    ),
    "beta-rests-with-the-updates": Mutation(
        "loops/experience.py",
        "            if algorithm.kl is not None:\n",
        "            if algorithm.kl is not None and len(rollout.learned.unit):\n",
        PROMPTS,
        "the KL penalty stays where it was while prompts without spread are met",
    ),
}
