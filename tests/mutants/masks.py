"""Mistakes in NLPO's mask, and in the other forms of PPO."""

from mutants.mutation import Mutation

GUIDE, LOCKSTEP, RUNS = "models/test_guide.py", "sampling/test_lockstep.py", "loops/test_nlpo_runs.py"

MUTATIONS = {
    "nucleus-without-the-token-that-reaches-it": Mutation(
        "ops.py",
        "(probs.cumsum(-1) - probs < top_p)",
        "(probs.cumsum(-1) < top_p)",
        GUIDE,
        "the mask keeps less than its probability",
    ),
    "mask-without-eos": Mutation(
        "models/guide.py",
        "        allowed[:, self.network.eos_id] = True\n",
        "",
        GUIDE,
        "a response can end only where the lagged copy expects it to",
    ),
    "mask-at-temperature-one": Mutation(
        "models/guide.py",
        "nucleus(logits / self.temperature,",
        "nucleus(logits,",
        f"{GUIDE} {LOCKSTEP}",
        "the mask is of another distribution than the sampler's",
    ),
    "chosen-token-may-be-outside": Mutation(
        "models/scoring.py",
        "~allowed.scatter(-1, ids.unsqueeze(-1), True)",
        "~allowed",
        GUIDE,
        "a rounding error at the edge makes a log-probability of minus infinity",
    ),
    "sampler-without-the-mask": Mutation(
        "loops/experience.py",
        "    lab = sampling_with(lab, state.networks)\n",
        "",
        RUNS,
        "tokens are sampled that the masked policy cannot choose",
    ),
    "mask-forgets-which-rows-are-left": Mutation(
        "sampling/lockstep.py",
        "        self._decoder.select(rows)\n        self._guiding.select(rows)\n",
        "        self._decoder.select(rows)\n        self._guiding.select(rows.flip(0))\n",
        LOCKSTEP,
        "a row is masked by what another one says",
    ),
    "kl-of-the-masked-policy": Mutation(
        "loops/metrics.py",
        'return columns["unmasked_logprobs"] if "unmasked_logprobs" in columns else columns["old_logprobs"]',
        'return columns["old_logprobs"]',
        RUNS,
        "the penalty is paid for the mask",
    ),
    "update-without-the-mask": Mutation(
        "loops/networks.py",
        "self._read(self.policy, batch, entropy, self._allowed(batch))",
        "self._read(self.policy, batch, entropy)",
        RUNS,
        "the first ratio is not one",
    ),
    "nlpo-ignores-how-many-tokens-to-keep": Mutation(
        "algorithms/nlpo.py",
        "min_tokens=self.min_tokens_to_keep",
        "min_tokens=2",
        "algorithms/test_nlpo.py",
        "a key that does nothing",
    ),
    "kl-in-the-loss-the-other-way": Mutation(
        "algorithms/ppo.py",
        "masked_sum(kl_k3(now, start), mask)",
        "masked_sum(kl_k3(start, now), mask)",
        "algorithms/test_ppo.py",
        "the loss holds another divergence",
    ),
    "later-keys-count-always": Mutation(
        "runs/identity.py",
        '"PPO": {"entropy": "exact", "kl_coef": 0.0},',
        '"PPO": {"entropy": "exact"},',
        "runs/test_identity.py",
        "every result of before is invisible to the command that made it",
    ),
}
