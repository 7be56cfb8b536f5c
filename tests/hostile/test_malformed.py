"""Malformed requests against the release binary: one refusal each, then the end of the connection.

The requests are those of malformed.json, which the Rust tests send to the bare server too. h11, an independent parser
that is strict by design, gives a second opinion on each; where it is more lenient the file says why.
"""

import json
import pathlib
import re
import socket
import sys
import threading

import h11
import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "vendor"))

from support import PATIENCE, Directory  # noqa: E402

CORPUS = json.loads((HERE / "malformed.json").read_text())
REQUESTS = [request for group in CORPUS["requests"].values() for request in group]


def raw(request):
    parts = request["bytes"]
    parts = [parts] if isinstance(parts, str) else parts
    return "".join(part if isinstance(part, str) else part[0] * part[1] for part in parts).encode("latin-1")


def to_a_route(request):
    """The request at the login, where strangers may send a body: anywhere else they are refused by their head."""
    return raw(request).replace(b"POST /x ", b"POST /api/v1/auth/login ", 1)


def shown(request):
    return f"{request['status']} {raw(request)[:80]!r}"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Directory(tmp_path_factory.mktemp("malformed"), ["log=error"]).serving() as running:
        yield running


def exchange(server, sent):
    """Everything that comes back until the server closes. It may close before all is sent."""
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), PATIENCE) as client:

        def send():
            try:
                client.sendall(sent)
            except OSError:
                pass

        sender = threading.Thread(target=send)
        sender.start()
        received = b""
        while piece := client.recv(65536):
            received += piece
        client.shutdown(socket.SHUT_RDWR) if sender.is_alive() else None
        sender.join(PATIENCE)
        return received


@pytest.mark.parametrize("request_", REQUESTS, ids=shown)
def test_one_refusal_and_the_end(server, request_):
    answer = exchange(server, to_a_route(request_))
    assert [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)] == [request_["status"]], answer
    head, _, body = answer.partition(b"\r\n\r\n")
    fields = {name.lower(): value for name, value in re.findall(rb"\r\n([^:]+): ([^\r]*)", head)}
    assert fields[b"connection"] == b"close"
    assert int(fields[b"content-length"]) == len(body)
    assert server.process.poll() is None


def opinion(sent):
    """What h11 makes of the first request."""
    connection = h11.Connection(h11.SERVER)
    try:
        connection.receive_data(sent)
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                return "waits"
            if event is h11.PAUSED or isinstance(event, h11.EndOfMessage):
                return "accepts"
    except h11.RemoteProtocolError:
        return "refuses"


@pytest.mark.parametrize("request_", REQUESTS, ids=shown)
def test_the_second_opinion_is_as_noted(request_):
    assert opinion(raw(request_)) == request_.get("h11", "refuses")
    assert ("h11" in request_) == (request_.get("why") in CORPUS["reasons"])


def test_there_are_enough_and_the_server_serves_on(server):
    assert len(REQUESTS) >= 60
    assert len({raw(request) for request in REQUESTS}) == len(REQUESTS)
    assert server.get("/healthz").json()["status"] == "ok"
