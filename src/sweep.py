"""Look after sweeps: `python src/sweep.py --help`."""

if __name__ == "__main__":
    from rftlab.entries import start

    start("sweep")
