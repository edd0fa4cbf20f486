"""The policy that a run ended with, as a logged model of MLflow: `mlflow.pyfunc` answers prompts with it.

Its folder holds the `final/` of the run, which transformers loads, and one file that reads, decodes and writes as the
evaluation of the run did. Where files of the server lie on this machine the weights are hard links: one copy on the
disk, under two names. `final/` is only ever replaced as a whole, so that a linked model does not change.
"""

import json
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlparse

from rftlab.errors import UserError
from rftlab.families import family_of
from rftlab.files import read_json
from rftlab.runs import RunRecord
from rftlab.tracking import served
from rftlab.tracking.store import Destination, Store
from rftlab.tracking.words import NOTE, title

Mode = Literal["auto", "always", "never"]
FINAL, HEADS = "final", "heads.safetensors"
CODE = Path(served.__file__).parent / "rftlab_policy.py"
PACKAGES = ("mlflow", "torch", "transformers", "safetensors")
LEFT_OUT = ""  # stands for a model that was not to be logged here


def mode_of(config: Mapping[str, Any]) -> Mode:
    """Read `tracking.log_model`; runs of before it were asked for none."""
    return (config.get("tracking") or {}).get("log_model", "never")


def has_policy(record: RunRecord) -> bool:
    """Say whether a run ended with a policy that answers texts by itself."""
    final = record.folder / FINAL
    config, data = read_json(final / "config.json"), record.config.get("data") or {}
    if not record.done or not config or (final / HEADS).exists() or not {"prompt", "evaluation"} <= data.keys():
        return False
    try:
        family_of(config, final)
    except UserError:  # a classifier, or an encoder
        return False
    return data["evaluation"] is not None


def log_model(store: Store, record: RunRecord, run_id: str, destination: Destination) -> str:
    """Log the policy of a finished run once; returns the id of the model, LEFT_OUT where none was to be logged.

    `tracking.log_model=auto` logs where that takes no room: the files of the server are on this machine, and can be
    links. What an interrupted call has begun is gone on with.
    """
    mode = mode_of(record.config)
    if mode == "never" or not has_policy(record):
        return LEFT_OUT
    place = _local(store.client.get_experiment(destination.experiment_id).artifact_location)
    if mode == "auto" and (place is None or not _can_link(record.folder / FINAL, place)):
        return LEFT_OUT
    model = _find(store, run_id, destination) or _create(store, record, run_id, destination)
    if str(model.status) != "READY":
        _fill(store, record, run_id, model)
        store.client.finalize_logged_model(model.model_id, "READY")
    _name_in_run(store, record, run_id, model.model_id)
    return model.model_id


def _find(store: Store, run_id: str, destination: Destination) -> Any:
    query = f"source_run_id = '{run_id}'"
    return next(iter(store.client.search_logged_models([destination.experiment_id], query)), None)


def _create(store: Store, record: RunRecord, run_id: str, destination: Destination) -> Any:
    tags = {"run_key": record.key, "sweep": record.sweep, NOTE: _description(record)}
    name = re.sub(r"[/:.%\"']", "_", f"{record.name}-{record.key}")  # signs that a server refuses in names of models
    return store.client.create_logged_model(
        destination.experiment_id, name=name, source_run_id=run_id, tags=tags, model_type="policy"
    )


def _description(record: RunRecord) -> str:
    return (
        f"The policy at the end of {title(record, [])}. `mlflow.pyfunc.load_model` answers a list of prompts; "
        "`data/policy` is a folder of transformers."
    )


def _name_in_run(store: Store, record: RunRecord, run_id: str, model_id: str) -> None:
    from mlflow.entities import LoggedModelOutput

    if all(output.model_id != model_id for output in _outputs(store, run_id)):
        step = max((row[0] for row in record.metrics()), default=0)
        store.client.log_outputs(run_id, [LoggedModelOutput(model_id, step=step)])


def _outputs(store: Store, run_id: str) -> list[Any]:
    outputs = store.client.get_run(run_id).outputs
    return [] if outputs is None else outputs.model_outputs


# --- its folder -----------------------------------------------------------------------------------------------------


