"""A METEOR run keeps which synonyms it had: with others it is neither resumed nor done, and no cell holds both."""

import logging
from pathlib import Path

import nltk
import pytest
from build.test_labs import made
from config.test_config import plan
from rewards.test_wordnet import NOUNS, write

from analysis.load import load_runs
from rftlab import runs
from rftlab.errors import UserError
from rftlab.launch import single
from rftlab.rewards import wordnet
from rftlab.runs.axes import cell_of, meaning_of
from rftlab.stop import StopFlag

WORDS = ("data=narrativeqa", "algo=sft", "data.loader.n_train=4")
REFUSED = r"in which METEOR had no synonyms, and the synonyms of wordnet-\w{12} here; expected .*; change NLTK_DATA"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder in which WordNet is looked for; there is none yet."""
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path / "nltk")])
    wordnet.name_of.cache_clear()
    return tmp_path / "nltk" / "corpora" / "wordnet"


def fill(folder: Path, nouns: tuple[tuple[str, ...], ...] = NOUNS) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("noun", "verb", "adj", "adv"):
        write(folder, name, nouns if name == "noun" else ())


def finished(outputs: Path, seed: int) -> Path:
    """Finish a METEOR run with the synonyms of this moment."""
    job = plan(*WORDS, "reward=meteor", f"seed={seed}", f"paths.outputs={outputs}")
    with runs.Run.claim(job.folder, job.config) as run:
        runs.note_synonyms(job.folder, wordnet.source())
        run.finish({"eval/test/reward": 0.5})
    return job.folder


def test_a_run_keeps_which_synonyms_its_reward_had(folder: Path, tmp_path: Path) -> None:
    words = (*WORDS, "reward=meteor")
    made(tmp_path / "none", *words)
    assert runs.read_synonyms(tmp_path / "none") == "none"
    fill(folder)
    made(tmp_path / "some", *words)
    noted = runs.read_synonyms(tmp_path / "some")
    assert noted == wordnet.source() != "none"
    fill(folder, (("ship", "boat"),))
    wordnet.name_of.cache_clear()
    assert wordnet.source() not in ("none", noted)


def test_a_term_of_a_sum_counts() -> None:
    term = {"_target_": "rftlab.rewards.meteor.load", "synonyms": "stems"}
    assert runs.asks_for_synonyms({"reward": {"_target_": "rftlab.rewards.x.Sum", "terms": {"task": term}}})
    assert not runs.asks_for_synonyms({"reward": term | {"synonyms": "none"}, "gold": None})
    assert not runs.asks_for_synonyms({"reward": term | {"_target_": "mine.load"}})


@pytest.mark.parametrize("word", ["reward=rouge", "reward.synonyms=none"])
def test_a_reward_without_synonyms_keeps_nothing(folder: Path, tmp_path: Path, word: str) -> None:
    made(tmp_path / "run", *WORDS, *(["reward=meteor"] if "synonyms" in word else []), word)
    assert not (tmp_path / "run" / "synonyms.json").exists()


def test_a_run_is_not_resumed_with_other_synonyms(folder: Path, tmp_path: Path) -> None:
    runs.note_synonyms(tmp_path, "none")
    fill(folder)
    with pytest.raises(UserError, match=REFUSED):
        made(tmp_path, *WORDS, "reward=meteor")


def test_a_finished_run_is_no_answer_where_synonyms_are_others(folder: Path, tmp_path: Path) -> None:
    finished(tmp_path, 0)
    job = plan(*WORDS, "reward=meteor", "seed=0", f"paths.outputs={tmp_path}")
    assert single.execute(job, StopFlag()) == {"eval/test/reward": 0.5}
    fill(folder)
    with pytest.raises(UserError, match=REFUSED):
        single.execute(job, StopFlag())


def test_runs_with_and_without_synonyms_share_neither_cell_nor_meaning(folder: Path, tmp_path: Path) -> None:
    places = [finished(tmp_path, 0), finished(tmp_path, 1)]
    fill(folder)
    places.append(finished(tmp_path, 2))
    first, second, other = map(runs.read_run, places)
    assert cell_of(first) == cell_of(second) != cell_of(other)
    assert meaning_of(first.flat) == meaning_of(second.flat) != meaning_of(other.flat)
    found = load_runs(tmp_path).sort_values("seed")
    assert found["cell"].nunique() == 2 and found["sampling"].nunique() == 2
    assert [text.split("-")[0].split()[0] for text in found["variant"]] == [
        "reward.synonyms_found=none", "reward.synonyms_found=none", "reward.synonyms_found=wordnet"
    ]  # fmt: skip


def test_the_log_says_which(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "rftlab"):
        assert wordnet.synonyms() is None
        fill(folder)
        assert wordnet.synonyms() is not None
    assert "found no WordNet" in caplog.messages[0]
    assert caplog.messages[1] == f"METEOR has the synonyms of {wordnet.source()}, from {folder}"
