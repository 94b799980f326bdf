//! Rules one by one, each with its id.

use std::sync::Arc;

use sekimori_core::{
    address::Family,
    ids::RuleId,
    refusal::Kind,
    rule::{Direction, Peer, Rule, ec2},
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

/// A rule of a group.
struct OfGroup<'a> {
    group: &'a Group,
    rule: &'a Rule,
}

pub(super) fn rules(call: &Call, listing: &Listing<RuleId>, view: &View<'_>) -> Result<Fields, Fault> {
    let is_own = |group: &Group| view.owns(&group.account, &group.vpc);
    let one = |id: &RuleId| {
        let (group, rule) = view.world.rule(id).filter(|(group, _)| is_own(group))?;
        Some(OfGroup { group, rule })
    };
    let all = || {
        let own = view.world.groups().filter(|group| is_own(group));
        own.flat_map(|group| group.rules.values().map(|rule| OfGroup { group, rule })).collect()
    };
    let (wanted, next) = part(call, listing, named(&listing.ids, Kind::Rule, one, all)?, view);
    let items = wanted.into_iter().map(|of| item(&of, view));
    let mut fields: Fields = vec![("securityGroupRuleSet", list("item", items))];
    fields.extend(next);
    Ok(fields)
}

/// What an authorization answers: the new rules.
pub(super) fn authorized(ids: &[RuleId], view: &View<'_>) -> Fields {
    let found = ids.iter().filter_map(|id| view.world.rule(id));
    let items = found.map(|(group, rule)| item(&OfGroup { group, rule }, view));
    vec![("return", true.into()), ("securityGroupRuleSet", list("item", items))]
}

/// What a revocation answers: the rules that are gone.
pub(super) fn revoked(call: &Call, rules: &[Arc<Rule>]) -> Fields {
    let group = call.params().filled("GroupId").unwrap_or_default();
    let items = rules.iter().map(|rule| {
        let mut fields: Fields = vec![("securityGroupRuleId", rule.id.as_str().into()), ("groupId", group.into())];
        fields.extend(said(rule));
        if let Peer::Group { group, account: _ } = &rule.spec.peer {
            fields.push(("referencedGroupId", group.as_str().into()));
        }
        fields
    });
    vec![
        ("return", true.into()),
        ("unknownIpPermissionSet", list::<&str>("item", [])),
        ("revokedSecurityGroupRuleSet", list("item", items)),
    ]
}

impl Item for OfGroup<'_> {
    fn place(&self) -> (Timestamp, &str) {
        (self.rule.created_at, self.rule.id.as_str())
    }

    fn tags(&self) -> &Tags {
        &self.rule.tags
    }

    fn values(&self, filter: &str, _: &View<'_>) -> Vec<String> {
        match filter {
            "group-id" => vec![self.group.id.to_string()],
            "security-group-rule-id" => vec![self.rule.id.to_string()],
            _ => Vec::new(),
        }
    }
}

fn item(OfGroup { group, rule }: &OfGroup<'_>, view: &View<'_>) -> Fields {
    let mut fields: Fields = vec![
        ("securityGroupRuleId", rule.id.as_str().into()),
        ("groupId", group.id.as_str().into()),
        ("groupOwnerId", group.account.as_str().into()),
    ];
    fields.extend(said(rule));
    if let Peer::Group { group: named, account } = &rule.spec.peer {
        let mut referenced: Fields = vec![("groupId", named.as_str().into()), ("userId", account.as_str().into())];
        referenced.extend(peerings::of_peer(&group.vpc, named, view));
        fields.push(("referencedGroupInfo", referenced.into()));
    }
    let arn = arn(view.region.name, &group.account, "security-group-rule", rule.id.as_str());
    fields.push(("securityGroupRuleArn", arn.into()));
    fields.push(tags::set(&rule.tags));
    fields
}

/// What a rule says, besides the group that it names. Here `-1` stands for ports that it does not have.
fn said(rule: &Rule) -> Fields {
    let spec = &rule.spec;
    let (from, to) = ec2::numbers(spec.protocol, &spec.service).unwrap_or((-1, -1));
    let mut fields: Fields = vec![
        ("isEgress", (spec.direction == Direction::Egress).into()),
        ("ipProtocol", ec2::protocol(spec.protocol).into()),
        ("fromPort", number(from)),
        ("toPort", number(to)),
    ];
    match &spec.peer {
        Peer::Cidr(cidr) => {
            let name = match cidr.family() {
                Family::V4 => "cidrIpv4",
                Family::V6 => "cidrIpv6",
            };
            fields.push((name, cidr.to_string().into()));
        }
        Peer::PrefixList(id) => fields.push(("prefixListId", id.as_str().into())),
        Peer::Group { .. } => {}
    }
    if !rule.description.is_empty() {
        fields.push(("description", rule.description.as_str().into()));
    }
    fields
}
