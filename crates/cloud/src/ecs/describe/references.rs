//! Which groups name which: `DescribeSecurityGroupReferences`, in both directions, over accounts.

use std::collections::BTreeSet;

use sekimori_core::{
    ids::{AccountId, GroupId},
    refusal::{Kind, Refusal},
    rule::Peer,
    world::{Group, Referent},
};

use super::View;
use crate::ecs::{
    encode::{Fields, Node, list},
    errors::Fault,
    query::ReferenceQuery,
};

/// The most groups that are told of one group.
const REFERENCES_MAX: usize = 100;

pub(super) fn references(query: &ReferenceQuery, view: &View<'_>) -> Result<Fields, Fault> {
    let items = query.groups.iter().map(|id| {
        let group = view.world.group(id).filter(|group| group.account == *view.account);
        let group = group.filter(|group| view.is_in(&group.vpc, query.region));
        let missing = || Fault::Refused(Refusal::Missing { kind: Kind::Group, id: id.to_string() });
        group.map(|group| reference(group, view)).ok_or_else(missing)
    });
    let items = items.collect::<Result<Vec<Node>, Fault>>()?;
    Ok(vec![("SecurityGroupReferences", list("SecurityGroupReference", items))])
}

fn reference(group: &Group, view: &View<'_>) -> Node {
    let others = related(group, view).into_iter().take(REFERENCES_MAX).map(|(id, account)| {
        Node::Object(vec![("AliUid", account.as_str().into()), ("SecurityGroupId", id.as_str().into())])
    });
    Node::Object(vec![
        ("SecurityGroupId", group.id.as_str().into()),
        ("ReferencingSecurityGroups", list("ReferencingSecurityGroup", others)),
    ])
}

/// The groups that name a group, and those that it names, each with its owner.
fn related(group: &Group, view: &View<'_>) -> BTreeSet<(GroupId, AccountId)> {
    let named = group.rules.values().filter_map(|rule| match &rule.spec.peer {
        Peer::Group { group, account } => Some((group.clone(), account.clone())),
        Peer::Cidr(_) | Peer::PrefixList(_) => None,
    });
    let naming = view.world.referrers(&Referent::Group(group.id.clone())).filter_map(|(id, _)| {
        let owner = &view.world.group(id)?.account;
        Some((id.clone(), owner.clone()))
    });
    named.chain(naming).filter(|(id, _)| *id != group.id).collect()
}
