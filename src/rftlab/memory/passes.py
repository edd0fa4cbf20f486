"""What passes of a network hold while they last: states that the backward pass needs, logits, keys and values.

Counted are the large tensors, in the number in which torch keeps them for the operations that the code uses. Sizes are
those of rows as long as the config allows.
"""

from dataclasses import dataclass

from rftlab.memory.networks import BYTES, Network
from rftlab.memory.shapes import Block, Shape

FLOAT = 4  # bytes of a float32, which residual streams, norms and softmax are in
PACKED = ("t5", "mt5", "gpt2", "gpt_neox", "llama", "mistral", "qwen2", "qwen3", "gemma")  # as models/attention.py
PLANNED = (*PACKED, "gpt_neo", "gptj")  # as sampling/plan.py
PARALLEL = ("gptj", "gpt_neox")  # attention and MLP read one input
PLAIN_NORMS = ("gpt2", "gpt_neo", "gptj", "gpt_neox")  # in one operation, which keeps its input alone
WITH_SCORES = ("gpt_neo", "gptj", "gemma2", "t5", "mt5")  # attention keeps its weights, a number per query and key


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The rows of a pass, as long as they may be."""

    rows: int
    prompts: int  # different ones
    prompt_tokens: int
    response_tokens: int

    @property
    def answered(self) -> int:
        """Count the response tokens of all rows."""
        return self.rows * self.response_tokens


def read_once(shape: Shape) -> bool:
    """Say whether the prompts of a pass are read once for all of their rows, and no padding is."""
    return shape.model_type in PACKED and shape.window is None


def activations(network: Network, rows: Rows, *, checkpointing: bool, gpu: bool) -> int:
    """Give the bytes of the states that the backward pass through a network needs."""
    shape, blocks = network.shape, network.trained_blocks
    if shape.encoder_block is None:
        prompts = rows.prompts if read_once(shape) else rows.rows
        of_block = (prompts * rows.prompt_tokens + rows.answered) * kept_per_token(network, shape.block)
        of_block += _scores(shape, rows.rows, rows.prompt_tokens + rows.response_tokens)
        if gpu and read_once(shape):  # each row has a copy of the keys and values of its prompt
            of_block += rows.rows * rows.prompt_tokens * 2 * _heads(shape) * BYTES[network.compute_dtype]
        residual = (prompts * rows.prompt_tokens + rows.answered) * shape.width * FLOAT
        return blocks * residual + of_block if checkpointing else blocks * of_block
    of_block = rows.answered * kept_per_token(network, shape.block) + _scores(shape, rows.rows, rows.response_tokens)
    residual = rows.answered * shape.width * FLOAT
    total = blocks * residual + of_block if checkpointing else blocks * of_block
    if network.unfrozen_blocks is not None and network.rank is None:  # the encoder is frozen
        return total
    asked = rows.prompts * rows.prompt_tokens
    encoder = asked * kept_per_token(network, shape.encoder_block)
    encoder += _scores(shape, rows.prompts, rows.prompt_tokens)
    residual = asked * shape.width * FLOAT
    across = asked * 2 * _heads(shape) * BYTES[network.compute_dtype] * shape.layers  # keys and values for the decoder
    kept = shape.encoder_layers * residual + encoder if checkpointing else shape.encoder_layers * encoder
    return total + kept + across


def kept_per_token(network: Network, block: Block) -> int:
    """Give the bytes that a block keeps of each token for the backward pass.

    In float32: what norms read (of parallel blocks one state), and what norms by the root of the mean square give
    before their weight. In the compute dtype: what linear layers read whose weights train, queries, keys, values and
    the result of attention, and what the MLP's activation reads and gives.
    """
    shape, adapts = network.shape, network.rank is not None
    residual = 1 if shape.model_type in PARALLEL else block.norms
    if shape.model_type not in PLAIN_NORMS and not adapts:
        residual += block.norms
    normed = min(block.norms, 2) if not adapts else 1  # the adapter reads what attention reads
    result = 0 if adapts and shape.model_type in WITH_SCORES else 1  # which no fused kernel reads again
    attention = (3 + result) * _heads(shape) + (2 * shape.width if shape.model_type == "gpt_neox" else 0)
    if block.norms == 3:  # attention to the encoder: a state more, its queries and its result
        normed, attention = normed + 1, attention + (1 + result) * _heads(shape)
    mlp = (3 if shape.gated else 1) + (0 if adapts else 1)
    inner = normed * shape.width + attention + mlp * shape.inner
    return residual * shape.width * FLOAT + inner * BYTES[network.compute_dtype]


def _heads(shape: Shape) -> int:
    return shape.heads * shape.head_size


def _scores(shape: Shape, rows: int, length: int) -> int:
    return rows * shape.heads * length * length * FLOAT if shape.model_type in WITH_SCORES else 0


def weights_in_compute_dtype(network: Network) -> int:
    """Give the bytes of the matrices that a pass with gradients keeps in the compute dtype; 0 where they are in it."""
    if BYTES[network.compute_dtype] >= BYTES[network.dtype]:
        return 0
    shape = network.shape
    encoder = 0 if shape.encoder_block is None else shape.encoder_layers * shape.encoder_block.matrices
    trained = network.trained_blocks * shape.block.matrices + (0 if network.unfrozen_blocks else encoder)
    head = shape.vocabulary * shape.width if network.has_head else 0
    return (trained + head) * BYTES[network.compute_dtype]


def logits(network: Network, tokens: int, *, trained_entropy: bool, gpu: bool) -> int:
    """Give the bytes of logits and their gradient, with what a GPU or an entropy that is trained adds in float32."""
    numbers = tokens * network.shape.vocabulary
    more = (2 if gpu else 0) + (2 if trained_entropy else 0)
    return numbers * (2 * BYTES[network.compute_dtype] + more * FLOAT)


def trunk_states(network: Network, rows: Rows) -> int:
    """Give the bytes of what the frozen blocks say of all rows of a rollout; 0 where no block below is frozen."""
    shape = network.shape
    if network.rank is not None or network.unfrozen_blocks is None or network.trained_blocks >= shape.layers:
        return 0
    once = read_once(shape) or shape.encoder_block is not None
    prompts = rows.prompts if once else rows.rows
    return (prompts * rows.prompt_tokens + rows.answered) * shape.width * FLOAT


def planned(network: Network, length: int) -> bool:
    """Say whether rows of this length are decoded by a plan, with copies of the weights."""
    shape = network.shape
    return shape.model_type in PLANNED and (shape.window is None or length <= shape.window)


def decoding_copies(network: Network, length: int) -> int:
    """Give the bytes of the weights that decoding copies: those of GPT-2 lie as it reads them, but for the head."""
    if not planned(network, length):
        return 0
    shape = network.shape
    head, blocks = shape.vocabulary * shape.width, shape.layers * shape.block.matrices
    if shape.encoder_block is not None:
        blocks += shape.encoder_layers * shape.encoder_block.matrices
    if shape.model_type == "gpt2" and network.compute_dtype == "float32":
        blocks = 0
    return (head + blocks) * BYTES[network.compute_dtype]


def keys_and_values(network: Network, rows: Rows) -> int:
    """Give the bytes of the keys and values of all rows that are decoded together."""
    shape = network.shape
    per_token = 2 * shape.key_heads * shape.head_size * shape.layers * BYTES[network.compute_dtype]
    once = planned(network, rows.prompt_tokens + rows.response_tokens)
    prompts = rows.prompts if once else rows.rows
    return (prompts * rows.prompt_tokens + rows.answered) * per_token


def reading(network: Network, rows: int, tokens: int) -> int:
    """Give the bytes that a pass without gradients holds at once, in one block: residual, and the larger of its halves.

    Args:
        network: The network that reads.
        rows: Texts of the pass.
        tokens: Of each text.
    """
    shape = network.shape
    attention = shape.width + 4 * _heads(shape)
    mlp = shape.width + (3 if shape.gated else 2) * shape.inner
    per_token = shape.width * FLOAT + max(attention, mlp) * BYTES[network.compute_dtype]
    return rows * tokens * per_token + _scores(shape, rows, tokens)


def choosing(network: Network, rows: int) -> int:
    """Give the bytes of the logits and the probabilities of the next token of each row."""
    return 2 * rows * network.shape.vocabulary * FLOAT
