//! Invariants: named assertions of the operator about who reaches whom, which every change is held to.
//!
//! They are facts of the world, over all accounts, and with them whether they hold. What they mean is computed elsewhere, exactly
//! (`sekimori_analysis::invariant`); the writer asks before it commits. Hosts are told nothing of them.

mod statement;

use std::{fmt, net::IpAddr, sync::Arc};

use imbl::OrdMap;
use serde::{Deserialize, Serialize};

pub use self::statement::{
    INVARIANT_BYTES_MAX, INVARIANT_SERVICES_MAX, Served, Statement, StatementError, Verb, Written,
};
use crate::{
    ids::{EniId, VpcId},
    packet::Transport,
    time::Timestamp,
    ways::Gap,
    world::{Revision, World},
};

/// Invariants on one server.
pub const INVARIANTS_MAX: u32 = 256;
/// Characters of the name of an invariant.
pub const INVARIANT_NAME_CHARACTERS_MAX: usize = 64;

/// A named assertion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invariant {
    /// Its name.
    pub name: String,
    /// What it says.
    pub statement: Statement,
    /// What becomes of a change that violates it.
    pub mode: Mode,
    /// When it was set.
    pub set_at: Timestamp,
    /// How it is violated, while it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub violation: Option<Violation>,
}

/// What becomes of a change that violates an invariant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// It is refused.
    #[default]
    Enforce,
    /// It is committed, and told.
    Warn,
}

/// That an invariant does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// Since which revision.
    pub since: Revision,
    /// By what.
    pub witness: Witness,
}

/// What shows that an invariant does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Witness {
    /// A packet that gets through and must not.
    Passes(Sight),
    /// A packet that does not get through and should, or whose answer does not.
    Dropped(Sight),
    /// Two ends that have no family in common which the service runs over.
    NoFamily {
        /// Who should reach.
        from: String,
        /// Who should be reached.
        to: String,
    },
    /// Two ends in VPCs that are not peered.
    Apart {
        /// Who should reach.
        from: String,
        /// Its VPC.
        from_vpc: VpcId,
        /// Who should be reached.
        to: String,
        /// Its VPC.
        to_vpc: VpcId,
    },
    /// The rules are too many for an exact answer.
    TooComplex(String),
}

/// The first packet of a flow, and the interfaces that it comes from and goes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sight {
    /// Where it comes from.
    pub from: IpAddr,
    /// The interface there; none is outside.
    pub from_eni: Option<EniId>,
    /// Where it goes to.
    pub to: IpAddr,
    /// The interface there.
    pub to_eni: Option<EniId>,
    /// What it is.
    pub transport: Transport,
    /// The interface whose network ACL drops the answer, where that is what drops the flow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_dropped_at: Option<EniId>,
    /// What is missing on its way, where no rule is what stops it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap: Option<Gap>,
}

impl Sight {
    /// A packet by its two ends.
    #[must_use]
    pub fn between(from: (IpAddr, Option<EniId>), to: (IpAddr, Option<EniId>), transport: Transport) -> Self {
        let ((from, from_eni), (to, to_eni)) = (from, to);
        Self { from, from_eni, to, to_eni, transport, answer_dropped_at: None, gap: None }
    }
}

/// Whether a text can be the name of an invariant.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    (1..=INVARIANT_NAME_CHARACTERS_MAX).contains(&text.len()) && text.chars().all(is_letter)
}

/// Every invariant, by name.
#[derive(Clone, Debug, Default)]
pub struct Invariants {
    by_name: OrdMap<String, Arc<Invariant>>,
}

impl Invariants {
    /// One of them.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Invariant>> {
        self.by_name.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Invariant>> {
        self.by_name.values()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    pub(crate) fn put(&mut self, invariant: &Arc<Invariant>) {
        self.by_name.insert(invariant.name.clone(), Arc::clone(invariant));
    }

    pub(crate) fn delete(&mut self, name: &str) {
        self.by_name.remove(name);
    }
}

impl World {
    /// What the operator asserts about who reaches whom.
    #[must_use]
    pub fn invariants(&self) -> &Invariants {
        &self.invariants
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Enforce => "enforce",
            Self::Warn => "warn",
        })
    }
}

impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passes(sight) => write!(f, "{sight} passes"),
            Self::Dropped(sight) => match (&sight.gap, &sight.answer_dropped_at) {
                (Some(gap), _) => write!(f, "{sight} does not get there: {gap}"),
                (None, None) => write!(f, "{sight} is dropped"),
                (None, Some(eni)) => write!(f, "the answer to {sight} is dropped by the network ACL at {eni}"),
            },
            Self::NoFamily { from, to } => {
                write!(f, "{from} and {to} have no address family in common that the service runs over")
            }
            Self::Apart { from, from_vpc, to, to_vpc } => {
                write!(f, "{from} is in {from_vpc} and {to} in {to_vpc}, which are not peered")
            }
            Self::TooComplex(why) => f.write_str(why),
        }
    }
}

impl fmt::Display for Sight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.transport)?;
        if let Some(port) = self.transport.source_port() {
            write!(f, " (source port {port})")?;
        }
        f.write_str(" from ")?;
        end(f, self.from, self.from_eni.as_ref())?;
        f.write_str(" to ")?;
        end(f, self.to, self.to_eni.as_ref())
    }
}

fn end(f: &mut fmt::Formatter<'_>, address: IpAddr, eni: Option<&EniId>) -> fmt::Result {
    match eni {
        Some(eni) => write!(f, "{address} ({eni})"),
        None => write!(f, "{address}"),
    }
}
