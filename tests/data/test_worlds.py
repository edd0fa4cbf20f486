"""The bundled worlds: determinism, disjoint splits, the hub's schema, and what the science needs of them."""

import numpy as np
import pytest

from rftlab.data import corpus, imdb, narrativeqa
from rftlab.data.parts.counting import Drop
from rftlab.data.parts.splits import take
from rftlab.data.worlds import concepts, phrases, reviews, stories
from rftlab.data.worlds.grammar import generator
from rftlab.rewards.rouge import RougeLMax

WORLDS = corpus.WORLDS


def load(module, **changes):
    limits = {"n_train": 40, "n_validation": 10, "n_test": 10, "seed": 0, "drop": Drop(duplicates=False, empty=False)}
    return module.load(
        source="bundled", hub_id="", hub_config=None, hub_revision=None, hub_mirror=None, **(limits | changes)
    )


@pytest.mark.parametrize("seed", range(3))
def test_stories_that_nobody_asks_about_are_not_written_and_the_subset_is_that_of_all(seed):
    """Drawing numbers first is the same as drawing from all prompts, because no two rows share one."""
    everything = load(narrativeqa, seed=seed, n_train=None, n_validation=None, n_test=None)
    assert len({example.prompt for example in everything.train}) == stories.SIZES["train"]
    limits = {"train": 300, "validation": 20, "test": 7}
    some = load(narrativeqa, seed=seed, **{f"n_{split}": n for split, n in limits.items()})
    for split, n in limits.items():
        rng = generator(seed, "subset", split)
        assert getattr(some, split) == take(getattr(everything, split), n, rng, split)
    chosen = [73, 5, 1, 0]
    alone, rows = stories.rows(seed, "test"), list(stories.rows(seed, "test"))
    assert [alone[number] for number in chosen] == [rows[number] for number in chosen]


@pytest.mark.parametrize("module", [narrativeqa, imdb])
def test_splits_share_no_prompt_with_the_corpus(module):
    splits = load(module, n_train=None, n_validation=None, n_test=None)
    prompts = [{example.prompt for example in part} for part in (splits.train, splits.validation, splits.test)]
    stories_told = {prompt.split("\\n ")[-1].strip() for part in prompts for prompt in part}
    corpus = {stories.prose(0, f"corpus-{split}", index).lower() for split in ("train", "test") for index in range(500)}
    assert not corpus & stories_told


def test_plain_sentences_of_concepts_are_none_of_the_task_and_each_split_has_its_own():
    told = {row["target"] for split in ("train", "validation") for row in concepts.rows(0, split)}
    train, test = ({concepts.prose(0, f"corpus-{split}", index) for index in range(400)} for split in ("train", "test"))
    assert not train & test and not (train | test) & told


def test_plain_sentences_of_phrases_are_of_no_pair_of_the_task():
    told = {tuple(row["translation"].values()) for split in phrases.SIZES for row in phrases.rows(0, split)}
    plain = [
        {tuple(phrases._pair(numbers).values()) for numbers in phrases._plain(0, split)} for split in phrases.PLAIN
    ]
    assert len(set.union(*plain)) == sum(map(len, plain)) and not set.union(*plain) & told


@pytest.mark.parametrize("world", WORLDS)
def test_prose_does_not_depend_on_what_was_made_before(world):
    alone = world.prose(0, "train", 7)
    assert [world.prose(0, "train", index) for index in range(8)][7] == alone


def test_prose_holds_no_question_and_no_literal_newline_mark():
    texts = [stories.prose(0, "corpus-train", index) for index in range(300)]
    assert not any("?" in text or "\\n" in text or text == text.lower() for text in texts)


def test_stories_have_the_length_they_are_meant_to_have():
    lengths = [len(stories.story(0, "train", index).text.split()) for index in range(300)]
    assert 20 <= np.mean(lengths) <= 30


def test_every_answer_stands_in_its_story():
    for row in list(stories.rows(0, "test")):
        summary = row["document"]["summary"]["text"].lower()
        assert any(answer["text"].lower() in summary for answer in row["answers"]), row["question"]


def test_other_story_text_scores_near_zero_against_the_answers():
    """Score eight words from elsewhere against each answer: most score exactly zero."""
    examples = load(narrativeqa, n_train=200).train
    others = [" ".join(stories.prose(9, "x", i).split()[10:18]) for i in range(len(examples))]
    scores = RougeLMax(word_limit=100, stem=True, weight=1.0)(
        [""] * len(others), others, [example.targets for example in examples]
    )
    assert np.mean(scores == 0.0) > 0.8
    assert scores.mean() < 0.05


def test_second_halves_of_reviews_are_hard_to_tell_from_the_first():
    """Correlate the share of praise in the halves: the prompt says little about the continuation."""
    examples = load(imdb, n_train=800).train
    praise, blame = (
        set(words) for words in (reviews.PRAISE + reviews.PRAISING_VERBS, reviews.BLAME + reviews.BLAMING_VERBS)
    )

    def mood(text: str) -> float:
        words = [word.strip(".!") for word in text.split()]
        good, bad = sum(word in praise for word in words), sum(word in blame for word in words)
        return good / max(1, good + bad)

    halves = np.array([(mood(example.prompt), mood(example.targets[0])) for example in examples])
    assert abs(np.corrcoef(halves.T)[0, 1]) < 0.2
    assert 0.5 < halves[:, 1].mean() < 0.8  # leaning to the label, with room to rise


def test_review_labels_are_balanced():
    assert np.mean([row["label"] for row in reviews.rows(0, "test")]) == pytest.approx(0.5, abs=0.01)
