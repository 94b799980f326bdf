//! Groups, without their rules.

use std::sync::Arc;

use sekimori_core::{
    limits::{LimitMode, Limits},
    rule::Peer,
    world::{Dialect, Flavor, Group},
};

use super::{
    View,
    page::{Order, part},
    tags,
};
use crate::{
    ecs::{
        encode::{Fields, Node, list, number},
        query::GroupQuery,
    },
    time::to_seconds,
};

pub(super) fn groups(query: &GroupQuery, view: &View<'_>) -> Fields {
    let passes = |group: &&Arc<Group>| passes(query, view, group);
    let all: Vec<&Arc<Group>> = match &query.ids {
        None => view.world.groups().rev().filter(passes).collect(),
        Some(ids) => {
            let mut named: Vec<_> = ids.iter().filter_map(|id| view.world.group(id)).filter(passes).collect();
            named.sort_by(|one, other| other.id.cmp(&one.id));
            named.dedup_by(|one, other| one.id == other.id);
            named
        }
    };
    let (wanted, part) = part(all, &query.page, Order::Descending, |group| group.id.to_string());
    let mut fields = vec![("RegionId", query.region.map_or("", |region| region.id).into())];
    fields.extend(part);
    let groups = wanted.into_iter().map(|group| node(group, query.counts, view));
    fields.push(("SecurityGroups", list("SecurityGroup", groups)));
    fields
}

fn passes(query: &GroupQuery, view: &View<'_>, group: &Group) -> bool {
    group.account == *view.account
        && !query.is_empty
        && view.is_in(&group.vpc, query.region)
        && query.name.as_ref().is_none_or(|name| name.matches(&group.name))
        && query.vpc.as_ref().is_none_or(|vpc| *vpc == group.vpc)
        && query.flavor.is_none_or(|flavor| flavor == group.flavor)
        && query.is_managed.is_none_or(|wanted| wanted == group.managed_by.is_some())
        && query.resource_group.as_ref().is_none_or(|wanted| *wanted == group.resource_group)
        && group.tags.pass(&query.tags)
}

fn node(group: &Group, counts: bool, view: &View<'_>) -> Node {
    let peers = group.rules.values().filter(|rule| matches!(rule.spec.peer, Peer::Group { .. })).count();
    let mut fields: Fields = vec![
        ("SecurityGroupId", group.id.as_str().into()),
        ("SecurityGroupName", group.name.as_str().into()),
        ("Description", group.description.as_str().into()),
        ("SecurityGroupType", type_of(group.flavor).into()),
        ("VpcId", group.vpc.as_str().into()),
        ("CreationTime", to_seconds(group.created_at).into()),
        ("ResourceGroupId", group.resource_group.as_str().into()),
        ("ServiceManaged", group.managed_by.is_some().into()),
        ("RuleCount", number(group.rules.len())),
        ("GroupToGroupRuleCount", number(peers)),
        ("Tags", tags::node(&group.tags)),
    ];
    fields.extend(group.managed_by.map(|service| ("ServiceID", number(service))));
    if counts {
        let (members, available) = members(group, view);
        fields.push(("EcsCount", number(members)));
        fields.push(("AvailableInstanceAmount", number(available)));
    }
    Node::Object(fields)
}

/// How many interfaces the group has, and how many more the cloud's quota lets in.
fn members(group: &Group, view: &View<'_>) -> (usize, usize) {
    let (mut enis, mut addresses) = (0, 0);
    for member in view.world.members(&group.id) {
        enis += 1;
        addresses += member.addresses.len();
    }
    let (enis_max, addresses_max) = Limits::of(LimitMode::Cloud, Dialect::Ecs).group_size(group.flavor);
    let free = |most: u32, taken: usize| (most as usize).saturating_sub(taken);
    (enis, free(enis_max, enis).min(free(addresses_max, addresses)))
}

fn type_of(flavor: Flavor) -> &'static str {
    match flavor {
        Flavor::EcsBasic => "normal",
        Flavor::EcsEnterprise | Flavor::Ec2 => "enterprise",
    }
}
