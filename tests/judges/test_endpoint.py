"""A judge behind a real HTTP server of this machine: slow, failing, malformed and hostile answers."""

import logging
import time
from collections.abc import Callable
from typing import Any

import pytest
from judges.chat_server import Asked, Reply, longer, said, serving

from rftlab.errors import UserError
from rftlab.judges import endpoint
from rftlab.judges.endpoint import Endpoint
from rftlab.judges.question import Question, Unanswered, Verdict

KEY = "sk-very-secret-0123"
TEMPLATE = "[Prompt]\n{prompt}\n{reference}\n[Reply A]\n{first}\n\n[Reply B]\n{second}\n\nAnswer."


def judge(url: str, **values: Any) -> Endpoint:
    given = {
        "url": url, "model": "m", "key_env": None, "template": TEMPLATE, "reference": None,
        "request": {"temperature": 0.0, "max_tokens": 8, "max_completion_tokens": None}, "concurrency": 2,
        "timeout_s": 5.0, "retries": 2, "backoff_s": 0.001, "most_wait_s": 0.3, "give_up_after": 3,
        "price_input": None, "price_output": None,
    }  # fmt: skip
    return endpoint.load(**given | values)


def questions(n: int) -> list[Question]:
    return [
        Question(place=f"p{i}", prompt=f"say {i}", first="x" * (i + 1), second="yy", reference=None, swapped=False)
        for i in range(n)
    ]


def answers(
    behaviour: Callable[[int, str], Reply | str], n: int = 1, stopped: Callable[[], bool] = lambda: False, **values: Any
) -> tuple[list[Verdict | Unanswered], Asked]:
    """Ask a server that behaves so; the answers in the order of the questions."""
    with serving(behaviour) as asked:
        found = {q.place: a for q, a in judge(asked.url, **values).verdicts(questions(n), stopped)}
    return [found[f"p{i}"] for i in range(n) if f"p{i}" in found], asked


