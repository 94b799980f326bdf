//! Groups with their rules, which are put together by protocol and ports.

use std::sync::Arc;

use sekimori_core::{
    address::Family,
    ids::GroupId,
    refusal::Kind,
    rule::{Direction, Peer, Protocol, Rule, Service, ec2},
    tags::Tags,
    time::Timestamp,
    world::Group,
};

use super::{
    View,
    listing::{Item, named, part},
    peerings, tags,
};
use crate::{
    ec2::{Call, errors::Fault, query::Listing, words::arn},
    node::{Fields, list, number},
};

pub(super) fn groups(call: &Call, listing: &Listing<GroupId>, view: &View<'_>) -> Result<Fields, Fault> {
    let is_own = |group: &&Arc<Group>| view.owns(&group.account, &group.vpc);
    let one = |id: &GroupId| view.world.group(id).filter(is_own).map(|group| &**group);
    let all = || view.world.groups().filter(is_own).map(|group| &**group).collect();
    let (wanted, next) = part(call, listing, named(&listing.ids, Kind::Group, one, all)?, view);
    let items = wanted.into_iter().map(|group| self::group(group, view));
    let mut fields: Fields = vec![("securityGroupInfo", list("item", items))];
    fields.extend(next);
    Ok(fields)
}

pub(super) fn created(id: &GroupId, view: &View<'_>) -> Fields {
    let mut fields: Fields = vec![("return", true.into()), ("groupId", id.as_str().into())];
    if let Some(group) = view.world.group(id) {
        fields.extend(tags::set_if_any(&group.tags));
        fields.push(("securityGroupArn", arn_of(group, view).into()));
    }
    fields
}

impl Item for Group {
    fn place(&self) -> (Timestamp, &str) {
        (self.created_at, self.id.as_str())
    }

    fn tags(&self) -> &Tags {
        &self.tags
    }

    fn values(&self, filter: &str, _: &View<'_>) -> Vec<String> {
        let of_rules = |name: &str, direction: Direction| {
            let rules = self.rules.values().filter(|rule| rule.spec.direction == direction);
            rules.flat_map(|rule| rule_value(rule, name)).collect()
        };
        if let Some(name) = filter.strip_prefix("egress.ip-permission.") {
            return of_rules(name, Direction::Egress);
        }
        if let Some(name) = filter.strip_prefix("ip-permission.") {
            return of_rules(name, Direction::Ingress);
        }
        match filter {
            "group-id" => vec![self.id.to_string()],
            "group-name" => vec![self.name.clone()],
            "description" => vec![self.description.clone()],
            "vpc-id" | "primary-vpc-id" => vec![self.vpc.to_string()],
            "owner-id" => vec![self.account.to_string()],
            _ => Vec::new(),
        }
    }
}

/// What a rule shows to a filter of rules. Groups are named by id only.
fn rule_value(rule: &Rule, name: &str) -> Option<String> {
    let spec = &rule.spec;
    let block = |family: Family| match &spec.peer {
        Peer::Cidr(cidr) if cidr.family() == family => Some(cidr.to_string()),
        Peer::Cidr(_) | Peer::PrefixList(_) | Peer::Group { .. } => None,
    };
    let group = || match &spec.peer {
        Peer::Group { group, account } => Some((group.to_string(), account.to_string())),
        Peer::Cidr(_) | Peer::PrefixList(_) => None,
    };
    match name {
        "cidr" => block(Family::V4),
        "ipv6-cidr" => block(Family::V6),
        "prefix-list-id" => match &spec.peer {
            Peer::PrefixList(id) => Some(id.to_string()),
            Peer::Cidr(_) | Peer::Group { .. } => None,
        },
        "group-id" => group().map(|(group, _)| group),
        "user-id" => group().map(|(_, account)| account),
        "protocol" => Some(ec2::protocol(spec.protocol)),
        "from-port" => ec2::numbers(spec.protocol, &spec.service).map(|(from, _)| from.to_string()),
        "to-port" => ec2::numbers(spec.protocol, &spec.service).map(|(_, to)| to.to_string()),
        _ => None,
    }
}

