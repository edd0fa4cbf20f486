"""Look after sweeps: `python src/sweep.py --help`."""

from rftlab.entry.sweep_cli import main

if __name__ == "__main__":
    main()
