"""Jobs that do not fit are refused before the first of them starts, and a dry run says what each would take."""

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from config.test_keys_of_members import jobs_of
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from rich.console import Console

from rftlab import runs
from rftlab.build import room as build_room
from rftlab.build.training import train
from rftlab.config.compose import Composer
from rftlab.config.options import CONF
from rftlab.errors import UserError
from rftlab.launch import room, single
from rftlab.launch.whole_sweep import Sweep, run_sweep
from rftlab.memory.estimate import GIB
from rftlab.stop import StopFlag
from rftlab.sweeps.job import Job

LARGE = ["data=hh", "scale=paper", "algo=apa", "model=pythia_6b_sft"]
SMALL = ["data=imdb", "algo=ppo"]


class Launcher:
    """A launcher that must not be reached, of this machine or of a cluster."""

    follows, slots = False, 1

    def __init__(self, kind: str = "local", gpus: int = 0, **settings: object) -> None:
        self.gpus, self._settings = gpus, {"kind": kind, **settings}

    def begin(self) -> None: ...

    def settings(self) -> Mapping[str, Any]:
        return self._settings

    def queued(self, outputs: Path) -> Mapping[str, str]:
        return {}

    def run(
        self, jobs: Sequence[Job], queued: Mapping[str, str], console: Console, feed: Any = None
    ) -> Mapping[str, str]:
        raise AssertionError("started")


@pytest.fixture(scope="module")
def composer() -> Iterator[Composer]:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield Composer(GlobalHydra.instance().config_loader())


def sweep(outputs: Path, jobs: Sequence[Job], launcher: Launcher, *, dry_run: bool) -> str:
    console = Console(width=200, file=io.StringIO(), record=True)
    given = Sweep(name="default", outputs=outputs, dry_run=dry_run, page=False, config="")
    run_sweep(given, jobs, launcher, console)
    return console.export_text()


def test_a_run_that_does_not_fit_is_refused_with_numbers_and_the_keys_that_change_them(composer: Composer) -> None:
    job = composer.job([*LARGE, "runtime.memory_gib=80"])
    with pytest.raises(UserError) as refused:
        room.require_room_for([job])
    assert str(refused.value) == (
        "algo=apa with model=pythia_6b_sft, which takes 145.1 GiB of memory at least (moments 54.3, gradients 27.2, "
        "policy 25.5, value network 24.9, reward: model 10.9, reference 2.27), with 80.0 GiB by runtime.memory_gib; "
        "expected a run that fits; change model.lora.rank (with model.unfrozen_blocks=null), model.value.kind, model, "
        "runtime.memory_gib (another machine) or runtime.memory_check"
    )


def test_one_key_lets_it_start_all_the_same_and_another_counts_long_rows(composer: Composer) -> None:
    room.require_room_for([composer.job([*LARGE, "runtime.memory_gib=80", "runtime.memory_check=off"])])
    room.require_room_for([composer.job([*LARGE, "runtime.memory_gib=150"])])
    longest = composer.job([*LARGE, "runtime.memory_gib=150", "runtime.memory_check=longest"])
    with pytest.raises(UserError, match=r"keys and values .*change .*eval\.batch_size"):
        room.require_room_for([longest])


def test_the_keys_of_memory_are_no_part_of_a_run(composer: Composer) -> None:
    words = ["runtime.memory_gib=3.5", "runtime.memory_check=off"]
    assert composer.job([*SMALL, *words]).key == composer.job(SMALL).key
    with pytest.raises(UserError, match="a number above 0"):
        composer.job([*SMALL, "runtime.memory_gib=0"])


def test_a_sweep_is_refused_before_its_first_job(composer: Composer, tmp_path: Path) -> None:
    jobs = [composer.job([*words, f"paths.outputs={tmp_path}", "runtime.memory_gib=20"]) for words in (SMALL, LARGE)]
    with pytest.raises(UserError, match=r"145\.1 GiB of memory at least"):
        sweep(tmp_path, jobs, Launcher(), dry_run=False)
    assert not list(tmp_path.rglob("config.yaml"))


