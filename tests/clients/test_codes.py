"""Looks back at the whole run: every code that the source can say was said, or cannot be provoked for a reason."""

import re
from pathlib import Path

import pytest

from signer import CODES_SEEN

SOURCE = Path(__file__).parents[2] / "crates/cloud/src/ecs"
# Codes that no request can provoke on a healthy server of this size, and what covers them instead.
NOT_PROVOKED = {
    "InternalError": "there is no way to make one from outside",
    "Throttling": "takes a million nonces, or a writer that stands still; tests of the server's commit",
    "OperationConflict": "names of accounts only, which this API does not make",
    "InvalidAccountId.NotFound": "this API does not name accounts",
    "QuotaExceed.Account": "this API does not make accounts",
    "QuotaExceeded.Vpc": "takes 1,024 VPCs; tests of core",
    "QuotaExceed.SecurityGroup": "takes 20,000 groups; tests of core",
    "SecurityGroupInstanceLimitExceeded": "takes 6,000 addresses; tests of core",
    "SecurityGroupInstanceLimitExceed": "takes 6,000 addresses; tests of core",
    "MaxEniCountExceeded": "takes 5,000 interfaces, or a full data plane; tests of core",
    "InvalidOperation.NetworkInterfaceCountExceeded": "takes 65,536 interfaces; tests of core",
    "QuotaExceed.ElasticQuota": "takes a full data plane; tests of core",
    "QuotaExceed.ResourceGroup": "this API does not make resource groups",
    "IdempotentProcessing": "takes two requests at the same moment; tests of the server's tokens in use",
    "QuotaExceed": "takes a full data plane, and an operation that frees it",
    "SecurityGroupInstanceLimitExceed": "takes 6,000 addresses; tests of core",
    "LimitExceed.PrefixListAssociationResource": "takes 1,000 groups; tests of core",
}
CODE = re.compile(r'"((?:[A-Z][A-Za-z0-9]+)(?:\.[A-Z][A-Za-z0-9]+)*)"')


def codes_of_the_source():
    """Texts that look like a code, in the two tables of codes; names of parameters look the same and are left out."""
    parameters = set(CODE.findall((SOURCE / "catalog.rs").read_text())) | {"SecurityGroupIds", "InstanceIds"}
    found = set()
    for name in ("errors.rs", "errors/lists.rs", "refusals.rs"):
        text = (SOURCE / name).read_text().split("#[cfg(test)]")[0]
        found.update(CODE.findall(text))
    return found - parameters - {"Source", "Dest"}


def test_every_code_was_seen(request):
    # These files were run, so nothing was left out; a run of a part proves nothing about the whole.
    files = {item.path.name for item in request.session.items}
    wanted = {"test_sdk_v1.py", "test_sdk_v2.py", "test_libcloud.py", "test_wire.py", "test_slow.py", "test_ecs_flow_logs.py", "test_invariants.py"}
    if not wanted <= files or request.config.getoption("-k"):
        pytest.skip("only a part of the tests was run")
    codes = codes_of_the_source()
    assert len(codes) > 80, codes
    missing = codes - CODES_SEEN - set(NOT_PROVOKED)
    assert sorted(missing) == []
    idle = sorted(code for code in NOT_PROVOKED if code in CODES_SEEN)
    assert idle == [], "these can be provoked after all"
