"""Score a file of texts with a reward: `python src/reward.py --help`."""

if __name__ == "__main__":
    from rftlab.stop import exit_on_interrupt

    with exit_on_interrupt():
        from rftlab.commands.reward import main

        main()
