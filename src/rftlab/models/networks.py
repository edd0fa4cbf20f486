"""Classifiers from random weights: each maps a tensor of encoded inputs to the logits of K labels.

A network is a policy over one-token outputs. `encode` turns the inputs of a dataset into the one tensor that training
keeps in memory.
"""

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    ResNetConfig,
    ResNetForImageClassification,
)

from rftlab.assets import locate
from rftlab.models.load import read_pretrained
from rftlab.models.text import Tokenizer, token_ids
from rftlab.ranges import Given, Positive
from rftlab.types import LabelSet

TOKENIZER = "model.network.tokenizer"


class ImageClassifier(nn.Module):
    """Logits of images (n, c, h, w); the wrapped network may give them inside an output record of transformers."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def encode(self, examples: LabelSet) -> Float[Tensor, "n c h w"]:
        """Take the images as they are."""
        return _images(examples)

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """Compute the logits in fp32."""
        out = self.net(images)
        return (out if isinstance(out, Tensor) else out.logits).float()


class PairClassifier(nn.Module):
    """Logits of sentence pairs, encoded as token ids, segments and mask (n, 3, p)."""

    def __init__(self, bert: BertForSequenceClassification, tokenizer: Tokenizer, max_tokens: int) -> None:
        super().__init__()
        self.bert = bert
        self.tokenizer = tokenizer
        self.max_tokens = max_tokens

    def encode(self, examples: LabelSet) -> Int[Tensor, "n 3 p"]:
        """Tokenise pairs as [start] first [end] second [end]; the longer sentence is cut first.

        A tokenizer without a start token uses its end token: the classifier reads the first place, whatever the text.
        Padding goes to the longest pair, not to `max_tokens`: it is masked, so the logits are the same.
        """
        assert isinstance(examples.inputs, tuple), "a dataset of sentence pairs"
        rows = [self._row(first, second) for first, second in examples.inputs]
        width = max(len(ids) for ids, _ in rows)
        encoded = torch.zeros((len(rows), 3, width), dtype=torch.long)
        for row, (ids, segments) in zip(encoded, rows, strict=True):
            row[0, : len(ids)] = torch.tensor(ids)
            row[1, : len(ids)] = torch.tensor(segments)
            row[2, : len(ids)] = 1
        return encoded

    def _row(self, first: str, second: str) -> tuple[list[int], list[int]]:
        a, b = token_ids(self.tokenizer, first), token_ids(self.tokenizer, second)
        end = self.tokenizer.eos_token_id if self.tokenizer.sep_token_id is None else self.tokenizer.sep_token_id
        start = end if self.tokenizer.cls_token_id is None else self.tokenizer.cls_token_id
        while len(a) + len(b) + 3 > self.max_tokens:
            (a if len(a) > len(b) else b).pop()
        return [start, *a, end, *b, end], [0] * (len(a) + 2) + [1] * (len(b) + 1)

    def forward(self, encoded: Int[Tensor, "n 3 p"]) -> Float[Tensor, "n k"]:
        """Compute the logits in fp32; columns that are padding in every row are left out."""
        encoded = encoded[..., : int(encoded[:, 2].sum(-1).max())]
        ids, segments, mask = encoded.unbind(1)
        return self.bert(input_ids=ids, token_type_ids=segments, attention_mask=mask).logits.float()


LabelNetwork = ImageClassifier | PairClassifier


def mlp(
    *,
    hidden: Sequence[Positive[int]],
    example: Given[LabelSet],
    classes: Given[int],
    generator: Given[torch.Generator],
) -> ImageClassifier:
    """Build a multi-layer perceptron with ReLU over all pixels, in PyTorch's default initialisation."""

    def build() -> ImageClassifier:
        widths = [_images(example)[0].numel(), *hidden]
        layers: list[nn.Module] = [nn.Flatten()]
        for wide, narrow in itertools.pairwise(widths):
            layers += [nn.Linear(wide, narrow), nn.ReLU()]
        return ImageClassifier(nn.Sequential(*layers, nn.Linear(widths[-1], classes)))

    return _drawn(build, generator)


def resnet(
    *,
    width: Positive[int],
    depths: Sequence[Positive[int]],
    example: Given[LabelSet],
    classes: Given[int],
    generator: Given[torch.Generator],
) -> ImageClassifier:
    """Build a residual network of basic blocks (He et al. 2016) with its ImageNet stem: 7 x 7, stride 2, pooling."""
    config = ResNetConfig(
        num_channels=_images(example).shape[1],
        embedding_size=width,
        hidden_sizes=[width * 2**stage for stage in range(len(depths))],
        depths=list(depths),
        layer_type="basic",
        num_labels=classes,  # ty: ignore[unknown-argument]
    )
    return _drawn(lambda: ImageClassifier(ResNetForImageClassification(config)), generator)


def bert(
    *,
    tokenizer: str,
    hidden_size: Positive[int],
    layers: Positive[int],
    heads: Positive[int],
    max_tokens: Positive[int],
    classes: Given[int],
    generator: Given[torch.Generator],
    hub_mirror: Given[str | Path | None],
) -> PairClassifier:
    """Build a BERT classifier without dropout; its vocabulary is the tokenizer's.

    Raises:
        UserError: the tokenizer cannot be had.
    """
    words: Tokenizer = read_pretrained(AutoTokenizer, locate(tokenizer, hub_mirror, TOKENIZER), TOKENIZER)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=hidden_size,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * hidden_size,
        max_position_embeddings=max_tokens,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        num_labels=classes,  # ty: ignore[unknown-argument]
    )
    return _drawn(lambda: PairClassifier(BertForSequenceClassification(config), words, max_tokens), generator)


def _images(example: LabelSet) -> Float[Tensor, "n c h w"]:
    assert isinstance(example.inputs, Tensor), "a dataset of images"
    return example.inputs


def _drawn(build: Callable[[], nn.Module], generator: torch.Generator):  # the class that `build` gives
    """Build with weights from `generator`; modules draw from the global stream, so it is seeded and restored around."""
    seed = int(torch.randint(2**62, (1,), generator=generator, device=generator.device))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build()
