"""Run the first sweep: PPO beside APA, alone and after a little SFT; figures, and a table in words."""


def main() -> None:
    """Do what the command line says."""
    from rftlab.commands.quickstart import main

    main()
