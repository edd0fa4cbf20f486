"""The shape of a language model, from the numbers of its config.json: how many parameters are in which part.

What a config leaves out has the default of its model type in transformers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

TIED = ("gpt2", "gpt_neo", "gemma", "gemma2", "gemma3_text", "t5", "mt5")  # whose head is the embedding unless it says
GATED = ("llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text")
SEQ2SEQ = ("t5", "mt5")
NORMS = {"gptj": 1, "gemma2": 4, "gemma3_text": 4}  # of a block; the others have 2, and one more with an encoder
MODEL_TYPES = ("gpt2", "gpt_neo", "gptj", "gpt_neox", *GATED, *SEQ2SEQ)
Matrix = tuple[int, int]  # inputs, outputs


@dataclass(frozen=True, kw_only=True)
class Block:
    """A block: its linear layers by the last word of their names, and its other parameters."""

    layers: Mapping[str, tuple[Matrix, ...]]
    others: int  # biases and norms
    norms: int

    @property
    def matrices(self) -> int:
        """Count the weights of linear layers."""
        return sum(inputs * outputs for layer in self.layers.values() for inputs, outputs in layer)

    @property
    def parameters(self) -> int:
        return self.matrices + self.others

    def adapter(self, rank: int, targets: tuple[str, ...]) -> int:
        """Count the parameters of a low-rank adapter of the layers that `targets` name."""
        return sum(
            rank * (inputs + outputs) for name in targets for inputs, outputs in self.layers.get(name, ())
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A decoder, or an encoder and a decoder, between embeddings and a head over the vocabulary."""

    model_type: str
    width: int  # d
    inner: int  # f, of the MLP
    heads: int
    key_heads: int
    head_size: int
    vocabulary: int
    layers: int  # blocks of the decoder
    encoder_layers: int  # 0 without an encoder
    block: Block
    encoder_block: Block | None
    embeddings: int  # of tokens and of learned positions
    ends: int  # norms behind the blocks, and position biases
    decoder_end: int  # of these, the norm behind the decoder
    head: int  # 0 where it is the embedding
    gated: bool
    window: int | None  # tokens that some layer sees; None = all

    @property
    def trunk(self) -> int:
        """Count all parameters but those of the head."""
        encoder = 0 if self.encoder_block is None else self.encoder_layers * self.encoder_block.parameters
        return self.embeddings + self.layers * self.block.parameters + encoder + self.ends

    @property
    def parameters(self) -> int:
        return self.trunk + self.head

    def top(self, blocks: int) -> int:
        """Count what trains with `model.unfrozen_blocks`: top blocks, the norm behind them, a head of its own."""
        return min(blocks, self.layers) * self.block.parameters + self.decoder_end + self.head

    def adapter(self, rank: int, targets: tuple[str, ...]) -> int:
        """Count the parameters of a low-rank adapter."""
        encoder = 0 if self.encoder_block is None else self.encoder_layers * self.encoder_block.adapter(rank, targets)
        return self.layers * self.block.adapter(rank, targets) + encoder


