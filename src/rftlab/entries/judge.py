"""Ask which of two policies answers better."""


def main() -> None:
    """Do what the command line says."""
    from rftlab.commands.judge import main

    main()
