"""The prompt format as a key of the dataset: no run of before has another key, and what cannot work is refused."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from config.test_config import CONF
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from rftlab.config.compose import Composer, Job
from rftlab.config.options import of_group
from rftlab.errors import UserError
from rftlab.runs.identity import run_key

RUN = ("data=imdb", "algo=ppo", "model=smollm2_135m")


@pytest.fixture(scope="module")
def plan() -> Iterator[Callable[..., Job]]:
    """Compose and check runs, all with one composer."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        composer = Composer(GlobalHydra.instance().config_loader())
        yield lambda *words: composer.job(list(words))


def test_a_config_from_before_formats_has_the_key_of_a_plain_one(plan: Callable[..., Job]) -> None:
    job = plan(*RUN)
    prompt = {k: v for k, v in job.config["data"]["prompt"].items() if k not in ("format", "system", "drop_long")}
    before = {**job.config, "data": {**job.config["data"], "prompt": prompt}}
    assert prompt.keys() == {"max_tokens", "truncation_side"} and run_key(before) == job.key


def test_format_and_system_message_are_part_of_a_run_and_of_its_sft(plan: Callable[..., Job]) -> None:
    chat = (*RUN, "data.prompt.format=chat")
    assert len({plan(*words).key for words in (RUN, chat, (*chat, "data.prompt.system=brief"))}) == 3
    (parent,) = plan(*chat, "heuristic=partial_sft").parents
    assert parent.config["data"]["prompt"]["format"] == "chat"


@pytest.mark.parametrize("name", [name for name, said in of_group("data").items() if said.get("rollout")])
def test_every_dataset_that_is_answered_has_the_keys(name: str) -> None:
    prompt = of_group("data")[name]["prompt"]
    assert prompt["format"] in ("plain", "chat") and "system" in prompt, f"conf/data/{name}.yaml"
    assert "stop" in of_group("data")[name], f"conf/data/{name}.yaml"


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("data.prompt.format=chats",), "expected plain or chat"),
        (("data.prompt.system=brief",), "which knows no system message"),
        (("data.prompt.format=chat", "model=gpt2_mini"), "asset:tokenizer, which has no chat template"),
        (("data.prompt.format=chat", "model=t5_base"), "model=t5_base, a seq2seq model"),
        (("data.prompt.format=chat", "algo=sft", "algo.loop.whole_text=64"), "a whole text has no answer"),
    ],
)
def test_what_cannot_work_is_refused_before_the_start(
    plan: Callable[..., Job], words: tuple[str, ...], found: str
) -> None:
    with pytest.raises(UserError, match=found) as caught:
        plan(*RUN[:2], *(RUN[2:] if not any(w.startswith("model=") for w in words) else ()), *words)
    assert "\n" not in str(caught.value) and "data.prompt" in caught.value.change


@pytest.mark.parametrize("place", ["file", "config", None])
def test_a_folder_is_asked_for_its_template(plan: Callable[..., Job], tmp_path: Path, place: str | None) -> None:
    config = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "max_position_embeddings": 512}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": "x"} if place == "config" else {}))
    if place == "file":
        (tmp_path / "chat_template.jinja").write_text("x")
    words = ("data=imdb", "algo=ppo", "model=hub", f"model.policy.source={tmp_path}", "data.prompt.format=chat")
    if place is not None:
        plan(*words)
        return
    with pytest.raises(UserError, match="which has no chat template"):
        plan(*words)


def test_a_stop_is_part_of_a_run_and_none_is_what_was_before(plan: Callable[..., Job]) -> None:
    job, stopped = plan(*RUN), plan(*RUN, 'data.stop=["\n","Human:"]')
    assert stopped.config["data"]["stop"] == ["\n", "Human:"] and stopped.key != job.key
    before = {**job.config, "data": {k: v for k, v in job.config["data"].items() if k != "stop"}}
    assert job.config["data"]["stop"] is None and run_key(before) == job.key
    for words in ("data.stop=[]", 'data.stop=[""]'):
        with pytest.raises(UserError, match="texts of a character or more"):
            plan(*RUN, words)
