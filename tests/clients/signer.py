"""Signs and sends requests by hand, in both signature schemes of Alibaba Cloud.

The SDKs send only what is right. What they would never send is made here, byte for byte. Nothing is retried.
"""

import base64
import hashlib
import hmac
import http.client
import json
import ssl
import time
import uuid
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

TIMEOUT_S = 30
ECS = "2014-05-26"
VPC = "2016-04-28"
FORM = "application/x-www-form-urlencoded"
# Every code that some client was told in this run; test_codes looks back at it.
CODES_SEEN = set()


@dataclass
class Answer:
    """What came back."""

    status: int
    content_type: str
    body: bytes

    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        """The error's code, of an answer in JSON or XML; None for a success."""
        if self.content_type.startswith("application/json"):
            return self.json().get("Code")
        text = self.body.decode(errors="replace")
        return text.split("<Code>")[1].split("</Code>")[0] if "<Code>" in text else None

    @property
    def told(self):
        """Status and code, as tests compare them."""
        return self.status, self.code


@dataclass
class Request:
    """A request that can be spoilt before it is sent."""

    method: str = "POST"
    path: str = "/"
    query: dict = field(default_factory=dict)
    headers: dict = field(default_factory=dict)
    body: bytes = b""

    def target(self):
        return self.path + ("?" + urlencode(self.query) if self.query else "")


def moment(skew_s=0):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + skew_s))


def encode(text):
    return quote(str(text), safe="-_.~")


def canonical(pairs):
    return "&".join(f"{encode(name)}={encode(value)}" for name, value in sorted(pairs.items()))


class Signer:
    """An access key, and where it is valid."""

    def __init__(self, address, key_id, secret, ca_file=None):
        self.address, self.key_id, self.secret, self.ca_file = address, key_id, secret, ca_file

    # -- making requests

    def v1(self, action, params=None, *, version=ECS, method="GET", form=False, skew_s=0, fmt="JSON", **common):
        """RPC signature version 1: everything in the query, or the operation's parameters as a form."""
        params = dict(params or {})
        query = {
            "Action": action,
            "Version": version,
            "Format": fmt,
            "AccessKeyId": self.key_id,
            "SignatureMethod": "HMAC-SHA1",
            "SignatureVersion": "1.0",
            "SignatureNonce": uuid.uuid4().hex,
            "Timestamp": moment(skew_s),
            **common,
        }
        query = {name: value for name, value in query.items() if value is not None}
        if not form:
            query, params = {**params, **query}, {}
        request = Request(method, "/", query, {}, urlencode(params).encode())
        if form:
            request.headers["Content-Type"] = FORM
        return self.sign_v1(request, params)

    def sign_v1(self, request, form_params=None):
        signed = {**request.query, **(form_params or {})}
        signed.pop("Signature", None)
        text = f"{request.method}&%2F&{encode(canonical(signed))}"
        digest = hmac.new((self.secret + "&").encode(), text.encode(), hashlib.sha1).digest()
        request.query["Signature"] = base64.b64encode(digest).decode()
        return request

    def v3(self, action, params=None, *, version=ECS, method="POST", form=False, skew_s=0, nonce=None, **headers):
        """ACS3: the operation in headers, its parameters in the query or as a form."""
        params = dict(params or {})
        body = urlencode(params).encode() if form else b""
        request = Request(method, "/", {} if form else params, {}, body)
        request.headers = {
            "host": self.address,
            "x-acs-action": action,
            "x-acs-version": version,
            "x-acs-date": moment(skew_s),
            "x-acs-signature-nonce": nonce or uuid.uuid4().hex,
            "x-acs-content-sha256": hashlib.sha256(body).hexdigest(),
            **headers,
        }
        if form:
            request.headers["content-type"] = FORM
        return self.sign_v3(request)

    def sign_v3(self, request, leave_out=()):
        names = sorted(name.lower() for name in request.headers if name.lower() not in ("authorization", *leave_out))
        lines = "".join(f"{name}:{request.headers[name].strip()}\n" for name in names)
        digest = hashlib.sha256(request.body).hexdigest()
        listed = ";".join(names)
        whole = f"{request.method}\n{request.path}\n{canonical(request.query)}\n{lines}\n{listed}\n{digest}"
        text = "ACS3-HMAC-SHA256\n" + hashlib.sha256(whole.encode()).hexdigest()
        signature = hmac.new(self.secret.encode(), text.encode(), hashlib.sha256).hexdigest()
        request.headers["authorization"] = (
            f"ACS3-HMAC-SHA256 Credential={self.key_id},SignedHeaders={listed},Signature={signature}"
        )
        return request

    # -- sending them

    def connection(self):
        if self.ca_file is None:
            return http.client.HTTPConnection(self.address, timeout=TIMEOUT_S)
        context = ssl.create_default_context(cafile=self.ca_file)
        return http.client.HTTPSConnection(self.address, timeout=TIMEOUT_S, context=context)

    def send(self, request):
        connection = self.connection()
        try:
            headers = {name: value.encode() for name, value in request.headers.items()}
            connection.request(request.method, request.target(), request.body, headers)
            answer = connection.getresponse()
            told = Answer(answer.status, answer.getheader("content-type", ""), answer.read())
            CODES_SEEN.add(told.code)
            return told
        finally:
            connection.close()
