//! Paths whose reachability is asked about, and what analyses of them found (Network Insights of EC2).
//!
//! An analysis tells of the world as it was when it was made, and never changes. Who finds things is `analysis`; here they
//! are only bounded and kept.

use std::{net::Ipv4Addr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    ids::{AccountId, EniId, GroupId, InsightsAnalysisId, InsightsPathId, InstanceId, NetworkAclId},
    limits::{INSIGHTS_ANALYSES_PER_ACCOUNT_MAX, INSIGHTS_TEXT_CHARACTERS_MAX},
    network_acl::AclEntry,
    rule::{Direction, PortRange, RuleSpec},
    tags::Tags,
    time::Timestamp,
    world::{Revision, World},
};

/// The protocols that a path may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PathProtocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl PathProtocol {
    /// Its name, as people and EC2 write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// What a packet is at one end of a path. What is `None` is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathFilter {
    /// Where it comes from.
    pub source_address: Option<Ipv4Addr>,
    /// The ports that it comes from.
    pub source_ports: Option<PortRange>,
    /// Where it goes to.
    pub destination_address: Option<Ipv4Addr>,
    /// The ports that it goes to.
    pub destination_ports: Option<PortRange>,
}

/// What a path is from and to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathQuestion {
    /// Where it begins: an instance or an ENI, by id.
    pub from: String,
    /// Where it ends, likewise; `None` where an address tells.
    pub to: Option<String>,
    /// The protocol.
    pub protocol: PathProtocol,
    /// The address that the packet comes from.
    pub source_address: Option<Ipv4Addr>,
    /// The address that it goes to.
    pub destination_address: Option<Ipv4Addr>,
    /// The port that it goes to.
    pub destination_port: Option<u16>,
    /// What the packet is at the source.
    pub at_source: Option<PathFilter>,
    /// What it is at the destination. Nothing rewrites packets, so both filters hold for one packet.
    pub at_destination: Option<PathFilter>,
}

impl PathQuestion {
    fn filters(&self) -> impl Iterator<Item = &PathFilter> {
        self.at_source.iter().chain(&self.at_destination)
    }

    /// The address that the packet comes from, where the question fixes it.
    #[must_use]
    pub fn source(&self) -> Option<Ipv4Addr> {
        self.source_address.or_else(|| self.filters().find_map(|filter| filter.source_address))
    }

    /// The address that it goes to, likewise.
    #[must_use]
    pub fn destination(&self) -> Option<Ipv4Addr> {
        self.destination_address.or_else(|| self.filters().find_map(|filter| filter.destination_address))
    }

    /// The ports that it may come from.
    #[must_use]
    pub fn source_ports(&self) -> Option<PortRange> {
        self.filters().find_map(|filter| filter.source_ports)
    }

    /// The ports that it may go to.
    #[must_use]
    pub fn destination_ports(&self) -> PortRange {
        let one = self.destination_port.map(PortRange::one);
        one.or_else(|| self.filters().find_map(|filter| filter.destination_ports)).unwrap_or(PortRange::ALL)
    }
}

/// A path that is kept to be analysed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InsightsPath {
    /// Its name.
    pub id: InsightsPathId,
    /// Its owner.
    pub account: AccountId,
    /// The region.
    pub region: String,
    /// From where to where.
    pub question: PathQuestion,
    /// The owner's tags.
    pub tags: Tags,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A place that a packet passes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hop {
    /// An instance.
    Instance(InstanceId),
    /// An ENI.
    Eni(EniId),
    /// The group that let it pass.
    Group {
        /// The group.
        group: GroupId,
        /// The rule that decided, as it was.
        rule: Box<RuleSpec>,
    },
    /// The network ACL that let it pass.
    NetworkAcl {
        /// The ACL.
        acl: NetworkAclId,
        /// The entry that decided, as it was.
        entry: Box<AclEntry>,
    },
}

