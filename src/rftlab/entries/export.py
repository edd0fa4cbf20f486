"""Make the embedded models and their tokenizer."""


def main() -> None:
    """Do what the command line says."""
    from rftlab.commands.export import main

    main()
