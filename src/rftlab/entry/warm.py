"""What jobs import, for the fork server of the local launcher: a job that finds it loaded starts at once.

MLflow is not among it: the launching process sends the runs to the tracking server.
"""
# ruff: noqa: E402

import ctypes
import gc
import os
import signal
import sys

from rftlab.sweeps.fork_server import LAUNCHER

if sys.platform == "linux":  # a sweep that is refused, or interrupted, while this imports leaves nothing behind
    PR_SET_PDEATHSIG = 1
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.environ.get(LAUNCHER, str(os.getppid())) != str(os.getppid()):  # it was quicker
        sys.exit()
gc.disable()  # a collection walks over everything that is there already: a fifth of the time that the imports take

import pandas
import transformers.models.bert.modeling_bert
import transformers.models.gpt2.modeling_gpt2
import transformers.models.resnet.modeling_resnet
import transformers.models.t5.modeling_t5
from transformers.conversion_mapping import get_checkpoint_conversion_mapping

import rftlab.data.cifar10
import rftlab.data.corpus
import rftlab.data.imdb
import rftlab.data.mnist
import rftlab.data.narrativeqa
import rftlab.data.stsb
import rftlab.entry.training
import rftlab.entry.worker
import rftlab.loops.bounds
import rftlab.loops.diagnose
import rftlab.loops.epochs
import rftlab.loops.online
import rftlab.loops.supervised
import rftlab.loops.theory
import rftlab.models.networks
import rftlab.rewards.rouge
import rftlab.rewards.sentiment
from rftlab.environment import environment

environment()  # the version of the code as it is imported here: jobs may start after it was edited
get_checkpoint_conversion_mapping("t5")  # the first call makes a table of all models
gc.freeze()  # all of this stays: no job needs to walk over it, or to copy its pages
gc.enable()

__all__ = ["pandas", "rftlab", "transformers"]
