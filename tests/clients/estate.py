"""A small estate with one of everything that a refusal needs, made through a client."""

import json

from server import REGION

# Rules that one call takes.
RULES_OF_CALL = 100


def rule(port=22, **changes):
    """An item of `Permissions`, right unless it is changed; None takes a field away."""
    item = {"IpProtocol": "tcp", "PortRange": f"{port}/{port}", "SourceCidrIp": "10.0.0.0/8", **changes}
    return {name: value for name, value in item.items() if value is not None}


def egress(port=22, **changes):
    """The same, outwards."""
    return rule(port, **{"SourceCidrIp": None, "DestCidrIp": "10.0.0.0/8", **changes})


def furnish(sdk):
    """Makes the estate; returns the ids by the names that tests use."""
    vpc, other = sdk.vpc(EnableIpv6=True), sdk.vpc("192.168.0.0/16")
    names = {"vpc": vpc, "other_vpc": other, "empty_vpc": sdk.vpc("172.16.0.0/12")}
    names["vsw"] = sdk.vswitch(vpc, "10.1.0.0/24", Ipv6CidrBlock=1)
    names["vsw4"] = sdk.vswitch(vpc, "10.2.0.0/24")
    names["tiny"] = sdk.vswitch(vpc, "10.3.0.0/29")
    names["other_vsw"] = sdk.vswitch(other, "192.168.1.0/24")
    names["web"], names["db"] = sdk.group(vpc), sdk.group(vpc)
    names["fort"] = sdk.group(vpc, SecurityGroupType="enterprise")
    names["elsewhere"] = sdk.group(other)
    names["lonely_vpc"] = sdk.vpc("172.16.0.0/12")
    names["lonely"] = sdk.group(names["lonely_vpc"])
    names["referred"] = sdk.group(vpc)
    sdk.call("AuthorizeSecurityGroup", SecurityGroupId=names["db"], Permissions=[
        rule(5432, SourceCidrIp=None, SourceGroupId=names["referred"])
    ])
    names["i"] = sdk.instances(names["vsw"], names["web"], PrivateIpAddress="10.1.0.9")[0]
    names["eni"] = sdk.instance(names["i"])["NetworkInterfaces"]["NetworkInterface"][0]["NetworkInterfaceId"]
    names["tagged"] = sdk.group(vpc, Tag=[{"Key": f"k{number}"} for number in range(20)])
    names["token"] = "used-token"
    sdk.group(vpc, SecurityGroupName="under-a-token", ClientToken=names["token"])
    crowd(sdk, names)
    lists(sdk, names)
    interfaces(sdk, names)
    return names


def interfaces(sdk, names):
    """A free interface, one that is attached, one in another zone, one that a product manages, an instance that is full,
    and a stopped one.
    """
    names["free"] = sdk.eni(names["vsw"], names["web"])
    names["far_vsw"] = sdk.call(
        "CreateVSwitch", VpcId=names["vpc"], ZoneId=f"{REGION}-c", CidrBlock="10.4.0.0/24"
    )["VSwitchId"]
    names["far"] = sdk.eni(names["far_vsw"], names["web"])
    names["other_eni"] = sdk.eni(names["other_vsw"], names["elsewhere"])
    names["stopped"], names["laden"] = sdk.instances(names["vsw"], names["web"], 2)
    attached = [sdk.eni(names["vsw"], names["web"]) for _ in range(7)]
    for eni in attached:
        sdk.call("AttachNetworkInterface", NetworkInterfaceId=eni, InstanceId=names["laden"])
    names["attached"] = attached[0]
    names["managed_eni"] = sdk.eni(names["vsw"], names["web"])
    done = sdk.server.command("interface", "manage", names["managed_eni"], "--service", "7")
    assert done.returncode == 0, done.stderr
    sdk.call("StopInstance", RegionId=None, InstanceId=names["stopped"])


def lists(sdk, names):
    """A prefix list and a port list that a group names, a rule to be modified, and groups that may not be."""
    entries = [{"Cidr": "10.77.0.0/16"}]
    made = sdk.call("CreatePrefixList", PrefixListName="named", AddressFamily="IPv4", MaxEntries=2, Entry=entries)
    names["prefixes"] = made["PrefixListId"]
    entries = [{"PortRange": "7000/7001"}]
    made = sdk.call("CreatePortRangeList", PortRangeListName="named", MaxEntries=2, Entry=entries)
    names["ports"] = made["PortRangeListId"]
    group = names["namer"] = sdk.group(names["vpc"])
    sdk.call("AuthorizeSecurityGroup", SecurityGroupId=group, Permissions=[
        rule(PortRange=None, PortRangeListId=names["ports"], SourceCidrIp=None, SourcePrefixListId=names["prefixes"])
    ])
    group = names["edited"] = sdk.group(names["vpc"])
    sdk.call("AuthorizeSecurityGroup", SecurityGroupId=group, Permissions=[rule(80), rule(81)])
    [names["rule"]] = [one["SecurityGroupRuleId"] for one in sdk.rules(group) if one["PortRange"] == "80/80"]
    names["managed"], names["protected"] = sdk.group(names["vpc"]), sdk.group(names["vpc"])
    for words in (("manage", names["managed"], "--service", "7"), ("protect", names["protected"])):
        done = sdk.server.command("group", *words)
        assert done.returncode == 0, done.stderr


def crowd(sdk, names):
    """What is full: ten groups at an interface, 20 peer groups, and groups of 600 and of 1,000 rules."""
    vpc = names["vpc"]
    crowd = [sdk.group(vpc) for _ in range(21)]
    names["ten"], names["eleven"] = crowd[:10], crowd[:11]
    answer = sdk.call("RunInstances", VSwitchId=names["vsw"], SecurityGroupIds=crowd[:10], Amount=1, **ANY)
    names["busy"] = answer["InstanceIdSets"]["InstanceIdSet"][0]
    names["popular"] = sdk.group(vpc)
    peers = [rule(SourceCidrIp=None, SourceGroupId=peer) for peer in crowd[:20]]
    sdk.call("AuthorizeSecurityGroup", SecurityGroupId=names["popular"], Permissions=peers)
    names["twenty_first"] = crowd[20]
    for name, many in (("long", 600), ("longer", 600), ("full", 1_000)):
        names[name] = sdk.group(vpc)
        for first in range(1, many, RULES_OF_CALL):
            rules = [rule(port) for port in range(first, first + RULES_OF_CALL)]
            sdk.call("AuthorizeSecurityGroup", SecurityGroupId=names[name], Permissions=rules)
    names["reader"] = sdk.instances(names["vsw4"], names["long"])[0]


ANY = {"ImageId": "any", "InstanceType": "ecs.any"}


def fill_in(value, names):
    """Puts ids in the place of `$name`, in texts, lists and items."""
    if isinstance(value, str) and value.startswith("$"):
        return names[value[1:]]
    if isinstance(value, str) and value.startswith("[$"):
        return json.dumps([names[value[2:-1]]])
    if isinstance(value, list):
        return [fill_in(item, names) for item in value]
    if isinstance(value, dict):
        return {name: fill_in(item, names) for name, item in value.items()}
    return value
