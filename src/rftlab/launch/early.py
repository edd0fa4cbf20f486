"""A head start for sweeps of this machine, from the bare command line: Hydra takes half a second to say so for sure."""

from collections.abc import Sequence

from rftlab.sweeps.fork_server import start_server

WARM = "rftlab.launch.warm"
MULTIRUN = {"-m", "--multirun"}
OTHER = ("-c", "--cfg", "-i", "--info", "-h", "--h", "-sc", "--shell", "--version")  # flags under which nothing runs


def warm_up(arguments: Sequence[str]) -> None:
    """Start the process that imports the libraries, where a sweep of this machine is likely.

    Whoever knows better stops it; at the latest it ends with this process.
    """
    if likely(arguments):
        start_server(WARM)


def likely(arguments: Sequence[str]) -> bool:
    """Say whether a command line looks like a sweep on this machine that starts something, from the code as it is."""
    against = ("hydra/launcher=", "sweep.dry_run=", "sweep.snapshot=", *OTHER)
    return bool(MULTIRUN & set(arguments)) and not any(word.startswith(against) for word in arguments)
