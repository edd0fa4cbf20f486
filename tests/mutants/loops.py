"""Mistakes in the loops: online, supervised, their evaluation, and the labs that they are given."""

from mutants.mutation import Mutation

RESUME, EXPERIENCE, UPDATES = "loops/test_resume.py", "loops/test_experience.py", "loops/test_updates.py"

MUTATIONS = {
    # --- resume ---------------------------------------------------------------------------------------------------
    "resume-without-moments": Mutation(
        "loops/online.py",
        '        self.optimizer.load_state_dict(state["optimizer"])\n',
        "",
        RESUME,
        "every preempted run differs",
    ),
    "resume-without-beta": Mutation(
        "loops/online.py", 'self.kl_coef = state["kl_coef"]', "pass", RESUME, "every preempted run differs"
    ),
    "resume-without-score-moments": Mutation(
        "loops/online.py",
        'self.scaling = RunningScores.from_dict(state["scaling"])',
        "pass",
        RESUME,
        "every preempted run differs",
    ),
    "reference-taken-after-the-resume": Mutation(
        "loops/online.py",
        "        state.restore(lab)\n",
        "        state.restore(lab)\n        reference = reference_of(lab.policy)\n",
        RESUME,
        "the KL starts at 0 again with every preemption",
    ),
    # --- reference and temperature --------------------------------------------------------------------------------
    "reference-renewed-with-every-rollout": Mutation(
        "loops/online.py",
        "            rollout, sampled_metrics = self._collect(",
        "            reference = reference_of(networks.policy)\n            rollout, sampled_metrics = self._collect(",
        EXPERIENCE,
        "no KL control at all; the anchor of APA moves",
    ),
    "old-logprobs-at-temperature-one": Mutation(
        "loops/online.py",
        "old.append(networks(*row, temperature, index))",
        "old.append(networks(*row, 1.0, index))",
        f"{UPDATES} {EXPERIENCE}",
        "heuristic=temperature: the first ratio is not 1",
    ),
    "reference-at-temperature-one": Mutation(
        "loops/online.py",
        "ref.append(reference(*row, temperature, index).logprobs)",
        "ref.append(reference(*row, 1.0, index).logprobs)",
        f"{UPDATES} {EXPERIENCE}",
        "KL and the log-ratio of APA are wrong at every other temperature",
    ),
    "update-at-temperature-one": Mutation(
        "loops/online.py",
        "                    lab.task.rollout.temperature,\n",
        "                    1.0,\n",
        UPDATES,
        "trains another policy than the one it samples from",
    ),
    # --- beta, scores, advantages ---------------------------------------------------------------------------------
    "beta-updated-twice": Mutation(
        "loops/online.py",
        'state.kl_coef = algorithm.update_kl_coef(state.kl_coef, metrics["policy/kl"])',
        'for _ in range(2):\n            state.kl_coef = algorithm.update_kl_coef(state.kl_coef, metrics["policy/kl"])',
        EXPERIENCE,
        "KL control of PPO is twice as fast as configured",
    ),
    "beta-never-updated": Mutation(
        "loops/online.py",
        'state.kl_coef = algorithm.update_kl_coef(state.kl_coef, metrics["policy/kl"])',
        "pass",
        EXPERIENCE,
        "kl.target does nothing",
    ),
    "beta-from-the-token-mean": Mutation(
        "loops/online.py",
        'algorithm.update_kl_coef(state.kl_coef, metrics["policy/kl"])',
        'algorithm.update_kl_coef(state.kl_coef, metrics["policy/kl_token"])',
        EXPERIENCE,
        "beta only ever falls",
    ),
    "unscaled-scores-in-the-rewards": Mutation(
        "loops/online.py",
        "algorithm.rewards(replace(rollout, scores=scaled), state.kl_coef)",
        "algorithm.rewards(rollout, state.kl_coef)",
        UPDATES,
        "score_scaling and score_clip do nothing",
    ),
    "reward-logged-after-scaling": Mutation(
        "loops/online.py",
        "rollout_metrics(\n            rollout, returns",
        "rollout_metrics(\n            replace(rollout, scores=scaled), returns",
        EXPERIENCE,
        "learning curves in another unit",
    ),
    "scored-against-the-first-prompt": Mutation(
        "loops/evaluation.py",
        "asked = [examples[i] for i in responses.prompt_index.tolist()]",
        "asked = [examples[0] for _ in responses.prompt_index.tolist()]",
        EXPERIENCE,
        "the reward of every response but the first",
    ),
    "minibatch-not-prepared": Mutation(
        "loops/online.py",
        "algorithm.prepare(batch_of(rollout, advantages, returns, rows))",
        "batch_of(rollout, advantages, returns, rows)",
        UPDATES,
        "whiten_advantages=minibatch does nothing",
    ),
    # --- chance and schedule --------------------------------------------------------------------------------------
    "same-noise-in-every-iteration": Mutation(
        "loops/online.py",
        'stream(lab.session.seed, "sampling", iteration)',
        'stream(lab.session.seed, "sampling")',
        UPDATES,
        "a prompt that comes again is explored in the same way",
    ),
    "same-order-in-every-epoch": Mutation(
        "loops/online.py",
        'stream(lab.session.seed, "minibatches", iteration, epoch)',
        'stream(lab.session.seed, "minibatches", iteration)',
        UPDATES,
        "minibatches are the same in every epoch",
    ),
    "schedule-starts-again": Mutation(
        "loops/online.py",
        "step = (iteration - 1) * steps",
        "step = 0",
        EXPERIENCE,
        "warm-up in every iteration, and no decay",
    ),
    "first-answer-only": Mutation(
        "loops/supervised.py",
        "example.targets[epoch % len(example.targets)]",
        "example.targets[0]",
        UPDATES,
        "SFT sees one answer of each prompt",
    ),
    "gradient-clipped-in-five-tensors": Mutation(
        "loops/lab.py",
        "nn.utils.clip_grad_norm_(parameters,",
        "nn.utils.clip_grad_norm_(parameters[:5],",
        UPDATES,
        "max_grad_norm does next to nothing",
    ),
    # --- evaluation and groups ------------------------------------------------------------------------------------
    "every-split-is-train": Mutation(
        "loops/evaluation.py",
        "getattr(lab.task.splits, split)",
        "lab.task.splits.train",
        EXPERIENCE,
        "every claim about generalisation",
    ),
    "groups-swapped": Mutation(
        "entry/labs.py",
        '{"small_std": sets.modified, "large_std": ~sets.modified}',
        '{"small_std": ~sets.modified, "large_std": sets.modified}',
        "entry/test_labs.py",
        "Figure 3 of the controlled experiments is upside down",
    ),
}
