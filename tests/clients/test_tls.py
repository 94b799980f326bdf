"""Listening beyond this machine: TLS, or an explicit word."""

import datetime
import http.client
import ipaddress
import ssl
import warnings

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sdk import V2
from server import Server, free_port, run, until
from signer import Request


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0"])
def test_plain_http_for_everybody_is_refused(scratch, listen):
    done = run("up", "--data-dir", scratch / "exposed", "--listen", listen)
    assert done.returncode == 64, done.stderr
    assert listen in done.stderr and "--insecure" in done.stderr and "--tls-generate" in done.stderr
    assert not (scratch / "exposed").exists(), "a refused command must not make anything"


def test_plain_http_for_everybody_when_asked_for(new_server):
    one = new_server("--insecure", listen="0.0.0.0:0").start()
    assert one.address.startswith("127.0.0.1:")
    assert one.signer().send(one.signer().v3("DescribeRegions")).status == 200


@pytest.fixture(scope="module")
def one(scratch):
    """A server with a certificate of its own making."""
    server = Server(scratch / "tls", "--tls-generate", listen=f"0.0.0.0:{free_port()}").start()
    yield server
    server.stop()
    server.down()


class TestGenerated:
    """A certificate that the server makes for itself."""

    def test_both_apis_speak_it(self, one):
        assert one.credentials["SEKIMORI_ENDPOINT"].startswith("https://")
        signer = one.signer()
        assert signer.ca_file == str(one.data_dir / "ca.pem")
        for request in (signer.v1("DescribeRegions"), signer.v3("DescribeRegions")):
            assert signer.send(request).status == 200
        assert one.status()["committed"] >= 1

    def test_the_cli_trusts_it(self, one):
        done = one.command("status", "--output", "json")
        assert done.returncode == 0, done.stderr
        done = run("status", env={
            "SEKIMORI_ENDPOINT": one.credentials["SEKIMORI_ENDPOINT"],
            "SEKIMORI_TOKEN": one.credentials["SEKIMORI_TOKEN"],
        })
        assert done.returncode == 1 and "certificate" in done.stderr.lower(), done.stderr

    def test_an_sdk_trusts_it(self, one):
        sdk = V2(one)
        vpc = sdk.vpc()
        assert sdk.groups(VpcId=vpc) == []

    def test_nobody_else_trusts_it(self, one):
        host, port = one.address.rsplit(":", 1)
        connection = http.client.HTTPSConnection(host, int(port), timeout=30)
        with pytest.raises(ssl.SSLCertVerificationError):
            connection.request("GET", "/healthz")

    def test_plain_http_gets_no_answer(self, one):
        plain = one.signer()
        plain.ca_file = None
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            plain.send(Request("GET", "/healthz"))

    def test_old_versions_are_refused(self, one):
        context = ssl.create_default_context(cafile=one.credentials["SEKIMORI_CA"])
        host, port = one.address.rsplit(":", 1)
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings(action="ignore"):
            context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
        connection = http.client.HTTPSConnection(host, int(port), timeout=30, context=context)
        with pytest.raises(ssl.SSLError):
            connection.request("GET", "/healthz")

    def test_it_stays_the_same(self, one):
        before = (one.data_dir / "ca.pem").read_text()
        one.stop()
        one.start()
        assert (one.data_dir / "ca.pem").read_text() == before


def certificate(folder):
    """A certificate of the operator's own, for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "operator")])
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ))


def test_a_given_certificate(tmp_path, new_server):
    certificate(tmp_path)
    files = ["--tls-cert", tmp_path / "cert.pem", "--tls-key", tmp_path / "key.pem"]
    one = new_server(*files, listen="0.0.0.0:0").launch()
    until("credentials", one.credentials_file.exists)
    context = ssl.create_default_context(cafile=tmp_path / "cert.pem")
    host, port = one.address.rsplit(":", 1)
    connection = http.client.HTTPSConnection(host, int(port), timeout=30, context=context)
    connection.request("GET", "/healthz")
    assert connection.getresponse().status in (200, 503)
    one.stop()


@pytest.mark.parametrize("spoilt", ["cert.pem", "key.pem"])
def test_a_certificate_that_is_none_is_named(tmp_path, new_server, spoilt):
    certificate(tmp_path)
    (tmp_path / spoilt).write_text("nothing")
    one = new_server("--tls-cert", tmp_path / "cert.pem", "--tls-key", tmp_path / "key.pem").launch()
    assert one.ended() == 1
    assert spoilt in one.said()
