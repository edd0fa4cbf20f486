"""NarrativeQA (Kocisky et al. 2018) in UnifiedQA's format: question, a literal `\\n`, summary."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from rftlab.data.hub import check_source, read_split, take
from rftlab.data.worlds import stories
from rftlab.data.worlds.grammar import generator
from rftlab.errors import UserError
from rftlab.ranges import Given, NonNegative, Positive
from rftlab.types import Example, Splits

COLUMNS = ("document", "question", "answers")


def load(
    *,
    source: Given[str],
    hub_id: str,
    hub_config: str | None,
    hub_mirror: Given[Path | None],
    n_train: Positive[int] | None,
    n_validation: Positive[int] | None,
    n_test: Positive[int] | None,
    seed: NonNegative[int],
) -> Splits:
    """Load the three splits as prompts with all their answers.

    The `n_*` limits keep a random subset of the distinct prompts (drawn from `seed`, in the dataset's order; None =
    all); with `source=bundled` the seed also generates the rows.

    Raises:
        UserError: an unknown source, anything missing on the hub or in the mirror, or rows without an answer.
    """
    check_source(source)
    limits = {"train": n_train, "validation": n_validation, "test": n_test}

    def examples(split: str) -> list[Example]:
        rng = generator(seed, "subset", split)
        if source == "bundled":  # every row has a prompt of its own, so that the subset is drawn before it is written
            numbers = take(range(stories.SIZES[split]), limits[split], rng, split)
            asked = group_prompts(stories.rows(seed, split, numbers), split)
            return [replace(e, id=f"{split}-{number}") for number, e in zip(numbers, asked, strict=True)]
        rows = read_split(hub_id, hub_config, split, hub_mirror, COLUMNS)
        return take(group_prompts(rows, split), limits[split], rng, split)

    return Splits(train=examples("train"), validation=examples("validation"), test=examples("test"), source=source)


def group_prompts(rows: Iterable[Mapping], split: str) -> list[Example]:
    """Turn rows into examples; rows with the same prompt become one example with the answers of all."""
    answers: dict[str, list[str]] = {}
    for row in rows:
        prompt, targets = to_texts(row)
        known = answers.setdefault(prompt, [])
        known.extend(target for target in targets if target not in known)
    unanswered = next((prompt for prompt, targets in answers.items() if not targets), None)
    if unanswered is not None:
        raise UserError(
            f"a row of split '{split}' has no answer text (its prompt starts with '{unanswered[:60]}')",
            "at least one answer per question, since the reward compares with answers",
            "data.loader.hub_id or paths.hub_mirror to rows with answers, or data.source=bundled",
        )
    return [
        Example(id=f"{split}-{number}", prompt=prompt, targets=tuple(targets))
        for number, (prompt, targets) in enumerate(answers.items())
    ]


def to_texts(row: Mapping) -> tuple[str, tuple[str, ...]]:
    """Format one row of the hub's schema: the prompt and its answers, all in lower case.

    The prompt is question, space, backslash, `n`, space, summary without newlines, space: the two characters `\\n`
    are part of the text, as in UnifiedQA's files.
    """
    summary = row["document"]["summary"]["text"].replace("\n", "")
    prompt = f"{row['question']['text']} \\n {summary} ".lower()
    texts = (answer["text"].lower().strip() for answer in row["answers"])
    return prompt, tuple(text for text in texts if text)
