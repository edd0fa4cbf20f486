"""Tables of the config files: what goes above what, that nothing shows them as groups, that a wrong name is found."""

import shutil
from collections.abc import Generator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf._utils import get_yaml_loader
from test_config import CONF, composed, options

from rftlab import runs
from rftlab.config import messages, scales
from rftlab.config.yaml_files import yaml_loader
from rftlab.errors import UserError

FILES = sorted(str(path.relative_to(CONF)) for path in CONF.rglob("*.yaml"))
ONLINE = scales.ROWS["online"]
AXES = {"scale": options("scale"), "data": options("data"), "algo": options("algo"), "kind": options("data/kind")}


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """Copy the config folder, for a test to change."""
    return Path(shutil.copytree(CONF, tmp_path / "conf"))


@contextmanager
def loader_of(conf: Path) -> Generator[Any]:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf), version_base="1.3"):
        yield GlobalHydra.instance().config_loader()


def compose_in(conf: Path, *overrides: str) -> DictConfig:
    with loader_of(conf) as loader:
        return loader.load_configuration("train", list(overrides), run_mode=RunMode.RUN)


def add(path: Path, text: str) -> int:
    """Append lines to a file; returns the number of the first of them."""
    before = path.read_text()
    path.write_text(before + text)
    return before.count("\n") + 1


def test_there_is_no_file_per_pair() -> None:
    files = [path for path in CONF.rglob("*.yaml") if "local" not in path.relative_to(CONF).parts]
    groups = ("algo", "data", "data/kind", "model", "reward")
    members = {path for group in groups for path in (CONF / group).glob("*.yaml")}
    # an algorithm, dataset, kind of data, model or reward is one file more; only files beside these could be of pairs
    assert len({path.resolve() for path in files} - members) <= 50
    names = [(axis, name) for axis in AXES for name in AXES[axis]]
    apart = {
        ("data", "kind"),
        ("kind", "data"),
    }  # of a dataset and a kind: a name like imdb_labels is that of a dataset
    pairs = {f"{a}_{b}" for (one, a), (other, b) in product(names, names) if one != other and (one, other) not in apart}
    triples = {f"{pair}_{name}" for pair in pairs for _, name in names}
    # a preset is a combination, by its nature
    assert not [path for path in files if path.stem in pairs | triples and "experiment" not in path.parts]


SFT = "name: mine\nloss: {_target_: rftlab.algorithms.sft.SFT}\nloop: ???\nlabels: null\n"
ALGO = "kinds: {labels: sft, text: sft}\nscales: {mini: {text: {eval: {every: 3, n_logged: 3, batch_size: 3}}}}\n"
DATA = """
    all: {eval: {n_logged: 4, batch_size: 4, probe_samples: 4}}
    mine: {eval: {batch_size: 5}}
"""


def test_the_more_particular_table_goes_above_the_more_general(conf: Path) -> None:
    """Scale, algorithm at this scale and kind, dataset at this scale, this algorithm on this dataset, preset."""
    (conf / "algo/mine.yaml").write_text(SFT + ALGO)
    (conf / "data/imdb.yaml").write_text((CONF / "data/imdb.yaml").read_text().split("scales:")[0])
    add(conf / "data/imdb.yaml", "scales:\n  mini:\n    model: gpt2_mini" + DATA)
    add(conf / "scale/mini.yaml", "kinds: {text: {eval: {every: 2, n_logged: 2, batch_size: 2, std_below: 0.2}}}\n")
    values = compose_in(conf, "data=imdb", "algo=mine").eval
    assert (values.std_below, values.every, values.n_logged, values.batch_size) == (0.2, 3, 4, 5)
    assert values.probe_samples == 4 and values.n_train == 100  # of the scale itself
    assert compose_in(conf, "data=imdb", "algo=mine", "eval.batch_size=6").eval.batch_size == 6