def shape_of(config: Mapping[str, Any]) -> Shape | None:
    """Read the shape of a model from its config; None where its type, or a number, is not known."""
    kind = str(config.get("model_type"))
    if kind not in MODEL_TYPES:
        return None
    width = _number(config, "n_embd", "hidden_size", "d_model")
    layers = _number(config, "n_layer", "num_hidden_layers", "num_layers")
    heads = _number(config, "n_head", "num_attention_heads", "num_heads")
    vocabulary = _number(config, "vocab_size")
    if not (width and layers and heads and vocabulary):
        return None
    inner = _number(config, "n_inner", "intermediate_size", "d_ff") or 4 * width
    head_size = _number(config, "d_kv", "head_dim") or width // heads
    key_heads = _number(config, "num_key_value_heads") or heads
    gated = kind in GATED or str(config.get("feed_forward_proj")).startswith("gated")
    attention = {"q": (width, heads * head_size), "k": (width, key_heads * head_size), "o": (heads * head_size, width)}
    block = _block(kind, config, width, inner, head_size, attention, gated=gated, crosses=kind in SEQ2SEQ)
    encoder_layers, encoder_block = 0, None
    if kind in SEQ2SEQ:
        encoder_layers, layers = layers, _number(config, "num_decoder_layers") or layers
        encoder_block = _block(kind, config, width, inner, head_size, attention, gated=gated, crosses=False)
    decoder_end = width * (2 if kind in ("gpt2", "gpt_neo", "gptj", "gpt_neox") else 1)
    biases = 2 * heads * (_number(config, "relative_attention_num_buckets") or 32) if kind in SEQ2SEQ else 0
    positions = _number(config, "n_positions", "max_position_embeddings") or 0
    tied = config.get("tie_word_embeddings", kind in TIED)
    return Shape(
        model_type=kind, width=width, inner=inner, heads=heads, key_heads=key_heads, head_size=head_size,
        vocabulary=vocabulary, layers=layers, encoder_layers=encoder_layers, block=block, encoder_block=encoder_block,
        embeddings=vocabulary * width + (positions * width if kind in ("gpt2", "gpt_neo") else 0),
        ends=decoder_end + (width + biases if kind in SEQ2SEQ else 0), decoder_end=decoder_end,
        head=0 if tied else vocabulary * width + (vocabulary if kind == "gptj" else 0),
        gated=gated, window=_window(config),
    )  # fmt: skip


def _number(config: Mapping[str, Any], *names: str) -> int | None:
    """Return the first of these keys that holds a number."""
    return next((int(config[name]) for name in names if isinstance(config.get(name), int)), None)


def _window(config: Mapping[str, Any]) -> int | None:
    if config.get("model_type") == "gpt_neo":
        return _number(config, "window_size") or 256
    return _number(config, "sliding_window") if config.get("use_sliding_window", True) else None


def _block(
    kind: str,
    config: Mapping[str, Any],
    d: int,
    f: int,
    head_size: int,
    attention: Mapping[str, Matrix],
    *,
    gated: bool,
    crosses: bool,
) -> Block:
    """Count the parameters of a block of a model type."""
    q, k, o = attention["q"], attention["k"], attention["o"]
    norms = NORMS.get(kind, 2) + crosses
    match kind:
        case "gpt2":
            layers = {"c_attn": ((d, 3 * d),), "c_fc": ((d, f),), "c_proj": ((d, d), (f, d))}
            others = 3 * d + d + f + d + 2 * norms * d
        case "gpt_neo":
            layers = {"q_proj": (q,), "k_proj": (q,), "v_proj": (q,), "out_proj": (o,), "c_fc": ((d, f),),
                      "c_proj": ((f, d),)}  # fmt: skip
            others = d + f + d + 2 * norms * d
        case "gptj":
            layers = {"q_proj": (q,), "k_proj": (q,), "v_proj": (q,), "out_proj": (o,), "fc_in": ((d, f),),
                      "fc_out": ((f, d),)}  # fmt: skip
            others = f + d + 2 * norms * d
        case "gpt_neox":
            layers = {"query_key_value": ((d, 3 * d),), "dense": ((d, d),), "dense_h_to_4h": ((d, f),),
                      "dense_4h_to_h": ((f, d),)}  # fmt: skip
            others = (4 * d if config.get("attention_bias", True) else 0) + f + d + 2 * norms * d
        case "t5" | "mt5":
            times = 2 if crosses else 1
            up = {"wi_0": ((d, f),), "wi_1": ((d, f),)} if gated else {"wi": ((d, f),)}
            layers = {"q": (q,) * times, "k": (q,) * times, "v": (q,) * times, "o": (o,) * times, **up,
                      "wo": ((f, d),)}  # fmt: skip
            others = norms * d
        case _:
            layers = {"q_proj": (q,), "k_proj": (k,), "v_proj": (k,), "o_proj": (o,), "gate_proj": ((d, f),),
                      "up_proj": ((d, f),), "down_proj": ((f, d),)}  # fmt: skip
            biases = q[1] + 2 * k[1]
            if kind != "qwen2":
                biases = biases + o[1] if config.get("attention_bias") else 0
            biases += 2 * f + d if config.get("mlp_bias") else 0
            others = norms * d + biases + (2 * head_size if kind in ("qwen3", "gemma3_text") else 0)
    return Block(layers=layers, others=others, norms=norms)
