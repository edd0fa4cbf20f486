"""A language model behind an OpenAI-compatible endpoint as judge: `POST URL/chat/completions`.

An answer that fails in a way that may pass (429, 5xx, a timeout, a cut connection, a body that is no answer) is asked
for again, after growing pauses or as long as `Retry-After` says. The key of the endpoint stands in an environment
variable. It is in no config, file, log or message.
"""

import json
import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2

from rftlab.errors import UserError
from rftlab.judges.question import Answer, Question, Unanswered, Verdict
from rftlab.judges.wording import check_wording, read_verdict, worded
from rftlab.ranges import NonNegative, Positive

PASSING = {408, 409, 425, 429}  # statuses that may pass, beside 500 and above
HOPELESS = {401, 403, 404, 405}  # the same for every question
MOST_BYTES = 10_000_000  # of an answer
SHOWN = 200  # characters of what a server says
HIDDEN = "***"


class _Passing(Exception):
    """An answer failed in a way that may pass, after `wait_s` seconds if the server has said so."""

    def __init__(self, why: str, wait_s: float | None = None, *, malformed: bool = False) -> None:
        super().__init__(why)
        self.wait_s = wait_s
        self.malformed = malformed


class _Refused(Exception):
    """The server takes this question in no case."""


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Asks a chat model, several questions at a time."""

    url: str  # up to what precedes /chat/completions
    model: str
    key: str | None = field(repr=False)
    template: str
    reference: str | None
    request: Mapping[str, Any]  # further fields of the body
    concurrency: int
    timeout_s: float
    retries: int
    backoff_s: float
    most_wait_s: float
    give_up_after: int

    symmetric = False

    @property
    def wants_reference(self) -> bool:
        """A passage of the question has a gold text."""
        return self.reference is not None

    def verdicts(self, questions: Sequence[Question], stopped: Callable[[], bool]) -> Iterator[Answer]:
        """Answer questions as they come back.

        Raises:
            UserError: The endpoint refuses every question, or too many in a row had no answer.
        """
        ended = threading.Event()
        headers = {} if self.key is None else {"Authorization": f"Bearer {self.key}"}
        waiting, running, failed = iter(questions), dict[Future, Question](), 0
        with (
            httpx2.Client(timeout=self.timeout_s, headers=headers) as client,
            ThreadPoolExecutor(self.concurrency) as pool,
        ):
            try:
                while True:
                    if stopped():
                        ended.set()
                    while not ended.is_set() and len(running) < self.concurrency:
                        if (question := next(waiting, None)) is None:
                            break
                        running[pool.submit(self._answer, client, question, ended)] = question
                    if not running:
                        return
                    for future in wait(running, timeout=0.2, return_when=FIRST_COMPLETED).done:
                        question, answer = running.pop(future), future.result()
                        failed = failed + 1 if isinstance(answer, Unanswered) else 0
                        yield question, answer
                        if failed >= self.give_up_after and not ended.is_set():
                            assert isinstance(answer, Unanswered)
                            raise self._hopeless(f"{failed} questions in a row without an answer ({answer.why})")
            finally:
                ended.set()

    def _answer(self, client: httpx2.Client, question: Question, ended: threading.Event) -> Verdict | Unanswered:
        """Ask until there is an answer, or patience ends."""
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": worded(self.template, self.reference, question)}],
            **{name: value for name, value in self.request.items() if value is not None},
        }
        jitter = random.Random(question.place)
        for attempt in range(self.retries + 1):
            try:
                return self._asked(client, body)
            except _Refused as refused:
                return Unanswered(why=str(refused))
            except _Passing as failure:
                last = failure
            pause = self.backoff_s * 2**attempt * (0.5 + jitter.random()) if last.wait_s is None else last.wait_s
            if attempt < self.retries and ended.wait(min(pause, self.most_wait_s)):
                break
        if last.malformed and not ended.is_set():
            return Verdict(choice="unreadable", said=str(last))
        return Unanswered(why=str(last))

    def _asked(self, client: httpx2.Client, body: Mapping[str, Any]) -> Verdict:
        """Ask once.

        Raises:
            _Passing, _Refused: There was no answer.
            UserError: There will be none to any question.
        """
        try:
            status, headers, content = self._exchanged(client, body)
        except httpx2.TransportError as error:
            raise _Passing(f"{type(error).__name__}: {self._shown(str(error)) or 'no answer'}") from None
        said = self._shown(content.decode(errors="replace"))
        if status in PASSING or status >= 500:
            raise _Passing(f"status {status}: {said}", retry_after(headers.get("retry-after"), time.time()))
        if status in HOPELESS or 300 <= status < 400:
            raise self._hopeless(f"status {status}: {said}")
        if status != 200:
            raise _Refused(f"status {status}: {said}")
        try:
            answer = json.loads(content)
            text = answer["choices"][0]["message"]["content"]
            usage = answer.get("usage") or {}
            counted = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            raise _Passing(f"an answer without choices[0].message.content: {said}", malformed=True) from None
        read, written = (n if isinstance(n, int) and not isinstance(n, bool) else None for n in counted)
        if not isinstance(text, str):  # a refusal, or a call of a tool
            return Verdict(choice="unreadable", said=f"no text: {said}", tokens_in=read, tokens_out=written)
        return Verdict(choice=read_verdict(text), said=self._clean(text), tokens_in=read, tokens_out=written)

    def _exchanged(self, client: httpx2.Client, body: Mapping[str, Any]) -> tuple[int, httpx2.Headers, bytes]:
        """Send one request; the whole answer has to be there in time, however slowly its parts come."""
        until, content = time.monotonic() + self.timeout_s, bytearray()
        with client.stream("POST", f"{self.url}/chat/completions", json=body) as response:
            for part in response.iter_bytes():
                content += part
                if time.monotonic() > until:
                    raise _Passing(f"no whole answer within judge.timeout_s={self.timeout_s:g}")
                if len(content) > MOST_BYTES:
                    raise _Passing(f"an answer of more than {MOST_BYTES:,} bytes", malformed=True)
        return response.status_code, response.headers, bytes(content)

    def _clean(self, text: str) -> str:
        """Hide the key, which some servers repeat."""
        return text if self.key is None else text.replace(self.key, HIDDEN)

    def _shown(self, text: str) -> str:
        return " ".join(self._clean(text).split())[:SHOWN]

    def _hopeless(self, why: str) -> UserError:
        expected = f"a chat model named {self.model} that answers there"
        change = (
            "judge.url, judge.model, judge.key_env or judge.request; what is judged is kept, the same command goes on"
        )
        return UserError(f"{self.url}: {why}", expected, change)


def retry_after(header: str | None, now: float) -> float | None:
    """Read how many seconds to wait: a number, or a date (RFC 9110, section 10.2.3); None of anything else."""
    if header is None:
        return None
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", header.strip()):
        return float(header)
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return None


def address(url: str) -> str:
    """Check an address; a key has no place in it.

    Raises:
        UserError: It is none of http or https, or has a user, a query or a fragment.
    """
    if not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", url):
        shown = re.sub(r"//[^/]*@", f"//{HIDDEN}@", url).partition("?")[0]
        expected = "http(s)://HOST[:PORT]/PATH, without user, query or key, e.g. http://localhost:8000/v1"
        raise UserError(f"judge.url={shown}", expected, "judge.url")
    return url.rstrip("/").removesuffix("/chat/completions")


def key_of(variable: str | None, environment: Mapping[str, str]) -> str | None:
    """Read the key from the environment; None where no variable is named, as local servers want none.

    Raises:
        UserError: The variable is not set, or its content cannot be sent. The message has no part of it.
    """
    if variable is None:
        return None
    if not re.fullmatch(r"[A-Z][A-Z0-9_]*", variable):
        expected = "the name of an environment variable in capitals, not the key itself"
        raise UserError("judge.key_env, which is no such name", expected, "judge.key_env")
    if not (key := environment.get(variable, "")):
        expected = "the key of the endpoint in it, or judge.key_env=null for one that wants none"
        raise UserError(f"no environment variable {variable}", expected, f"judge.key_env, or export {variable}")
    if not re.fullmatch(r"[!-~]+", key):
        raise UserError(f"{variable}, whose content has blanks or other signs that no header takes", "a key", variable)
    return key


def load(
    *,
    url: str | None,
    model: str | None,
    key_env: str | None,
    template: str,
    reference: str | None,
    request: dict[str, Any],
    concurrency: Positive[int],
    timeout_s: Positive[float],
    retries: NonNegative[int],
    backoff_s: NonNegative[float],
    most_wait_s: Positive[float],
    give_up_after: Positive[int],
    price_input: NonNegative[float] | None,
    price_output: NonNegative[float] | None,
) -> Any:
    """Describe an endpoint; nothing is sent. The prices are for `judges.cost` alone.

    Raises:
        UserError: A key of the config, or the environment variable that it names, is not what it should be.
    """
    check_wording(template, reference)
    if url is None or model is None:
        found = f"judge.url={'null' if url is None else url} and judge.model={'null' if model is None else model}"
        raise UserError(found, "an endpoint and the name of a model there", "judge.url, judge.model")
    return Endpoint(
        url=address(url),
        model=model,
        key=key_of(key_env, os.environ),
        template=template,
        reference=reference,
        request=dict(request),
        concurrency=concurrency,
        timeout_s=timeout_s,
        retries=retries,
        backoff_s=backoff_s,
        most_wait_s=most_wait_s,
        give_up_after=give_up_after,
    )
