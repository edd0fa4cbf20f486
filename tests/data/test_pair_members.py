"""What holds for every dataset whose rows are preference pairs, and how each formats its rows."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest
from members import PAIRED, Member, write

from rftlab.data import hh, stack_exchange, tldr
from rftlab.data.parts.counting import Drop as DropRows
from rftlab.data.parts.fingerprint import fingerprint
from rftlab.data.parts.pairs import Drop, TextPair
from rftlab.data.worlds import answers, dialogues, posts
from rftlab.errors import UserError
from rftlab.types import Splits

SPLITS = ("train", "validation", "test")
LATE = {"source", "hub_mirror"}
REAL = os.environ.get("RFTLAB_HUB_MIRROR")
REPLIES = {"form": "replies", "hub_id": "Dahoas/rm-static"}
DIALOGUES = {"form": "dialogues", "hub_id": "Anthropic/hh-rlhf"}
VARIANTS = [("hh", REPLIES), ("hh", DIALOGUES), ("tldr", {}), ("stack_exchange", {})]
ids = pytest.mark.parametrize(("name", "changes"), VARIANTS, ids=["hh", "hh-dialogues", "tldr", "stack_exchange"])


def resize(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    for world, words in ((dialogues, "SIZES"), (posts, "SIZES"), (posts, "COMPARED"), (answers, "SIZES")):
        monkeypatch.setattr(world, words, dict.fromkeys(getattr(world, words), rows))


@pytest.fixture(autouse=True)
def small_worlds(monkeypatch: pytest.MonkeyPatch) -> None:
    resize(monkeypatch, 600)


def member(name: str) -> Member:
    return next(one for one in PAIRED if one.name == name)


def load(name: str, mirror: Path | None = None, n: int | None = None, **changes: Any) -> Splits:
    one = member(name)
    keys = {**one.keys, "drop": DropRows(**one.keys["drop"]), "drop_pairs": Drop(**one.keys["drop_pairs"])}
    limits = {key: n for key in one.parameters() if key.startswith("n_")}
    late = {"source": "bundled" if mirror is None else "hub", "hub_mirror": mirror}
    return one.loader(**(keys | limits | late | changes))


def test_pairs_of_the_test_split_are_counted_and_not_learned(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "rftlab"):
        splits = load("hh", n=7)
    assert sum(line.startswith("pairs of split 'test': 7;") for line in caplog.messages) == 1
    assert set(splits.responses) == {"train", "validation"}


def prompts(splits: Splits) -> dict[str, list[str]]:
    return {split: [example.prompt for example in getattr(splits, split)] for split in SPLITS}


@pytest.mark.parametrize("name", [one.name for one in PAIRED])
def test_a_config_gives_what_the_loader_asks_for(name: str) -> None:
    one = member(name)
    assert set(one.keys) | LATE == set(one.parameters())


@ids
def test_splits_share_no_prompt_and_pairs_are_of_train_and_validation(name: str, changes: dict[str, Any]) -> None:
    splits = load(name, **changes)
    found = {split: set(said) for split, said in prompts(splits).items()}
    assert all(found.values())
    assert len(set.union(*found.values())) == sum(map(len, found.values()))
    assert set(splits.responses) == {"train", "validation"}
    asked = {split: {row.example.prompt for row in rows} for split, rows in splits.responses.items()}
    assert not asked["train"] & (asked["validation"] | found["validation"] | found["test"])
    for rows in splits.responses.values():
        assert [row.score for row in rows] == [1.0, 0.0] * (len(rows) // 2)
        assert all(one.example is other.example for one, other in zip(rows[::2], rows[1::2], strict=True))


@ids
def test_the_same_seed_gives_the_same_rows_and_limits_keep_some(name: str, changes: dict[str, Any]) -> None:
    first = load(name, n=20, **changes)
    assert fingerprint(load(name, n=20, **changes)) == fingerprint(first)
    other = fingerprint(load(name, n=20, **changes, seed=1))
    assert all(other[key] != value for key, value in fingerprint(first).items())
    assert {split: len(said) for split, said in prompts(first).items()} == dict.fromkeys(SPLITS, 20)
    assert {split: len(rows) for split, rows in first.responses.items()} == {"train": 40, "validation": 40}


def mirrored(folder: Path, name: str, change: Callable[[list[dict]], list[dict]] = lambda rows: rows) -> None:
    """Lay out bundled rows as the hub has them, 150 of each split."""

    def part(rows: Any) -> list[dict]:
        return change([dict(row) for row in list(rows)[:150]])

    if name == "hh":
        write(folder / "Dahoas/rm-static", {s: part(dialogues.rows(0, s)) for s in ("train", "test")})
        write(folder / "Anthropic/hh-rlhf", {s: part(dialogues.whole(0, s)) for s in ("train", "test")})
    elif name == "tldr":
        write(folder / tldr_ids()[0], {s: part(posts.rows(0, s)) for s in ("train", "valid", "test")})
        write(folder / tldr_ids()[1], {s: part(posts.comparisons(0, s)) for s in ("train", "valid1")})
    else:
        for stage in ("finetune", "reward", "rl", "evaluation"):
            where = folder / "lvwerra/stack-exchange-paired" / "data" / stage
            where.mkdir(parents=True)
            datasets.Dataset.from_list(part(answers.rows(0, stage))).to_parquet(where / "train-00000-of-00001.parquet")


def tldr_ids() -> tuple[str, str]:
    keys = member("tldr").keys
    return keys["hub_id"], keys["pairs_hub_id"]


@ids
def test_rows_of_a_mirror_are_formatted_as_those_of_the_world(
    name: str, changes: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirrored(tmp_path, name)
    resize(monkeypatch, 150)
    read, made = load(name, tmp_path, **changes), load(name, **changes)
    assert (read.source, made.source) == ("hub", "bundled")
    assert fingerprint(read) == fingerprint(made)


@ids
def test_a_missing_column_and_a_missing_value_are_named(name: str, changes: dict[str, Any], tmp_path: Path) -> None:
    worse = "response_k" if name == "stack_exchange" else "rejected"
    if name == "tldr":  # of both datasets the column `prompt`
        worse = "prompt"
    mirrored(tmp_path / "a", name, lambda rows: [{k: v for k, v in row.items() if k != worse} for row in rows])
    with pytest.raises(UserError, match=f"has no column {worse}"):
        load(name, tmp_path / "a", **changes)
    mirrored(tmp_path / "b", name, lambda rows: [row | {worse: None} if i == 7 else row for i, row in enumerate(rows)])
    with pytest.raises(UserError, match=f"has {worse}=None; expected a text"):
        load(name, tmp_path / "b", **changes)


# --- formats ------------------------------------------------------------------------------------------------------


def test_a_reply_follows_assistant_as_it_stands_there() -> None:
    row = {"prompt": "\n\nHuman: Why?\n\nAssistant:", "chosen": " So.", "rejected": " No."}
    (text,) = hh.prompt_and_reply(row)
    assert (text.prompt, text.targets) == ("\n\nHuman: Why?\n\nAssistant:", (" So.",))
    assert hh.pair(row) == TextPair(prompt=text.prompt, chosen=" So.", rejected=" No.")


@pytest.mark.parametrize(
    ("chosen", "rejected", "prompt", "earlier"),
    [
        ("\n\nHuman: a\n\nAssistant: b", "\n\nHuman: a\n\nAssistant: c", "\n\nHuman: a\n\nAssistant:", False),
        ("\n\nHuman: a\n\nAssistant: b", "\n\nHuman: a\n\nAssistant: b", "\n\nHuman: a\n\nAssistant:", False),
        (
            "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant: d",
            "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant:",
            "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant:",
            False,
        ),
        (
            "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant: d",
            "\n\nHuman: a\n\nAssistant: e\n\nHuman: c\n\nAssistant: d",
            "\n\nHuman: a\n\nAssistant:",
            True,
        ),
    ],
)
def test_dialogues_are_cut_behind_the_last_assistant_that_both_share(
    chosen: str, rejected: str, prompt: str, earlier: bool
) -> None:
    row = {"chosen": chosen, "rejected": rejected}
    found = hh.cut(row)
    assert (found.prompt, found.prompt + found.chosen, found.prompt + found.rejected) == (prompt, chosen, rejected)
    assert hh.differ_earlier(row) == earlier


def test_dialogues_that_share_no_assistant_are_refused(tmp_path: Path) -> None:
    rows = dialogues.whole(0, "train")[:40]
    rows[5] = rows[5] | {"rejected": "\n\nHuman: other\n\nAssistant: no"}
    write(tmp_path / "Anthropic/hh-rlhf", {"train": rows, "test": rows})
    with pytest.raises(UserError, match="row 5 of split 'train' of Anthropic/hh-rlhf has two dialogues that share no"):
        load("hh", tmp_path, **DIALOGUES)


def test_an_empty_reply_is_no_error_and_is_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="rftlab")
    rows = dialogues.rows(0, "train")[:40]
    rows[3] = rows[3] | {"chosen": "", "response": ""}
    write(tmp_path / "Dahoas/rm-static", {"train": rows, "test": rows})
    splits = load("hh", tmp_path)
    assert [e.targets for part in (splits.train, splits.validation) for e in part].count(("",)) == 1
    told = [line for line in caplog.messages if ", 1 with an empty reply" in line]
    assert len(told) == 2 and sum("of split 'test'" in line for line in told) == 1
    assert sum("empty or with a null: train 1" in line or "null: validation 1" in line for line in caplog.messages) == 1
    dropped = load("hh", tmp_path, drop=DropRows(duplicates=False, empty=True))
    assert len(dropped.train) + len(dropped.validation) == 39
    assert sum(map(len, dropped.responses.values())) == 80  # pairs have a key of their own


REPEATED = DropRows(duplicates=True, empty=False)


@ids
def test_a_load_says_in_one_line_what_stands_out_and_drops_it_where_asked_for(
    name: str, changes: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="rftlab")
    mirrored(tmp_path, name, lambda rows: [*rows, *rows])
    splits = load(name, tmp_path, **changes)
    (line,) = (line for line in caplog.messages if line.startswith("rows of "))
    assert line.startswith(f"rows of {changes.get('hub_id', member(name).keys['hub_id'])}: train {len(splits.train)}, ")
    assert line.endswith("empty or with a null: 0; dropped: 0")
    caplog.clear()
    once = load(name, tmp_path, **changes, drop=REPEATED)
    gone = sum(len(getattr(splits, split)) - len(getattr(once, split)) for split in SPLITS)
    assert gone * 2 >= len(splits.train) + len(splits.validation) + len(splits.test)  # some stood there twice before
    assert sum(line.endswith(f"dropped: {gone}") for line in caplog.messages) == 1
    assert len({(e.prompt, e.targets) for e in once.train}) == len(once.train)


@pytest.mark.parametrize(("name", "column"), [("tldr", "label"), ("stack_exchange", "response_j")])
def test_an_empty_target_is_refused_and_the_key_that_the_refusal_names_drops_it(
    name: str, column: str, tmp_path: Path
) -> None:
    mirrored(
        tmp_path,
        name,
        lambda rows: [row | {column: " "} if i == 7 and column in row else row for i, row in enumerate(rows)],
    )
    with pytest.raises(
        UserError, match=r"row 7 of .* has an empty target .*or data\.loader\.drop\.empty=true to leave"
    ):
        load(name, tmp_path)
    assert "drop" in member(name).keys
    assert len(load(name, tmp_path, drop=DropRows(duplicates=False, empty=True)).train) == 149


@ids
def test_a_pair_with_a_null_is_refused_with_its_key_and_dropped_by_it(
    name: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    worse = "response_k" if name == "stack_exchange" else "rejected"
    mirrored(
        tmp_path,
        name,
        lambda rows: [row | {worse: None} if i == 7 and worse in row else row for i, row in enumerate(rows)],
    )
    rows = DropRows(duplicates=False, empty=True)
    with pytest.raises(UserError, match=rf"row 7 .* has {worse}=None; .*data\.loader\.drop_pairs\.empty=true to leave"):
        load(name, tmp_path, **changes, drop=rows)
    made = load(name, tmp_path, **changes, drop=rows, drop_pairs=Drop(identical=False, contradicting=False, empty=True))
    assert all(row.example.prompt for rows in made.responses.values() for row in rows)


def test_one_opening_turn_is_in_one_split() -> None:
    again = "\n\nHuman: Why?\n\nAssistant: So.\n\nHuman: And?\n\nAssistant:"
    assert hh.held_out("\n\nHuman: Why?\n\nAssistant:") == hh.held_out(again)
    share = sum(hh.held_out(f"\n\nHuman: {i}\n\nAssistant:") for i in range(4000)) / 4000
    assert 0.04 < share < 0.06


def test_a_post_ends_with_its_mark_whatever_stands_behind_it() -> None:
    (text,) = tldr.examples({"prompt": "SUBREDDIT: r/a\nPOST: b \nTL;DR:", "label": "c"})
    assert (text.prompt, text.targets) == ("SUBREDDIT: r/a\nPOST: b\nTL;DR:", ("c",))
    row = {"prompt": "SUBREDDIT: r/a\nPOST: b ", "chosen": "TL;DR:  c", "rejected": "TL;DR: d TL;DR: e"}
    assert tldr.pair(row) == TextPair(prompt=text.prompt, chosen="  c", rejected=" d TL;DR: e")


def test_a_question_is_asked_as_in_stackllama() -> None:
    row = {"qid": 3, "question": "Why?", "response_j": "So.", "response_k": "No."}
    (text,) = stack_exchange.examples(row)
    assert (text.prompt, text.targets) == ("Question: Why?\n\nAnswer: ", ("So.",))
    assert stack_exchange.pair(row) == TextPair(prompt=text.prompt, chosen="So.", rejected="No.")


@pytest.mark.parametrize(
    ("votes", "accepted", "score"),
    [(-3, True, -1), (0, False, 0), (0, True, 1), (3, False, 2), (7, True, 4), (9, False, 3)],
)
def test_upvotes_are_scored_as_in_stackllama(votes: int, accepted: bool, score: int) -> None:
    assert answers.upvote_score(votes, accepted) == score


# --- real rows ----------------------------------------------------------------------------------------------------

GOLD = [  # fingerprints of all formatted rows of the mirror
    {
        "train": "db292184fa9938a8",
        "validation": "64b5f7f03382057e",
        "test": "3d215a571f1740fe",
        "responses of train": "a4513b840f610eaf",
        "responses of validation": "9649a27576c63204",
    },
    {
        "train": "f91abaf49d4ce056",
        "validation": "4b815ef580488b34",
        "test": "86e212d44c523b3f",
        "responses of train": "39d4d60552b550c1",
        "responses of validation": "fc899519f0f6db4d",
    },
    {
        "train": "be827d97f58ce582",
        "validation": "a7f9939206bb8c20",
        "test": "45498807faefa3c1",
        "responses of train": "b50262781c7e8682",
        "responses of validation": "08f63546fa941a9b",
    },
    {
        "train": "1df2aa69c1173e0b",
        "validation": "7b58346e1266302a",
        "test": "d92ec09a5dc13fd0",
        "responses of train": "cabdbe7ba685c731",
        "responses of validation": "3a8387659bdeeda5",
    },
]
needs_mirror = pytest.mark.skipif(REAL is None, reason="set RFTLAB_HUB_MIRROR to a folder with the hub's parquet files")


@needs_mirror
@pytest.mark.parametrize(
    ("hub_id", "folder", "split", "rows"),
    [
        ("Dahoas/rm-static", None, "train", dialogues.rows(0, "train")[:5]),
        ("Anthropic/hh-rlhf", "helpful-base", "train", dialogues.whole(0, "train")[:5]),
        ("CarperAI/openai_summarize_tldr", None, "valid", posts.rows(0, "valid")[:5]),
        ("CarperAI/openai_summarize_comparisons", None, "valid1", posts.comparisons(0, "valid1")[:5]),
        ("lvwerra/stack-exchange-paired", "data/rl", "train", answers.rows(0, "rl")[:5]),
    ],
)
def test_bundled_rows_have_the_schema_of_the_hub_dataset(
    hub_id: str, folder: str | None, split: str, rows: list[dict]
) -> None:
    real = datasets.load_dataset(str(Path(str(REAL)) / hub_id), data_dir=folder, split=split)
    assert set(rows[0]) == set(real.column_names)
    assert datasets.Dataset.from_list(rows, features=real.features).features == real.features


@needs_mirror
@pytest.mark.parametrize(
    ("name", "changes", "golden"),
    [
        ("hh", REPLIES, GOLD[0]),
        ("hh", DIALOGUES, GOLD[1]),
        ("tldr", {}, GOLD[2]),
        ("stack_exchange", {}, GOLD[3]),
    ],
)
def test_real_rows_are_formatted_as_they_were(name: str, changes: dict[str, Any], golden: dict[str, str]) -> None:
    splits = load(name, Path(str(REAL)), **changes)
    ends = {"hh": "\n\nAssistant:", "tldr": "\nTL;DR:", "stack_exchange": "\n\nAnswer: "}
    assert all(prompt.endswith(ends[name]) for said in prompts(splits).values() for prompt in said)
    if name == "hh":
        replies = [row.response for rows in splits.responses.values() for row in rows]
        assert all(text.startswith(" ") or not text for text in replies)
    assert fingerprint(splits) == golden
