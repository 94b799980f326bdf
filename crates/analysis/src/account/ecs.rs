//! What `aliyun ecs Describe…` and `aliyun vpc Describe…` print, and files of exported rules.

mod acl;

use std::{collections::BTreeMap, net::IpAddr};

use ipnet::IpNet;
use serde_json::Value;

use sekimori_core::{
    address::Cidr,
    command::NewRule,
    ids::{AccountId, EniId, GroupId, SubnetId, VpcId},
    rule::{PortRange, Rule},
    time::Timestamp,
    world::{Dialect, Eni, Flavor, Group, InnerAccess, InstanceState, PortEntry, PrefixEntry},
};

use super::{
    AccountError, Described, File, Lists, SeenList, SeenSubnet, SeenVpc, build, doc::Doc, read_lists, routes,
};
use crate::transfer::{self, Problem, ReadRule};

/// Whose reply it is, where it says so.
const OWNER: &str = "OwnerId";
const GROUP_EXAMPLE: &str = "sg-bp67acfmxazb4p****";

/// Takes in a reply. Whether it is one of these.
pub(super) fn read(described: &mut Described, doc: Doc<'_>) -> Result<bool, AccountError> {
    let mut is_known = read_lists(described, doc, READERS)?;
    if doc.has_nested("Permissions", "Permission") || doc.has_array("Permissions") {
        is_known = true;
        attribute(described, doc)?;
    }
    if doc.has_nested("Entries", "Entry") {
        is_known = true;
        prefix_entries(described, doc)?;
    }
    let entries = doc.items("Entries", "");
    let is_empty = doc.has_array("Entries") && entries.is_empty() && doc.stem().starts_with("prl-");
    if is_empty || entries.iter().any(|entry| entry.has("PortRange")) {
        is_known = true;
        port_entries(described, doc, entries)?;
    }
    if let Some(acl) = doc.part("NetworkAclAttribute") {
        is_known = true;
        acl::network_acl(described, acl)?;
    }
    Ok(is_known)
}

const READERS: &Lists = &[
    ("Vpcs", "Vpc", vpc),
    ("VSwitches", "VSwitch", vswitch),
    ("SecurityGroups", "SecurityGroup", group),
    ("Instances", "Instance", instance),
    ("NetworkInterfaceSets", "NetworkInterfaceSet", interface),
    ("PrefixLists", "PrefixList", prefix_list),
    ("PortRangeLists", "PortRangeList", port_list),
    ("PortRangeLists", "", port_list),
    ("NetworkAcls", "NetworkAcl", acl::network_acl),
];

fn owner(described: &mut Described, doc: &Doc<'_>) -> AccountId {
    let number = doc.number(OWNER).filter(|number| *number > 0).map(|number| number.to_string());
    described.owner(number.as_deref(), Dialect::Ecs)
}

fn vpc(described: &mut Described, doc: Doc<'_>) -> Result<(), AccountError> {
    let id = doc.required("VpcId")?;
    let cidr = doc.parsed("CidrBlock")?.ok_or_else(|| doc.wrong(format!("`{id}` has no CidrBlock")))?;
    let mut further: Vec<IpNet> = Vec::new();
    for text in doc.texts("SecondaryCidrBlocks", "SecondaryCidrBlock") {
        further.push(text.parse().map_err(|_| doc.wrong(format!("`{text}` is no block")))?);
    }
    let ipv6 = doc.parsed("Ipv6CidrBlock")?;
    for block in doc.items("Ipv6CidrBlocks", "Ipv6CidrBlock") {
        let block: Option<IpNet> = block.parsed("Ipv6CidrBlock")?;
        further.extend(block.filter(|block| Some(*block) != ipv6.map(IpNet::V6)));
    }
    let account = owner(described, &doc);
    let name = doc.text("VpcName").unwrap_or_default().to_owned();
    let region = doc.text("RegionId").unwrap_or_default().to_owned();
    described.vpcs.insert(id.into(), SeenVpc { account, region, name, cidr, ipv6, further, tags: doc.tags() });
    Ok(())
}

