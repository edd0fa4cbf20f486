"""HH (Bai et al. 2022, arXiv 2204.05862): reply to the last human turn of a dialogue, with preference pairs.

`Dahoas/rm-static` has prompt and replies apart (Zhu et al. 2023); `Anthropic/hh-rlhf` has two whole dialogues per row.
Nothing is added to a prompt: it ends with "Assistant:", and every reply begins with a space.
"""

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from rftlab.data.parts.counting import Drop
from rftlab.data.parts.pairs import Drop as DropPairs
from rftlab.data.parts.pairs import TextPair, pairs_of_rows
from rftlab.data.parts.rows import Misfit, Rows
from rftlab.data.parts.splits import Origin, Source
from rftlab.data.parts.text import Text, TextDataset
from rftlab.data.worlds import dialogues
from rftlab.ranges import Given, NonNegative, Positive
from rftlab.types import Splits

ASSISTANT = "\n\nAssistant:"
HELD_OUT = 0.05  # of the train split, by the hash of the opening human turn: the hub has no validation split

log = logging.getLogger("rftlab")


def pair(row: Mapping[str, Any]) -> TextPair:
    """Format a row whose prompt and replies stand apart."""
    return TextPair(prompt=row["prompt"], chosen=row["chosen"], rejected=row["rejected"])


def cut(row: Mapping[str, Any]) -> TextPair:
    """Cut two whole dialogues behind the last "Assistant:" that both share.

    Raises:
        Misfit: They share none.
    """
    chosen, rejected = row["chosen"], row["rejected"]
    found = chosen.rfind(ASSISTANT)
    while found >= 0:
        end = found + len(ASSISTANT)
        if rejected.startswith(chosen[:end]):
            return TextPair(prompt=chosen[:end], chosen=chosen[end:], rejected=rejected[end:])
        found = chosen.rfind(ASSISTANT, 0, end - 1)
    raise Misfit("has two dialogues that share no 'Assistant:'", "two replies to one dialogue")


def differ_earlier(row: Mapping[str, Any]) -> bool:
    """Say whether two dialogues differ before their last reply, so that what is cut off holds more turns."""
    chosen, rejected = (row[name].rsplit(ASSISTANT, 1)[0] for name in ("chosen", "rejected"))
    return chosen != rejected


def held_out(dialogue: str) -> bool:
    """Say whether a dialogue is for validation: one opening human turn, one split."""
    opening = dialogue.split(ASSISTANT)[0].strip()
    return int.from_bytes(hashlib.sha256(opening.encode()).digest()[:8]) < HELD_OUT * 2**64


def part(split: str, rows: Rows) -> list[int]:
    """Number the rows of one of our splits."""
    if split == "test":
        return list(range(len(rows)))
    column = "prompt" if "prompt" in rows.columns else "chosen"
    of_validation = rows.column(column, held_out, of_null=lambda: False)  # the row itself is refused or dropped
    return [number for number, held in enumerate(of_validation) if held == (split == "validation")]


def prompt_and_reply(row: Mapping[str, Any]) -> list[Text]:
    """Format a row of `Dahoas/rm-static`: the chosen reply is the target."""
    return [_text(pair(row))]


def prompt_of_dialogues(row: Mapping[str, Any]) -> list[Text]:
    """Format a row of `Anthropic/hh-rlhf` in the same way."""
    return [_text(cut(row))]


def _text(replies: TextPair) -> Text:
    return Text(prompt=replies.prompt, targets=(replies.chosen,))


SPLITS = {"train": "train", "validation": "train", "test": "test"}
NEEDS = "dialogues with many opening turns, as some are held out for validation"
RM_STATIC = TextDataset(
    columns={"prompt": str, "chosen": str, "rejected": str},
    examples=prompt_and_reply,
    bundled=dialogues.rows,
    splits=SPLITS,
    part=part,
    needs=NEEDS,
    empty_targets=True,
)
HH_RLHF = TextDataset(
    columns={"chosen": str, "rejected": str},
    examples=prompt_of_dialogues,
    bundled=dialogues.whole,
    splits=SPLITS,
    part=part,
    needs=NEEDS,
    empty_targets=True,
)


def load(
    *,
    source: Given[Source],
    form: Literal["replies", "dialogues"],
    hub_id: str,
    hub_config: str | None,
    hub_revision: str | None,
    hub_dir: str | None,
    hub_mirror: Given[Path | None],
    drop: Drop,
    drop_pairs: DropPairs,
    n_train: Positive[int] | None,
    n_validation: Positive[int] | None,
    n_test: Positive[int] | None,
    seed: NonNegative[int],
) -> Splits:
    """Load prompts, and the pairs of train and validation; the limits keep a random subset of rows (None = all).

    Raises:
        UserError: an unknown source, anything missing on the hub or in the mirror, or a row of another kind.
    """
    dataset, formed = {"replies": (RM_STATIC, pair), "dialogues": (HH_RLHF, cut)}[form]
    origin = Origin(
        source=source,
        hub_id=hub_id,
        hub_config=hub_config,
        hub_revision=hub_revision,
        hub_mirror=hub_mirror,
        seed=seed,
        hub_dir=hub_dir,
    )
    rows = {split: origin.rows(split, dataset.columns, dataset.bundled) for split in ("train", "test")}
    limits = {"train": n_train, "validation": n_validation, "test": n_test}
    made = {
        split: dataset.examples_of(rows[of_hub], split, limits[split], origin, drop) for split, of_hub in SPLITS.items()
    }
    pairs = {
        split: pairs_of_rows(rows[of_hub], part(split, rows[of_hub]), formed, split, limits[split], origin, drop_pairs)
        for split, of_hub in SPLITS.items()
    }
    responses = {split: pairs[split] for split in ("train", "validation")}  # those of test are counted alone
    if form == "dialogues":
        _tell_earlier(rows["train"])
    return dataset.splits_of(made, origin, drop, responses)


def _tell_earlier(rows: Rows) -> None:
    """Say how many pairs of dialogues differ before the last reply; they are kept, with the turns behind it."""
    found = sum(rows.make(range(len(rows)), differ_earlier, lambda: False))  # nulls are refused or dropped elsewhere
    log.info("%s: %d of %d pairs differ before the last reply", rows.place, found, len(rows))
