"""Parameters counted from the numbers of a config: by hand, as published, and as transformers builds the model."""

import math
from typing import Any

import pytest
import torch
import transformers
import yaml
from models.families import FAMILIES

from rftlab.config.options import CONF, content, options
from rftlab.memory import networks, passes
from rftlab.memory.known import known_shape, published
from rftlab.memory.networks import Network, action_heads, value_head
from rftlab.memory.shapes import Shape, shape_of
from rftlab.models import adapters, attention, trunk
from rftlab.sampling import plan

PARAMETERS = {  # of the model cards and papers
    "openai-community/gpt2": 124_439_808,
    "openai-community/gpt2-medium": 354_823_168,
    "openai-community/gpt2-large": 774_030_080,
    "openai-community/gpt2-xl": 1_557_611_200,
    "google-t5/t5-small": 60_506_624,
    "google-t5/t5-base": 222_903_552,
    "google-t5/t5-large": 737_668_096,
    "EleutherAI/pythia-160m": 162_322_944,
    "EleutherAI/pythia-1b": 1_011_781_632,
    "EleutherAI/pythia-6.9b": 6_857_302_016,
    "databricks/dolly-v2-7b": 6_856_056_832,
    "EleutherAI/gpt-j-6b": 6_050_882_784,
    "EleutherAI/gpt-neo-2.7B": 2_651_307_520,
    "huggyllama/llama-7b": 6_738_415_616,
}
TUNED = {
    "Dahoas/pythia-125M-static-sft": "EleutherAI/pythia-160m",
    "Dahoas/pythia-1B-static-sft": "EleutherAI/pythia-1b",
    "Dahoas/pythia-6B-static-sft": "EleutherAI/pythia-6.9b",
    "CarperAI/openai_summarize_tldr_sft": "EleutherAI/gpt-j-6b",
    "EleutherAI/gpt-j-6B": "EleutherAI/gpt-j-6b",  # the trunk of the reward models
}


def shape(source: str) -> Shape:
    found = shape_of(published()[source])
    assert found is not None
    return found


@pytest.mark.parametrize("source", PARAMETERS)
def test_a_published_model_has_the_parameters_that_its_authors_count(source: str) -> None:
    assert shape(source).parameters == PARAMETERS[source]


def test_a_model_after_sft_has_the_shape_of_what_it_was_tuned_from() -> None:
    assert {source: shape(source) for source in TUNED} == {source: shape(base) for source, base in TUNED.items()}
    assert set(published()) == {*PARAMETERS, *TUNED}


def test_every_model_of_the_apa_paper_is_in_the_table() -> None:
    names = [name for name in options("model") if name.startswith(("pythia", "llama", "gptj", "gpt_neo", "dolly"))]
    sources = {content(f"model/{name}")["policy"]["source"] for name in names}
    rewards = {
        yaml.safe_load((CONF / "reward" / f"{name}.yaml").read_text())["trunk"] for name in ("gptj_hh", "gptj_tldr")
    }
    assert len(names) >= 11 and sources | rewards <= set(published())


def test_pythia_by_hand() -> None:
    """Pythia 6.9B: width 4096, MLP 16384, 32 blocks, 50432 tokens, biases everywhere but in the head."""
    d, f, v = 4096, 16384, 50432
    block = (3 * d * d + 3 * d) + (d * d + d) + (d * f + f) + (f * d + d) + 2 * 2 * d
    pythia = shape("EleutherAI/pythia-6.9b")
    assert pythia.block.parameters == block == 201_379_840
    assert pythia.parameters == 2 * v * d + 32 * block + 2 * d
    assert pythia.trunk == pythia.parameters - v * d
    assert pythia.top(2) == 2 * block + 2 * d + v * d


def test_gpt_j_by_hand() -> None:
    """GPT-J: one norm a block, no biases in attention, a head with one."""
    d, f, v = 4096, 16384, 50400
    block = 4 * d * d + (d * f + f) + (f * d + d) + 2 * d
    gptj = shape("EleutherAI/gpt-j-6b")
    assert gptj.parameters == v * d + 28 * block + 2 * d + v * d + v
    assert gptj.top(8) == 8 * block + 2 * d + v * d + v


