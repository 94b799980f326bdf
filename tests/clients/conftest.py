"""The server that `run.sh` has started, and servers of their own for tests that kill theirs."""

import itertools
import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from estate import furnish  # noqa: E402
from recordings import Ec2Recording, EcsRecording  # noqa: E402
from sdk import V1, V2  # noqa: E402
from server import Server, until  # noqa: E402
from slow import SlowClients  # noqa: E402

NUMBERS = itertools.count(1)


def pytest_collection_modifyitems(items):
    """What looks back at the whole run comes last, and what has begun with it just before."""
    last = {"test_flow_records.py": 1, "test_ecs_flow_logs.py": 1, "test_slow.py": 2, "test_codes.py": 3}
    items.sort(key=lambda item: last.get(item.path.name, 0))


@pytest.fixture(scope="session")
def scratch():
    return Path(os.environ["SEKIMORI_CLIENTS_SCRATCH"])


@pytest.fixture(scope="session")
def server():
    """The shared server: tests may change the world, and must not stop it."""
    shared = Server(os.environ["SEKIMORI_CLIENTS_DATA_DIR"])
    shared.process = Attached(int(os.environ["SEKIMORI_CLIENTS_UP"]))
    until("the shared server", lambda: shared.credentials_file.exists() and shared.is_healthy())
    return shared


@pytest.fixture(scope="session", autouse=True)
def slow_clients(server):
    """Clients that begin and do not go on, from the beginning of the run: nobody else may suffer from them."""
    clients = SlowClients(server.address)
    yield clients
    clients.close()


class Attached:
    """The `up` of `run.sh`, as far as tests need to know it."""

    def __init__(self, pid):
        self.pid = pid

    def poll(self):
        return None if Path(f"/proc/{self.pid}").exists() else 1


@pytest.fixture
def new_server(scratch):
    """Makes servers that the test may start, kill and spoil; takes them away, and fails if anything is left."""
    made = []

    def make(*options, **more):
        one = Server(scratch / f"own{next(NUMBERS)}", *options, **more)
        made.append(one)
        return one

    yield make
    for one in made:
        one.traces.remember()
        one.take_away()
        left = one.traces.left()
        shutil.rmtree(one.data_dir, ignore_errors=True)
        assert left == []


@pytest.fixture(scope="session")
def v1(server):
    return V1(server)


@pytest.fixture(scope="session")
def v2(server):
    return V2(server)


@pytest.fixture(scope="session", autouse=True)
def recordings(request, server, v2):
    """Flow logs that record from the beginning of the run, each if a test looks at it."""
    wanted = {name for item in request.session.items for name in item.fixturenames}
    begin = {"ec2_recording": lambda: Ec2Recording(server), "ecs_recording": lambda: EcsRecording(v2)}
    return {name: make() for name, make in begin.items() if name in wanted}


@pytest.fixture
def ec2_recording(recordings):
    return recordings["ec2_recording"]


@pytest.fixture
def ecs_recording(recordings):
    return recordings["ecs_recording"]


@pytest.fixture(scope="session")
def estate(v2):
    """One of everything that a refusal needs. No refusal changes it, so one is enough for every client."""
    return furnish(v2)


@pytest.fixture
def vpc(sdk):
    """A VPC of the test's own; what it leaves in it goes with the data directory."""
    return sdk.vpc()


@pytest.fixture
def unchanged(server):
    """A test that must not change anything."""
    with server.unchanged():
        yield
