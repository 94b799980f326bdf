//! Listings: by id or filters, in the order of creation, in parts; one way for everything that can be listed.

use sekimori_core::{refusal::Kind, tags::Tags, time::Timestamp};

use super::View;
use crate::{
    ec2::{Call, errors::Fault, query::Listing},
    node::Fields,
    page::{self, Order},
    token::Mark,
};

/// A thing that can be listed.
pub(super) trait Item {
    /// When it was made and what it is called: its place in the order.
    fn place(&self) -> (Timestamp, &str);

    /// Its tags.
    fn tags(&self) -> &Tags;

    /// What it shows to a filter of a name, besides tags. What it has nothing of passes no value.
    fn values(&self, filter: &str, view: &View<'_>) -> Vec<String>;
}

impl<T: Item> Item for &T {
    fn place(&self) -> (Timestamp, &str) {
        T::place(self)
    }

    fn tags(&self) -> &Tags {
        T::tags(self)
    }

    fn values(&self, filter: &str, view: &View<'_>) -> Vec<String> {
        T::values(self, filter, view)
    }
}

/// The things that ids name, or all of them. A name of nothing is refused, as `kind`.
pub(super) fn named<I: ToString, T>(
    ids: &[I],
    kind: Kind,
    one: impl Fn(&I) -> Option<T>,
    all: impl FnOnce() -> Vec<T>,
) -> Result<Vec<T>, Fault> {
    named_or(ids, |id| Fault::missing(kind, &id.to_string()), one, all)
}

/// The same, of things that have a fault of their own for a name of nothing.
pub(super) fn named_or<I, T>(
    ids: &[I],
    missing: impl Fn(&I) -> Fault,
    one: impl Fn(&I) -> Option<T>,
    all: impl FnOnce() -> Vec<T>,
) -> Result<Vec<T>, Fault> {
    if ids.is_empty() {
        return Ok(all());
    }
    ids.iter().map(|id| one(id).ok_or_else(|| missing(id))).collect()
}

/// The part of things that a listing wants, and the field that tells where it goes on.
pub(super) fn part<I, T: Item>(
    call: &Call,
    listing: &Listing<I>,
    mut things: Vec<T>,
    view: &View<'_>,
) -> (Vec<T>, Fields) {
    things.retain(|thing| listing.filters.pass(thing.tags(), |name| thing.values(name, view)));
    things.sort_by(|one, other| one.place().cmp(&other.place()));
    let from = (listing.page.after.as_deref(), listing.page.most);
    let (wanted, last) = page::after(things, from, Order::Ascending, |thing| place_text(thing.place()));
    (wanted, next(call, last, view))
}

/// `nextToken`, which is absent at the end.
pub(super) fn next(call: &Call, last: Option<String>, view: &View<'_>) -> Fields {
    let mark = Mark::of(call.entry().name, view.account);
    let token = last.map(|place| mark.token(&place));
    token.into_iter().map(|token| ("nextToken", token.into())).collect()
}

/// A place as text that sorts as places do.
fn place_text((at, id): (Timestamp, &str)) -> String {
    format!("{:020} {id}", at.0.max(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_sort_as_texts_as_they_do_as_moments() {
        let places =
            [(Timestamp(9), "z"), (Timestamp(10), "a"), (Timestamp(10), "b"), (Timestamp(2_000_000_000), "a")];
        let texts: Vec<String> = places.into_iter().map(place_text).collect();
        assert!(texts.is_sorted());
    }
}
