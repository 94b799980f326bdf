//! What an operation of either dialect takes: the words of a catalog. The catalogs themselves are the dialects'.
//!
//! Decoding reads parameters through [`Entry::accepts`] in debug builds, so a parameter cannot be read without being
//! listed.

/// What the text of a parameter must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The id of a resource.
    Id,
    /// The ids of resources, as a JSON array.
    Ids,
    /// Words of the owner.
    Text,
    /// A decimal number.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// One of a few words.
    Choice,
    /// An address or an address block.
    Address,
    /// A port range, `first/last`.
    Ports,
    /// An opaque token.
    Token,
}

/// Whether a parameter is needed, and whether it has an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// The call fails without it.
    Required,
    /// It may be left out.
    Optional,
    /// It is accepted without any effect.
    Ignored,
    /// The cloud has it; here the call fails with it, because leaving its effect out would mislead.
    Refused,
}

/// A parameter of an operation.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Its name; `N` stands for the number of a list item, `*` at the end for whatever is below.
    pub name: &'static str,
    /// What its text must be.
    pub kind: Kind,
    /// Whether it is needed.
    pub presence: Presence,
}

impl Parameter {
    /// Whether a name, with `N` for every number, is this parameter.
    fn is_named(&self, general: &str) -> bool {
        match self.name.strip_suffix('*') {
            Some(above) => general.starts_with(above),
            None => self.name == general,
        }
    }
}

/// An operation in a catalog; `A` are its dialect's operations, `V` the versions of its APIs.
#[derive(Debug)]
pub struct Entry<A: 'static, V: 'static> {
    /// Which.
    pub action: A,
    /// Its name on the wire.
    pub name: &'static str,
    /// The API versions that have it.
    pub versions: &'static [V],
    /// Whether it changes anything.
    pub is_mutating: bool,
    /// Its parameters, besides the common ones.
    pub parameters: &'static [Parameter],
    /// Those that every operation of the dialect has.
    pub common: &'static [Parameter],
}

impl<A, V> Entry<A, V> {
    /// The parameters that a call fails without.
    pub fn required(&self) -> impl Iterator<Item = &'static str> {
        let needed = self.parameters.iter().filter(|parameter| parameter.presence == Presence::Required);
        needed.map(|parameter| parameter.name)
    }

    /// Whether a name on the wire, such as `Permissions.3.Policy`, is a parameter of the operation.
    #[must_use]
    pub fn accepts(&self, name: &str) -> bool {
        self.parameter(name).is_some()
    }

    /// The parameter of a name on the wire.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&'static Parameter> {
        let general: Vec<&str> =
            name.split('.').map(|part| if part.parse::<u32>().is_ok() { "N" } else { part }).collect();
        let general = general.join(".");
        self.parameters.iter().chain(self.common).find(|parameter| parameter.is_named(&general))
    }
}

pub(crate) const fn needs(name: &'static str, kind: Kind) -> Parameter {
    Parameter { name, kind, presence: Presence::Required }
}

pub(crate) const fn takes(name: &'static str, kind: Kind) -> Parameter {
    Parameter { name, kind, presence: Presence::Optional }
}

pub(crate) const fn ignores(name: &'static str, kind: Kind) -> Parameter {
    Parameter { name, kind, presence: Presence::Ignored }
}

pub(crate) const fn refuses(name: &'static str, kind: Kind) -> Parameter {
    Parameter { name, kind, presence: Presence::Refused }
}

/// Joins lists of parameters at compile time.
pub(crate) const fn join<const N: usize>(lists: &[&[Parameter]]) -> [Parameter; N] {
    let mut all = [ignores("", Kind::Text); N];
    let (mut list, mut next) = (0, 0);
    while list < lists.len() {
        let mut item = 0;
        while item < lists[list].len() {
            all[next] = lists[list][item];
            next += 1;
            item += 1;
        }
        list += 1;
    }
    assert!(next == N, "the length of a parameter list is wrong");
    all
}
