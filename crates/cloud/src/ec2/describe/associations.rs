//! The VPCs, besides its own, whose interfaces may carry a group.

use std::sync::Arc;

use sekimori_core::{
    ids::GroupId,
    tags::Tags,
    time::Timestamp,
    world::{Group, Vpc},
};

use super::{
    View,
    listing::{Item, part},
};
use crate::{
    ec2::{Call, query::Listing},
    node::{Fields, list},
};

/// An association is in effect when it is answered, so there are no states between.
const ASSOCIATED: &str = "associated";
const DISASSOCIATED: &str = "disassociated";

/// A group in a further VPC.
struct Association<'a> {
    group: &'a Group,
    vpc: &'a Vpc,
    /// Group and VPC, which tell one from the other.
    name: String,
}

/// What is asked for of associations of the caller's groups, and with the caller's VPCs.
pub(super) fn associations(call: &Call, listing: &Listing<GroupId>, view: &View<'_>) -> Fields {
    let is_seen = |group: &Group, vpc: &Vpc| {
        vpc.region == view.region.name && (group.account == *view.account || vpc.account == *view.account)
    };
    let mut all = Vec::new();
    for group in view.world.groups() {
        let vpcs = group.also_in.iter().filter_map(|id| view.world.vpc(id)).filter(|vpc| is_seen(group, vpc));
        all.extend(vpcs.map(|vpc: &Arc<Vpc>| Association { group, vpc, name: format!("{} {}", group.id, vpc.id) }));
    }
    let (wanted, next) = part(call, listing, all, view);
    let item = |one: Association<'_>| -> Fields {
        vec![
            ("groupId", one.group.id.as_str().into()),
            ("vpcId", one.vpc.id.as_str().into()),
            ("vpcOwnerId", one.vpc.account.as_str().into()),
            ("state", ASSOCIATED.into()),
            ("groupOwnerId", one.group.account.as_str().into()),
        ]
    };
    let mut fields: Fields = vec![("securityGroupVpcAssociationSet", list("item", wanted.into_iter().map(item)))];
    fields.extend(next);
    fields
}

/// What associating and its opposite answer.
pub(super) fn state(is_associated: bool) -> Fields {
    vec![("state", if is_associated { ASSOCIATED } else { DISASSOCIATED }.into())]
}

impl Item for Association<'_> {
    fn place(&self) -> (Timestamp, &str) {
        (self.group.created_at, &self.name)
    }

    fn tags(&self) -> &Tags {
        &self.group.tags
    }

    fn values(&self, filter: &str, _: &View<'_>) -> Vec<String> {
        match filter {
            "group-id" => vec![self.group.id.to_string()],
            "group-owner-id" => vec![self.group.account.to_string()],
            "state" => vec![ASSOCIATED.to_owned()],
            "vpc-id" => vec![self.vpc.id.to_string()],
            "vpc-owner-id" => vec![self.vpc.account.to_string()],
            _ => Vec::new(),
        }
    }
}
