"""Look after sweeps: `python src/sweep.py --help`."""

if __name__ == "__main__":
    from rftlab.stop import exit_on_interrupt

    with exit_on_interrupt():
        from rftlab.commands.sweep import main

        main()
