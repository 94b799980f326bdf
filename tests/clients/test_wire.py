"""Requests that no SDK would send: each gets a clean answer with its code, never a 500, never a hang, and changes
nothing."""

import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from server import REGION
from signer import FORM, VPC, Answer, Request, Signer

SKEW_MAX_S = 15 * 60
BODY_MAX = 1024 * 1024
PARALLEL = 200

pytestmark = pytest.mark.usefixtures("unchanged")


@pytest.fixture(scope="module")
def signer(server):
    return server.signer()


def schemes():
    """Every way to sign a request: name and maker."""
    make = {
        "v1-get": lambda signer, *a, **k: signer.v1(*a, **k),
        "v1-post": lambda signer, *a, **k: signer.v1(*a, method="POST", **k),
        "v1-form": lambda signer, *a, **k: signer.v1(*a, method="POST", form=True, **k),
        "v3-get": lambda signer, *a, **k: signer.v3(*a, method="GET", **k),
        "v3-post": lambda signer, *a, **k: signer.v3(*a, **k),
        "v3-form": lambda signer, *a, **k: signer.v3(*a, form=True, **k),
    }
    return pytest.mark.parametrize("make", make.values(), ids=make.keys())


GROUPS = ("DescribeSecurityGroups", {"RegionId": REGION, "SecurityGroupName": "a b+c*~/名"})


class TestSignatures:
    """Who is believed, and who is not."""

    @schemes()
    def test_right(self, signer, make):
        answer = signer.send(make(signer, *GROUPS))
        assert answer.status == 200, answer.body
        assert answer.json()["SecurityGroups"] == {"SecurityGroup": []}

    @schemes()
    def test_a_nonce_counts_once(self, signer, make):
        request = make(signer, *GROUPS)
        assert signer.send(request).status == 200
        assert signer.send(request).told == (400, "SignatureNonceUsed")

    @schemes()
    @pytest.mark.parametrize("skew_s", [SKEW_MAX_S + 60, -SKEW_MAX_S - 60])
    def test_another_clock(self, signer, make, skew_s):
        assert signer.send(make(signer, *GROUPS, skew_s=skew_s)).told == (400, "InvalidTimeStamp.Expired")

    @schemes()
    @pytest.mark.parametrize("skew_s", [SKEW_MAX_S - 60, 60 - SKEW_MAX_S])
    def test_a_clock_that_is_nearly_right(self, signer, make, skew_s):
        assert signer.send(make(signer, *GROUPS, skew_s=skew_s)).status == 200

    @schemes()
    def test_another_secret(self, signer, make):
        other = Signer(signer.address, signer.key_id, "x" * 30)
        assert other.send(make(other, *GROUPS)).told == (400, "SignatureDoesNotMatch")

    @schemes()
    def test_another_key(self, signer, make):
        for key_id in ("LTAI5tNobody", "sekimori", "'; --", "x" * 128):
            other = Signer(signer.address, key_id, signer.secret)
            assert other.send(make(other, *GROUPS)).told == (404, "InvalidAccessKeyId.NotFound"), key_id

    @schemes()
    def test_what_was_changed_on_the_way(self, signer, make):
        request = make(signer, *GROUPS)
        request.query["MaxResults"] = "5"
        assert signer.send(request).told == (400, "SignatureDoesNotMatch")

    @pytest.mark.parametrize("name", ["x-acs-action", "x-acs-version", "x-acs-date", "x-acs-signature-nonce"])
    def test_a_header_outside_the_signature(self, signer, name):
        request = signer.sign_v3(signer.v3(*GROUPS), leave_out=(name,))
        assert signer.send(request).told == (400, "IncompleteSignature")

    def test_a_refused_request_leaves_its_nonce_alone(self, signer):
        request = signer.v1(*GROUPS)
        spoilt = Request(request.method, "/", {**request.query, "Signature": "AAAA"})
        assert signer.send(spoilt).told == (400, "SignatureDoesNotMatch")
        assert signer.send(request).status == 200

    @pytest.mark.parametrize(
        ("changed", "told"),
        [
            ({"Signature": None}, (400, "IncompleteSignature")),
            ({"AccessKeyId": None}, (400, "MissingParameter")),
            ({"SignatureNonce": None}, (400, "MissingParameter")),
            ({"SignatureNonce": "n" * 129}, (400, "IncompleteSignature")),
            ({"Timestamp": None}, (400, "MissingParameter")),
            ({"Timestamp": "yesterday"}, (400, "InvalidTimeStamp.Format")),
            ({"Timestamp": "2026-11-22 05:12:14"}, (400, "InvalidTimeStamp.Format")),
            ({"SignatureMethod": "HMAC-MD5"}, (400, "IncompleteSignature")),
            ({"SignatureVersion": "9.9"}, (400, "IncompleteSignature")),
        ],
        ids=str,
    )
    def test_a_part_of_version_1_that_is_wrong(self, signer, changed, told):
        request = signer.v1(*GROUPS)
        for name, value in changed.items():
            request.query.pop(name) if value is None else request.query.update({name: value})
        if "Signature" not in changed:
            signer.sign_v1(request)
        assert signer.send(request).told == told

    @pytest.mark.parametrize(
        "authorization",
        ["ACS3-HMAC-SHA256", "ACS3-HMAC-SHA256 x", "ACS3-RSA-SHA256 Credential=a,SignedHeaders=host,Signature=b",
         "ACS3-HMAC-SHA256 Credential=,SignedHeaders=,Signature=", "ACS3-", "ACS3-HMAC-SHA256 " + "a=b," * 1_000],
    )
    def test_an_authorization_that_is_none(self, signer, authorization):
        request = signer.v3(*GROUPS)
        request.headers["authorization"] = authorization
        assert signer.send(request).told == (400, "IncompleteSignature")

    def test_a_digest_of_another_body(self, signer):
        request = signer.v3(*GROUPS, form=True)
        request.body += b"&MaxResults=5"
        assert signer.send(request).told == (400, "SignatureDoesNotMatch")

    def test_no_signature_at_all(self, signer):
        plain = {"Action": "DescribeRegions", "Version": "2014-05-26"}
        assert signer.send(Request("GET", "/", plain)).told == (400, "MissingParameter")
        bearer = {"authorization": "Bearer x"}
        assert signer.send(Request("GET", "/", plain, bearer)).told == (400, "MissingParameter")
        headers = {"x-acs-action": "DescribeRegions", "x-acs-version": "2014-05-26"}
        assert signer.send(Request("POST", "/", {}, headers)).told == (400, "MissingParameter")


