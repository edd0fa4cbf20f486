"""A key whose declared type is a text keeps the characters that were written, wherever they were written."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import OmegaConf

from hydra_plugins.rftlab_sweeper import ResumingSweeper
from rftlab.config.compose import Composer
from rftlab.config.options import CONF
from rftlab.config.texts import is_text, kept
from rftlab.errors import UserError

LOOKING = ["12345e678901", "1.10", "2026_11", "1e3", "+5", "true", "NaN", "-Inf", ".5"]  # like something else
PLAIN = ["007", "5", "-3", "run", "1:30:00", "a1.10", "0x10"]  # what Hydra leaves as it stands


TEXTS = """init_from name sweep.name paths.outputs paths.hub_mirror tracking.uri data.loader.hub_id
    data.loader.hub_config model.policy.source model.policy.tokenizer hydra.launcher.partition
    hydra.launcher.account hydra.launcher.setup resources.partition hydra.run.dir parent.overrides"""
OTHERS = """seed optimizer.lr algo.loss.clip_range algo.loop.iterations eval.every data.rollout.temperature no.such.key
    resources.mem_gb hydra.launcher.mem_gb data.needs_targets model.network.hidden optimizer.build.betas"""


@pytest.mark.parametrize("key", TEXTS.split())
def test_keys_of_texts_are_known_by_their_declared_types(key: str) -> None:
    assert is_text(key)


@pytest.mark.parametrize("key", OTHERS.split())
def test_keys_of_numbers_are_none(key: str) -> None:
    assert not is_text(key)
    for word in LOOKING:
        assert kept(f"{key}={word}") == f"{key}={word}"


@pytest.mark.parametrize("word", LOOKING)
def test_what_hydra_would_rewrite_is_quoted_and_nothing_else(word: str) -> None:
    assert kept(f"sweep.name={word}") == f"sweep.name='{word}'"
    assert kept(f"++sweep.name={word},x, {word}") == f"++sweep.name='{word}',x,'{word}'"
    assert kept(f"sweep={{name:{word},dry_run: true}}") == f"sweep={{name:'{word}',dry_run: true}}"
    assert kept(f"parent.overrides=[{word},seed=1]") == f"parent.overrides=['{word}','seed=1']"
    assert kept(f"name=choice({word},x)") == f"name=choice('{word}',x)"
    for left in (f"name='{word}'", f'name="{word},x"', f"name={word}-x", f"name=${{a}}{word}", f"name=x{word}", word):
        assert kept(left) == left


@pytest.mark.parametrize("word", [*PLAIN, "null"])
def test_what_hydra_leaves_alone_is_left_alone(word: str) -> None:
    assert kept(f"sweep.name={word}") == f"sweep.name={word}"


def test_options_of_sbatch_keep_their_numbers_and_their_switches() -> None:
    assert kept("hydra.launcher.sbatch.exclude=1e3,1") == "hydra.launcher.sbatch.exclude='1e3',1"
    assert kept("hydra.launcher.sbatch.exclusive=true") == "hydra.launcher.sbatch.exclusive=true"


def in_copy(tmp_path: Path, files: Mapping[str, str], use: Callable[[Any], Any]) -> Any:
    """Call `use` with the loader of a copy of `conf/` that has these files too."""
    root = tmp_path / "conf"
    shutil.copytree(CONF, root)
    (root / "local").mkdir(exist_ok=True)
    for name, text in files.items():
        (root / name).write_text(text)
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(root), version_base="1.3"):
        return use(GlobalHydra.instance().config_loader())


def test_an_experiment_file_keeps_texts(tmp_path: Path) -> None:
    lines = ["# @package _global_", "init_from: 12345e678901", "name: 1.10", "sweep: {name: 2026_11}",
             "data: {loader: {hub_config: 1_0, n_train: 2_00}}", "optimizer: {lr: 1.0e-3}",
             "resources: {partition: no, mem_gb: 1e1}"]  # fmt: skip
    words = ["experiment=mine"]
    config = in_copy(tmp_path, {"experiment/mine.yaml": "\n".join(lines)}, lambda it: Composer(it).job(words).config)
    assert (config["init_from"], config["name"], config["sweep"]["name"]) == ("12345e678901", "1.10", "2026_11")
    assert (config["data"]["loader"]["hub_config"], config["resources"]["partition"]) == ("1_0", "no")
    assert (config["data"]["loader"]["n_train"], config["optimizer"]["lr"]) == (200, 1e-3)
    assert config["resources"]["mem_gb"] == 10.0


def test_a_table_keeps_texts(tmp_path: Path) -> None:
    table = (CONF / "data/imdb.yaml").read_text().replace("  mini:\n", "  mini:\n    all: {name: 1.10}\n", 1)
    assert "all: {name" in table
    words = ["data=imdb", "algo=sft"]
    assert in_copy(tmp_path, {"data/imdb.yaml": table}, lambda it: Composer(it).job(words).config["name"]) == "1.10"


@pytest.mark.parametrize(("file", "text"), [
    ("experiment/mine", "# @package _global_\nhydra:\n  launcher:\n    sbatch: {time-min: 1:30:00}"),
    ("hydra/launcher/mine", "# @package hydra.launcher\n\n\nsbatch: {time-min: 1:30:00}"),
    ("local/slurm", "partition: 2026_11\n\n\nsbatch: {time-min: 1:30:00}"),
])  # fmt: skip
def test_a_dictionary_without_types_is_refused_where_yaml_reads_another_value(
    file: str, text: str, tmp_path: Path
) -> None:
    def read(loader: Any) -> None:
        loader.load_configuration(file, [], run_mode=RunMode.RUN)

    with pytest.raises(UserError, match=rf"{file}.yaml, line 4: sbatch: time-min: 1:30:00.* '1:30:00' in quotes"):
        in_copy(tmp_path, {f"{file}.yaml": text}, read)


GRID = """# @package hydra.sweeper
params:
  init_from: null
  sweep.name: 1.10
  seed: "0, 1"
grids:
  - {name: 2026_11, eval.probe_every: null, optimizer.build.betas: [0.5, 0.9]}
  - name: "1e5"
    model.policy.source: [a, "b,c"]
"""


@pytest.mark.parametrize("package", ["hydra.sweeper", "_global_"])
def test_an_axis_of_a_sweep_file_is_what_stands_behind_the_equals_sign_of_a_command_line(
    package: str, tmp_path: Path
) -> None:
    inside = "".join(f"    {line}\n" for line in GRID.splitlines()[1:])
    text = GRID if package == "hydra.sweeper" else f"# @package _global_\nhydra:\n  sweeper:\n{inside}"

    def expand(loader: Any) -> list[list[str]]:
        config = loader.load_configuration("train", ["+sweep=mine"], run_mode=RunMode.MULTIRUN)
        node: Any = OmegaConf.to_container(config.hydra.sweeper)
        sweeper = ResumingSweeper(node["params"], node["grids"])
        sweeper._loader = loader
        return sweeper.overrides(["algo=apa"])

    grid = in_copy(tmp_path, {"sweep/mine.yaml": text}, expand)
    assert [job[:3] for job in grid] == [["init_from=null", "sweep.name='1.10'", f"seed={n}"] for n in (0, 1, 0, 1)]
    assert grid[0][3:] == ["name='2026_11'", "eval.probe_every=null", "optimizer.build.betas=[0.5,0.9]", "algo=apa"]
    assert grid[2][3:] == ["name='1e5'", "model.policy.source=[a,'b,c']", "algo=apa"]
