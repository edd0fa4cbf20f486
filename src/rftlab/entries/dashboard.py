"""Show MLflow's pages of the outputs, with a link to the answer of each sweep."""


def main() -> None:
    """Do what the command line says."""
    from rftlab.tracking.dashboard import main

    main()
