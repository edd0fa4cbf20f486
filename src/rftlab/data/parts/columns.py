"""Rows of the user's own, read by the names of their columns: prompts, gold texts, scored responses, pairs."""

import hashlib
import logging
import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from rftlab.data.parts.counting import distinct, later
from rftlab.data.parts.pairs import Drop, TextPair, scored
from rftlab.data.parts.splits import take
from rftlab.data.worlds.grammar import generator
from rftlab.errors import UserError
from rftlab.ranges import UnitInterval
from rftlab.types import Example, ScoredText, Splits

SPLITS = ("train", "validation", "test")
KEY = "data.loader.drop_empty"
DUPLICATES = "data.loader.drop_duplicates"

Said = tuple[str, tuple[str, ...], tuple[str, float] | None, TextPair | None]

log = logging.getLogger("rftlab")


@dataclass(frozen=True, kw_only=True)
class Columns:
    """What the columns are called; None where there is no such column."""

    prompt: str
    target: str | None
    response: str | None
    score: str | None
    chosen: str | None
    rejected: str | None
    split: str | None

    def named(self) -> dict[str, str]:
        """Map what is read to the column that it is read from."""
        return {word: name for word, name in vars(self).items() if name is not None}


@dataclass(frozen=True, kw_only=True)
class Names:
    """What our three splits are called in the data; None where it has no such split, which is then dealt from train."""

    train: str
    validation: str | None
    test: str | None

    def of_ours(self) -> dict[str, str | None]:
        """Map each of our splits to its name."""
        return {split: getattr(self, split) for split in SPLITS}

    def lacking(self) -> list[str]:
        """List our splits that the data does not have."""
        return [split for split, name in self.of_ours().items() if name is None]


@dataclass(frozen=True, kw_only=True)
class Shares:
    """How prompts of train are dealt to splits that the data does not have; all rows of one prompt go to one split."""

    validation: UnitInterval[float]
    test: UnitInterval[float]
    seed: int


@dataclass(frozen=True, kw_only=True)
class Row:
    """What a row says."""

    prompt: str
    targets: tuple[str, ...]
    response: tuple[str, float] | None
    pair: TextPair | None
    split: str | None

    @property
    def said(self) -> Said:
        """Return all that rows are told apart by, whatever split they stand in."""
        return self.prompt, self.targets, self.response, self.pair


