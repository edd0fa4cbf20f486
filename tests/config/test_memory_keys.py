"""Keys of adapters and memory: no part of a run where they change nothing, refused where they cannot work."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from rftlab.config.compose import Composer
from rftlab.errors import UserError
from rftlab.runs.identity import run_key

ROOT = Path(__file__).parents[2]
RUN = ["data=imdb", "algo=ppo"]


@pytest.fixture(scope="module")
def composer() -> Iterator[Composer]:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        yield Composer(GlobalHydra.instance().config_loader())


def test_how_memory_is_saved_is_no_part_of_a_run(composer: Composer) -> None:
    plain = composer.job(RUN)
    other = composer.job([*RUN, "runtime.share_trunk=false", "runtime.gradient_checkpointing=true"])
    assert other.key == plain.key


def test_a_config_from_before_adapters_has_the_key_of_one_without(composer: Composer) -> None:
    job = composer.job(RUN)
    before = {**job.config, "model": {k: v for k, v in job.config["model"].items() if k != "lora"}}
    assert job.config["model"]["lora"]["rank"] is None and run_key(before) == job.key


def test_each_value_of_an_adapter_is_part_of_a_run(composer: Composer) -> None:
    values = [[], ["model.lora.alpha=8"], ["model.lora.targets=[c_proj]"]]
    jobs = [composer.job([*RUN, "model.lora.rank=4", *more]) for more in values]
    jobs += [composer.job([*RUN, "model.lora.rank=8"]), composer.job(RUN)]
    assert len({job.key for job in jobs}) == len(jobs)


def test_the_parent_of_a_run_with_an_adapter_has_none(composer: Composer) -> None:
    (plain,), (adapted,) = [
        composer.job(["data=narrativeqa", "algo=ppo", "heuristic=partial_sft", *more]).parents
        for more in ([], ["model.lora.rank=4"])
    ]
    assert plain.key == adapted.key and adapted.config["model"]["lora"]["rank"] is None


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["model.lora.rank=0"], "a number above 0"),
        (["model.lora.rank=4", "model.lora.dropout=0.1"], "one and the same network"),
        (["model.lora.rank=4", "model.unfrozen_blocks=1"], "null for one of them"),
        (["model.lora.rank=4", "model.lora.alpha=0"], "a number above 0"),
    ],
)
def test_what_cannot_work_is_refused_before_the_start(composer: Composer, overrides: list[str], words: str) -> None:
    with pytest.raises(UserError, match=words):
        composer.job([*RUN, *overrides])


def test_a_classifier_is_not_recomputed(composer: Composer) -> None:
    with pytest.raises(UserError, match="a classifier; expected false"):
        composer.job(["data=review_labels", "algo=sft", "runtime.gradient_checkpointing=true"])
