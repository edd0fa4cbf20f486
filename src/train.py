"""Train one configuration, or with `-m` a grid of them: `python src/train.py --help`."""

from rftlab.entry.cli import main

if __name__ == "__main__":
    main()
