//! The tags of a resource: what a key and a value may be, and which resources a filter passes.
//!
//! Tags are the owner's words. Nothing about packets depends on them.

use std::collections::BTreeSet;

use imbl::OrdMap;
use serde::{Deserialize, Serialize};

use crate::world::Dialect;

/// The tags of one resource, by key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tags(OrdMap<String, String>);

/// Why a text cannot be part of a tag.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TagFault {
    /// The key is empty, too long, reserved or a web address.
    #[error("`{0}` cannot be the key of a tag; use a shorter one that does not begin as the cloud's own do")]
    Key(String),
    /// The value is too long or a web address.
    #[error("`{0}` cannot be the value of a tag; use a shorter one without a web address")]
    Value(String),
    /// A key is there twice.
    #[error("tag `{0}` is given twice; give it once")]
    Twice(String),
}

/// Which tags are taken from a resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TagKeys {
    /// Every one.
    All,
    /// These.
    Named(BTreeSet<String>),
}

/// A tag that a resource must have to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagFilter {
    /// Its key.
    pub key: String,
    /// Its value; `None` is any.
    pub value: Option<String>,
}

/// What a dialect allows in tags.
struct Rules {
    key_max: usize,
    value_max: usize,
    reserved: &'static [&'static str],
    web_addresses: bool,
}

impl Rules {
    fn of(dialect: Dialect) -> Self {
        match dialect {
            Dialect::Ecs => {
                Self { key_max: 128, value_max: 128, reserved: &["aliyun", "acs:"], web_addresses: false }
            }
            Dialect::Ec2 => Self { key_max: 127, value_max: 256, reserved: &["aws:"], web_addresses: true },
        }
    }

    fn is_key(&self, key: &str) -> bool {
        let lower = key.to_lowercase();
        let is_reserved = self.reserved.iter().any(|prefix| lower.starts_with(prefix));
        !key.is_empty() && !is_reserved && self.is_text(key, self.key_max)
    }

    fn is_text(&self, text: &str, characters_max: usize) -> bool {
        let has_address = text.contains("http://") || text.contains("https://");
        text.chars().count() <= characters_max && (self.web_addresses || !has_address)
    }
}

/// Of tags that were checked when they were set.
impl FromIterator<(String, String)> for Tags {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

impl Tags {
    /// Tags as a client writes them.
    ///
    /// # Errors
    /// Names the first text that the dialect does not allow.
    pub fn read<'a>(dialect: Dialect, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, TagFault> {
        let rules = Rules::of(dialect);
        let mut tags = OrdMap::new();
        for (key, value) in pairs {
            if !rules.is_key(key) {
                return Err(TagFault::Key(key.to_owned()));
            }
            if !rules.is_text(value, rules.value_max) {
                return Err(TagFault::Value(value.to_owned()));
            }
            if tags.insert(key.to_owned(), value.to_owned()).is_some() {
                return Err(TagFault::Twice(key.to_owned()));
            }
        }
        Ok(Self(tags))
    }

    /// One tag alone.
    #[must_use]
    pub fn one(key: &str, value: &str) -> Self {
        Self(OrdMap::unit(key.to_owned(), value.to_owned()))
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Key and value of every tag, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// These tags and others; where a key is in both, the other's value.
    #[must_use]
    pub fn with(&self, others: &Self) -> Self {
        Self(others.0.clone().union(self.0.clone()))
    }

    /// These tags without some.
    #[must_use]
    pub fn without(&self, keys: &TagKeys) -> Self {
        match keys {
            TagKeys::All => Self::default(),
            TagKeys::Named(keys) => {
                let kept = self.0.iter().filter(|(key, _)| !keys.contains(*key));
                Self(kept.map(|(key, value)| (key.clone(), value.clone())).collect())
            }
        }
    }

    /// Whether every filter finds its tag here.
    #[must_use]
    pub fn pass(&self, filters: &[TagFilter]) -> bool {
        let has = |filter: &TagFilter| {
            let found = self.0.get(&filter.key);
            found.is_some_and(|value| filter.value.as_ref().is_none_or(|wanted| wanted == value))
        };
        filters.iter().all(has)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> Tags {
        Tags::read(Dialect::Ecs, pairs.iter().copied()).unwrap()
    }

    #[test]
    fn what_each_cloud_reserves_is_refused() {
        for key in ["", "aliyunx", "acs:a", "ACS:a", "http://a", &"k".repeat(129)] {
            let read = Tags::read(Dialect::Ecs, [(key, "v")]);
            assert_eq!(read, Err(TagFault::Key(key.to_owned())));
        }
        assert!(matches!(Tags::read(Dialect::Ec2, [("aws:a", "")]), Err(TagFault::Key(_))));
        assert!(Tags::read(Dialect::Ec2, [("acs:a", "https://a")]).is_ok());
        let long = "v".repeat(129);
        assert_eq!(Tags::read(Dialect::Ecs, [("k", long.as_str())]), Err(TagFault::Value(long.clone())));
        assert!(Tags::read(Dialect::Ecs, [("k".repeat(128).as_str(), "東".repeat(128).as_str())]).is_ok());
        assert_eq!(Tags::read(Dialect::Ecs, [("k", "a"), ("k", "a")]), Err(TagFault::Twice("k".to_owned())));
    }

    #[test]
    fn the_newer_value_wins_and_unknown_keys_are_no_error() {
        let both = tags(&[("a", "1"), ("b", "2")]).with(&tags(&[("b", "3"), ("c", "")]));
        assert_eq!(both, tags(&[("a", "1"), ("b", "3"), ("c", "")]));
        let named = TagKeys::Named(["b".to_owned(), "z".to_owned()].into());
        assert_eq!(both.without(&named), tags(&[("a", "1"), ("c", "")]));
        assert!(both.without(&TagKeys::All).is_empty());
    }

    #[test]
    fn all_filters_must_hold_and_a_key_alone_takes_any_value() {
        let filter =
            |key: &str, value: Option<&str>| TagFilter { key: key.to_owned(), value: value.map(str::to_owned) };
        let own = tags(&[("a", "1"), ("b", "")]);
        assert!(own.pass(&[]) && own.pass(&[filter("a", None), filter("b", Some(""))]));
        assert!(!own.pass(&[filter("a", Some("2"))]) && !own.pass(&[filter("a", None), filter("c", None)]));
    }
}
