"""The files of `conf/model`: a model of the hub says what sets it apart from `hub.yaml`, within its types."""

import shutil
from pathlib import Path

import pytest
from config.test_config import CONF, plan
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from rftlab.config import messages
from rftlab.config.compose import Composer
from rftlab.config.messages import explain
from rftlab.config.options import help_of_groups, models_for, of_group

BUILT = sorted(name for name, said in of_group("model").items() if "defaults" in said)


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy the config folder, for a test to change."""
    copied = Path(shutil.copytree(CONF, tmp_path / "conf"))
    monkeypatch.setattr(messages, "CONF", copied)
    return copied


def job_in(conf: Path, *words: str):
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf), version_base="1.3"):
        return Composer(GlobalHydra.instance().config_loader()).job(["data=imdb", *words])


def test_a_short_file_has_all_values_of_a_long_one() -> None:
    short, long = (plan("data=imdb", f"model={name}").config["model"] for name in ("gpt2_large", "gpt2"))
    own = {"name": "gpt2_large", "policy": long["policy"] | {"source": "openai-community/gpt2-large"}}
    assert short == long | own


def test_every_model_names_its_family_and_no_two_the_same_checkpoint() -> None:
    said = [of_group("model")[name] for name in BUILT]
    assert len(BUILT) >= 20 and {model["policy"]["family"] for model in said} == {"causal", "seq2seq"}
    assert len({model["policy"]["source"] for model in said}) == len(BUILT)


WRONG = {
    "colour: red\n": "key model.colour, which the config does not have",
    "  foo: 2\n": "key model.policy.foo, which the config does not have",
    "value: {kind: x}\n": "model.value.kind=x; expected separate or head",
    "lora: {rank: x}\n": "model.lora.rank=x; expected an integer",
}


@pytest.mark.parametrize("line", WRONG)
def test_a_mistake_in_a_short_file_is_one_line(conf: Path, line: str) -> None:
    text = (conf / "model" / "gpt2_xl.yaml").read_text().replace("name: gpt2_xl", "name: new")
    (conf / "model" / "new.yaml").write_text(text + line)
    with pytest.raises(Exception) as error:
        job_in(conf, "model=new")
    assert explain(error.value).startswith(WRONG[line]) and "\n" not in explain(error.value)


def test_a_dataset_may_have_such_a_model_with_values_of_its_own(conf: Path) -> None:
    path = conf / "data" / "imdb.yaml"
    named = "model: {name: pythia_125m_sft, unfrozen_blocks: 2, value: {kind: head}}"
    path.write_text(path.read_text().replace("model: gpt2_mini", named))
    model = job_in(conf).config["model"]
    assert (model["policy"]["source"], model["unfrozen_blocks"]) == ("Dahoas/pythia-125M-static-sft", 2)
    assert model["value"] == {"kind": "head", "head": "linear"}


def test_help_and_refusals_know_them() -> None:
    assert "pythia_6b_sft" in help_of_groups() and "auto" not in models_for("text").split(" model: ")[0]
