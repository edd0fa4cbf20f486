"""What the commands of a report carry over, checked by composing them."""

from collections.abc import Generator

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from analysis.preflight.overrides import overrides, recorded
from rftlab.config.compose import Composer
from rftlab.config.options import CONF
from rftlab.runs.identity import changed_keys

CELLS = ["data=narrativeqa model=t5_mini", "data=imdb model=gpt2_mini", "data=imdb model=gpt2_imdb scale=paper"]
CHANGED = [
    *["data.rollout.temperature=0.7", "data.rollout.top_k=50", "data.loader.n_train=3000", "eval.std_below=0.1"],
    *["data.low_reward=0.3", "data.loader.hub_id='a-b/c.d'", "model.unfrozen_blocks=1", "data.loader.hub_config=null"],
]
LOOP = ["algo.loop.n_prompts=40", "algo.loop.bound_prompts=0", "algo.loop.reward_low=-1.0"]


@pytest.fixture(scope="module")
def composer() -> Generator[Composer]:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield Composer(GlobalHydra.instance().config_loader())


def diagnosis(composer: Composer, cell: str, *words: str) -> dict:
    job = composer.job([*cell.split(), "algo=diagnose", "seed=3", "sweep.name=of_mine", *words])
    assert recorded(job.config)
    return job.config


@pytest.mark.parametrize("cell", CELLS)
def test_the_words_make_the_same_diagnosis_again(composer: Composer, cell: str) -> None:
    config = diagnosis(composer, cell, *CHANGED, *LOOP)
    words = overrides(config, same_algo=True)
    again = composer.job([*cell.split(), "algo=diagnose", "algo.loop.n_prompts=40", *words])
    assert changed_keys(config, again.config) == []
    assert "seed=3" in words and not any(word.startswith(("data=", "sweep.", "algo=")) for word in words)


@pytest.mark.parametrize("algo", ["ppo", "sft"])
def test_a_training_run_has_data_model_thresholds_and_seed_of_the_diagnosis(composer: Composer, algo: str) -> None:
    cell = "data=imdb model=gpt2_mini"
    config = diagnosis(composer, cell, *CHANGED, *LOOP, "eval.every=7", "optimizer=adam")
    train = composer.job([*cell.split(), f"algo={algo}", *overrides(config, same_algo=False)])
    different = changed_keys(config, train.config)
    beside = {key for key in different if key.split(".")[0] not in ("algo", "optimizer")}
    assert beside <= {"eval.every", "eval.probe_every"}  # which count the steps of each algorithm's loop


def test_a_diagnosis_of_defaults_needs_no_words(composer: Composer) -> None:
    config = diagnosis(composer, CELLS[0], "seed=0", "heuristic=temperature", "heuristic.temperature=2.0")
    assert [overrides(config, same_algo) for same_algo in (True, False)] == [(), ()]


def test_a_run_without_a_record_writes_out_what_it_sampled_and_is_called_so(composer: Composer) -> None:
    kept = diagnosis(composer, CELLS[1], *CHANGED[:5], *LOOP)
    old = {key: value for key, value in kept.items() if key != "overrides"}
    assert not recorded(old)
    again = composer.job(
        [*CELLS[1].split(), "algo=diagnose", "algo.loop.n_prompts=40", *overrides(old, same_algo=True)]
    )
    assert changed_keys(old, again.config) == []
    assert not any(word.startswith("algo.") for word in overrides(old, same_algo=False))
