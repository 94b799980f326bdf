//! One group with its rules: `DescribeSecurityGroupAttribute`.
//!
//! Addresses and port ranges are shown as they were written (`spec/ecs.md` H2); a field that a rule does not
//! use is empty text, never left out (B4). Requests and replies differ in case (H8).

use std::sync::Arc;

use sekimori_core::{
    address::{Cidr, Family},
    refusal::{Kind, Refusal},
    rule::{Action, Direction, Peer, PortRange, Protocol, Rule, Service},
    world::{Group, InnerAccess},
};

use super::{
    View,
    page::{Order, part},
};
use crate::{
    ecs::{
        encode::{Fields, Node, list, number},
        errors::Fault,
        query::RuleQuery,
    },
    time::to_seconds,
};

pub(super) fn rules(query: &RuleQuery, view: &View<'_>) -> Result<Fields, Fault> {
    let group = view.world.group(&query.group).filter(|group| group.account == *view.account);
    let group = group.filter(|group| view.is_in(&group.vpc, query.region));
    let missing = || Refusal::Missing { kind: Kind::Group, id: query.group.to_string() };
    let group = group.ok_or_else(|| Fault::Refused(missing()))?;
    let wanted = |rule: &&Arc<Rule>| query.direction.is_none_or(|direction| rule.spec.direction == direction);
    let mut all: Vec<&Arc<Rule>> = group.rules.values().filter(wanted).collect();
    all.sort_by_key(|rule| key(rule));
    let (wanted, part) = part(all, &query.page, Order::Ascending, |rule| key(rule));
    let mut fields = header(group, view);
    fields.extend(part);
    fields.push(("Permissions", list("Permission", wanted.into_iter().map(|rule| node(rule, group, view)))));
    Ok(fields)
}

/// Rules are shown in the order in which they were made.
fn key(rule: &Rule) -> String {
    format!("{:020}.{}", rule.created_at.0, rule.id)
}

fn header(group: &Group, view: &View<'_>) -> Fields {
    let inner_access = match group.inner_access {
        InnerAccess::Accept => "Accept",
        InnerAccess::Drop => "Drop",
    };
    let policies = view.world.snapshots().policies_of(&group.id).map(|policy| policy.id.as_str());
    vec![
        ("SecurityGroupId", group.id.as_str().into()),
        ("SecurityGroupName", group.name.as_str().into()),
        ("Description", group.description.as_str().into()),
        ("VpcId", group.vpc.as_str().into()),
        ("RegionId", view.region_of(&group.vpc).into()),
        ("InnerAccessPolicy", inner_access.into()),
        ("SnapshotPolicyIds", list("SnapshotPolicyId", policies)),
    ]
}

/// What is shown of one end of a flow.
#[derive(Default)]
struct End {
    cidr: String,
    ipv6_cidr: String,
    group: String,
    group_name: String,
    group_owner: String,
    prefix_list: String,
    prefix_list_name: String,
}

fn node(rule: &Rule, group: &Group, view: &View<'_>) -> Node {
    let spec = &rule.spec;
    let (source, dest) = match spec.direction {
        Direction::Ingress => (peer_end(&spec.peer, group, view), local_end(spec.local)),
        Direction::Egress => (local_end(spec.local), peer_end(&spec.peer, group, view)),
    };
    let (ports, port_list, port_list_name) = service(&spec.service, view);
    let policy = match spec.action {
        Action::Allow => "Accept",
        Action::Deny => "Drop",
    };
    Node::Object(vec![
        ("SecurityGroupRuleId", rule.id.as_str().into()),
        ("Direction", spec.direction.to_string().into()),
        ("IpProtocol", protocol(spec.protocol).into()),
        ("PortRange", ports.into()),
        ("PortRangeListId", port_list.into()),
        ("PortRangeListName", port_list_name.into()),
        ("SourcePortRange", source_ports(spec.protocol, spec.source_ports).into()),
        ("SourceCidrIp", source.cidr.into()),
        ("Ipv6SourceCidrIp", source.ipv6_cidr.into()),
        ("SourceGroupId", source.group.into()),
        ("SourceGroupName", source.group_name.into()),
        ("SourceGroupOwnerAccount", source.group_owner.into()),
        ("SourcePrefixListId", source.prefix_list.into()),
        ("SourcePrefixListName", source.prefix_list_name.into()),
        ("DestCidrIp", dest.cidr.into()),
        ("Ipv6DestCidrIp", dest.ipv6_cidr.into()),
        ("DestGroupId", dest.group.into()),
        ("DestGroupName", dest.group_name.into()),
        ("DestGroupOwnerAccount", dest.group_owner.into()),
        ("DestPrefixListId", dest.prefix_list.into()),
        ("DestPrefixListName", dest.prefix_list_name.into()),
        ("NicType", "intranet".into()),
        ("Policy", policy.into()),
        ("Priority", number(spec.priority)),
        ("Description", rule.description.as_str().into()),
        ("CreateTime", to_seconds(rule.created_at).into()),
    ])
}

fn peer_end(peer: &Peer, own: &Group, view: &View<'_>) -> End {
    match peer {
        Peer::Cidr(cidr) => local_end(Some(*cidr)),
        Peer::PrefixList(id) => {
            let list = view.world.prefix_list(id);
            let prefix_list_name = list.map(|list| list.name.clone()).unwrap_or_default();
            End { prefix_list: id.to_string(), prefix_list_name, ..End::default() }
        }
        Peer::Group { group, account } => {
            let known = view.world.group(group);
            let group_name = known.map(|group| group.name.clone()).unwrap_or_default();
            let group_owner = if *account == own.account { String::new() } else { account.to_string() };
            End { group: group.to_string(), group_name, group_owner, ..End::default() }
        }
    }
}

fn local_end(cidr: Option<Cidr>) -> End {
    let Some(cidr) = cidr else { return End::default() };
    match cidr.family() {
        Family::V4 => End { cidr: cidr.to_string(), ..End::default() },
        Family::V6 => End { ipv6_cidr: cidr.to_string(), ..End::default() },
    }
}

/// Port range, port list, and the list's name.
fn service(service: &Service, view: &View<'_>) -> (String, String, String) {
    match service {
        Service::Any | Service::Icmp { .. } => ("-1/-1".to_owned(), String::new(), String::new()),
        Service::Ports(range) => (ports(*range), String::new(), String::new()),
        Service::PortList(id) => {
            let name = view.world.port_list(id).map(|list| list.name.clone()).unwrap_or_default();
            (String::new(), id.to_string(), name)
        }
    }
}

fn ports(range: PortRange) -> String {
    format!("{}/{}", range.first(), range.last())
}

fn source_ports(protocol: Protocol, range: Option<PortRange>) -> String {
    match range {
        Some(range) => ports(range),
        None if protocol.has_ports() => String::new(),
        None => "-1/-1".to_owned(),
    }
}

fn protocol(protocol: Protocol) -> String {
    if protocol == Protocol::ICMPV6 { "ICMPv6".to_owned() } else { protocol.to_string().to_uppercase() }
}
