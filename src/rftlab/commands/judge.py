"""`python src/judge.py A B`, or `sweep=NAME`: compare the responses of finished runs to the same prompts."""

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
  python src/judge.py sweep=NAME                           every policy of a sweep with every other of its seed, and a
                                                           table over the seeds; all keys of before, dry_run too

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
SWEEP = "sweep="
DRY_RUN = "judge.dry_run="
KEY_ENV = "judge.key_env="
PATHS = ("paths.outputs", "paths.hub_mirror", "judge.source", "judge.tokenizer")
INTERRUPTED = 130


def main() -> None:
    """Compare the runs that the command line names; exit codes: 0 done, 2 bad input, 130 interrupted."""
    arguments = sys.argv[1:]
    if {"--help", "-h"} & set(arguments):
        with reader_may_leave():
            print(as_typed(HELP), end="")
        return
    with outlive_reader():
        try:
            runs, sweep, words = _given(arguments)
            lines = _compared(runs, sweep, composed(words))
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


def _given(arguments: Sequence[str]) -> tuple[list[str], str | None, list[str]]:
    """Separate the two runs, or the sweep, from the keys.

    Raises:
        UserError: There are neither two runs nor a sweep, or both, or a word has no meaning here.
    """
    runs = [argument for argument in arguments if "=" not in argument and not argument.startswith("-")]
    sweeps = [argument for argument in arguments if argument.startswith(SWEEP)]
    words = [argument for argument in arguments if argument not in (*runs, *sweeps)]
    for word in words:
        if word.startswith(f"+{SWEEP}"):
            raise UserError(f"{word}, which composes a sweep", f"{word.removeprefix('+')}, of one that has run", word)
        if word.startswith("-") or word.lstrip("+").split("=")[0].split(".")[0] in NOT_HERE:
            raise UserError(f"{word}, which means nothing here", "what --help lists", "the command line")
        if word.startswith(KEY_ENV) and not re.fullmatch(r"([A-Z][A-Z0-9_]*|null)", word.removeprefix(KEY_ENV)):
            found = "judge.key_env with something else than a name in capitals"  # it may be the key, which is not shown
            raise UserError(found, "the name of an environment variable that has the key", "judge.key_env")
    if sweeps and runs:
        raise UserError(f"{sweeps[0]} with {', '.join(runs)}", "a sweep, or two runs", "the command line")
    if len(sweeps) > 1 or (sweeps and not sweeps[0].removeprefix(SWEEP)):
        raise UserError(" ".join(sweeps), "sweep=NAME, once", "sweep")
    if not sweeps and len(runs) != 2:
        found = f"{len(runs)} runs"
        raise UserError(found, "two: the keys or folders of finished runs, or sweep=NAME", "the command line")
    sweep = sweeps[0].removeprefix(SWEEP) if sweeps else None
    return runs, sweep, [re.sub(f"^{re.escape(DRY_RUN)}", "dry_run=", word) for word in words]


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


def _compared(runs: Sequence[str], sweep: str | None, config: Mapping[str, Any]) -> list[str]:
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

        from rftlab.build.judging import compare, compare_sweep

        disable_progress_bar()
        if config["runtime"]["threads"] is not None:
            torch.set_num_threads(config["runtime"]["threads"])
        if sweep is not None:
            return compare_sweep(config, sweep, stop)
        return compare(config, *runs, stop)
