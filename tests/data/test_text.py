"""From rows to examples: one or several per row, merged prompts, parts of splits, and rows that are refused."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

import pytest

from rftlab.data.parts.counting import Drop
from rftlab.data.parts.rows import Misfit
from rftlab.data.parts.splits import Origin
from rftlab.data.parts.text import Text, TextDataset
from rftlab.data.worlds.grammar import Generated
from rftlab.errors import UserError
from rftlab.types import Splits

NOTHING = Drop(duplicates=False, empty=False)
ORIGIN = Origin(source="bundled", hub_id="org/talk", hub_config=None, hub_mirror=None, seed=0)


def turns(row: Mapping) -> list[Text]:
    """Make one text per answered turn."""
    said = row["turns"]
    return [Text(prompt=first, targets=(then,)) for first, then in pairwise(said)]


def talks(seed: int, split: str) -> list[dict]:
    return [{"turns": [f"{split} {n}", "Hello.", "How are you?", f"Fine, {n}."]} for n in range(20)]


TALKS = TextDataset(columns={"turns": [str]}, examples=turns, bundled=talks, merged=True)


def load(dataset: TextDataset, n: int | None = None) -> Splits:
    at = {name: value for name, value in vars(ORIGIN).items() if name != "hub_dir"}
    return dataset.load(**at, n_train=n, n_validation=None, n_test=None, drop=NOTHING)


def test_a_row_may_give_several_examples_and_the_same_prompts_become_one():
    examples = {example.prompt: example for example in load(TALKS).train}
    assert len(examples) == len({example.id for example in examples.values()}) == 22  # 20 beginnings and two replies
    assert examples["Hello."].targets == ("How are you?",)
    assert examples["How are you?"].targets == tuple(f"Fine, {n}." for n in range(20))


def test_a_limit_counts_examples_not_rows():
    some, everything = load(TALKS, 21).train, load(TALKS).train
    assert len(some) == 21
    assert all(example in everything for example in some)


def test_only_the_rows_of_a_subset_are_generated():
    made: list[int] = []

    def world(seed: int, split: str) -> Generated[dict]:
        return Generated(lambda n: made.append(n) or {"turns": [f"{split} {n}", "Hello."]}, 50)

    splits = replace(TALKS, bundled=world).load(**vars(ORIGIN), n_train=3, n_validation=2, n_test=1, drop=NOTHING)
    assert len(made) == 6
    assert [example.id for example in splits.train] == [f"train-{n}" for n in made[:3]]


def test_a_part_gives_the_rows_of_a_split_and_their_order():
    backwards = replace(TALKS, merged=False, examples=lambda row: turns(row)[:1], part=lambda _, rows: range(9, 2, -1))
    assert [(example.id, example.prompt) for example in load(backwards).train[:2]] == [
        ("train-0", "train 9"),
        ("train-1", "train 8"),
    ]


def test_a_part_without_rows_is_refused_in_the_words_of_the_dataset():
    with pytest.raises(
        UserError, match="no row of split 'train' of org/talk is left for split 'train'; expected talks"
    ):
        load(replace(TALKS, part=lambda split, rows: [], needs="talks"))


def test_a_row_that_a_dataset_refuses_is_named_with_the_key_to_change():
    def picky(row: Mapping) -> list[Text]:
        if row["turns"][0].endswith("7"):
            raise Misfit("begins with an odd turn", "an even one")
        return turns(row)

    found = (
        "row 7 of split 'train' of org/talk begins with an odd turn; expected an even one; change data.loader.hub_id"
    )
    with pytest.raises(UserError, match=found):
        load(replace(TALKS, examples=picky))
