"""A secrets file that is rewritten while it is read never costs a secret that is still in use.

The property: let K be the list in force, loaded from a good file, and N any good file. While N is being
written over it, cut at any byte and read at any moment, the list holds all of K. Once the file has been left
alone for two seconds it is exactly N; had the writer died half way, it is still K wherever the cut is not
behind a whole line.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from kirimhook.receiver.secrets import Keyring
from kirimhook.receiver.secrets.sources import MAX_FILE_BYTES, FileSource
from tests.receiver.deliveries import Log

SOON = 20.0
A, B, C, D = ("whsec_" + letter * 43 for letter in "abcd")
LISTS = st.lists(st.sampled_from([A, B, C, D]), min_size=1, unique=True)


class Monotonic:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Written:
    """A secrets file, a keyring over it, and the time, which goes on only when told to."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "secrets"
        self.time = Monotonic()
        self.log = Log()
        source = FileSource(self.path, self.time)
        self.keyring = Keyring(source, observer=self.log.observer, monotonic=self.time)

    def write(self, raw: bytes | str) -> None:
        """In place, as an editor or `echo` does it. The time stamp is set, so that no write shares another's."""
        self.path.write_bytes(raw if isinstance(raw, bytes) else raw.encode())
        self.time.now += 0.001
        os.utime(self.path, ns=(0, int(self.time.now * 1e9)))

    async def read(self, after: float = 1.0) -> list[str]:
        """The list in force after one more look at the file."""
        self.time.now += after
        await self.keyring.refresh()
        return self.values

    @property
    def problem(self) -> str:
        return self.keyring.problem or ""

    @property
    def values(self) -> list[str]:
        return sorted(secret.reveal() for secret in self.keyring.secrets)


def run(scenario: Callable[[Written], Awaitable[None]]) -> None:
    async def bounded() -> None:
        with TemporaryDirectory() as folder:
            await asyncio.wait_for(scenario(Written(Path(folder))), SOON)

    asyncio.run(bounded())


def lines(secrets: list[str]) -> str:
    return "".join(f"{secret}\n" for secret in secrets)


@settings(max_examples=200)
@given(LISTS, LISTS, st.data())
def test_a_rewrite_costs_no_secret_at_any_byte(before: list[str], after: list[str], data: st.DataObject) -> None:
    text = lines(after)
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=4).map(sorted))

    async def scenario(written: Written) -> None:
        written.write(lines(before))
        assert await written.read() == sorted(before)
        await written.read(3)
        for cut in cuts:
            written.write(text[:cut])
            assert set(before) <= set(await written.read(data.draw(st.sampled_from([0.1, 1, 1.9]))))
        written.write(text)
        assert set(before) <= set(await written.read())
        assert set(after) <= set(await written.read(0.5))
        assert await written.read(2) == sorted(after)

    run(scenario)


@given(LISTS, LISTS, st.data())
def test_a_writer_that_died_within_a_line_changes_nothing_ever(
    before: list[str], after: list[str], data: st.DataObject
) -> None:
    text = lines(after)
    inside = [cut for cut in range(len(text)) if text[:cut].split("\n")[-1] not in ("", *after)]
    cut = data.draw(st.sampled_from(inside))

    async def scenario(written: Written) -> None:
        written.write(lines(before))
        await written.read()
        written.write(text[:cut])
        for _ in range(5):
            assert await written.read() == sorted(before)
        assert written.problem

    run(scenario)


def test_a_new_secret_is_taken_at_once_and_an_old_one_leaves_when_the_file_is_left_alone() -> None:
    async def scenario(written: Written) -> None:
        written.write(lines([A]))
        assert await written.read() == [A]
        written.write(lines([A, B]))
        assert await written.read() == [A, B]
        written.write(lines([B]))
        assert await written.read() == [A, B]
        assert await written.read() == [A, B]
        assert await written.read() == [B]
        assert [line["dropped"] != "" for line in written.log.named("secrets_loaded")] == [False, False, True]

    run(scenario)


def test_a_forced_refresh_takes_the_file_at_its_word() -> None:
    async def scenario(written: Written) -> None:
        written.write(lines([A, B]))
        await written.read()
        written.write(lines([B]))
        assert await written.keyring.refresh(force=True)
        assert written.values == [B]
        written.write(lines([B]) + C[:20])
        assert not await written.keyring.refresh(force=True)
        assert written.values == [B]

    run(scenario)


def test_an_empty_a_missing_a_huge_and_an_unreadable_file_keep_the_list_with_one_line_each() -> None:
    async def scenario(written: Written) -> None:
        written.write(lines([A]))
        await written.read()
        written.write("")
        assert await written.read() == [A]
        assert await written.read() == [A]
        written.path.unlink()
        assert await written.read() == [A]
        assert await written.read() == [A]
        written.write(b"#" * (MAX_FILE_BYTES + 1))
        assert await written.read() == [A]
        written.path.unlink()
        written.path.mkdir()
        assert await written.read() == [A]
        problems = [str(line["problem"]) for line in written.log.named("secrets_kept")]
        assert ["no secret" in p or "cannot be read" in p or "larger" in p for p in problems] == [True] * 4
        assert written.problem == problems[-1]
        written.path.rmdir()
        written.write(lines([A]))
        assert await written.read() == [A]
        assert not written.problem
        assert A not in written.log.text

    run(scenario)


def test_a_file_that_never_was_gives_no_secrets_until_it_is_there() -> None:
    async def scenario(written: Written) -> None:
        assert await written.read() == []
        written.write(lines([A]))
        assert await written.read() == [A]

    run(scenario)


def test_a_write_within_the_same_moment_and_of_the_same_size_is_seen() -> None:
    async def scenario(written: Written) -> None:
        written.write(lines([A]))
        await written.read(0)
        stamp = written.path.stat().st_mtime_ns
        written.path.write_text(lines([B]))
        os.utime(written.path, ns=(0, stamp))
        assert B in await written.read(0.5)

    run(scenario)


def test_a_replaced_file_is_seen_though_its_time_and_size_are_the_same() -> None:
    async def scenario(written: Written) -> None:
        written.write(lines([A]))
        await written.read()
        await written.read(3)
        stamp = written.path.stat().st_mtime_ns
        other = written.path.with_name("other")
        other.write_text(lines([B]))
        os.utime(other, ns=(0, stamp))
        other.replace(written.path)
        assert B in await written.read()

    run(scenario)


def test_an_untouched_file_is_not_read_again() -> None:
    async def scenario(written: Written) -> None:
        written.write(lines([A]))
        await written.read()
        await written.read(3)
        stamp = written.path.stat().st_mtime_ns
        with written.path.open("r+b") as file:  # what only a reader would notice: another content, the same stat
            file.write(lines([B]).encode())
        os.utime(written.path, ns=(0, stamp))
        assert await written.read() == [A]
        assert await written.keyring.refresh(force=True)
        assert written.values == [B]

    run(scenario)
