"""The walk over botocore's own model: of every operation that is spoken, each member of request and reply is known here.

What is spoken is read from the coverage list, which a test of the sources keeps true; what replies are made of, from the
sources of the encoder. A member that a newer model brings fails the walk until it is handled or listed with a reason.
"""

import re
from pathlib import Path

import botocore.session
import pytest
from botocore.model import ListShape, StructureShape

ROOT = Path(__file__).parents[2]
COVERAGE = ROOT / "docs/coverage/ec2.tsv"
ENCODER = ROOT / "crates/cloud/src/ec2/describe"
# A parameter that the model has of one direction only, and that is taken for both.
LEGACY = {"GroupName"}
# Lists of things that there are none of: what one would show is of no interest.
ALWAYS_EMPTY = {
    "addressesSet", "imagesSet", "internetGatewaySet", "launchTemplates", "natGatewaySet", "snapshotSet", "volumeSet",
    "vpcEndpointSet",
}
# Members of replies that are left out, by the reason for it.
LEFT_OUT = {
    "an interface has no public address, no name in public and no prefix": (
        "associatePublicIpAddress association ipAddress ipv4Prefix ipv4PrefixSet ipv6PrefixSet publicDnsName "
        "publicIpDnsNameOptions publicIpv4Pool publicIpv6DnsName isPrimaryIpv6 customerOwnedIpv4Pool denyAllIgwTraffic"
    ),
    "an interface is a veth pair that belongs to its owner": (
        "associatedSubnetSet enaQueueCount enaSrdSpecification operator requesterId secondaryInterfaceSet "
        "enableLniAtDeviceIndex"
    ),
    "an instance is a namespace, without disks, firmware, a host to choose or a price": (
        "affinity associatedResource bootMode capacityBlockId capacityReservationId capacityReservationSpecification "
        "cpuOptions currentInstanceBootMode deviceName ebsCardIndex enclaveOptions rootDeviceName "
        "elasticGpuAssociationSet "
        "elasticInferenceAcceleratorAssociationSet enabled hibernationOptions hostId hostResourceGroupArn "
        "iamInstanceProfile instanceLifecycle kernelId keyName licenseSet maintenanceOptions metadataOptions "
        "metricCategoryIdSet networkPerformanceOptions partitionNumber platform platformDetails privateDnsNameOptions "
        "productCode ramdiskId spotInstanceRequestId spreadDomain sriovNetSupport tpmSupport usageOperation "
        "usageOperationUpdateTime volumeId volumeOwnerId"
    ),
    "nothing goes wrong by itself that a state would have to explain": "message stateMessage stateReason statusMessage",
    "networks come from no pool, lie in no outpost and have no further controls": (
        "blockPublicAccessStates encryptionControl ipSource ipv6AddressAttribute networkFirewallAssociationSet "
        "networkFirewallConnectivityType outpostArn privateDnsNameOptionsOnLaunch type"
    ),
    "a prefix list is edited by its owner, not by an address manager": (
        "ipamPrefixListResolverSyncEnabled ipamPrefixListResolverTargetId"
    ),
    "an analysis is about interfaces, groups and their rules; there is no other kind of hop, list or account": (
        "acl aclRule additionalAccountSet additionalDetailSet addressSet attachedTo availabilityZoneIdSet "
        "availabilityZoneSet cidrSet classicLoadBalancerListener componentAccount componentArn componentId "
        "componentRegion customerGateway destinationVpc elasticLoadBalancerListener filterInArnSet "
        "filterOutArnSet firewallStatefulRule firewallStatelessRule ingressRouteTable internetGateway "
        "loadBalancerArn loadBalancerListenerPort loadBalancerTarget loadBalancerTargetGroup "
        "loadBalancerTargetGroupSet loadBalancerTargetPort missingComponent natGateway packetField port "
        "portRangeSet protocolSet routeTable routeTableRoute serviceName sourceVpc subnetRouteTable "
        "suggestedAccountSet transitGateway transitGatewayAttachment transitGatewayPolicyTable "
        "transitGatewayPolicyTableEntry transitGatewayRouteTable transitGatewayRouteTableRoute vpcEndpoint "
        "vpcPeeringConnection vpnConnection vpnGateway warningMessage"
    ),
    "the delivery of logs is not the model's": "deliverLogsErrorMessage tagFieldSpecificationSet",
    "zones and regions are names": "geographySet subGeographySet groupLongName parentZoneId parentZoneName",
    "routes lead to the inside only": (
        "carrierGatewayId coreNetworkArn destinationPrefixListId egressOnlyInternetGatewayId igwFirewall "
        "localGatewayId natGatewayId odbNetworkArn transitGatewayId"
    ),
    "a default ACL says nothing about ports": "icmpTypeCode portRange",
    "absent for groups of the same VPC": "peeringStatus vpcPeeringConnectionId",
    "a peering connection has no options: names are not resolved across it": "peeringOptions multipathResilienceStatus",
}


