"""The run behind `reward=classifier`: one for all models, algorithms, seeds and evaluations of one source of rows."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from rftlab.commands.arguments import as_hydra_wants
from rftlab.config.compose import Composer
from rftlab.config.options import CONF
from rftlab.errors import UserError
from rftlab.runs.parents import needed_runs
from rftlab.sweeps.job import Job

KEY = "0123456789ab"
FIT = ["data=imdb_labels", "algo=text_classifier"]


@pytest.fixture(scope="module")
def composer() -> Iterator[Composer]:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield Composer(GlobalHydra.instance().config_loader())


def made(composer: Composer, *words: str) -> Job:
    return composer.job(as_hydra_wants(words))


def above(job: Job) -> dict[str, Job]:
    """Give all runs that come before a job, by the names of their algorithms."""
    return {name: found for parent in job.parents for name, found in {**above(parent), _algo(parent): parent}.items()}


def _algo(job: Job) -> str:
    return job.config["algo"]["name"]


def classifier_of(job: Job) -> Job:
    assert needed_runs(job.config)["reward.run"] == above(job)["text_classifier"].key
    return above(job)["text_classifier"]


def test_runs_that_differ_in_anything_else_share_one_with_who_fits_it_alone(composer: Composer) -> None:
    base = ["data=imdb", "reward=classifier"]
    same = [
        [],
        ["algo=apa", "seed=3"],
        ["algo=dpo", "model=t5_mini"],
        ["eval.n_test=7", "eval.kl_to_start=true", "eval.std_below=0.1"],
        ["heuristic=partial_sft", "model.unfrozen_blocks=1"],
        ["data.prompt.max_tokens=32", "data.loader.n_train=50", "data.rollout.temperature=0.7"],
        ["reward.text=response", "optimizer.lr=1e-5"],
        ["data=narrativeqa"],
    ]
    found = {classifier_of(made(composer, *base, *words)).key for words in same}
    assert found == {made(composer, *FIT).key}
    others = [["data.source=hub"], ["scale=paper"], ["reward.parent.overrides=[data=imdb_labels,data.source=bundled,"
              "model=tfidf_logistic,algo=text_classifier,seed=0,data.loader.n_train=500]"]]  # fmt: skip
    assert len(found | {classifier_of(made(composer, *base, *words)).key for words in others}) == 4


def test_its_rows_come_from_where_those_of_the_child_come_from(composer: Composer) -> None:
    real = classifier_of(made(composer, "data=imdb", "reward=classifier", "data.source=hub"))
    assert real.config["data"]["source"] == "hub"
    assert real.key == made(composer, *FIT, "data.source=hub").key
    with pytest.raises(UserError, match=r"data\.source=file with data=imdb_labels"):
        made(composer, "data=file", "data.path=tests/golden/rows.csv", "data.prompt.column=question",
             "reward=classifier")  # fmt: skip


@pytest.mark.parametrize("words", [["algo=dpo"], ["heuristic=partial_sft"], ["algo=reward_model"]])
def test_the_runs_between_have_the_same_reward_so_that_they_too_work_on_real_rows(
    composer: Composer, words: list[str]
) -> None:
    job = made(composer, "data=imdb", "reward=classifier", "data.source=hub", *words)
    between = [parent for name, parent in above(job).items() if name != "text_classifier"]
    assert between
    for run in between:
        assert run.config["reward"] == job.config["reward"] and classifier_of(run).key == classifier_of(job).key
        own = ["data=imdb", "reward=classifier", "data.source=hub", f"algo={_algo(run)}"]
        assert _algo(run) == "sft" or made(composer, *own).key == run.key  # as who asks for it alone


def test_a_key_that_is_given_reaches_the_runs_between(composer: Composer) -> None:
    job = made(composer, "data=imdb", "reward=classifier", f"reward.run={KEY}", "algo=dpo", "heuristic=partial_sft")
    runs = above(job)
    assert set(runs) == {"sft", "responses"}
    assert [run.config["reward"]["run"] for run in (job, *runs.values())] == [KEY] * 3
    assert {json.dumps(run.config["reward"]["parent"]) for run in (job, *runs.values())} == {"null"}


def test_a_parent_of_another_kind_is_refused_before_it_is_fitted(composer: Composer) -> None:
    words = "reward.parent.overrides=[algo=sft]"
    with pytest.raises(UserError, match=r"compose a run of algo=sft; expected algo=text_classifier among them"):
        made(composer, "data=imdb", "reward=classifier", words)


def test_a_file_of_labelled_texts_can_be_behind_a_reward(composer: Composer) -> None:
    rows = "data.path=tests/golden/rows.csv,data.prompt.column=question,data.target.column=answer"
    words = f"reward.parent.overrides=[data=file_labels,{rows},model=tfidf_logistic,algo=text_classifier]"
    job = made(composer, "data=imdb", "reward=classifier", words)
    fitted = classifier_of(job)
    assert fitted.config["data"]["source"] == "file" and "tests/golden/rows.csv" in str(fitted.config["files"])
    at_paper = made(composer, "data=imdb", "reward=classifier", words, "scale=paper")
    assert classifier_of(at_paper).config["data"]["source"] == "file"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([f"init_from={KEY}"], "init_from or start=sft with algo=text_classifier, which starts from no weights"),
        (["model=gpt2_mini"], "model=gpt2_mini with data=imdb_labels; expected tfidf_logistic"),
        (["reward=rouge"], "a reward with data=imdb_labels, which has none for texts"),
        (["algo=ppo"], "algo=ppo with data=imdb_labels; expected text_classifier"),
        (["data=imdb"], "algo=text_classifier with data=imdb; expected .*ppo"),
        (["heuristic=partial_sft"], "heuristic=partial_sft with data=imdb_labels"),
        (["model.classifier.max_ngram=0"], "max_ngram=0; expected a number above 0"),
        (["data=file_labels"], r"data\.path=null"),
        (["data=file_labels", "data.path=tests/golden/rows.csv", "data.prompt.column=null"], r"data\.prompt\.column"),
        (["data=file_labels", "data.path=tests/golden/rows.csv", "data.source=hub"], "which has no rows of the hub"),
    ],
)
def test_what_such_a_run_cannot_do_is_one_line(composer: Composer, words: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        made(composer, *FIT, *words)


def test_nothing_of_scikit_learn_or_of_language_models_is_imported_to_compose_it() -> None:
    import subprocess
    import sys

    script = (
        "import sys; from hydra import initialize_config_dir; from hydra.core.global_hydra import GlobalHydra\n"
        "from rftlab.config.compose import Composer\n"
        f"with initialize_config_dir({str(CONF)!r}, version_base='1.3'):\n"
        "    Composer(GlobalHydra.instance().config_loader()).job(['data=imdb', 'reward=classifier'])\n"
        "print(sorted({'sklearn', 'torch', 'transformers', 'datasets'} & set(sys.modules)))"
    )
    here = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=here, check=True)
    assert done.stdout.strip() == "[]"
