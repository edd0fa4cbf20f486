"""Look before training, will reinforcement finetuning work here: `python src/diagnose.py --help`."""

if __name__ == "__main__":
    from rftlab.entries import start

    start("diagnose")
