"""Start importing the libraries before Hydra has parsed the command line, if it looks like a local sweep."""

from collections.abc import Sequence

from rftlab.sweeps.fork_server import start_server

WARM = "rftlab.launch.warm"
MULTIRUN = {"-m", "--multirun"}
OTHER = ("-c", "--cfg", "-i", "--info", "-h", "--h", "-sc", "--shell", "--version")  # flags under which nothing runs


def warm_up(arguments: Sequence[str]) -> None:
    """Start the process that imports the libraries, if a sweep of this machine is likely.

    A launcher that does not need it stops it; otherwise it ends with this process.
    """
    if likely(arguments):
        start_server(WARM)


def likely(arguments: Sequence[str]) -> bool:
    """Say whether a command line looks like a sweep on this machine that starts something, from the code as it is."""
    against = ("hydra/launcher=", "sweep.dry_run=", "sweep.snapshot=", *OTHER)
    return bool(MULTIRUN & set(arguments)) and not any(word.startswith(against) for word in arguments)
