"""What each peer said of the same tensors, asked once."""

import pytest
from peers import ask, cases


@pytest.fixture(scope="session")
def case():
    return cases()


@pytest.fixture(scope="session")
def verl(case, tmp_path_factory):
    return ask("verl", case, tmp_path_factory.mktemp("verl"))


@pytest.fixture(scope="session")
def trl(case, tmp_path_factory):
    return ask("trl", case, tmp_path_factory.mktemp("trl"))


@pytest.fixture(scope="session")
def trl_ppo(case, tmp_path_factory):
    return ask("trl_ppo", case, tmp_path_factory.mktemp("trl_ppo"))
