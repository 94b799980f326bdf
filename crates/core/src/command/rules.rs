//! What can be asked of the rules of a group. Plain data; [`crate::apply`] gives it its meaning.

use serde::{Deserialize, Serialize};

use crate::{
    address::Cidr,
    ids::RuleId,
    rule::{Action, Peer, PortRange, Protocol, RuleSpec, Service},
    tags::Tags,
};

/// A rule to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewRule {
    /// What it says.
    pub spec: RuleSpec,
    /// The owner's words about it; may be empty.
    pub description: String,
    /// Its tags (EC2).
    pub tags: Tags,
}

impl NewRule {
    /// A rule without tags.
    #[must_use]
    pub fn new(spec: RuleSpec, description: impl Into<String>) -> Self {
        Self { spec, description: description.into(), tags: Tags::default() }
    }
}

/// Which rules to revoke.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Revocation {
    /// The rules that say exactly this. One that no rule says is no error in ECS (`spec/ecs.md` A5); in EC2 it is, and
    /// nothing is revoked then (`spec/ec2.md` B2).
    Specs(Vec<RuleSpec>),
    /// The rules of these names, each of which must exist.
    Ids(Vec<RuleId>),
}

/// What a rule is to say and be described as from now on; its name and tags stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleRewrite {
    /// The rule.
    pub rule: RuleId,
    /// What it says.
    pub spec: RuleSpec,
    /// The owner's words about it; may be empty.
    pub description: String,
}

/// A change of one rule. What is `None` stays. The kind of the peer, its family, and whether the ports come
/// from a list stay in any case: a rule that differs in those is another rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleEdit {
    /// Allow or deny.
    pub action: Option<Action>,
    /// Priority, 1 to 100.
    pub priority: Option<u8>,
    /// The protocol.
    pub protocol: Option<Protocol>,
    /// Destination ports.
    pub service: Option<Service>,
    /// Source ports.
    pub source_ports: Option<PortRange>,
    /// The other end.
    pub peer: Option<Peer>,
    /// The ENI's own addresses.
    pub local: Option<Cidr>,
    /// The owner's words about it.
    pub description: Option<String>,
}

impl RuleEdit {
    /// Whether nothing would change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What a rule says after the change.
    #[must_use]
    pub fn applied_to(&self, spec: &RuleSpec) -> RuleSpec {
        RuleSpec {
            direction: spec.direction,
            action: self.action.unwrap_or(spec.action),
            priority: self.priority.unwrap_or(spec.priority),
            protocol: self.protocol.unwrap_or(spec.protocol),
            service: self.service.clone().unwrap_or_else(|| spec.service.clone()),
            source_ports: self.source_ports.or(spec.source_ports),
            peer: self.peer.clone().unwrap_or_else(|| spec.peer.clone()),
            local: self.local.or(spec.local),
        }
    }
}
