//! What an agent says about the comparison of its kernel with what it had written there.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{ids::EniId, world::Revision};

/// Differences that one report tells; further ones are only counted.
pub const DIFFERENCES_MAX: usize = 256;

/// A part of what enforces on a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// What the maps say about an interface.
    Eni,
    /// The words of a policy.
    Policy,
    /// Who has a private address.
    Address,
    /// Which interface is an ENI's.
    Port,
    /// What a number stands for.
    Name,
    /// A program on an interface.
    Program,
    /// The name of a map or link in the bpffs.
    Pin,
    /// A namespace.
    Namespace,
    /// A link between namespaces.
    Link,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Eni => "interface",
            Self::Policy => "policy",
            Self::Address => "address",
            Self::Port => "port",
            Self::Name => "name",
            Self::Program => "program",
            Self::Pin => "pin",
            Self::Namespace => "namespace",
            Self::Link => "link",
        })
    }
}

/// Something that was not as the agent had left it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// What it is a part of.
    pub part: Part,
    /// Which one.
    pub subject: String,
    /// How it differed.
    pub found: String,
    /// Why it could not be repaired; `None`: it was.
    pub failure: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { part, subject, found, failure } = self;
        write!(f, "{part} {subject} {found}")?;
        failure.iter().try_for_each(|failure| write!(f, " (not repaired: {failure})"))
    }
}

impl Difference {
    /// Whether it is about a program of an ENI.
    #[must_use]
    pub fn is_program_of(&self, eni: &EniId) -> bool {
        self.part == Part::Program && self.subject.ends_with(eni.as_str())
    }
}

/// What was compared since the last report, or because it was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadBack {
    /// The number of the question that it answers; `None` is work in the background.
    pub request: Option<u64>,
    /// The revision that the kernel was compared with; `None` when the agent follows none, and compared nothing.
    pub revision: Option<Revision>,
    /// Entries that were compared.
    pub checked: u64,
    /// Differences that were found.
    pub found: u64,
    /// What they were, as far as there is room.
    pub differences: Vec<Difference>,
}
