"""Run an MLflow server on PostgreSQL for a lab."""


def main() -> None:
    """Do what the command line says."""
    from rftlab.tracking.server import main

    main()