def test_a_new_online_algorithm_takes_what_is_known_about_a_dataset(conf: Path) -> None:
    ppo = (CONF / "algo/ppo.yaml").read_text().split("scales:")[0]
    new = ppo.replace("name: ppo", "name: mine") + "scales: {mini: {text: ppo}}\n"
    (conf / "algo/mine.yaml").write_text(new)
    cfg = compose_in(conf, "data=narrativeqa", "algo=mine")
    assert (cfg.optimizer.lr, cfg.algo.loop.iterations) == (1e-4, 20)
    assert compose_in(conf, "data=imdb", "algo=mine").optimizer.lr == 1e-4
    assert compose_in(conf, "data=imdb", "algo=ppo").optimizer.lr == 5e-4  # it has KL control


def test_an_algorithm_that_is_like_another_takes_every_row_of_it_below_its_own(conf: Path) -> None:
    ppo = (CONF / "algo/ppo.yaml").read_text().split("scales:")[0]
    mine = "like: ppo\nscales: {mini: {text: {eval: {every: 3}}}}\n"
    (conf / "algo/mine.yaml").write_text(ppo.replace("name: ppo", "name: mine") + mine)
    found, other = (compose_in(conf, "data=imdb", f"algo={algo}") for algo in ("mine", "ppo"))
    assert (found.eval.every, found.eval.probe_every, other.eval.every) == (3, 10, 10)
    assert found.optimizer.lr == 5e-4 and found.algo.loss == other.algo.loss and found.algo.loop == other.algo.loop
    text = (conf / "data/imdb.yaml").read_text()
    (conf / "data/imdb.yaml").write_text(text.replace("    ppo:", "    mine: {eval: {every: 4}}\n    ppo:", 1))
    assert compose_in(conf, "data=imdb", "algo=mine").eval.every == 4
    (conf / "experiment/theory/mine.yaml").write_text(PRESET.replace("sft:", "ppo:"))
    assert compose_in(conf, "data=imdb", "algo=mine", "experiment=theory/mine").eval.batch_size == 9
    assert "like" not in compose_in(conf, "algo=mine").algo


def test_what_holds_for_online_algorithms_holds_for_no_other(conf: Path) -> None:
    assert compose_in(conf, "data=narrativeqa", "algo=sft").optimizer.lr == 1e-3
    loop = f"{{algo: {{loop: {{_target_: {ONLINE}}}}}}}"
    (conf / "algo/mine.yaml").write_text(f"{SFT}kinds: {{labels: sft, text: {loop}}}\n")
    tables = scales.Tables(conf)
    assert tables.find("data/scales/online/narrativeqa/mini/mine/text") is not None
    assert tables.find("data/scales/online/narrativeqa/mini/mine/labels") is None  # there it trains in epochs
    assert tables.find("data/scales/online/narrativeqa/mini/sft/text") is None


def test_a_budget_is_said_once_for_the_algorithms_that_share_it() -> None:
    one, other = (composed("data=mnist", f"algo={algo}") for algo in ("sft", "reinforce"))
    assert one.algo.loop == other.algo.loop and one.parent == other.parent and one.eval == other.eval


def test_tables_are_in_no_config() -> None:
    cfg = OmegaConf.to_container(composed("data=mnist", "algo=sft", "scale=paper"))
    assert isinstance(cfg, dict)
    cfg.pop("hydra")
    assert not {"scales", "kinds", "online"} & set(".".join(runs.flatten(cfg)).split("."))


PRESET = """# @package _global_
eval: {every: 7, n_logged: 7, batch_size: 7}
scales: {mini: {eval: {n_logged: 8, batch_size: 8}}}
algos: {sft: {eval: {batch_size: 9}}}
"""


