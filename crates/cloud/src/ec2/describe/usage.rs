//! Which groups a VPC has, which of them name what is gone, and who names a group from another VPC.

use sekimori_core::{
    ids::{GroupId, VpcId},
    refusal::Kind,
    rule::{Direction, Peer, Rule},
    world::{Group, Referent},
};

use super::{View, groups, listing::part, tags};
use crate::{
    ec2::{Call, errors::Fault, query::Listing},
    node::{Fields, list},
};

type InVpc<'a> = (&'a VpcId, &'a Listing<GroupId>);

/// What `GetSecurityGroupsForVpc` answers.
pub(super) fn for_vpc(call: &Call, (vpc, listing): InVpc<'_>, view: &View<'_>) -> Result<Fields, Fault> {
    let (wanted, next) = part(call, listing, groups_of(vpc, view)?, view);
    let item = |group: &Group| -> Fields {
        let mut fields: Fields = vec![
            ("groupId", group.id.as_str().into()),
            ("groupName", group.name.as_str().into()),
            ("description", group.description.as_str().into()),
            ("ownerId", group.account.as_str().into()),
            ("primaryVpcId", group.vpc.as_str().into()),
        ];
        fields.push(tags::set(&group.tags));
        fields
    };
    let mut fields: Fields = vec![("securityGroupForVpcSet", list("item", wanted.into_iter().map(item)))];
    fields.extend(next);
    Ok(fields)
}

/// What `DescribeStaleSecurityGroups` answers: groups with rules whose peer is gone.
pub(super) fn stale(call: &Call, (vpc, listing): InVpc<'_>, view: &View<'_>) -> Result<Fields, Fault> {
    let all = groups_of(vpc, view)?.into_iter().filter(|group| group.vpc == *vpc);
    let stale = all.filter(|group| group.rules.values().any(|rule| is_stale(group, rule, view))).collect();
    let (wanted, next) = part(call, listing, stale, view);
    let item = |group: &Group| -> Fields {
        let permissions = |direction: Direction| {
            let rules = groups::in_order(group, direction).into_iter().filter(|rule| is_stale(group, rule, view));
            list("item", groups::merged(group, rules.collect(), view))
        };
        vec![
            ("groupId", group.id.as_str().into()),
            ("groupName", group.name.as_str().into()),
            ("description", group.description.as_str().into()),
            ("vpcId", group.vpc.as_str().into()),
            ("staleIpPermissions", permissions(Direction::Ingress)),
            ("staleIpPermissionsEgress", permissions(Direction::Egress)),
        ]
    };
    let mut fields: Fields = vec![("staleSecurityGroupSet", list("item", wanted.into_iter().map(item)))];
    fields.extend(next);
    Ok(fields)
}

/// What `DescribeSecurityGroupReferences` answers: the other VPCs whose groups name these.
pub(super) fn references(ids: &[GroupId], view: &View<'_>) -> Result<Fields, Fault> {
    let mut items: Vec<Fields> = Vec::new();
    for id in ids {
        let own = view.world.group(id).filter(|group| view.owns(&group.account, &group.vpc));
        let own = own.ok_or_else(|| Fault::missing(Kind::Group, id.as_str()))?;
        let namers = view.world.referrers(&Referent::Group(id.clone()));
        let mut vpcs: Vec<&VpcId> =
            namers.filter_map(|(group, _)| view.world.group(group)).map(|group| &group.vpc).collect();
        vpcs.sort();
        vpcs.dedup();
        let others = vpcs.into_iter().filter(|vpc| **vpc != own.vpc);
        items.extend(others.map(|vpc| {
            let mut fields: Fields = vec![("groupId", id.as_str().into()), ("referencingVpcId", vpc.as_str().into())];
            let peering = view.world.peerings().between(&own.vpc, vpc);
            fields.extend(peering.map(|peering| ("vpcPeeringConnectionId", peering.as_str().into())));
            fields
        }));
    }
    Ok(vec![("securityGroupReferenceSet", list("item", items))])
}

/// Whether the group that a rule names can be nobody's peer any more.
fn is_stale(group: &Group, rule: &Rule, view: &View<'_>) -> bool {
    match &rule.spec.peer {
        Peer::Group { group: peer, account: _ } => !view.world.can_name(group, peer),
        Peer::Cidr(_) | Peer::PrefixList(_) => false,
    }
}

/// The caller's groups that interfaces of a VPC of the request's region may carry.
fn groups_of<'a>(vpc: &VpcId, view: &View<'a>) -> Result<Vec<&'a Group>, Fault> {
    let open = view.world.vpc(vpc).filter(|vpc| vpc.is_open_to(view.account) && vpc.region == view.region.name);
    open.ok_or_else(|| Fault::missing(Kind::Vpc, vpc.as_str()))?;
    let own = view.world.groups().filter(|group| group.is_for(vpc) && group.account == *view.account);
    Ok(own.map(|group| &**group).collect())
}
