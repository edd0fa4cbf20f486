"""The networks of a run on text: the policy, and what its algorithm declares that it needs beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from rftlab.errors import UserError
from rftlab.models import Guide, Policy, ValueFunction, frozen_copy, reference_of
from rftlab.models.action_values import ActionHeads, shifted_policies
from rftlab.models.policy import Allowed
from rftlab.models.trunk import Trunk
from rftlab.types import EntropyMode, Experience, Forward, Needs

STATES, ENCODED = "trunk_states", "trunk_encoded"  # columns: what the frozen trunk gives of rows, and of prompts


@dataclass(frozen=True, kw_only=True)
class Numerics:
    """How passes of the networks are cut to fit into memory; results agree but for rounding."""

    microbatch_size: int  # rows per pass
    head_chunk: int | None = None  # tokens at a time through the head over the vocabulary; None = all of a pass


class NetworkSet(nn.Module):
    """A policy with what the algorithm asks for: value function, Q and V heads, frozen reference, lagged copy.

    Policy, value function and heads train; they, slow copies of the Q heads and the lagged copy are the state. The
    reference is not: it is the policy as it was when the set was made, before any checkpoint is loaded. With `share`,
    what is frozen in the policy is held once for all of them, and what lies below the lowest block that trains is
    computed once per rollout.
    """

    def __init__(
        self,
        policy: Policy,
        value: ValueFunction | None,
        needs: Needs,
        numerics: Numerics,
        heads: ActionHeads | None = None,
        *,
        share: bool = True,
    ) -> None:
        super().__init__()
        assert needs.mask is None or needs.lagged_every is not None, "the lagged copy is what gives the mask"
        self.policy = policy
        self.value = value
        self.heads = heads
        self.share = share
        self.lagged = frozen_copy(policy, share=share) if needs.lagged_every else None
        self.needs = needs
        self.numerics = numerics
        self._frozen = (reference_of(policy, share=share),) if needs.reference else ()  # a tuple hides it from torch

    @property
    def reference(self) -> Policy | None:
        """The policy of the start."""
        return self._frozen[0] if self._frozen else None

    def forward(self, batch: Experience, entropy: EntropyMode) -> Forward:
        """Score the responses and value their states; one pass serves both where the value head sits on the policy."""
        scored, hidden = self._read(self.policy, batch, entropy, self._allowed(batch))
        if self.heads is not None:
            said = self.heads(hidden, batch.response_ids, batch.response_mask)
            scored = replace(scored, action_values=said)
        if self.value is None:
            return scored
        return replace(scored, values=self.value(hidden, *_row(batch), batch.prompt_index))

    def after_step(self) -> None:
        """Move the slow copies of heads; call it after each optimiser step."""
        if self.heads is not None and self.needs.action_values is not None:
            self.heads.move_copies(self.needs.action_values.polyak)

    def guide(self, temperature: float) -> Guide | None:
        """Give what says which tokens policy and sampler may choose; None where they may choose all."""
        if self.needs.mask is None or self.lagged is None:
            return None
        return Guide(network=self.lagged, keeps=self.needs.mask, temperature=temperature)

    def after_iteration(self, iteration: int) -> None:
        """Renew the lagged copy where it is due; call it after all updates of an iteration, counted from 1."""
        if self.lagged is not None and self.needs.lagged_every and iteration % self.needs.lagged_every == 0:
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
        if self.asked <= experience.columns.keys():
            return experience
        every = torch.arange(len(experience.unit), device=experience.unit.device)
        rows = every.split(self.numerics.microbatch_size)
        parts = [self._annotated(experience.rows(part)) for part in rows]
        added = parts[0].columns.keys() - experience.columns.keys()
        whole = experience.with_(**{name: torch.cat([part[name] for part in parts]) for name in sorted(added)})
        return replace(whole, prompt_columns=_of_prompts(experience, parts, rows))

    def read_once(self, experience: Experience, entropy: EntropyMode) -> tuple[Experience, Forward]:
        """Add the columns asked for to rows that are learned once and at once, and give what the loss reads.

        The pass with gradients serves both: its values are what a pass before the update would find.
        """
        with torch.no_grad():
            experience = self._on_trunk(experience)
        new = self(experience, entropy)
        with torch.no_grad():
            return experience.with_(**self._columns(experience, new)), new

    def _on_trunk(self, batch: Experience) -> Experience:
        if self.share and (trunk := self.policy.trunk(*_row(batch), batch.prompt_index)) is not None:
            batch = batch.with_(**{STATES: trunk.states})
            if trunk.encoded is not None:
                batch = replace(batch, prompt_columns={**batch.prompt_columns, ENCODED: trunk.encoded})
        return batch

    def _annotated(self, batch: Experience) -> Experience:
        batch = self._on_trunk(batch)
        return batch.with_(**self._columns(batch))

    @property
    def asked(self) -> set[str]:
        """Name the columns that the algorithm asks for, each (n t)."""
        needs = self.needs
        asked = {
            "old_logprobs": needs.old_logprobs,
            "values": needs.value,
            "ref_logprobs": needs.reference,
            "lagged_logprobs": needs.lagged_every,
        }
        return {name for name, wanted in asked.items() if wanted}

    def _columns(self, batch: Experience, new: Forward | None = None) -> dict[str, Tensor]:
        columns = {}
        allowed = self._allowed(batch)
        if new is not None:
            columns["old_logprobs"] = new.logprobs.detach()
            if new.values is not None:
                columns["values"] = new.values.detach()
        elif self.needs.old_logprobs or allowed is not None:
            now, hidden = self._read(self.policy, batch, "none", allowed)
            columns["old_logprobs"] = now.logprobs
            if self.value is not None:
                columns["values"] = self.value(hidden, *_row(batch), batch.prompt_index)
            if allowed is not None:
                whole = (hidden, batch.response_ids, batch.response_mask, batch.temperature, "none")
                columns["unmasked_logprobs"] = self.policy.score(*whole, self.numerics.head_chunk).logprobs
        elif self.value is not None:  # no head over the vocabulary; no policy where values have a trunk of their own
            states = self.policy.hidden(*_row(batch), batch.prompt_index) if self.value.trunk is None else None
            columns["values"] = self.value(states, *_row(batch), batch.prompt_index)
        if allowed is not None:
            columns["mask_size"] = self._sizes(allowed, batch.response_mask)
        lagged = self.lagged if allowed is None else None  # read already, for its mask
        for name, network in (("ref_logprobs", self.reference), ("lagged_logprobs", lagged)):
            if network is not None:
                columns[name] = self._read(network, batch, "none")[0].logprobs
        return columns

    def _allowed(self, batch: Experience) -> Allowed | None:
        guide = self.guide(batch.temperature)
        return None if guide is None else guide.read(*_row(batch), batch.prompt_index)

    def _sizes(self, allowed: Allowed, mask: Bool[Tensor, "n t"]) -> Float[Tensor, "n t"]:
        """Count the tokens that may stand in each place."""
        states = allowed.hidden[mask]
        parts = states.split(self.numerics.head_chunk or max(1, len(states)))
        sizes = torch.cat([allowed.tokens(part).sum(-1) for part in parts]).float()
        return sizes.new_zeros(mask.shape).masked_scatter(mask, sizes)

    def _read(
        self, network: Policy, batch: Experience, entropy: EntropyMode, allowed: Allowed | None = None
    ) -> tuple[Forward, Tensor]:
        chunk, trunk = self.numerics.head_chunk, None
        if STATES in batch.columns:
            blocks = self.policy.frozen_blocks()
            trunk = Trunk(blocks=blocks, states=batch[STATES], encoded=batch.prompt_columns.get(ENCODED))
        return network.read(
            *_row(batch), batch.temperature, batch.prompt_index, entropy, chunk, allowed=allowed, trunk=trunk
        )

    def saved(self) -> dict[str, Tensor]:
        """Give what a checkpoint must hold: all but what is frozen in the policy, which the start gives again."""
        frozen = {id(p) for p in self.policy.parameters() if not p.requires_grad}
        state = self.state_dict(keep_vars=True)
        return {name: tensor.detach() for name, tensor in state.items() if id(tensor) not in frozen}

    def restore(self, saved: Mapping[str, Tensor]) -> None:
        """Go to what `saved` gave.

        Raises:
            UserError: It is of networks of other shapes.
        """
        expected = self.saved()
        shapes = {name: tensor.shape for name, tensor in saved.items() if name in expected}
        if shapes != {name: tensor.shape for name, tensor in expected.items()}:
            lacking = sorted(expected.keys() - saved.keys()) or sorted(expected)
            found = f"a checkpoint of other networks, first without {lacking[0]}"
            raise UserError(found, "one of this version and config", "checkpoints/ of the run folder: remove it")
        self.load_state_dict(dict(saved), strict=False)


def _of_prompts(
    experience: Experience, parts: Sequence[Experience], rows: Sequence[Int[Tensor, " _"]]
) -> dict[str, Tensor]:
    """Bring the columns of prompts together; a prompt whose rows lie in several parts was read in each of them."""
    columns = dict(experience.prompt_columns)
    if ENCODED in parts[0].prompt_columns:
        first = parts[0].prompt_columns[ENCODED]
        whole = first.new_zeros((len(experience.prompt_ids), *first.shape[1:]))
        for part, index in zip(parts, rows, strict=True):
            whole[experience.prompt_index[index].unique()] = part.prompt_columns[ENCODED]
        columns[ENCODED] = whole
    return columns


def _row(batch: Experience) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return batch.prompt_ids, batch.prompt_mask, batch.response_ids, batch.response_mask


def trunk_mib(experience: Experience) -> float | None:
    """Say how much memory an experience takes for the states of a frozen trunk, in MiB; None where it has none."""
    held = [experience.columns.get(STATES), experience.prompt_columns.get(ENCODED)]
    sizes = [tensor.nbytes for tensor in held if tensor is not None]
    return sum(sizes) / 2**20 if sizes else None
