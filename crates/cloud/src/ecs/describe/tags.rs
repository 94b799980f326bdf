//! Tags, in every thing that has them and in a list of their own.

use sekimori_core::{resource::Resource, tags::Tags};

use super::{
    View,
    page::{Order, part},
};
use crate::ecs::{
    encode::{self, Fields, Node, list},
    query::TagQuery,
};

/// The `Tags` of a thing.
pub(super) fn node(tags: &Tags) -> Node {
    list("Tag", tags.iter().map(pair))
}

/// The `Tags` of a thing whose lists are not wrapped.
pub(super) fn array(tags: &Tags) -> Node {
    encode::array(tags.iter().map(pair))
}

fn pair((key, value): (&str, &str)) -> Fields {
    vec![("TagKey", key.into()), ("TagValue", value.into())]
}

/// One tag of one resource.
struct Tag<'a> {
    resource: Resource,
    key: &'a str,
    value: &'a str,
}

pub(super) fn tag_resources(query: &TagQuery, view: &View<'_>) -> Fields {
    let all: Vec<Tag<'_>> = resources(query, view).into_iter().flat_map(|resource| tags_of(resource, view)).collect();
    let (wanted, mut fields) = part(all, &query.page, Order::Ascending, place);
    let tags = wanted.into_iter().map(|tag| {
        vec![
            ("ResourceId", tag.resource.as_str().into()),
            ("ResourceType", query.type_name.as_str().into()),
            ("TagKey", tag.key.into()),
            ("TagValue", tag.value.into()),
        ]
    });
    fields.push(("TagResources", list("TagResource", tags)));
    fields
}

/// No id has a line break, so places sort as resource and key do.
fn place(tag: &Tag<'_>) -> String {
    format!("{}\n{}", tag.resource.as_str(), tag.key)
}

fn resources(query: &TagQuery, view: &View<'_>) -> Vec<Resource> {
    let mut all: Vec<Resource> = query.ids.iter().map(|id| query.kind.named(id)).collect();
    if all.is_empty() {
        all = query.kind.of(view.world, view.account);
    }
    all.retain(|resource| {
        view.world.labels(resource).is_some_and(|labels| {
            labels.account == view.account
                && query.region.is_none_or(|region| region.id == labels.region)
                && labels.tags.pass(&query.tags)
        })
    });
    all.sort();
    all.dedup();
    all
}

fn tags_of<'a>(resource: Resource, view: &View<'a>) -> impl Iterator<Item = Tag<'a>> {
    let labels = view.world.labels(&resource);
    let tags = labels.into_iter().flat_map(|labels| labels.tags.iter());
    let tags: Vec<(&str, &str)> = tags.collect();
    tags.into_iter().map(move |(key, value)| Tag { resource: resource.clone(), key, value })
}
