"""The policy that a run ended with, as MLflow and transformers load it: it answers as in its evaluation."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
import torch
import yaml
from models.test_chat import chatty
from servers import Server
from stores import NOWHERE, children
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

from rftlab import runs
from rftlab.files import read_json, write_atomic
from rftlab.models import Chat, Policy, save_pretrained_folder
from rftlab.models.adapters import LoRA, adapt
from rftlab.runs import Run, run_folder, run_key
from rftlab.sampling.sample import beam_search
from rftlab.sampling.stop import text_before
from rftlab.tracking import logged_model
from rftlab.tracking.mirror import lacks_end, prepare, sync
from rftlab.tracking.served.rftlab_policy import ServedPolicy
from rftlab.tracking.store import open_store
from rftlab.types import BeamSearch

pytestmark = pytest.mark.usefixtures("quick_environment")
PROMPTS = ["The film was", "a", "Once upon a time there was a long prompt, which is cut", ""]
BEAMS = {"num_beams": 3, "length_penalty": 0.7, "min_new_tokens": 2, "max_new_tokens": 9}
GREEDY = {**BEAMS, "num_beams": 1, "min_new_tokens": 0}
SAMPLED = {"temperature": 0.7, "top_k": 0, "top_p": 0.9, "min_new_tokens": 0, "max_new_tokens": 9}
PROMPT = {"max_tokens": 12, "truncation_side": "left", "format": "plain"}


def finished(
    outputs: Path, policy: Policy | None, uri: str, evaluation: dict[str, Any], mode: str = "auto", **prompt: Any
) -> Path:
    """Finish a run that ends with this policy."""
    config = {
        "name": "a", "seed": 0, "scale": "mini", "algo": {"loop": {"iterations": 1}},
        "data": {
            "name": "imdb", "source": "bundled", "prompt": PROMPT | prompt, "evaluation": evaluation, "stop": ["|"],
        },
        "model": {"name": "gpt2_mini", "policy": {"source": "asset:gpt2_mini", "compute_dtype": "float32"}},
        "sweep": {"name": "sweep"}, "paths": {"outputs": str(outputs)},
        "tracking": {"uri": uri, "log_model": mode, "send_every_s": 1.0, "close_timeout_s": 5.0},
    }  # fmt: skip
    folder = run_folder(outputs, "sweep", "a", run_key(config))
    with Run.claim(folder, config) as run:
        run.log(3, {"reward/mean": 0.5})
        if policy is not None:
            save_pretrained_folder(policy, folder / "final")
        run.finish({"reward/mean": 0.5})
    return folder


def models(uri: str) -> list[Any]:
    client = open_store(uri).client
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    return client.search_logged_models(ids)


def logged(outputs: Path, folder: Path, uri: str) -> Any:
    """Send a run and return its model."""
    report = sync([folder], lambda sweep: prepare(uri, sweep, outputs))
    assert report.failed == {}
    (model,) = models(uri)
    return model


def in_evaluation(
    policy: Policy, prompts: Sequence[str], evaluation: dict[str, Any], side: str, max_tokens: int = 12
) -> list[str]:
    """Answer as a run does when it evaluates."""
    ids, mask = policy.encode_prompts(prompts, max_tokens, side)
    found = beam_search(policy, ids, mask, BeamSearch(**evaluation))
    return [text_before(text, ["|"]) for text in policy.decode(found.response_ids, found.response_mask)]


@pytest.fixture
def serving(uri: str):
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    yield lambda model: mlflow.pyfunc.load_model(model.model_uri)
    mlflow.set_tracking_uri(before)


@pytest.mark.parametrize("evaluation", [GREEDY, BEAMS], ids=["greedy", "beams"])
@pytest.mark.parametrize(("family", "side"), [("gpt2", "left"), ("t5", "right")])
def test_it_answers_as_in_the_evaluation_of_its_run(
    family, side, evaluation, tiny_gpt2, tiny_t5, uri, tmp_path, serving
):
    policy = {"gpt2": tiny_gpt2, "t5": tiny_t5}[family]()
    model = serving(logged(tmp_path, finished(tmp_path, policy, uri, evaluation, truncation_side=side), uri))
    expected = in_evaluation(policy, PROMPTS, evaluation, side)
    assert len(set(expected)) > 1
    assert model.predict(PROMPTS) == expected
    assert model.predict(pd.DataFrame({"prompt": PROMPTS})) == expected
    assert model.predict(model.input_example) == in_evaluation(policy, model.input_example, evaluation, side)
    assert model.metadata.signature.inputs.input_types()[0].name == "string"


@pytest.mark.parametrize(("system", "side"), [(None, "left"), ("be brief", "right")])
def test_a_chat_is_written_cut_and_ended_as_in_the_evaluation(system, side, tiny_llama, uri, tmp_path, serving):
    policy = Policy(tiny_llama(vocab_size=300).lm, chatty(eos="<|eos|>"), "causal")
    how = {"format": "chat", "system": system, "max_tokens": 80, "truncation_side": side}
    sent = logged(tmp_path, finished(tmp_path, policy, uri, BEAMS, **how), uri)
    model = serving(sent)
    policy.talk(Chat(system=system))
    served = ServedPolicy(Path(mlflow.artifacts.download_artifacts(sent.model_uri)) / "data" / "policy")
    assert served.eos_id == policy.eos_id != policy.tokenizer.eos_token_id  # the end of a turn, not of a text
    prompts = [*PROMPTS, "<|end|> " * 20]
    assert model.predict(prompts) == in_evaluation(policy, prompts, BEAMS, side, 80)


def test_where_an_evaluation_samples_the_seed_decides(tiny_gpt2, uri, tmp_path, serving):
    model = serving(logged(tmp_path, finished(tmp_path, tiny_gpt2(), uri, SAMPLED), uri))
    first, again, other = (model.predict(PROMPTS, params={"seed": seed}) for seed in (0, 0, 1))
    state = torch.get_rng_state()
    assert first == again == model.predict(PROMPTS) != other
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(("family", "loader"), [("gpt2", AutoModelForCausalLM), ("t5", AutoModelForSeq2SeqLM)])
def test_transformers_loads_the_same_weights_and_they_are_one_copy_on_the_disk(
    family, loader, tiny_gpt2, tiny_t5, uri, tmp_path, serving
):
    policy = {"gpt2": tiny_gpt2, "t5": tiny_t5}[family]()
    folder = finished(tmp_path, policy, uri, GREEDY)
    model = logged(tmp_path, folder, uri)
    place = Path(mlflow.artifacts.download_artifacts(model.model_uri)) / "data" / "policy"
    found = loader.from_pretrained(place).state_dict()
    assert all(torch.equal(tensor, found[name]) for name, tensor in policy.lm.state_dict().items())
    weights = "model.safetensors"
    assert os.stat(place / weights).st_ino == os.stat(folder / "final" / weights).st_ino


def test_of_a_run_with_an_adapter_the_merged_policy_answers_and_the_adapter_lies_beside_it(
    tiny_gpt2, uri, tmp_path, serving
):
    policy = tiny_gpt2()
    adapt(policy, LoRA(rank=2, alpha=4.0, targets=None), torch.Generator().manual_seed(0))
    with torch.no_grad():
        for name, parameter in policy.lm.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.5)
    logged_as = logged(tmp_path, finished(tmp_path, policy, uri, GREEDY), uri)
    expected = in_evaluation(policy, PROMPTS, GREEDY, "left")
    assert serving(logged_as).predict(PROMPTS) == expected != in_evaluation(tiny_gpt2(), PROMPTS, GREEDY, "left")
    place = Path(mlflow.artifacts.download_artifacts(logged_as.model_uri))
    assert (place / "data" / "policy" / "adapter" / "adapter_model.safetensors").exists()


def test_a_project_in_the_working_directory_is_no_part_of_the_model(tiny_gpt2, uri, tmp_path, monkeypatch, serving):
    project = tmp_path / "project"
    project.mkdir()
    (project / "uv.lock").write_text("version = 1\n")
    (project / "pyproject.toml").write_text('[project]\nname = "x"\nversion = "0"\n')
    monkeypatch.chdir(project)
    model = logged(tmp_path, finished(tmp_path, tiny_gpt2(), uri, GREEDY), uri)
    place = Path(mlflow.artifacts.download_artifacts(model.model_uri))
    assert (place / "requirements.txt").exists()
    assert not (place / "uv.lock").exists() and not (place / "pyproject.toml").exists()


def test_an_environment_without_pip_is_no_warning(tiny_gpt2, uri, tmp_path, monkeypatch, caplog, serving):
    from mlflow.utils import environment

    known = environment._get_package_version
    monkeypatch.setattr(environment, "_get_package_version", lambda name: None if name == "pip" else known(name))
    monkeypatch.setattr(logging.getLogger("mlflow"), "propagate", True)
    model = logged(tmp_path, finished(tmp_path, tiny_gpt2(), uri, GREEDY), uri)
    place = Path(mlflow.artifacts.download_artifacts(model.model_uri))
    assert not [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    needed = (place / "requirements.txt").read_text().split()
    assert {line.partition("==")[0] for line in needed} == {"mlflow", "torch", "transformers", "safetensors"}
    assert "pip" in yaml.safe_load((place / "conda.yaml").read_text())["dependencies"]


def test_it_is_logged_once_and_named_in_its_run(tiny_gpt2, uri, target, tmp_path):
    folder = finished(tmp_path, tiny_gpt2(), uri, GREEDY)
    model = logged(tmp_path, folder, uri)
    assert logged(tmp_path, folder, uri).model_id == model.model_id
    (run,) = children(uri)
    assert [output.model_id for output in run.outputs.model_outputs] == [model.model_id]
    assert (str(model.status), model.source_run_id, model.tags["run_key"]) == (
        "READY",
        run.info.run_id,
        folder.name[-12:],
    )
    assert not lacks_end(folder, uri)


def test_a_model_that_was_cut_off_is_gone_on_with_and_its_run_counts_as_ended(
    tiny_gpt2, uri, tmp_path, monkeypatch, serving
):
    folder = finished(tmp_path, tiny_gpt2(), uri, GREEDY)

    def cut_off(*_: object) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as broken:
        broken.setattr(logged_model, "_write", cut_off)
        report = sync([folder], lambda sweep: prepare(uri, sweep, tmp_path))
    assert list(report.failed) == [folder] and children(uri)[0].info.status == "FINISHED"
    assert lacks_end(folder, uri)
    model = logged(tmp_path, folder, uri)
    assert len(serving(model).predict(PROMPTS)) == len(PROMPTS)
    assert [path.name for path in tmp_path.rglob(".model.*")] == []


@pytest.mark.parametrize("mode", ["never", "auto"])
def test_none_is_logged_where_it_was_not_asked_for_or_would_take_room(
    mode, tiny_gpt2, uri, target, tmp_path, monkeypatch
):
    def no_links(*_: object) -> None:
        raise OSError("not on this file system")

    monkeypatch.setattr(logged_model.os, "link", no_links)
    folder = finished(tmp_path, tiny_gpt2(), uri, GREEDY, mode)
    assert sync([folder], target).failed == {} and models(uri) == []
    assert not lacks_end(folder, uri)


def test_always_copies_where_there_are_no_links(tiny_gpt2, uri, tmp_path, monkeypatch, serving):
    def no_links(*_: object) -> None:
        raise OSError("not on this file system")

    monkeypatch.setattr(logged_model.os, "link", no_links)
    model = logged(tmp_path, finished(tmp_path, tiny_gpt2(), uri, GREEDY, "always"), uri)
    assert len(serving(model).predict(PROMPTS)) == len(PROMPTS)


def test_runs_without_a_policy_of_their_own_have_none(tiny_gpt2, tiny_bert, uri, target, tmp_path):
    nothing = finished(tmp_path / "nothing", None, uri, GREEDY)
    labels = finished(tmp_path / "labels", tiny_bert(), uri, GREEDY)
    heads = finished(tmp_path / "heads", tiny_gpt2(), uri, GREEDY)
    (heads / "final" / "heads.safetensors").touch()
    early = finished(tmp_path / "early", tiny_gpt2(), uri, GREEDY)
    (early / "DONE").unlink()
    assert not any(logged_model.has_policy(runs.read_run(folder)) for folder in (nothing, labels, heads, early))


def test_a_run_of_before_this_was_a_setting_is_left_as_it_is(tiny_gpt2, uri, tmp_path):
    folder = finished(tmp_path, tiny_gpt2(), uri, GREEDY)
    write_atomic(folder / "config.yaml", (folder / "config.yaml").read_text().replace("  log_model: auto\n", ""))
    assert logged_model.mode_of(runs.read_run(folder).config) == "never"


def test_a_server_that_is_away_costs_the_run_nothing(tiny_gpt2, tmp_path):
    folder = finished(tmp_path, tiny_gpt2(), NOWHERE, GREEDY, "always")
    assert list(sync([folder], lambda sweep: prepare(NOWHERE, sweep, tmp_path)).failed) == [folder]
    assert read_json(folder / "DONE")["final"] == {"reward/mean": 0.5}


@pytest.mark.slow
def test_a_server_is_sent_the_model_where_that_was_asked_for(tiny_gpt2, tmp_path):
    server = Server(tmp_path)
    server.start()
    try:
        server.wait()
        kept = finished(tmp_path / "kept", tiny_gpt2(), server.uri, GREEDY, "auto")
        assert sync([kept], lambda sweep: prepare(server.uri, sweep, tmp_path / "kept")).failed == {}
        assert models(server.uri) == []  # it would be a second copy
        policy = tiny_gpt2(seed=1)
        model = logged(tmp_path / "sent", finished(tmp_path / "sent", policy, server.uri, GREEDY, "always"), server.uri)
        mlflow.set_tracking_uri(server.uri)  # which alone says where a models:/ address is looked up
        place = mlflow.artifacts.download_artifacts(model.model_uri)
        assert mlflow.pyfunc.load_model(place).predict(PROMPTS) == in_evaluation(policy, PROMPTS, GREEDY, "left")
    finally:
        mlflow.set_tracking_uri(None)
        server.kill()
