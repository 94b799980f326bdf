"""Every refusal that an SDK can provoke: operation, parameters, status and code. `$name` is an id of the estate.

Codes and statuses are those of the cloud, misspelt ones included. `test_codes` holds that no code of
`crates/cloud/src/ecs/{errors,refusals}.rs` is missing here without a reason.
"""

from dataclasses import dataclass, field

from estate import ANY, egress, rule

LONG = "x" * 600


@dataclass
class Refusal:
    """One row."""

    operation: str
    parameters: dict
    status: int
    code: str
    # The SDKs that can say this; a parameter that a client does not have cannot be wrong.
    clients: tuple = field(default=("v1", "v2"))

    def __str__(self):
        return f"{self.operation}-{self.code}-{','.join(self.parameters)}"


def no(status, code, operation, clients=("v1", "v2"), **parameters):
    return Refusal(operation, parameters, status, code, clients)


# The older SDK sends its client's region with every request, and has no IPv6 in VPC operations.
V2 = ("v2",)
BOTH = ("v1", "v2")
GROUP = "AuthorizeSecurityGroup"
OUT = "AuthorizeSecurityGroupEgress"
REVOKE = "RevokeSecurityGroup"


def bad_rule(status, code, operation=GROUP, group="$web", **changes):
    item = egress(**changes) if operation in (OUT, "RevokeSecurityGroupEgress") else rule(**changes)
    return no(status, code, operation, SecurityGroupId=group, Permissions=[item])


def flat(status, code, operation=GROUP, **changes):
    return no(status, code, operation, SecurityGroupId="$web", **rule(**changes))


def run(status, code, **changes):
    wanted = {"VSwitchId": "$vsw", "SecurityGroupId": "$web", "Amount": 1, **ANY, **changes}
    return no(status, code, "RunInstances", **wanted)


EVERY_OPERATION = [
    no(400, "MissingParameter", "CreateVpc", V2, RegionId=None),
    no(400, "MissingParameter", "DescribeSecurityGroups", V2, RegionId=None),
    no(400, "MissingParameter.RegionId", "DeleteSecurityGroup", V2, RegionId=None, SecurityGroupId="$web"),
    no(400, "MissingParameter.RegionId", "DescribeSecurityGroupAttribute", V2, RegionId=None, SecurityGroupId="$web"),
    no(400, "MissingParamter.RegionId", "ModifySecurityGroupPolicy", V2, RegionId=None, SecurityGroupId="$web",
       InnerAccessPolicy="Drop"),
    no(404, "InvalidRegionId.NotFound", "DescribeVpcs", RegionId="mars-1"),
    no(404, "InvalidSecurityGroupId.NotFound", "AuthorizeSecurityGroup", RegionId="cn-beijing",
       SecurityGroupId="$web", Permissions=[rule()]),
    no(400, "InvalidClientToken.ValueNotSupported", "CreateSecurityGroup", VpcId="$vpc", ClientToken="x" * 65),
    no(400, "DryRunOperation", "RunInstances", VSwitchId="$vsw", SecurityGroupId="$web", DryRun=True, **ANY),
    no(404, "InvalidAction.NotFound", "DescribeImages"),
    no(404, "InvalidAction.NotFound", "AllocateEipAddress"),
]

NETWORKS = [
    no(400, "InvalidParameter", "CreateVpc", CidrBlock="10.0.0.0"),
    no(400, "InvalidParameter", "CreateVpc", CidrBlock="10.0.0.1/8"),
    no(400, "InvalidParameter", "CreateVpc", CidrBlock="127.0.0.0/8"),
    no(400, "InvalidParameter", "CreateVpc", V2, CidrBlock="10.0.0.0/8", Ipv6CidrBlock="::1"),
    no(400, "InvalidVpcName.Malformed", "CreateVpc", VpcName="http://x"),
    no(400, "InvalidVpcDiscription.Malformed", "CreateVpc", Description="x"),
    no(404, "InvalidVpcId.NotFound", "DeleteVpc", VpcId="vpc-none"),
    no(400, "InvalidVpcId.Malformed", "DeleteVpc", VpcId="vpc none"),
    no(400, "DependencyViolation.VSwitch", "DeleteVpc", VpcId="$vpc"),
    no(400, "DependencyViolation.SecurityGroup", "DeleteVpc", VpcId="$lonely_vpc"),
    no(400, "InvalidVpcId.Malformed", "DescribeVpcs", VpcId="a,b c"),
    no(400, "InvalidParameter", "DescribeVpcs", PageSize=51),
    no(400, "InvalidParameter", "DescribeVpcs", PageNumber=0),
    no(404, "InvalidVpcId.NotFound", "CreateVSwitch", VpcId="vpc-none", ZoneId="cn-hangzhou-b",
       CidrBlock="10.9.0.0/24"),
    no(404, "InvalidZoneId.NotFound", "CreateVSwitch", VpcId="$vpc", ZoneId="cn-beijing-b", CidrBlock="10.9.0.0/24"),
    no(400, "MissingParameter", "CreateVSwitch", VpcId="$vpc", CidrBlock="10.9.0.0/24"),
    no(400, "InvalidCidrBlock.Malformed", "CreateVSwitch", VpcId="$vpc", ZoneId="cn-hangzhou-b", CidrBlock="10.9"),
    no(400, "InvalidParameter", "CreateVSwitch", VpcId="$vpc", ZoneId="cn-hangzhou-b", CidrBlock="192.168.0.0/24"),
    no(400, "InvalidParameter", "CreateVSwitch", VpcId="$vpc", ZoneId="cn-hangzhou-b", CidrBlock="10.9.0.0/30"),
    no(400, "InvalidCidrBlock.Overlapped", "CreateVSwitch", VpcId="$vpc", ZoneId="cn-hangzhou-b",
       CidrBlock="10.1.0.0/25"),
    no(403, "InvalidVSwitch.Ipv6NotTurnOn", "CreateVSwitch", V2, VpcId="$other_vpc",
       ZoneId="cn-hangzhou-b", CidrBlock="192.168.9.0/24", Ipv6CidrBlock=3),
    no(400, "InvalidParameter", "CreateVSwitch", V2, VpcId="$vpc", ZoneId="cn-hangzhou-b",
       CidrBlock="10.9.0.0/24", Ipv6CidrBlock=256),
    no(400, "InvalidVSwitchName.Malformed", "CreateVSwitch", VpcId="$vpc", ZoneId="cn-hangzhou-b",
       CidrBlock="10.9.0.0/24", VSwitchName="https://x"),
    no(400, "InvalidVSwitchDiscription.Malformed", "CreateVSwitch", VpcId="$vpc", ZoneId="cn-hangzhou-b",
       CidrBlock="10.9.0.0/24", Description="x" * 257),
    no(404, "InvalidVSwitchId.NotFound", "DeleteVSwitch", VSwitchId="vsw-none"),
    no(400, "InvalidVSwitchId.Malformed", "DeleteVSwitch", VSwitchId="*"),
    no(400, "DependencyViolation", "DeleteVSwitch", VSwitchId="$vsw"),
]

