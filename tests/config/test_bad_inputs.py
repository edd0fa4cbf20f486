"""What a new user may type wrong: one line with what was found, what was expected and what to change.

Each case names words of a command line and a text that the line must have. They pass through the same reading and
composition as `src/train.py`; `test_errors.py` runs the whole command, also for what only the whole command refuses.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException
from yaml import MarkedYAMLError

from rftlab.commands.arguments import as_hydra_wants
from rftlab.config.compose import Composer
from rftlab.config.messages import explain
from rftlab.config.options import CONF
from rftlab.config.signatures import _file
from rftlab.errors import UserError

LINE = {  # words that are no override, or whose signs mean something else
    "nothing": ([""], "'' without a key"),
    "a value without a key": (["=1"], "without a key"),
    "a key alone": (["seed"], "KEY=VALUE"),
    "an option alone names its group": (["ppo"], "KEY=VALUE, e.g. algo=ppo"),
    "spaces around the equals sign": (["seed = 1"], "without spaces"),
    "words apart": (["algo", "=", "ppo"], "KEY=VALUE"),
    "a colon for an equals sign": (["algo:ppo"], "KEY=VALUE"),
    "two equals signs": (["seed==1"], "seed==1, which cannot be read"),
    "a semicolon": (["sweep.name=a;b"], "sweep.name=a;b, which cannot be read"),
    "a letter with a dot": (["sweep.name=ä"], "change sweep.name"),
    "a quote that stays open": (["sweep.name=a'b"], "with quotes of its own"),
    "a bracket": (["sweep.name=(x)"], "sweep.name=(x), which cannot be read"),
    "an interpolation that stays open": (["seed=${eval.every"], "seed=${eval.every, which cannot be read"),
    "a comma at the end": (["algo=ppo,"], "algo=ppo,, which cannot be read"),
    "an unknown function": (["optimizer.lr=foo(1)"], "cannot be read"),
    "dashes": (["--algo=ppo"], "--algo=ppo, which is no flag; expected algo=VALUE without dashes"),
    "dashes and a space": (["--seed", "1"], "seed=VALUE without dashes"),
    "one dash": (["-seed", "1"], "seed=VALUE without dashes"),
    "an unknown flag": (["-x"], "-x, which is no flag"),
    "a flag without its value": (["--cfg"], "--cfg without its value"),
    "a flag with a wrong value": (["--cfg", "jobs"], "--cfg jobs; expected one of job"),
    "a switch with a value": (["--multirun=1"], "--multirun with the value 1; expected --multirun alone"),
    "a part of nothing": (["-p", "algo"], "--cfg job -p algo"),
    "a part that there is not": (["--cfg", "job", "-p", "optimiser"], "expected optimizer"),
    "help among flags": (["-mh"], "--help or -h"),
    "a pickle to run again": (["--experimental-rerun=x"], "--experimental-rerun"),
    "completion for no shell": (["-sc"], "-sc install=bash"),
    "completion for an unknown shell": (["-sc", "install=tcsh"], "-sc install=bash"),
    "a file for an option": (["algo=ppo.yaml"], "algo=ppo, without the ending"),
    "a group without a choice": (["data=null"], "one of cifar10"),
    "a group without a choice in a grid": (["-m", "data=imdb,null"], "one of cifar10"),
    "a list for a group": (["-m", "algo=[ppo,apa]"], "with -m algo=A,B"),
    "no sweep": (["sweep=null"], "with the plus sign"),
    "a key taken away": (["~seed"], "no key may be missing"),
    "a group taken away": (["~algo"], "~algo, a removal"),
    "a group elsewhere": (["algo@mine=ppo"], "algo=OPTION"),
    "a parent by hand": (["parent={overrides:[seed]}"], "heuristic=partial_sft"),
    "a part of a parent": (["parent.algo=sft"], "parent.algo=sft, a parent by hand"),
    "a parent that is added": (["+parent.overrides=[a]"], "a parent by hand"),
    "a dot for a slash": (["hydra.launcher=slurm"], "hydra/launcher=NAME"),
    "two sweep files": (["-m", "+sweep=heuristics,partial_sft"], "one sweep file at a time"),
    "a pattern for sweep files": (["-m", "+sweep=glob(*)"], "one sweep file at a time"),
    "two sweep files, apart": (["-m", "+sweep=seeds", "+sweep=heuristics"], "one sweep file at a time"),
    "a part of a group": (["data/kind=labels"], "data=OPTION"),
    "a part of a group, added": (["+data/kind=labels"], "data=OPTION"),
    "a number for all of Hydra": (["hydra=1"], "hydra.KEY=VALUE"),
    "no value, as in a file": (["seed=???"], "seed=???, which is no value"),
    "a sweep that is shown": (["-m", "--cfg", "job"], "--multirun with --cfg"),
    "references of nothing": (["--resolve"], "--cfg job --resolve"),
    "no folder of configs": (["--config-dir", "/nowhere"], "no folder /nowhere"),
}  # fmt: skip

CONFIG = {  # words that compose to nothing that can run
    "a number for a group": (["data=1"], "data=1, which is no option"),
    "a path for a dataset": (["data=/path/file.csv"], "data=/path/file.csv, a path"),
    "a file for a dataset": (["data=rows.csv"], "data=rows.csv, a path"),
    "a folder for a model": (["model=/models/mine"], "change model"),
    "a dot in a name": (["model=gpt_neo_2.7b"], "model=gpt_neo_2.7b, which is no option; expected gpt_neo_2_7b"),
    "a folder above": (["data=../imdb"], "data=../imdb, which is no option"),
    "an option of an inner group of Hydra": (["hydra/job_logging=foo"], "hydra/job_logging=foo, which is no option"),
    "capital letters": (["Algo=ppo"], "expected algo"),
    "an unknown preset group": (["experiment=apa"], "apa/released_code_apa"),
    "a reward that there is not": (["reward=mine"], "reward=mine, which is no option"),
    "an average over no constant": (["algo=grpo", "algo.loss.average=constant"], "tokens: a response has at most"),
    "a reward in the data": (["data.reward=mine"], "expected reward=NAME"),
    "a value of a reward in the data": (["data.reward.weight=1.5"], "expected reward.weight=1.5; change reward.weight"),
    "a text for what is built": (["data.loader=mine"], "_target_"),
    "a target that there is not": (["reward._target_=mine.Reward"], "no module mine is found"),
    "a target that is a number": (["reward._target_=12"], "change reward._target_"),
    "a target that does not take the keys": (["algo.loss._target_=rftlab.algorithms.sft.SFT"], "does not take"),
    "a misspelt target": (["algo.loss._target_=rftlab.algorithms.ppo.PPP"], "expected PPO"),
    "no loader": (["data.loader=null"], "data.loader=null; expected what is built here"),
    "no model": (["model.policy=null"], "change model.policy"),
    "no loop": (["algo.loop=null"], "change algo.loop"),
    "no loss": (["algo.loss=null"], "a loss, as this loop trains"),
    "a loss where nothing is trained": (["algo=diagnose", "algo.loss={_target_: rftlab.ops.whiten}"], "algo.loss"),
    "no decoding": (["data.evaluation=null"], "change data.evaluation"),
    "no decoding for SFT": (["algo=sft", "data.evaluation=null"], "change data.evaluation"),
    "nothing that steps": (["optimizer.build=null"], "adamw, adam or sgd"),
    "no section": (["runtime=null"], "runtime=null; expected a value"),
    "a word for a section": (["algo.loss.kl=fixed"], "another shape"),
    "a number for a pair": (["optimizer.build.betas=0.9"], "another shape"),
    "one of a pair": (["optimizer.build.betas=[0.9]"], "2 values"),
    "keys for a number": (["seed={a:1}"], "seed={'a': 1}; expected an integer"),
    "a list for a number": (["seed=[1]"], "seed=[1]; expected an integer"),
    "a range as in other languages": (["seed=1:3"], "seed=1:3; expected an integer"),
    "a word for a switch": (["sweep.dry_run=maybe"], "true or false"),
    "not a number": (["optimizer.lr=nan"], "optimizer.lr=nan"),
    "without end": (["optimizer.lr=inf"], "optimizer.lr=inf; expected a finite number"),
    "a share that is not a number": (["eval.std_below=nan"], "eval.std_below=nan"),
    "a negative threshold": (["eval.std_below=-1"], "0 or more"),
    "no outputs": (["paths.outputs="], "paths.outputs is empty"),
    "a home in quotes": (["paths.outputs='~/runs'"], "expected a path that is written out: $HOME/runs"),
    "an empty mirror": (["paths.hub_mirror="], "paths.hub_mirror is empty"),
    "an empty model": (["model.policy.source="], "model.policy.source is empty"),
    "a word for a run key": (["init_from=latest"], "12 hex digits"),
    "a folder for a run key": (["init_from=outputs/default/x"], "12 hex digits"),
    "a run key of another length": (["init_from=0123456789abc"], "12 hex digits"),
    "a word for a parent": (["parent=abc"], "change parent"),
    "a path for a hub id": (["data.source=hub", "data.loader.hub_id=/data/imdb"], "paths.hub_mirror"),
    "a relative path for a hub id": (["data.source=hub", "data.loader.hub_id=../imdb"], "change data.loader.hub_id"),
    "an address for a hub id": (["data.source=hub", "data.loader.hub_id=hf.co/datasets/a/b"], "ORG/NAME"),
    "GPUs below none": (["resources.gpus_per_node=-1"], "0 or more"),
    "a key that is there already": (["+seed=1"], "seed=..., without the plus"),
    "an interpolation of nothing": (["name=${x}"], "${x}, a key that the config does not have"),
    "an interpolation of an unknown kind": (["name=${foo:1}"], "${oc.env:NAME}"),
    "an interpolation of itself": (["name=${name}"], "change"),
    "a variable that is not set": (["name=${oc.env:RFTLAB_NOT_SET}"], "RFTLAB_NOT_SET"),
    "a hidden folder": (["sweep.name=.x"], "sweep.name='.x'"),
    "a folder above for a sweep": (["sweep.name=.."], "sweep.name='..'"),
    "no name": (["name="], "name=''"),
    "the database for a sweep": (["sweep.name=mlflow.db"], "the database of the tracking"),
    "a part of the database for a sweep": (["sweep.name=mlflow.db-wal"], "another name"),
    "the user's database for a sweep": (["tracking.uri=sqlite:///outputs/my.db", "sweep.name=my.db"], "another name"),
    "an address with a question mark": (["paths.outputs='a?b'"], "a path without ?"),
    "an address with a per cent sign": (["tracking.uri='sqlite:///100%.db'"], "a path without %"),
    "an address with two slashes": (["tracking.uri=sqlite://x.db"], "sqlite:///PATH"),
    "a library of another kind": (["tracking=wandb"], "mlflow, none"),
    "a number for a model": (["model.policy=1"], "model.policy=1; expected what is built here"),
    "a number for an evaluation": (["data.evaluation=1"], "data.evaluation=1; expected what is built here"),
    "a reward for labels": (["data=mnist", "algo=sft", "reward=rouge_l_max"], "a reward with data=mnist"),
    "no block": (["model.unfrozen_blocks=0"], "1 to the number of blocks, or null"),
    "words for no parent": (["parent.overrides=[a]"], "parent.overrides, a key of what is null"),
    "no rollout": (["data.rollout=null"], "data.rollout without keys"),
    "an interpolation of no argument": (["name=${now:}"], "name: ${...} with too few"),
    "a variable that is not set, for a number": (["seed=${oc.env:RFTLAB_NOT_SET}"], "a variable that is not set"),
    "hub rows of what is computed": (["data=one_token", "algo=gradient_bound", "data.source=hub"], "is computed"),
    "hub rows of a bundled corpus": (["data=corpus_spans", "algo=pretrain", "data.source=hub"], "no rows of the hub"),
    "hub rows of bundled labels": (["data=review_labels", "algo=sft", "data.source=hub"], "no rows of the hub"),
    "two starts": (["heuristic=partial_sft", "init_from=0123456789ab"], "init_from=0123456789ab with heuristic="),
    "an entropy bonus of a look": (["heuristic=entropy", "algo=diagnose"], "algo=diagnose, which trains nothing"),
    "a learning rate of a look": (["heuristic=learning_rate", "algo=diagnose"], "which trains nothing"),
    "a temperature of SFT": (["heuristic=temperature", "algo=sft"], "algo=sft, which samples nothing"),
    "a preset that there is not": (["experiment=foo"], "apa/like_for_like"),
    "a key of other libraries": (["epochs=3"], "algo.loop.epochs"),
}  # fmt: skip


@pytest.fixture(scope="module")
def composer() -> Iterator[Composer]:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield Composer(GlobalHydra.instance().config_loader())


def refusal(words: list[str], composer: Composer) -> str:
    try:
        overrides = [word for word in as_hydra_wants(words) if not word.startswith("-")]
        composer.job(overrides)
    except (UserError, HydraException, OmegaConfBaseException, MarkedYAMLError, AssertionError, ValueError) as error:
        return explain(error)
    raise AssertionError(f"{words} were taken")


@pytest.mark.parametrize("case", [*LINE, *CONFIG])
def test_a_mistake_is_one_line_of_three_parts(case: str, composer: Composer) -> None:
    words, named = (LINE | CONFIG)[case]
    line = refusal(words, composer)
    assert "\n" not in line and named in line, line
    found, _, rest = line.partition("; expected ")
    assert found and "; change " in rest, line
    assert not any(leak in line for leak in ("hydra.cc", "Exception", "full_key", "object_type", "Traceback")), line


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        (["algo=ppo", "-m", "seed=0,1"], ["algo=ppo", "seed=0,1", "--multirun"]),
        (["--cfg", "job", "algo=ppo", "--resolve", "seed=1"], ["algo=ppo", "seed=1", "--cfg=job", "--resolve"]),
        (["algo=ppo", "-p", "algo", "-c", "all"], ["algo=ppo", "--cfg=all", "--package=algo"]),
        (["-sc", "install=bash"], ["install=bash", "--shell-completion"]),
        (["+experiment=apa/x", "hydra.launcher.sbatch.nice=1"], ["experiment=apa/x", "++hydra.launcher.sbatch.nice=1"]),
        (["experiment=null", "~hydra.launcher.sbatch.nice"], ["~hydra.launcher.sbatch.nice"]),
        (["seed=1", "experiment=a", "experiment=null", "experiment=b"], ["seed=1", "experiment=b"]),
    ],
)
def test_flags_stand_anywhere_and_overrides_keep_their_order(typed: list[str], wanted: list[str]) -> None:
    assert as_hydra_wants(typed) == wanted


def test_no_preset_is_the_default_and_takes_one_back(composer: Composer) -> None:
    key = composer.job(["algo=ppo"]).key
    assert composer.job(["algo=ppo", "experiment=null"]).key == key
    assert composer.job(["experiment=apa/like_for_like", "experiment=null", "algo=ppo"]).key == key


MINE = ["reward._target_=mine.Reward"]
BROKEN = {
    "Python that is none": ("mine.py", "class Reward\n    pass\n", MINE, "mine.py, line 1"),
    "bytes for Python": ("mine.py", "\0", MINE, "mine.py"),
    "a bracket that stays open": ("conf/experiment/mine.yaml", "name: [\n", ["experiment=mine"], "mine.yaml, line 2"),
    "a key twice": ("conf/experiment/mine.yaml", "name: a\nname: b\n", ["experiment=mine"], "found duplicate key"),
    "a tab": ("conf/optimizer/mine.yaml", "\tname: x\n", ["optimizer=mine"], "mine.yaml, line 1"),
    "a tab in a file with tables": ("conf/data/mine.yaml", "\tname: x\n", ["data=mine"], "conf/data/mine.yaml, line 1"),
    "a byte of nothing": ("conf/data/mine.yaml", "name: \0\n", ["data=mine"], "a character that no text of YAML has"),
    "letters of no text": ("conf/data/mine.yaml", "name: \udce9\n", ["data=mine"], "bytes that are not UTF-8"),
    "a table in itself": ("conf/data/mine.yaml", "name: &a [*a]\n", ["data=mine"], "something in itself"),
    "a header without a name": ("conf/data/mine.yaml", "# @package\nname: x\n", ["data=mine"], "a line # @package"),
    "a list for a file": ("conf/data/mine.yaml", "- a\n", ["data=mine"], "conf/data/mine.yaml"),
    "a file for a target": ("mine.py", "class R: ...\n", MINE, "which mine does not have"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_file_that_cannot_be_read_is_one_line_with_its_place(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, text, words, named = BROKEN[case]
    shutil.copytree(CONF, tmp_path / "conf", symlinks=True)
    (tmp_path / file).write_text(text, encoding="utf-8", errors="surrogateescape")
    monkeypatch.syspath_prepend(tmp_path)
    _file.cache_clear()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(tmp_path / "conf"), version_base="1.3"):
        line = refusal(words, Composer(GlobalHydra.instance().config_loader()))
    assert "\n" not in line and named in line and "; expected " in line and "; change " in line, line
