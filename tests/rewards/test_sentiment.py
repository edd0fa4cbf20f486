"""The learned sentiment reward: padding, batching, truncation, errors."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import DistilBertConfig, DistilBertForSequenceClassification, PreTrainedTokenizerFast

from rftlab.assets import asset_folder
from rftlab.errors import UserError
from rftlab.rewards.classifier import Classifier
from rftlab.rewards.sentiment import POSITIVE, load

TEXTS = [
    "Good.",
    "The plot was dull and the ending was awful.",
    "I loved it!" * 12,
    "x",
    "",
    "What a film, what a cast.",
]


@pytest.fixture(scope="module")
def sentiment() -> Classifier:
    """Build a classifier with random weights large enough for scores to differ."""
    torch.manual_seed(0)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(asset_folder("tokenizer"), truncation_side="left")
    config = DistilBertConfig(
        vocab_size=len(tokenizer), dim=32, n_layers=1, n_heads=2, hidden_dim=64, pad_token_id=0, initializer_range=0.3
    )
    model = DistilBertForSequenceClassification(config).eval()
    return Classifier(model=model, label=POSITIVE, tokenizer=tokenizer, max_tokens=40, batch_size=4)


def scores(sentiment: Classifier, texts: list[str]) -> np.ndarray:
    return sentiment([""] * len(texts), texts, [()] * len(texts))


def embedded(max_tokens: int) -> Classifier:
    return load(
        source="asset:sentiment",
        tokenizer="asset:tokenizer",
        max_tokens=max_tokens,
        batch_size=8,
        at_chance=False,
        hub_mirror=None,
    )


def test_score_does_not_depend_on_batch_mates_or_order(sentiment: Classifier):
    alone = np.concatenate([scores(sentiment, [text]) for text in TEXTS])
    assert np.ptp(alone) > 0.05  # the texts can be told apart
    np.testing.assert_allclose(scores(sentiment, TEXTS), alone, atol=1e-6)
    np.testing.assert_allclose(scores(sentiment, TEXTS[::-1])[::-1], alone, atol=1e-6)


def test_scores_are_probabilities_of_the_second_class(sentiment: Classifier):
    ids = sentiment.tokenizer(TEXTS[1], return_tensors="pt").input_ids
    with torch.no_grad():
        logits = sentiment.model(input_ids=ids).logits[0].numpy().astype(np.float64)
    assert scores(sentiment, [TEXTS[1]])[0] == pytest.approx(1 / (1 + np.exp(logits[0] - logits[1])), abs=1e-6)


def test_prompt_and_response_are_read_as_one_text(sentiment: Classifier):
    joined = sentiment(["The plot was"], [" dull."], [()])
    np.testing.assert_allclose(joined, scores(sentiment, ["The plot was dull."]), atol=1e-7)


def test_long_texts_lose_their_beginning(sentiment: Classifier):
    ending = " the ending was awful and dull" * 8
    assert len(sentiment.tokenizer(ending).input_ids) > sentiment.max_tokens
    np.testing.assert_allclose(
        scores(sentiment, ["Good film!" + ending]), scores(sentiment, ["Boring." + ending]), atol=1e-7
    )


def test_the_loaded_classifier_reads_the_end_of_a_long_text():
    reward = embedded(max_tokens=20)
    praise, blame = " I loved the brilliant cast." * 6, " I hated the dull cast." * 6
    ends_well, ends_badly = scores(reward, [blame + praise, praise + blame])
    assert ends_well > ends_badly + 0.3


def test_scoring_draws_no_random_numbers(sentiment: Classifier):
    before = torch.random.get_rng_state()
    scores(sentiment, TEXTS)
    assert torch.equal(before, torch.random.get_rng_state())


def test_the_embedded_classifier_loads_with_dropout_off_and_prefers_praise():
    reward = embedded(max_tokens=256)
    assert not reward.model.training
    assert {parameter.dtype for parameter in reward.model.parameters()} == {torch.float32}
    praise, blame = scores(
        reward, ["The plot is wonderful. I loved the brilliant cast.", "The plot is awful. I hated the dull cast."]
    )
    assert praise > blame + 0.3


def test_a_missing_classifier_names_the_keys_to_change(tmp_path: Path):
    with pytest.raises(UserError, match=r"reward\.source"):
        load(source=str(tmp_path), tokenizer=None, max_tokens=8, batch_size=1, at_chance=False, hub_mirror=None)


def test_a_missing_tokenizer_names_its_own_key(tmp_path: Path):
    with pytest.raises(UserError, match=r"reward\.tokenizer"):
        load(
            source="asset:sentiment",
            tokenizer=str(tmp_path),
            max_tokens=8,
            batch_size=1,
            at_chance=False,
            hub_mirror=None,
        )


def test_a_classifier_with_other_than_two_classes_is_refused(tmp_path: Path):
    config = DistilBertConfig(vocab_size=1024, dim=8, n_layers=1, n_heads=1, hidden_dim=8, num_labels=3)
    DistilBertForSequenceClassification(config).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="3 classes"):
        load(
            source=str(tmp_path),
            tokenizer="asset:tokenizer",
            max_tokens=8,
            batch_size=1,
            at_chance=False,
            hub_mirror=None,
        )
