"""A data directory that is not what it was: refused, named, and left alone."""

import hashlib

import pytest

from sdk import V2
from server import run, until

PAGE = 4_096


@pytest.fixture
def stopped(new_server):
    """A server with something in its store, stopped."""
    one = new_server().start()
    sdk = V2(one)
    vpc = sdk.vpc()
    for _ in range(50):
        sdk.group(vpc)
    one.wait_applied()
    assert one.stop() == 0
    one.expected = 50
    return one


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def refused(one, *words):
    """`up` must end by itself, say these words, and not serve for a moment."""
    one.log.unlink(missing_ok=True)
    one.credentials_file.unlink(missing_ok=True)
    assert one.launch().ended() == 1, one.said()
    for word in words:
        assert word in one.said()
    assert not one.credentials_file.exists(), "a server that refuses must not have served"


@pytest.mark.parametrize("damage", ["empty", "short", "shorter", "zeros", "noise", "header"])
def test_a_damaged_store_is_named_and_left_alone(stopped, damage):
    store = stopped.data_dir / "server" / "store.redb"
    whole = store.read_bytes()
    spoilt = {
        "empty": b"",
        "short": whole[: len(whole) - PAGE],
        "shorter": whole[: PAGE],
        "zeros": b"\0" * len(whole),
        "noise": bytes((byte * 7 + 13) % 256 for byte in whole),
        "header": bytes([whole[0] ^ 1]) + whole[1:],
    }[damage]
    store.write_bytes(spoilt)
    refused(stopped, "store.redb")
    assert digest(store) == hashlib.sha256(spoilt).hexdigest(), "a damaged store must not be touched"
    store.write_bytes(whole)
    assert stopped.start().status()["counts"]["groups"] == stopped.expected


def test_a_changed_page_is_never_a_smaller_world(stopped):
    """One byte in the middle of a page: the page was in use and the start is refused, or everything is there."""
    store = stopped.data_dir / "server" / "store.redb"
    whole = store.read_bytes()
    told = set()
    pages = range(1, len(whole) // PAGE, max(1, len(whole) // PAGE // 12))
    for page in pages:
        at = page * PAGE + 40
        store.write_bytes(whole[:at] + bytes([whole[at] ^ 0x20]) + whole[at + 1 :])
        stopped.log.unlink(missing_ok=True)
        stopped.credentials_file.unlink(missing_ok=True)
        stopped.launch()
        until("an answer", lambda: stopped.process.poll() is not None or stopped.credentials_file.exists())
        if stopped.process.poll() is None:
            assert stopped.status()["counts"]["groups"] == stopped.expected
            stopped.stop()
            told.add("unused")
        else:
            assert "store.redb" in stopped.said()
            told.add("refused")
    assert "refused" in told


def test_a_lost_store_is_not_begun_anew(stopped):
    (stopped.data_dir / "server" / "store.redb").unlink()
    refused(stopped, "store.redb", "backup")


@pytest.mark.parametrize("damage", ["lost", "short", "exposed"])
def test_a_master_key_that_is_not_right(stopped, damage):
    key = stopped.data_dir / "server" / "master.key"
    if damage == "lost":
        key.unlink()
    elif damage == "short":
        key.write_bytes(key.read_bytes()[:-1])
    else:
        key.chmod(0o644)
    refused(stopped, "master.key")


@pytest.mark.parametrize(("name", "text"), [
    ("format", "sekimori data directory 2\n"),
    ("format", "something else\n"),
    ("server/format", "9\n"),
    ("server/format", "x\n"),
])
def test_another_format_is_refused(stopped, name, text):
    path = stopped.data_dir / name
    whole = path.read_text()
    path.write_text(text)
    refused(stopped, "format`" if name == "server/format" else str(stopped.data_dir))
    assert path.read_text() == text
    if name == "format":
        done = run("down", "--data-dir", stopped.data_dir)
        assert done.returncode == 1 and text.strip() in done.stderr
    path.write_text(whole)
    assert stopped.start().status()["counts"]["groups"] == stopped.expected


def test_a_directory_that_is_something_else_is_left_alone(scratch, new_server):
    one = new_server()
    one.data_dir.mkdir()
    (one.data_dir / "thesis.tex").write_text("precious")
    assert one.launch().ended() == 1
    assert "thesis.tex" in one.said()
    assert [path.name for path in one.data_dir.iterdir() if path.name != "lock"] == ["thesis.tex"]
