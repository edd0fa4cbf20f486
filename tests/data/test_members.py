"""What holds for every dataset of the folder; a new one is covered without being named here."""

import inspect
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import datasets
import pytest
from members import MEMBERS, MODULES, ON_HUB, Member, parts, write

from rftlab.data.parts.counting import Drop
from rftlab.data.parts.rows import Kind, Rows, check
from rftlab.data.parts.text import TextDataset
from rftlab.errors import UserError
from rftlab.types import LabelSplits, Splits

LATE = {"source", "hub_mirror"}  # given where the data is loaded, not by the loader's config


@pytest.fixture(params=MEMBERS, ids=lambda member: member.name)
def member(request: pytest.FixtureRequest) -> Member:
    return request.param


@pytest.fixture(params=ON_HUB, ids=lambda member: member.name)
def on_hub(request: pytest.FixtureRequest) -> Member:
    return request.param


@cache
def everything(loader: Callable) -> Splits | LabelSplits:
    """Load all bundled rows of a dataset, once for all tests."""
    return next(member for member in MEMBERS if member.loader is loader).load()


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an empty folder for a mirror, read through a cache of its own."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path / "mirror"


def leaves(kind: Kind, path: tuple = ()) -> Iterator[tuple]:
    """List the paths of all values that a dataset reads; 0 stands for any place in a list."""
    if isinstance(kind, type):
        yield path
    elif isinstance(kind, list):
        yield from leaves(kind[0], (*path, 0))
    else:
        for name, inner in kind.items():
            yield from leaves(inner, (*path, *name.split(".")))


def changed(value: Any, path: tuple, to: Any) -> Any:
    """Copy a value with another one at the end of a path."""
    if not path:
        return to
    if isinstance(value, list):
        return [changed(item, path[1:], to) for item in value]
    return value | {path[0]: changed(value[path[0]], path[1:], to)}


def without(row: dict, path: list[str]) -> dict:
    """Copy a row without the column, or the field of one, at the end of a path."""
    if len(path) == 1:
        return {key: value for key, value in row.items() if key != path[0]}
    return row | {path[0]: without(row[path[0]], path[1:])}


def named(path: tuple) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")


LEAVES = [(member, path) for member in ON_HUB for path in leaves(member.record.columns)]
PLACES = sorted({(member.name, path[:end]) for member, path in LEAVES for end in range(1, len(path) + 1)}, key=str)
COLUMNS = [(member, name) for member in ON_HUB for name in member.record.columns]
SPLITS = [(member, split) for member in ON_HUB for split in member.hub_splits()]


def cases(pairs: list) -> Any:
    ids = [f"{member.name}-{what if isinstance(what, str) else named(what)}" for member, what in pairs]
    return pytest.mark.parametrize(("one", "what"), pairs, ids=ids)


# --- the file and its config --------------------------------------------------------------------------------------


def test_every_loader_of_the_folder_is_named_by_a_config():
    loaders = {
        function
        for module in MODULES
        for name, function in inspect.getmembers(module, inspect.ismethod)
        if name.startswith("load")
    }
    assert loaders == {member.loader for member in MEMBERS}


def test_a_config_gives_what_the_loader_asks_for_and_every_argument_has_a_type(member: Member):
    parameters = member.parameters()
    assert set(member.keys) | LATE == set(parameters)
    assert all(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in parameters.values())
    assert not any(p.annotation is p.empty for p in parameters.values())


def test_a_file_says_in_its_first_line_which_dataset_it_is(member: Member):
    assert member.module.__doc__


# --- bundled rows -------------------------------------------------------------------------------------------------


def test_examples_have_ids_of_their_own(member: Member):
    splits = everything(member.loader)
    if not isinstance(splits, Splits):
        pytest.skip("inputs with labels have no ids")
    ids = [example.id for part in parts(splits).values() for example in part]
    assert len(set(ids)) == len(ids)


def test_bundled_prompts_differ_where_rows_with_one_prompt_would_be_merged(on_hub: Member):
    """Rows made on demand are not merged, since a subset of them is drawn before they are made."""
    if not getattr(on_hub.record, "merged", False):
        pytest.skip("nothing is merged")
    for part in parts(everything(on_hub.loader)).values():
        assert len({example.prompt for example in part}) == len(part)


