//! What `aws ec2 describe-… --output json` prints, and what the SDKs of Amazon call the same.

use std::{collections::BTreeMap, net::IpAddr};

use ipnet::IpNet;

use sekimori_core::{
    address::Cidr,
    ids::{AccountId, EniId, GroupId, SubnetId, VpcId},
    network_acl::AclEntry,
    peering::{Peering, PeeringSide, PeeringStatus},
    rule::{Action, Direction, Peer, Protocol, Rule, RuleSpec, Service, ec2},
    time::Timestamp,
    world::{Dialect, Eni, Flavor, InstanceState, PrefixEntry},
};

use super::{
    AccountError, Described, Lists, SeenAcl, SeenList, SeenSubnet, SeenVpc, build, doc::Doc, read_lists, routes,
};

const OWNER: &str = "OwnerId";

/// Takes in a reply. Whether it is one of these.
pub(super) fn read(described: &mut Described, doc: Doc<'_>) -> Result<bool, AccountError> {
    let mut is_known = read_lists(described, doc, READERS)?;
    // `get-managed-prefix-list-entries` does not say of which list.
    let entries = doc.items("Entries", "");
    let is_empty = doc.has_array("Entries") && entries.is_empty() && doc.stem().starts_with("pl-");
    if is_empty || entries.iter().any(|entry| entry.has("Cidr")) {
        is_known = true;
        let id = doc.about("PrefixListId", "prefix list", "pl-0123456789abcdef0")?;
        let entries = entries.into_iter().map(prefix_entry).collect::<Result<Vec<_>, _>>()?;
        let account = described.owner(None, Dialect::Ec2);
        let empty = || SeenList { account, region: String::new(), name: String::new(), entries: None };
        described.prefix_lists.entry(id.into()).or_insert_with(empty).entries = Some(entries);
    }
    Ok(is_known)
}

const READERS: &Lists = &[
    ("Vpcs", "", vpc),
    ("Subnets", "", subnet),
    ("SecurityGroups", "", group),
    ("SecurityGroupRules", "", named_rule),
    ("NetworkInterfaces", "", interface),
    ("Reservations", "", reservation),
    ("PrefixLists", "", prefix_list),
    ("VpcPeeringConnections", "", peering),
    ("NetworkAcls", "", network_acl),
];

fn vpc(described: &mut Described, doc: Doc<'_>) -> Result<(), AccountError> {
    let id = doc.required("VpcId")?;
    let cidr = doc.parsed("CidrBlock")?.ok_or_else(|| doc.wrong(format!("`{id}` has no CidrBlock")))?;
    let (v4, v6) = (associated(&doc, "CidrBlock")?, associated(&doc, "Ipv6CidrBlock")?);
    let ipv6 = v6.iter().find_map(|block| match block {
        IpNet::V6(block) => Some(*block),
        IpNet::V4(_) => None,
    });
    let is_further = |block: &IpNet| *block != IpNet::V4(cidr) && Some(*block) != ipv6.map(IpNet::V6);
    let further = v4.into_iter().chain(v6).filter(is_further).collect();
    let account = described.owner(doc.text(OWNER), Dialect::Ec2);
    let tags = doc.tags();
    let seen = SeenVpc { account, region: String::new(), name: name_of(&doc), cidr, ipv6, further, tags };
    described.vpcs.insert(id.into(), seen);
    Ok(())
}

fn subnet(described: &mut Described, doc: Doc<'_>) -> Result<(), AccountError> {
    let id = doc.required("SubnetId")?;
    let cidr = doc.parsed("CidrBlock")?.ok_or_else(|| doc.wrong(format!("`{id}` has no CidrBlock")))?;
    let v6 = associated(&doc, "Ipv6CidrBlock")?;
    let ipv6 = v6.into_iter().find_map(|block| match block {
        IpNet::V6(block) => Some(block),
        IpNet::V4(_) => None,
    });
    let account = described.owner(doc.text(OWNER), Dialect::Ec2);
    let zone = doc.text("AvailabilityZone").unwrap_or_default().to_owned();
    let vpc = doc.required("VpcId")?.into();
    let seen = SeenSubnet { account, vpc, zone, name: name_of(&doc), cidr, ipv6, tags: doc.tags() };
    described.subnets.insert(id.into(), seen);
    Ok(())
}

/// The blocks of a VPC or subnet that are associated with it, and not any more or not yet on their way to it.
fn associated(doc: &Doc<'_>, name: &str) -> Result<Vec<IpNet>, AccountError> {
    let is_there = |one: &Doc<'_>| {
        let state = one.part(&format!("{name}State"));
        state.and_then(|state| state.text("State")).is_none_or(|state| state == "associated")
    };
    let all = doc.items(&format!("{name}AssociationSet"), "").into_iter().filter(is_there);
    all.filter_map(|one| one.parsed(name).transpose()).collect()
}

