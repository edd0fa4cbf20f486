"""A language model as a policy: which tokens it may answer with, and how likely each one is.

Three families share one interface. `seq2seq` reads the prompt with an encoder (padded on the right, EOS at its end) and
starts the answer from the decoder start token, which is no action. `causal` reads prompt and answer in one row (prompt
padded on the left). `classifier` answers with one token, the index of a label.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from rftlab.errors import UserError
from rftlab.models import attention, text
from rftlab.models.chat import Chat
from rftlab.models.fused import narrow
from rftlab.models.reading import packing_of, read_packed, trunk_packed
from rftlab.models.scoring import over_grid, score_logits, with_slope
from rftlab.models.text import Tokenizer
from rftlab.models.trunk import Trunk, above, below, frozen_blocks, recomputing
from rftlab.types import EntropyMode, Forward

Family = Literal["seq2seq", "causal", "classifier"]


@dataclass(frozen=True, kw_only=True)
class Allowed:
    """Which tokens may stand in each place of given responses, kept as another network's states: no (n t v) tensor."""

    hidden: Float[Tensor, "n t e"]
    tokens: Callable[[Float[Tensor, "m e"]], Bool[Tensor, "m v"]]  # what states allow, a few places at a time


def position_ids(mask: Bool[Tensor, "n p"]) -> Int[Tensor, "n p"]:
    """Number the real tokens of each row from 0, whatever padding stands on their left."""
    return (mask.long().cumsum(-1) - 1).clamp_min(0)