def test_splits_are_not_empty_and_share_no_item(member: Member):
    items = [
        {(item.prompt, item.targets) if isinstance(splits, Splits) else item[0] for item in part}
        for splits in [everything(member.loader)]
        for part in parts(splits).values()
    ]
    assert all(items)
    assert sum(len(part) for part in items) == len(set().union(*items))


def test_the_same_seed_gives_the_same_rows_and_another_seed_others(member: Member):
    first = parts(member.load(n=30))
    assert parts(member.load(n=30)) == first
    other = parts(member.load(n=30, seed=1))
    assert all(other[split] != items for split, items in first.items())


def test_a_limit_keeps_that_many_rows_of_all_in_their_order(member: Member):
    whole = parts(everything(member.loader))
    for split, items in parts(member.load(n=30)).items():
        assert len(items) == 30
        rest = iter(whole[split])
        assert all(item in rest for item in items)  # each is found behind the one before
        assert (items == whole[split][:30]) == (member not in ON_HUB)  # drawn at random; a corpus is made on demand


def test_each_limit_concerns_its_own_split(member: Member):
    limits = [key for key in member.parameters() if key.startswith("n_")]
    sizes = {key: 12 + place for place, key in enumerate(limits)}
    for split, items in parts(member.load(**sizes)).items():
        assert len(items) == sizes.get(f"n_{split}", sizes.get("n_validation"))


def test_bundled_rows_have_the_columns_that_are_read(on_hub: Member):
    for split in on_hub.hub_splits():
        rows = on_hub.rows(split)
        for row in Rows(data=rows, columns=on_hub.record.columns, place="").make(range(len(rows)), lambda row: row):
            check(row, on_hub.record.columns, "")
        assert len({tuple(row) for row in rows}) == 1


def test_bundled_rows_have_the_schema_of_the_hub_dataset(on_hub: Member):
    where = os.environ.get("RFTLAB_HUB_MIRROR")
    if where is None:
        pytest.skip("set RFTLAB_HUB_MIRROR to a folder with the hub's parquet files to compare schemas")
    for split in on_hub.hub_splits():
        folder = str(Path(where) / on_hub.keys["hub_id"])
        if not Path(folder).is_dir():
            pytest.skip(f"no {on_hub.keys['hub_id']} in the mirror")
        real = datasets.load_dataset(folder, on_hub.keys["hub_config"], split=split)
        rows = on_hub.rows(split)
        assert set(rows[0]) == set(real.column_names)
        made = datasets.Dataset.from_list(rows, features=real.features)  # raises where a value does not fit its type
        assert made.features == real.features
        for one, other, row in zip(made, real, rows, strict=False):
            assert [type(value) for value in one.values()] == [type(value) for value in other.values()]
            texts = {name: value for name, value in row.items() if isinstance(value, str | dict | list)}
            assert {name: one[name] for name in texts} == texts  # equal only if no nested field is missing or extra


# --- rows from the hub --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [None, 20])
def test_rows_of_a_mirror_and_the_same_rows_of_the_world_give_the_same_examples(
    on_hub: Member, mirror: Path, limit: int | None
):
    write(mirror / "org" / "set", {split: on_hub.rows(split, 120) for split in on_hub.hub_splits()})
    short = replace(on_hub.record, bundled=lambda seed, split: on_hub.record.bundled(seed, split)[:120])
    limits = {key: limit for key in on_hub.parameters() if key.startswith("n_")}
    nowhere = {
        "source": "bundled", "hub_id": "", "hub_config": None, "hub_revision": None, "hub_mirror": None, "seed": 0,
    }  # fmt: skip
    if isinstance(on_hub.record, TextDataset):
        nowhere |= {"drop": Drop(duplicates=False, empty=False)}
    bundled, read = short.load(**nowhere, **limits), on_hub.load(mirror, **limits)
    assert (bundled.source, read.source) == ("bundled", "hub")
    assert parts(bundled) == parts(read)


@cases(COLUMNS)
def test_a_missing_column_is_named(one: Member, what: str, mirror: Path):
    rows = [without(row, what.split(".")) or {"other": ""} for row in one.rows(one.hub_splits()[0])]
    write(mirror / "org" / "set", dict.fromkeys(one.hub_splits(), rows))
    found = rf"split '{one.hub_splits()[0]}' of .*org/set has no column {what} .*change data\.loader\.hub_id"
    with pytest.raises(UserError, match=found):
        one.load(mirror)