INSTANCES = [
    run(404, "InvalidVSwitchId.NotFound", VSwitchId="vsw-none"),
    run(400, "MissingParameter", VSwitchId=None),
    run(404, "InvalidSecurityGroupId.NotFound", SecurityGroupId="sg-none"),
    run(400, "InvalidSecurityGroupId.Malformed", SecurityGroupId="sg none"),
    run(400, "InvalidParameter", SecurityGroupIds=["$db"]),
    run(400, "InvalidParameter.Mismatch", SecurityGroupId="$elsewhere"),
    run(400, "InvalidOperation.MultiGroupType", SecurityGroupId=None, SecurityGroupIds=["$web", "$fort"]),
    run(403, "InstanceSecurityGroupLimitExceeded", SecurityGroupId=None, SecurityGroupIds="$eleven"),
    run(403, "AclLimitExceed", SecurityGroupId=None, SecurityGroupIds=["$long", "$longer"]),
    run(403, "InvalidParam.Amount", Amount=0),
    run(403, "InvalidParam.Amount", Amount=101),
    run(403, "InvalidParam.Amount", Amount=2, PrivateIpAddress="10.1.0.77"),
    run(400, "InvalidPrivateIpAddress.Malformed", PrivateIpAddress="10.1.0"),
    run(400, "InvalidPrivateIpAddress", PrivateIpAddress="10.2.0.5"),
    run(400, "InvalidPrivateIpAddress", PrivateIpAddress="10.1.0.255"),
    run(400, "InvalidPrivateIpAddress.Duplicated", PrivateIpAddress="10.1.0.9"),
    run(403, "InvalidVSwitchId.IpNotEnough", VSwitchId="$tiny", Amount=9),
    run(403, "InvalidVSwitch.Ipv6NotTurnOn", VSwitchId="$vsw4", Ipv6AddressCount=1),
    run(400, "InvalidParameter", Ipv6AddressCount=11),
    run(400, "InvalidParameter", NetworkInterface=[{"InstanceType": "Primary", "VSwitchId": "$vsw"}]),
    run(400, "InvalidParameter", NetworkInterface=[{"InstanceType": "Tertiary", "VSwitchId": "$vsw"}]),
    run(400, "MissingParameter", VSwitchId=None, SecurityGroupId=None, NetworkInterface=[{"InstanceType": "Primary"}]),
    run(403, "InvalidOperation.AvailabilityZoneMismatch", NetworkInterface=[{"VSwitchId": "$far_vsw"}]),
    run(403, "EniPerInstanceLimitExceeded", NetworkInterface=[{"SecurityGroupId": "$web"}] * 8),
    run(403, "InvalidParam.Amount", Amount=2, NetworkInterface=[{"NetworkInterfaceId": "$free"}]),
    run(403, "InvalidParam.Amount", Amount=2, NetworkInterface=[{"PrimaryIpAddress": "10.1.0.99"}]),
    run(404, "InvalidEniId.NotFound", NetworkInterface=[{"NetworkInterfaceId": "eni-none"}]),
    run(400, "InvalidOperation.InvalidEniState", NetworkInterface=[{"NetworkInterfaceId": "$attached"}]),
    run(400, "InvalidPrivateIpAddress.Duplicated", NetworkInterface=[{"PrimaryIpAddress": "10.1.0.9"}]),
    run(400, "InvalidPrivateIpAddress.Malformed", NetworkInterface=[{"PrimaryIpAddress": "ten"}]),
    run(403, "InvalidIp.Address", Ipv6Address=["10.0.0.1"]),
    run(403, "InvalidOperation.Ipv6CountExceeded", NetworkInterface=[{"Ipv6AddressCount": 11}]),
    run(404, "InvalidZoneId.NotFound", ZoneId="cn-hangzhou-c"),
    run(400, "InvalidInstanceName.Malformed", InstanceName="1"),
    run(400, "InvalidDescription.Malformed", Description="http://x"),
    no(404, "InvalidInstanceId.NotFound", "DeleteInstance", RegionId=None, InstanceId="i-none"),
    no(403, "IncorrectInstanceStatus", "DeleteInstance", RegionId=None, InstanceId="$i"),
    no(403, "IncorrectInstanceStatus", "DeleteInstances", InstanceId=["$stopped", "$i"]),
    no(403, "IncorrectInstanceStatus", "StartInstance", RegionId=None, InstanceId="$i"),
    no(403, "IncorrectInstanceStatus", "StopInstance", RegionId=None, InstanceId="$stopped"),
    no(403, "IncorrectInstanceStatus", "RebootInstance", RegionId=None, InstanceId="$stopped"),
    no(403, "IncorrectInstanceStatus", "StopInstances", InstanceId=["$i", "$stopped"]),
    no(404, "InvalidInstanceId.NotFound", "StartInstances", InstanceId=["$stopped", "i-none"]),
    no(400, "InvalidParameter", "RebootInstances", InstanceId=["$i"], BatchOptimization="Never"),
    no(400, "MissingParameter", "StartInstances"),
    no(404, "InvalidInstanceId.NotFound", "DescribeInstanceAttribute", RegionId=None, InstanceId="i-none"),
    no(400, "InvalidInstanceId.Malformed", "DescribeInstanceStatus", InstanceId=["i none"]),
    no(404, "InvalidInstanceId.NotFound", "ModifyInstanceAttribute", RegionId=None, InstanceId="i-none",
       InstanceName="web"),
    no(400, "InvalidInstanceName.Malformed", "ModifyInstanceAttribute", RegionId=None, InstanceId="$i",
       InstanceName="1"),
    no(400, "InvalidDescription.Malformed", "ModifyInstanceAttribute", RegionId=None, InstanceId="$i",
       Description="http://x"),
    no(400, "InvalidParameter", "ModifyInstanceAttribute", RegionId=None, InstanceId="$i", DeletionProtection=True),
    no(404, "InvalidSecurityGroupId.NotFound", "ModifyInstanceAttribute", RegionId=None, InstanceId="$i",
       SecurityGroupIds=["sg-none"]),
    no(400, "InvalidInstanceId.Mismatch", "ModifyInstanceAttribute", RegionId=None, InstanceId="$i",
       SecurityGroupIds=["$elsewhere"]),
    no(400, "InvalidOperation.MultiGroupType", "ModifyInstanceAttribute", RegionId=None, InstanceId="$i",
       SecurityGroupIds=["$web", "$fort"]),
    no(403, "InstanceSecurityGroupLimitExceeded", "ModifyInstanceAttribute", RegionId=None, InstanceId="$i",
       SecurityGroupIds="$eleven"),
    no(403, "AclLimitExceed", "ModifyInstanceAttribute", RegionId=None, InstanceId="$i",
       SecurityGroupIds=["$long", "$longer"]),
    no(400, "InvalidInstanceId.Malformed", "DeleteInstance", RegionId=None, InstanceId="i none"),
    no(404, "InvalidInstanceId.NotFound", "DeleteInstances", InstanceId=["$i", "i-none"]),
    no(400, "InvalidInstanceId.Malformed", "DescribeInstances", InstanceIds="i-1,i-2"),
    no(400, "InvalidPrivateIpAddress.Malformed", "DescribeInstances", PrivateIpAddresses='["10.0"]'),
    no(400, "InvalidParameter", "DescribeInstances", PageSize=101),
    no(400, "InvalidParameter", "DescribeInstances", MaxResults=5, NextToken="not a token"),
]

