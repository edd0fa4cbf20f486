"""Train one configuration, or with `-m` a grid of them: `python src/train.py --help`."""

import sys

if __name__ == "__main__":  # the process that jobs are forked from imports this file too, and needs nothing of it
    try:
        from rftlab.entry.early import warm_up

        warm_up(sys.argv[1:])
        from rftlab.entry.cli import main

        main()
    except BaseException as error:
        from rftlab.stop import interrupted

        if not interrupted(error):
            raise
        sys.exit(130)
