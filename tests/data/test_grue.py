"""The formats of GRUE: prompts and targets of hand-made rows, and of every real row against a second derivation.

The second derivations read the parquet files of a mirror themselves; no row of them stands here.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet
import pytest
from members import MEMBERS, Member, parts

from rftlab.data import cnn_dailymail, commongen, daily_dialog, fetaqa, iwslt2017, totto
from rftlab.data.parts.rows import Misfit, Rows
from rftlab.data.parts.splits import half
from rftlab.types import Splits

Said = tuple[str, tuple[str, ...]]  # a prompt and its targets


def said(module: Any, row: dict) -> list[Said]:
    """Format a row as the loader does."""
    rows = Rows(data=[row], columns=module.DATASET.columns, place="")
    ((*texts,),) = rows.make([0], lambda row: list(module.examples(row)))
    return [(text.prompt, text.targets) for text in texts]


# --- hand-made rows -----------------------------------------------------------------------------------------------


def test_commongen_asks_for_the_concepts_in_their_order():
    row = {"concept_set_idx": 3, "concepts": ["ski", "mountain", "skier"], "target": "A skier skis."}
    assert said(commongen, row) == [("generate a sentence with: ski mountain skier.", ("A skier skis.",))]


def test_commongen_evaluates_each_concept_set_once_and_in_one_split():
    concepts = [["a", "b"], ["c"], ["b", "a", "b"], ["d"], ["c"], ["e"]]  # some real sets name a concept twice
    data = [{"concepts": words, "target": f"{n}"} for n, words in enumerate(concepts)]
    rows = Rows(data=data, columns=commongen.DATASET.columns, place="")
    validation, test = (commongen.part(split, rows) for split in ("validation", "test"))
    assert sorted(validation + test) == [0, 1, 3, 5]
    assert len(validation) == len(test) == 2
    assert commongen.part("train", rows) == [0, 1, 2, 3, 4, 5]


def test_halves_are_disjoint_complete_and_do_not_depend_on_the_order_of_rows():
    keys = [f"page {n % 9}" for n in range(30)]
    validation, test = (half(split, keys) for split in ("validation", "test"))
    assert sorted(validation + test) == list(range(30))
    assert not {keys[n] for n in validation} & {keys[n] for n in test}
    assert len({keys[n] for n in validation}) == 5
    backwards = half("validation", keys[::-1])
    assert {keys[::-1][n] for n in backwards} == {keys[n] for n in validation}


def test_iwslt_asks_for_german_in_the_words_of_t5():
    row = {"translation": {"de": "Guten Tag &amp; danke.", "en": "Good day &amp; thanks."}}
    expected = [("translate English to German: Good day &amp; thanks.", ("Guten Tag &amp; danke.",))]
    assert said(iwslt2017, row) == expected


TURNS = [" A a ? ", " B b . ", "C", " D ", " E ", " F ! ", " G "]


def test_daily_dialog_answers_five_turns_and_keeps_their_spaces():
    row = {"dialog": TURNS, "act": [1, 2, 3, 4, 1, 2, 3], "emotion": [0, 1, 2, 3, 4, 5, 6]}
    assert said(daily_dialog, row) == [
        (" A a ? <EOU> B b . <EOU>C<EOU> D <EOU> E  <EOU>", (" F ! <EOU>",)),
        (" B b . <EOU>C<EOU> D <EOU> E <EOU> F !  <EOU>", (" G <EOU>",)),
    ]
    assert [text.meta for text in daily_dialog.examples(row)] == [
        {"act": 2, "emotion": 5},  # of the turn that answers
        {"act": 3, "emotion": 6},
    ]
    assert said(daily_dialog, {key: values[:5] for key, values in row.items()}) == []


def test_daily_dialog_refuses_turns_without_their_labels():
    with pytest.raises(Misfit, match="has 7 turns, 6 acts and 7 emotions"):
        list(daily_dialog.examples({"dialog": TURNS, "act": [1] * 6, "emotion": [0] * 7}))


def test_cnn_dailymail_keeps_the_newlines_between_highlights():
    row = {"article": "(CNN) A b.\n\nC.", "highlights": "A .\nC .", "id": "0"}
    assert said(cnn_dailymail, row) == [("Summarize: (CNN) A b.\n\nC.", ("A .\nC .",))]


def cell(value: str, header: bool = False, span: int = 1) -> dict:
    return {"value": value, "is_header": header, "column_span": span, "row_span": 1}


def table_row(cells: list[list[int]], page: str = "P", section: str = "S") -> dict:
    """A table of three columns: a header over two of them, a second row of headers, and rows that begin with one."""
    return {
        "table_page_title": page,
        "table_section_title": section,
        "table": [
            [cell("wide", True, 2), cell("narrow", True)],
            [cell("a", True), cell("b", True), cell("c", True)],
            [cell("row", True), cell("1"), cell("2")],
            [cell("both", span=3)],
        ],
        "highlighted_cells": cells,
        "sentence_annotations": {"final_sentence": ["One.", "Two."]},
    }


def test_totto_writes_the_highlighted_cells_with_their_headers_twice():
    row = "<row_header> row </row_header> </cell> "
    one = f"<table> <cell> 2 <col_header> narrow </col_header> <col_header> c </col_header> {row}"
    one += f"<cell> 1 <col_header> wide </col_header> <col_header> b </col_header> {row}</table>"
    titles = "<page_title> P </page_title> <section_title> S </section_title> "
    assert said(totto, table_row([[2, 2], [2, 1]])) == [(f"{one}{titles}{one}", ("One.", "Two."))]


def test_totto_gives_a_wide_cell_every_header_that_it_touches_and_leaves_out_empty_titles():
    ((prompt, _),) = said(totto, table_row([[3, 0]], section=""))
    headers = "".join(f"<col_header> {name} </col_header> " for name in ("wide", "narrow", "a", "b", "c", "row"))
    table = f"<table> <cell> both {headers}</cell> </table>"
    assert prompt == f"{table}<page_title> P </page_title> {table}"


@pytest.mark.parametrize("place", [[4, 0], [3, 1], [-1, 0], [2]])
def test_totto_refuses_a_highlighted_cell_that_the_table_lacks(place: list[int]):
    found = rf"highlights the cell \{place}; expected a row and a place of its table of 4 rows".replace("]", r"\]")
    with pytest.raises(Misfit, match=found):
        said_row = table_row([place])
        totto.examples(said_row | {"sentence_annotations.final_sentence": ["One."]})


def test_fetaqa_asks_and_shows_the_supporting_cells_as_totto_does():
    row = {
        "table_page_title": "P",
        "table_section_title": "",
        "table_array": [["Year", "Film"], ["1990", "A"], ["1991", "B"]],
        "highlighted_cell_ids": [[2, 0], [2, 1]],
        "question": "What came in 1991?",
        "answer": "B came in 1991.",
    }
    cells = "<cell> 1991 <col_header> Year </col_header> </cell> <cell> B <col_header> Film </col_header> </cell> "
    prompt = f"What came in 1991? <page_title> P </page_title> <table> {cells}</table>"
    assert said(fetaqa, row) == [(prompt, ("B came in 1991.",))]


# --- real rows ----------------------------------------------------------------------------------------------------


@pytest.fixture
def files() -> Callable[[str, str], list[dict]]:
    """Read the raw rows of a split in a mirror."""
    where = os.environ.get("RFTLAB_HUB_MIRROR")
    if where is None:
        pytest.skip("set RFTLAB_HUB_MIRROR to a folder with the hub's parquet files to format real rows")

    def read(folder: str, split: str) -> list[dict]:
        (file,) = Path(where, folder).glob(f"{split}-*.parquet")
        return pyarrow.parquet.read_table(file).to_pylist()

    return read


def member(name: str) -> Member:
    return next(member for member in MEMBERS if member.name == name)


def loaded(name: str) -> Splits:
    """Load all rows of a dataset from the mirror."""
    one = member(name)
    mirror = Path(os.environ["RFTLAB_HUB_MIRROR"])
    return one.load(mirror, hub_id=one.keys["hub_id"], hub_config=one.keys["hub_config"])


def texts(splits: Splits) -> dict[str, list[Said]]:
    return {split: [(e.prompt, e.targets) for e in examples] for split, examples in parts(splits).items()}


def test_real_commongen_rows(files):
    found = texts(loaded("commongen"))
    train = files("allenai/common_gen/data", "train")
    assert found["train"] == [
        ("generate a sentence with: " + " ".join(r["concepts"]) + ".", (r["target"],)) for r in train
    ]
    rows = files("allenai/common_gen/data", "validation")
    by_set: dict[frozenset, Said] = {}
    for r in rows:
        by_set.setdefault(
            frozenset(r["concepts"]), ("generate a sentence with: " + " ".join(r["concepts"]) + ".", (r["target"],))
        )
    held_out = found["validation"] + found["test"]
    assert sorted(held_out) == sorted(by_set.values())
    assert abs(len(found["validation"]) - len(found["test"])) <= 1


def test_real_iwslt_rows(files):
    for split, found in texts(loaded("iwslt2017")).items():
        pairs = [row["translation"] for row in files("IWSLT/iwslt2017/iwslt2017-de-en", split)]
        assert found == [("translate English to German: " + pair["en"], (pair["de"],)) for pair in pairs]


def test_real_daily_dialog_rows(files):
    """As the released code goes through them: a list of the turns so far."""
    for split, found in texts(loaded("daily_dialog")).items():
        expected = []
        for row in files("li2017dailydialog/daily_dialog/data", split):
            so_far: list[str] = []
            for turn in row["dialog"]:
                if len(so_far) >= 5:
                    prompt = "<EOU>".join(so_far[-5:])
                    prompt += " " + "<EOU>"
                    expected.append((prompt, (turn + "<EOU>",)))
                so_far.append(turn)
        assert found == expected


def test_real_cnn_dailymail_rows(files):
    for split, found in texts(loaded("cnn_dailymail")).items():
        rows = files("abisee/cnn_dailymail/3.0.0", split)
        assert found == [("Summarize: " + row["article"], (row["highlights"],)) for row in rows]


def spelled(row: dict, titles: list[str]) -> str:
    """Write a table of ToTTo column by column: each cell stands in all columns that it spans."""
    text = "".join(titles) + "<table> "
    grid = [
        [(c["value"], c["is_header"], n) for n, c in enumerate(line) for _ in range(c["column_span"])]
        for line in row["table"]
    ]
    for number, place in row["highlighted_cells"]:
        columns = [column for column, (_, _, n) in enumerate(grid[number]) if n == place]
        text += "<cell> " + row["table"][number][place]["value"] + " "
        for line in grid[:number]:
            touched = {n: value for column, (value, header, n) in enumerate(line) if header and column in columns}
            text += "".join(f"<col_header> {touched[n]} </col_header> " for n in sorted(touched))
        for left in row["table"][number][:place]:
            text += f"<row_header> {left['value']} </row_header> " if left["is_header"] else ""
        text += "</cell> "
    return text + "</table>"


def test_real_totto_rows(files):
    found = texts(loaded("totto"))
    expected = {"train": [], "validation": []}
    for split, pairs in expected.items():
        for row in files("google-research-datasets/totto/data", split):
            page, section = row["table_page_title"], row["table_section_title"]
            titles = [f"<page_title> {page} </page_title> "] if page else []
            titles += [f"<section_title> {section} </section_title> "] if section else []
            pairs.append(
                (spelled(row, []) + spelled(row, titles), tuple(row["sentence_annotations"]["final_sentence"]))
            )
    assert found["train"] == expected["train"]
    assert sorted(found["validation"] + found["test"]) == sorted(expected["validation"])


def test_real_narrativeqa_rows(files):
    """As UnifiedQA's files have them: question, a literal backslash and n, summary, all in lower case."""
    for split, found in texts(loaded("narrativeqa")).items():
        expected: dict[str, list[str]] = {}
        for row in files("deepmind/narrativeqa/data", split):
            story = "".join(row["document"]["summary"]["text"].split("\n"))
            asked = (row["question"]["text"] + " " + chr(92) + "n " + story + " ").lower()
            answers = expected.setdefault(asked, [])
            for answer in row["answers"]:
                said = answer["text"].lower().strip()
                answers += [said] if said and said not in answers else []
        assert found == [(asked, tuple(answers)) for asked, answers in expected.items()]


def test_real_imdb_rows(files):
    """The first half of the words of a review, and the rest; the splits are those of a shuffle by `datasets`."""
    rows = {
        split: datasets.Dataset.from_list(files("stanfordnlp/imdb/plain_text", split)).shuffle(seed=42)
        for split in ("train", "test")
    }
    cut = int(0.8 * len(rows["train"]))
    parts_of = {
        "train": [row for row in rows["train"].select(range(cut)) if row["label"] == 1],
        "validation": list(rows["train"].select(range(cut, len(rows["train"])))),
        "test": list(rows["test"])[:5000],
    }
    found = texts(loaded("imdb"))
    for split, expected in parts_of.items():
        assert len(found[split]) == len(expected)
        for (prompt, (target,)), row in zip(found[split], expected, strict=True):
            assert f"{prompt} {target}" == row["text"]
            assert target.count(" ") - prompt.count(" ") in (0, 1)  # of an odd number of words the target has one more