/// EC2 keeps names in a tag.
fn name_of(doc: &Doc<'_>) -> String {
    let tag = doc.items("Tags", "").into_iter().find(|tag| tag.text("Key") == Some("Name"));
    tag.and_then(|tag| tag.text("Value")).unwrap_or_default().to_owned()
}

fn group(described: &mut Described, doc: Doc<'_>) -> Result<(), AccountError> {
    let id: GroupId = doc.required("GroupId")?.into();
    let account = described.owner(doc.text(OWNER), Dialect::Ec2);
    let name = doc.text("GroupName").unwrap_or_default().to_owned();
    let mut group = build::group(id.clone(), account.clone(), doc.required("VpcId")?.into(), Flavor::Ec2);
    group.is_default = name == "default";
    group.name = name;
    group.description = doc.text("Description").unwrap_or_default().to_owned();
    group.tags = doc.tags();
    described.groups.insert(id.clone(), group);
    let mut rules = BTreeMap::new();
    for (direction, list) in [(Direction::Ingress, "IpPermissions"), (Direction::Egress, "IpPermissionsEgress")] {
        if !doc.has_array(list) {
            let note = format!("`{id}`: `{list}` is not described, so no {direction} rule is known");
            described.note(note);
        }
        let mut all = Vec::new();
        for permission in doc.items(list, "") {
            for (peer, description) in peers(&permission, &account)? {
                let (protocol, service) = what(&permission)?;
                let spec = RuleSpec::plain(direction, Action::Allow, (protocol, service), peer);
                let name = format!("{id}/{direction}/{}", all.len() + 1);
                all.push(Rule {
                    id: name.as_str().into(),
                    spec,
                    description,
                    tags: Default::default(),
                    created_at: Timestamp(0),
                });
            }
        }
        rules.insert(direction, all);
    }
    described.add_rules(&id, false, rules);
    Ok(())
}

/// The sources or destinations of a permission, each with its description.
fn peers(permission: &Doc<'_>, account: &AccountId) -> Result<Vec<(Peer, String)>, AccountError> {
    let mut peers = Vec::new();
    for (list, field) in [("IpRanges", "CidrIp"), ("Ipv6Ranges", "CidrIpv6")] {
        for range in permission.items(list, "") {
            peers.push((Peer::Cidr(block(&range, range.required(field)?)?), description(&range)));
        }
    }
    for list in permission.items("PrefixListIds", "") {
        peers.push((Peer::PrefixList(list.required("PrefixListId")?.into()), description(&list)));
    }
    for pair in permission.items("UserIdGroupPairs", "") {
        let owner = pair.text("UserId").map_or_else(|| account.clone(), AccountId::from);
        peers.push((Peer::Group { group: pair.required("GroupId")?.into(), account: owner }, description(&pair)));
    }
    Ok(peers)
}

fn description(doc: &Doc<'_>) -> String {
    doc.text("Description").unwrap_or_default().to_owned()
}

fn block(doc: &Doc<'_>, text: &str) -> Result<Cidr, AccountError> {
    text.parse::<Cidr>().map(|block| block.canonical()).map_err(|error| doc.wrong(error))
}

/// Protocol and ports, or type and code.
fn what(doc: &Doc<'_>) -> Result<(Protocol, Service), AccountError> {
    let text = doc.required("IpProtocol")?;
    service(doc, text, (doc.number("FromPort"), doc.number("ToPort")))
}

/// What a protocol and the two numbers beside it mean.
fn service(
    doc: &Doc<'_>,
    text: &str,
    (first, last): (Option<i64>, Option<i64>),
) -> Result<(Protocol, Service), AccountError> {
    let protocol = ec2::read_protocol(text).ok_or_else(|| doc.wrong(format!("`{text}` is no protocol")))?;
    let service = ec2::service(protocol, first, last);
    let told = |number: Option<i64>| number.map_or("nothing".to_owned(), |number| format!("`{number}`"));
    let wrong = || doc.wrong(format!("{} to {} are no ports or ICMP types of {protocol}", told(first), told(last)));
    Ok((protocol, service.ok_or_else(wrong)?))
}

