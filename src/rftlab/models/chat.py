"""Prompts in the chat template of a tokenizer.

The prompt is what the user says; the template puts its own tokens around it and opens the answer. Whatever the prompt
says is plain text: tokens of the template that stand in it (`<|im_end|>`) are cut into pieces. A response ends with the
token that ends a turn of the assistant, which is not the EOS of every tokenizer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError

from rftlab.errors import UserError
from rftlab.models.text import Tokenizer

KEY = "data.prompt.format"
SAID = "\u2603 said \u2603"  # stands for an answer where the end of a turn is looked for


@dataclass(frozen=True, kw_only=True)
class Chat:
    """How a prompt is put into a chat."""

    system: str | None  # None = what the template says without one, which may be a message of its own

    def ids(self, tokenizer: Tokenizer, prompt: str) -> list[int]:
        """Tokenise a whole chat up to where the answer starts."""
        ids: Any = tokenizer.apply_chat_template(
            self._messages(prompt), add_generation_prompt=True, sanitize_control_tokens=True, return_dict=False
        )
        return ids

    def prompt_ids(
        self, tokenizer: Tokenizer, prompt: str, max_tokens: int, side: str, ending: str | None = None
    ) -> list[int]:
        """Tokenise a chat whose prompt is cut on `side`, before its `ending`, so that all has at most `max_tokens`.

        Raises:
            UserError: The template alone has more.
        """
        end = ending if ending and prompt.endswith(ending) else ""
        prompt = prompt.removesuffix(end)
        ids = self.ids(tokenizer, prompt + end)
        while (beyond := len(ids) - max_tokens) > 0:
            if not prompt:
                found = f"data.prompt.max_tokens={max_tokens} with {KEY}=chat, whose template has {len(ids)} by itself"
                raise UserError(found, "room for the prompt in it", "data.prompt.max_tokens or data.prompt.system")
            prompt = _shorter(tokenizer, prompt, beyond, side)
            ids = self.ids(tokenizer, prompt + end)
        return ids

    def end(self, tokenizer: Tokenizer) -> int:
        """Find the token that ends a turn of the assistant; the EOS where the template writes no special one.

        Raises:
            UserError: There is no template, or it takes no system message.
        """
        if tokenizer.chat_template is None:
            found = f"{KEY}=chat with a tokenizer that has no chat template"
            raise UserError(found, "plain, or a model with a template", f"{KEY} or model.policy.tokenizer")
        try:
            self.ids(tokenizer, "")
            turn = [*self._messages("a"), {"role": "assistant", "content": SAID}]
            rest = str(tokenizer.apply_chat_template(turn, tokenize=False)).rpartition(SAID)[2]
        except TemplateError as error:
            found = f"{KEY}=chat and data.prompt.system={self.system!r}, which the template refuses ({error})"
            raise UserError(found, "null, or what the template takes", "data.prompt.system") from None
        special = set(tokenizer.all_special_ids) | {i for i, t in tokenizer.added_tokens_decoder.items() if t.special}
        after = tokenizer(rest, add_special_tokens=False, verbose=False)["input_ids"]
        return next((i for i in after if i in special), tokenizer.eos_token_id)

    def _messages(self, prompt: str) -> list[dict[str, str]]:
        system = [] if self.system is None else [{"role": "system", "content": self.system}]
        return [*system, {"role": "user", "content": prompt}]


def chat_of(prompt: Mapping[str, Any]) -> Chat | None:
    """Read `data.prompt` of a config, also of one that was stored before it had a format."""
    return Chat(system=prompt.get("system")) if prompt.get("format", "plain") == "chat" else None


def _shorter(tokenizer: Tokenizer, text: str, tokens: int, side: str) -> str:
    """Cut so many tokens off a text, at least a character."""
    asked = {"add_special_tokens": False, "split_special_tokens": True, "return_offsets_mapping": True}
    places = tokenizer(text, verbose=False, **asked)["offset_mapping"]
    if tokens >= len(places):
        return ""
    if side == "left":
        return text[max(1, places[tokens][0]) :]
    return text[: min(len(text) - 1, places[-tokens - 1][1])]
