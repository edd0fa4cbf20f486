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
from rftlab.types import Example, Splits

PAGE = CONF.parent / "docs" / "datasets.md"
SPLITS = ("train", "validation", "test")
COLUMNS = (
    "dataset", "source", "split", "rows", "words of a prompt", "words of a target", "repeated", "in a later split",
    "empty", "cut prompts", "cut targets",
)  # fmt: skip
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


def measured(name: str, source: str, mirror: Path | None) -> list[str]:
    """Load all rows of a dataset, and write a line of the table for each split.

    Raises:
        UserError: The rows cannot be had.
    """
    config = _config(name)
    data = config["data"]
    loader = data["loader"] | {f"n_{split}": None for split in SPLITS}
    splits = make(loader, source=source, hub_mirror=mirror)
    adds_end = config["model"]["policy"]["family"] == "seq2seq"  # its prompts end with EOS
    limits = Limits(
        prompt=data["prompt"]["max_tokens"] - adds_end,
        target=data["target"]["max_tokens"] - data["target"]["append_eos"],
    )
    return list(_lines(name, "bundled" if mirror is None else "mirror", splits, limits))


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
    table = [_line(COLUMNS), _line("---" for _ in COLUMNS), *lines]
    return "\n".join([HEAD, *table, "", *section(diagnoses, _there(lines))]) + "\n"


def _there(lines: Sequence[str]) -> list[tuple[str, str]]:
    """List dataset and source of the lines of rows, each once."""
    found = [tuple(line.strip("| ").split(" | ")[:2]) for line in lines]
    return [(name, source) for name, source in dict.fromkeys(found)]


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
    for name in names():
        lines += measured(name, "bundled", None)
        if mirror is None:
            lines += standing(name, "mirror")
        elif (mirror / _config(name)["data"]["loader"]["hub_id"]).is_dir():
            lines += measured(name, "hub", mirror)
    PAGE.write_text(page(lines, diagnoses), encoding="utf-8")


if __name__ == "__main__":
    main()
