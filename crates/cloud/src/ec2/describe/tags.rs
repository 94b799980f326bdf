//! Tags, in every thing that has them and in a list of their own.

use sekimori_core::{resource::ResourceKind, tags::Tags};

use super::{View, listing};
use crate::{
    ec2::{Call, query::Listing},
    node::{Fields, Node, list},
    page::{self, Order},
};

/// What has tags, and how EC2 calls it.
const KINDS: [(ResourceKind, &str); 12] = [
    (ResourceKind::Instance, "instance"),
    (ResourceKind::Eni, "network-interface"),
    (ResourceKind::NetworkAcl, "network-acl"),
    (ResourceKind::PrefixList, "prefix-list"),
    (ResourceKind::Group, "security-group"),
    (ResourceKind::Rule, "security-group-rule"),
    (ResourceKind::Subnet, "subnet"),
    (ResourceKind::Vpc, "vpc"),
    (ResourceKind::Peering, "vpc-peering-connection"),
    (ResourceKind::FlowLog, "vpc-flow-log"),
    (ResourceKind::InsightsPath, "network-insights-path"),
    (ResourceKind::InsightsAnalysis, "network-insights-analysis"),
];

/// The `tagSet` of a thing.
pub(super) fn set(tags: &Tags) -> (&'static str, Node) {
    let pair = |(key, value): (&str, &str)| -> Fields { vec![("key", key.into()), ("value", value.into())] };
    ("tagSet", list("item", tags.iter().map(pair)))
}

/// The same, left out where there is none.
pub(super) fn set_if_any(tags: &Tags) -> Option<(&'static str, Node)> {
    (!tags.is_empty()).then(|| set(tags))
}

/// One tag of one resource.
struct Tag {
    kind: &'static str,
    id: String,
    key: String,
    value: String,
}

/// What `DescribeTags` answers.
pub(super) fn tags(call: &Call, listing: &Listing<String>, view: &View<'_>) -> Fields {
    let mut all: Vec<Tag> = KINDS.iter().flat_map(|(kind, name)| tags_of(*kind, name, view)).collect();
    all.retain(|tag| {
        let own = Tags::one(&tag.key, &tag.value);
        listing.filters.pass(&own, |filter| values(tag, filter))
    });
    all.sort_by_key(place);
    let from = (listing.page.after.as_deref(), listing.page.most);
    let (wanted, last) = page::after(all, from, Order::Ascending, place);
    let item = |tag: Tag| -> Fields {
        vec![
            ("resourceId", tag.id.into()),
            ("resourceType", tag.kind.into()),
            ("key", tag.key.into()),
            ("value", tag.value.into()),
        ]
    };
    let mut fields: Fields = vec![("tagSet", list("item", wanted.into_iter().map(item)))];
    fields.extend(listing::next(call, last, view));
    fields
}

/// No id has a space, so places sort as resource and key do.
fn place(tag: &Tag) -> String {
    format!("{} {}", tag.id, tag.key)
}

fn values(tag: &Tag, filter: &str) -> Vec<String> {
    match filter {
        "key" => vec![tag.key.clone()],
        "value" => vec![tag.value.clone()],
        "resource-id" => vec![tag.id.clone()],
        "resource-type" => vec![tag.kind.to_owned()],
        _ => Vec::new(),
    }
}

fn tags_of(kind: ResourceKind, name: &'static str, view: &View<'_>) -> Vec<Tag> {
    let mut all = Vec::new();
    for resource in kind.of(view.world, view.account) {
        let Some(labels) = view.world.labels(&resource) else { continue };
        if labels.region != view.region.name {
            continue;
        }
        let tag = |(key, value): (&str, &str)| Tag {
            kind: name,
            id: resource.as_str().to_owned(),
            key: key.to_owned(),
            value: value.to_owned(),
        };
        all.extend(labels.tags.iter().map(tag));
    }
    all
}