GROUPS = [
    no(403, "InvalidVpcId.NotFound", "CreateSecurityGroup"),
    no(404, "InvalidVpcId.NotFound", "CreateSecurityGroup", VpcId="vpc-none"),
    no(400, "InvalidSecurityGroupName.Malformed", "CreateSecurityGroup", VpcId="$vpc", SecurityGroupName="1web"),
    no(400, "InvalidSecurityGroupDiscription.Malformed", "CreateSecurityGroup", VpcId="$vpc", Description="x"),
    no(400, "InvalidParams.GroupType", "CreateSecurityGroup", VpcId="$vpc", SecurityGroupType="basic"),
    no(400, "InvalidTagKey.Malformed", "CreateSecurityGroup", VpcId="$vpc", Tag=[{"Key": "acs:x", "Value": "y"}]),
    no(400, "InvalidTagValue.Malformed", "CreateSecurityGroup", VpcId="$vpc", Tag=[{"Key": "x", "Value": "http://"}]),
    no(400, "Duplicate.TagKey", "CreateSecurityGroup", VpcId="$vpc",
       Tag=[{"Key": "x", "Value": "1"}, {"Key": "x", "Value": "2"}]),
    no(403, "QuotaExceed.Tags", "CreateSecurityGroup", VpcId="$vpc",
       Tag=[{"Key": f"k{number}", "Value": "v"} for number in range(21)]),
    no(404, "InvalidSecurityGroup.NotFound", "DeleteSecurityGroup", SecurityGroupId="sg-none"),
    no(400, "InvalidSecurityGroupId.Malformed", "DeleteSecurityGroup", SecurityGroupId="sg!"),
    no(403, "DependencyViolation", "DeleteSecurityGroup", SecurityGroupId="$web"),
    no(403, "DependencyViolation", "DeleteSecurityGroup", SecurityGroupId="$referred"),
    no(400, "InvalidPolicy.Malformed", "ModifySecurityGroupPolicy", SecurityGroupId="$web", InnerAccessPolicy="No"),
    no(400, "MissingParameter", "ModifySecurityGroupPolicy", SecurityGroupId="$web"),
    no(404, "InvalidParameter.InnerAccessPolicy", "ModifySecurityGroupPolicy", SecurityGroupId="$fort",
       InnerAccessPolicy="Accept"),
    no(404, "InvalidSecurityGroupId.NotFound", "ModifySecurityGroupPolicy", SecurityGroupId="sg-none",
       InnerAccessPolicy="Drop"),
    no(400, "InvalidSecurityGroupId.Malformed", "ModifySecurityGroupPolicy", SecurityGroupId="sg!",
       InnerAccessPolicy="Drop"),
    no(400, "InvalidSecurityGroupId.Malformed", "DescribeSecurityGroups", SecurityGroupIds="sg-1"),
    no(400, "InvalidParams.GroupType", "DescribeSecurityGroups", SecurityGroupType="small"),
    no(400, "InvalidParameter", "DescribeSecurityGroups", MaxResults=101),
    no(404, "InvalidSecurityGroupId.NotFound", "DescribeSecurityGroupAttribute", SecurityGroupId="sg-none"),
    no(400, "InvalidParameter", "DescribeSecurityGroupAttribute", SecurityGroupId="$web", Direction="up"),
]

