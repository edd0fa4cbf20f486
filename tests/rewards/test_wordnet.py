"""WordNet's files: synonyms by the forms of a word, and where they are looked for."""

import os
import subprocess
import sys
from pathlib import Path

import nltk
import pytest

from rftlab.commands import wordnet as getting
from rftlab.errors import UserError
from rftlab.rewards import wordnet

LICENCE = "  1 This is a licence, which is indented.  \n"
NOUNS = (("car", "automobile", "motor_car"), ("elevator_car", "car"), ("goose",))
ADJECTIVES = (("glad(p)", "happy"),)


def write(folder: Path, name: str, sets: tuple[tuple[str, ...], ...], exceptions: str = "") -> None:
    """Write the synsets of a part of speech in the form of WordNet's database."""
    kind = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}[name]
    data, offsets = LICENCE, {}
    for words in sets:
        for word in words:
            offsets.setdefault(word.partition("(")[0].lower(), []).append(f"{len(data):08d}")
        data += f"{len(data):08d} 06 {kind} {len(words):02x} {' '.join(f'{word} 0' for word in words)} 000 | a gloss\n"
    lines = [f"{w} {kind} {len(at)} 1 @ {len(at)} 0 {' '.join(at)}  \n" for w, at in sorted(offsets.items())]
    (folder / f"data.{name}").write_text(data)
    (folder / f"index.{name}").write_text(LICENCE + "".join(lines))
    (folder / f"{name}.exc").write_text(exceptions)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "corpora" / "wordnet"
    path.mkdir(parents=True)
    write(path, "noun", NOUNS, "geese goose\n")
    write(path, "adj", ADJECTIVES)
    for name in ("verb", "adv"):
        write(path, name, ())
    return path


def test_synonyms_are_the_single_words_of_all_synsets_of_all_forms(folder: Path):
    of_word = wordnet.read(folder)
    assert of_word("car") == of_word("cars") == of_word("CAR") == {"car", "automobile"}
    assert of_word("geese") == {"goose"}
    assert of_word("glad") == of_word("gladest") == {"glad", "happy"}
    assert of_word("automobil") == of_word("") == frozenset()


def test_they_are_those_of_nltk(folder: Path, monkeypatch: pytest.MonkeyPatch):
    (folder / "lexnames").write_text(getting.lexnames())
    (folder / "index.sense").touch()
    monkeypatch.setattr(nltk.data, "path", [str(folder.parents[1])])
    with pytest.warns(UserWarning, match="multilingual"):
        reader = nltk.corpus.reader.wordnet.WordNetCorpusReader(str(folder), None)
    of_word = wordnet.read(folder)
    for word in ("car", "cars", "geese", "glad", "happier", "happiest", "automobiles", "x"):
        lemmas = {lemma.name() for synset in reader.synsets(word) for lemma in synset.lemmas()}
        assert of_word(word) == {name for name in lemmas if "_" not in name}, word
    for file in reader._data_file_map.values():  # which nltk leaves open
        file.close()


def test_it_is_found_where_nltk_looks(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(nltk.data, "path", [str(folder.parents[1])])
    of_word = wordnet.synonyms()
    assert of_word is not None and of_word("cars") == {"car", "automobile"}


def test_meteor_finds_it_in_a_process_that_has_not_imported_nltk(folder: Path):
    code = (
        "import sys\nfrom rftlab.rewards import meteor\nassert 'nltk' not in sys.modules\n"
        "keys = {'tokenize': 'treebank', 'alpha': 0.9, 'beta': 3.0, 'gamma': 0.5}\n"
        "reward = meteor.load(**keys, synonyms='words', as_released=False)\n"
        "print(reward([''], ['a car'], [('an automobile',)])[0] > 0)"
    )
    home = folder.parents[1]
    (home / "nltk_data").mkdir()  # empty, where nltk looks for a place to download to
    for data in (home, home / "nowhere"):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2],
            env=os.environ | {"NLTK_DATA": str(data), "HOME": str(home), "PYTHONPATH": "src"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stdout.split() == [str(data == home)]


def test_the_command_writes_the_files_that_nltk_also_opens(tmp_path: Path):
    (tmp_path / "usr").mkdir()
    with pytest.raises(UserError, match=r"no data\.adj"):
        getting.fill(tmp_path / "usr", tmp_path / "to")
    for name in getting.WANTED:
        (tmp_path / "usr" / name).write_text(name)
    getting.fill(tmp_path / "usr", tmp_path / "to" / "corpora")
    lines = (tmp_path / "to" / "corpora" / "lexnames").read_text().splitlines()
    assert len(lines) == 45 and lines[:4] == ["00\tadj.all\t3", "01\tadj.pert\t3", "02\tadv.all\t4", "03\tnoun.Tops\t1"]
    assert lines[29] == "29\tverb.body\t2" and lines[44] == "44\tadj.ppl\t3"
    assert (tmp_path / "to" / "corpora" / "data.noun").read_text() == "data.noun"
