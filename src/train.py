"""Train one configuration, or with `-m` a grid of them: `python src/train.py --help`."""

if __name__ == "__main__":
    from rftlab.entries import start

    start("train")
