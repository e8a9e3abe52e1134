"""A server gets the file descriptors its connections need, or admits fewer connections and says so."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest

from kirimhook.serving import files
from kirimhook.serving.files import SPARE, make_room
from kirimhook.serving.limits import Limits
from tests.receiver.deliveries import Log
from tests.serving.running import answer, ask, dial, serving
from tests.serving.test_deadlines import GET, echo


@pytest.fixture
def limit() -> Iterator[int]:
    """The hard limit; the soft one is 256 meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_soft_limit_is_raised_as_far_as_needed(limit: int) -> None:
    assert make_room(100) == 100
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 256
    assert make_room(200) == 200
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (200 + SPARE, limit)


def test_no_further_than_the_hard_one(limit: int) -> None:
    if limit == resource.RLIM_INFINITY:
        assert make_room(10_000_000) == 10_000_000
    else:
        assert make_room(limit) == limit - SPARE


def test_no_limit_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert make_room(123) == 123


def test_fewer_connections_are_admitted_and_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "SPARE", resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 1)
    log = Log()
    with serving(echo, limits=Limits(connections=5), observer=log.observer) as address:
        [line] = log.named("few_files")
        assert (line["wanted"], line["connections"]) == (5, 1)
        with dial(address) as first, dial(address) as second:
            assert ask(first, GET)[0] == 200
            assert answer(second)[0] == 503