class TestOperations:
    """What is asked for."""

    @schemes()
    @pytest.mark.parametrize("action", ["DescribeImages", "describeregions", "x" * 5_000, "../etc", "名前"])
    def test_an_unknown_action(self, signer, make, action):
        assert signer.send(make(signer, action)).told == (404, "InvalidAction.NotFound")

    @schemes()
    @pytest.mark.parametrize("version", ["2014-05-27", "2015-04-02", "x"])
    def test_an_unknown_version(self, signer, make, version):
        assert signer.send(make(signer, "DescribeRegions", version=version)).told == (400, "InvalidParameter")

    def test_an_operation_of_the_other_version(self, signer):
        answer = signer.send(signer.v1("RunInstances", version=VPC))
        assert answer.told == (404, "InvalidAction.NotFound")

    @pytest.mark.parametrize("missing", ["Action", "Version"])
    def test_no_action_or_version(self, signer, missing):
        request = signer.v1(*GROUPS)
        del request.query[missing]
        assert signer.send(signer.sign_v1(request)).told == (400, "MissingParameter")

    @pytest.mark.parametrize("fmt", ["json", "JSON", "xml", "Xml", None, "yaml"])
    def test_the_format_of_success_and_failure(self, signer, fmt):
        expected = "application/json" if fmt and fmt.lower() == "json" else "text/xml"
        for action, status in (("DescribeRegions", 200), ("DescribeNothing", 404)):
            answer = signer.send(signer.v1(action, fmt=fmt))
            assert answer.status == status and answer.content_type.startswith(expected), answer

    def test_every_answer_has_its_own_request_id(self, signer):
        found = {signer.send(signer.v3("DescribeRegions")).json()["RequestId"] for _ in range(5)}
        assert len(found) == 5
        assert all(len(one) == 36 and one == one.upper() for one in found)