def test_an_adapter_of_llama_by_hand() -> None:
    llama = shape("huggyllama/llama-7b")
    assert llama.adapter(16, ("q_proj", "v_proj")) == 32 * 2 * 16 * (4096 + 4096) == 8_388_608


def test_heads_by_hand() -> None:
    assert value_head(768, "linear") == 768
    assert value_head(768, "mlp") == (768 * 1536 + 1536) + (1536 + 1)
    q = (768 * 1536 + 1536) + (1536 * 50304 + 50304)
    assert action_heads(768, 50304) == (2 * q + value_head(768, "mlp"), 2 * q)


def empty_model(name: str) -> Any:
    kind = FAMILIES[name]
    config = getattr(transformers, kind.config)(vocab_size=50, **kind.values)
    loader = transformers.AutoModelForSeq2SeqLM if kind.family == "seq2seq" else transformers.AutoModelForCausalLM
    with torch.device("meta"):
        return loader.from_config(config)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_has_the_parameters_that_transformers_gives_it(name: str) -> None:
    model = empty_model(name)
    found = shape_of(model.config.to_dict())
    assert found is not None
    assert found.parameters == sum(p.numel() for p in model.parameters())
    stack = model.get_decoder() if found.encoder_block is not None else model.base_model
    _, blocks = trunk.blocks_of(stack)
    assert len(blocks) == found.layers
    assert found.block.parameters == sum(p.numel() for p in blocks[-1].parameters())
    embedding, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    assert (found.head == 0) == (embedding is head)


@pytest.mark.parametrize("name", FAMILIES)
def test_an_adapter_has_the_parameters_of_the_layers_that_it_stands_beside(name: str) -> None:
    model = empty_model(name)
    found = shape_of(model.config.to_dict())
    assert found is not None
    targets = adapters.TARGETS[model.config.model_type]
    layers = [m for n, m in model.named_modules() if n.rpartition(".")[2] in targets and hasattr(m, "weight")]
    assert layers and found.adapter(3, targets) == sum(3 * sum(layer.weight.shape) for layer in layers)


def test_an_unknown_type_or_a_config_without_its_numbers_has_no_shape() -> None:
    assert shape_of({"model_type": "mamba", "hidden_size": 8}) is None
    assert shape_of({"model_type": "llama", "hidden_size": 8}) is None
    assert known_shape("nobody/nothing", None) is None


def test_what_is_told_without_torch_is_what_the_code_does() -> None:
    assert set(passes.PACKED) == set(attention.PACKED_TYPES)
    assert set(passes.PLANNED) == set(plan.NAMES)
    for kind, targets in adapters.TARGETS.items():
        assert networks.TARGETS.get(kind, networks.OTHER_TARGETS) == targets


def test_what_trains_of_a_model() -> None:
    pythia = shape("EleutherAI/pythia-160m")

    def network(**values: Any) -> Network:
        plain = {"unfrozen_blocks": None, "rank": None, "targets": ("query_key_value",)}
        return Network(shape=pythia, dtype="float32", compute_dtype="float32", **{**plain, **values})

    assert network().trained == pythia.parameters
    assert network(unfrozen_blocks=2).trained == 2 * pythia.block.parameters + 2 * 768 + 50304 * 768
    assert network(rank=4).trained == 12 * 4 * (768 + 3 * 768)
    assert network(rank=4).parameters == pythia.parameters + network(rank=4).trained
    assert network(has_head=False).trained == pythia.parameters - 50304 * 768
    whole, top, adapted = network(), network(unfrozen_blocks=2), network(rank=4)
    assert whole.copy_size(share=True) == whole.copy_size(share=False) == 4 * pythia.parameters
    assert top.copy_size(share=True) == 4 * top.trained < top.copy_size(share=False)
    assert adapted.copy_size(share=True) == 4 * adapted.trained
    assert top.of_values().trained == pythia.trunk  # a copy that trains whole, without a head
    assert math.isclose(whole.size / 2**30, 0.605, rel_tol=1e-3)
