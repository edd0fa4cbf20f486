"""Sampling and searching against other engines: `transformers.generate` in its best dtype, and CTranslate2.

    python bench/sampling.py [--ctranslate2 FOLDER] [--rounds 5] [--only WORD]

Rows at the shape of GPT-2 (124M, random weights) sample; rows of the embedded models decode greedily or with
four beams, as evaluations do. Every response has all of its tokens: EOS is banned on both sides. CTranslate2 is not of
this product: `uv pip install --no-deps --target FOLDER ctranslate2==4.8.5` puts it into a folder of its own.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from sides import BASE, Bar, Side, compare, report, tree_of
from transformers import GenerationConfig, GPT2Config, GPT2LMHeadModel

from rftlab.models import Policy, load_policy
from rftlab.models.policy import Family
from rftlab.sampling.sample import beam_search, sample
from rftlab.streams import row_noise
from rftlab.types import BeamSearch, Sampling

MINIS: dict[str, Family] = {"gpt2_mini": "causal", "t5_mini": "seq2seq"}
Work = Callable[[], dict[str, float] | None]


def policy_of(model: str, compute_dtype: Any) -> Policy:
    """Load an embedded model, or make a random one of the shape of GPT-2."""
    source = "gpt2_mini" if model == "gpt2" else model
    policy: Any = load_policy(
        source=f"asset:{source}", family=MINIS[source], tokenizer="asset:tokenizer", init="pretrained",
        dtype="float32", compute_dtype=compute_dtype,
    )  # fmt: skip
    if model != "gpt2":
        return policy
    torch.manual_seed(0)
    return Policy(GPT2LMHeadModel(GPT2Config()).eval(), policy.tokenizer, "causal", policy.compute_dtype)


def prompts_of(policy: Policy, prompts: int, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw random prompts; the last one is half as long, padded as the family pads."""
    ids = torch.randint(5, 1000, (prompts, length), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids, dtype=torch.bool)
    mask[-1, : length // 2] = False
    mask = mask if policy.family == "causal" else mask.flip(1)
    return ids.masked_fill(~mask, policy.pad_id), mask


def ours(model: str, prompts: int, length: int, new: int, samples: int, beams: int, compute_dtype: str) -> Work:
    """Prepare this product; without samples it searches."""
    policy = policy_of(model, compute_dtype)
    ids, mask = prompts_of(policy, prompts, length)
    if samples == 0:
        beam = BeamSearch(num_beams=beams, length_penalty=1.0, min_new_tokens=new, max_new_tokens=new)
        return lambda: search(policy, ids, mask, beam)
    setting = Sampling(temperature=1.0, top_k=0, top_p=1.0, min_new_tokens=new, max_new_tokens=new)
    noise = row_noise(0, places=range(prompts), samples=samples, steps=new)
    return lambda: draw(policy, ids, mask, setting, samples, noise)


def search(policy: Policy, ids: torch.Tensor, mask: torch.Tensor, beam: BeamSearch) -> dict[str, float]:
    """Search once; the sum of the ids tells whether two sides found the same."""
    found = beam_search(policy, ids, mask, beam)
    assert found.response_mask.all()
    return {"ids": float(found.response_ids.sum())}


def draw(policy: Policy, ids: Any, mask: Any, setting: Sampling, samples: int, noise: Any) -> None:
    """Sample once."""
    assert sample(policy, ids, mask, setting, samples, noise).response_mask.all()


def generate(
    model: str, prompts: int, length: int, new: int, samples: int, beams: int, compute_dtype: str, dtype: str
) -> Work:
    """Prepare transformers, with all weights in a dtype."""
    policy = policy_of(model, "float32")
    ids, mask = prompts_of(policy, prompts, length)
    lm: Any = policy.lm.to(getattr(torch, dtype))
    config = GenerationConfig(
        do_sample=samples > 0, top_k=0, top_p=1.0, num_beams=beams, min_new_tokens=new, max_new_tokens=new,
        pad_token_id=policy.pad_id, eos_token_id=policy.eos_id,
    )  # fmt: skip
    rows = max(samples, 1)
    row = {"input_ids": ids.repeat_interleave(rows, 0), "attention_mask": mask.long().repeat_interleave(rows, 0)}

    def once() -> None:
        with torch.inference_mode():
            assert lm.generate(**row, generation_config=config).shape[1] == length + new

    return once


def ctranslate2(model: str, prompts: int, length: int, new: int, samples: int, beams: int, compute_dtype: str) -> Work:
    """Prepare CTranslate2 in float32, with the weights of an embedded model."""
    import ctranslate2 as engine  # ty: ignore[import-not-found]
    from ctranslate2.converters import TransformersConverter  # ty: ignore[import-not-found]

    policy = policy_of(model, "float32")
    ids, mask = prompts_of(policy, prompts, length)
    rows = [policy.tokenizer.convert_ids_to_tokens(row[keep]) for row, keep in zip(ids, mask, strict=True)]
    how = {"beam_size": beams, "max_batch_size": 0}
    with tempfile.TemporaryDirectory() as folder:
        policy.lm.save_pretrained(f"{folder}/model")
        tokenizer: Any = policy.tokenizer
        tokenizer.bos_token = tokenizer.unk_token = tokenizer.eos_token  # its files must name some
        tokenizer.save_pretrained(f"{folder}/model")
        TransformersConverter(f"{folder}/model").convert(f"{folder}/converted")
        where = {"device": "cpu", "compute_type": "float32", "intra_threads": 1, "inter_threads": 1}
        if policy.family == "causal":
            generator = engine.Generator(f"{folder}/converted", **where)
            lengths = {"min_length": new, "max_length": new, "include_prompt_in_result": False}
            return lambda: {
                "ids": _ids(one.sequences_ids[0] for one in generator.generate_batch(rows, **lengths, **how))
            }
        translator = engine.Translator(f"{folder}/converted", **where)
        lengths = {"min_decoding_length": new, "max_decoding_length": new}
        ids_of: Any = policy.tokenizer.convert_tokens_to_ids
        return lambda: {
            "ids": _ids(ids_of(one.hypotheses[0]) for one in translator.translate_batch(rows, **lengths, **how))
        }


def _ids(rows: Iterable[list[int]]) -> float:
    return float(sum(map(sum, rows)))


def main() -> None:
    """Print a table, and write it to `outputs/bench/sampling.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ctranslate2", type=Path, help="the folder that CTranslate2 was installed into")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="rows whose names hold this word")
    asked = parser.parse_args()
    rows: list[dict[str, Any]] = []

    def row(work: str, bar: Bar | None, sides: list[Side], **settings: Any) -> None:
        if asked.only in work:
            rows.append(compare(work, bar, sides, __file__, "ours", settings=settings, rounds=asked.rounds))

    big = {"model": "gpt2", "prompts": 16, "length": 64, "new": 48, "samples": 4, "beams": 1}
    own = Side(name="bfloat16", settings={"compute_dtype": "bfloat16"})
    for dtype in ("bfloat16", "float32"):
        peer = Side(name=f"generate {dtype}", function="generate", settings={"dtype": dtype, "compute_dtype": dtype})
        row(f"124M, 16 x 4, 64+48, against {dtype}", Bar("times", 3.0), [own, peer], **big)
    with tree_of(BASE) as old:
        for model in MINIS:
            for beams, length in ((1, 64), (1, 256), (4, 64), (4, 256)):
                few = {"model": model, "prompts": 16, "length": length, "new": 32, "samples": 0, "beams": beams}
                few |= {"compute_dtype": "float32"}
                word = f"{model}, 16 prompts, {length}+32, {'greedy' if beams == 1 else f'{beams} beams'}"
                now = Side(name="now")
                if asked.ctranslate2 is not None:
                    native = Side(name="ctranslate2", function="ctranslate2", paths=(asked.ctranslate2,))
                    row(word, Bar("times", 0.7), [now, native], **few)
                row(f"{word}, against {BASE}", None, [now, Side(name=BASE, tree=old)], **few)
    report("sampling", rows)


if __name__ == "__main__":
    main()