class TestParameters:
    """What is said, and how it is written."""

    def test_a_name_with_two_values(self, signer):
        for query, body in (("A=1&A=2", b""), ("A=1", b"A=2")):
            request = Request("POST", f"/?{query}", {}, {"Content-Type": FORM}, body)
            assert signer.send(request).told == (400, "InvalidParameter")

    def test_too_many_names(self, signer):
        many = "&".join(f"P{number}=1" for number in range(5_000)).encode()
        assert signer.send(Request("POST", "/", {}, {"Content-Type": FORM}, many)).told == (400, "InvalidParameter")

    @pytest.mark.parametrize("query", ["%", "%zz=%", "%ff=%fe", "&&&&", "=", "a=b=c", "%00=%00", "?" * 50])
    def test_bytes_that_are_no_text(self, signer, query):
        answer = signer.send(Request("GET", f"/?{query}"))
        assert answer.told == (400, "MissingParameter")
        assert signer.send(Request("GET", f"/?{query}&Format=json")).told == (400, "MissingParameter")

    @pytest.mark.parametrize("value", [
        "\0", "\x7f" * 40, "名" * 3_000, "'; DROP TABLE groups; --", "$(reboot)", "%s%n",
    ])
    def test_values_that_are_odd(self, signer, value):
        asked = {"RegionId": REGION, "SecurityGroupId": value}
        answer = signer.send(signer.v1("DescribeSecurityGroupAttribute", asked))
        assert answer.told == (400, "InvalidSecurityGroupId.Malformed")

    @pytest.mark.parametrize("index", ["0", "00", "01", "-1", "4294967296", "x", "", "1.2"])
    def test_odd_numbers_in_lists(self, signer, index):
        name = f"Permissions.{index}.IpProtocol"
        answer = signer.send(signer.v1("AuthorizeSecurityGroup", {
            "RegionId": REGION, "SecurityGroupId": "sg-none", name: "tcp",
        }))
        assert answer.status in (400, 404) and answer.code, answer

    @pytest.mark.parametrize("kind", ["text/plain", "application/json", "multipart/form-data; boundary=x", "", None])
    def test_a_form_that_says_it_is_none(self, signer, kind):
        request = signer.v1(*GROUPS, method="POST", form=True)
        request.headers = {} if kind is None else {"Content-Type": kind}
        # What the body says was signed, and is not read: the signature does not fit what is left.
        assert signer.send(request).told == (400, "SignatureDoesNotMatch")
        request = signer.v3(*GROUPS, form=True)
        request.headers = {name: value for name, value in request.headers.items() if name != "content-type"}
        if kind is not None:
            request.headers["content-type"] = kind
        assert signer.send(signer.sign_v3(request)).told == (400, "MissingParameter")

    def test_a_form_in_any_spelling(self, signer):
        for kind in ("Application/X-WWW-Form-Urlencoded; charset=utf-8", FORM + " ;x"):
            request = signer.v1(*GROUPS, method="POST", form=True)
            request.headers["Content-Type"] = kind
            assert signer.send(request).status == 200


