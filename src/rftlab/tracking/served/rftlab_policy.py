"""A trained policy as MLflow serves it: prompts in, responses out, read and decoded as in its evaluation.

This file is stored beside the weights and needs torch and transformers alone. Its folder is one of transformers, too.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedTokenizerFast,
)

BATCH = 32  # prompts that are answered together
LOADERS = {"seq2seq": AutoModelForSeq2SeqLM, "causal": AutoModelForCausalLM}
SAID = "\u2603 said \u2603"  # stands for an answer where the end of a turn is looked for


def _load_pyfunc(folder: str) -> "ServedPolicy":
    """Load what MLflow found (the name is MLflow's)."""
    return ServedPolicy(Path(folder))


class ServedPolicy:
    """Answers prompts. `reading.json` says how they are cut and decoded."""

    def __init__(self, folder: Path) -> None:
        self.how: dict[str, Any] = json.loads((folder / "reading.json").read_text())
        self.tokenizer = _tokenizer(folder)
        lm: Any = LOADERS[self.how["family"]].from_pretrained(folder, local_files_only=True, dtype="auto")
        self.lm = lm.to("cuda" if torch.cuda.is_available() else "cpu").eval()
        words = self.tokenizer
        self.pad_id = words.pad_token_id if words.pad_token_id is not None else words.eos_token_id
        self.eos_id = words.eos_token_id if self.how["chat"] is None else self._turn_end()
        self.lm.generation_config = GenerationConfig()  # everything is said by `reading.json`

    def predict(self, model_input: Any, params: Mapping[str, Any] | None = None) -> list[str]:
        """Answer every prompt of a list, an array or the first column of a frame; `seed` draws where it samples."""
        rows = model_input.iloc[:, 0] if hasattr(model_input, "iloc") else model_input
        prompts = [rows] if isinstance(rows, str) else [str(row) for row in rows]
        with torch.random.fork_rng():
            torch.manual_seed(int((params or {}).get("seed", 0)))
            parts = [self._answer(prompts[first : first + BATCH]) for first in range(0, len(prompts), BATCH)]
        return [text for part in parts for text in part]

    @torch.no_grad()
    def _answer(self, prompts: list[str]) -> list[str]:
        left = self.how["family"] == "causal"
        ids, mask = _padded([self._prompt(prompt) for prompt in prompts], self.pad_id, left=left)
        device = self.lm.device
        with torch.autocast(device.type, torch.bfloat16, enabled=self.how["compute_dtype"] == "bfloat16"):
            found = self.lm.generate(
                input_ids=ids.to(device), attention_mask=mask.to(device), generation_config=self._decoding()
            )
        found = found[:, ids.shape[1] :] if left else found[:, 1:]  # the prompt, or the token that starts a decoder
        return [self._text(row.tolist()) for row in found]

    def _decoding(self) -> GenerationConfig:
        start = getattr(self.lm.config, "decoder_start_token_id", None)
        ends = {"eos_token_id": self.eos_id, "pad_token_id": self.pad_id, "decoder_start_token_id": start}
        return GenerationConfig(**self.how["decoding"], **ends)

    def _text(self, ids: list[int]) -> str:
        if self.eos_id in ids:
            ids = ids[: ids.index(self.eos_id)]
        text = self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        places = [place for stop in self.how["stop"] or [] if (place := text.find(stop)) >= 0]
        return text[: min(places)].rstrip() if places else text

    # --- prompts ------------------------------------------------------------------------------------------------------

    def _prompt(self, text: str) -> list[int]:
        most, words = self.how["max_tokens"], self.tokenizer
        if self.how["chat"] is not None:
            return self._chat_prompt(text, most)
        if self.how["family"] == "seq2seq":
            return [*self._cut(text, most - 1), words.eos_token_id]
        begin = [] if words.bos_token_id is None else [words.bos_token_id]
        if words("", verbose=False)["input_ids"][:1] != begin:
            begin = []
        return [*begin, *self._cut(text, most - len(begin))] or [words.eos_token_id]

    def _cut(self, text: str, most: int) -> list[int]:
        """Cut a prompt on its side; an ending that all prompts share stays whole."""
        ids, ending = self._ids(text), self.how["ending"]
        if len(ids) <= most or not ending or not text.endswith(ending):
            return _shortened(ids, most, self.how["side"])
        end = self._ids(ending)
        body = _shortened(self._ids(text.removesuffix(ending)), max(0, most - len(end)), self.how["side"])
        return _shortened([*body, *end], most, "left")

    def _ids(self, text: str) -> list[int]:
        asked = {"add_special_tokens": False, "split_special_tokens": not self.how["marked"], "verbose": False}
        return self.tokenizer(text, **asked)["input_ids"]

    def _chat_prompt(self, text: str, most: int) -> list[int]:
        ids = self._chat(text)
        while text and (beyond := len(ids) - most) > 0:
            text = self._without(text, beyond)
            ids = self._chat(text)
        return ids

    def _chat(self, text: str) -> list[int]:
        asked = {"add_generation_prompt": True, "sanitize_control_tokens": True, "return_dict": False}
        return self.tokenizer.apply_chat_template(self._messages(text), **asked)

    def _messages(self, text: str) -> list[dict[str, str]]:
        system = self.how["chat"]["system"]
        first = [] if system is None else [{"role": "system", "content": system}]
        return [*first, {"role": "user", "content": text}]

    def _without(self, text: str, tokens: int) -> str:
        asked = {"add_special_tokens": False, "split_special_tokens": True, "return_offsets_mapping": True}
        places = self.tokenizer(text, verbose=False, **asked)["offset_mapping"]
        if tokens >= len(places):
            return ""
        if self.how["side"] == "left":
            return text[max(1, places[tokens][0]) :]
        return text[: min(len(text) - 1, places[-tokens - 1][1])]

    def _turn_end(self) -> int:
        """Find the token that ends a turn of the assistant; EOS where the template writes no special one."""
        words = self.tokenizer
        turn = [*self._messages("a"), {"role": "assistant", "content": SAID}]
        rest = str(words.apply_chat_template(turn, tokenize=False)).rpartition(SAID)[2]
        special = set(words.all_special_ids) | {i for i, token in words.added_tokens_decoder.items() if token.special}
        after = words(rest, add_special_tokens=False, verbose=False)["input_ids"]
        return next((i for i in after if i in special), words.eos_token_id)


def _tokenizer(folder: Path) -> Any:
    """Read the rules of `tokenizer.json` as they are; the class that a model type names may have others."""
    kind = PreTrainedTokenizerFast if (folder / "tokenizer.json").exists() else AutoTokenizer
    return kind.from_pretrained(folder, local_files_only=True)


def _shortened(ids: list[int], most: int, side: str) -> list[int]:
    if len(ids) <= most:
        return ids
    return ids[len(ids) - most :] if side == "left" else ids[:most]


def _padded(rows: Iterable[list[int]], pad_id: int, *, left: bool) -> tuple[torch.Tensor, torch.Tensor]:
    rows = list(rows)
    width = max(map(len, rows))
    ids = torch.full((len(rows), width), pad_id)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    for number, row in enumerate(rows):
        place = slice(width - len(row), width) if left else slice(0, len(row))
        ids[number, place] = torch.tensor(row)
        mask[number, place] = 1
    return ids, mask