/// A rule of `describe-security-group-rules`, which has a name.
fn named_rule(described: &mut Described, doc: Doc<'_>) -> Result<(), AccountError> {
    let group: GroupId = doc.required("GroupId")?.into();
    let account = described.owner(doc.text("GroupOwnerId"), Dialect::Ec2);
    let direction = if doc.is("IsEgress") == Some(true) { Direction::Egress } else { Direction::Ingress };
    let peer = match (doc.text("CidrIpv4").or_else(|| doc.text("CidrIpv6")), doc.text("PrefixListId")) {
        (Some(text), _) => Peer::Cidr(block(&doc, text)?),
        (None, Some(list)) => Peer::PrefixList(list.into()),
        (None, None) => {
            let named = doc.part("ReferencedGroupInfo");
            let named = named.ok_or_else(|| doc.wrong("a rule names no block, prefix list or group"))?;
            let owner = named.text("UserId").map_or(account, AccountId::from);
            Peer::Group { group: named.required("GroupId")?.into(), account: owner }
        }
    };
    let rule = Rule {
        id: doc.required("SecurityGroupRuleId")?.into(),
        spec: RuleSpec::plain(direction, Action::Allow, what(&doc)?, peer),
        description: description(&doc),
        tags: doc.tags(),
        created_at: Timestamp(0),
    };
    described.add_rules(&group, true, BTreeMap::from([(direction, vec![rule])]));
    Ok(())
}

fn interface(described: &mut Described, doc: Doc<'_>) -> Result<(), AccountError> {
    let account = described.owner(doc.text(OWNER), Dialect::Ec2);
    let attachment = doc.part("Attachment").filter(|attachment| attachment.text("Status") != Some("detached"));
    let mut eni = eni(described, &doc, account)?;
    eni.instance = attachment.and_then(|attachment| attachment.text("InstanceId")).map(Into::into);
    described.enis.insert(eni.id.clone(), eni);
    Ok(())
}

/// What an interface and an instance's description of it have in common.
fn eni(described: &mut Described, doc: &Doc<'_>, account: AccountId) -> Result<Eni, AccountError> {
    let id: EniId = doc.required("NetworkInterfaceId")?.into();
    let (vpc, subnet): (VpcId, SubnetId) = (doc.required("VpcId")?.into(), doc.required("SubnetId")?.into());
    let mut addresses: Vec<IpAddr> = Vec::new();
    addresses.extend(doc.text("PrivateIpAddress").map(|text| doc.address(text)).transpose()?);
    for private in doc.items("PrivateIpAddresses", "") {
        addresses.push(private.address(private.required("PrivateIpAddress")?)?);
    }
    for public in doc.items("Ipv6Addresses", "") {
        addresses.push(public.address(public.required("Ipv6Address")?)?);
    }
    routes::public_addresses(described, &id, doc)?;
    let mut eni = build::eni(id, (account, Dialect::Ec2), vpc, subnet);
    eni.addresses = build::once(addresses);
    eni.groups = doc.items("Groups", "").iter().filter_map(|group| group.text("GroupId")).map(Into::into).collect();
    eni.mac = doc.parsed("MacAddress")?.unwrap_or(eni.mac);
    eni.source_check = doc.is("SourceDestCheck").unwrap_or(true);
    eni.description = doc.text("Description").unwrap_or_default().to_owned();
    eni.tags = doc.tags();
    let index = doc.part("Attachment").and_then(|attachment| attachment.number("DeviceIndex")).unwrap_or_default();
    eni.device_index = u8::try_from(index).unwrap_or(u8::MAX);
    Ok(eni)
}

fn reservation(described: &mut Described, doc: Doc<'_>) -> Result<(), AccountError> {
    let account = described.owner(doc.text(OWNER), Dialect::Ec2);
    for item in doc.items("Instances", "") {
        let id = item.required("InstanceId")?;
        let state = match item.part("State").and_then(|state| state.text("Name")) {
            Some("terminated" | "shutting-down") => continue,
            Some("stopped" | "stopping") => InstanceState::Stopped,
            Some(_) | None => InstanceState::Running,
        };
        let place = item.text("VpcId").zip(item.text("SubnetId"));
        let Some((vpc, subnet)) = place else {
            described.note(format!("`{id}` is in no VPC, and left out"));
            continue;
        };
        let mut instance = build::instance(id.into(), account.clone(), vpc.into(), subnet.into());
        instance.name = name_of(&item);
        instance.tags = item.tags();
        instance.state = state;
        instance.image = item.text("ImageId").unwrap_or_default().to_owned();
        instance.instance_type = item.text("InstanceType").unwrap_or_default().to_owned();
        for interface in item.items("NetworkInterfaces", "") {
            let mut eni = eni(described, &interface, account.clone())?;
            eni.instance = Some(instance.id.clone());
            described.enis_of_instances.insert(eni.id.clone(), eni);
        }
        described.instances.insert(instance.id.clone(), instance);
    }
    Ok(())
}

