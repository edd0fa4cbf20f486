"""Everything that jobs import, for the fork server of the local launcher: a job that finds it loaded starts at once."""
# ruff: noqa: E402

import gc

gc.disable()  # a collection walks over everything that is there already: a fifth of the time that the imports take

import mlflow.store.tracking.sqlalchemy_store
import pandas
import transformers.models.bert.modeling_bert
import transformers.models.gpt2.modeling_gpt2
import transformers.models.resnet.modeling_resnet
import transformers.models.t5.modeling_t5

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

gc.freeze()  # all of this stays: no job needs to walk over it, or to copy its pages
gc.enable()

__all__ = ["mlflow", "pandas", "rftlab", "transformers"]
