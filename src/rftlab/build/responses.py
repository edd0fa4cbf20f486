"""Scored responses of a finished run, for an algorithm that does not sample its own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rftlab import runs
from rftlab.errors import UserError
from rftlab.types import Example, ScoredResponse

KEY = "algo.responses.run"
OF_ROWS = ("name", "source", "loader")  # keys of the data that say which prompts there are


def scored_responses(config: Mapping[str, Any], folder: Path) -> dict[str, list[ScoredResponse]] | None:
    """Read the responses that a config names, by split; None where its algorithm wants none.

    Args:
        config: Of the run that learns from them.
        folder: Of the same run, with the fingerprint of its rows.

    Raises:
        UserError: No run is named, it is not finished or made no responses, or it has other prompts or another
            tokenizer than this one.
    """
    if (node := config["algo"].get("responses")) is None:
        return None
    if (key := node["run"]) is None:
        raise UserError(f"{KEY}=null with algo={config['algo']['name']}", "the key of a run of algo=responses", KEY)
    outputs = Path(config["paths"]["outputs"])
    done = [record for record in runs.find_key(outputs, key) if record.done]
    if not done:
        raise UserError(f"{KEY}={key}, which is no finished run in {outputs}", "a finished run of algo=responses", KEY)
    frame = runs.read_responses(done[0].folder)
    if frame is None:
        found = f"{KEY}={key}, a run of algo={done[0].config['algo']['name']} without {runs.RESPONSES}"
        raise UserError(found, "a finished run of algo=responses", KEY)
    _refuse_others(config, folder, done[0])
    return {str(split): [_response(row) for row in part.itertuples()] for split, part in frame.groupby("split")}


def _response(row: Any) -> ScoredResponse:
    return ScoredResponse(
        example=Example(id=row.prompt_id, prompt=row.prompt, targets=tuple(row.targets)),
        response=row.response,
        response_ids=tuple(int(i) for i in row.response_ids),
        score=float(row.score),
    )


def _refuse_others(config: Mapping[str, Any], folder: Path, record: runs.RunRecord) -> None:
    """Refuse responses to the prompts of another dataset, and ids of another tokenizer."""
    theirs = record.config
    for name in OF_ROWS:
        if config["data"].get(name) != theirs["data"].get(name):
            found = f"data.{name}={config['data'].get(name)}, with responses to {theirs['data'].get(name)}"
            raise UserError(f"{KEY}={record.folder.name[-runs.KEY_LENGTH :]}: {found}", "one dataset", f"data or {KEY}")
    rows = runs.read_rows(folder)
    if rows is not None and record.rows is not None and rows["rows"] != record.rows:
        raise UserError(f"{record.folder} was made with other rows of data={config['data']['name']}", "the same", KEY)
    own, other = (_tokenizer(node["model"]["policy"]) for node in (config, theirs))
    if own != other:
        found = f"model={config['model']['name']} with the tokenizer {own}, and responses in ids of {other}"
        raise UserError(found, "one tokenizer", f"model or {KEY}")


def _tokenizer(policy: Mapping[str, Any]) -> str:
    return policy.get("tokenizer") or policy["source"]