fn group(group: &Group, view: &View<'_>) -> Fields {
    let mut fields: Fields = vec![
        ("ownerId", group.account.as_str().into()),
        ("groupId", group.id.as_str().into()),
        ("groupName", group.name.as_str().into()),
        ("groupDescription", group.description.as_str().into()),
        ("vpcId", group.vpc.as_str().into()),
        ("securityGroupArn", arn_of(group, view).into()),
        ("ipPermissions", list("item", permissions(group, Direction::Ingress, view))),
        ("ipPermissionsEgress", list("item", permissions(group, Direction::Egress, view))),
    ];
    fields.push(tags::set(&group.tags));
    fields
}

fn arn_of(group: &Group, view: &View<'_>) -> String {
    arn(view.region.name, &group.account, "security-group", group.id.as_str())
}

/// The rules of a direction, those of one protocol and ports as one item, in the order of their first.
fn permissions(group: &Group, direction: Direction, view: &View<'_>) -> Vec<Fields> {
    merged(group, in_order(group, direction), view)
}

/// Rules of a group, those of one protocol and ports as one item, in the order of their first.
pub(super) fn merged(group: &Group, rules: Vec<&Rule>, view: &View<'_>) -> Vec<Fields> {
    let mut merged: Vec<(Protocol, &Service, Vec<&Rule>)> = Vec::new();
    for rule in rules {
        let spec = &rule.spec;
        match merged.iter_mut().find(|(protocol, service, _)| *protocol == spec.protocol && **service == spec.service)
        {
            Some((_, _, rules)) => rules.push(rule),
            None => merged.push((spec.protocol, &spec.service, vec![rule])),
        }
    }
    let item = |(protocol, service, rules): (Protocol, &Service, Vec<&Rule>)| {
        permission((protocol, service), &rules, |named| peerings::of_peer(&group.vpc, named, view))
    };
    merged.into_iter().map(item).collect()
}

/// The rules of a direction in the order in which they were made.
pub(super) fn in_order(group: &Group, direction: Direction) -> Vec<&Rule> {
    let mut rules: Vec<&Rule> = group.rules.values().map(|rule| &**rule).collect();
    rules.retain(|rule| rule.spec.direction == direction);
    rules.sort_by(|one, other| (one.created_at, &one.id).cmp(&(other.created_at, &other.id)));
    rules
}

/// `of_peer` says where a group is that is in another VPC.
fn permission(
    (protocol, service): (Protocol, &Service),
    rules: &[&Rule],
    of_peer: impl Fn(&GroupId) -> Fields,
) -> Fields {
    let mut fields: Fields = vec![("ipProtocol", ec2::protocol(protocol).into())];
    if let Some((from, to)) = ec2::numbers(protocol, service) {
        fields.extend([("fromPort", number(from)), ("toPort", number(to))]);
    }
    let of = |name: &'static str, text: fn(&Peer) -> Option<String>| {
        let item = move |rule: &&Rule| Some(described(vec![(name, text(&rule.spec.peer)?.into())], rule));
        list("item", rules.iter().filter_map(item))
    };
    let groups = rules.iter().filter_map(|rule| match &rule.spec.peer {
        Peer::Group { group, account } => {
            let mut pair: Fields = vec![("userId", account.as_str().into()), ("groupId", group.as_str().into())];
            pair.extend(of_peer(group));
            Some(described(pair, rule))
        }
        Peer::Cidr(_) | Peer::PrefixList(_) => None,
    });
    fields.push(("groups", list("item", groups)));
    fields.push(("ipRanges", of("cidrIp", |peer| block_text(peer, Family::V4))));
    fields.push(("ipv6Ranges", of("cidrIpv6", |peer| block_text(peer, Family::V6))));
    fields.push(("prefixListIds", of("prefixListId", list_text)));
    fields
}

fn described(mut fields: Fields, rule: &Rule) -> Fields {
    if !rule.description.is_empty() {
        fields.push(("description", rule.description.as_str().into()));
    }
    fields
}

fn block_text(peer: &Peer, family: Family) -> Option<String> {
    match peer {
        Peer::Cidr(cidr) => (cidr.family() == family).then(|| cidr.to_string()),
        Peer::PrefixList(_) | Peer::Group { .. } => None,
    }
}

fn list_text(peer: &Peer) -> Option<String> {
    match peer {
        Peer::PrefixList(id) => Some(id.to_string()),
        Peer::Cidr(_) | Peer::Group { .. } => None,
    }
}
