"""Exactly one handler per event: exact type, longest prefix, then `*`. A mistake is an error at registration that
names the functions; an outcome that makes no sense is an error where it is made."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirimhook.receiver.hooks import DEFAULT, MOST_CACHED, HookError, Hooks, Kind, Park, Retry, Snooze


async def an_async(event: object) -> None: ...


def a_plain(event: object) -> None: ...


def another(event: object) -> None: ...


def in_transaction(event: object, tx: object) -> None: ...


class Service:
    async def method(self, event: object) -> None: ...

    def plain_method(self, event: object) -> None: ...


class AsyncCallable:
    async def __call__(self, event: object) -> None: ...


class PlainCallable:
    def __call__(self, event: object) -> None: ...


def matched(hooks: Hooks, name: str) -> object:
    handler = hooks.match(name)
    return handler and handler.function


def test_exact_type_then_longest_prefix_then_star() -> None:
    hooks = Hooks()
    functions: dict[str, Callable[..., object]] = {
        pattern: functools.partial(a_plain) for pattern in ("a.b.c", "a.b.*", "a.*", "*")
    }
    for pattern, function in functions.items():
        hooks.on(pattern)(function)
    found = {name: matched(hooks, name) for name in ("a.b.c", "a.b.x", "a.b.c.d", "a.x", "a.b", "a", "ab.c", "")}
    assert found == {
        "a.b.c": functions["a.b.c"],
        "a.b.x": functions["a.b.*"],
        "a.b.c.d": functions["a.b.*"],
        "a.x": functions["a.*"],
        "a.b": functions["a.*"],
        "a": functions["*"],
        "ab.c": functions["*"],
        "": functions["*"],
    }


names = st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map(".".join)


@given(st.sets(names | names.map(lambda name: f"{name}.*") | st.just("*"), max_size=8), st.lists(names, max_size=6))
def test_matching_is_the_best_of_all_patterns_that_fit(patterns: set[str], types: list[str]) -> None:
    hooks = Hooks()
    by_pattern: dict[str, Callable[..., object]] = {}
    for pattern in sorted(patterns):
        by_pattern[pattern] = hooks.on(pattern)(functools.partial(a_plain))
    for name in [*types, *types]:  # twice: what is remembered is the same
        fitting = [
            pattern
            for pattern in patterns
            if pattern in {name, "*"} or (pattern.endswith(".*") and name.startswith(pattern[:-1]))
        ]
        best = max(fitting, key=lambda pattern: (pattern == name, len(pattern)), default=None)
        assert matched(hooks, name) is (None if best is None else by_pattern[best])


def test_a_type_without_a_handler_has_none_and_is_ordered() -> None:
    hooks = Hooks()
    hooks.on("a.b", ordered=False)(a_plain)
    hooks.on("a.c")(another)
    assert hooks.match("x.y") is None
    assert [hooks.ordered(name) for name in ("a.b", "a.c", "x.y")] == [False, True, True]


def test_a_handler_that_comes_later_is_found_although_the_type_was_asked_for_before() -> None:
    hooks = Hooks()
    assert hooks.match("a.b") is None
    hooks.on("a.b")(a_plain)
    assert matched(hooks, "a.b") is a_plain


def test_types_from_outside_do_not_fill_the_memory() -> None:
    hooks = Hooks()
    for number in range(3 * MOST_CACHED):
        hooks.match(f"a.n{number}")
    assert len(hooks._matched) <= MOST_CACHED


def test_one_function_may_have_many_patterns_and_stays_as_it_was() -> None:
    hooks = Hooks()
    assert hooks.on("a.b", "c.*")(an_async) is an_async
    assert hooks.match("a.b") is hooks.match("c.d")
    assert [handler.patterns for handler in hooks.handlers] == [("a.b", "c.*")]


def test_options_are_kept() -> None:
    hooks = Hooks()
    hooks.on("a.b", timeout=None, attempts=3, ordered=False)(an_async)
    hooks.on("a.c")(another)
    first, second = hooks.handlers
    assert (first.timeout, first.attempts, first.ordered) == (None, 3, False)
    assert (second.timeout, second.attempts, second.ordered) == (DEFAULT, None, True)


@pytest.mark.parametrize("pattern", ["a.b", "a.*", "*"])
def test_the_same_pattern_twice_is_an_error_that_names_both(pattern: str) -> None:
    hooks = Hooks()
    hooks.on("x.y", pattern)(a_plain)
    with pytest.raises(HookError) as caught:
        hooks.on(pattern, "z.z")(another)
    assert f"{__name__}.a_plain and {__name__}.another" in str(caught.value)
    assert repr(pattern) in str(caught.value)
    assert hooks.match("z.z") in (None, hooks.match("x.y") if pattern == "*" else None)


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (an_async, Kind.ASYNC),
        (a_plain, Kind.PLAIN),
        (Service().method, Kind.ASYNC),
        (Service().plain_method, Kind.PLAIN),
        (functools.partial(an_async), Kind.ASYNC),
        (functools.partial(functools.partial(Service.method, Service())), Kind.ASYNC),
        (functools.partial(a_plain), Kind.PLAIN),
        (AsyncCallable(), Kind.ASYNC),
        (functools.partial(AsyncCallable()), Kind.ASYNC),
        (PlainCallable(), Kind.PLAIN),
        (lambda event: None, Kind.PLAIN),
        pytest.param(lambda *args: None, Kind.PLAIN, id="any arguments"),
        (print, Kind.PLAIN),
        ([].append, Kind.PLAIN),
        (str, Kind.PLAIN),  # a class is called like any function
        (max, Kind.PLAIN),  # written in C, without a signature
    ],
)
def test_every_callable_has_its_kind(function: Callable[..., object], kind: Kind) -> None:
    hooks = Hooks()
    hooks.on("a.b")(function)
    handler = hooks.match("a.b")
    assert handler is not None
    assert handler.kind is kind


def test_a_transaction_handler_takes_the_transaction() -> None:
    hooks = Hooks()
    hooks.on("a.b", transaction=True)(in_transaction)
    assert hooks.handlers[0].kind is Kind.TRANSACTION


@pytest.mark.parametrize(
    ("function", "named"),
    [
        (a_plain, "a_plain"),
        (functools.partial(functools.partial(a_plain)), "a_plain"),
        (PlainCallable(), "PlainCallable"),
        (Service().method, "Service.method"),
    ],
)
def test_a_handler_has_the_name_of_its_function(function: Callable[..., object], named: str) -> None:
    hooks = Hooks()
    hooks.on("a.b")(function)
    assert hooks.handlers[0].name == f"{__name__}.{named}"


def no_argument() -> None: ...


def two_arguments(event: object, other: object) -> None: ...


def keyword_only(*, event: object) -> None: ...


def generator(event: object) -> Iterator[None]:
    yield


async def async_generator(event: object) -> AsyncIterator[None]:
    yield


async def async_in_transaction(event: object, tx: object) -> None: ...


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        (no_argument, {}, r"no_argument\(\) -> 'None' must be callable with \(event\)"),
        (two_arguments, {}, r"two_arguments\(.*\) -> 'None' must be callable with \(event\): missing .*'other'"),
        (keyword_only, {}, r"keyword_only\(.*must be callable with \(event\)"),
        (Service.method, {}, r"Service.method\(self, .*must be callable with \(event\)"),
        (a_plain, {"transaction": True}, r"a_plain\(.*must be callable with \(event, tx\)"),
        (generator, {}, r"generator yields"),
        (async_generator, {}, r"async_generator yields"),
        (async_in_transaction, {"transaction": True}, r"async_in_transaction: transaction=True takes a plain"),
        (7, {}, r"^7 cannot be called$"),
    ],
)
def test_a_function_that_cannot_be_called_so_is_refused(function: Any, options: dict[str, Any], message: str) -> None:
    hooks = Hooks()
    with pytest.raises(HookError, match=message):
        hooks.on("a.b", **options)(function)
    assert hooks.match("a.b") is None


@pytest.mark.parametrize(
    "patterns", [(), ("",), ("a.b", "a.b"), ("a*",), ("*.b",), ("a.*.c",), (".*",), ("a b",), ("a.é",), ("**",), (3,)]
)
def test_a_malformed_pattern_is_refused(patterns: tuple[Any, ...]) -> None:
    with pytest.raises(HookError):
        Hooks().on(*patterns)


def test_on_without_a_call_says_how_to_write_it() -> None:
    with pytest.raises(HookError, match=r'@hooks.on\("message.received"\)'):
        Hooks().on(a_plain)  # type: ignore[arg-type]  # the wrong type is the test


@pytest.mark.parametrize("options", [{"timeout": 0}, {"timeout": -1.0}, {"attempts": 0}])
def test_bounds_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(HookError, match=next(iter(options))):
        Hooks().on("a.b", **options)


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), 367 * 86_400.0, "5"])
def test_an_outcome_at_no_possible_time_is_refused(seconds: Any) -> None:
    with pytest.raises(ValueError, match="Retry"):
        Retry(after=seconds)
    with pytest.raises(ValueError, match="Snooze"):
        Snooze(until=seconds)


def test_a_moment_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        Snooze(until=datetime(2026, 1, 1))  # noqa: DTZ001  # without a zone: that is the test


def test_outcomes_are_values() -> None:
    assert Retry() == Retry(after=None, reason="")
    assert Retry(after=0).after == 0
    assert Snooze(5) == Snooze(until=5)
    assert Snooze(datetime(2026, 1, 1, tzinfo=UTC)).until == datetime(2026, 1, 1, tzinfo=UTC)
    assert Park("why").reason == "why"
