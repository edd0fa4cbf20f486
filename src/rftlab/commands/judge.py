"""`python src/judge.py A B`: compare the responses of two finished runs to the same prompts."""

import logging
import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from rftlab.commands.pipe import outlive_reader, reader_may_leave
from rftlab.errors import BAD_INPUT, UserError
from rftlab.place import CONF, as_typed
from rftlab.stop import StopFlag, StopOnSignals, StopRequested, interrupted

HELP = """rftlab judge: which of two policies answers better?

Both policies answer the same held-out prompts, a judge compares the two responses in both orders, and what is printed
is the win rate of A with ties counted half, a 95 % interval over prompts, and how far the order decided.

Usage
  python src/judge.py A B                                  keys (or folders) of finished runs; a held-out reward model
  python src/judge.py A B judge=local judge.source=DIR     a language model of this machine, or a hub id
  python src/judge.py A B judge=openai judge.url=http://localhost:8000/v1 judge.model=NAME [judge.key_env=VARIABLE]
  python src/judge.py A B judge=... judge.dry_run=true     calls, tokens and price; nothing is sampled, loaded or sent

Keys (comments in conf/judging.yaml and conf/judge/)
  prompts=200  split=test  seed=0      the prompts: a seeded subset of those that no run was trained on
  judge.run=RUN_KEY                    reward model that judges; null = the only held-out one under paths.outputs
  judge.template  judge.reference      what a language model is asked, and whether it sees a gold text
  judge.price_input  judge.price_output    per million tokens
  paths.outputs=DIR  paths.hub_mirror=DIR  runtime.device=auto  runtime.threads=N

Every verdict is stored as it comes, in a folder under paths.outputs/comparisons; the same command goes on where it was
stopped. docs/judge.md says what is measured.
"""
NOT_HERE = (
    "algo", "data", "model", "reward", "start", "heuristic", "optimizer", "scale", "experiment", "tracking", "sweep"
)  # fmt: skip
DRY_RUN = "judge.dry_run="
KEY_ENV = "judge.key_env="
PATHS = ("paths.outputs", "paths.hub_mirror", "judge.source", "judge.tokenizer")
INTERRUPTED = 130


def main() -> None:
    """Compare the two runs that the command line names; exit codes: 0 done, 2 bad input, 130 interrupted."""
    arguments = sys.argv[1:]
    if {"--help", "-h"} & set(arguments):
        with reader_may_leave():
            print(as_typed(HELP), end="")
        return
    with outlive_reader():
        try:
            runs, words = _given(arguments)
            lines = _compared(runs, composed(words))
        except StopRequested as request:
            print(f"stopped, {request}; the same command goes on from here", file=sys.stderr)
            sys.exit(INTERRUPTED)
        except UserError as error:
            if interrupted(error):
                sys.exit(INTERRUPTED)
            _refuse(error)
        print("\n".join(lines), flush=True)


def _refuse(error: Exception) -> NoReturn:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(BAD_INPUT)


def _given(arguments: Sequence[str]) -> tuple[tuple[str, str], list[str]]:
    """Separate the two runs from the keys.

    Raises:
        UserError: There are not two runs, or a word has no meaning here.
    """
    runs = [argument for argument in arguments if "=" not in argument and not argument.startswith("-")]
    words = [argument for argument in arguments if argument not in runs]
    for word in words:
        if word.startswith("-") or word.lstrip("+").split("=")[0].split(".")[0] in NOT_HERE:
            raise UserError(f"{word}, which means nothing here", "what --help lists", "the command line")
        if word.startswith(KEY_ENV) and not re.fullmatch(r"([A-Z][A-Z0-9_]*|null)", word.removeprefix(KEY_ENV)):
            found = "judge.key_env with something else than a name in capitals"  # it may be the key, which is not shown
            raise UserError(found, "the name of an environment variable that has the key", "judge.key_env")
    if len(runs) != 2:
        raise UserError(f"{len(runs)} runs", "two: the keys or folders of finished runs", "the command line")
    return (runs[0], runs[1]), [re.sub(f"^{re.escape(DRY_RUN)}", "dry_run=", word) for word in words]


def composed(words: Sequence[str]) -> dict[str, Any]:
    """Compose and check the config of a comparison.

    Raises:
        UserError: On a word that is wrong.
    """
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from hydra.types import RunMode
    from omegaconf import OmegaConf, open_dict
    from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

    from rftlab.commands.arguments import as_hydra_wants
    from rftlab.config.checks import check_ranges, reject_unknown_keys
    from rftlab.config.messages import explain
    from rftlab.config.path_checks import check_mirror, check_names
    from rftlab.config.typed import ranges_of

    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            loader = GlobalHydra.instance().config_loader()
            cfg = loader.load_configuration("judging", as_hydra_wants(words), run_mode=RunMode.RUN)
        with open_dict(cfg):
            cfg.pop("hydra")
        reject_unknown_keys(cfg)
        config: Any = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
        check_ranges(config, ranges_of(cfg))
    except MissingMandatoryValue as error:
        key = str(error.full_key)
        raise UserError(f"no {key}", "a value; conf/judge says what it means", key) from None
    except (HydraException, OmegaConfBaseException) as error:
        _refuse(Exception(explain(error)))
    check_names(config, PATHS)
    check_mirror(config["paths"]["hub_mirror"])
    return config


def _compared(runs: tuple[str, str], config: Mapping[str, Any]) -> list[str]:
    """Load what compares, and do it.

    Raises:
        StopRequested: What was done is kept.
        UserError: A run or the judge cannot be had.
    """
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)
    logging.getLogger("rftlab").setLevel(logging.INFO)
    stop = StopFlag()
    with StopOnSignals(stop, (signal.SIGINT, signal.SIGTERM)):
        import torch
        from transformers.utils.logging import disable_progress_bar

        from rftlab.build.judging import compare

        disable_progress_bar()
        if config["runtime"]["threads"] is not None:
            torch.set_num_threads(config["runtime"]["threads"])
        return compare(config, *runs, stop)
