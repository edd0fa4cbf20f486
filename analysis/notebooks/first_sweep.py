# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A finished sweep, from run folders to figures
#
# Reads the folder named by `RFTLAB_OUTPUTS` (default `outputs`). Make one with `make quickstart`, or with
# `python src/train.py -m algo=ppo,apa data=narrativeqa` and the same with `heuristic=partial_sft`.

# %%
# ruff: noqa: E402
import os
import sys
from pathlib import Path

import pandas as pd
from IPython import get_ipython
from IPython.core.pylabtools import select_figure_formats
from IPython.display import display

here = Path(__file__).resolve() if "__file__" in globals() else Path.cwd() / "notebook"
sys.path.insert(0, str(next(folder for folder in here.parents if (folder / "analysis").is_dir())))

from analysis import everything, load
from analysis.figures import learning_curves, reward_scatter
from analysis.statistics import stats
from analysis.summary import cells as summary

if (shell := get_ipython()) is not None:  # else it runs as a script, which names the figures it has drawn
    select_figure_formats(shell, {"png"})
outputs = Path(os.environ.get("RFTLAB_OUTPUTS", "outputs"))

# %% [markdown]
# ## What is there
# One row per run that trains a language model. `cell` is shared by all seeds of one setting; only finished runs enter a
# statistic.

# %%
runs = stats.of_family(load.load_runs(outputs), "language")
kept, repeated = stats.one_run_per_seed(runs)
print(runs.groupby(["scale", "source", "data", "algo", "heuristic", "state"]).size().to_string())

# %% [markdown]
# What is not there, and the command that makes it:

# %%
missing = everything.missing(runs, whole=False)
print(missing[["data", "algo", "heuristic", "seeds", "reason", "command"]].to_string() if len(missing) else "complete")

# %% [markdown]
# ## Start and end
# Test rewards, decoded as the dataset is evaluated, averaged over the seeds of a cell. The share of vanishing prompts
# (reward std below 0.05 over their samples) is from before and after the run's own finetuning.

# %%
metrics = stats.of_runs(load.load_metrics(outputs), kept)
prompts = stats.of_runs(load.load_prompts(outputs), kept)
cells = summary.summary(metrics, prompts)
columns = ["n", "eval/test/reward/start", "eval/test/reward/end", "policy/kl/end", "before/share", "after/share"]
print(cells.set_index(["data", "algo", "heuristic"])[columns].round(3).to_string())

# %% [markdown]
# In words, by the rules of `analysis/summary/words.py`:

# %%
for _, panel in cells.groupby(stats.PANEL):
    print("\n".join(summary.in_words(panel)))

# %% [markdown]
# ## Learning curves
# One figure shows one dataset, model, scale and source: results of different kinds never share an axis.

# %%
curves = stats.curves(metrics, learning_curves.METRICS)
panels = list(curves[stats.PANEL].drop_duplicates().itertuples(index=False, name=None))
counts = dict(zip(kept["cell"], kept["counts"], strict=True))
drawn = [learning_curves.picture(stats.of_panel(curves, panel), counts) for panel in panels]
for drawing in drawn:
    display(drawing.figure)

# %% [markdown]
# ## Which prompts can learn at all
# A prompt whose samples all score alike lies at the left edge: its expected gradient is near zero (Razin et al. 2024).

# %%
shares = stats.vanishing_share(prompts)
scatters = [
    reward_scatter.picture(stats.of_panel(prompts, panel), stats.of_panel(shares, panel), counts)
    for panel in prompts[stats.PANEL].drop_duplicates().itertuples(index=False, name=None)
]
for drawing in scatters:
    display(drawing.figure)

# %% [markdown]
# ## A look at samples
# Numbers can rise for bad reasons; read what the policy writes.

# %%
samples = stats.of_runs(load.load_samples(outputs), kept)
with pd.option_context("display.max_colwidth", 60, "display.width", 160):
    last = samples.groupby("run_key").tail(1)
    print(last[["data", "algo", "heuristic", "split", "step", "prompt", "response", "score"]].to_string(index=False))