RULES = [
    bad_rule(404, "InvalidSecurityGroupId.NotFound", group="sg-none"),
    bad_rule(400, "InvalidSecurityGroupId.Malformed", group="sg none"),
    bad_rule(400, "InvalidIpProtocol.ValueNotSupported", IpProtocol="sctp"),
    bad_rule(400, "InvalidIpProtocol.ValueNotSupported", IpProtocol="256"),
    bad_rule(400, "InvalidIpProtocol.ValueNotSupported", IpProtocol=None),
    bad_rule(400, "OperationDenied", IpProtocol="icmp"),
    bad_rule(400, "InvalidIpPortRange.Malformed", REVOKE, IpProtocol="icmp"),
    bad_rule(400, "InvalidIpPortRange.Malformed", "RevokeSecurityGroupEgress", IpProtocol="gre"),
    bad_rule(400, "InvalidPortRange.Malformed", PortRange=None),
    *[bad_rule(400, "InvalidParam.PortRange", PortRange=text) for text in ("22", "200/1", "0/1", "1/65536", "a/b")],
    bad_rule(400, "InvalidSourcePortRange.Malformed", SourcePortRange="x"),
    bad_rule(400, "InvalidSourcePortRange.Malformed", IpProtocol="icmp", PortRange="-1/-1", SourcePortRange="1/2"),
    bad_rule(400, "InvalidParam.ProtocolNotSupportPortRangeList", IpProtocol="icmp", PortRange=None,
             PortRangeListId="prl-1"),
    bad_rule(400, "InvalidPortRangeListId.NotFound", PortRange=None, PortRangeListId="prl-none"),
    bad_rule(404, "InvalidPrefixListId.NotFound", SourceCidrIp=None, SourcePrefixListId="pl-none"),
    bad_rule(404, "InvalidPrefixListId.NotFound", OUT, DestCidrIp=None, DestPrefixListId="pl none"),
    bad_rule(404, "InvalidSourceGroupId.NotFound", SourceCidrIp=None, SourceGroupId="sg-none"),
    bad_rule(404, "InvalidSourceGroupId.NotFound", SourceCidrIp=None, SourceGroupId="$db",
             SourceGroupOwnerAccount="nobody"),
    bad_rule(404, "InvalidDestGroupId.NotFound", OUT, DestCidrIp=None, DestGroupId="sg-none"),
    bad_rule(400, "InvalidSourceGroupId.Mismatch", SourceCidrIp=None, SourceGroupId="$elsewhere"),
    bad_rule(400, "InvalidDestGroupId.Mismatch", OUT, DestCidrIp=None, DestGroupId="$elsewhere"),
    bad_rule(403, "InvalidParamter.Conflict", SourceCidrIp=None, SourceGroupId="$web"),
    bad_rule(403, "InvalidSecurityGroup.IsSame", OUT, DestCidrIp=None, DestGroupId="$web"),
    bad_rule(400, "InvalidGroupAuthParameter.OperationDenied", SourceCidrIp=None, SourceGroupId="$fort"),
    bad_rule(400, "InvalidGroupParameter.OperationDenied", group="$fort", SourceCidrIp=None, SourceGroupId="$web"),
    *[bad_rule(400, "InvalidParam.SourceCidrIp", SourceCidrIp=text) for text in ("10.0.0.0/33", "::1", "ten")],
    bad_rule(400, "InvalidParam.DestCidrIp", OUT, DestCidrIp="10.0.0/8"),
    bad_rule(400, "InvalidParam.Ipv6SourceCidrIp", SourceCidrIp=None, Ipv6SourceCidrIp="10.0.0.0/8"),
    bad_rule(400, "InvalidParam.Ipv6DestCidrIp", OUT, DestCidrIp=None, Ipv6DestCidrIp="::/129"),
    bad_rule(400, "InvalidParam.SourceIp", Ipv6SourceCidrIp="::/0"),
    bad_rule(400, "InvalidParam.DestIp", OUT, Ipv6DestCidrIp="::/0"),
    bad_rule(400, "InvalidParam.Ipv4ProtocolConflictWithIpv6Address", IpProtocol="icmp", PortRange="-1/-1",
             SourceCidrIp=None, Ipv6SourceCidrIp="::/0"),
    bad_rule(400, "InvalidParam.Ipv6ProtocolConflictWithIpv4Address", IpProtocol="icmpv6", PortRange="-1/-1"),
    bad_rule(400, "InvalidParameter.Conflict", Ipv6DestCidrIp="2001:db8::/64"),
    bad_rule(400, "InvalidParamter.Conflict", DestCidrIp="10.0.0.0/8"),
    bad_rule(400, "InvalidPolicy.Malformed", Policy="reject"),
    bad_rule(400, "InvalidPriority.Malformed", Priority="high"),
    bad_rule(400, "InvalidPriority.ValueNotSupported", Priority="101"),
    bad_rule(400, "InvalidPriority.ValueNotSupported", Priority="0"),
    bad_rule(400, "InvalidSecurityGroupDiscription.Malformed", Description=LONG),
    bad_rule(400, "MissingParameter.Source", SourceCidrIp=None),
    bad_rule(400, "MissingParameter.Dest", OUT, DestCidrIp=None),
    flat(403, "MissingParameter", SourceCidrIp=None),
    flat(400, "MissingParameter", REVOKE, SourceCidrIp=None),
    flat(400, "InvalidSourceCidrIp.Malformed", SourceCidrIp="10"),
    flat(400, "InvalidDestCidrIp.Malformed", DestCidrIp="10"),
    no(400, "InvalidParam.Permissions", GROUP, SecurityGroupId="$web", Permissions=[rule()], IpProtocol="tcp"),
    no(400, "InvalidParam.Permissions", GROUP, SecurityGroupId="$web", Permissions=[rule(n) for n in range(1, 102)]),
    no(400, "InvalidParam.DuplicatePermissions", GROUP, SecurityGroupId="$web",
       Permissions=[rule(), rule(SourceCidrIp="10.0.0.0/8", IpProtocol="TCP", Description="again")]),
    no(400, "InvalidParam.Permissions", REVOKE, SecurityGroupId="$web", Permissions=[rule()],
       SecurityGroupRuleId=["sgr-1"]),
    no(400, "InvalidParam.SecurityGroupRuleId", REVOKE, SecurityGroupId="$web", SecurityGroupRuleId=["sgr 1"]),
    no(400, "InvalidParam.SecurityGroupRuleId", REVOKE, SecurityGroupId="$web",
       SecurityGroupRuleId=[f"sgr-{n}" for n in range(101)]),
    no(400, "InvalidParam.SecurityGroupRuleIdRepeated", REVOKE, SecurityGroupId="$web",
       SecurityGroupRuleId=["sgr-1", "sgr-1"]),
    no(404, "InvalidSecurityGroupRuleId.NotFound", REVOKE, SecurityGroupId="$web", SecurityGroupRuleId=["sgr-none"]),
    no(403, "AuthorizationLimitExceed", GROUP, SecurityGroupId="$full", Permissions=[rule(1001)]),
    bad_rule(400, "AuthorizedGroupRule.LimitExceed", group="$popular", SourceCidrIp=None,
             SourceGroupId="$twenty_first"),
]

MEMBERS = [
    no(400, "MissingParameter", "JoinSecurityGroup", SecurityGroupId="$db"),
    no(400, "MissingParameter", "JoinSecurityGroup", InstanceId="$i"),
    no(403, "InvalidParam.EniIdAndInstanceId.Conflict", "JoinSecurityGroup", SecurityGroupId="$db", InstanceId="$i",
       NetworkInterfaceId="$eni"),
    no(400, "MissingParameter.RegionId", "JoinSecurityGroup", V2, RegionId=None, SecurityGroupId="$db",
       NetworkInterfaceId="$eni"),
    no(404, "InvalidSecurityGroupId.NotFound", "JoinSecurityGroup", SecurityGroupId="sg-none", InstanceId="$i"),
    no(404, "InvalidInstanceId.NotFound", "JoinSecurityGroup", SecurityGroupId="$db", InstanceId="i-none"),
    no(404, "InvalidEniId.NotFound", "JoinSecurityGroup", SecurityGroupId="$db", NetworkInterfaceId="eni-none"),
    no(400, "InvalidParam.Malformed", "JoinSecurityGroup", SecurityGroupId="$db", NetworkInterfaceId="eni none"),
    no(403, "InvalidInstanceId.AlreadyExists", "JoinSecurityGroup", SecurityGroupId="$web", InstanceId="$i"),
    no(400, "InvalidInstanceId.Mismatch", "JoinSecurityGroup", SecurityGroupId="$elsewhere", InstanceId="$i"),
    no(403, "InvalidOperation.VpcMismatch", "JoinSecurityGroup", SecurityGroupId="$elsewhere",
       NetworkInterfaceId="$eni"),
    no(400, "InvalidOperation.MultiGroupType", "JoinSecurityGroup", SecurityGroupId="$fort", InstanceId="$i"),
    no(400, "InstanceSecurityGroupLimitExceeded", "JoinSecurityGroup", SecurityGroupId="$db", InstanceId="$busy"),
    no(403, "AclLimitExceed", "JoinSecurityGroup", SecurityGroupId="$longer", InstanceId="$reader"),
    no(400, "InvalidSecurityGroupAssociation.NotFound", "LeaveSecurityGroup", SecurityGroupId="$db", InstanceId="$i"),
    no(403, "InstanceLastSecurityGroup", "LeaveSecurityGroup", SecurityGroupId="$web", InstanceId="$i"),
    no(403, "InvalidOperation.AtLeastInOneGroup", "LeaveSecurityGroup", SecurityGroupId="$web",
       NetworkInterfaceId="$eni"),
    no(404, "InvalidInstanceId.NotFound", "LeaveSecurityGroup", SecurityGroupId="$web", InstanceId="i-none"),
]

