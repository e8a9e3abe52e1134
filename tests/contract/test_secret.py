"""A Secret never shows its value unless `reveal` is called, whatever is done to it."""

from __future__ import annotations

import copy
import hashlib
import json
import logging
import pickle
import traceback

import pytest

from kirimhook.contract.signature import Secret

VALUE = "whsec_topsecret"
FINGERPRINT = hashlib.sha256(VALUE.encode()).hexdigest()[:12]


def test_it_shows_its_fingerprint_and_nothing_else() -> None:
    secret = Secret(VALUE)
    shown = f"Secret({FINGERPRINT})"
    assert [repr(secret), str(secret), f"{secret}", f"{secret!r:>30}".strip()] == [shown] * 4
    assert f"{secret:>30}" == shown.rjust(30)
    assert "%s" % secret == shown  # noqa: UP031  # a log line is formatted this way
    assert secret.fingerprint == FINGERPRINT
    assert secret.reveal() == VALUE


def test_it_does_not_leak_through_logs_tracebacks_or_json(caplog: pytest.LogCaptureFixture) -> None:
    secret = Secret(VALUE)
    with pytest.raises(TypeError) as caught:
        json.dumps({"secret": secret})
    with caplog.at_level(logging.INFO):
        logging.getLogger("test").info("with %s %r", secret, [secret])
    assert "topsecret" not in caplog.text
    assert "topsecret" not in "".join(traceback.format_exception(caught.value))


def test_equal_by_value_and_usable_in_sets() -> None:
    assert Secret(VALUE) == Secret(VALUE)
    assert len({Secret(VALUE), Secret(VALUE), Secret("other")}) == 2
    assert Secret(VALUE) != VALUE


def test_a_copy_is_itself_and_it_cannot_be_pickled() -> None:
    secret = Secret(VALUE)
    assert copy.copy(secret) is secret
    assert copy.deepcopy([secret])[0] is secret
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError):
            pickle.dumps(secret, protocol)


@pytest.mark.parametrize("value", ["", "x" * 257, "a b", "a\tb", "a\n", " a", "ä", "a\x7f", "\x00", "\ud800"])
def test_what_cannot_be_a_secret_is_refused_without_being_quoted(value: str) -> None:
    with pytest.raises(ValueError) as caught:
        Secret(value)
    assert not value or value not in str(caught.value)


def test_the_longest_secret() -> None:
    assert Secret("x" * 256).reveal() == "x" * 256
