"""Comparisons of two finished runs, from the command line to the numbers."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from judges.chat_server import longer, said, serving
from judges.finished import policy_run, reward_run

from rftlab.build import judging
from rftlab.commands import judge
from rftlab.files import files_below
from rftlab.runs.comparisons import Comparison, find_comparisons

ROOT = Path(__file__).parents[2]
CHANCE = {"eval/validation/pair_accuracy": 0.5, "eval/validation/pair_accuracy_low": 0.4}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture(scope="module")
def keys(outputs: Path) -> tuple[str, str]:
    return policy_run(outputs), policy_run(outputs, "seed=1")


@pytest.fixture(scope="module")
def held_out(outputs: Path, keys: tuple[str, str]) -> str:
    reward_run(outputs, "data.loader.seed=2", final=CHANCE)
    return reward_run(outputs, "data.loader.seed=1")


def run(monkeypatch: pytest.MonkeyPatch, outputs: Path, *words: str) -> None:
    few = [] if any(word.startswith("prompts=") for word in words) else ["prompts=12"]
    given = ["judge.py", *words, *few, f"paths.outputs={outputs}", "runtime.device=cpu", "resamples=200"]
    monkeypatch.setattr(sys, "argv", given)
    judge.main()


def openai(url: str, *words: str) -> list[str]:
    fast = ["judge.backoff_s=0.01", "judge.most_wait_s=0.05", "judge.retries=1", "judge.give_up_after=1000"]
    return ["judge=openai", f"judge.url={url}", "judge.model=m", *fast, *words]


def newest(outputs: Path) -> Comparison:
    return max(find_comparisons(outputs), key=lambda found: found.folder.stat().st_ctime_ns)


def test_a_held_out_reward_model_is_found_and_judges(outputs, keys, held_out, monkeypatch, capsys, caplog) -> None:
    before = {path: path.stat().st_mtime_ns for key in keys for path in files_below(next(outputs.glob(f"*/*-{key}")))}
    run(monkeypatch, outputs, *keys)
    out = capsys.readouterr().out
    assert f"judged by reward_model {held_out}" in out and "12 prompts of the split test" in out
    assert "fewer than" not in caplog.text, "the runs kept 12 rows for their evaluations; there are more"
    assert "position bias: none" in out
    (found,) = (each for each in find_comparisons(outputs) if each.about["judge"].get("run") == held_out)
    report = found.report
    assert report is not None and report["prompts"] == 12 == report["won"] + report["tied"] + report["lost"]
    by_hand = [1.0 if v["preferred"] == report["run"] else 0.0 for v in found.verdicts()] + [0.5] * report["identical"]
    assert report["rate"]["value"] == pytest.approx(sum(by_hand) / 12)
    scores = [float(number) for number in found.verdicts()[0]["said"].split(" and ")]
    first = found.verdicts()[0]
    assert (scores[0] > scores[1]) == (first["preferred"] == first["first"])
    after = {path: path.stat().st_mtime_ns for key in keys for path in files_below(next(outputs.glob(f"*/*-{key}")))}
    assert after == before  # runs are read, never changed
    run(monkeypatch, outputs, keys[1], keys[0])
    swapped = capsys.readouterr().out
    rates = [float(re.search(r"counted half: ([\d.]+)", text).group(1)) for text in (out, swapped)]  # ty: ignore
    assert sum(rates) == pytest.approx(1, abs=1e-3) and len(newest(outputs).verdicts()) == len(found.verdicts())


def test_where_there_are_fewer_prompts_all_are_taken_and_it_says_so(
    outputs, keys, held_out, monkeypatch, capsys, caplog
) -> None:
    run(monkeypatch, outputs, *keys, "prompts=9999", "judge.dry_run=true")
    there = int(
        re.search(r"(\d+) prompts \(all that are held out, of 9999 asked for\)", capsys.readouterr().out).group(1)
    )  # ty: ignore
    assert there > 200 and f"{there} held-out prompts in the split test, fewer than prompts=9999" in caplog.text


def test_both_orders_are_asked_stored_and_not_asked_again(outputs, keys, monkeypatch, capsys, caplog) -> None:
    with serving(lambda n, q: longer(q)) as asked:
        words = openai(asked.url, "judge.price_input=1000", "judge.price_output=1000")
        run(monkeypatch, outputs, *keys, *words)
        out = capsys.readouterr().out
        found = newest(outputs)
        different = [row for row in found.questions() if row[keys[0]] != row[keys[1]]]
        assert len(asked.bodies) == 2 * len(different) == len(found.verdicts()) > 10
        run(monkeypatch, outputs, *keys, *words)
        assert len(asked.bodies) == 2 * len(different) and capsys.readouterr().out == out
    orders = {(question.index(row[keys[0]]) < question.index(row[keys[1]]))
              for row in different for question in asked.questions
              if row["prompt"] in question and row[keys[0]].strip() and row[keys[1]].strip()}  # fmt: skip
    assert orders == {True, False}
    report = found.report
    assert report is not None and report["bias"]["value"] == 0.5 and report["agreed"] == 1.0
    values = []
    for row in found.questions():
        mine, other = len(row[report["run"]]), len(row[report["other"]])
        values.append(1.0 if mine > other else 0.0 if mine < other else 0.5)
    assert report["rate"]["value"] == pytest.approx(sum(values) / len(values))
    assert report["tokens_in"] == sum(map(len, asked.questions)) and report["tokens_out"] == 3 * len(asked.bodies)
    assert report["price"] == pytest.approx((report["tokens_in"] + report["tokens_out"]) / 1000)
    assert (
        re.search(rf"{len(asked.bodies)} calls, about [\d,]+ tokens to read .* price ", caplog.text) and "price" in out
    )


def test_a_judge_that_always_says_a_is_all_bias(outputs, keys, monkeypatch, capsys) -> None:
    with serving(lambda n, q: said("Verdict: A")) as asked:
        run(monkeypatch, outputs, *keys, *openai(asked.url))
    report = newest(outputs).report
    assert report is not None and (report["rate"]["value"], report["bias"]["value"], report["agreed"]) == (
        0.5,
        1.0,
        0.0,
    )
    assert "preferred in 1.000" in capsys.readouterr().out


def test_unreadable_and_missing_verdicts_are_told_and_count_nowhere(outputs, keys, monkeypatch, capsys, caplog) -> None:
    with serving(lambda n, q: longer(q)) as asked:
        run(monkeypatch, outputs, *keys, *openai(asked.url, "judge.request.tag=whole", "judge.concurrency=1"))
        whole = newest(outputs)
    questions = asked.questions
    mumbled, refused = questions[0], questions[-1]
    capsys.readouterr()

    def behaviour(number: int, question: str):
        return (
            said("who knows") if question == mumbled else (400, {}, b"no") if question == refused else longer(question)
        )

    with serving(behaviour) as asked:
        words = openai(asked.url, "judge.request.tag=broken", "judge.concurrency=1")
        run(monkeypatch, outputs, *keys, *words)
        out = capsys.readouterr().out
        found = newest(outputs)
        report, before = found.report, whole.report
        assert report is not None and before is not None
        assert (report["unreadable"], report["unanswered"], report["left_out"]) == (1, 1, 2)
        assert report["won"] + report["tied"] + report["lost"] == 10
        assert "left out: 2 prompts (1 unreadable verdicts, 1 questions without an answer" in out
        assert "1 questions without an answer: status 400: no" in caplog.text
        assert [v["preferred"] for v in found.verdicts()].count(None) == 1
        n = len(asked.bodies)
        run(monkeypatch, outputs, *keys, *words)
        assert asked.questions[n:] == [refused]  # what has no answer is asked again, what is unreadable is not


def test_a_dry_run_counts_and_does_nothing(outputs, keys, monkeypatch, capsys, tmp_path) -> None:
    def loaded(*values: object) -> None:
        raise AssertionError("a policy was loaded")

    monkeypatch.setattr(judging, "policy_of", loaded)
    there = sorted(files_below(outputs / "comparisons"))
    with serving(lambda n, q: longer(q)) as asked:
        words = openai(asked.url, "judge.dry_run=true", "seed=7", "judge.price_input=1", "judge.price_output=2")
        run(monkeypatch, outputs, *keys, *words)
    assert not asked.bodies and sorted(files_below(outputs / "comparisons")) == there
    out = capsys.readouterr().out
    assert "24 calls, about " in out and "at most 384 to write, price " in out
    run(monkeypatch, outputs, *keys, *openai(asked.url, "judge.dry_run=true", "seed=7"))
    assert "price unknown" in capsys.readouterr().out


def test_a_local_model_judges(outputs, keys, monkeypatch, capsys) -> None:
    words = ["judge=local", "judge.source=asset:gpt2_mini", "judge.tokenizer=asset:tokenizer", "judge.format=plain",
             "judge.max_prompt_tokens=440", "judge.max_new_tokens=4", "prompts=6"]  # fmt: skip
    run(monkeypatch, outputs, *keys, *words)
    found = newest(outputs)
    assert found.report is not None and len(found.verdicts()) == found.report["questions"] >= 4
    assert all(verdict["tokens_out"] in (None, *range(5)) for verdict in found.verdicts())
    assert "unreadable verdicts" in capsys.readouterr().out  # of a million parameters no more is expected


def test_a_kill_loses_at_most_what_was_under_way(outputs, keys, monkeypatch, capsys, caplog) -> None:
    held, answered = threading.Event(), 7

    def behaviour(number: int, question: str):
        if number >= answered and not held.is_set():
            held.wait(60)
        return longer(question)

    with serving(behaviour) as asked:
        words = openai(asked.url, "judge.request.tag=kill", "judge.concurrency=2", "prompts=12")
        command = [sys.executable, "src/judge.py", *keys, *words, f"paths.outputs={outputs}", "runtime.threads=1"]
        environment = os.environ | {"PYTHONPATH": "src"}
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

        def stored() -> list[dict]:
            tagged = [c for c in find_comparisons(outputs) if c.about["judge"].get("request", {}).get("tag") == "kill"]
            return tagged[0].verdicts() if tagged else []

        while len(stored()) < answered - 1:
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        process.communicate()
        done = stored()
        assert len(done) >= answered - 1  # something was done before, and is there
        held.set()
        time.sleep(0.2)
        before = len(asked.bodies)
        run(monkeypatch, outputs, *keys, *words)
        assert stored()[: len(done)] == done
        assert len(asked.bodies) - before == len(stored()) - len(done) > 0
    assert f"{len(done)} verdicts are there" in caplog.text and "win rate of A" in capsys.readouterr().out
    places = [(verdict["place"], verdict["first"]) for verdict in stored()]
    assert len(set(places)) == len(places) == newest(outputs).report["questions"]  # ty: ignore[not-subscriptable]


def test_a_torn_line_is_judged_again(outputs, keys, monkeypatch, capsys) -> None:
    with serving(lambda n, q: longer(q)) as asked:
        words = openai(asked.url, "judge.request.tag=torn")
        run(monkeypatch, outputs, *keys, *words)
        file = newest(outputs).folder / "verdicts.jsonl"
        n, content = len(asked.bodies), file.read_bytes()
        file.write_bytes(content[:-20])
        run(monkeypatch, outputs, *keys, *words)
        assert len(asked.bodies) == n + 1
    lines = [json.loads(line) for line in file.read_text().splitlines() if line.endswith("}")]
    assert len({(line["place"], line["first"]) for line in lines}) == n


MISTAKES = {
    "one run": ["{a}"],
    "one run twice": ["{a}", "{a}"],
    "three runs": ["{a}", "{b}", "{a}"],
    "no such run": ["{a}", "0123456789ab"],
    "no run at all": ["{a}", "somewhere"],
    "a flag": ["{a}", "{b}", "--verbose"],
    "a key of runs": ["{a}", "{b}", "algo=ppo"],
    "a reward model as policy": ["{a}", "{rm}"],
    "a policy as judge": ["{a}", "{b}", "judge.run={a}"],
    "a judge at chance": ["{a}", "{b}", "judge.run={bad}"],
    "no judge of this name": ["{a}", "{b}", "judge=oracle"],
    "no url": ["{a}", "{b}", "judge=openai"],
    "no key": [
        "{a}",
        "{b}",
        "judge=openai",
        "judge.url=http://127.0.0.1:1/v1",
        "judge.model=m",
        "judge.key_env=NOT_SET",
    ],
    "a key for a name": ["{a}", "{b}", "judge=openai", "judge.key_env=sk-secret"],
    "no source": ["{a}", "{b}", "judge=local"],
    "no such model": ["{a}", "{b}", "judge=local", "judge.source=./nowhere"],
    "no room": ["{a}", "{b}", "judge=local", "judge.source=asset:gpt2_mini", "judge.format=plain"],
    "no chat template": [
        "{a}",
        "{b}",
        "judge=local",
        "judge.source=asset:gpt2_mini",
        "judge.tokenizer=asset:tokenizer",
    ],
    "no prompts": ["{a}", "{b}", "prompts=0"],
    "other prompts": ["{a}", "{other}"],
    "another decoding": ["{a}", "{hot}"],
    "a template without replies": ["{a}", "{b}", "judge=local", "judge.source=asset:gpt2_mini", "judge.template=x"],
}


@pytest.fixture(scope="module")
def named(outputs: Path, keys: tuple[str, str], held_out: str) -> dict[str, str]:
    bad = next(path.name[-12:] for path in outputs.glob("*/*reward_model*") if path.name[-12:] != held_out)
    return {
        "a": keys[0], "b": keys[1], "rm": held_out, "bad": bad,
        "other": policy_run(outputs, "data.loader.seed=5"),
        "hot": policy_run(outputs, "data.evaluation.temperature=0.5"),
    }  # fmt: skip


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_one_line(case: str, outputs, named, monkeypatch, capsys) -> None:
    with pytest.raises(SystemExit) as stop:
        run(monkeypatch, outputs, *(word.format(**named) for word in MISTAKES[case]))
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if not line.startswith(("pairs of", "12 held-out", "judge.run"))]
    assert stop.value.code == 2 and not out and len(lines) >= 1
    assert re.match(r"error: .*; expected .*; change ", lines[-1]), err
    assert "Traceback" not in err and "sk-secret" not in err


def test_help(monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", ["judge.py", "--help"])
    judge.main()
    assert "judge.dry_run=true" in capsys.readouterr().out
