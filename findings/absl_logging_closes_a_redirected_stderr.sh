#!/usr/bin/env bash
# absl-py 2.5.1 (which rouge-score 0.1.2 imports), Python 3.11: importing absl.logging while sys.stderr is redirected, as by
# contextlib.redirect_stderr, a notebook or a test runner, keeps that stream in a handler. When somebody configures logging
# later (logging.config.dictConfig, as Hydra does at each start), the handler closes the stream, which is not absl's: the
# next write to it raises ValueError, "I/O operation on closed file". A handler of the standard library leaves it open.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet absl-py==2.5.1
"$folder/venv/bin/python" - <<'PY'
import contextlib
import io
import logging
import logging.config

theirs, ours = io.StringIO(), io.StringIO()
with contextlib.redirect_stderr(theirs):
    from absl import logging as absl_logging

assert absl_logging.get_absl_handler() is not None
kept = logging.StreamHandler(ours)  # the standard library's, on a stream of ours
logging.config.dictConfig({"version": 1, "disable_existing_loggers": False})
print("absl's stream closed:", theirs.closed, " the standard handler's:", ours.closed)
assert theirs.closed and not ours.closed
try:
    theirs.write("lost")
except ValueError as error:
    print(error)
else:
    raise SystemExit("the stream is open: this has changed")
PY