def test_the_tables_of_a_preset_go_above_its_values_where_they_apply(conf: Path) -> None:
    (conf / "experiment/theory/mine.yaml").write_text(PRESET)
    cells = [["scale=mini", "algo=sft"], ["scale=mini", "algo=ppo"], ["scale=paper", "algo=ppo"]]
    found = [compose_in(conf, *cell, "experiment=theory/mine").eval for cell in cells]
    assert [(e.every, e.n_logged, e.batch_size) for e in found] == [(7, 8, 9), (7, 8, 8), (7, 7, 7)]
    assert not {"scales", "algos"} & compose_in(conf, "experiment=theory/mine").keys()
    (conf / "experiment/theory/more.yaml").write_text("# @package _global_\ndefaults: [theory/mine]\n")
    with pytest.raises(
        UserError, match=r"theory/more.yaml:2: a preset on top of theory/mine.*; change conf/experiment"
    ):
        compose_in(conf, "experiment=theory/more")


def test_entries_are_no_groups_and_no_options() -> None:
    """Completion, help and the answer to an unknown option ask the sources for exactly this."""
    folders = {path.name for path in CONF.iterdir() if path.is_dir()}
    with loader_of(CONF) as loader:
        for group in ("model", "optimizer", "algo", "scale"):
            assert loader.get_group_options(group, ObjectType.CONFIG) == options(group)
            assert loader.get_group_options(group, ObjectType.GROUP) == []
        assert loader.get_group_options("data", ObjectType.GROUP) == ["kind"]
        assert set(loader.list_groups("")) == folders | {"hydra"}
        for group in ("algo/kinds", "algo/scales", "data/scales", "model/default", "scale/kinds"):
            assert not loader.repository.group_exists(group)


def test_the_keys_of_every_entry_are_keys_of_the_config() -> None:
    """Compose the datasets with each algorithm that they name, or with one of their kind."""
    any_of = {"text": "ppo", "labels": "sft", "documents": "text_classifier", "cases": "time_separation"}
    with loader_of(CONF) as loader:
        for data in AXES["data"]:
            cfg = OmegaConf.load(CONF / f"data/{data}.yaml")
            kind = next(item["kind"] for item in cfg.defaults if "kind" in item)
            for scale, table in cfg.scales.items():
                for algo in {any_of[kind], *table} - {"model", "reward", "all", *scales.ROWS}:
                    groups = [f"scale={scale}", f"data={data}", f"algo={algo}"]
                    loader.load_configuration("train", groups, run_mode=RunMode.RUN)


