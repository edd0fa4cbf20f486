"""A whole training setting in a temporary folder: tiny random model, a few prompts, a reward that can be learned."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from toy import ShareOfVowels

from rftlab.loops.lab import Evaluation, Lab, OptimizerSpec, Task
from rftlab.loops.session import Session
from rftlab.runs import Run
from rftlab.stop import StopFlag
from rftlab.types import Example, Sampling, Splits


def examples(n: int, split: str) -> list[Example]:
    return [Example(id=f"{split}-{i}", prompt=f"say {i}" * (1 + i % 3), targets=("aeiou", "oe")) for i in range(n)]


@pytest.fixture
def make_lab(tmp_path: Path, tiny_gpt2: Callable, tiny_t5: Callable) -> Callable[..., Lab]:
    """Make a lab on the run folder `tmp_path/NAME`; calling it again resumes that run with fresh networks."""

    def make(
        name: str, *, family: str = "causal", dies_at: int | None = None, lr: float = 1e-2, value: str = "separate"
    ) -> Lab:
        sampling = Sampling(temperature=1.0, top_k=0, top_p=1.0, min_new_tokens=0, max_new_tokens=6)
        return Lab(
            task=Task(
                name="vowels",
                splits=Splits(train=examples(12, "train"), validation=examples(4, "v"), test=[], source="bundled"),
                max_prompt_tokens=16,
                truncation_side="left",
                max_target_tokens=6,
                append_eos=True,
                rollout=sampling,
                evaluation=sampling,
                reward=ShareOfVowels(dies_at),
                low_reward=0.1,
            ),
            policy=(tiny_gpt2 if family == "causal" else tiny_t5)(seed=1),
            value_kind=value,
            value_head="mlp",
            optimizer=OptimizerSpec(
                build=partial(torch.optim.AdamW), lr=lr, schedule="cosine", warmup_steps=2, max_grad_norm=1.0
            ),
            evaluation=Evaluation(
                every=2,
                sizes={"train": 4, "validation": 4, "test": 4},
                batch_size=4,
                probe_prompts=6,
                probe_samples=3,
                probe_every=2,
                probe_prompts_during=4,
                std_below=0.05,
                n_logged=1,
            ),
            session=Session(
                run=Run.claim(tmp_path / name, {"seed": 0}),
                seed=0,
                checkpoint_every=1,
                progress=False,
                describe=lambda line: None,
                stop=StopFlag(),
            ),
        )

    return make
