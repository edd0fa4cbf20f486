"""Rows, lengths, repetitions and cuts of every dataset of texts: `python -m rftlab.commands.datasets --hub-mirror DIR`.

This writes `docs/datasets.md`. Without a mirror the lines of real rows stay as they stand there. `--diagnoses
OUTPUTS/SWEEP` adds what finished diagnoses found; other lines of diagnoses stay.
"""

import re
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from transformers import PreTrainedTokenizerFast

from rftlab.assets import asset_folder
from rftlab.commands.spectrum import TITLE, diagnosed, joined, section
from rftlab.config.compose import Composer
from rftlab.config.make import make
from rftlab.config.options import CONF, kind_of_data, of_group
from rftlab.data.parts.counting import count
from rftlab.data.parts.pairs import Drop, TextPair
from rftlab.data.parts.pairs import count as count_pairs
from rftlab.types import Example, Splits

PAGE = CONF.parent / "docs" / "datasets.md"
SPLITS = ("train", "validation", "test")
COLUMNS = (
    "dataset", "source", "split", "rows", "words of a prompt", "words of a target", "repeated", "in a later split",
    "empty", "cut prompts", "cut targets",
)  # fmt: skip
PAIR_COLUMNS = (
    "dataset", "source", "split", "pairs", "words of a prompt", "words of the better", "words of the worse", "repeated",
    "identical", "in both orders", "empty",
)  # fmt: skip
FORMS = {"hh-dialogues": ("hh", {"form": "dialogues", "hub_id": "Anthropic/hh-rlhf"})}  # other rows of a dataset
PAIRS_TITLE = "## Preference pairs"
PAIRS = f"""{PAIRS_TITLE}

The pairs of the same loads: of train and validation, as a reward model and DPO learn them. TL;DR has them apart from
its prompts, and so has Stack Exchange those of train (`data/reward`); `n_pairs` is null too. What the hub has of pairs
in other splits is not read: 4 of the 31 comparisons of the mirror that stand there in both orders are among those.

- repeated: the same prompt with the same two replies stood there before.
- in both orders: two such pairs say the opposite of each other, and count as one here.
- `data.loader.drop_pairs.identical|contradicting|empty=true` leaves pairs out.
"""
HEAD = """# Datasets of texts

<!-- Written by `python -m rftlab.commands.datasets --hub-mirror DIR` from conf/ and the rows. -->

What a run sees with `data=NAME` if no limit is set (`data.loader.n_train=null` and so on). Bundled rows are generated.
Rows of the mirror are real; they were read with `data.source=hub paths.hub_mirror=DIR` from a local copy that is often
a part of what the hub has, cut into other splits: no number of theirs is a published one.

The embedded models have read plain texts of all these worlds, some in lower case (src/rftlab/data/corpus.py), and none
in the format of a task: no mark of a speaker, a question, a post or a table, no sentence beside its translation. No
text that they have read is a row.

- words: split at white space; median and 95th percentile. Of targets the first is measured.
- repeated: rows of a split whose prompt and targets stood there before. In a later split: rows that validation or test
  has too; in `validation`, those that test has. They are left out with `data.loader.drop.duplicates=true`.
- empty: the prompt or a target has no character but white space.
- cut: share of the texts that lose tokens at `data.prompt.max_tokens` and `data.target.max_tokens` of `scale=mini`,
  under the embedded tokenizer. Its vocabulary is small, so that real texts have more tokens than under one of the hub.
- `hh-dialogues` is `data=hh data.loader.form=dialogues data.loader.hub_id=Anthropic/hh-rlhf`.
"""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a text may have in tokens, besides what the model adds."""

    prompt: int
    target: int


def names() -> list[str]:
    """List the datasets of texts that the hub has."""
    return [
        name
        for name, said in of_group("data").items()
        if kind_of_data(said) == "text" and "hub_id" in said["loader"] and said["source"] == "bundled"
    ]


def forms() -> list[str]:
    """List the datasets, each with what else it can read behind it."""
    return [form for name in names() for form in (name, *(other for other, (of, _) in FORMS.items() if of == name))]


def hub_id(form: str) -> str:
    """Name what a dataset reads on the hub."""
    return str(_loader(form)[1]["hub_id"])


def _loader(form: str) -> tuple[Mapping[str, Any], dict[str, Any]]:
    """Compose a config, and the arguments of its loader without limits."""
    name, changes = FORMS.get(form, (form, {}))
    config = _config(name)
    loader = config["data"]["loader"]
    return config, loader | {key: None for key in loader if key.startswith("n_")} | changes


def measured(form: str, source: str, mirror: Path | None) -> list[str]:
    """Load all rows of a dataset, and write a line of the table for each split, and one for the pairs of each.

    Raises:
        UserError: The rows cannot be had.
    """
    config, loader = _loader(form)
    data = config["data"]
    splits = make(loader, source=source, hub_mirror=mirror)
    adds_end = config["model"]["policy"]["family"] == "seq2seq"  # its prompts end with EOS
    limits = Limits(
        prompt=data["prompt"]["max_tokens"] - adds_end,
        target=data["target"]["max_tokens"] - data["target"]["append_eos"],
    )
    place = "bundled" if mirror is None else "mirror"
    return [*_lines(form, place, splits, limits), *_pair_lines(form, place, splits)]


def _config(name: str) -> Mapping[str, Any]:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        composer = Composer(GlobalHydra.instance().config_loader())
        return composer.job([f"data={name}", "algo=diagnose"]).config


def _lines(name: str, source: str, splits: Splits, limits: Limits) -> Iterator[str]:
    parts: dict[str, Sequence[Example]] = {split: getattr(splits, split) for split in SPLITS}
    counts = count(parts)
    for split, examples in parts.items():
        prompts = [example.prompt for example in examples]
        targets = [target for example in examples for target in example.targets[:1]]
        numbers = [counts.rows, counts.duplicates, counts.shared, counts.empty]
        rows, repeated, shared, empty = (f"{number[split]:,}" for number in numbers)
        words, shares = (_words(prompts), _words(targets)), (_cut(prompts, limits.prompt), _cut(targets, limits.target))
        yield _line((name, source, split, rows, *words, repeated, shared, empty, *shares))


def _pair_lines(name: str, source: str, splits: Splits) -> Iterator[str]:
    nothing = Drop(identical=False, contradicting=False, empty=False)
    for split, rows in splits.responses.items():
        pairs = [
            TextPair(prompt=better.example.prompt, chosen=better.response, rejected=worse.response)
            for better, worse in zip(rows[::2], rows[1::2], strict=True)
        ]
        found = count_pairs(pairs, nothing)
        texts = ([pair.prompt for pair in pairs], [pair.chosen for pair in pairs], [pair.rejected for pair in pairs])
        numbers = (found.repeated, found.identical, found.contradicting, found.empty)
        yield _line(
            (name, source, f"{split} pairs", f"{found.pairs:,}", *map(_words, texts), *(f"{n:,}" for n in numbers))
        )


def _is_of_pairs(line: str) -> bool:
    return line.split(" | ")[2].endswith(" pairs")


def _words(texts: Sequence[str]) -> str:
    if not texts:
        return "none"
    middle, long = np.percentile([len(text.split()) for text in texts], [50, 95])
    return f"{middle:.0f}, {long:.0f}"


def _cut(texts: Sequence[str], limit: int) -> str:
    """Give the share of texts with more tokens than the limit."""
    if not texts:
        return "none"
    tokenizer = PreTrainedTokenizerFast.from_pretrained(asset_folder("tokenizer"))
    over = sum(len(ids) > limit for ids in tokenizer(list(texts), add_special_tokens=False, verbose=False).input_ids)
    return f"{100 * over / len(texts):.1f} %"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def page(lines: Sequence[str], diagnoses: Sequence[str]) -> str:
    """Write the page, from the lines of rows and those of diagnoses."""
    table = [_line(COLUMNS), _line("---" for _ in COLUMNS), *(line for line in lines if not _is_of_pairs(line))]
    pairs = [_line(PAIR_COLUMNS), _line("---" for _ in PAIR_COLUMNS), *filter(_is_of_pairs, lines)]
    parts = [HEAD, *table, "", PAIRS, *pairs, "", *section(diagnoses, _there(lines))]
    return "\n".join(parts) + "\n"


def _there(lines: Sequence[str]) -> list[tuple[str, str]]:
    """List dataset and source of the lines of rows, each once, without other forms, which nobody diagnoses."""
    found = [tuple(line.strip("| ").split(" | ")[:2]) for line in lines]
    return [(name, source) for name, source in dict.fromkeys(found) if name not in FORMS]


def standing(name: str, source: str) -> list[str]:
    """Return the lines of a dataset and source that the page has of rows."""
    text = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    return re.findall(rf"^\| {name} \| {source} \|.*$", text.partition(TITLE)[0], flags=re.MULTILINE)


def main() -> None:
    """Write the page anew."""
    parser = ArgumentParser(prog="python -m rftlab.commands.datasets", description=__doc__)
    parser.add_argument("--hub-mirror", type=Path, help="a folder laid out as ORG/NAME; what it lacks is left out")
    parser.add_argument(
        "--diagnoses", type=Path, action="append", default=[], help="folder of a sweep of diagnoses; may be repeated"
    )
    options = parser.parse_args()
    mirror = options.hub_mirror
    text = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    diagnoses = joined(text, [line for sweep in options.diagnoses for line in diagnosed(sweep)])
    lines = []
    for name in forms():
        lines += measured(name, "bundled", None)
        if mirror is None:
            lines += standing(name, "mirror")
        elif (mirror / hub_id(name)).is_dir():
            lines += measured(name, "hub", mirror)
    PAGE.write_text(page(lines, diagnoses), encoding="utf-8")


if __name__ == "__main__":
    main()