def listed():
    """Operation to its parameters, of those that are spoken."""
    operations, parameters = set(), {}
    for line in COVERAGE.read_text().splitlines()[1:]:
        what, name, state, *_ = line.split("\t")
        if state == "missing":
            continue
        if what == "operation":
            operations.add(name)
        elif what == "parameter":
            operation, _, parameter = name.partition(".")
            parameters.setdefault(operation, set()).add(parameter)
    return {name: parameters.get(name, set()) for name in operations}


SPOKEN = listed()


@pytest.fixture(scope="module")
def models():
    session = botocore.session.get_session()
    return [session.get_service_model(service) for service in ("ec2", "sts")]


def operation_of(models, name):
    [found] = [model.operation_model(name) for model in models if name in model.operation_names]
    return found


def wire(member, shape):
    """How a member of a request is called on the wire."""
    said = shape.serialization
    name = said.get("queryName") or said.get("name", member)
    return name[0].upper() + name[1:]


def requested(shape, prefix="", seen=()):
    """The parameters of a request, as the catalog writes them."""
    for member, inner in shape.members.items():
        name = prefix + wire(member, inner)
        if isinstance(inner, ListShape):
            name, inner = name + ".N", inner.member
        if isinstance(inner, StructureShape) and inner.name not in seen:
            yield from requested(inner, name + ".", (*seen, inner.name))
        else:
            yield name


def is_known(name, known):
    """Whether a parameter is in the catalog: as it is, or below one that stands for all that is below it."""
    parts = name.split(".")
    above = (".".join(parts[:count]) + ".*" for count in range(1, len(parts) + 1))
    return name in known or any(one in known or one.replace(".N", "") in known for one in above)


@pytest.mark.parametrize("operation", sorted(SPOKEN))
def test_every_member_of_a_request_is_known(models, operation):
    shape = operation_of(models, operation).input_shape
    members = set(requested(shape)) - {"DryRun"} if shape else set()
    assert [name for name in sorted(members) if not is_known(name, SPOKEN[operation])] == []
    # And the other way round: nothing is read that no client can send.
    invented = [name for name in SPOKEN[operation] if not name.endswith(".*") and name not in members]
    assert sorted(set(invented) - LEGACY) == []


@pytest.fixture(scope="module")
def shown():
    """Every name that the encoder writes."""
    sources = "".join(path.read_text() for path in sorted(ENCODER.rglob("*.rs")))
    return set(re.findall(r'"([A-Za-z0-9]+)"', sources))


def replied(shape, shown, path="", seen=()):
    """The members of a reply that the encoder has no name for. What is below one is left out with it."""
    for member, inner in shape.members.items():
        name = inner.serialization.get("name", member)
        if name not in shown:
            yield f"{path}{name}", name
        elif name not in ALWAYS_EMPTY:
            inner = inner.member if isinstance(inner, ListShape) else inner
            if isinstance(inner, StructureShape) and inner.name not in seen:
                yield from replied(inner, shown, f"{path}{name}.", (*seen, inner.name))


@pytest.mark.parametrize("operation", sorted(SPOKEN))
def test_every_member_of_a_reply_is_shown_or_left_out_for_a_reason(models, shown, operation):
    shape = operation_of(models, operation).output_shape
    left_out = {name for names in LEFT_OUT.values() for name in names.split()}
    unknown = [path for path, name in replied(shape, shown) if name not in left_out] if shape else []
    assert unknown == []