MODIFY = "ModifySecurityGroupRule"
MODIFY_OUT = "ModifySecurityGroupEgressRule"


def edit(status, code, operation=MODIFY, rule_id="$rule", clients=BOTH, **changes):
    return no(status, code, operation, clients, SecurityGroupId="$edited", SecurityGroupRuleId=rule_id, **changes)


EDITS = [
    no(404, "InvalidSecurityGroupId.NotFound", "ModifySecurityGroupAttribute", SecurityGroupId="sg-none",
       SecurityGroupName="ab"),
    no(400, "InvalidSecurityGroupName.Malformed", "ModifySecurityGroupAttribute", SecurityGroupId="$web",
       SecurityGroupName="1"),
    no(400, "InvalidSecurityGroupDiscription.Malformed", "ModifySecurityGroupAttribute", SecurityGroupId="$web",
       Description="x"),
    no(403, "InvalidOperation.ResourceManagedByCloudProduct", "ModifySecurityGroupAttribute",
       SecurityGroupId="$managed", SecurityGroupName="ab"),
    no(403, "InvalidOperation.ResourceManagedByCloudProduct", "JoinSecurityGroup", SecurityGroupId="$managed",
       InstanceId="$i"),
    no(403, "InvalidOperation.ResourceManagedByCloudProduct", "RunInstances", VSwitchId="$vsw",
       SecurityGroupId="$managed", **ANY),
    no(403, "InvalidOperation.DeletionProtection", "DeleteSecurityGroup", SecurityGroupId="$protected"),
    edit(404, "InvalidSecurityGroupRuleId.NotFound", rule_id="sgr-none", Priority="2"),
    edit(404, "InvalidSecurityGroupRuleId.NotFound", MODIFY_OUT, Priority="2"),
    edit(400, "InvalidParam.SecurityGroupRuleId", rule_id="sgr none", Priority="2"),
    edit(400, "InvalidParam.InvalidModifyRuleRequest"),
    edit(400, "InvalidOperation.ModifySgRuleEntityType", Ipv6SourceCidrIp="::/0"),
    edit(400, "InvalidOperation.ModifySgRuleEntityType", SourceGroupId="$db"),
    edit(400, "InvalidOperation.ModifySgRuleEntityType", SourcePrefixListId="$prefixes"),
    edit(400, "InvalidOperation.ModifyPortRangeType", PortRangeListId="$ports"),
    edit(400, "InvalidOperation.RuleDuplicate", PortRange="81/81"),
    edit(400, "InvalidParam.ProtocolAndPortRangeMismatch", IpProtocol="icmp"),
    edit(400, "InvalidParam.ProtocolAndAddressFamilyMismatch", IpProtocol="icmpv6", PortRange="-1/-1"),
    edit(400, "InvalidParam.ProtocolAndAddressFamilyMismatch", Ipv6DestCidrIp="2001:db8::/32"),
    edit(400, "OperationDenied", IpProtocol="gre", PortRange="1/2"),
    edit(400, "InvalidParam.PortRange", PortRange="1"),
    edit(400, "InvalidPriority.ValueNotSupported", Priority="101"),
    edit(400, "InvalidSourcePortRange.Malformed", SourcePortRange="x"),
    edit(400, "InvalidPolicy.Malformed", Policy="maybe"),
    edit(400, "InvalidSecurityGroupDiscription.Malformed", Description=LONG),
    no(404, "SecurityGroupRule.NotFound", MODIFY, SecurityGroupId="$edited", Description="x", **rule(4_711)),
    no(404, "SecurityGroupRule.NotFound", MODIFY_OUT, SecurityGroupId="$edited", Description="x", **egress(80)),
    no(403, "MissingParameter", MODIFY, SecurityGroupId="$edited", IpProtocol="tcp", PortRange="80/80"),
    no(404, "InvalidSecurityGroupId.NotFound", "DescribeSecurityGroupReferences", SecurityGroupId=["$web", "sg-none"]),
    no(400, "InvalidSecurityGroupId.Malformed", "DescribeSecurityGroupReferences",
       SecurityGroupId=[f"sg-{number}" for number in range(11)]),
    no(400, "InvalidSecurityGroupId.Malformed", "DescribeSecurityGroupReferences", SecurityGroupId=["sg none"]),
]


def prefixes(status, code, operation="CreatePrefixList", **changes):
    wanted = {"PrefixListName": "offices", "AddressFamily": "IPv4", "MaxEntries": 2, **changes}
    return no(status, code, operation, **{name: value for name, value in wanted.items() if value is not None})


def ports(status, code, operation="CreatePortRangeList", **changes):
    wanted = {"PortRangeListName": "web", "MaxEntries": 2, **changes}
    return no(status, code, operation, **{name: value for name, value in wanted.items() if value is not None})


def cidrs(*texts):
    return [{"Cidr": text} for text in texts]


def ranges(*texts):
    return [{"PortRange": text} for text in texts]


