"""Scored responses of a finished run, or of the rows of the data, for an algorithm that does not sample its own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rftlab import runs
from rftlab.config.inheritance import learns_rows
from rftlab.errors import UserError
from rftlab.models import Policy
from rftlab.models.text import token_ids
from rftlab.types import Example, ScoredResponse, ScoredText, Splits

KEY = "algo.responses.run"
OF_ROWS = ("name", "source", "loader")  # keys of the data that say which prompts there are


def scored_responses(config: Mapping[str, Any], folder: Path) -> dict[str, list[ScoredResponse]] | None:
    """Read the responses of the run that a config names, by split; None where its algorithm wants none of a run.

    Args:
        config: Of the run that learns from them.
        folder: Of the same run, with the fingerprint of its rows.

    Raises:
        UserError: No run is named, it is not finished or made no responses, or it has other prompts or another
            tokenizer than this one.
    """
    if (node := config["algo"].get("responses")) is None or learns_rows(config):
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


def responses_of_rows(
    config: Mapping[str, Any], splits: Splits, policy: Policy
) -> dict[str, list[ScoredResponse]] | None:
    """Tokenise the responses that the rows bring, by split; None where the run does not learn them.

    Their ids are those of the policy's own tokenizer, with EOS behind them as behind gold texts (`append_eos`).

    Raises:
        UserError: The rows bring none.
    """
    if not learns_rows(config):
        return None
    if not any(splits.responses.values()):
        found = f"algo={config['algo']['name']} with data={config['data']['name']}, whose rows bring no responses"
        raise UserError(found, "scored responses or pairs", f"data, {KEY}, or data.responses=false to sample some")
    end = (policy.eos_id,) if config["data"]["target"]["append_eos"] else ()

    def tokenised(text: ScoredText) -> ScoredResponse:
        ids = (*token_ids(policy.tokenizer, text.response), *end)
        return ScoredResponse(example=text.example, response=text.response, response_ids=ids, score=text.score)

    return {split: [tokenised(text) for text in texts] for split, texts in splits.responses.items()}


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
