"""Supervisor and child hear each other in whole messages, however the bytes come; an end that is gone, or that
talks nonsense, is heard as the end. A child takes its descriptors once, and its own children do not see them.
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirimhook.serving.control import LONGEST_LINE, VARIABLE, Channel, inherited

values = st.recursive(
    st.none() | st.integers() | st.text(), lambda inner: st.dictionaries(st.text(), inner), max_leaves=8
)
documents = st.lists(st.dictionaries(st.text(), values), max_size=5)


async def heard(ours: socket.socket, count: int) -> list[dict[str, Any] | None]:
    channel = await Channel.over(ours)
    found = [await asyncio.wait_for(channel.hear(), 20) for _ in range(count)]
    await channel.close()
    return found


@given(documents)
def test_what_is_said_is_heard_and_then_the_end(said: list[dict[str, Any]]) -> None:
    async def main() -> None:
        ours, theirs = socket.socketpair()
        speaker = await Channel.over(theirs)
        for message in said:
            speaker.say(message)
        await speaker.close()
        assert await heard(ours, len(said) + 1) == [*said, None]

    asyncio.run(main())


@pytest.mark.parametrize(
    "raw", [b"", b"no json\n", b"[1]\n", b"7\n", b'{"is":', b'{"is":"ready"}', b"\xff\xfe\n", b"x" * (LONGEST_LINE + 2)]
)
def test_nonsense_and_half_a_message_are_the_end(raw: bytes) -> None:
    async def main() -> None:
        ours, theirs = socket.socketpair()
        sending = asyncio.to_thread(_send, theirs, raw)
        assert (await asyncio.gather(heard(ours, 1), sending))[0] == [None]

    asyncio.run(main())


def _send(end: socket.socket, raw: bytes) -> None:
    with end:
        try:
            end.sendall(raw)
        except BrokenPipeError:  # the other end has heard enough
            return


def test_a_child_finds_its_sockets_once() -> None:
    (control, theirs), listening = socket.socketpair(), socket.create_server(("127.0.0.1", 0))
    given_to_child = [os.dup(control.fileno()), os.dup(listening.fileno())]
    environ = {VARIABLE: ",".join(map(str, given_to_child)), "other": "stays"}
    found = inherited(environ)
    assert found is not None
    assert environ == {"other": "stays"}
    assert inherited(environ) is None
    assert found.listening is not None
    assert found.listening.getsockname() == listening.getsockname()
    assert not any(os.get_inheritable(number) for number in given_to_child)
    found.control.sendall(b"x")
    assert theirs.recv(1) == b"x"
    for end in (found.control, found.listening, control, theirs, listening):
        end.close()


def test_a_child_that_only_works_listens_nowhere() -> None:
    control, theirs = socket.socketpair()
    found = inherited({VARIABLE: f"{os.dup(control.fileno())},-1"})
    assert found is not None
    assert found.listening is None
    for end in (found.control, control, theirs):
        end.close()
