"""Implicit language Q-learning."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from rftlab.ops import MAX_LOG_RATIO, masked_sum
from rftlab.ranges import AtLeastTwo, NonNegative, OpenUnitInterval, Positive, UnitInterval
from rftlab.types import ActionValueNeeds, Experience, Forward, LossOutput, Needs, Totals


@dataclass(frozen=True, kw_only=True)
class ILQL:
    """ILQL (Snell et al. 2022; as in the released code of Zhu et al. 2023): values by expectiles, decoding by values.

    Q and V are learned from fixed responses without a maximum over actions that nobody took; the policy is cloned, and
    shifted by Q - V when it decodes.
    """

    gamma: UnitInterval[float]
    tau: OpenUnitInterval[float]  # expectile of V: 1/2 is the mean over actions, 1 their maximum
    cql_coef: NonNegative[float]
    awac_coef: NonNegative[float]
    beta: NonNegative[float]  # of the weights exp(beta (Q - V)) of the cloned tokens; 0 = all 1
    polyak: UnitInterval[float]  # alpha: by how much the copies of Q move at each step
    decode_b: Sequence[Positive[float]]  # weights of Q - V in decoding, each evaluated for itself
    decode_top_k: AtLeastTwo[int]  # of two, one is not EOS: something is left where EOS is banned

    kl: ClassVar[None] = None
    unit: ClassVar[Literal["row"]] = "row"
    whiten_advantages: ClassVar[Literal["none"]] = "none"

    @property
    def needs(self) -> Needs:
        """Heads over the policy's hidden states and copies of them; no other network, and no column."""
        heads = ActionValueNeeds(polyak=self.polyak, decode_b=tuple(self.decode_b), decode_top_k=self.decode_top_k)
        return Needs(action_values=heads)

    def credit(self, experience: Experience) -> Experience:
        """Nothing: the loss reads the rewards of the tokens themselves."""
        return experience

    def loss(self, new: Forward, batch: Experience, totals: Totals) -> LossOutput:
        """L_Q + L_V + cql_coef L_CQL + awac_coef L_AWAC, each a mean over the tokens of the optimiser step."""
        assert new.action_values is not None
        said, mask, tokens = new.action_values, batch.response_mask, max(totals.tokens, 1)
        q, v, target_q = (x.where(mask, 0.0) for x in (said.q, said.v, said.target_q))
        rewards = batch["rewards"].where(mask, 0.0)
        goal = rewards + self.gamma * next_values(v.detach())
        gap = target_q - v
        per_token = {
            "q": (q - goal).square().sum(0),
            "v": (self.tau - (gap < 0).float()).abs() * gap.square(),
            "cql": (said.q_logsumexp - said.q).sum(0),
            "awac": -((self.beta * gap.detach()).clamp(max=MAX_LOG_RATIO).exp() * new.logprobs),
        }
        losses = {name: masked_sum(x, mask) / tokens for name, x in per_token.items()}
        loss = losses["q"] + losses["v"] + self.cql_coef * losses["cql"] + self.awac_coef * losses["awac"]
        metrics = {f"ilql/{name}_loss": value.detach() for name, value in losses.items()}
        metrics |= {
            "policy/loss": -masked_sum(new.logprobs.detach(), mask) / tokens,
            "ilql/q": masked_sum(torch.minimum(*q.detach()), mask) / tokens,
            "ilql/v": masked_sum(v.detach(), mask) / tokens,
            "ilql/advantage": masked_sum(gap.detach(), mask) / tokens,
        }
        return LossOutput(loss=loss, metrics=metrics)


def next_values(v: Float[Tensor, "n t"]) -> Float[Tensor, "n t"]:
    """Give V(s_{t+1}) of values that are 0 on pads; 0 after the last token, whatever ended the row."""
    return torch.cat([v[:, 1:], torch.zeros_like(v[:, :1])], dim=1)
