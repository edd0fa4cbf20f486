"""Whether the hub of models and datasets can be reached; asked once per process, with a bound on the time."""

import ssl
import threading
import urllib.error
import urllib.request
from functools import cache

LIMIT_S = 5.0  # for everything: a resolver of names alone may take longer


def hub_answers() -> bool:
    """Say whether the hub answers, in whatever words; False in offline mode (HF_HUB_OFFLINE=1)."""
    from huggingface_hub import constants

    return not constants.is_offline_mode() and _answers(constants.ENDPOINT)


@cache
def _answers(address: str) -> bool:
    found = threading.Event()

    def ask() -> None:
        try:
            urllib.request.urlopen(address, timeout=LIMIT_S).close()
        except urllib.error.HTTPError:  # an answer, if not a friendly one
            pass
        except OSError as error:
            if not isinstance(getattr(error, "reason", error), ssl.SSLError):  # whose certificates others may know
                return
        found.set()

    thread = threading.Thread(target=ask, name="hub", daemon=True)
    thread.start()
    thread.join(LIMIT_S)
    return found.is_set()