LISTS = [
    prefixes(400, "MissingParameter", PrefixListName=None),
    prefixes(400, "MissingParameter", MaxEntries=None),
    prefixes(400, "InvalidParameter", MaxEntries=201),
    prefixes(400, "InvalidParameter.AddressFamily", AddressFamily="IP"),
    prefixes(400, "InvalidParameter.PrefixListName", PrefixListName="1"),
    prefixes(400, "InvalidParameter.PrefixListName", PrefixListName="com.aliyun.offices"),
    prefixes(400, "InvalidDescription.Malformed", Description="x"),
    prefixes(400, "InvalidDescription.Malformed", Entry=[{"Cidr": "10.0.0.0/8", "Description": "x" * 33}]),
    prefixes(400, "InvalidParameter.CidrMalformed", Entry=cidrs("10.0.0.1/8")),
    prefixes(400, "InvalidParameter.CidrMalformed", Entry=cidrs("::/0")),
    prefixes(400, "InvalidParameter.CidrDuplicated", Entry=cidrs("10.0.0.1", "10.0.0.1/32")),
    prefixes(400, "LimitExceed.MaxEntries", Entry=cidrs("10.0.0.0/8", "11.0.0.0/8", "12.0.0.0/8")),
    prefixes(400, "LimitExceed.Entry", Entry=cidrs(*(f"10.0.{number}.0/24" for number in range(201)))),
    no(400, "LimitExceed.MaxEntries", "ModifyPrefixList", PrefixListId="$prefixes",
       AddEntry=cidrs("10.0.0.0/8", "11.0.0.0/8", "12.0.0.0/8")),
    no(400, "InvalidParameter.CidrDuplicated", "ModifyPrefixList", PrefixListId="$prefixes",
       AddEntry=cidrs("10.0.0.0/8"), RemoveEntry=cidrs("10.0.0.0/8")),
    no(404, "InvalidPrefixListId.NotFound", "ModifyPrefixList", PrefixListId="pl-none"),
    no(404, "InvalidPrefixListId.NotFound", "ModifyPrefixList", RegionId="cn-beijing", PrefixListId="$prefixes"),
    no(404, "InvalidPrefixListId.NotFound", "DeletePrefixList", PrefixListId="pl-none"),
    no(400, "NotAllowed.AssociationExist", "DeletePrefixList", PrefixListId="$prefixes"),
    no(404, "InvalidPrefixListId.NotFound", "DescribePrefixListAttributes", PrefixListId="pl-none"),
    no(404, "InvalidPrefixListId.NotFound", "DescribePrefixListAssociations", PrefixListId="pl-none"),
    no(400, "LimitExceed.PrefixListId", "DescribePrefixLists", PrefixListId=[f"pl-{n}" for n in range(101)]),
    no(400, "InvalidParameter.AddressFamily", "DescribePrefixLists", AddressFamily="IP"),
    no(400, "InvalidParameter", "DescribePrefixLists", MaxResults=101),
    bad_rule(400, "InvalidParam.PrefixListAddressFamilyMismatch", SourceCidrIp=None, SourcePrefixListId="$prefixes",
             Ipv6DestCidrIp="2001:db8::/32"),
    ports(400, "MissingParameter", PortRangeListName=None),
    ports(400, "InvalidParameter.PortRangeListName", PortRangeListName="-"),
    ports(400, "InvalidOperation.MaxEntriesCountExceed", MaxEntries=2_001),
    ports(400, "InvalidDescription.Malformed", Description="http://x"),
    ports(400, "InvalidParam.Entry", Entry=[{"Description": "no ports"}]),
    ports(400, "InvalidParameter.PortRange", Entry=ranges("443")),
    ports(400, "InvalidParameter.PortRange", Entry=ranges("2/1")),
    ports(400, "InvalidParameter.PortRangeDuplicated", Entry=ranges("1/2", "1/2")),
    ports(400, "InvalidOperation.EntryCountExceedMaxEntries", Entry=ranges("1/1", "2/2", "3/3")),
    ports(400, "LimitExceed.Entry", MaxEntries=300, Entry=ranges(*(f"{n}/{n}" for n in range(1, 202)))),
    no(400, "InvalidOperation.EntryCountExceedMaxEntries", "ModifyPortRangeList", PortRangeListId="$ports",
       AddEntry=ranges("1/1", "2/2", "3/3")),
    no(400, "InvalidParameter.PortRangeDuplicated", "ModifyPortRangeList", PortRangeListId="$ports",
       AddEntry=ranges("1/1"), RemoveEntry=ranges("1/1")),
    no(400, "InvalidPortRangeListId.NotFound", "ModifyPortRangeList", PortRangeListId="prl-none"),
    no(400, "InvalidPortRangeListId.NotFound", "DeletePortRangeList", PortRangeListId="prl-none"),
    no(400, "InvalidPortRangeListId.AssociationExist", "DeletePortRangeList", PortRangeListId="$ports"),
    no(400, "InvalidPortRangeListId.NotFound", "DescribePortRangeListEntries", PortRangeListId="prl-none"),
    no(400, "InvalidPortRangeListId.NotFound", "DescribePortRangeListAssociations", PortRangeListId="prl-none"),
    no(404, "InvalidRegionId.NotFound", "DescribePortRangeLists", RegionId="mars-1"),
]

ON_WEB = {"ResourceType": "securitygroup", "ResourceId": ["$web"]}
TAGS = [
    no(404, "MissingParameter.ResourceType", "TagResources", ResourceId=["$web"], Tag=[{"Key": "a"}]),
    no(404, "MissingParameter.ResourceIds", "TagResources", ResourceType="securitygroup", Tag=[{"Key": "a"}]),
    no(404, "MissingParameter.Tags", "TagResources", **ON_WEB),
    no(404, "MissingParameter.Tags", "UntagResources", **ON_WEB),
    no(404, "MissingParameter.RegionId", "ListTagResources", V2, **ON_WEB, RegionId=None),
    no(404, "InvalidResourceType.NotFound", "TagResources", ResourceType="moon", ResourceId=["$web"],
       Tag=[{"Key": "a"}]),
    no(404, "InvalidResourceId.NotFound", "TagResources", ResourceType="securitygroup",
       ResourceId=["$web", "sg-none"], Tag=[{"Key": "a"}]),
    no(400, "NumberExceed.ResourceIds", "TagResources", ResourceType="securitygroup",
       ResourceId=[f"sg-{n}" for n in range(51)], Tag=[{"Key": "a"}]),
    no(400, "NumberExceed.Tags", "TagResources", **ON_WEB, Tag=[{"Key": f"k{n}"} for n in range(21)]),
    no(400, "NumberExceed.Tags", "UntagResources", **ON_WEB, TagKey=[f"k{n}" for n in range(21)]),
    no(400, "Duplicate.TagKey", "TagResources", **ON_WEB, Tag=[{"Key": "a"}, {"Key": "a"}]),
    no(400, "InvalidTagKey.Malformed", "TagResources", **ON_WEB, Tag=[{"Key": "acs:a"}]),
    no(400, "InvalidTagValue.Malformed", "TagResources", **ON_WEB, Tag=[{"Key": "a", "Value": "http://a"}]),
    no(400, "OperationDenied.QuotaExceed", "TagResources", ResourceType="securitygroup", ResourceId=["$tagged"],
       Tag=[{"Key": "one-more"}]),
    no(404, "InvalidResourceGroup.NotFound", "CreateSecurityGroup", VpcId="$vpc", ResourceGroupId="rg-none"),
    no(404, "InvalidResourceGroup.NotFound", "JoinResourceGroup", ResourceType="securitygroup", ResourceId="$web",
       ResourceGroupId="rg-none"),
    no(400, "IdempotentParameterMismatch", "CreateSecurityGroup", VpcId="$vpc", ClientToken="$token"),
    no(400, "InvalidClientToken.ValueNotSupported", "CreateSecurityGroup", VpcId="$vpc", ClientToken="a b"),
]