fn vswitch(described: &mut Described, doc: Doc<'_>) -> Result<(), AccountError> {
    let id = doc.required("VSwitchId")?;
    let cidr = doc.parsed("CidrBlock")?.ok_or_else(|| doc.wrong(format!("`{id}` has no CidrBlock")))?;
    if let Some(acl) = doc.text("NetworkAclId") {
        described.acl_names.insert(id.into(), acl.into());
    }
    let account = owner(described, &doc);
    let seen = SeenSubnet {
        account,
        vpc: doc.required("VpcId")?.into(),
        zone: doc.text("ZoneId").unwrap_or_default().to_owned(),
        name: doc.text("VSwitchName").unwrap_or_default().to_owned(),
        cidr,
        ipv6: doc.parsed("Ipv6CidrBlock")?,
        tags: doc.tags(),
    };
    described.subnets.insert(id.into(), seen);
    Ok(())
}

/// A group without its rules: what `DescribeSecurityGroupAttribute` has told of it already stays.
fn group(described: &mut Described, doc: Doc<'_>) -> Result<(), AccountError> {
    let id: GroupId = doc.required("SecurityGroupId")?.into();
    let Some(vpc) = doc.text("VpcId") else {
        described.note(format!("`{id}` is of the classic network, and left out"));
        return Ok(());
    };
    let flavor = match doc.text("SecurityGroupType") {
        Some("enterprise") => Flavor::EcsEnterprise,
        Some(_) | None => Flavor::EcsBasic,
    };
    let account = described.owner(None, Dialect::Ecs);
    let fresh = || build::group(id.clone(), account, vpc.into(), flavor);
    let group = described.groups.entry(id.clone()).or_insert_with(fresh);
    named(group, &doc);
    group.flavor = flavor;
    group.tags = doc.tags();
    group.resource_group = doc.text("ResourceGroupId").unwrap_or_default().to_owned();
    group.managed_by = (doc.is("ServiceManaged") == Some(true)).then(|| managed_by(&doc));
    Ok(())
}

/// The product that manages a thing; some number where none is told.
fn managed_by(doc: &Doc<'_>) -> u64 {
    doc.number("ServiceID").and_then(|number| u64::try_from(number).ok()).unwrap_or_default()
}

fn named(group: &mut Group, doc: &Doc<'_>) {
    group.name = doc.text("SecurityGroupName").unwrap_or(&group.name).to_owned();
    group.description = doc.text("Description").unwrap_or(&group.description).to_owned();
}

/// A group with its rules, or rules alone in a file that is called after the group.
fn attribute(described: &mut Described, doc: Doc<'_>) -> Result<(), AccountError> {
    let id: GroupId = doc.about("SecurityGroupId", "security group", GROUP_EXAMPLE)?.into();
    let account = described.owner(None, Dialect::Ecs);
    if let Some(vpc) = doc.text("VpcId") {
        let fresh = || build::group(id.clone(), account.clone(), vpc.into(), Flavor::EcsBasic);
        let group = described.groups.entry(id.clone()).or_insert_with(fresh);
        named(group, &doc);
        if doc.text("InnerAccessPolicy").is_some_and(|policy| policy.eq_ignore_ascii_case("drop")) {
            group.inner_access = InnerAccess::Drop;
        }
    }
    let read = transfer::rules_of_json(doc.value(), &account);
    add(described, doc.file, &id, read.map_err(|error| doc.wrong(error))?)
}

/// An array of exported rules.
pub(super) fn rules_array(described: &mut Described, doc: Doc<'_>) -> Result<(), AccountError> {
    let id: GroupId = doc.about("SecurityGroupId", "security group", GROUP_EXAMPLE)?.into();
    let account = described.owner(None, Dialect::Ecs);
    let read = transfer::rules_of_json(doc.value(), &account);
    add(described, doc.file, &id, read.map_err(|error| doc.wrong(error))?)
}

/// A CSV of exported rules.
pub(super) fn rules_file(described: &mut Described, file: &File) -> Result<(), AccountError> {
    let nothing = Value::Null;
    let doc = Doc::new(&file.name, &nothing);
    let account = described.owner(None, Dialect::Ecs);
    let read = transfer::rules_of_text(&file.text, &account);
    let unreadable = |error: transfer::TransferError| AccountError::Unreadable {
        file: file.name.clone(),
        reason: error.to_string(),
    };
    let rules = read.map_err(unreadable)?;
    let id: GroupId = doc.about("SecurityGroupId", "security group", GROUP_EXAMPLE)?.into();
    add(described, &file.name, &id, rules)
}

