"""What jobs of a local sweep import, in one place: the process they are forked from has it loaded.

MLflow is not among it: the launching process sends the runs to the tracking server.
"""

import importlib
import pkgutil
from contextlib import suppress

import pandas
import transformers.models.bert.modeling_bert
import transformers.models.gpt2.modeling_gpt2
import transformers.models.resnet.modeling_resnet
import transformers.models.t5.modeling_t5

import rftlab.algorithms
import rftlab.build.training
import rftlab.data
import rftlab.launch.worker
import rftlab.loops
import rftlab.models.networks
import rftlab.rewards

__all__ = ["pandas", "rftlab", "transformers"]

for package in (rftlab.algorithms, rftlab.data, rftlab.loops, rftlab.rewards):  # what a config may name
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")

with suppress(ImportError, AttributeError):  # not in its documentation, and only to save time
    from transformers.conversion_mapping import get_checkpoint_conversion_mapping

    get_checkpoint_conversion_mapping("t5")  # the first call makes a table of all models