def test_a_parent_that_does_not_fit_is_refused_before_the_run(composer: Composer, tmp_path: Path) -> None:
    """GPT-Neo on TL;DR has no published SFT: a run of its own comes first."""
    words = ["data=tldr", "scale=paper", "algo=rloo", "model=gpt_neo_2_7b", f"paths.outputs={tmp_path}"]
    job = composer.job([*words, "runtime.memory_gib=0.01"])
    with pytest.raises(UserError, match="algo=rloo with model=gpt_neo_2_7b"):
        room.require_room_for([job, *job.parents])
    with pytest.raises(UserError, match="algo=sft with model=gpt_neo_2_7b"):
        room.require_room_for(job.parents)


def test_a_parent_that_is_done_need_not_fit(
    composer: Composer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["data=tldr", "algo=rloo", "model=gpt_neo_2_7b", "scale=paper", f"paths.outputs={tmp_path}"]
    job = composer.job([*words, "runtime.memory_gib=1"])
    asked: list[Job] = []
    monkeypatch.setattr(single, "require_hub", lambda configs: None)
    monkeypatch.setattr(single, "require_room_for", lambda jobs: asked.extend(jobs) or (_ for _ in ()).throw(KeyError))
    with pytest.raises(KeyError):
        single.execute(job, StopFlag())
    (parent,) = job.parents
    runs.freeze(parent.folder, parent.config)
    (parent.folder / "DONE").write_text('{"final": {}}')
    with pytest.raises(KeyError):
        single.execute(job, StopFlag())
    assert [each.key for each in asked] == [job.key, parent.key, job.key]


def test_a_small_run_asks_no_algorithm_as_that_imports_torch(
    composer: Composer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(loss: object) -> None:
        raise AssertionError("asked")

    monkeypatch.setattr(room, "_asked", asked)
    room.require_room_for([composer.job([*SMALL, "runtime.memory_gib=2"])])
    with pytest.raises(AssertionError, match="asked"):
        room.require_room_for([composer.job([*LARGE, "runtime.memory_gib=2"])])


def test_what_is_free_is_that_of_the_machine_where_a_job_computes(
    composer: Composer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_room, "available_bytes", lambda: 7 * GIB)
    monkeypatch.setattr(room, "visible_gpus", lambda: ["0", "2"])
    monkeypatch.setattr(room, "gpu_bytes", lambda gpus: len(gpus) * GIB)
    config, on_cpu = composer.job(SMALL).config, composer.job([*SMALL, "runtime.device=cpu"]).config
    told = composer.job([*SMALL, "runtime.memory_gib=3", "resources.mem_gb=5"]).config

    def place(config: dict[str, Any], launcher: Launcher) -> tuple[bool, float | None]:
        found = room.place_of(config, launcher)
        return found.gpu, None if found.room is None else found.room.size / GIB

    assert place(config, Launcher()) == (True, 2) and place(on_cpu, Launcher()) == (False, 7)
    assert place(told, Launcher()) == (True, 3)
    assert place(config, Launcher("slurm", gpus=1, mem_gb=32)) == (True, None)  # a GPU of a cluster
    assert place(told, Launcher("slurm", gpus=1, mem_gb=32)) == (True, 3)
    assert place(config, Launcher("slurm", gpus=0, mem_gb=32)) == (False, 32)
    asked = composer.job([*SMALL, "resources.mem_gb=5", "resources.gpus_per_node=0"]).config
    assert place(asked, Launcher("slurm", gpus=1, mem_gb=32)) == (False, 5)
    monkeypatch.setattr(room, "gpu_bytes", lambda gpus: None)
    assert place(config, Launcher()) == (True, None)


def test_what_nobody_knows_here_is_said_and_refuses_nothing(composer: Composer, tmp_path: Path) -> None:
    slurm = Launcher("slurm", gpus=1)
    unknown = ["data=imdb", "algo=ppo", "model=hub", "model.policy.source=a/b", "model.policy.family=causal"]
    jobs = [composer.job([*words, f"paths.outputs={tmp_path}"]) for words in (LARGE, unknown)]
    room.require_room_for(jobs, slurm)
    said = sweep(tmp_path, jobs, slurm, dry_run=True)
    assert "not known here: what the machine of a job has; runtime.memory_gib tells" in said
    assert "not counted: the model, as the shape of a/b is not known here" in said
    assert [line.split()[-3:] for line in said.splitlines() if line.startswith("ppo imdb hub")] == [
        ["not", "known", "here"]
    ]


def test_the_dry_run_of_a_large_model_names_its_parts_and_of_small_ones_that_they_are(
    composer: Composer, tmp_path: Path
) -> None:
    given = [
        [*SMALL, "seed=0"],
        [*SMALL, "seed=1"],
        ["data=mnist", "algo=expected_reinforce"],
        [*LARGE, "seed=3"],
        LARGE,
    ]
    jobs = [composer.job([*words, f"paths.outputs={tmp_path}", "runtime.memory_gib=80"]) for words in given]
    said = sweep(tmp_path, jobs, Launcher(), dry_run=True)
    coming = [*jobs, *{parent.key: parent for job in jobs for parent in job.parents}.values()]
    assert f"memory: {len(coming) - 2} of the jobs take less than 1.00 GiB each, estimated" in said
    (line,) = [line for line in said.splitlines() if line.startswith("apa hh pythia_6b_sft")]
    assert line.split()[3:] == ["2", "117.9", "74.6", "27.2", "315.8", "2.38", "145.1", "433.7", "80.0"]
    for part in ("policy", "value network", "reference", "gradients", "moments", "keys and values"):
        assert f"\n{part}  " in said


def test_the_dry_run_of_small_models_imports_no_torch(
    composer: Composer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_asked", None)
    assert "of the jobs take less" in sweep(tmp_path, [composer.job(SMALL)], Launcher(), dry_run=True)


PAPER = {
    "apa_hh": {"pythia_125m_sft", "pythia_1b_sft", "pythia_6b_sft"},
    "apa_stack": {"llama_7b"},
    "apa_tldr": {"gpt_neo_2_7b", "gptj_6b_tldr_sft"},
    "apa_dolly": {"dolly_7b"},
    "apa_lambda": {"pythia_125m_sft"},
    "ppo_kl_control": {"pythia_125m_sft"},
    "apa_offline": {"pythia_125m_sft", "pythia_1b_sft"},
    "judge": {"llama_7b"},
}


QUICK = ("apa_dolly", "apa_lambda", "ppo_kl_control")  # which have few jobs


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in PAPER]
)
def test_every_sweep_of_the_paper_is_planned_and_its_memory_known_without_the_hub(name: str, tmp_path: Path) -> None:
    jobs = jobs_of([f"+sweep={name}", "scale=paper", f"paths.outputs={tmp_path}"])
    said = sweep(tmp_path, jobs, Launcher("slurm", gpus=1), dry_run=True)
    runs = {run.key for job in jobs for run in (job, *job.parents)}
    assert f"{len(runs)} jobs: {len(runs)} new" in said
    table = said.partition("memory of a job in GiB")[2].partition("not known here: ")[0]
    rows = [line.split() for line in table.splitlines()[2:]]
    assert {row[2] for row in rows} == PAPER[name] and sum(int(row[3]) for row in rows) == len(runs)
    assert "not counted" not in said and not list(tmp_path.rglob("config.yaml"))


def test_the_process_of_a_job_refuses_before_it_takes_its_folder(composer: Composer, tmp_path: Path) -> None:
    words = [*SMALL, f"paths.outputs={tmp_path}", "runtime.memory_gib=0.001", "tracking=none", "runtime.device=cpu"]
    job, stop = composer.job(words), StopFlag()
    stop.request("it would train")  # and not for minutes
    with pytest.raises(UserError, match=r"GiB of memory at least .*, with 0\.001 GiB by runtime\.memory_gib"):
        train(job.config, job.folder, stop, mirror=False)
    with pytest.raises(UserError, match="GiB of memory at least"):
        single.execute(job, stop)
    assert not job.folder.exists()


def test_a_run_keeps_what_was_estimated_and_warns_of_long_rows(
    composer: Composer, caplog: pytest.LogCaptureFixture
) -> None:
    config = composer.job([*LARGE, "runtime.memory_gib=200"]).config
    with caplog.at_level("WARNING", logger="rftlab"):
        found = build_room.require_room(config, {}, None)
    assert found == {"least_mib": 148_598, "longest_mib": 444_123}
    assert "145.1 GiB at least, up to 433.7 with the longest rows, with 200.0 GiB by runtime.memory_gib" in caplog.text
    old = {**config, "runtime": {"device": "cpu"}}  # a stored config may be older than the keys
    with pytest.raises(UserError, match="free on this machine"):
        build_room.require_room(old, {}, None)
