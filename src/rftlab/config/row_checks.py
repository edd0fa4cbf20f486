"""What rows of the user's own, and rows that bring scored responses, must say of themselves before a run starts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rftlab.config.inheritance import asks_no_reward, learns_rows
from rftlab.errors import UserError

FORMATS = (".csv", ".jsonl", ".parquet")  # of rftlab.data.file
WHICH = "data.response.column with data.score.column, or data.chosen.column with data.rejected.column"


def check_rows(config: Mapping[str, Any]) -> None:
    """Refuse a file that is not there, columns that do not go together, and an algorithm that lacks what it learns.

    Raises:
        UserError: What was found, what was expected and which key to change.
    """
    data = config["data"]
    if "path" in data:
        _check_file(data["path"])
    elif data["source"] == "file":
        raise UserError(f"data.source=file with data={data['name']}", "bundled or hub, or data=file", "data.source")
    if "column" in data.get("prompt", {}):
        _check_prompts(data)
    if "column" in data.get("prompt", {}) and "responses" in data:
        _check_columns(data)
        _check_learned(config)


def _check_file(path: str | None) -> None:
    if path is None:
        raise UserError("data.path=null", f"a file that ends with {', '.join(FORMATS)}", "data.path")
    if Path(path).suffix not in FORMATS:
        raise UserError(f"data.path={path}", f"a file that ends with {', '.join(FORMATS)}", "data.path")
    if not Path(path).is_file():
        raise UserError(f"data.path={path}, where there is no file", "a file", "data.path")


def _check_prompts(data: Mapping[str, Any]) -> None:
    if data["prompt"]["column"] is None:
        raise UserError("data.prompt.column=null", "the name of the column of prompts", "data.prompt.column")


def _check_columns(data: Mapping[str, Any]) -> None:
    for one, other in (("response", "score"), ("chosen", "rejected")):
        given = [word for word in (one, other) if data[word]["column"] is not None]
        if len(given) == 1:
            lacking = other if given == [one] else one
            found = f"data.{given[0]}.column={data[given[0]]['column']} with data.{lacking}.column=null"
            raise UserError(found, "both, or neither", f"data.{one}.column or data.{other}.column")
    if _brings(data, "response") and _brings(data, "chosen"):
        found = f"data.response.column={data['response']['column']} and data.chosen.column={data['chosen']['column']}"
        raise UserError(found, "scored responses or pairs, not both", "data.response.column or data.chosen.column")


def _brings(data: Mapping[str, Any], word: str) -> bool:
    return data[word]["column"] is not None


def _check_learned(config: Mapping[str, Any]) -> None:
    """Let there be responses where these are learned, and gold texts where these are or nothing else evaluates."""
    data, algo = config["data"], config["algo"]
    if learns_rows(config) and not (_brings(data, "response") or _brings(data, "chosen")):
        found = f"algo={algo['name']} with data={data['name']}, of which no column holds responses"
        raise UserError(found, WHICH, "these, or data.responses=false to sample responses first")
    gold = data["target"]["column"] is not None or _brings(data, "chosen")
    if not gold and algo.get("responses") is None and "steps" in algo["loop"]:
        found = f"algo={algo['name']} with data={data['name']}, of which no column holds gold texts"
        raise UserError(found, "the name of the column of gold texts", "data.target.column")
    if not gold and data["needs_targets"]:
        found = f"data.needs_targets=true with data={data['name']}, of which no column holds gold texts"
        raise UserError(found, "the name of the column of gold texts", "data.target.column or data.needs_targets")
    if not gold and learns_rows(config) and config["reward"] is None and not asks_no_reward(config):
        found = f"no reward with data={data['name']}, of which no column holds gold texts"
        raise UserError(found, "one of them, to evaluate with", "reward or data.target.column")
