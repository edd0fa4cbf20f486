"""Train one configuration, or with `-m` a grid of them."""

import sys


def main() -> None:
    """Show the help, or run what the command line says."""
    from rftlab.commands.help import helped

    if helped(sys.argv[1:]):
        return
    from rftlab.launch.early import warm_up

    warm_up(sys.argv[1:])
    from rftlab.commands.train import main

    main()
