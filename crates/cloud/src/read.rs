//! Reading parameters one by one, as both dialects do it: presence, truth values, numbers.
//!
//! What is wrong is told in neutral words; each dialect makes its own code of it.

use std::ops::RangeInclusive;

use crate::{catalog::Entry, params::Params};

/// Why a parameter cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// It is not there, and must be.
    Missing {
        /// Its name.
        name: String,
    },
    /// It is neither `true` nor `false`.
    NoBoolean {
        /// Its name.
        name: String,
        /// Its text.
        text: String,
    },
    /// It is no whole number, or one outside its range.
    NoInteger {
        /// Its name.
        name: String,
        /// Its text.
        text: String,
        /// The range.
        range: RangeInclusive<u32>,
    },
}

/// The parameters of a call, with the row of its catalog that says which it may read.
pub(crate) struct Reader<'a, A: 'static, V: 'static> {
    params: &'a Params,
    entry: &'static Entry<A, V>,
}

impl<A, V> Clone for Reader<'_, A, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A, V> Copy for Reader<'_, A, V> {}

impl<'a, A, V> Reader<'a, A, V> {
    pub(crate) fn new(params: &'a Params, entry: &'static Entry<A, V>) -> Self {
        Self { params, entry }
    }

    /// Checks that every required parameter is there.
    pub(crate) fn check_required(&self) -> Result<(), Unread> {
        self.entry.required().try_for_each(|name| self.required(name).map(drop))
    }

    /// A parameter that is there and not empty.
    pub(crate) fn text(&self, name: &str) -> Option<&'a str> {
        debug_assert!(self.entry.accepts(name), "`{name}` is not in the catalog");
        self.params.filled(name)
    }

    /// The same, of one that the operation cannot do without.
    pub(crate) fn required(&self, name: &str) -> Result<&'a str, Unread> {
        self.text(name).ok_or_else(|| missing(name))
    }

    /// The filled texts of a numbered list, in the order of their numbers.
    pub(crate) fn list(&self, name: &str) -> Vec<&'a str> {
        debug_assert!(self.entry.accepts(&format!("{name}.1")), "`{name}.N` is not in the catalog");
        self.params.list(name)
    }

    /// `true` or `false`, in any case.
    pub(crate) fn boolean(&self, name: &str) -> Result<Option<bool>, Unread> {
        match self.text(name) {
            None => Ok(None),
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(text) => Err(Unread::NoBoolean { name: name.to_owned(), text: text.to_owned() }),
        }
    }

    /// A whole number in a range.
    pub(crate) fn integer(&self, name: &str, range: RangeInclusive<u32>) -> Result<Option<u32>, Unread> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let number = text.parse::<u32>().ok().filter(|number| range.contains(number));
        let wrong = || Unread::NoInteger { name: name.to_owned(), text: text.to_owned(), range };
        number.map(Some).ok_or_else(wrong)
    }
}

pub(crate) fn missing(name: &str) -> Unread {
    Unread::Missing { name: name.to_owned() }
}
