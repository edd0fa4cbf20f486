"""A whole training setting in a temporary folder: tiny random model, a few prompts, a reward that can be learned."""

from collections.abc import Callable
from pathlib import Path

import pytest
from toy import (
    LETTERS,
    MAX_EVALUATED,
    MAX_NEW,
    TEMPERATURE,
    Recorder,
    WatchedAdamW,
    letters_tokenizer,
    scored_responses,
    splits,
)

from rftlab.loops.lab import Evaluation, Lab, OptimizerSpec, Task
from rftlab.loops.session import Session
from rftlab.models import Policy
from rftlab.runs import Run
from rftlab.stop import StopFlag
from rftlab.types import BeamSearch, Sampling, Splits

ROLLOUT = {
    "temperature": TEMPERATURE,
    "top_k": 0,
    "top_p": 1.0,
    "min_new_tokens": 0,
    "max_new_tokens": MAX_NEW,
}
EVALUATION = {
    "every": 2,
    "sizes": {"train": 4, "validation": 3, "test": 2},
    "batch_size": 4,
    "probe_prompts": 6,
    "probe_samples": 3,
    "probe_every": 2,
    "probe_prompts_during": 4,
    "probe_null": False,
    "std_below": 0.05,
    "n_logged": 1,
}
LITTLE = {"sizes": {"train": 1, "validation": 1, "test": 1}, "probe_prompts": 2, "probe_prompts_during": 1}


@pytest.fixture(scope="session")
def make_policy(tiny_gpt2: Callable[..., Policy], tiny_t5: Callable[..., Policy]) -> Callable[[str], Policy]:
    """Make a fresh random policy over letters of a family; always the same one."""
    tokenizer = letters_tokenizer()

    def make(family: str) -> Policy:
        tiny = tiny_gpt2 if family == "causal" else tiny_t5
        return Policy(tiny(seed=1, vocab_size=1 + len(LETTERS)).lm, tokenizer, family)

    return make


@pytest.fixture(scope="session")
def lab_in(make_policy: Callable[[str], Policy]) -> Callable[..., Lab]:
    """Make a lab on a run folder; made again on the same folder, it resumes that run with fresh networks.

    `lab.task.reward` is a `Recorder` and `lab.optimizer.build` a `WatchedAdamW`.
    """

    def make(
        folder: Path,
        *,
        family: str = "causal",
        lr: float = 1e-2,
        value: str = "separate",
        max_grad_norm: float | None = 1.0,
        rollout: dict[str, float] | None = None,
        probe: dict[str, float] | None = None,
        checkpoint_every: int = 1,
        data: Splits | None = None,
        evaluation: dict[str, object] | None = None,
        watch: dict[str, object] | None = None,
        reward: dict[str, object] | None = None,
    ) -> Lab:
        policy = make_policy(family)
        sampling = Sampling(**ROLLOUT | (rollout or {}))
        greedy = BeamSearch(num_beams=1, length_penalty=1.0, min_new_tokens=0, max_new_tokens=MAX_EVALUATED)
        return Lab(
            task=Task(
                name="letters",
                splits=data or splits(),
                max_prompt_tokens=16,
                truncation_side="left",
                max_target_tokens=MAX_NEW,
                append_eos=True,
                rollout=sampling,
                probe=sampling if probe is None else Sampling(**ROLLOUT | probe),
                evaluation=greedy,
                reward=Recorder(policy, folder, **reward or {}),
                low_reward=0.1,
                responses={"train": scored_responses()},
            ),
            policy=policy,
            value_kind=value,
            value_head="mlp",
            optimizer=OptimizerSpec(
                build=WatchedAdamW(policy, **watch or {}),
                lr=lr,
                schedule="cosine",
                warmup_steps=3,
                max_grad_norm=max_grad_norm,
            ),
            evaluation=Evaluation(**EVALUATION | (evaluation or {})),
            session=Session(
                run=Run.claim(folder, {"seed": 0}),
                seed=0,
                checkpoint_every=checkpoint_every,
                progress=False,
                describe=lambda line: None,
                stop=StopFlag(),
            ),
        )

    return make


@pytest.fixture
def make_lab(tmp_path: Path, lab_in: Callable[..., Lab]) -> Callable[..., Lab]:
    """Make a lab on the run folder `tmp_path/NAME`."""
    return lambda name, **values: lab_in(tmp_path / name, **values)


@pytest.fixture
def quick_lab(make_lab: Callable[..., Lab]) -> Callable[..., Lab]:
    """Make a lab that evaluates as little as possible."""
    return lambda name, **values: make_lab(name, **{"evaluation": LITTLE} | values)