def _fill(store: Store, record: RunRecord, run_id: str, model: Any) -> None:
    """Write the folder of a model, beside the place where it belongs if that is on this machine."""
    place = _local(model.artifact_location)
    beside = record.folder if place is None else place.parent.parent
    beside.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=beside, prefix=".model.") as aside:
        folder = Path(aside) / "model"
        _write(folder, record, run_id, model.model_id)
        if place is None:
            store.client.log_model_artifacts(model.model_id, str(folder))
            return
        shutil.rmtree(place, ignore_errors=True)  # of a process that was killed here
        place.parent.mkdir(parents=True, exist_ok=True)
        folder.replace(place)


def _write(folder: Path, record: RunRecord, run_id: str, model_id: str) -> None:
    from mlflow import pyfunc
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

    signature = ModelSignature(
        inputs=Schema([ColSpec("string")]),
        outputs=Schema([ColSpec("string")]),
        params=ParamSchema([ParamSpec("seed", "long", 0)]),
    )
    with tempfile.TemporaryDirectory(dir=folder.parent) as aside:
        policy = Path(aside) / "policy"
        policy.mkdir()
        (policy / "reading.json").write_text(json.dumps(reading(record), indent=1) + "\n")
        pyfunc.save_model(
            str(folder), loader_module=CODE.stem, data_path=str(policy), code_paths=[str(CODE)], signature=signature,
            input_example=[_example(record)], conda_env=_environment(),
            mlflow_model=Model(run_id=run_id, model_id=model_id),
            uv_project_path=policy,  # has none; else MLflow adds the lock file of any project in the working directory
        )  # fmt: skip
    shutil.copytree(record.folder / FINAL, folder / "data" / "policy", copy_function=_link_or_copy, dirs_exist_ok=True)


def _environment() -> dict[str, Any]:
    """Name what the file of a model needs; told by us, as MLflow warns in an environment that has no pip of its own."""
    return {
        "name": "mlflow-env",
        "channels": ["conda-forge"],
        "dependencies": [f"python={platform.python_version()}", "pip", {"pip": [*map(_requirement, PACKAGES)]}],
    }


def reading(record: RunRecord) -> dict[str, Any]:
    """Say how the evaluation of a run reads prompts and decodes, in the words of transformers."""
    data, policy = record.config["data"], record.config["model"]["policy"]
    prompt, evaluation = data["prompt"], data["evaluation"]
    config = read_json(record.folder / FINAL / "config.json") or {}
    kept = {"min_new_tokens": evaluation["min_new_tokens"], "max_new_tokens": evaluation["max_new_tokens"]}
    if "num_beams" in evaluation:
        decoding = {name: evaluation[name] for name in ("num_beams", "length_penalty")}
        decoding |= {"do_sample": False, "early_stopping": False}
    else:
        decoding = {name: evaluation[name] for name in ("temperature", "top_k", "top_p")} | {"do_sample": True}
    form = prompt.get("format", "plain")
    return {
        "family": family_of(config, record.folder),
        "compute_dtype": policy.get("compute_dtype", "float32"),
        "max_tokens": prompt["max_tokens"],
        "side": prompt["truncation_side"],
        "ending": prompt.get("ending"),
        "marked": form == "marked",
        "chat": {"system": prompt.get("system")} if form == "chat" else None,
        "stop": data.get("stop"),
        "decoding": decoding | kept,
    }


def _example(record: RunRecord) -> str:
    """Return a prompt that the run was asked."""
    return next((str(row["prompt"]) for row in record.samples() if row.get("prompt")), "Once upon a time")


def _requirement(package: str) -> str:
    return f"{package}=={version(package).partition('+')[0]}"  # no index has the local part of a version


def _link_or_copy(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copy2(source, target)
    return target


def _can_link(final: Path, place: Path) -> bool:
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place, prefix=".model.") as aside:
        try:
            os.link(final / "config.json", Path(aside) / "config.json")
        except OSError:
            return False
    return True


def _local(address: str) -> Path | None:
    """Return the folder that an address of the server names, None where it is not one of this machine."""
    parts = urlparse(address)
    return Path(unquote(parts.path)) if parts.scheme in ("", "file") and parts.netloc in ("", "localhost") else None