@cases(LEAVES)
def test_a_value_that_is_missing_or_of_another_kind_is_named_with_its_row(one: Member, what: tuple, mirror: Path):
    split = one.hub_splits()[0]
    rows = one.rows(split)
    features = write(mirror / "org" / "set", dict.fromkeys(one.hub_splits(), rows))
    empty = [changed(row, what, None) for row in rows]
    write(mirror / "org" / "set", dict.fromkeys(one.hub_splits(), empty), features)
    found = rf"row \d+ of split '{split}' of org/set has {{}}={{}}; expected a.*; change data\.loader\.hub_id"
    place = named(what).replace("[", r"\[").replace("]", r"\]")
    with pytest.raises(UserError, match=found.format(place, "None")):
        one.load(mirror)
    wrong = [changed(row, what, [7]) for row in rows]
    write(mirror / "org" / "other", dict.fromkeys(one.hub_splits(), wrong))
    with pytest.raises(UserError, match=found.replace("org/set", "org/other").format(place, r"\[7\]")):
        one.load(mirror, hub_id="org/other")


@pytest.mark.parametrize(("name", "what"), PLACES, ids=[f"{name}-{named(what)}" for name, what in PLACES])
def test_a_null_at_any_depth_of_one_row_is_named_with_split_row_and_column(name: str, what: tuple, mirror: Path):
    one = next(member for member in ON_HUB if member.name == name)
    split = one.hub_splits()[-1]
    rows = one.rows(split, 12)
    features = write(mirror / "org" / "set", dict.fromkeys(one.hub_splits(), rows))
    rows[7] = changed(rows[7], what, None)
    write(mirror / "org" / "set", {s: rows if s == split else one.rows(s, 12) for s in one.hub_splits()}, features)
    place = named(what).replace("[", r"\[").replace("]", r"\]")
    with pytest.raises(UserError, match=rf"row 7 of split '{split}' of org/set has {place}.*None; expected a"):
        one.load(mirror)


@cases(SPLITS)
def test_a_split_that_is_empty_missing_or_without_its_file_is_named(one: Member, what: str, mirror: Path):
    rows = {split: one.rows(split) for split in one.hub_splits()}
    features = write(mirror / "org" / "set", rows)
    write(mirror / "org" / "empty", rows | {what: []}, features)
    with pytest.raises(UserError, match=f"split '{what}' of .*org/empty is empty; expected at least one row"):
        one.load(mirror, hub_id="org/empty")
    (mirror / "org" / "set" / f"{what}.parquet").unlink()
    with pytest.raises(UserError, match=r"org/set cannot be read .*change data\.loader\.hub_id or paths\.hub_mirror"):
        one.load(mirror)
    if len(rows) > 1:
        write(mirror / "org" / "half", {split: part for split, part in rows.items() if split != what})
        with pytest.raises(UserError, match=f"org/half has no split '{what}'"):
            one.load(mirror, hub_id="org/half")


def test_a_mirror_dataset_or_config_that_is_missing_is_named(on_hub: Member, mirror: Path):
    write(mirror / "org" / "set", {split: on_hub.rows(split) for split in on_hub.hub_splits()})
    for changes, found, change in (
        ({"hub_mirror": mirror / "none"}, "no folder .*/none", r"paths\.hub_mirror"),
        ({"hub_id": "org/nothing"}, "no dataset org/nothing in", r"data\.loader\.hub_id"),
        ({"hub_config": "nope"}, "org/set has no config 'nope'", r"data\.loader\.hub_config"),
    ):
        with pytest.raises(UserError, match=f"{found}.*; expected .*; change .*{change}"):
            on_hub.load(mirror, **changes)


def test_an_unknown_source_is_refused_and_a_dataset_that_is_only_generated_has_no_other(member: Member):
    with pytest.raises(UserError, match=r"data\.source=web; expected bundled"):
        member.load(source="web")
    if member not in ON_HUB:
        with pytest.raises(UserError, match=r"data\.source=hub; expected bundled, .*; change data\.source"):
            member.load(source="hub")
