"""What jobs of a local sweep import, in one place: the process they are forked from has it loaded.

MLflow is not among it: the launching process sends the runs to the tracking server.
"""

from contextlib import suppress

import pandas
import transformers.models.bert.modeling_bert
import transformers.models.gpt2.modeling_gpt2
import transformers.models.resnet.modeling_resnet
import transformers.models.t5.modeling_t5

import rftlab.build.training
import rftlab.data.cifar10
import rftlab.data.corpus
import rftlab.data.imdb
import rftlab.data.mnist
import rftlab.data.narrativeqa
import rftlab.data.stsb
import rftlab.launch.worker
import rftlab.loops.bounds
import rftlab.loops.diagnose
import rftlab.loops.epochs
import rftlab.loops.online
import rftlab.loops.supervised
import rftlab.loops.theory
import rftlab.models.networks
import rftlab.rewards.rouge
import rftlab.rewards.sentiment
from rftlab.runs.environment import environment

__all__ = ["pandas", "rftlab", "transformers"]

environment()  # the version of the code as it is imported here: jobs may start after it was edited
with suppress(ImportError, AttributeError):  # not in its documentation, and only to save time
    from transformers.conversion_mapping import get_checkpoint_conversion_mapping

    get_checkpoint_conversion_mapping("t5")  # the first call makes a table of all models
