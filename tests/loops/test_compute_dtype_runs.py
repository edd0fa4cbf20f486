"""Runs that compute in bfloat16: resumed bit by bit, with everything that is stored in float32."""

from collections.abc import Callable

import pytest
import torch
from losses import online, ppo, supervised
from safetensors.torch import load_file
from test_resume import assert_equal, leaves, run_until
from toy import Killed, die

from rftlab.algorithms.sft import SFT
from rftlab.loops import checkpoint
from rftlab.loops.lab import Lab

RUNS = {
    "ppo": (online(iterations=2, update_epochs=1, microbatch_size=4), ppo(), 4),
    "sft": (supervised(steps=2, microbatch_size=4), SFT(), 2),
}


@pytest.fixture
def half_lab(quick_lab: Callable[..., Lab]) -> Callable[..., Lab]:
    """Make a lab whose networks compute in bfloat16."""

    def make(name: str, **values: object) -> Lab:
        lab = quick_lab(name, **values)
        lab.policy.compute_dtype = torch.bfloat16
        return lab

    return make


@pytest.mark.parametrize("family", ["causal", "seq2seq"])
@pytest.mark.parametrize("name", list(RUNS))
def test_a_run_in_bfloat16_resumes_bit_for_bit_from_float32(
    half_lab: Callable[..., Lab], family: str, name: str
) -> None:
    loop, loss, death = RUNS[name]
    whole = half_lab("whole", family=family)
    final = loop.run(whole, loss)
    broken = half_lab("broken", family=family, watch={"at": death, "then": die})
    run_until(broken, loop, loss, Killed)
    saved = checkpoint.latest(broken.session.run.folder)
    assert saved is not None
    kinds = {value.dtype for _, value in leaves(saved[1]) if isinstance(value, torch.Tensor)}
    assert torch.float32 in kinds and torch.bfloat16 not in kinds
    resumed = half_lab("broken", family=family)
    assert loop.run(resumed, loss) == final
    weights = [load_file(lab.session.run.folder / "final" / "model.safetensors") for lab in (whole, resumed)]
    assert_equal(*weights)
    assert {value.dtype for value in weights[0].values()} == {torch.float32}
