"""Mistakes in the loop on texts: resume, networks, temperature, beta, scores and advantages."""

from mutants.mutation import Mutation

RESUME, EXPERIENCE, UPDATES = "loops/test_resume.py", "loops/test_experience.py", "loops/test_updates.py"
ALGORITHMS, REINFORCE = "algorithms/test_online.py", "algorithms/test_reinforce.py"
SEAMS = "loops/test_seams.py"
CALL_OF_BETA = "algorithm.kl.update(state.kl_coef, rollout.metrics[KL_PER[algorithm.kl.unit]])"
PLACE = "self.iteration, self.position, self.step = iteration, "

MUTATIONS = {
    # --- resume ---------------------------------------------------------------------------------------------------
    "resume-without-moments": Mutation(
        "loops/experience.py",
        '        self.optimizer.load_state_dict(saved["optimizer"])\n',
        "",
        RESUME,
        "every preempted run differs",
    ),
    "resume-without-networks": Mutation(
        "loops/experience.py",
        '        self.networks.restore(saved["networks"])\n',
        "",
        RESUME,
        "every preempted run starts again from the pretrained weights",
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
    "score-moments-not-saved": Mutation(
        "loops/experience.py",
        '"scaling": self.scaling.to_dict()',
        '"scaling": RunningScores.empty().to_dict()',
        RESUME,
        "every preempted run differs",
    ),
    "position-not-saved": Mutation(
        "loops/experience.py",
        '"position": self.position,',
        '"position": 0,',
        RESUME,
        "a preempted run sees its first prompts again",
    ),
    "looked-at-before-it-is-saved": Mutation(
        "loops/experience.py",
        "session.due(iteration) or iteration == total or any(looks(lab, iteration, total))",
        "session.due(iteration)",
        RESUME,
        "a run that is preempted in an evaluation loses all iterations since its last checkpoint",
    ),
    "interrupted-look-not-taken-again": Mutation(
        "loops/experience.py",
        "told = look(lab, schedule, state, collector)  # the attempt",
        "told = {}  # the attempt",
        RESUME,
        "a hole in the curve of a run that was preempted in an evaluation",
    ),
    "resume-without-the-last-updates": Mutation(
        "loops/experience.py",
        'self.updates = saved["updates"]',
        "self.updates = {}",
        RESUME,
        "the final metrics of a run that was preempted in its last evaluation lack those of the updates",
    ),
    "resume-without-the-position": Mutation(
        "loops/experience.py",
        f'{PLACE}saved["position"], saved["step"]',
        f'{PLACE}0, saved["step"]',
        RESUME,
        "a preempted run sees its first prompts again",
    ),
    "resume-without-the-step": Mutation(
        "loops/experience.py",
        f'{PLACE}saved["position"], saved["step"]',
        f'{PLACE}saved["position"], 0',
        RESUME,
        "a preempted run warms up again",
    ),
    "reference-taken-after-the-resume": Mutation(
        "loops/experience.py",
        "        state.restore(*saved)\n",
        "        state.restore(*saved)\n"
        "        state.networks._frozen = start(lab, algorithm, schedule).networks._frozen\n",
        RESUME,
        "the KL starts at 0 again with every preemption",
    ),
    # --- networks -------------------------------------------------------------------------------------------------
    "reference-renewed-with-every-rollout": Mutation(
        "loops/experience.py",
        "    collected = collector.collect(",
        "    state.networks._frozen = start(lab, algorithm, schedule).networks._frozen\n"
        "    collected = collector.collect(",
        EXPERIENCE,
        "no KL control at all; the anchor of APA moves",
    ),
    "reference-is-the-policy": Mutation(
        "loops/networks.py",
        '("ref_logprobs", self.reference)',
        '("ref_logprobs", self.reference and self.policy)',
        "loops/test_networks.py",
        "the KL is always 0",
    ),
    "reference-is-the-lagged-copy": Mutation(
        "loops/networks.py",
        '("ref_logprobs", self.reference)',
        '("ref_logprobs", self.reference and (self.lagged or self.reference))',
        "loops/test_networks.py",
        "the anchor of the KL moves",
    ),
    "lagged-copy-is-the-reference": Mutation(
        "loops/networks.py",
        '("lagged_logprobs", lagged)',
        '("lagged_logprobs", lagged and (self.reference or lagged))',
        "loops/test_networks.py",
        "the moving anchor stands still",
    ),
    "reference-is-trained-and-stored": Mutation(
        "loops/networks.py",
        "(reference_of(policy, share=share),) if needs.reference else ()",
        "nn.ModuleList([reference_of(policy, share=share)] if needs.reference else [])",
        "loops/test_networks.py",
        "a resume would load the reference of another start",
    ),
    "reference-though-not-asked-for": Mutation(
        "loops/networks.py",
        "(reference_of(policy, share=share),) if needs.reference else ()",
        "(reference_of(policy, share=share),)",
        "loops/test_networks.py",
        "a second network in memory, and a pass of it for nothing",
    ),
    "lagged-though-not-asked-for": Mutation(
        "loops/networks.py",
        "frozen_copy(policy, share=share) if needs.lagged_every else None",
        "frozen_copy(policy, share=share)",
        "loops/test_networks.py",
        "a second network in memory, and a pass of it for nothing",
    ),
    "value-though-not-asked-for": Mutation(
        "loops/experience.py",
        "    if algorithm.needs.value:\n",
        "    if True:\n",
        SEAMS,
        "a value network is held, decayed and stored for nothing",
    ),
    "old-logprobs-though-not-asked-for": Mutation(
        "loops/networks.py",
        "if self.needs.old_logprobs or allowed is not None:",
        "if True:",
        "loops/test_networks.py",
        "a pass over every rollout for nothing",
    ),
    "lagged-not-in-the-checkpoint": Mutation(
        "loops/networks.py",
        "self.lagged = frozen_copy(policy, share=share) if needs.lagged_every else None",
        'object.__setattr__(self, "lagged", frozen_copy(policy, share=share) if needs.lagged_every else None)',
        "loops/test_networks.py",
        "the moving anchor jumps with every preemption",
    ),
    "lagged-never-renewed": Mutation(
        "loops/networks.py",
        "self.lagged.load_state_dict(self.policy.state_dict())",
        "pass",
        "loops/test_networks.py",
        "the moving anchor stands still",
    ),
    "after-iteration-never-called": Mutation(
        "loops/experience.py",
        "        state.networks.after_iteration(iteration)\n",
        "",
        SEAMS,
        "the moving anchor stands still, as in the released code of NLPO",
    ),
    "after-iteration-counts-steps": Mutation(
        "loops/experience.py",
        "state.networks.after_iteration(iteration)",
        "state.networks.after_iteration(state.step)",
        SEAMS,
        "the moving anchor moves at other times than configured",
    ),
    "columns-with-a-graph": Mutation(
        "loops/networks.py",
        "    @torch.no_grad()\n    def annotate",
        "    def annotate",
        "loops/test_networks.py",
        "the policy is trained through its own denominator",
    ),
    "entropy-without-a-gradient": Mutation(
        "loops/networks.py",
        "self._read(self.policy, batch, entropy, self._allowed(batch))",
        'self._read(self.policy, batch, "logged" if entropy == "trained" else entropy, self._allowed(batch))',
        SEAMS,
        "heuristic=entropy does nothing",
    ),
    # --- temperature ----------------------------------------------------------------------------------------------
    "old-logprobs-at-temperature-one": Mutation(
        "loops/networks.py",
        'now, hidden = self._read(self.policy, batch, "none", allowed)',
        'now, hidden = self._read(self.policy, replace(batch, temperature=1.0), "none", allowed)',
        f"{UPDATES} {EXPERIENCE}",
        "heuristic=temperature: the first ratio is not 1",
    ),
    "reference-at-temperature-one": Mutation(
        "loops/networks.py",
        'self._read(network, batch, "none")',
        'self._read(network, replace(batch, temperature=1.0), "none")',
        f"{UPDATES} {EXPERIENCE}",
        "KL and the log-ratio of APA are wrong at every other temperature",
    ),
    "update-at-temperature-one": Mutation(
        "loops/update.py",
        "networks(batch, algorithm.needs.entropy)",
        "networks(replace(batch, temperature=1.0), algorithm.needs.entropy)",
        UPDATES,
        "trains another policy than the one it samples from",
    ),
    "experience-at-temperature-one": Mutation(
        "loops/collect.py",
        "temperature=lab.task.rollout.temperature",
        "temperature=1.0",
        f"{UPDATES} {EXPERIENCE}",
        "trains another policy than the one it samples from",
    ),
    # --- beta and the penalty -------------------------------------------------------------------------------------
    "beta-updated-twice": Mutation(
        "loops/experience.py",
        f"                state.kl_coef = {CALL_OF_BETA}\n",
        f"                for _ in range(2):\n                    state.kl_coef = {CALL_OF_BETA}\n",
        EXPERIENCE,
        "KL control of PPO is twice as fast as configured",
    ),
    "beta-never-updated": Mutation(
        "loops/experience.py", f"state.kl_coef = {CALL_OF_BETA}", "pass", EXPERIENCE, "kl.target does nothing"
    ),
    "beta-from-the-token-mean": Mutation(
        "loops/experience.py",
        CALL_OF_BETA,
        'algorithm.kl.update(state.kl_coef, rollout.metrics["policy/kl_token"])',
        EXPERIENCE,
        "beta only ever falls",
    ),
    "beta-starts-at-zero": Mutation(
        "loops/experience.py",
        "0.0 if algorithm.kl is None else algorithm.kl.initial",
        "0.0",
        EXPERIENCE,
        "no penalty, ever: beta stays 0",
    ),
    "beta-not-applied": Mutation(
        "loops/experience.py",
        "token_rewards(scores, kl, mask, kl_coef)",
        "token_rewards(scores, kl, mask, 0.0)",
        "algorithms/test_ppo.py",
        "no KL control at all",
    ),
    "loop-credits-without-the-penalty": Mutation(
        "loops/experience.py",
        "state.kl_coef if penalised else None",
        "None",
        SEAMS,
        "no KL control at all, though beta is logged",
    ),
    "penalty-of-the-first-beta": Mutation(
        "loops/experience.py",
        "state.kl_coef if penalised else None",
        "algorithm.kl.initial if penalised else None",
        SEAMS,
        "kl.target does nothing, though beta is logged",
    ),
    "penalty-without-a-reference": Mutation(
        "loops/experience.py",
        "penalised = algorithm.kl is not None and algorithm.needs.reference",
        "penalised = algorithm.kl is not None",
        SEAMS,
        "an algorithm without a penalty cannot run",
    ),
    # --- scores and advantages ------------------------------------------------------------------------------------
    "unscaled-scores-in-the-rewards": Mutation(
        "loops/experience.py",
        "with_rewards(experience, scores, ",
        "with_rewards(experience, experience.scores, ",
        UPDATES,
        "score_scaling and score_clip do nothing",
    ),
    "scores-not-clipped": Mutation(
        "loops/experience.py", "clip=schedule.score_clip", "clip=None", UPDATES, "score_clip does nothing"
    ),
    "score-moments-of-the-rollout-alone": Mutation(
        "loops/experience.py",
        "state.scaling = state.scaling.update(",
        "state.scaling = RunningScores.empty().update(",
        UPDATES,
        "the reward changes its scale from rollout to rollout",
    ),
    "scores-scaled-by-the-moments-before": Mutation(
        "loops/experience.py",
        "scale_scores(experience.scores, state.scaling,",
        "scale_scores(experience.scores, RunningScores.empty(),",
        UPDATES,
        "score_scaling does nothing",
    ),
    "reward-logged-after-scaling": Mutation(
        "loops/experience.py",
        "with_rewards(experience, scores, ",
        'with_rewards(type(experience)(**{**vars(experience), "scores": scores}), scores, ',
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
    "minibatch-not-whitened": Mutation(
        "loops/experience.py",
        "minibatch = whitened(minibatch, lab.ranks.sum)",
        "pass",
        UPDATES,
        "whiten_advantages=minibatch does nothing",
    ),
    "rollout-not-whitened": Mutation(
        "loops/experience.py",
        "experience = whitened(experience, lab.ranks.sum)",
        "pass",
        SEAMS,
        "whiten_advantages=rollout does nothing",
    ),
    "reward-to-go-without-discount": Mutation(
        "algorithms/credit.py",
        "gae(rewards, nothing, experience.response_mask, gamma, lam=1.0)",
        "gae(rewards, nothing, experience.response_mask, 1.0, lam=1.0)",
        REINFORCE,
        "gamma of REINFORCE does nothing",
    ),
    "reward-of-the-own-token-alone": Mutation(
        "algorithms/credit.py",
        "gae(rewards, nothing, experience.response_mask, gamma, lam=1.0)",
        "gae(rewards, nothing, experience.response_mask, gamma, lam=0.0)",
        REINFORCE,
        "REINFORCE trains the last token alone",
    ),
    "reinforce-descends": Mutation(
        "algorithms/reinforce.py",
        "policy_loss = -masked_sum(",
        "policy_loss = masked_sum(",
        REINFORCE,
        "REINFORCE lowers the reward",
    ),
    "reinforce-entropy-is-minimised": Mutation(
        "algorithms/reinforce.py",
        "policy_loss - self.entropy_coef * entropy",
        "policy_loss + self.entropy_coef * entropy",
        ALGORITHMS,
        "heuristic=entropy does the opposite",
    ),
    "reinforce-always-asks-for-a-reference": Mutation(
        "algorithms/credit.py",
        "penalty = kl.initial > 0",
        "penalty = True",
        f"{ALGORITHMS} {SEAMS}",
        "a second network in memory, and a pass of it for nothing",
    ),
}
