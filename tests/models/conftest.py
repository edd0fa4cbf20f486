"""Each kind of tiny random policy."""

from collections.abc import Callable

import pytest

from rftlab.models import (
    Policy,
)


@pytest.fixture(scope="session", params=["t5", "gpt2", "llama"])
def tiny(request: pytest.FixtureRequest) -> Callable[..., Policy]:
    return request.getfixturevalue(f"tiny_{request.param}")
