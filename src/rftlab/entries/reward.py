"""Score a file of texts with a reward."""


def main() -> None:
    """Do what the command line says."""
    from rftlab.commands.reward import main

    main()
