"""Types, choices and ranges are declared once, where the code takes the value; mistakes in files say their cause."""

import importlib
import inspect
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from rftlab.config.annotations import meaning
from rftlab.config.compose import Composer
from rftlab.config.messages import explain
from rftlab.config.options import CONF, content, options
from rftlab.config.signatures import signature
from rftlab.config.typed import ranges_of, typed
from rftlab.errors import UserError

MODULE = """
import a_library_that_is_not_there
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from rftlab.ranges import Fraction, Given, Positive

Side = Literal["left", "right"]


@dataclass(frozen=True)
class Inner:
    rate: Positive[float]


@dataclass(frozen=True, kw_only=True)
class Outer:
    count: Positive[int]
    share: Fraction[float] | None
    side: Side
    sizes: Sequence[Positive[int]]
    where: str | Path
    inner: Inner
    tensor: Given[a_library_that_is_not_there.Tensor]
    data: a_library_that_is_not_there.Data
    quiet: bool = False
    kind: ClassVar[str] = "x"


def build(*, width: Positive[int], device: Given[str], depth: int = 2) -> Outer: ...
"""
VALUES = {"count": 3, "share": None, "side": "left", "sizes": [1, 2], "where": "here", "data": 1}


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Write a module that cannot be imported, under a name of its own, and return the name."""
    name = f"user_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    return name


def node_of(module: str, **changed: Any) -> DictConfig:
    values = {"_target_": f"{module}.Outer", **VALUES, "inner": {"rate": 0.5}, **changed}
    return typed(OmegaConf.create(values), lambda keys: "file:1")


def broken(node: DictConfig) -> set[str]:
    """Return the keys of a node whose values are out of range."""
    return {
        key for key, rule in ranges_of(node) if (x := OmegaConf.select(node, key)) is not None and not rule.holds(x)
    }


def test_a_class_is_typed_from_its_source_without_an_import(module: str) -> None:
    node = node_of(module)
    assert module not in sys.modules
    assert node.inner._target_ == f"{module}.Inner"  # the annotation of the field says so
    node.count = "7"
    assert node.count == 7
    for key, wrong in {"count": "many", "count.x": 1, "sizes": 3, "where": [1], "inner.rate": "fast"}.items():
        with pytest.raises(OmegaConfBaseException):
            OmegaConf.update(node, key, wrong)
    with pytest.raises(OmegaConfBaseException):
        node.quiet = True  # has a default and is not in the file


def test_null_stands_only_where_the_annotation_allows_it(module: str) -> None:
    node = node_of(module, share=0.5)
    node.share = None
    for key in ("count", "side", "sizes"):
        with pytest.raises(OmegaConfBaseException):
            node[key] = None


@pytest.mark.parametrize(
    ("changed", "keys"),
    [
        ({}, set()),
        ({"count": 0, "share": 1.5}, {"count", "share"}),
        ({"side": "middle"}, {"side"}),
        ({"sizes": [1, 0]}, {"sizes"}),
        ({"inner": {"rate": -1.0}}, {"inner.rate"}),
        ({"share": 1.0, "quiet": True}, set()),
    ],
)
def test_ranges_and_choices_are_those_of_the_annotations(module: str, changed: dict[str, Any], keys: set[str]) -> None:
    assert broken(node_of(module, **changed)) == keys


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"cuont": 3}, "expected count"),
        ({"tensor": 1}, "tensor"),
        ({"inner": {"rat": 0.5}}, "inner.rat"),
        ({"count": "many"}, "expected an integer"),
        ({"_target_": "no_such_module_at_all.Outer"}, "no_such_module_at_all"),
        ({"_target_": "rftlab.algorithms.ppo.POP"}, "expected PPO"),
        ({"_target_": "rftlab.algorithms.pop.PPO"}, "expected ppo"),
    ],
)
def test_a_mistake_in_a_file_names_the_line_and_the_cause(module: str, changed: dict[str, Any], named: str) -> None:
    with pytest.raises(UserError) as error:
        node_of(module, **changed)
    assert str(error.value).startswith("file:1: ") and named in str(error.value)


def test_a_name_that_its_module_lacks_is_refused_unless_it_may_be_made_there(module: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected Outer"):
        node_of(module, _target_=f"{module}.Outr")
    (tmp_path / f"{module}_late.py").write_text("from a_library import *\n")
    node = node_of(module, _target_=f"{module}_late.Made")
    with pytest.raises(OmegaConfBaseException):
        node.anything = 1  # not in the file


def test_all_keys_that_lack_are_named_at_once(module: str) -> None:
    with pytest.raises(UserError, match="no width"):
        typed(OmegaConf.create({"_target_": f"{module}.build"}), lambda keys: "file:1")
    with pytest.raises(UserError, match="no count, share, side, sizes, where, inner, data;"):
        typed(OmegaConf.create({"_target_": f"{module}.Outer"}), lambda keys: "file:1")
    late = typed(OmegaConf.create({"_target_": f"{module}.build", "_partial_": True}), lambda keys: "file:1")
    assert set(late) == {"_target_", "_partial_"}


# --- the files of conf/ -------------------------------------------------------------------------------------------


def targets(node: Any) -> Iterator[Mapping[str, Any]]:
    """Give every mapping with a `_target_`."""
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield node
        for child in node.values():
            yield from targets(child)


NODES = [
    node
    for path in sorted(CONF.rglob("*.yaml"))
    if path.parent.name not in ("local", "sweep")
    for node in targets(content(str(path.relative_to(CONF).with_suffix(""))))
]
OURS = sorted({node["_target_"] for node in NODES if node["_target_"].startswith("rftlab.")})


def imported(target: str) -> Any:
    name, _, last = target.rpartition(".")
    return getattr(importlib.import_module(name), last)


@pytest.mark.parametrize("target", OURS)
def test_what_is_read_from_the_source_is_what_python_sees(target: str) -> None:
    built = imported(target)
    taken = signature(target)
    assert taken is not None
    hints = get_type_hints(built, include_extras=True)
    names = [f.name for f in fields(built)] if is_dataclass(built) else list(inspect.signature(built).parameters)
    assert list(taken) == names
    for name, parameter in taken.items():
        read, real = meaning(parameter.hint), meaning(hints[name])
        assert read.given == real.given, name
        if read.nested is None:
            said = [[rule.expected for rule in one.rules] for one in (read, real)]
            assert (read.kind, said[0]) == (real.kind, said[1]), name
        elif not read.given:
            (nested,) = {*(get_args(hints[name]) or [hints[name]])} - {type(None)}
            assert read.nested.rpartition(".")[2] == nested.__name__


def test_every_target_of_the_files_is_built_with_the_keys_that_stand_there() -> None:
    assert len(OURS) >= 20
    for node in NODES:
        if (target := node["_target_"]) in OURS:
            taken = signature(target) or {}
            held = {name: parameter for name, parameter in taken.items() if not meaning(parameter.hint).given}
            keys = {key for key in node if not key.startswith("_")}
            assert keys <= held.keys(), target
            for name in held.keys() - keys:  # a part that only some algorithms have; a plain value stands everywhere
                assert not held[name].required and meaning(held[name].hint).nested is not None, f"{target}.{name}"


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    return shutil.copytree(CONF, tmp_path / "conf", symlinks=True)


Changed = Callable[[str], str]
FILES: dict[str, tuple[str, Changed, str, tuple[str, ...]]] = {
    "no name": ("algo/ppo", lambda t: t.replace("name: ppo\n", ""), "algo", ("conf/algo/new.yaml:1: no name",)),
    "misspelt key": ("algo/ppo", lambda t: t.replace("clip_range:", "clip_rnge:", 1), "algo",
                     ("conf/algo/new.yaml:5:", "rftlab.algorithms.ppo.PPO", "expected clip_range")),
    "unknown target": ("algo/ppo", lambda t: t.replace("ppo.PPO", "ppo.POP"), "algo", ("new.yaml:4:", "expected PPO")),
    "no such module": ("reward/sentiment", lambda t: t.replace("sentiment.load", "sentimnt.load"), "reward",
                       ("rftlab.rewards.sentimnt", "expected sentiment")),
    "lost keys": ("algo/apa", lambda t: t.replace("  gamma: 1.0", "#").replace("  lam: 0.1", "#"), "algo",
                  ("new.yaml:3:", "no loss.lam, loss.gamma;")),
    "wrong type": ("algo/ppo", lambda t: t.replace("gamma: 1.0", "gamma: much"), "algo",
                   ("new.yaml:11:", "loss.gamma=much; expected a number")),
    "unknown schema": ("algo/ppo", lambda t: f"defaults: [/schema/algo/ppo@_here_, _self_]\n{t}", "algo",
                       ("conf/algo/new.yaml: /schema/algo/ppo in its defaults list", "no such line")),
    "out of range": ("algo/ppo", lambda t: t.replace("gamma: 1.0", "gamma: 1.5"), "algo",
                     ("algo.loss.gamma=1.5; expected a number in [0, 1]",)),
    "key of no model": ("model/mlp", lambda t: t + "colour: red\n", "model", ("new.yaml:7:", "key colour")),
    "no table": ("data/narrativeqa", lambda t: t.split("\nscales:")[0], "data",
                 ("no value for model with data=new, algo=ppo", "scales: mini: in conf/data/new.yaml (model: NAME)")),
    "no values": ("algo/ppo", lambda t: t.split("\nscales:")[0], "algo",
                  ("no value for algo.loop.microbatch_size, algo.loop.minibatch_size, algo.loop.prompts_per_iteration,"
                   " algo.loop.samples_per_prompt, algo.loop.update_epochs with", "conf/algo/new.yaml")),
    "another scale": ("data/imdb", lambda t: t.split("\n  paper:")[0].replace("mini:", "paper:"), "data",
                      ("data=new with scale=mini", "expected scale=paper or small, model=NAME, or a table scales")),
}  # fmt: skip


@pytest.mark.parametrize("case", FILES)
def test_a_new_file_with_a_mistake_gets_one_line_with_the_true_cause(
    case: str, conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, change, group, named = FILES[case]
    text = (conf / f"{file}.yaml").read_text()
    name = file.rpartition("/")[2]
    (conf / group / "new.yaml").write_text(change(text).replace(f"name: {name}\n", "name: new\n"))
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf), version_base="1.3"), pytest.raises(Exception) as error:
        Composer(GlobalHydra.instance().config_loader()).job([f"{group}=new"])
    line = explain(error.value)
    assert "\n" not in line and "; expected " in line and "; change " in line
    for part in named:
        assert part in line, line


def test_a_new_algorithm_needs_no_other_file(conf: Path) -> None:
    text = (conf / "algo" / "apa.yaml").read_text()
    (conf / "algo" / "new.yaml").write_text(text.replace("name: apa", "name: new"))
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf), version_base="1.3"):
        job = Composer(GlobalHydra.instance().config_loader()).job(["algo=new", "algo.loss.lam=2"])
    assert job.config["algo"]["loss"]["lam"] == 2.0


@pytest.mark.parametrize(
    ("text", "named"),
    [("", ""), ("colour: red\n", "key algo.colour"), ("labels: 3\n", "algo.labels=3")],
)
def test_a_file_of_a_folder_of_the_users_own_has_types_too(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "algo").mkdir()
    apa = (CONF / "algo" / "apa.yaml").read_text().split("\nscales:")[0].replace("???", "16").replace(": apa", ": mine")
    (tmp_path / "algo" / "mine.yaml").write_text(f"{apa}\n{text}")
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        search = f"hydra.searchpath=[file://{tmp_path}]"
        composer = Composer(GlobalHydra.instance().config_loader(), hydra_overrides=[search])
        if named:
            with pytest.raises(UserError, match=named):
                composer.job(["algo=mine", "optimizer.lr=0.1"])
        else:
            job = composer.job(["algo=mine", "optimizer.lr=0.1", "algo.loss.lam=2"])
            assert job.config["algo"]["loss"]["lam"] == 2.0
            with pytest.raises(UserError, match=r"algo\.loss\.lam=-1"):
                composer.job(["algo=mine", "optimizer.lr=0.1", "algo.loss.lam=-1"])


def test_a_loop_that_does_not_exist_is_one_line() -> None:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"), pytest.raises(UserError, match="expected Online"):
        Composer(GlobalHydra.instance().config_loader()).job(["algo.loop._target_=rftlab.loops.online.Onlin"])


def test_a_dataset_whose_targets_are_labels_is_known_by_what_it_says() -> None:
    answers = {name: content(f"data/{name}") for name in options("data") if "/" not in name}
    said = {name: data.get("target", {}) for name, data in answers.items()}
    labels = [
        name for name, target in said.items() if (target.get("max_tokens"), target.get("append_eos")) == (1, False)
    ]
    assert labels == ["review_labels"]
