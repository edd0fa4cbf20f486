"""Natural language policy optimisation: PPO whose policy may choose only what a lagged copy of it finds likely."""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from rftlab.algorithms.kl_control import AdaptiveKL
from rftlab.algorithms.ppo import PPO
from rftlab.ranges import AtLeastTwo, Fraction, NonNegative, Positive, UnitInterval
from rftlab.types import Experience, Forward, LossOutput, Needs, Nucleus, Totals


@dataclass(frozen=True, kw_only=True)
class NLPO:
    """NLPO (Ramamurthy et al. 2023): the objective of PPO on distributions that are masked and renormalised.

    Sampler, ratio and entropy are of the masked policy; the KL penalty in the reward is not. The lagged copy is renewed
    between iterations alone, so that policy and old policy share a mask.
    """

    top_mask: Fraction[float]  # p: the mask keeps the fewest tokens of this probability; 1 keeps all, which is PPO
    min_tokens_to_keep: AtLeastTwo[int]  # most likely tokens that are never masked
    target_update_iterations: Positive[int]  # iterations between two copies of the policy
    clip_range: Positive[float] | None  # as in PPO, and so all below
    value_clip_range: Positive[float] | None
    value_coef: NonNegative[float]
    entropy_coef: NonNegative[float]
    gamma: UnitInterval[float]
    gae_lambda: UnitInterval[float]
    whiten_advantages: Literal["rollout", "minibatch", "none"]
    kl: AdaptiveKL

    unit: ClassVar[Literal["row"]] = "row"

    @property
    def ppo(self) -> PPO:
        """Give the PPO whose credit and loss these are."""
        return PPO(
            clip_range=self.clip_range,
            value_clip_range=self.value_clip_range,
            value_coef=self.value_coef,
            entropy_coef=self.entropy_coef,
            entropy="exact",
            kl_coef=0.0,  # of masked against unmasked log-probabilities it would be no KL
            gamma=self.gamma,
            gae_lambda=self.gae_lambda,
            whiten_advantages=self.whiten_advantages,
            kl=self.kl,
        )

    @property
    def needs(self) -> Needs:
        """Whatever PPO needs, and a mask unless it would keep every token."""
        if self.top_mask == 1.0:
            return self.ppo.needs
        mask = Nucleus(top_p=self.top_mask, min_tokens=self.min_tokens_to_keep)
        return replace(self.ppo.needs, lagged_every=self.target_update_iterations, mask=mask)

    def credit(self, experience: Experience) -> Experience:
        """Advantages by GAE, and returns."""
        return self.ppo.credit(experience)

    def loss(self, new: Forward, batch: Experience, totals: Totals) -> LossOutput:
        """Compute the loss of PPO; log-probabilities and entropy come masked."""
        return self.ppo.loss(new, batch, totals)
