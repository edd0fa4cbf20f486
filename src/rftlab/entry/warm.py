"""Everything that jobs import, for the fork server of the local launcher: a job that finds it loaded starts at once."""

import mlflow.store.tracking.sqlalchemy_store
import pandas
import transformers.models.bert.modeling_bert
import transformers.models.gpt2.modeling_gpt2
import transformers.models.t5.modeling_t5

import rftlab.data.corpus
import rftlab.data.imdb
import rftlab.data.narrativeqa
import rftlab.entry.training
import rftlab.entry.worker
import rftlab.loops.online
import rftlab.loops.supervised
import rftlab.rewards.rouge
import rftlab.rewards.sentiment

__all__ = ["mlflow", "pandas", "rftlab", "transformers"]