class TestSizes:
    """More than is read."""

    @schemes()
    def test_an_oversized_body(self, signer, make):
        request = make(signer, *GROUPS)
        request.method, request.body = "POST", b"x" * (BODY_MAX + 1)
        assert signer.send(request).told == (413, "RequestEntityTooLarge")

    def test_an_oversized_body_in_pieces(self, server):
        head = b"POST /?Format=JSON HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
        chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        answer = exchange(server, head + chunk * 17 + b"0\r\n\r\n")
        assert answer.told == (413, "RequestEntityTooLarge")

    def test_a_body_of_the_largest_size(self, signer):
        request = signer.v3(*GROUPS)
        request.body = b"x" * BODY_MAX
        assert signer.send(request).told == (400, "SignatureDoesNotMatch")

    @pytest.mark.parametrize("size", [100_000, 1_000_000])
    def test_an_endless_query(self, signer, server, size):
        target = b"/?" + b"x" * size
        answer = exchange(server, b"GET " + target + b" HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        assert answer.status in (400, 414, 431), answer

    @pytest.mark.parametrize("count", [150, 5_000])
    def test_endless_headers(self, server, count):
        headers = b"".join(b"x-%d: y\r\n" % number for number in range(count))
        answer = exchange(server, b"GET / HTTP/1.1\r\nhost: x\r\n" + headers + b"connection: close\r\n\r\n")
        assert answer.status in (400, 431), answer


def exchange(server, sent):
    """Sends bytes as they are, and reads the one answer. An end without an answer is status 0."""
    host, port = server.address.rsplit(":", 1)
    received = b""
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        try:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        try:
            while more := connection.recv(65_536):
                received += more
        except ConnectionResetError:
            pass
    if not received:
        return Answer(0, "", b"")
    head, _, body = received.partition(b"\r\n\r\n")
    kind = [line.split(b": ", 1)[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-type: ")]
    return Answer(int(head.split()[1]), kind[0].decode() if kind else "", body)


class TestHttp:
    """Methods, paths, and bytes that are no HTTP."""

    @pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
    def test_another_method(self, signer, method):
        request = signer.v1(*GROUPS)
        request.method = method
        assert signer.send(signer.sign_v1(request)).told == (403, "UnsupportedHTTPMethod")

    def test_a_head_has_no_body(self, signer):
        answer = signer.send(Request("HEAD", "/", {"Action": "DescribeRegions"}))
        assert (answer.status, answer.body) == (403, b"")

    @pytest.mark.parametrize("path", [
        "/index.html", "/latest/meta-data/", "/bucket/key", "/v2/", "/.env", "/healthz/x", "/%2e%2e/etc/passwd", "//",
        "/api/v1/pods", "/2015-03-31/functions",
    ])
    def test_the_path_of_another_service(self, signer, path):
        assert signer.send(Request("GET", path)).told == (404, "InvalidAction.NotFound")
        assert signer.send(Request("POST", path, {}, {"Content-Type": "application/json"}, b"{}")).status == 404

    @pytest.mark.parametrize(("action", "version"), [
        ("DescribeDBInstances", "2014-08-15"), ("ListBuckets", "2013-10-15"),
    ])
    def test_the_operation_of_another_service(self, signer, action, version):
        assert signer.send(signer.v1(action, version=version)).told == (400, "InvalidParameter")

    @pytest.mark.parametrize(("action", "version"), [("GetCallerIdentity", "2011-06-15"), ("DescribeVpcs", "2016-11-15")])
    def test_the_operation_of_the_other_dialect(self, signer, action, version):
        """It is read as that dialect's call, whose signature this is not."""
        assert signer.send(signer.v1(action, version=version)).told == (400, "IncompleteSignature")

    def test_the_signature_of_the_other_dialect(self, signer):
        headers = {
            "Content-Type": FORM + "; charset=utf-8",
            "Authorization": "AWS4-HMAC-SHA256 Credential=AKIA/20261123/us-east-1/ec2/aws4_request, "
                             "SignedHeaders=content-type;host;x-amz-date, Signature=00",
            "X-Amz-Date": "20261123T000000Z",
        }
        answer = signer.send(Request("POST", "/", {}, headers, b"Action=DescribeSecurityGroups&Version=2016-11-15"))
        assert answer.told == (401, "AuthFailure")
        headers = {"X-Amz-Target": "DynamoDB_20120810.ListTables", "Content-Type": "application/x-amz-json-1.0"}
        answer = signer.send(Request("POST", "/", {}, headers, b"{}"))
        assert answer.status == 400 and b'"__type"' in answer.body

    @pytest.mark.parametrize("sent", [
        b"\0" * 100, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"\r\n\r\n", b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ], ids=range(12))
    def test_bytes_that_are_no_request(self, server, sent):
        answer = exchange(server, sent)
        assert answer.status == 0 or 400 <= answer.status < 500 or answer.status == 503, answer

    def test_a_body_that_ends_early(self, server):
        answer = exchange(server, b"POST /?Format=JSON HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhalf")
        assert answer.status in (0, 400, 503), answer

    def test_two_lengths_at_once_make_one_request(self, server):
        """A second request must not be smuggled in the body of the first."""
        smuggled = b"GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n"
        sent = (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
                % (5 + len(smuggled))) + smuggled
        answer = exchange(server, sent)
        assert answer.status in (0, 400), answer
        assert b"HTTP/1.1" not in answer.body

    def test_a_client_that_speaks_tls_is_sent_away(self, server):
        host, port = server.address.rsplit(":", 1)
        context = ssl._create_unverified_context()
        with socket.create_connection((host, int(port)), timeout=30) as plain, pytest.raises(ssl.SSLError):
            context.wrap_socket(plain)

    def test_a_client_that_goes_away(self, server):
        host, port = server.address.rsplit(":", 1)
        for _ in range(50):
            with socket.create_connection((host, int(port)), timeout=30) as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                connection.sendall(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nab")
        assert server.native("GET", "/healthz")[0] == 200


def test_many_connections_at_once(signer):
    """Each asks twice over one connection, all of them at the same time."""
    gate = threading.Barrier(PARALLEL, timeout=30)

    def ask(_):
        connection = signer.connection()
        connection.connect()
        gate.wait()
        told = []
        for _ in range(2):
            request = signer.v3("DescribeRegions")
            connection.request(request.method, request.target(), request.body, request.headers)
            answer = connection.getresponse()
            told.append((answer.status, len(answer.read()) > 1_000))
        connection.close()
        return told

    began = time.monotonic()
    with ThreadPoolExecutor(PARALLEL) as pool:
        answers = list(pool.map(ask, range(PARALLEL)))
    assert answers == [[(200, True)] * 2] * PARALLEL
    assert time.monotonic() - began < 30


class TestNative:
    """The native API: who may ask, and what is no question."""

    @pytest.mark.parametrize("path", ["/v1/status", "/v1/accounts", "/v1/why", "/v1/nothing", "/v1", "/v1/"])
    @pytest.mark.parametrize("token", ["wrong", "", "x" * 10_000])
    def test_nobody_without_the_token(self, server, path, token):
        status, body = server.native("GET", path, token=token or " ")
        assert (status, body["error"]["code"]) == (401, "unauthorized")

    def test_an_access_key_is_no_token(self, server, signer):
        answer = signer.send(Request("GET", "/v1/status", signer.v1("DescribeRegions").query))
        assert answer.status == 401

    @pytest.mark.parametrize(("method", "path", "body", "told"), [
        ("GET", "/v1/nothing", None, (404, "not-found")),
        ("DELETE", "/v1/status", None, (404, "not-found")),
        ("GET", "/v1/policy/i-none", None, (404, "not-found")),
        ("GET", "/v1/policy/%ff", None, (400, "invalid")),
        ("GET", "/v1/why", None, (400, "invalid")),
        ("GET", "/v1/why?from=i-none&to=i-other&service=tcp/22", None, (404, "not-found")),
        ("GET", "/v1/why?from=192.0.2.1&to=192.0.2.2&service=tcp/22", None, (400, "invalid")),
        ("GET", "/v1/why?from=a&to=b&service=tcp/99999", None, (400, "invalid")),
        ("GET", "/v1/why?from=a&to=b&service=tcp/22&source_port=70000", None, (400, "invalid")),
        ("GET", "/v1/wait?timeout_s=601", None, (400, "invalid")),
        ("GET", "/v1/wait?timeout_s=-1", None, (400, "invalid")),
        ("GET", "/v1/wait?timeout_s=0&revision=18446744073709551615", None, (504, "timeout")),
        ("POST", "/v1/accounts", {}, (400, "invalid")),
        ("POST", "/v1/accounts", {"dialect": "gcp", "name": "x"}, (400, "invalid")),
        ("POST", "/v1/accounts", {"dialect": "ecs", "name": ""}, (400, "invalid")),
        ("POST", "/v1/accounts", {"dialect": "ecs", "name": "x", "id": "1"}, (400, "invalid")),
        ("POST", "/v1/accounts", [1], (400, "invalid")),
        ("PUT", "/v1/bypass", {"items": ["everything"]}, (400, "invalid")),
        ("PUT", "/v1/bypass", {"items": ["udp/53@0.0.0.0/0"] * 40}, (400, "invalid")),
        ("PUT", "/v1/treatment", {"treatment": "keep"}, (400, "invalid")),
        ("PUT", "/v1/treatment", {"account": "1", "treatment": "forget"}, (400, "invalid")),
        ("PUT", "/v1/treatment", {"eni": "eni-none", "treatment": "keep"}, (404, "not-found")),
        ("POST", "/v1/accounts", {"dialect": "ecs", "name": "x" * 70_000}, (400, "invalid")),
    ], ids=lambda value: value if isinstance(value, str) else "")
    def test_what_is_refused(self, server, method, path, body, told):
        status, answer = server.native(method, path, body)
        assert (status, answer["error"]["code"]) == told
        assert answer["error"]["message"]


def test_a_group_at_the_end_of_the_groups_own(signer):
    """No SDK has the parameter of the other direction."""
    named = {"RegionId": REGION, "SecurityGroupId": "sg-none", "SecurityGroupRuleId": "sgr-1"}
    for operation, end in (("ModifySecurityGroupRule", "DestGroupId"),
                           ("ModifySecurityGroupEgressRule", "SourceGroupId")):
        answer = signer.send(signer.v1(operation, {**named, end: "sg-other"}))
        assert answer.told == (400, "InvalidSourceOrDestGroupId.DirectionMissmatch")
