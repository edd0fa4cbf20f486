"""Seeds of one setting are composed once: each is the job that it would be by itself."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from rftlab.config.compose import Composer
from rftlab.place import CONF
from rftlab.runs import flat_config, flatten, without_later
from rftlab.runs.identity import identity
from rftlab.sweeps.job import Job

SETTINGS = [
    ["data=narrativeqa"],
    ["algo=sft", "data=imdb", "optimizer.lr=0.001"],
    ["data=narrativeqa", "start=sft"],  # its parent takes over the seed
    ["algo=diagnose", "data=narrativeqa"],
    ["data=narrativeqa", "name=r${seed}"],
    ["algo=expected_reinforce", "data=mnist"],
]


def jobs(grid: Sequence[Sequence[str]], tmp_path: Path, *, apart: bool, of_hydra: Sequence[str] = ()) -> list[Job]:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        composer = Composer(loader, hydra_overrides=of_hydra)
        made = []
        for words in grid:
            composer = Composer(loader, hydra_overrides=of_hydra) if apart else composer
            made.append(composer.job([*words, f"paths.outputs={tmp_path}"]))
        return made


@pytest.mark.parametrize("setting", SETTINGS, ids=" ".join)
def test_each_seed_is_the_job_that_it_is_by_itself(setting: list[str], tmp_path: Path) -> None:
    grid = [[*setting, f"seed={seed}"] for seed in (3, 1, 20)] + [setting, ["seed=4", *setting]]
    together, apart = jobs(grid, tmp_path, apart=False), jobs(grid, tmp_path, apart=True)
    assert together == apart
    assert len({job.key for job in together}) == len(grid)
    assert len({id(job.config["algo"]) for job in together}) == len(grid)  # no job has a part of another's config


def test_a_value_of_a_users_file_that_refers_to_the_seed_follows_it(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    own = "# @package _global_\nalgo: {loop: {iterations: '${seed}'}}\n"
    (tmp_path / "experiment" / "by_seed.yaml").write_text(own)
    grid = [["algo=ppo", "data=narrativeqa", "experiment=by_seed", f"seed={seed}"] for seed in (3, 1, 20)]
    found = jobs(grid, tmp_path, apart=False, of_hydra=[f"hydra.searchpath=['file://{tmp_path}']"])
    assert [job.config["algo"]["loop"]["iterations"] for job in found] == [3, 1, 20]


def test_a_config_is_flattened_by_nodes_as_it_is_as_a_whole(tmp_path: Path) -> None:
    for job in jobs(SETTINGS[:4], tmp_path, apart=False):
        for config in (job.config, {**job.config, "reward": None, "empty": {}, "list": [{"a": 1}]}):
            assert flat_config(config) == flatten(config)
            assert flat_config(config, identity) == flatten(identity(config))
            assert flat_config(config, without_later) == flatten(without_later(config))
