"""Mistakes in the loop over experience, its collectors, networks and optimiser steps."""

from mutants.mutation import Mutation

RESUME, EXPERIENCE, UPDATES = "loops/test_resume.py", "loops/test_experience.py", "loops/test_updates.py"
SUPERVISED, UPDATE, NETWORKS = "loops/test_supervised.py", "loops/test_update.py", "loops/test_networks.py"

MUTATIONS = {
    # --- resume ---------------------------------------------------------------------------------------------------
    "resume-without-moments": Mutation(
        "loops/experience.py",
        '        self.optimizer.load_state_dict(saved["optimizer"])\n',
        "",
        RESUME,
        "every preempted run differs",
    ),
    "resume-without-beta": Mutation(
        "loops/experience.py", 'self.kl_coef = saved["kl_coef"]', "pass", RESUME, "every preempted run differs"
    ),
    "resume-without-score-moments": Mutation(
        "loops/experience.py",
        'self.scaling = RunningScores.from_dict(saved["scaling"])',
        "pass",
        RESUME,
        "every preempted run differs",
    ),
    "resume-without-the-value-network": Mutation(
        "loops/experience.py",
        'self.networks.load_state_dict(saved["networks"])',
        "self.networks.policy.load_state_dict(\n"
        '            {n[7:]: x for n, x in saved["networks"].items() if n.startswith("policy.")}\n'
        "        )",
        RESUME,
        "every preempted run differs",
    ),
    "resume-at-the-first-prompts": Mutation(
        "loops/experience.py",
        'iteration, saved["draws"], saved["step"]',
        'iteration, 0, saved["step"]',
        RESUME,
        "a preempted run sees the first prompts twice, and others never",
    ),
    "resume-at-the-first-learning-rate": Mutation(
        "loops/experience.py",
        'iteration, saved["draws"], saved["step"]',
        'iteration, saved["draws"], 0',
        RESUME,
        "warm-up again after every preemption",
    ),
    "reference-taken-after-the-resume": Mutation(
        "loops/experience.py",
        "        state.restore(*saved)\n",
        "        state.restore(*saved)\n"
        "        if state.networks.reference is not None:\n"
        "            state.networks.reference.load_state_dict(lab.policy.state_dict())\n",
        RESUME,
        "the KL starts at 0 again with every preemption",
    ),
    "stop-without-a-checkpoint": Mutation(
        "loops/session.py",
        "(self.stop.requested or step % self.checkpoint_every == 0)",
        "step % self.checkpoint_every == 0",
        f"{RESUME}::test_a_run_that_is_asked_to_stop_saves_its_iteration_first",
        "a preempted run loses what it did since the last checkpoint",
    ),
    # --- reference and temperature --------------------------------------------------------------------------------
    "reference-renewed-with-every-rollout": Mutation(
        "loops/experience.py",
        "        collected = collector.collect(",
        "        if state.networks.reference is not None:\n"
        "            state.networks.reference.load_state_dict(lab.policy.state_dict())\n"
        "        collected = collector.collect(",
        EXPERIENCE,
        "no KL control at all; the anchor of APA moves",
    ),
    "reference-is-the-policy": Mutation(
        "loops/networks.py",
        "self._frozen = (reference_of(policy),) if",
        "self._frozen = (policy,) if",
        f"{NETWORKS} {EXPERIENCE}",
        "the KL is always 0",
    ),
    "lagged-copy-never-renewed": Mutation(
        "loops/networks.py",
        "            self.lagged.load_state_dict(self.policy.state_dict())\n",
        "            pass\n",
        NETWORKS,
        "the lagged copy is a second reference",
    ),
    "old-logprobs-at-temperature-one": Mutation(
        "loops/networks.py",
        'now = self(batch, "none")',
        'now = self(replace(batch, temperature=1.0), "none")',
        UPDATES,
        "heuristic=temperature: the first ratio is not 1",
    ),
    "reference-at-temperature-one": Mutation(
        "loops/networks.py",
        'self._read(network, batch, "none")[0]',
        'self._read(network, replace(batch, temperature=1.0), "none")[0]',
        f"{EXPERIENCE} {UPDATES}",
        "KL and the log-ratio of APA are wrong at every other temperature",
    ),
    "update-at-temperature-one": Mutation(
        "loops/update.py",
        "networks(batch, algorithm.needs.entropy)",
        "networks(replace(batch, temperature=1.0), algorithm.needs.entropy)",
        UPDATES,
        "trains another policy than the one it samples from",
    ),
    "every-pass-at-temperature-one": Mutation(
        "loops/collect.py",
        "            temperature=lab.task.rollout.temperature,\n",
        "            temperature=1.0,\n",
        f"{EXPERIENCE} {UPDATES}",
        "heuristic=temperature samples from another policy than it trains",
    ),
    # --- beta, scores, advantages ---------------------------------------------------------------------------------
    "beta-updated-twice": Mutation(
        "loops/experience.py",
        'state.kl_coef = algorithm.kl.update(state.kl_coef, metrics["policy/kl"])',
        'for _ in range(2):\n                state.kl_coef = algorithm.kl.update(state.kl_coef, metrics["policy/kl"])',
        EXPERIENCE,
        "KL control of PPO is twice as fast as configured",
    ),
    "beta-never-updated": Mutation(
        "loops/experience.py",
        'state.kl_coef = algorithm.kl.update(state.kl_coef, metrics["policy/kl"])',
        "pass",
        EXPERIENCE,
        "kl.target does nothing",
    ),
    "beta-from-the-token-mean": Mutation(
        "loops/experience.py",
        'algorithm.kl.update(state.kl_coef, metrics["policy/kl"])',
        'algorithm.kl.update(state.kl_coef, metrics["policy/kl_token"])',
        EXPERIENCE,
        "beta only ever falls",
    ),
    "reward-without-penalty": Mutation(
        "loops/experience.py",
        "state.kl_coef if penalised else None",
        "None",
        f"{UPDATES}::test_the_penalty_of_a_token_is_beta_times_its_log_ratio_to_the_start",
        "PPO runs away from its start, whatever beta is",
    ),
    "unscaled-scores-in-the-rewards": Mutation(
        "loops/experience.py",
        "with_rewards(experience, scores, state",
        "with_rewards(experience, experience.scores, state",
        UPDATES,
        "score_scaling and score_clip do nothing",
    ),
    "reward-logged-after-scaling": Mutation(
        "loops/experience.py",
        "return algorithm.credit(with_rewards(experience, scores,",
        'experience = type(experience)(**vars(experience) | {"scores": scores})\n'
        "    return algorithm.credit(with_rewards(experience, scores,",
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
    "scores-in-reverse": Mutation(
        "loops/collect.py",
        "scores=torch.as_tensor(scores, dtype",
        "scores=torch.as_tensor(scores[::-1].copy(), dtype",
        UPDATES,
        "every response is credited with the score of another",
    ),
    "whitened-over-no-minibatch": Mutation(
        "loops/experience.py",
        "minibatch = whitened(minibatch, lab.ranks.sum)",
        "pass",
        f"{UPDATES}::test_advantages_whitened_over_a_minibatch_of_one_response_forget_its_score",
        "whiten_advantages=minibatch does nothing",
    ),
    "whitened-over-no-rollout": Mutation(
        "loops/experience.py",
        "experience = whitened(experience, lab.ranks.sum)",
        "pass",
        f"{UPDATES}::test_at_the_start_the_loss_of_apa_is_the_mean_square_of_its_advantages",
        "whiten_advantages=rollout does nothing",
    ),
    # --- chance and schedule --------------------------------------------------------------------------------------
    "same-noise-in-every-iteration": Mutation(
        "loops/collect.py",
        'stream(lab.session.seed, "sampling", place.iteration)',
        'stream(lab.session.seed, "sampling")',
        f"{UPDATES}::test_each_iteration_draws_noise_of_its_own",
        "a prompt that comes again is explored in the same way",
    ),
    "same-order-in-every-epoch": Mutation(
        "loops/experience.py",
        'stream(lab.session.seed, "minibatches", iteration, epoch)',
        'stream(lab.session.seed, "minibatches", iteration)',
        f"{UPDATES}::test_each_epoch_takes_the_same_rows_in_another_order",
        "minibatches are the same in every epoch",
    ),
    "same-prompts-in-every-iteration": Mutation(
        "loops/experience.py",
        "iteration, state.draws + collected.draws",
        "iteration, state.draws",
        EXPERIENCE,
        "a run sees no prompt but those of its first iteration",
    ),
    "schedule-starts-again": Mutation(
        "loops/experience.py",
        "            state.step += 1\n",
        "            state.step = state.step % (schedule.steps // schedule.iterations) + 1\n",
        EXPERIENCE,
        "warm-up in every iteration, and no decay",
    ),
    "decay-a-step-early": Mutation(
        "loops/lab.py",
        "cos(pi * (step - 1) / total)",
        "cos(pi * step / total)",
        EXPERIENCE,
        "the last step does nothing",
    ),
    "warm-up-never-ends": Mutation(
        "loops/lab.py",
        "min(1.0, step / self.warmup_steps)",
        "step / self.warmup_steps",
        EXPERIENCE,
        "the learning rate grows for ever",
    ),
    "gradient-clipped-in-five-tensors": Mutation(
        "loops/lab.py",
        "nn.utils.clip_grad_norm_(parameters,",
        "nn.utils.clip_grad_norm_(parameters[:5],",
        f"{UPDATES}::test_the_joint_norm_of_all_gradients_is_clipped",
        "max_grad_norm does next to nothing",
    ),
    "value-network-does-not-train": Mutation(
        "loops/experience.py",
        "optimizer=lab.optimizer.make(networks)",
        "optimizer=lab.optimizer.make(lab.policy)",
        f"{UPDATES}::test_the_value_network_learns",
        "advantages of a value network of random weights",
    ),
    "nan-goes-on": Mutation(
        "loops/experience.py",
        "        refuse_divergence(metrics)\n",
        "",
        f"{UPDATES}::test_a_reward_that_is_no_number_ends_the_run",
        "a run without a meaning ends well",
    ),
    # --- optimiser steps ------------------------------------------------------------------------------------------
    "last-microbatch-alone-is-logged": Mutation(
        "loops/update.py",
        "sums = sums + torch.stack(",
        "sums = torch.stack(",
        UPDATE,
        "metrics are too small by the number of microbatches",
    ),
    "rows-beside-their-columns": Mutation(
        "types.py",
        "{name: column[index] for name, column in self.columns.items()}",
        "{name: column[index.sort().values] for name, column in self.columns.items()}",
        f"{NETWORKS} {UPDATES}",
        "responses learn from the advantages of others",
    ),
    "rows-with-the-prompts-of-others": Mutation(
        "types.py",
        "            prompt_index=prompt_index,\n",
        "            prompt_index=prompt_index.flip(0),\n",
        f"{NETWORKS} {UPDATES}",
        "responses are scored after the prompts of others",
    ),
    "units-parted": Mutation(
        "loops/update.py",
        "if end > start and end + rows - start > size:",
        "if end > start and end - start >= size:",
        UPDATE,
        "groups are cut by minibatches",
    ),
    "totals-of-rows-as-units": Mutation(
        "loops/update.py",
        "map(len, (minibatch.unit, minibatch.unit.unique()))",
        "map(len, (minibatch.unit, minibatch.unit))",
        UPDATE,
        "a loss per group is divided by the rows",
    ),
    # --- supervised -----------------------------------------------------------------------------------------------
    "first-answer-only": Mutation(
        "loops/collect.py",
        "example.targets[epoch % len(example.targets)]",
        "example.targets[0]",
        SUPERVISED,
        "SFT sees one answer of each prompt",
    ),
    "answers-beside-their-prompts": Mutation(
        "loops/collect.py",
        "            response_ids=ids[order],\n            response_mask=mask[order],\n",
        "            response_ids=ids,\n            response_mask=mask,\n",
        SUPERVISED,
        "SFT learns the answers of other questions",
    ),
    "every-prompt-whatever-the-share": Mutation(
        "loops/supervised.py",
        "prefix(lab.task.splits.train, self.sample_fraction, lab.session.seed)",
        "lab.task.splits.train",
        SUPERVISED,
        "heuristic=partial_sft sees all prompts",
    ),
    "every-step-whatever-the-share": Mutation(
        "loops/supervised.py",
        "round(self.steps * self.step_fraction)",
        "round(self.steps)",
        "loops/test_loops.py::test_partial_sft_takes_its_share_of_steps_and_of_prompts",
        "heuristic=partial_sft is a whole SFT",
    ),
    "sft-at-the-temperature-of-sampling": Mutation(
        "loops/collect.py",
        "            temperature=1.0,\n",
        "            temperature=lab.task.rollout.temperature if lab.task.rollout else 1.0,\n",
        SUPERVISED,
        "heuristic=temperature changes SFT",
    ),
}