class Policy(nn.Module):
    """A model, its tokenizer and its family. Dropout is off for good: `train()` keeps the evaluation mode.

    Matrix products of every pass are in `compute_dtype`, whatever the parameters are in; logits, log-probabilities and
    entropies are fp32. With `recompute`, blocks keep no intermediate results for the backward pass: less memory for
    more time.
    """

    def __init__(
        self, lm: PreTrainedModel, tokenizer: Tokenizer, family: str, compute_dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__()
        self.compute_dtype = compute_dtype
        self.recompute = False
        self.plain = False  # whether all is computed as transformers does, bit for bit, however long it takes
        self.chat: Chat | None = None  # how prompts are put into a chat; None = as they are
        self.marked = False  # whether special tokens that a text names are such; else they are text like any other
        self.lm = lm
        self.tokenizer = tokenizer
        self.family = family
        self.eos_id: int = tokenizer.eos_token_id if family != "classifier" else -1  # no label ends a row early
        self.pad_id: int = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
        self.eval()

    def train(self, mode: bool = True) -> "Policy":
        """Stay in evaluation mode: rollout, scoring and update must see one and the same network."""
        return super().train(False)

    @property
    def device(self) -> torch.device:
        return next(self.lm.parameters()).device

    @property
    def hidden_size(self) -> int:
        return self.lm.config.hidden_size

    def with_lm(self, lm: PreTrainedModel) -> "Policy":
        """Make a policy of another model that reads, writes and computes as this one."""
        policy = Policy(lm, self.tokenizer, self.family, self.compute_dtype)
        policy.recompute, policy.plain = self.recompute, self.plain
        policy.chat, policy.eos_id, policy.marked = self.chat, self.eos_id, self.marked
        return policy

    def talk(self, chat: Chat | None) -> None:
        """Put every prompt into a chat from now on; a response then ends as a turn of the template does.

        Raises:
            UserError: The model is not of the causal family, or its tokenizer has no template that takes it.
        """
        if chat is None:
            return
        if self.family != "causal":
            found = f"data.prompt.format=chat with a {self.family} model"
            raise UserError(found, "plain, or a causal model with a chat template", "data.prompt.format or model")
        self.chat, self.eos_id = chat, chat.end(self.tokenizer)

    def computing(self) -> torch.autocast:
        """Enter the compute dtype; parameters are converted once for all passes inside.

        All of these must be with gradients or all without: a converted parameter remembers which it was.
        """
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.compute_dtype == torch.bfloat16)

    # --- texts ----------------------------------------------------------------------------------------------------

    def encode_prompts(
        self, prompts: Sequence[str], max_tokens: int, truncation_side: str, ending: str | None = None
    ) -> tuple[Int[Tensor, "n p"], Bool[Tensor, "n p"]]:
        """Tokenise prompts: causal models are padded on the left, the others on the right; added tokens count.

        What is too long is cut on the truncation side, but not in the `ending` that prompts may share.
        """
        encode = {
            "seq2seq": text.seq2seq_prompt,
            "causal": text.causal_prompt,
            "classifier": text.classifier_prompt,
        }[self.family]
        if self.chat is not None:  # with no end to keep: a chat has one of its own
            rows = [self.chat.prompt_ids(self.tokenizer, prompt, max_tokens, truncation_side) for prompt in prompts]
        else:
            asked = (max_tokens, truncation_side, ending, self.marked)
            rows = [encode(self.tokenizer, prompt, *asked) for prompt in prompts]
        ids, mask = text.pad(rows, self.pad_id, "left" if self.family == "causal" else "right")
        return ids.to(self.device), mask.to(self.device)

    def encode_targets(
        self, targets: Sequence[str], max_tokens: int, append_eos: bool
    ) -> tuple[Int[Tensor, "n t"], Bool[Tensor, "n t"]]:
        """Tokenise gold answers, padded on the right; the text is cut so that EOS, if asked for, fits in the limit."""
        if self.family == "classifier":
            rows = [[self._label_id(target)] for target in targets]
        else:
            end = [self.eos_id] if append_eos else []
            room = max_tokens - len(end)
            told = [text.token_ids(self.tokenizer, target, marked=self.marked) for target in targets]
            rows = [[*text.cut(ids, room, "right"), *end] for ids in told]
        ids, mask = text.pad(rows, self.pad_id if self.family != "classifier" else 0, "right")
        return ids.to(self.device), mask.to(self.device)

    def _label_id(self, label: str) -> int:
        label2id = self.lm.config.label2id or {}
        if label not in label2id:
            raise UserError(f"target {label!r}", f"one of the labels {sorted(label2id)}", "data or model.policy.source")
        return int(label2id[label])

    def decode(self, ids: Int[Tensor, "n t"], mask: Bool[Tensor, "n t"]) -> list[str]:
        """Turn the real tokens of each row into text; special tokens are left out and nothing is cleaned up."""
        rows = [row[keep].tolist() for row, keep in zip(ids.cpu(), mask.cpu(), strict=True)]
        if self.family == "classifier":
            id2label = self.lm.config.id2label or {}
            return ["".join(id2label[i] for i in row) for row in rows]
        return self.tokenizer.batch_decode(rows, skip_special_tokens=True, clean_up_tokenization_spaces=False)

    # --- networks -------------------------------------------------------------------------------------------------

    def encode(self, prompt_ids: Int[Tensor, "b p"], prompt_mask: Bool[Tensor, "b p"]) -> Float[Tensor, "b p d"]:
        """Run the encoder of a seq2seq model."""
        with self.computing():
            return self.lm.get_encoder()(input_ids=prompt_ids, attention_mask=prompt_mask).last_hidden_state

    @contextmanager
    def plainly(self) -> Generator[None]:
        """Compute as transformers does within the block: packed rows cannot be differentiated twice."""
        before, self.plain = self.plain, True
        try:
            yield
        finally:
            self.plain = before

    def logits(self, hidden: Float[Tensor, "*rows d"]) -> Float[Tensor, "*rows v"]:
        """Apply the head of a generating model; fp32 whatever the parameters are, so that softmax and KL are exact."""
        return self._head(hidden).float()

    def _head(self, hidden: Float[Tensor, "*rows d"]) -> Float[Tensor, "*rows v"]:
        """Apply the head in the compute dtype; what is done to its product is done in float32."""
        if getattr(self.lm.config, "scale_decoder_outputs", False):  # T5 with tied embeddings
            hidden = hidden * self.hidden_size**-0.5
        head = self.lm.get_output_embeddings()
        converted = self.compute_dtype == torch.bfloat16 and self.device.type == "cpu"
        with self.computing():
            if converted and type(head) is nn.Linear and not head.weight.requires_grad:
                logits = nn.functional.linear(hidden, narrow(head.weight, self.compute_dtype), head.bias)
            else:
                logits = head(hidden)
        bias = getattr(self.lm, "final_logits_bias", None)  # BART and its relatives
        logits = logits if bias is None else logits + bias[0]
        cap = getattr(self.lm.config, "final_logit_softcapping", None)  # Gemma 2
        return logits if cap is None else cap * torch.tanh(logits.float() / cap)

    def classify(
        self, prompt_ids: Int[Tensor, "n p"], prompt_mask: Bool[Tensor, "n p"]
    ) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n v"]]:
        """Return the mean hidden state of each prompt and the fp32 label logits of a classifier."""
        with self.computing():
            out = self.lm(input_ids=prompt_ids, attention_mask=prompt_mask, output_hidden_states=True)
        weight = prompt_mask.unsqueeze(-1)
        pooled = (out.hidden_states[-1] * weight).sum(1) / weight.sum(1)
        return pooled, out.logits.float()

    def hidden(
        self,
        prompt_ids: Int[Tensor, "b p"],
        prompt_mask: Bool[Tensor, "b p"],
        response_ids: Int[Tensor, "n t"],
        response_mask: Bool[Tensor, "n t"],
        prompt_index: Int[Tensor, " n"] | None = None,
        trunk: Trunk | None = None,
    ) -> Float[Tensor, "n t d"]:
        """Return the final hidden states at the positions that predict each response token.

        With `prompt_index`, `prompt_ids` holds every prompt once and row i answers prompt `prompt_index[i]`; a seq2seq
        encoder then runs once per prompt. With a `trunk`, only the blocks above it are computed. Where the rows can be
        packed, no padding is read and a causal model too reads every prompt once; states of no response token then have
        no meaning.
        """
        with self.computing():
            rows = (prompt_mask, response_mask, prompt_index)
            if (packing := packing_of(self, *rows, trunk)) is not None:
                return read_packed(self, packing, prompt_ids, response_ids, trunk)
            if self.family == "seq2seq":
                if trunk is None and prompt_index is not None and len(prompt_index) == len(prompt_ids):
                    # nothing to share: no copies of states
                    prompt_ids, prompt_mask, prompt_index = prompt_ids[prompt_index], prompt_mask[prompt_index], None
                encoded = None if trunk is None else trunk.encoded
                if encoded is None:
                    encoded = self._encoded(prompt_ids, prompt_mask)
                decoder = self._stack(self.lm.get_decoder(), trunk)
                return self._decoded(decoder, encoded, prompt_mask, response_ids, prompt_index)
            if prompt_index is not None:
                prompt_ids, prompt_mask = prompt_ids[prompt_index], prompt_mask[prompt_index]
            if self.family == "causal":
                stack = self._stack(self.lm.base_model, trunk)
                states = self._read_rows(stack, prompt_ids, prompt_mask, response_ids, response_mask)
                return states[:, prompt_ids.shape[1] - 1 :]
            return self.classify(prompt_ids, prompt_mask)[0].unsqueeze(1)

    @torch.no_grad()
    def trunk(
        self,
        prompt_ids: Int[Tensor, "b p"],
        prompt_mask: Bool[Tensor, "b p"],
        response_ids: Int[Tensor, "n t"],
        response_mask: Bool[Tensor, "n t"],
        prompt_index: Int[Tensor, " n"],
    ) -> Trunk | None:
        """Compute what lies below the blocks that train; None where nothing does, or where that cannot be told."""
        if self.family == "classifier" or (blocks := self.frozen_blocks()) == 0:
            return None
        with self.computing():
            if (packing := packing_of(self, prompt_mask, response_mask, prompt_index)) is not None:
                return trunk_packed(self, packing, prompt_ids, response_ids, blocks)
            if self.family == "seq2seq":
                encoded, stack = self._encoded(prompt_ids, prompt_mask), below(self.lm.get_decoder(), blocks)
                states = self._decoded(stack, encoded, prompt_mask, response_ids, prompt_index)
                return Trunk(blocks=blocks, states=states, encoded=encoded)
            row = (prompt_ids[prompt_index], prompt_mask[prompt_index], response_ids, response_mask)
            return Trunk(blocks=blocks, states=self._read_rows(below(self.lm.base_model, blocks), *row), encoded=None)

    def frozen_blocks(self) -> int:
        """Count the blocks below the lowest one that trains; 0 where something before them trains too."""
        if self.family == "causal":
            return frozen_blocks(self.lm.base_model)
        encoder_trains = any(p.requires_grad for p in self.lm.get_encoder().parameters())
        return 0 if encoder_trains else frozen_blocks(self.lm.get_decoder())

    def _stack(self, stack: nn.Module, trunk: Trunk | None = None) -> nn.Module:
        """Give what computes the hidden states: all blocks or those above a trunk, kept or computed twice."""
        return self.recomputing(stack if trunk is None else above(stack, trunk))

    def recomputing(self, stack: nn.Module) -> nn.Module:
        """View a stack that computes its blocks again in the backward pass, if this policy does and there is one."""
        return recomputing(stack) if self.recompute and torch.is_grad_enabled() else stack

    def _encoded(self, prompt_ids: Int[Tensor, "b p"], prompt_mask: Bool[Tensor, "b p"]) -> Float[Tensor, "b p d"]:
        alike = attention.asked_for(self.lm)
        encoder = self._stack(self.lm.get_encoder())
        return encoder(input_ids=prompt_ids, attention_mask=prompt_mask, **alike).last_hidden_state

    def _decoded(
        self,
        decoder: nn.Module,
        encoded: Float[Tensor, "b p d"],
        prompt_mask: Bool[Tensor, "b p"],
        response_ids: Int[Tensor, "n t"],
        prompt_index: Int[Tensor, " n"] | None,
    ) -> Float[Tensor, "n t d"]:
        if prompt_index is not None:
            encoded, prompt_mask = encoded.index_select(0, prompt_index), prompt_mask[prompt_index]
        start = response_ids.new_full((len(response_ids), 1), self.lm.config.decoder_start_token_id)
        # the decoder is causal and responses are padded on the right, so it needs no mask of its own
        return decoder(
            input_ids=torch.cat([start, response_ids[:, :-1]], dim=1),
            encoder_hidden_states=encoded,
            encoder_attention_mask=prompt_mask,
            use_cache=False,
            **attention.asked_for(self.lm),
        ).last_hidden_state

    def _read_rows(
        self,
        stack: nn.Module,
        prompt_ids: Int[Tensor, "n p"],
        prompt_mask: Bool[Tensor, "n p"],
        response_ids: Int[Tensor, "n t"],
        response_mask: Bool[Tensor, "n t"],
    ) -> Float[Tensor, "n s d"]:
        """Read prompt and response in one row, without the last token, which predicts nothing."""
        mask = torch.cat([prompt_mask, response_mask[:, :-1]], dim=1)
        ids = torch.cat([prompt_ids, response_ids[:, :-1]], dim=1)
        return stack(
            input_ids=ids, attention_mask=mask, position_ids=position_ids(mask), use_cache=False
        ).last_hidden_state

    def score(
        self,
        hidden: Float[Tensor, "n t d"],
        response_ids: Int[Tensor, "n t"],
        response_mask: Bool[Tensor, "n t"],
        temperature: float,
        entropy: EntropyMode = "none",
        head_chunk: int | None = None,
        allowed: Allowed | None = None,
    ) -> Forward:
        """Turn hidden states into log-probabilities and entropies; the head runs on real response tokens only.

        With `head_chunk`, it runs on so many tokens at a time and again in the backward pass, so that the logits of no
        more than these are in memory. Results differ by rounding. With `allowed`, both are of the distribution over
        the allowed tokens alone.
        """
        ids = response_ids[response_mask]
        places = [hidden[response_mask], ids] + ([] if allowed is None else [allowed.hidden[response_mask]])

        def scored(states: Float[Tensor, "m d"], ids: Int[Tensor, " m"], *told: Tensor) -> tuple[Tensor, Tensor | None]:
            tokens = None if allowed is None else allowed.tokens(*told)
            return score_logits(self._head(states), ids, temperature, entropy, tokens, plain=self.plain)

        if head_chunk is None or len(ids) <= head_chunk:
            return over_grid([scored(*places)], response_mask)
        parts = zip(*(place.split(head_chunk) for place in places), strict=True)
        with self.computing():
            if not torch.is_grad_enabled():
                return over_grid([scored(*part) for part in parts], response_mask)
            if entropy != "trained" and not self._head_trains():
                return over_grid([with_slope(scored, *part) for part in parts], response_mask)
            return over_grid([checkpoint(scored, *part, use_reentrant=False) for part in parts], response_mask)

    def _head_trains(self) -> bool:
        return any(p.requires_grad for p in self.lm.get_output_embeddings().parameters())

    def forward(
        self,
        prompt_ids: Int[Tensor, "b p"],
        prompt_mask: Bool[Tensor, "b p"],
        response_ids: Int[Tensor, "n t"],
        response_mask: Bool[Tensor, "n t"],
        temperature: float = 1.0,
        prompt_index: Int[Tensor, " n"] | None = None,
        entropy: EntropyMode = "none",
    ) -> Forward:
        """Score given responses; log-probabilities and entropies are 0 outside `response_mask`."""
        row = (prompt_ids, prompt_mask, response_ids, response_mask)
        return self.read(*row, temperature, prompt_index, entropy)[0]

    def read(
        self,
        prompt_ids: Int[Tensor, "b p"],
        prompt_mask: Bool[Tensor, "b p"],
        response_ids: Int[Tensor, "n t"],
        response_mask: Bool[Tensor, "n t"],
        temperature: float,
        prompt_index: Int[Tensor, " n"] | None,
        entropy: EntropyMode,
        head_chunk: int | None = None,
        allowed: Allowed | None = None,
        trunk: Trunk | None = None,
    ) -> tuple[Forward, Float[Tensor, "n t d"]]:
        """Score given responses and return the hidden states behind the scores, from one pass of the network."""
        if self.family == "classifier":
            assert allowed is None
            if prompt_index is not None:
                prompt_ids, prompt_mask = prompt_ids[prompt_index], prompt_mask[prompt_index]
            pooled, logits = self.classify(prompt_ids, prompt_mask)
            row = (logits[response_mask[:, 0]], response_ids[response_mask], temperature, entropy)
            scored = score_logits(*row, plain=self.plain)
            return over_grid([scored], response_mask), pooled.unsqueeze(1)
        hidden = self.hidden(prompt_ids, prompt_mask, response_ids, response_mask, prompt_index, trunk)
        return self.score(hidden, response_ids, response_mask, temperature, entropy, head_chunk, allowed), hidden
