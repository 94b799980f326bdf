"""The slow clients of the whole run have been sent away by now, each within its time; and nobody noticed."""

from signer import CODES_SEEN
from slow import BODY_S, HEAD_S, SPARE_S, rest_of


def test_half_a_body_is_answered_and_closed(slow_clients):
    answer = rest_of(slow_clients.half_a_body, slow_clients.opened_at + BODY_S + SPARE_S)
    assert answer.startswith(b"HTTP/1.1 503 "), answer
    assert b'"Code":"ServiceUnavailable"' in answer
    CODES_SEEN.add("ServiceUnavailable")


def test_a_head_that_does_not_come_is_not_waited_for(slow_clients):
    end = slow_clients.opened_at + HEAD_S + SPARE_S
    for connection in [*slow_clients.silent, *slow_clients.half_a_head, slow_clients.trickle]:
        answer = rest_of(connection, end)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 408 "), answer


def test_the_server_is_as_healthy_as_before(server):
    assert server.native("GET", "/healthz")[0] == 200