@dataclass(frozen=True, kw_only=True)
class OwnRows:
    """Rows as mappings, with the names of their columns and words for errors."""

    rows: Sequence[Mapping[str, Any]]
    columns: Columns
    place: str  # which rows these are, for errors

    def require(self, has: Sequence[str]) -> None:
        """Refuse rows without a column that is named.

        Raises:
            UserError: A column is missing.
        """
        for word, name in self.columns.named().items():
            if name not in has:
                found = f"{self.place} has no column '{name}' (it has {', '.join(has) or 'none'})"
                raise UserError(found, "a column of it", _key(word))

    def read(self, drop_empty: bool) -> list[Row]:
        """Form every row; with `drop_empty` those with a null or without a text are left out, and counted in the log.

        Without it a null or an empty target is refused; prompts and replies of pairs without a text are counted.

        Raises:
            UserError: A value that is missing or of another kind, or an empty target.
        """
        empty = {number: word for number, row in self._numbered() if (word := self._without(row, drop_empty))}
        if empty and not drop_empty:
            number, word = next(iter(empty.items()))
            name = self.columns.named()[word]
            raise self._error(
                number,
                f"has {_lack(self.rows[number - 1], word, name)}; {len(empty)} of {len(self.rows)} rows lack something",
                "a text" if word != "score" else "a number",
                f"the rows, {_key(word)}, or {KEY}=true to leave them out",
            )
        if empty:
            said = "%s: %d of %d rows have a null, or a prompt or target without a text, and are dropped"
            log.info(said, self.place, len(empty), len(self.rows))
        if len(empty) == len(self.rows):
            raise UserError(f"{KEY} leaves no row of {self.place}", "at least one", f"{KEY}, or the rows")
        return [self._formed(number, row) for number, row in self._numbered() if number not in empty]

    def _numbered(self) -> Iterator[tuple[int, Mapping[str, Any]]]:
        return enumerate(self.rows, start=1)

    def _without(self, row: Mapping[str, Any], strict: bool) -> str | None:
        """Say which column of a row holds a null, or a target without a text; if `strict`, also an empty prompt.

        Chosen replies are targets where no column says so, but as replies of pairs they count only if `strict`.
        """
        names = self.columns
        for word, name in names.named().items():
            value = row.get(name)
            parts = value if word == "target" and isinstance(value, list) else [value]
            if not parts or any(part is None for part in parts) or (word == "score" and value == ""):
                return word
            is_target = word == "target" or (strict and word == "chosen" and names.target is None)
            blank = any(isinstance(part, str) and not part.strip() for part in parts)
            if blank and (is_target or (strict and word == "prompt")):
                return word
        return None

    def _formed(self, number: int, row: Mapping[str, Any]) -> Row:
        names = self.columns
        prompt = self._text(number, row, names.prompt)
        targets = () if names.target is None else self._targets(number, row, names.target)
        response = pair = None
        if names.response is not None and names.score is not None:
            response = (self._text(number, row, names.response), self._score(number, row, names.score))
        if names.chosen is not None and names.rejected is not None:
            chosen, rejected = (self._text(number, row, name) for name in (names.chosen, names.rejected))
            pair = TextPair(prompt=prompt, chosen=chosen, rejected=rejected)
            targets = (chosen,) if names.target is None else targets
        split = None if names.split is None else self._text(number, row, names.split)
        return Row(prompt=prompt, targets=targets, response=response, pair=pair, split=split)

    def _text(self, number: int, row: Mapping[str, Any], name: str) -> str:
        value = row.get(name)
        if not isinstance(value, str):
            raise self._error(
                number, f"has {name}={_short(value)}", "a text", f"the rows, or another column than {name}"
            )
        return value

    def _targets(self, number: int, row: Mapping[str, Any], name: str) -> tuple[str, ...]:
        value = row.get(name)
        given = value if isinstance(value, list) else [value]
        texts = [text for text in given if isinstance(text, str)]
        if len(texts) < len(given):
            raise self._error(number, f"has {name}={_short(value)}", "a text, or a list of texts", "data.target.column")
        return tuple(texts)

    def _score(self, number: int, row: Mapping[str, Any], name: str) -> float:
        value = row.get(name)
        try:
            score = math.nan if value is None or isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            score = math.nan
        if not math.isfinite(score):
            raise self._error(
                number, f"has {name}={_short(value)}", "a finite number", "the rows, or data.score.column"
            )
        return score

    def _error(self, number: int, found: str, expected: str, change: str) -> UserError:
        return UserError(f"row {number} of {self.place} {found}", expected, change)


def deal(rows: Sequence[Row], shares: Shares, held: Collection[str]) -> dict[str, list[Row]]:
    """Deal prompts to train and to the splits that are `held` out, by their hash, so that more rows move few prompts.

    Each share above 0 has one prompt at least.

    Raises:
        UserError: There are fewer prompts than splits.
    """
    keys = {prompt: _hash(shares.seed, prompt) for prompt in dict.fromkeys(row.prompt for row in rows)}
    order = sorted(keys, key=keys.__getitem__)
    sizes = {
        split: max(1, round(share * len(order))) if (share := getattr(shares, split)) > 0 and split in held else 0
        for split in ("validation", "test")
    }
    if sum(sizes.values()) >= len(order):
        found = f"{len(order)} different prompts, of which {sizes['validation']} and {sizes['test']} would be held out"
        raise UserError(found, "at least one left for training", "data.loader.shares, or data.path to more rows")
    held_out = dict.fromkeys(order[: sizes["validation"]], "validation")
    held_out |= dict.fromkeys(order[len(order) - sizes["test"] :], "test")
    dealt: dict[str, list[Row]] = {split: [] for split in SPLITS if split == "train" or split in held}
    for row in rows:
        dealt[held_out.get(row.prompt, "train")].append(row)
    return dealt