def test_questions_and_answers_are_those_of_the_protocol(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_KEY", KEY)
    found, asked = answers(lambda n, q: longer(q), 3, key_env="JUDGE_KEY")
    assert [a.choice for a in found if isinstance(a, Verdict)] == ["second", "tie", "first"]
    assert set(asked.paths) == {"/v1/chat/completions"} and set(asked.keys) == {f"Bearer {KEY}"}
    body = asked.bodies[0]
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("m", 0.0, 8)
    assert "max_completion_tokens" not in body and [m["role"] for m in body["messages"]] == ["user"]
    question = next(q for q in asked.questions if "say 0" in q)
    assert found[0] == Verdict(choice="second", said="Verdict: B", tokens_in=len(question), tokens_out=3)


def test_without_a_key_none_is_sent() -> None:
    assert answers(lambda n, q: longer(q))[1].keys == [None]


PASSING: dict[str, Reply | str] = {
    "429": (429, {}, b"slow down"),
    "500": (500, {}, b"oops"),
    "503": (503, {}, b""),
    "cut": "cut",
    "half": "half",
    "no JSON": (200, {"content-type": "text/html"}, b"<html>gateway</html>"),
    "no choices": (200, {}, b'{"error": {"message": "overloaded"}}'),
    "a list": (200, {}, b"[1, 2]"),
    "no bytes": (200, {}, b""),
    "deep": (200, {}, b"[" * 50_000),
}


@pytest.mark.parametrize("failure", PASSING.values(), ids=PASSING)
def test_what_may_pass_is_asked_again(failure: Reply | str) -> None:
    (found,), asked = answers(lambda n, q: failure if n < 2 else said("Verdict: A"))
    assert isinstance(found, Verdict) and found.choice == "first" and len(asked.bodies) == 3


@pytest.mark.parametrize("kind", ["429", "cut", "half"])
def test_what_does_not_pass_is_no_verdict(kind: str) -> None:
    (found,), asked = answers(lambda n, q: PASSING[kind])
    assert isinstance(found, Unanswered) and len(asked.bodies) == 3


def test_a_body_that_never_is_an_answer_is_unreadable_and_no_tie() -> None:
    (found,), asked = answers(lambda n, q: PASSING["no JSON"])
    assert isinstance(found, Verdict) and found.choice == "unreadable" and "gateway" in found.said
    assert len(asked.bodies) == 3


@pytest.mark.parametrize("text", [None, "", "both are fine", "Verdict: A or B", "Verdict: A\nVerdict: B"])
def test_words_without_a_verdict_are_unreadable_at_once(text: str | None) -> None:
    (found,), asked = answers(lambda n, q: said(text))
    assert isinstance(found, Verdict) and found.choice == "unreadable" and len(asked.bodies) == 1


@pytest.mark.parametrize("late", ["silent", "drip"])
def test_an_answer_has_to_be_whole_in_time(late: str) -> None:
    def behaviour(n: int, question: str) -> Reply | str:
        if n > 0:
            return said("Verdict: B")
        if late == "silent":
            time.sleep(1.0)
        return "drip"

    started = time.monotonic()
    (found,), asked = answers(behaviour, timeout_s=0.3)
    assert isinstance(found, Verdict) and found.choice == "second" and len(asked.bodies) == 2
    assert time.monotonic() - started < 4


def test_retry_after_is_heeded_up_to_a_limit() -> None:
    (_,), asked = answers(lambda n, q: (429, {"retry-after": "60"}, b"") if n < 1 else said("A"), most_wait_s=0.25)
    assert 0.25 <= asked.times[1] - asked.times[0] < 5
    assert endpoint.retry_after("2.5", 0.0) == 2.5
    assert endpoint.retry_after("Thu, 01 Jan 1970 00:01:00 GMT", 20.0) == 40.0
    assert endpoint.retry_after("Thu, 01 Jan 1970 00:01:00 GMT", 90.0) == 0.0
    assert [endpoint.retry_after(text, 0.0) for text in (None, "soon", "-1", "9" * 40, "nan")] == [None] * 5


@pytest.mark.parametrize("status", [302, 401, 403, 404])
def test_a_server_that_refuses_all_ends_it_in_one_line(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_KEY", KEY)
    headers = {"location": "http://127.0.0.1:1/elsewhere"}
    with pytest.raises(UserError, match=f"status {status}") as refused:
        answers(lambda n, q: (status, headers, f"bad key\n {KEY}".encode()), 8, key_env="JUDGE_KEY")
    assert KEY not in str(refused.value) and "***" in str(refused.value) and "\n" not in str(refused.value)


def test_one_question_that_is_refused_leaves_the_others() -> None:
    found, asked = answers(lambda n, q: (400, {}, b"content policy") if "say 1" in q else longer(q), 3)
    assert isinstance(found[1], Unanswered) and "content policy" in found[1].why
    assert isinstance(found[0], Verdict) and isinstance(found[2], Verdict) and len(asked.bodies) == 3


def test_too_many_failures_in_a_row_end_it() -> None:
    with pytest.raises(UserError, match="3 questions in a row without an answer") as refused:
        answers(lambda n, q: (500, {}, b"down"), 50, retries=0, concurrency=1)
    assert "the same command goes on" in str(refused.value)


def test_nobody_listens() -> None:
    with serving(lambda n, q: said("A")) as asked:
        url = asked.url
    found = [answer for _, answer in judge(url, retries=0, give_up_after=9).verdicts(questions(2), lambda: False)]
    assert all(isinstance(answer, Unanswered) and "ConnectError" in answer.why for answer in found)


def test_asked_to_stop_it_begins_no_new_question_and_hands_over_what_is_under_way() -> None:
    stopped = False

    def behaviour(n: int, question: str) -> Reply:
        nonlocal stopped
        stopped = True
        time.sleep(0.05)
        return longer(question)

    found, asked = answers(behaviour, 20, lambda: stopped)
    assert 1 <= len(found) == len(asked.bodies) <= 2


def test_the_key_is_in_no_message_log_or_representation(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("JUDGE_KEY", KEY)
    with caplog.at_level(logging.DEBUG):
        found, asked = answers(lambda n, q: said(f"your key is {KEY}\nVerdict: A"), key_env="JUDGE_KEY")
    assert asked.keys == [f"Bearer {KEY}"] and KEY not in repr(found)
    ours = [record.getMessage() for record in caplog.records if record.name.startswith(("rftlab", "root"))]
    assert KEY not in "".join(ours) and KEY not in repr(judge("http://x/v1", key_env="JUDGE_KEY"))
    for content in (f"{KEY}\n", f"{KEY} x", "schl\u00fcssel", ""):
        monkeypatch.setenv("JUDGE_KEY", content)
        with pytest.raises(UserError) as refused:
            judge("http://x/v1", key_env="JUDGE_KEY")
        assert not content.strip() or content.strip() not in str(refused.value)
    with pytest.raises(UserError) as refused:
        judge("http://x/v1", key_env=KEY)
    assert KEY not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["localhost:8000", "ftp://x/v1", f"http://me:{KEY}@x/v1", f"http://x/v1?key={KEY}", "http://"]
)
def test_an_address_is_no_place_for_a_key(url: str) -> None:
    with pytest.raises(UserError, match=r"judge\.url") as refused:
        judge(url)
    assert KEY not in str(refused.value)


def test_an_address_may_end_as_the_protocol_does() -> None:
    assert judge("https://x:8/v1/chat/completions/").url == judge("https://x:8/v1/").url == "https://x:8/v1"
