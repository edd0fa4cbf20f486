"""A reward model: a scalar head on the trunk of a policy, which scores a response behind its prompt."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import pad

from rftlab.errors import UserError
from rftlab.models import text
from rftlab.models.critic import ValueHead
from rftlab.models.policy import Policy

HEAD = "linear"  # without a bias, which no difference of two scores would train


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How much of a text is read: in training, and whenever the finished model is asked for a score."""

    max_prompt_tokens: int
    truncation_side: str  # left | right: the side on which a long prompt loses tokens
    max_response_tokens: int  # without the EOS behind them; a longer response loses its beginning
    prompt_ending: str | None = None  # the end of every prompt, which is never cut


class RewardModel(nn.Module):
    """r(prompt, response): the head reads the state after the last token.

    Every response ends with one EOS, whether one was sampled or not: a score is a function of the text, so that a model
    is asked for a score of just what it was trained on.
    """

    centre: Tensor

    def __init__(self, trunk: Policy, head: ValueHead, reading: Reading) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = head
        self.reading = reading
        self.register_buffer("centre", torch.zeros(()))  # the score that counts as 0

    def forward(
        self,
        prompt_ids: Int[Tensor, "b p"],
        prompt_mask: Bool[Tensor, "b p"],
        response_ids: Int[Tensor, "n t"],
        response_mask: Bool[Tensor, "n t"],
        prompt_index: Int[Tensor, " n"] | None = None,
    ) -> Float[Tensor, " n"]:
        """Score responses given as ids, padded on the right, EOS included; fp32."""
        # states are those that predict a token: one more column, and the last one has read the whole response
        ids, mask = pad(response_ids, (0, 1), value=self.trunk.pad_id), pad(response_mask, (1, 0), value=True)
        hidden = self.trunk.hidden(prompt_ids, prompt_mask, ids, mask, prompt_index)
        last = response_mask.sum(1)
        states = hidden[torch.arange(len(last), device=last.device), last]
        return self.head(states.unsqueeze(1)).squeeze(1) - self.centre

    def response_ids(self, response: str) -> list[int]:
        """Tokenise a response as the model reads it: its last tokens, and EOS."""
        ids = text.token_ids(self.trunk.tokenizer, response)
        return [*text.cut(ids, self.reading.max_response_tokens, "left"), self.trunk.eos_id]

    def encode_prompts(self, prompts: Sequence[str]) -> tuple[Int[Tensor, "b p"], Bool[Tensor, "b p"]]:
        """Tokenise prompts as the model reads them."""
        reading = self.reading
        return self.trunk.encode_prompts(
            prompts, reading.max_prompt_tokens, reading.truncation_side, reading.prompt_ending
        )

    def encode_responses(self, responses: Sequence[str]) -> tuple[Int[Tensor, "n t"], Bool[Tensor, "n t"]]:
        """Tokenise responses as the model reads them, padded on the right."""
        ids, mask = text.pad([self.response_ids(response) for response in responses], self.trunk.pad_id, "right")
        return ids.to(self.trunk.device), mask.to(self.trunk.device)

    @torch.inference_mode()
    def score(self, prompts: Sequence[str], responses: Sequence[str], batch_size: int) -> Float[np.ndarray, " n"]:
        """Score texts, so many per pass, which reads each of its prompts once; batch mates matter to rounding alone."""
        # neighbours have one prompt, or prompts of like length
        order = sorted(range(len(responses)), key=lambda i: (len(prompts[i]), prompts[i], len(responses[i])))
        scores = np.empty(len(order), dtype=np.float64)
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            asked = {prompt: i for i, prompt in enumerate(dict.fromkeys(prompts[i] for i in chosen))}
            index = torch.tensor([asked[prompts[i]] for i in chosen], device=self.trunk.device)
            rows = self.encode_responses([responses[i] for i in chosen])
            scores[chosen] = self(*self.encode_prompts(list(asked)), *rows, index).double().cpu().numpy()
        return scores


def reward_model(policy: Policy, reading: Reading, generator: torch.Generator) -> RewardModel:
    """Make a reward model of a policy, whose network becomes the trunk and loses its head over the vocabulary.

    Raises:
        UserError: The policy is a classifier, which reads no response.
    """
    if policy.family == "classifier":
        found = f"a reward model of a {policy.family}"
        raise UserError(found, "a seq2seq or causal model, which reads prompt and response", "model")
    policy.lm.set_output_embeddings(nn.Identity())
    head = ValueHead(policy.hidden_size, HEAD, generator)
    return RewardModel(policy, head, reading).to(policy.device)