def splits_of(
    dealt: Mapping[str, Sequence[Row]],
    limits: Mapping[str, int | None],
    drop: Drop,
    drop_duplicates: bool,
    seed: int,
    source: str,
    place: str,
) -> Splits:
    """Make the examples of each split, one per prompt with the targets of all its rows, and tell what there is.

    Scored responses of one prompt share its example; a pair is compared with nothing else. A limit counts prompts, and
    the responses are those to the prompts that are kept.

    Raises:
        UserError: Without duplicates nothing is left of a split.
    """
    made: dict[str, list[Example]] = {}
    responses: dict[str, list[ScoredText]] = {}
    said = {split: {row.said for row in dealt[split]} for split in SPLITS}
    left = dict(dealt)
    if drop_duplicates:  # of equal rows the first of the last split stays, so that no test row is lost
        left = {split: distinct(dealt[split], attrgetter("said"), later(said, split)) for split in SPLITS}
    for split in SPLITS:
        rows = left[split]
        if not rows and dealt[split]:
            raise UserError(f"{DUPLICATES} leaves no row of split '{split}'", "at least one", DUPLICATES)
        examples = take(_examples(rows, split), limits[split], generator(seed, "subset", split), split)
        made[split] = examples
        known = {example.prompt: example for example in examples}
        mine = [row for row in rows if row.prompt in known]
        pairs = [row.pair for row in mine if row.pair is not None]
        found = scored(pairs, split, drop) if pairs else []
        found += [
            ScoredText(example=known[row.prompt], response=row.response[0], score=row.response[1])
            for row in mine
            if row.response is not None
        ]
        if found and split != "test":
            responses[split] = found
    _tell(dealt, said, left, made, place)
    train, validation, test = (made[split] for split in SPLITS)
    return Splits(train=train, validation=validation, test=test, source=source, responses=responses)


def _examples(rows: Sequence[Row], split: str) -> list[Example]:
    targets: dict[str, dict[str, None]] = {}
    for row in rows:
        targets.setdefault(row.prompt, {}).update(dict.fromkeys(row.targets))
    return [
        Example(id=f"{split}-{place}", prompt=prompt, targets=tuple(found))
        for place, (prompt, found) in enumerate(targets.items())
    ]


def _tell(
    dealt: Mapping[str, Sequence[Row]],
    said: Mapping[str, set[Said]],
    left: Mapping[str, Sequence[Row]],
    made: Mapping[str, Sequence[Example]],
    place: str,
) -> None:
    """Say in one line how many rows and prompts there are, what stands there twice, and what was left out."""
    seen = Counter(prompt for rows in dealt.values() for prompt in {row.prompt for row in rows})
    sizes = ", ".join(f"{split} {len(examples)}" for split, examples in made.items())
    rows, twice = sum(map(len, dealt.values())), sum(n > 1 for n in seen.values())
    blank = sum(not prompt.strip() for prompt in seen)
    repeated = rows - sum(map(len, said.values()))
    both = sum(len(found & later(said, split)) for split, found in said.items())
    scores = Counter((prompt, response[0]) for prompt, _, response, _ in set().union(*said.values()) if response)
    unsure = sum(n > 1 for n in scores.values())
    log.info(
        "%s: %d rows, %d different prompts (%s); rows that repeat one before: %d, that a later split has too: %d;"
        " prompts in two splits: %d, empty: %d; responses with two scores: %d; duplicates dropped: %d",
        place, rows, len(seen), sizes, repeated, both, twice, blank, unsure, rows - sum(map(len, left.values())),
    )  # fmt: skip


def by_split(rows: Sequence[Row], names: Names, column: str, place: str) -> dict[str, list[Row]]:
    """Put rows where their split column says; rows of other splits are left out, which the log says, with their names.

    Raises:
        UserError: A split has no row.
    """
    dealt: dict[str, list[Row]] = {}
    for split, name in names.of_ours().items():
        if name is None:
            continue
        dealt[split] = [row for row in rows if row.split == name]
        if not dealt[split]:
            there = ", ".join(sorted({str(row.split) for row in rows})[:10])
            found = f"no row of {place} with '{name}' in column '{column}' (it has {there})"
            raise UserError(found, "the names of its splits", key_of_name(split))
    if left := Counter(str(row.split) for row in rows if row.split not in names.of_ours().values()):
        told = ", ".join(f"{name} {count}" for name, count in left.most_common(10))
        log.warning("rows of %s in splits that are not read, by column '%s': %s", place, column, told)
    return dealt


def _key(word: str) -> str:
    return "data.loader.split_column" if word == "split" else f"data.{word}.column"


def key_of_name(split: str) -> str:
    """Say which key to change where the data has no split of the name that one of ours is to have there."""
    key = f"data.loader.names.{split}"
    return key if split == "train" else f"{key} (or {key}=null: dealt from train)"


def _lack(row: Mapping[str, Any], word: str, name: str) -> str:
    """Say what a row lacks: the column, a value in it, or a text in the value."""
    if name not in row:
        return f"no '{name}'"
    value = row[name]
    null = value is None or (isinstance(value, list) and any(part is None for part in value))
    return f"a null ('{name}')" if null else f"an empty {word} ('{name}')"


def _hash(seed: int, prompt: str) -> bytes:
    return hashlib.blake2b(f"{seed}/{prompt}".encode(errors="surrogatepass"), digest_size=8).digest()


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