ATTACH, DETACH, CHANGE = "AttachNetworkInterface", "DetachNetworkInterface", "ModifyNetworkInterfaceAttribute"
ASSIGN, UNASSIGN = "AssignPrivateIpAddresses", "UnassignPrivateIpAddresses"


def new_eni(status, code, clients=("v1", "v2"), **changes):
    wanted = {"VSwitchId": "$vsw", "SecurityGroupId": "$web", **changes}
    return no(status, code, "CreateNetworkInterface", clients, **wanted)


def timeout(field, seconds):
    return new_eni(400, "InvalidParameter", V2, ConnectionTrackingConfiguration={field: seconds})


INTERFACES = [
    new_eni(404, "InvalidVSwitchId.NotFound", VSwitchId="vsw-none"),
    new_eni(400, "MissingParameter", VSwitchId=None),
    new_eni(400, "MissingParameter", SecurityGroupId=None),
    new_eni(404, "InvalidSecurityGroupId.NotFound", SecurityGroupId="sg-none"),
    new_eni(400, "InvalidParameter", SecurityGroupIds=["$db"]),
    new_eni(403, "InvalidOperation.VpcMismatch", SecurityGroupId="$elsewhere"),
    new_eni(400, "InvalidOperation.MultiGroupType", SecurityGroupId=None, SecurityGroupIds=["$web", "$fort"]),
    new_eni(403, "InstanceSecurityGroupLimitExceeded", SecurityGroupId=None, SecurityGroupIds="$eleven"),
    new_eni(403, "AclLimitExceed", SecurityGroupId=None, SecurityGroupIds=["$long", "$longer"]),
    new_eni(400, "InvalidPrivateIpAddress.Malformed", PrimaryIpAddress="10.1"),
    new_eni(403, "InvalidVSwitchId.IpInvalid", PrimaryIpAddress="10.2.0.5"),
    new_eni(403, "InvalidVSwitchId.IpInvalid", PrimaryIpAddress="10.1.0.253"),
    new_eni(403, "InvalidIp.IpAssigned", PrimaryIpAddress="10.1.0.9"),
    new_eni(403, "InvalidIp.IpRepeated", V2, PrivateIpAddress=["10.1.0.77", "10.1.0.77"]),
    new_eni(403, "InvalidIp.IpRepeated", V2, PrimaryIpAddress="10.1.0.77", PrivateIpAddress=["10.1.0.77"]),
    new_eni(400, "InvalidParameter", V2, PrivateIpAddress=["10.1.0.77"], SecondaryPrivateIpAddressCount=1),
    new_eni(403, "InvalidOperation.Ipv4CountExceeded", SecondaryPrivateIpAddressCount=50),
    new_eni(403, "InvalidOperation.Ipv6CountExceeded", Ipv6AddressCount=11),
    new_eni(403, "InvalidVSwitchId.IpNotEnough", VSwitchId="$tiny", SecondaryPrivateIpAddressCount=9),
    new_eni(403, "InvalidVSwitch.Ipv6NotTurnOn", VSwitchId="$vsw4", Ipv6AddressCount=1),
    new_eni(403, "InvalidIp.Address", V2, Ipv6Address=["10.0.0.1"]),
    new_eni(400, "InvalidParameter", InstanceType="Trunk"),
    new_eni(400, "InvalidParameter", V2, Ipv4PrefixCount=1),
    new_eni(400, "InvalidParameter", NetworkInterfaceName="1"),
    new_eni(400, "InvalidDescription.Malformed", Description="http://x"),
    timeout("TcpEstablishedTimeout", 911),
    timeout("TcpClosedAndTimeWaitTimeout", 2),
    timeout("UdpTimeout", 31),
    no(404, "InvalidEniId.NotFound", ATTACH, NetworkInterfaceId="eni-none", InstanceId="$i"),
    no(400, "InvalidParams.EniId", ATTACH, NetworkInterfaceId="eni none", InstanceId="$i"),
    no(404, "InvalidEcsId.NotFound", ATTACH, NetworkInterfaceId="$free", InstanceId="i-none"),
    no(400, "InvalidInstanceID.Malformed", ATTACH, NetworkInterfaceId="$free", InstanceId="i none"),
    no(400, "MissingParameter", ATTACH, NetworkInterfaceId="$free"),
    no(403, "InvalidOperation.VpcMismatch", ATTACH, NetworkInterfaceId="$other_eni", InstanceId="$i"),
    no(403, "InvalidOperation.AvailabilityZoneMismatch", ATTACH, NetworkInterfaceId="$far", InstanceId="$i"),
    no(400, "InvalidOperation.InvalidEniState", ATTACH, NetworkInterfaceId="$attached", InstanceId="$i"),
    no(403, "InvalidOperation.InvalidEniType", ATTACH, NetworkInterfaceId="$eni", InstanceId="$busy"),
    no(403, "EniPerInstanceLimitExceeded", ATTACH, NetworkInterfaceId="$free", InstanceId="$laden"),
    no(400, "InvalidParameter", ATTACH, NetworkInterfaceId="$free", InstanceId="$i", TrunkNetworkInstanceId="eni-1"),
    no(400, "InvalidOperation.DetachPrimaryEniNotAllowed", DETACH, NetworkInterfaceId="$eni", InstanceId="$i"),
    no(400, "InvalidOperation.InvalidEniState", DETACH, NetworkInterfaceId="$free", InstanceId="$i"),
    no(400, "InvalidOperation.InvalidEniState", DETACH, NetworkInterfaceId="$attached", InstanceId="$i"),
    no(404, "InvalidEcsId.NotFound", DETACH, NetworkInterfaceId="$attached", InstanceId="i-none"),
    no(404, "InvalidEniId.NotFound", "DeleteNetworkInterface", NetworkInterfaceId="eni-none"),
    no(400, "InvalidOperation.InvalidEniState", "DeleteNetworkInterface", NetworkInterfaceId="$attached"),
    no(403, "InvalidOperation.InvalidEniType", "DeleteNetworkInterface", NetworkInterfaceId="$eni"),
    no(404, "InvalidEniId.NotFound", "DescribeNetworkInterfaceAttribute", NetworkInterfaceId="eni-none"),
    no(400, "InvalidParameter", "DescribeNetworkInterfaces", PageSize=501),
    no(400, "InvalidParameter", "DescribeNetworkInterfaces", V2, MaxResults=501),
    no(400, "InvalidParams.EniId", "DescribeNetworkInterfaces", NetworkInterfaceId=["eni none"]),
    no(404, "InvalidEniId.NotFound", CHANGE, NetworkInterfaceId="eni-none", NetworkInterfaceName="web"),
    no(403, "InvalidOperation.InvalidEniType", CHANGE, NetworkInterfaceId="$eni", SecurityGroupId=["$db"]),
    no(404, "InvalidSecurityGroupId.NotFound", CHANGE, NetworkInterfaceId="$free", SecurityGroupId=["sg-none"]),
    no(403, "InvalidOperation.VpcMismatch", CHANGE, NetworkInterfaceId="$free", SecurityGroupId=["$elsewhere"]),
    no(400, "InvalidOperation.MultiGroupType", CHANGE, NetworkInterfaceId="$free", SecurityGroupId=["$web", "$fort"]),
    no(403, "InstanceSecurityGroupLimitExceeded", CHANGE, NetworkInterfaceId="$free", SecurityGroupId="$eleven"),
    no(403, "AclLimitExceed", CHANGE, NetworkInterfaceId="$free", SecurityGroupId=["$long", "$longer"]),
    no(400, "InvalidParameter", CHANGE, V2, NetworkInterfaceId="$free",
       ConnectionTrackingConfiguration={"UdpTimeout": 5}),
    no(400, "MissingParameter", ASSIGN, NetworkInterfaceId="$free"),
    no(400, "InvalidParameter", ASSIGN, NetworkInterfaceId="$free", PrivateIpAddress=["10.1.0.77"],
       SecondaryPrivateIpAddressCount=1),
    no(404, "InvalidEniId.NotFound", ASSIGN, NetworkInterfaceId="eni-none", SecondaryPrivateIpAddressCount=1),
    no(403, "InvalidIp.IpAssigned", ASSIGN, NetworkInterfaceId="$free", PrivateIpAddress=["10.1.0.9"]),
    no(403, "InvalidIp.IpRepeated", ASSIGN, NetworkInterfaceId="$free", PrivateIpAddress=["10.1.0.77"] * 2),
    no(403, "InvalidVSwitchId.IpInvalid", ASSIGN, NetworkInterfaceId="$free", PrivateIpAddress=["10.2.0.5"]),
    no(403, "InvalidOperation.Ipv4CountExceeded", ASSIGN, NetworkInterfaceId="$free",
       SecondaryPrivateIpAddressCount=50),
    no(400, "MissingParameter", UNASSIGN, NetworkInterfaceId="$free"),
    no(403, "InvalidIp.IpUnassigned", UNASSIGN, NetworkInterfaceId="$free", PrivateIpAddress=["10.1.0.9"]),
    no(403, "InvalidOperation.Ipv6CountExceeded", "AssignIpv6Addresses", NetworkInterfaceId="$free",
       Ipv6AddressCount=11),
    no(403, "InvalidIp.Address", "AssignIpv6Addresses", NetworkInterfaceId="$free", Ipv6Address=["10.1.0.1"]),
    no(403, "InvalidVSwitch.Ipv6NotTurnOn", "AssignIpv6Addresses", NetworkInterfaceId="$far", Ipv6AddressCount=1),
    no(403, "InvalidIp.IpUnassigned", "UnassignIpv6Addresses", NetworkInterfaceId="$free", Ipv6Address=["2001:db8::1"]),
    no(404, "InvalidVpcId.NotFound", "DescribeVpcAttribute", V2, VpcId="vpc-none"),
    no(404, "InvalidVpcId.NotFound", "ModifyVpcAttribute", VpcId="vpc-none", VpcName="x"),
    no(400, "InvalidParameter", "ModifyVpcAttribute", V2, VpcId="$vpc", Ipv6CidrBlock="2001:db8:1:100::/56"),
    no(404, "InvalidVSwitchId.NotFound", "DescribeVSwitchAttributes", V2, VSwitchId="vsw-none"),
    no(404, "InvalidVSwitchId.NotFound", "ModifyVSwitchAttribute", VSwitchId="vsw-none", VSwitchName="x"),
    no(403, "InvalidVSwitch.Ipv6NotTurnOn", "ModifyVSwitchAttribute", V2, VSwitchId="$other_vsw", EnableIPv6=True),
    no(404, "InvalidRegionId.NotFound", "DescribeZones", RegionId="mars-1"),
]

