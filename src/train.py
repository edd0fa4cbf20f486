"""Train one configuration, or with `-m` a grid of them: `python src/train.py --help`."""

import sys

if __name__ == "__main__":
    from rftlab.stop import exit_on_interrupt

    with exit_on_interrupt():
        from rftlab.commands.help import helped

        if not helped(sys.argv[1:]):
            from rftlab.launch.early import warm_up

            warm_up(sys.argv[1:])
            from rftlab.commands.train import main

            main()