/// Why a packet does not arrive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Obstacle {
    /// No rule of the ENI's groups lets it pass.
    RulesMismatch {
        /// The ENI.
        eni: EniId,
        /// Its groups.
        groups: Vec<GroupId>,
        /// Towards it or away from it.
        direction: Direction,
    },
    /// A group of the ENI has no rule at all in the direction.
    NoRules {
        /// The ENI.
        eni: EniId,
        /// The group.
        group: GroupId,
        /// The direction.
        direction: Direction,
    },
    /// The network ACL of the ENI's subnet drops it, or the answer to it.
    NetworkAcl {
        /// The ENI.
        eni: EniId,
        /// The ACL.
        acl: NetworkAclId,
        /// Into the subnet or out of it.
        direction: Direction,
        /// The entry that decided, as it was; `None` is what comes after all of them.
        entry: Option<Box<AclEntry>>,
    },
    /// The address is not the ENI's.
    ForeignAddress {
        /// The ENI.
        eni: EniId,
        /// The address.
        address: String,
    },
    /// The instance does not run.
    Stopped(InstanceId),
    /// The two ends are not in one VPC, and nothing joins their VPCs.
    NoRoute {
        /// The ENI that it comes from.
        eni: EniId,
        /// Where it should go.
        destination: String,
    },
}

/// What an analysis found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathFinding {
    /// Why there is no answer; empty when there is one.
    pub failure: String,
    /// Whether the packet arrives.
    pub is_found: bool,
    /// The packet: addresses and ports as text, empty without an answer.
    pub packet: Option<PathPacket>,
    /// The places that it passes, in order; none when it does not arrive.
    pub hops: Vec<Hop>,
    /// The places that the answer passes, likewise.
    pub hops_back: Vec<Hop>,
    /// Why it does not.
    pub obstacles: Vec<Obstacle>,
}

impl PathFinding {
    /// A finding without an answer.
    #[must_use]
    pub fn failed(why: &str) -> Self {
        let failure = why.chars().take(INSIGHTS_TEXT_CHARACTERS_MAX).collect();
        Self { failure, ..Self::default() }
    }
}

/// The packet that was judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathPacket {
    /// Where it comes from.
    pub source: std::net::IpAddr,
    /// Where it goes to.
    pub destination: std::net::IpAddr,
    /// The port that it comes from.
    pub source_port: u16,
    /// The port that it goes to.
    pub destination_port: u16,
}

impl PathPacket {
    /// What is sent back.
    #[must_use]
    pub fn answer(&self) -> Self {
        let Self { source, destination, source_port, destination_port } = self.clone();
        Self {
            source: destination,
            destination: source,
            source_port: destination_port,
            destination_port: source_port,
        }
    }
}

/// An analysis of a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InsightsAnalysis {
    /// Its name.
    pub id: InsightsAnalysisId,
    /// Its owner.
    pub account: AccountId,
    /// The path.
    pub path: InsightsPathId,
    /// The region.
    pub region: String,
    /// When it was made.
    pub started_at: Timestamp,
    /// The world that was looked at.
    pub revision: Revision,
    /// What was found.
    pub finding: PathFinding,
    /// The owner's tags.
    pub tags: Tags,
}

impl World {
    /// The analyses of an account, by id.
    pub fn analyses_of(&self, account: &AccountId) -> impl Iterator<Item = &Arc<InsightsAnalysis>> + use<'_> {
        let account = account.clone();
        self.insights_analyses().filter(move |analysis| analysis.account == account)
    }

    /// Analyses of an account that must go before another one comes: the oldest.
    pub(crate) fn outdated_analyses(&self, account: &AccountId) -> Vec<InsightsAnalysisId> {
        let mut own: Vec<&Arc<InsightsAnalysis>> = self.analyses_of(account).collect();
        let too_many = (own.len() + 1).saturating_sub(INSIGHTS_ANALYSES_PER_ACCOUNT_MAX);
        own.sort_by_key(|analysis| (analysis.started_at, analysis.revision, analysis.id.clone()));
        own.into_iter().take(too_many).map(|analysis| analysis.id.clone()).collect()
    }
}