ON_MANAGED = {"NetworkInterfaceId": "$managed_eni"}
REPORTS = [
    no(400, "InvalidResource.NotExists", "CreateDiagnosticReport", ResourceId="i-none"),
    no(400, "InvalidParameter", "CreateDiagnosticReport", ResourceId="$i", MetricSetId="dms-none"),
    no(400, "InvalidParameter", "CreateDiagnosticReport", ResourceId="$i", StartTime="yesterday"),
    no(400, "InvalidReport.NotExists", "DescribeDiagnosticReportAttributes", ReportId="dr-none"),
    no(400, "InvalidParameter.AttributeNotSupported", "DescribeSecurityGroupAttribute", SecurityGroupId="$web",
       Attribute="colour"),
    no(403, "InvalidOperation.EniServiceManaged", ATTACH, **ON_MANAGED, InstanceId="$i"),
    no(403, "InvalidOperation.EniServiceManaged", CHANGE, **ON_MANAGED, NetworkInterfaceName="mine"),
    no(403, "InvalidOperation.EniServiceManaged", ASSIGN, **ON_MANAGED, SecondaryPrivateIpAddressCount=1),
    no(403, "InvalidOperation.EniServiceManaged", "DeleteNetworkInterface", **ON_MANAGED),
    no(403, "InvalidOperation.EniServiceManaged", "JoinSecurityGroup", **ON_MANAGED, SecurityGroupId="$db"),
    no(403, "InvalidOperation.EniServiceManaged", "LeaveSecurityGroup", **ON_MANAGED, SecurityGroupId="$web"),
]

REFUSALS = [
    *EVERY_OPERATION, *NETWORKS, *INSTANCES, *GROUPS, *RULES, *MEMBERS, *EDITS, *LISTS, *TAGS, *INTERFACES, *REPORTS,
]


def of(client):
    """The rows that a client can say. The Node SDKs have the VPC operations of ECS, as the older Python one has."""
    client = {"n1": "v1", "n2": "v1"}.get(client, client)
    return [refusal for refusal in REFUSALS if client in refusal.clients]
