"""Mistakes in evaluation, and in what a loop is given: a lab made from a config."""

from mutants.mutation import Mutation

EXPERIENCE, SUPERVISED, LABS = "loops/test_experience.py", "loops/test_supervised.py", "build/test_labs.py"

MUTATIONS = {
    "kl-is-told-twice": Mutation(
        "loops/experience.py",
        "(lab.evaluation.kl_to_start and not told_by_rollouts)",
        "lab.evaluation.kl_to_start",
        "loops/test_value_free.py",
        "rollouts and evaluations log one metric at one step",
    ),
    # --- evaluation -----------------------------------------------------------------------------------------------
    "evaluated-as-sampled": Mutation(
        "loops/evaluation.py",
        "decodings(lab.task.evaluation, lab.task.rollout)",
        "decodings(lab.task.rollout, lab.task.rollout)",
        EXPERIENCE,
        "evaluation is not what the dataset's config says",
    ),
    "evaluated-only-at-the-end": Mutation(
        "loops/experience.py",
        "iteration % lab.evaluation.every == 0 and iteration < total",
        "iteration % lab.evaluation.every == 0 and iteration > total",
        EXPERIENCE,
        "learning curves of two points",
    ),
    "token-loss-of-batches": Mutation(
        "loops/evaluation.py",
        "loss -= float(logprobs[mask].sum())",
        "loss -= float(logprobs[mask].mean()) * len(batch)",
        SUPERVISED,
        "the loss of pretraining depends on eval.batch_size",
    ),
    "noise-of-the-first-batch": Mutation(
        "loops/evaluation.py",
        "places=draw.places[part], samples",
        "places=range(len(draw.places[part])), samples",
        "loops/test_looks.py",
        "eval.batch_size changes what is sampled",
    ),
    "each-arm-with-its-own-thermometer": Mutation(
        "loops/evaluation.py",
        "decodings(lab.task.probe, None",
        "decodings(lab.task.rollout, None",
        "loops/test_looks.py",
        "a higher temperature seems to cure vanishing gradients",
    ),
    "noise-of-equal-ids": Mutation(
        "loops/evaluation.py",
        "        seen[example.id] += 1\n",
        "",
        "loops/test_looks.py",
        "rows with one id are answered alike",
    ),
    "shares-of-vanishing-by-the-mean": Mutation(
        "loops/metrics.py",
        "total(torch.tensor(float((stds < std_below).sum()))) / prompts",
        "total(torch.tensor(float((stds <= stds.mean()).sum()))) / prompts",
        EXPERIENCE,
        "reward/share_vanishing does not fall when gradients come back",
    ),
    # --- labs -----------------------------------------------------------------------------------------------------
    "parent-forgotten": Mutation(
        "build/labs.py",
        "        load_policy_weights(policy, start)\n",
        "        pass\n",
        LABS,
        "heuristic=partial_sft does nothing",
    ),
    "learning-rate-factor-forgotten": Mutation(
        "build/labs.py",
        'node["lr"] * node["lr_factor"]',
        'node["lr"]',
        LABS,
        "heuristic=learning_rate does nothing",
    ),
    "all-blocks-train": Mutation(
        "build/labs.py",
        'freeze_below(policy, model["unfrozen_blocks"])',
        "freeze_below(policy, None)",
        LABS,
        "model.unfrozen_blocks does nothing",
    ),
    "finetuned-on-the-pretraining-labels": Mutation(
        "build/labs.py",
        'targets = sets.pretraining if phase == "pretraining"',
        'targets = sets.pretraining if phase != ""',
        LABS,
        "SFT of the controlled experiments learns nothing new",
    ),
    "tested-against-modified-labels": Mutation(
        "build/labs.py",
        "reward_table(splits.test.labels, unmodified,",
        "reward_table(splits.test.labels.roll(1), unmodified,",
        LABS,
        "test rewards of other inputs",
    ),
}