fn add(described: &mut Described, file: &str, id: &GroupId, read: Vec<ReadRule>) -> Result<(), AccountError> {
    let are_named = !read.is_empty() && read.iter().all(|rule| rule.name.is_some());
    let mut rules: BTreeMap<_, Vec<Rule>> = BTreeMap::new();
    for (number, ReadRule { name, rule }) in (1..).zip(read) {
        let NewRule { spec, description, tags } = match rule {
            Ok(rule) => rule,
            Err(Problem::SystemPriority(priority)) => {
                described.note(format!("`{id}`: a rule of the system, of priority {priority}, is left out"));
                continue;
            }
            Err(Problem::Wrong(reason)) => {
                let reason = format!("rule {number} of `{id}`: {reason}");
                return Err(AccountError::Wrong { file: file.to_owned(), reason });
            }
        };
        let name = name.unwrap_or_else(|| format!("{id}/{}/{number}", spec.direction));
        let rule = Rule { id: name.as_str().into(), description, tags, created_at: Timestamp(0), spec };
        rules.entry(rule.spec.direction).or_default().push(rule);
    }
    described.add_rules(id, are_named, rules);
    Ok(())
}

fn instance(described: &mut Described, doc: Doc<'_>) -> Result<(), AccountError> {
    let id = doc.required("InstanceId")?;
    let attributes = doc.part("VpcAttributes");
    let place = attributes.and_then(|place| place.text("VpcId").zip(place.text("VSwitchId")));
    let Some((vpc, subnet)) = place else {
        described.note(format!("`{id}` is in no VPC, and left out"));
        return Ok(());
    };
    let account = described.owner(None, Dialect::Ecs);
    let mut instance = build::instance(id.into(), account.clone(), vpc.into(), subnet.into());
    instance.name = doc.text("InstanceName").unwrap_or_default().to_owned();
    instance.description = doc.text("Description").unwrap_or_default().to_owned();
    instance.tags = doc.tags();
    instance.resource_group = doc.text("ResourceGroupId").unwrap_or_default().to_owned();
    instance.state = match doc.text("Status") {
        Some("Stopped" | "Stopping") => InstanceState::Stopped,
        Some(_) | None => InstanceState::Running,
    };
    let groups = doc.texts("SecurityGroupIds", "SecurityGroupId");
    for interface in doc.items("NetworkInterfaces", "NetworkInterface") {
        let mut eni = eni(&interface, account.clone(), vpc.into(), subnet.into())?;
        eni.instance = Some(instance.id.clone());
        let is_primary = interface.text("Type").is_none_or(|kind| kind == "Primary");
        eni.device_index = u8::from(!is_primary);
        if is_primary {
            routes::public_addresses_of_instance(described, &eni, &doc)?;
            eni.groups = groups.iter().map(|group| GroupId::from(*group)).collect();
        }
        described.enis_of_instances.insert(eni.id.clone(), eni);
    }
    described.instances.insert(instance.id.clone(), instance);
    Ok(())
}

fn interface(described: &mut Described, doc: Doc<'_>) -> Result<(), AccountError> {
    let account = owner(described, &doc);
    let mut eni = eni(&doc, account, doc.required("VpcId")?.into(), doc.required("VSwitchId")?.into())?;
    eni.groups = doc.texts("SecurityGroupIds", "SecurityGroupId").into_iter().map(Into::into).collect();
    let attachment = doc.part("Attachment");
    let named = attachment.and_then(|attachment| attachment.text("InstanceId"));
    eni.instance = doc.text("InstanceId").or(named).map(Into::into);
    let index = attachment.and_then(|attachment| attachment.number("DeviceIndex"));
    let is_primary = doc.text("Type").is_none_or(|kind| kind == "Primary");
    routes::public_addresses_of_interface(described, (&eni, is_primary), &doc)?;
    let index = index.and_then(|index| u8::try_from(index).ok()).unwrap_or(u8::from(!is_primary));
    eni.device_index = index;
    eni.source_check = doc.is("SourceDestCheck").unwrap_or(true);
    eni.name = doc.text("NetworkInterfaceName").unwrap_or_default().to_owned();
    eni.description = doc.text("Description").unwrap_or_default().to_owned();
    eni.resource_group = doc.text("ResourceGroupId").unwrap_or_default().to_owned();
    eni.managed_by = (doc.is("ServiceManaged") == Some(true)).then(|| managed_by(&doc));
    eni.tags = doc.tags();
    described.enis.insert(eni.id.clone(), eni);
    Ok(())
}

