"""Which of two policies answers better: `python src/judge.py --help`."""

if __name__ == "__main__":
    from rftlab.stop import exit_on_interrupt

    with exit_on_interrupt():
        from rftlab.commands.judge import main

        main()
