"""The composer of grids: what it composes is what Hydra composes, however many jobs came before."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from rftlab import runs
from rftlab.config.compose import Composer, words_behind
from rftlab.errors import UserError
from rftlab.launch import single
from rftlab.sweeps.job import Job

CONF = Path(__file__).parents[2] / "conf"


@pytest.fixture
def loader() -> Iterator[object]:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield GlobalHydra.instance().config_loader()


def by_hydra(loader, overrides: list[str]):
    cfg = loader.load_configuration("train", overrides, run_mode=RunMode.RUN)
    return single.prepare(cfg, cfg.hydra.runtime.choices)


AXES = [
    ["algo=ppo", "algo=apa"],
    ["seed=0", "seed=7"],
    ["optimizer.lr=1e-3", "optimizer.lr=0.5"],
    ["heuristic=none", "heuristic=entropy", "heuristic=partial_sft"],
    ["name=plain", "name='quoted, text'", "init_from=null", "runtime.threads=1"],
    ["data.loader.n_train=300", "data.loader.n_train=null"],
]


def test_a_grid_has_the_jobs_that_hydra_composes_one_by_one(loader) -> None:
    composer = Composer(loader)
    grid = [list(overrides) for overrides in itertools.product(*AXES)]
    valid = [overrides for overrides in grid if "name='quoted, text'" not in overrides]
    made = [composer.job(overrides) for overrides in valid]
    for overrides, job in list(zip(valid, made, strict=True))[::17]:
        alone = by_hydra(loader, overrides)
        assert (job.config, job.key, job.folder) == (alone.config, alone.key, alone.folder), overrides
        assert [parent.key for parent in job.parents] == [parent.key for parent in alone.parents]


def test_a_job_leaves_nothing_behind_for_the_next(loader) -> None:
    composer = Composer(loader)
    before = composer.job(["algo=ppo"])
    composer.job(["algo=ppo", "seed=3", "optimizer.lr=0.25", "data.rollout.temperature=2"])
    for wrong in (["optimizer.lr=-1"], ["optimizer.lr=abc"], ["algo.loss.clip_range=1", "algo.foo=1"]):
        with pytest.raises((UserError, HydraException, OmegaConfBaseException)):
            composer.job(["algo=ppo", *wrong])
    assert composer.job(["algo=ppo"]) == before


def test_how_a_run_is_cut_to_fit_into_memory_is_in_its_config_and_not_in_its_key_or_words(loader) -> None:
    composer = Composer(loader)
    plain = composer.job(["optimizer.lr=0.25"])
    small = composer.job(["algo.loop.microbatch_size=4", "optimizer.lr=0.25", "eval.batch_size=16"])
    assert (small.config["algo"]["loop"]["microbatch_size"], small.config["eval"]["batch_size"]) == (4, 16)
    assert (small.key, small.folder, small.config["overrides"]) == (plain.key, plain.folder, ["optimizer.lr=0.25"])


def test_interpolations_follow_the_values_of_their_own_job(loader) -> None:
    composer = Composer(loader)
    first, second = (composer.job(["heuristic=temperature", f"heuristic.temperature={t}"]) for t in (1.5, 2.5))
    assert first.config["data"]["rollout"]["temperature"] == 1.5
    assert second.config["data"]["rollout"]["temperature"] == 2.5


FOLLOWERS = {  # what is set -> keys of the config that say the same by reference
    "data.rollout.top_k=7": ["data.probe.top_k", "data.evaluation.top_k"],
    "data.rollout.max_new_tokens=50": ["data.probe.max_new_tokens", "data.evaluation.max_new_tokens"],
    "heuristic.temperature=2.5": ["data.rollout.temperature"],
    "paths.outputs=elsewhere": ["tracking.uri"],
    "data.name=mine": ["name"],
}


@pytest.mark.parametrize("override", FOLLOWERS)
def test_whatever_refers_to_a_value_follows_it_and_goes_back_with_it(loader, override: str) -> None:
    groups = ["data=imdb", "heuristic=temperature"]
    composer = Composer(loader)
    before = composer.job(groups)
    changed = composer.job([*groups, override])
    assert changed.config == by_hydra(loader, [*groups, override]).config
    old, new = runs.flatten(before.config), runs.flatten(changed.config)
    assert all(new[key] != old[key] for key in FOLLOWERS[override])
    assert composer.job(groups) == before


def test_a_reference_depends_on_what_the_references_behind_it_do_and_a_resolver_on_anything() -> None:
    words = words_behind({"a.b": "${..c.d}", "c.d": "${x.y}", "e": "${oc.env:HOME}", "f": "in ${e}", "g": "[1, 2]"})
    assert words == {"a.b": {"c", "d", "x", "y"}, "c.d": {"x", "y"}, "e": None, "f": None, "g": set()}


def test_jobs_share_no_lists(loader) -> None:
    composer = Composer(loader)
    first, second = composer.job(["seed=0"]), composer.job(["seed=1"])
    first.config["optimizer"]["build"]["betas"][0] = 0.5
    assert (
        second.config["optimizer"]["build"]["betas"][0]
        == composer.job(["seed=2"]).config["optimizer"]["build"]["betas"][0]
        == 0.9
    )


def test_added_and_removed_keys_and_containers_are_composed_as_hydra_does(loader) -> None:
    composer = Composer(loader)
    for overrides in (["parent={overrides:[algo=sft]}"], ["++seed=4"], ["optimizer.build.betas=[0.8,0.9]"]):
        try:
            alone = by_hydra(loader, overrides)
        except (UserError, HydraException, OmegaConfBaseException) as error:
            with pytest.raises(type(error)):
                composer.job(overrides)
        else:
            assert composer.job(overrides).config == alone.config
    with pytest.raises(UserError, match="foo"):
        composer.job(["+foo=1"])


def test_children_that_agree_on_their_parent_share_one_object(loader) -> None:
    composer = Composer(loader)
    a, b = (composer.job(["heuristic=partial_sft", f"algo={algo}"]) for algo in ("ppo", "apa"))
    other = composer.job(["heuristic=partial_sft", "seed=1"])
    (parent,), (same,), (changed,) = (job.parents for job in (a, b, other))
    assert parent is same
    assert changed.key != parent.key
    assert a.config["init_from"] == parent.key


def test_raw_config_is_untouched_by_resolution(loader) -> None:
    composer = Composer(loader)
    composer.job(["seed=1"])
    (base,) = composer._bases.values()
    assert OmegaConf.to_container(base.cfg, resolve=False) == base.raw


PRESET = ["scale=paper", "experiment=vanishing_gradients/stsb_two_cores"]
WHOLE = ["algo=apa", "data.loader.n_train=300", "heuristic=partial_sft", "heuristic.step_fraction=0.5"]
ELSEWHERE = ["seed=3", "sweep.name=there", "paths.outputs=elsewhere", "runtime.device=cpu", "resources.mem_gb=9"]
ELSEWHERE += ["tracking=none", "hydra/launcher=local", "name=mine"]


def lineage(job: Job) -> Iterator[Job]:
    yield job
    for parent in job.parents:
        yield from lineage(parent)


@pytest.mark.parametrize("overrides", [PRESET, WHOLE, ["data.prompt.max_tokens=99", "++optimizer.lr=2e-4"], []])
def test_a_job_keeps_the_words_that_make_its_setting_and_not_where_or_with_which_seed_it_runs(
    loader, overrides: list[str]
) -> None:
    composer = Composer(loader)
    assert composer.job([*ELSEWHERE, *overrides]).config["overrides"] == overrides
    assert by_hydra(loader, [*overrides, *ELSEWHERE]).config["overrides"] == overrides


@pytest.mark.parametrize("overrides", [PRESET, WHOLE, [*WHOLE, "data.prompt.truncation_side=left", "eval.n_logged=0"]])
def test_the_words_of_a_run_and_of_its_parents_make_the_same_run_again(loader, overrides: list[str]) -> None:
    composer = Composer(loader)
    family = list(lineage(composer.job([*overrides, "seed=3"])))
    assert len(family) == 2
    for job in family:
        assert by_hydra(loader, [*job.config["overrides"], "seed=3"]).key == job.key


def test_the_words_are_no_part_of_the_identity(loader) -> None:
    composer = Composer(loader)
    default, spelled = composer.job(["algo=ppo"]), composer.job(["algo=ppo", "data=narrativeqa", "heuristic=none"])
    assert default.config["overrides"] != spelled.config["overrides"]
    assert default.key == spelled.key
