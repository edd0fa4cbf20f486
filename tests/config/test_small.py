"""scale=small: SmolLM2-135M on real rows, its top blocks trained; and weights converted here have keys of their own."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from config.test_config import CONF
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from rftlab.assets import locate
from rftlab.config.compose import Composer, Job
from rftlab.config.options import kind_of_data, kinds_of_algo, of_group

MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
DATA = [name for name, content in of_group("data").items() if "small" in content.get("scales", {})]
ALGOS = [name for name, content in of_group("algo").items() if "text" in content.get("scales", {}).get("small", {})]
GRUE = {"narrativeqa", "totto", "commongen", "iwslt2017", "cnn_dailymail", "daily_dialog", "imdb"}


@pytest.fixture(scope="module")
def plan() -> Iterator[Callable[..., Job]]:
    """Compose and check runs, all with one composer."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        composer = Composer(GlobalHydra.instance().config_loader())
        yield lambda *words: composer.job(list(words))


@pytest.fixture
def converted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder as `make small` leaves it, without weights."""
    monkeypatch.setenv("RFTLAB_MODELS", str(tmp_path / "models"))
    folder = tmp_path / "models" / MODEL
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"architectures": ["LlamaForCausalLM"], "model_type": "llama"}))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "chat_template.jinja").write_text("")
    return folder


def test_all_of_grue_and_of_apa_and_the_users_own_rows_have_this_scale() -> None:
    assert set(DATA) >= GRUE | {"hh", "stack_exchange", "tldr", "file", "hub_text"}


@pytest.mark.parametrize(
    "data", sorted({name for name in DATA if kind_of_data(of_group("data")[name]) == "text"} - {"file", "hub_text"})
)
def test_real_rows_meet_a_model_whose_top_blocks_train(plan: Callable[..., Job], data: str) -> None:
    config = plan(f"data={data}", "algo=ppo", "scale=small").config
    assert config["model"]["policy"]["source"] == MODEL and config["model"]["unfrozen_blocks"] == 2
    assert config["model"]["value"]["kind"] == "head"
    assert config["data"]["source"] == "hub"
    one_sentence = ("narrativeqa", "totto", "commongen", "iwslt2017", "fetaqa")
    assert (config["data"]["stop"] == ["\n"]) == (data in one_sentence)


def test_every_algorithm_for_texts_has_all_its_values(plan: Callable[..., Job]) -> None:
    texts = {algo for algo, content in of_group("algo").items() if "text" in kinds_of_algo(content)} - {"pretrain"}
    assert texts <= {*ALGOS, *(algo for algo in texts if of_group("algo")[algo].get("scales") is None)}
    for algo in texts:
        plan("data=imdb", f"algo={algo}", "scale=small")


def test_labels_have_no_such_scale() -> None:
    assert not [name for name in DATA if kind_of_data(of_group("data")[name]) in ("labels", "cases")]


def test_what_was_converted_here_is_found_behind_the_mirror(converted: Path, tmp_path: Path) -> None:
    assert locate(MODEL, None, "") == converted
    mirrored = tmp_path / "mirror" / MODEL
    mirrored.mkdir(parents=True)
    assert locate(MODEL, tmp_path / "mirror", "") == mirrored
    assert locate("HuggingFaceTB/SmolLM2-360M-Instruct", None, "") == "HuggingFaceTB/SmolLM2-360M-Instruct"


def test_converted_weights_are_part_of_the_key_and_those_of_the_hub_keep_theirs(
    plan: Callable[..., Job], converted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("data=commongen", "algo=ppo", "scale=small")
    first = plan(*words)
    assert list(first.config["files"]) == [MODEL]
    others = shutil.copytree(converted.parents[1], tmp_path / "others")
    (others / MODEL / "model.safetensors").write_bytes(b"others")
    monkeypatch.setenv("RFTLAB_MODELS", str(others))
    second = plan(*words)
    monkeypatch.setenv("RFTLAB_MODELS", str(converted / "nothing"))
    hub = plan(*words)
    assert "files" not in hub.config or not hub.config["files"]
    assert len({first.key, second.key, hub.key}) == 3
