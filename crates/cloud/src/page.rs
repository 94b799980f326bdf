//! Parts of results by token: the key of the last item that the client has seen.
//!
//! A token outlives the item it names; [`crate::token`] writes and reads it.

use std::cmp::Ordering;

/// The order of a result by the keys of its items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Smallest key first.
    Ascending,
    /// Largest key first.
    Descending,
}

/// The part of a result after a key, and the key to go on after if there is more.
pub(crate) fn after<T>(
    all: Vec<T>,
    (seen, most): (Option<&str>, usize),
    order: Order,
    key: impl Fn(&T) -> String,
) -> (Vec<T>, Option<String>) {
    let is_seen = |item: &T| seen.is_some_and(|seen| is_at_or_before(&key(item), seen, order));
    let mut rest = all.into_iter().skip_while(is_seen);
    let items: Vec<T> = rest.by_ref().take(most).collect();
    let last = items.last().filter(|_| rest.next().is_some()).map(&key);
    (items, last)
}

fn is_at_or_before(key: &str, after: &str, order: Order) -> bool {
    match (key.cmp(after), order) {
        (Ordering::Equal, _) | (Ordering::Less, Order::Ascending) | (Ordering::Greater, Order::Descending) => true,
        (Ordering::Greater, Order::Ascending) | (Ordering::Less, Order::Descending) => false,
    }
}