WRONG = {  # file, old text, new text, name that is wrong
    "scale": ("data/narrativeqa", "  mini:\n", "  mimi:\n", "mimi"),
    "online": ("data/narrativeqa", "    online:", "    onlin:", "onlin"),
    "all": ("data/narrativeqa", "    all:", "    al:", "al"),
    "model": ("data/narrativeqa", "    model: t5_mini", "    modle: t5_mini", "modle"),
    "option of the model": ("data/narrativeqa", "    model: t5_mini", "    model: t5_mimi", "t5_mimi"),
    "model without a name": ("data/narrativeqa", "    model: t5_mini", "    model: {value: {kind: head}}", "None"),
    "algorithm": ("data/narrativeqa", "    ppo:", "    pop:", "pop"),
    "entry that is no table": ("data/narrativeqa", "    model: t5_mini", "    ppo: 3\n    model: t5_mini", "3"),
    "table that is none": ("data/narrativeqa", "scales:\n", "scales: none\nscale:\n", "none"),
    "kind": ("algo/ppo", "    text:  ", "    texts: ", "texts"),
    "scale of an algorithm": ("algo/ppo", "  mini:", "  mimi:", "mimi"),
    "kind of the loop": ("algo/sft", "  labels:    ", "  lables:    ", "lables"),
    "kind that the algorithm lacks": ("algo/sft", "    labels:    ", "    cases:     ", "cases"),
    "algorithm whose entry it is": ("algo/apa", "{text: ppo}", "{text: pop}", "pop"),
    "entry that the other lacks": ("algo/apa", "{text: ppo}", "{text: time_separation}", "time_separation"),
    "algorithm that it is like": ("algo/nlpo", "like: ppo", "like: pop", "pop"),
    "kind of a scale": ("scale/mini", "scale: mini", "kinds: {txt: {}}\nscale: mini", "txt"),
    "optimizer of a kind": ("data/kind/text", "optimizer: adamw", "optimizer: adamv", "adamv"),
    "no optimizer of a kind": ("data/kind/text", "optimizer:", "# optimizer:", "None"),
    "key of an entry": ("data/narrativeqa", "{lr: 1.0e-4}", "{lrr: 1.0e-4}", "optimizer.lrr"),
    "key of a model": ("data/narrativeqa", "model: t5_mini", "model: {name: t5_mini, valu: {}}", "model.valu"),
    "key of a kind": ("algo/sft", "step_fraction:", "step_fractions:", "algo.loop.step_fractions"),
    "scale of a preset": ("experiment/apa/like_for_like", "  mini:  ", "  mimi:  ", "mimi"),
    "algorithm of a preset": ("experiment/apa/like_for_like", "\n  ppo:", "\n  pop:", "pop"),
    "key of a preset": (
        "experiment/apa/like_for_like",
        "gae_lambda: 0.95\n",
        "gae_lambd: 0.95\n",
        "algo.loss.gae_lambd",
    ),
    "type of a value": ("data/narrativeqa", "{lr: 1.0e-4}", "{lr: small}", "optimizer.lr=small"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_name_in_a_table_is_one_line_with_its_place(
    case: str, conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, old, new, named = WRONG[case]
    path = conf / f"{file}.yaml"
    before = path.read_text()
    assert old in before
    path.write_text(before.replace(old, new, 1))
    monkeypatch.setattr(messages, "CONF", conf)
    algo = file.removeprefix("algo/") if file.startswith("algo/") else "ppo"
    preset = [file.replace("experiment/", "experiment=", 1)] if file.startswith("experiment/") else []
    with pytest.raises(Exception) as error:
        compose_in(conf, f"algo={algo}", *preset)
    line = messages.explain(error.value)
    assert "\n" not in line and "; expected " in line and "; change " in line
    place, _, rest = line.partition(": ")
    name, _, number = place.partition(":")
    assert name == f"conf/{file}.yaml"
    first = before[: before.index(old)].count("\n") + 1
    changed = old.rstrip("\n").count("\n")
    assert number == "1" if named == "None" and "kind" in case else first <= int(number) <= first + changed
    assert named in rest.split("; expected ")[0]


def test_a_dataset_without_a_model_at_a_scale_says_so() -> None:
    with pytest.raises(UserError, match=r"data=corpus_spans with scale=paper.*conf/data/corpus_spans.yaml.*model"):
        composed("data=corpus_spans", "scale=paper", "algo=sft")
    composed("data=corpus_spans", "scale=mini", "algo=sft", "model=t5_base")


def test_a_mistake_outside_the_tables_has_no_place_in_them() -> None:
    assert scales.place_of_mistake(CONF, "In 'algo/ppo': ConfigKeyError raised while\nfull_key: algo.foo") is None
    assert scales.place_of_mistake(CONF, "anything") is None


@pytest.mark.parametrize("text", ["a: 1e-4\nb: 1_000\nc: 2026-01-01\nd: {on: .inf}", *FILES], ids=["text", *FILES])
def test_values_are_read_as_omegaconf_reads_them(text: str) -> None:
    text = (CONF / text).read_text() if text in FILES else text
    ours, theirs = (yaml.load(text, Loader=loader) for loader in (yaml_loader(), get_yaml_loader()))
    assert repr(ours) == repr(theirs)


def test_a_key_that_stands_twice_is_refused() -> None:
    with pytest.raises(yaml.YAMLError, match="duplicate key a"):
        yaml.load("a: 1\na: 2", Loader=yaml_loader())
