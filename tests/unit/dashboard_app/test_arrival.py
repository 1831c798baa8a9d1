"""When a request has come whole."""

from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard_app.arrival import MAX_BODY_BYTES, MAX_HEAD_BYTES, RefusedError, request_bytes

GET = b"GET /a?b HTTP/1.1\r\nHost: here\r\n\r\n"


def post(*lines: bytes) -> bytes:
    """Return the head of a POST with these headers."""
    return b"\r\n".join((b"POST / HTTP/1.1", *lines, b"", b""))


@given(st.integers(0, len(GET) - 1))
def test_a_head_is_not_whole_before_its_end(cut: int) -> None:
    """Wherever it stops."""
    assert request_bytes(GET[:cut]) is None
    assert request_bytes(GET) == len(GET)


@given(
    st.integers(0, MAX_BODY_BYTES),
    st.sampled_from([b"Content-Length: ", b"CONTENT-LENGTH:", b"content-length: \t", b"Content-Length: 000"]),
)
def test_a_body_is_as_long_as_its_head_says(length: int, name: bytes) -> None:
    """However that is spelt, and whatever has come of it."""
    head = post(b"X: content-length: 7", name + b"%d" % length + b" ", b"Y: z")
    assert request_bytes(head) == request_bytes(head + b"x" * 10) == len(head) + length


@pytest.mark.parametrize("length", [b"", b"-1", b"1.5", b"six", b"\xb2", b"1 2"])
def test_what_gunicorn_refuses_is_whole(length: bytes) -> None:
    """It says what is wrong."""
    head = post(b"Content-Length: " + length)
    assert request_bytes(head) == len(head)


@pytest.mark.parametrize("sent", [b"\r\n\r\n", b"no request\r\n\r\n", b"GET / HTTP/1.1\r\n\r\nmore"])
def test_what_is_no_request_is_whole_at_its_end(sent: bytes) -> None:
    """Of its first lines."""
    assert request_bytes(sent) == sent.index(b"\r\n\r\n") + 4


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"x" * MAX_HEAD_BYTES, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE),
        (post(b"Content-Length: %d" % (MAX_BODY_BYTES + 1)), HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
        (post(b"Content-Length: " + b"9" * 5_000), HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
        (post(b"Transfer-Encoding: chunked"), HTTPStatus.LENGTH_REQUIRED),
        (post(b"Content-Length: 1", b"transfer-encoding:chunked"), HTTPStatus.BAD_REQUEST),
        (post(b"Host: here"), HTTPStatus.LENGTH_REQUIRED),
    ],
)
def test_what_need_not_come_to_its_end_is_refused(sent: bytes, status: HTTPStatus) -> None:
    """Too much, or of no length that its head says."""
    with pytest.raises(RefusedError) as caught:
        request_bytes(sent)
    assert caught.value.status == status
