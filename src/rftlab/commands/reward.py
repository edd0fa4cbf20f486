"""`python src/reward.py`: score the texts of a file with a reward, and describe the scores."""

import logging
import os
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from rftlab.commands.pipe import reader_may_leave
from rftlab.errors import BAD_INPUT, UserError, traceback_wanted
from rftlab.place import CONF, as_typed

if TYPE_CHECKING:  # they take seconds, which --help does not have
    import numpy as np
    from jaxtyping import Float

    from rftlab.commands.pairs import Pairs
    from rftlab.types import Reward

HELP = """rftlab reward: score a file of texts, and see what the reward says.

Usage
  python src/reward.py reward=rouge file=pairs.jsonl [reward.variant=rougeLsum] [out=scores.csv]
  python src/reward.py reward._target_=path/to/my_reward.py:fn file=pairs.csv      a function of your own
  python src/reward.py data=imdb file=pairs.parquet                                the reward that a dataset has

Keys
  file=FILE        .jsonl, .csv or .parquet with the columns `response` and, where the reward reads them, `prompt` and
                   `targets`: a list of texts, or one text; in a CSV file a list is written as JSON (["a", "b"])
  out=FILE.csv     write row and score of every response
  reward=NAME  reward.KEY=VALUE    as for train; docs/rewards.md lists all rewards
  paths.hub_mirror=DIR  paths.outputs=DIR  runtime.device=auto    where models and runs lie, and where they compute

Printed are mean and standard deviation (of these responses: population form), quantiles, a histogram, and responses per
second. A reward with `corpus=train` (cider_d) counts the targets of the file. Nothing is trained and nothing is kept.
"""
OWN = ("file", "out")
NOT_HERE = ("algo", "heuristic", "start", "init_from", "experiment")
CHUNK = 4096  # responses at a time; no score depends on it


def main() -> None:
    """Score the file that the command line names; exit code 2 where that is not possible."""
    arguments = sys.argv[1:]
    if {"--help", "-h"} & set(arguments):
        with reader_may_leave():
            print(as_typed(HELP), end="")
        return
    try:
        given, words = _given(arguments)
        config = _composed(words)
        lines = _scored(given, config)
    except UserError as error:
        _refuse(error)
    with reader_may_leave():
        print("\n".join(lines))


def _refuse(error: Exception) -> NoReturn:
    if traceback_wanted():
        traceback.print_exception(error)
    print(f"error: {error}", file=sys.stderr)
    sys.exit(BAD_INPUT)


def _given(arguments: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Separate the keys of this command from those of the config.

    Raises:
        UserError: There is no file, nothing says which reward, or a word has no meaning here.
    """
    given: dict[str, str] = {}
    words = []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if name in OWN and value:
            given[name] = value
        elif argument.startswith("-") or name.lstrip("+").split(".")[0] in NOT_HERE:
            raise UserError(f"{argument}, which means nothing here", "what --help lists", "the command line")
        elif not equals or name in OWN:
            raise UserError(f"{argument}, which has no value", "KEY=VALUE", name or "the command line")
        else:
            words.append(argument)
    if "file" not in given:
        raise UserError("no file=FILE", "a .jsonl, .csv or .parquet file with a column `response`", "file")
    if not any(word.lstrip("+").startswith(("reward=", "reward._target_=", "data=")) for word in words):
        raise UserError("no reward=NAME", "a reward, or data=NAME for the one that a dataset has", "reward")
    return given, words


def _composed(words: Sequence[str]) -> Mapping[str, Any]:
    """Compose and check the config of a run that would sample and score.

    Raises:
        UserError: On a word that is wrong.
    """
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from rftlab.commands.arguments import as_hydra_wants
    from rftlab.config.compose import Composer
    from rftlab.config.messages import explain

    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            composer = Composer(GlobalHydra.instance().config_loader())
            return composer.job(as_hydra_wants([*words, "algo=diagnose", "tracking=none"])).config
    except (HydraException, OmegaConfBaseException) as error:
        _refuse(Exception(explain(error)))


def _scored(given: Mapping[str, str], config: Mapping[str, Any]) -> list[str]:
    """Score the responses, write the scores where asked for, and return what there is to say.

    Raises:
        UserError: The file cannot be read, the reward cannot be had or cannot score, or the scores cannot be written.
    """
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    import numpy as np

    from rftlab.build.rewards import build_reward
    from rftlab.build.training import device_of
    from rftlab.commands import pairs, scores
    from rftlab.launch.needs import require_hub

    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)
    rows = pairs.read(Path(given["file"]))
    require_hub([{"reward": config["reward"], "paths": config["paths"], "data": {}, "model": {}}])
    started = time.perf_counter()
    reward = build_reward(config, rows.targets, device_of(config["runtime"]["device"]))
    if reward is None:
        raise UserError(f"data={config['data']['name']}, which has no reward", "reward=NAME", "reward")
    ready = time.perf_counter()
    starts = range(0, len(rows.responses), CHUNK)
    found = np.concatenate([_scores(reward, rows, start, given["file"]) for start in starts])
    seconds = time.perf_counter() - ready
    if "out" in given:
        pairs.write_scores(Path(given["out"]), found)
    title = f"{reward.name}: {len(found):,} responses of {given['file']}"
    speed = f"{len(found) / seconds:,.0f} responses/s ({seconds:.2f} s, and {ready - started:.2f} s to load)"
    return [title, *rows.told(), *scores.report(found), speed]


def _scores(reward: "Reward", rows: "Pairs", start: int, file: str) -> "Float[np.ndarray, ' n']":
    """Score the responses of a chunk.

    Raises:
        UserError: The reward cannot score; a gold text that is missing is named by its row and column.
    """
    from rftlab.rewards.references import NoReference

    try:
        return reward(*rows.between(start, start + CHUNK))
    except NoReference as error:
        if "targets" in rows.columns:
            found = f"{file}, row {start + error.position + 1}: no gold text in `targets`"
            raise UserError(found, "at least one in every row, as the reward compares with them", "file") from error
        near = rows.near("targets")
        found = f"{file} with the columns {', '.join(rows.columns)}, and none that is called `targets`"
        change = f"the name of the column `{near}` to `targets`, or reward" if near else "file or reward"
        raise UserError(found, "gold texts in a column `targets`, as the reward compares with them", change) from error
