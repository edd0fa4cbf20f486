"""Get WordNet, for METEOR's synonyms, from Debian's package."""


def main() -> None:
    """Do what the command line says."""
    from rftlab.commands.wordnet import main

    main()