/// Of `describe-managed-prefix-lists`, or of `describe-prefix-lists`, which tells the blocks at once.
fn prefix_list(described: &mut Described, doc: Doc<'_>) -> Result<(), AccountError> {
    let id = doc.required("PrefixListId")?;
    let account = described.owner(doc.text(OWNER).filter(|owner| *owner != "AWS"), Dialect::Ec2);
    let name = doc.text("PrefixListName").unwrap_or_default().to_owned();
    let blocks: Vec<PrefixEntry> = doc
        .texts("Cidrs", "")
        .into_iter()
        .map(|text| Ok(PrefixEntry { cidr: block(&doc, text)?, description: String::new() }))
        .collect::<Result<_, AccountError>>()?;
    let known = described.prefix_lists.remove(id).and_then(|list| list.entries);
    let entries = known.or_else(|| doc.has_array("Cidrs").then_some(blocks));
    described.prefix_lists.insert(id.into(), SeenList { account, region: String::new(), name, entries });
    Ok(())
}

fn prefix_entry(doc: Doc<'_>) -> Result<PrefixEntry, AccountError> {
    Ok(PrefixEntry { cidr: block(&doc, doc.required("Cidr")?)?, description: description(&doc) })
}

fn peering(described: &mut Described, doc: Doc<'_>) -> Result<(), AccountError> {
    let id = doc.required("VpcPeeringConnectionId")?;
    let status = doc.part("Status");
    let code = status.and_then(|status| status.text("Code")).unwrap_or_default();
    if code != "active" {
        return Ok(());
    }
    let mut side = |name: &str| {
        let missing = || doc.wrong(format!("`{id}` has no {name}"));
        let info = doc.part(name).ok_or_else(missing)?;
        let account = described.owner(info.text(OWNER), Dialect::Ec2);
        let vpc: VpcId = info.required("VpcId")?.into();
        let (mut blocks, first): (Vec<IpNet>, Option<IpNet>) = (Vec::new(), info.parsed("CidrBlock")?);
        for (list, field) in [("CidrBlockSet", "CidrBlock"), ("Ipv6CidrBlockSet", "Ipv6CidrBlock")] {
            for block in info.items(list, "") {
                blocks.extend(block.parsed::<IpNet>(field)?.filter(|block| Some(*block) != first));
            }
        }
        described.peer_blocks.insert(vpc.clone(), blocks);
        Ok::<_, AccountError>(PeeringSide { vpc, account, cidr: info.parsed("CidrBlock")?, ipv6: None })
    };
    let (requester, accepter) = (side("RequesterVpcInfo")?, side("AccepterVpcInfo")?);
    let region = doc.part("RequesterVpcInfo").and_then(|info| info.text("Region")).unwrap_or_default().to_owned();
    let peering = Peering {
        id: id.into(),
        region,
        requester,
        accepter,
        status: PeeringStatus::Active,
        ended_by: None,
        why_failed: String::new(),
        tags: doc.tags(),
        created_at: Timestamp(0),
        changed_at: Timestamp(0),
    };
    described.peerings.insert(peering.id.clone(), peering);
    Ok(())
}

fn network_acl(described: &mut Described, doc: Doc<'_>) -> Result<(), AccountError> {
    let id = doc.required("NetworkAclId")?;
    let account = described.owner(doc.text(OWNER), Dialect::Ec2);
    let mut entries = Vec::new();
    for entry in doc.items("Entries", "") {
        let number = entry.number("RuleNumber").unwrap_or_default();
        // The last one, `*`, is what comes after all of them.
        let Some(number) = u16::try_from(number).ok().filter(|number| *number <= LAST_ENTRY) else { continue };
        entries.push(AclEntry { number, spec: acl_spec(&entry)? });
    }
    entries.sort_by_key(AclEntry::place);
    let subnets =
        doc.items("Associations", "").iter().filter_map(|one| one.text("SubnetId")).map(Into::into).collect();
    let vpc = doc.required("VpcId")?.into();
    let is_default = doc.is("IsDefault").unwrap_or(false);
    described.acls.insert(id.into(), SeenAcl { account, vpc, is_default, entries, subnets });
    Ok(())
}

/// The highest number that an entry of one's own may have.
const LAST_ENTRY: u16 = 32_766;

fn acl_spec(entry: &Doc<'_>) -> Result<RuleSpec, AccountError> {
    let direction = if entry.is("Egress") == Some(true) { Direction::Egress } else { Direction::Ingress };
    let action = if entry.text("RuleAction") == Some("allow") { Action::Allow } else { Action::Deny };
    let text = entry.text("CidrBlock").or_else(|| entry.text("Ipv6CidrBlock"));
    let peer =
        Peer::Cidr(block(entry, text.ok_or_else(|| entry.wrong("an entry of a network ACL names no block"))?)?);
    let numbers = match (entry.part("PortRange"), entry.part("IcmpTypeCode")) {
        (Some(ports), _) => (ports.number("From"), ports.number("To")),
        (None, Some(icmp)) => (icmp.number("Type"), icmp.number("Code")),
        (None, None) => (None, None),
    };
    let what = service(entry, entry.required("Protocol")?, numbers)?;
    Ok(RuleSpec::plain(direction, action, what, peer))
}
