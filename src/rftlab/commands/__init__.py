"""What a user types: train, sweep, diagnose, judge, reward, export."""

import sys
from importlib.util import find_spec

if find_spec("hydra") is None:  # said here, as the first import of an entry point would be a traceback
    print(
        f"error: {sys.executable} has no hydra; expected the environment of `make setup`; "
        "change the shell's Python with `. .venv/bin/activate`",
        file=sys.stderr,
    )
    sys.exit(2)