/// What an interface and an instance's description of it have in common.
fn eni(doc: &Doc<'_>, account: AccountId, vpc: VpcId, subnet: SubnetId) -> Result<Eni, AccountError> {
    let id: EniId = doc.required("NetworkInterfaceId")?.into();
    let mut addresses: Vec<IpAddr> = Vec::new();
    for name in ["PrivateIpAddress", "PrimaryIpAddress"] {
        addresses.extend(doc.text(name).map(|text| doc.address(text)).transpose()?);
    }
    for private in doc.items("PrivateIpSets", "PrivateIpSet") {
        let address = private.address(private.required("PrivateIpAddress")?)?;
        let is_primary = private.is("Primary") == Some(true);
        addresses.insert(if is_primary { 0 } else { addresses.len() }, address);
    }
    for public in doc.items("Ipv6Sets", "Ipv6Set") {
        addresses.push(public.address(public.required("Ipv6Address")?)?);
    }
    let mut eni = build::eni(id, (account, Dialect::Ecs), vpc, subnet);
    eni.addresses = build::once(addresses);
    eni.mac = doc.parsed("MacAddress")?.unwrap_or(eni.mac);
    Ok(eni)
}

fn prefix_list(described: &mut Described, doc: Doc<'_>) -> Result<(), AccountError> {
    let id = doc.required("PrefixListId")?;
    let account = described.owner(None, Dialect::Ecs);
    let name = doc.text("PrefixListName").unwrap_or_default().to_owned();
    let region = doc.text("RegionId").unwrap_or_default().to_owned();
    let entries = described.prefix_lists.remove(id).and_then(|list| list.entries);
    described.prefix_lists.insert(id.into(), SeenList { account, region, name, entries });
    Ok(())
}

fn prefix_entries(described: &mut Described, doc: Doc<'_>) -> Result<(), AccountError> {
    let id = doc.about("PrefixListId", "prefix list", "pl-x1j1k5ykzqlixdcy****")?;
    let mut entries = Vec::new();
    for entry in doc.items("Entries", "Entry") {
        let text = entry.required("Cidr")?;
        let cidr = text.parse::<Cidr>().map_err(|error| entry.wrong(error))?;
        let description = entry.text("Description").unwrap_or_default().to_owned();
        entries.push(PrefixEntry { cidr, description });
    }
    let account = described.owner(None, Dialect::Ecs);
    let name = doc.text("PrefixListName").unwrap_or_default().to_owned();
    let empty = || SeenList { account, region: String::new(), name, entries: None };
    described.prefix_lists.entry(id.into()).or_insert_with(empty).entries = Some(entries);
    Ok(())
}

fn port_list(described: &mut Described, doc: Doc<'_>) -> Result<(), AccountError> {
    let id = doc.required("PortRangeListId")?;
    let account = described.owner(None, Dialect::Ecs);
    let name = doc.text("PortRangeListName").unwrap_or_default().to_owned();
    let entries = described.port_lists.remove(id).and_then(|list| list.entries);
    described.port_lists.insert(id.into(), SeenList { account, region: String::new(), name, entries });
    Ok(())
}

fn port_entries(described: &mut Described, doc: Doc<'_>, all: Vec<Doc<'_>>) -> Result<(), AccountError> {
    let id = doc.about("PortRangeListId", "port list", "prl-2ze9743****")?;
    let mut entries = Vec::new();
    for entry in all {
        let text = entry.required("PortRange")?;
        let port = |text: &str| text.trim().parse::<u16>().ok();
        let ports = text.split_once('/').and_then(|(first, last)| PortRange::new(port(first)?, port(last)?));
        let ports = ports.ok_or_else(|| entry.wrong(format!("`{text}` is no range of ports")))?;
        let description = entry.text("Description").unwrap_or_default().to_owned();
        entries.push(PortEntry { ports, description });
    }
    let account = described.owner(None, Dialect::Ecs);
    let empty = || SeenList { account, region: String::new(), name: String::new(), entries: None };
    described.port_lists.entry(id.into()).or_insert_with(empty).entries = Some(entries);
    Ok(())
}
