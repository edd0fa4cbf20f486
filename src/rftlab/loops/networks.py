"""The networks of a run on text: the policy, and what its algorithm declares that it needs beside it."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from rftlab.models import Policy, ValueFunction, reference_of
from rftlab.models.action_values import ActionHeads, shifted_policies
from rftlab.types import EntropyMode, Experience, Forward, Needs


@dataclass(frozen=True, kw_only=True)
class Numerics:
    """How passes of the networks are cut to fit into memory; results agree but for rounding."""

    microbatch_size: int  # rows per pass
    head_chunk: int | None = None  # tokens at a time through the head over the vocabulary; None = all of a pass


class NetworkSet(nn.Module):
    """A policy with what the algorithm asks for: value function, Q and V heads, frozen reference, lagged copy.

    Policy, value function and heads train; they, slow copies of the Q heads and the lagged copy are the state. The
    reference is not: it is the policy as it was when the set was made, before any checkpoint is loaded.
    """

    def __init__(
        self,
        policy: Policy,
        value: ValueFunction | None,
        needs: Needs,
        numerics: Numerics,
        heads: ActionHeads | None = None,
    ) -> None:
        super().__init__()
        self.policy = policy
        self.value = value
        self.heads = heads
        self.lagged = reference_of(policy) if needs.lagged_every else None
        self.needs = needs
        self.numerics = numerics
        self._frozen = (reference_of(policy),) if needs.reference else ()  # a tuple hides it from torch

    @property
    def reference(self) -> Policy | None:
        """The policy of the start."""
        return self._frozen[0] if self._frozen else None

    def forward(self, batch: Experience, entropy: EntropyMode) -> Forward:
        """Score the responses and value their states; one pass serves both where the value head sits on the policy."""
        scored, hidden = self._read(self.policy, batch, entropy)
        if self.heads is not None:
            said = self.heads(hidden, batch.response_ids, batch.response_mask)
            scored = replace(scored, action_values=said)
        if self.value is None:
            return scored
        return replace(scored, values=self.value(hidden, *_row(batch), batch.prompt_index))

    def after_step(self, step: int) -> None:
        """Renew the lagged copy where it is due, move copies of heads; after each optimiser step, counted from 1."""
        if self.heads is not None and self.needs.action_values is not None:
            self.heads.move_copies(self.needs.action_values.polyak)
        if self.lagged is not None and self.needs.lagged_every and step % self.needs.lagged_every == 0:
            self.lagged.load_state_dict(self.policy.state_dict())

    def shifted(self) -> dict[str, Policy]:
        """Name the policies that decode with action values; none where there are no heads."""
        asked = self.needs.action_values
        if self.heads is None or asked is None:
            return {}
        return shifted_policies(self.policy, self.heads, asked.decode_b, asked.decode_top_k)

    @torch.no_grad()
    def annotate(self, experience: Experience) -> Experience:
        """Add the columns asked for, in the way in which the update computes them, so that the first ratio is 1.

        Experience that has them all already stays as it is.
        """
        if self._asked() <= experience.columns.keys():
            return experience
        rows = torch.arange(len(experience.unit), device=experience.unit.device)
        parts = [self._columns(experience.rows(part)) for part in rows.split(self.numerics.microbatch_size)]
        return experience.with_(**{name: torch.cat([part[name] for part in parts]) for name in parts[0]})

    def _asked(self) -> set[str]:
        needs = self.needs
        asked = {
            "old_logprobs": needs.old_logprobs,
            "values": needs.value,
            "ref_logprobs": needs.reference,
            "lagged_logprobs": needs.lagged_every,
        }
        return {name for name, wanted in asked.items() if wanted}

    def _columns(self, batch: Experience) -> dict[str, Tensor]:
        columns = {}
        if self.needs.old_logprobs:
            now = self(batch, "none")
            columns["old_logprobs"] = now.logprobs
            if now.values is not None:
                columns["values"] = now.values
        elif (
            self.value is not None
        ):  # without the head over the vocabulary, nor the policy where values need none of it
            hidden = self.policy.hidden(*_row(batch), batch.prompt_index) if self.value.trunk is None else None
            columns["values"] = self.value(hidden, *_row(batch), batch.prompt_index)
        for name, network in (("ref_logprobs", self.reference), ("lagged_logprobs", self.lagged)):
            if network is not None:
                columns[name] = self._read(network, batch, "none")[0].logprobs
        return columns

    def _read(self, network: Policy, batch: Experience, entropy: EntropyMode) -> tuple[Forward, Tensor]:
        return network.read(*_row(batch), batch.temperature, batch.prompt_index, entropy, self.numerics.head_chunk)


def _row(batch: Experience) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return batch.prompt_ids, batch.prompt_mask, batch.response_ids, batch.response_mask
