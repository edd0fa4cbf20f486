"""Which of two policies answers better: `python src/judge.py --help`."""

if __name__ == "__main__":
    from rftlab.entries import start

    start("judge")
