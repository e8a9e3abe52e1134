"""The receiving process keeps what arrived, however the bytes come, and behaves as each endpoint is told to."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator

import pytest

from benchmarks.files import InvalidRunError
from benchmarks.sending.account import check_arrivals
from benchmarks.sending.posts import body, requests
from benchmarks.sending.receiver import ANSWER
from benchmarks.sending.receiving import NEVER, Arrival, Receiver, receiving

SLOW = 0.3


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    with receiving(tmp_path_factory.mktemp("receiver"), 3) as receiver:
        yield receiver


@pytest.fixture
def receiver(server: Receiver) -> Receiver:
    server.forget()
    for endpoint in range(3):
        server.behave(endpoint, 0)
    return server


def connection(receiver: Receiver, endpoint: int) -> ssl.SSLSocket:
    """Verified against its authority."""
    plain = socket.create_connection(
        ("127.0.0.1", int(receiver.urls[endpoint].split(":")[2].split("/")[0])), timeout=10
    )
    return ssl.create_default_context(cafile=receiver.authority).wrap_socket(plain, server_hostname="127.0.0.1")


def raw(label: str, count: int) -> list[bytes]:
    """Requests as a client writes them."""
    content = body()
    return [
        "".join([
            "POST /webhooks HTTP/1.1\r\nHost: x\r\n",
            *(f"{name}: {value}\r\n" for name, value in headers.items()),
            f"Content-Length: {len(content)}\r\n\r\n",
        ]).encode()
        + content
        for _, headers in requests(["x"], label, content, count)
    ]  # fmt: skip


def answered(stream: ssl.SSLSocket, count: int) -> None:
    left = len(ANSWER) * count
    while left:
        got = stream.recv(left)
        assert got, "closed"
        left -= len(got)


def ids(label: str, count: int) -> list[str]:
    return [f"wbd_{label}{number:0{26 - len(label)}}" for number in range(count)]


def test_every_request_of_a_connection_is_kept_in_order_with_its_time(receiver: Receiver) -> None:
    began = time.monotonic()
    with connection(receiver, 1) as stream:
        for request in raw("K", 5):
            stream.sendall(request)
            answered(stream, 1)
    arrivals = receiver.arrivals()
    assert [arrival.delivery_id for arrival in arrivals] == ids("K", 5)
    assert {arrival.endpoint for arrival in arrivals} == {1}
    assert receiver.arrived() == 5
    assert began <= arrivals[0].at <= arrivals[-1].at <= time.monotonic()


@pytest.mark.parametrize("piece", [7, 300, 5000])
def test_requests_may_come_in_pieces_or_together(receiver: Receiver, piece: int) -> None:
    everything = b"".join(raw("P", 4))
    with connection(receiver, 0) as stream:
        for start in range(0, len(everything), piece):
            stream.sendall(everything[start : start + piece])
        answered(stream, 4)
    assert [arrival.delivery_id for arrival in receiver.arrivals()] == ids("P", 4)


def test_an_endpoint_may_be_slow_or_never_answer_and_the_others_do_not_care(receiver: Receiver) -> None:
    receiver.behave(1, SLOW)
    receiver.behave(2, NEVER)
    streams = [connection(receiver, endpoint) for endpoint in range(3)]
    try:
        began = time.monotonic()
        for number, stream in enumerate(streams):
            stream.sendall(raw(f"S{number}", 1)[0])
        answered(streams[0], 1)
        assert time.monotonic() - began < SLOW
        answered(streams[1], 1)
        assert time.monotonic() - began >= SLOW
        streams[2].settimeout(SLOW)
        with pytest.raises(TimeoutError):
            streams[2].recv(1)
    finally:
        for stream in streams:
            stream.close()
    assert {arrival.endpoint for arrival in receiver.arrivals()} == {0, 1, 2}


def test_a_delivery_that_is_missing_or_unknown_makes_the_run_invalid() -> None:
    arrivals = [Arrival(1.0, name, 0) for name in ("a", "b", "b")]
    check_arrivals(arrivals, ["a", "b"])
    for expected in (["a", "b", "c"], ["a"]):
        with pytest.raises(InvalidRunError):
            check_arrivals(arrivals, expected)
