"""Keys that only some members of a group have: in a grid of these members they are known, whatever the default is."""

from collections.abc import Sequence

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode

from hydra_plugins.rftlab_sweeper import ResumingSweeper
from rftlab.commands.arguments import as_hydra_wants
from rftlab.config.compose import Composer
from rftlab.config.options import CONF
from rftlab.errors import UserError
from rftlab.sweeps.job import Job


def jobs_of(words: Sequence[str]) -> list[Job]:
    """Compose the jobs of a sweep as the command line would."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        overrides = [word for word in as_hydra_wants(["-m", *words]) if not word.startswith("--")]
        config = loader.load_configuration("train", overrides, run_mode=RunMode.MULTIRUN)
        node = config.hydra.sweeper
        sweeper = ResumingSweeper(params=node.params, grids=node.grids, scales=node.scales)
        sweeper._loader = loader
        composer = Composer(loader, "train")
        return [composer.job(each) for each in sweeper.overrides(list(config.hydra.overrides.task))]


GRIDS = {
    "a loss": ["algo=apa,awr", "algo.loss.lam=0.2"],
    "a loop, with a grid": ["algo=offline_apa,offline_awr", "algo.loop.values=refreshed", "seed=0,1", "data=imdb"],
    "a reward, by the dataset of a sweep file": ["+sweep=algorithms", "reward.max_tokens=128"],
    "a list": ["algo=ilql", "data=imdb", "algo.loss.decode_b=[1,2]", "seed=0,1"],
    "a text with a reference": ["data=imdb", "reward.source=${paths.outputs}", "seed=0,1"],
    "a text that looks like a number": ["algo=dpo", "data=imdb", "algo.responses.run=12345e678901", "seed=0,1"],
    "an optimiser": ["optimizer=sgd", "optimizer.lr=1e-3", "optimizer.build.momentum=0.9", "algo=apa,awr"],
}


@pytest.mark.parametrize("words", GRIDS.values(), ids=GRIDS)
def test_a_key_that_the_default_member_lacks_is_known_in_a_grid_of_those_that_have_it(words: list[str]) -> None:
    key = next(word for word in words if "." in word.partition("=")[0])
    jobs = jobs_of(words)
    assert len(jobs) > 1
    for job in jobs:
        assert key.partition("=")[0] in " ".join(job.config["overrides"])


@pytest.mark.parametrize("words", [["algo=apa", "algo.loss.lam=0.2"], ["data=imdb", "reward.max_tokens=128"]])
def test_a_job_of_a_sweep_has_the_key_of_the_same_run_alone(words: list[str]) -> None:
    (job,) = jobs_of(words)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        alone = Composer(GlobalHydra.instance().config_loader(), "train").job(words)
    assert job.key == alone.key and job.config["overrides"] == alone.config["overrides"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["algo=apa,ppo", "algo.loss.lam=0.2"], "algo.loss.lam, which the chosen algo does not have"),
        (["algo=apa,awr", "algo.loss.lam=abc"], "algo.loss.lam=abc; expected a number"),
        (["algo=apa,awr", "algo.loss.lamm=1"], "algo.loss.lamm, which the config does not have"),
    ],
)
def test_a_key_that_a_job_lacks_is_refused_as_in_a_run_alone(words: list[str], said: str) -> None:
    from rftlab.config.messages import explain

    with pytest.raises(Exception) as refused:
        jobs_of(words)
    text = str(refused.value) if isinstance(refused.value, UserError) else explain(refused.value)
    assert said in text
