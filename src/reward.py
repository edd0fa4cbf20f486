"""Score a file of texts with a reward: `python src/reward.py --help`."""

if __name__ == "__main__":
    from rftlab.entries import start

    start("reward")
