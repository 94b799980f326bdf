//! VPC peering: two VPCs whose interfaces reach each other by private address, and whose rules may name each other's groups.
//!
//! Peering is not transitive: what is peered with a peer is not reached through it. Amazon's state machine is in the VPC
//! peering guide, "VPC peering connection lifecycle".

use std::{collections::BTreeSet, fmt, net::IpAddr, sync::Arc};

use imbl::{OrdMap, ordmap::DiffItem};
use ipnet::{Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use crate::{
    ids::{AccountId, GroupId, PeeringId, VpcId},
    tags::Tags,
    time::Timestamp,
    world::{Eni, Group, Vpc, World},
};

/// How long a request waits to be accepted, in seconds (`spec/ec2.md` A4: 168 hours).
pub const PENDING_S: i64 = 168 * 3_600;

/// How long a connection that has ended is still told of, in seconds, at least.
pub const ENDED_KEPT_S: i64 = 2 * 3_600;

/// One of the two VPCs, as it was when the connection was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeeringSide {
    /// The VPC.
    pub vpc: VpcId,
    /// Its owner.
    pub account: AccountId,
    /// Its IPv4 block; `None` for a VPC that is not there.
    pub cidr: Option<Ipv4Net>,
    /// Its IPv6 block.
    pub ipv6: Option<Ipv6Net>,
}

impl PeeringSide {
    /// A VPC as a side.
    #[must_use]
    pub fn of(vpc: &Vpc) -> Self {
        Self { vpc: vpc.id.clone(), account: vpc.account.clone(), cidr: Some(vpc.cidr), ipv6: vpc.ipv6 }
    }
}

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PeeringStatus {
    /// The owner of the accepter VPC has not answered yet.
    PendingAcceptance,
    /// The VPCs reach each other.
    Active,
    /// It could not be made; see [`Peering::why_failed`].
    Failed,
    /// The owner of the accepter VPC refused it.
    Rejected,
    /// Nobody answered in time.
    Expired,
    /// One of the owners ended it.
    Deleted,
}

impl fmt::Display for PeeringStatus {
    /// The status code of the EC2 API.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PendingAcceptance => "pending-acceptance",
            Self::Active => "active",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Deleted => "deleted",
        })
    }
}

/// A peering connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peering {
    /// Its name.
    pub id: PeeringId,
    /// The region of both VPCs.
    pub region: String,
    /// The VPC whose owner asked.
    pub requester: PeeringSide,
    /// The VPC whose owner was asked.
    pub accepter: PeeringSide,
    /// Where it stood when it changed last; see [`Peering::status_at`].
    pub status: PeeringStatus,
    /// The account that ended it.
    pub ended_by: Option<AccountId>,
    /// Why it failed, in words; empty otherwise.
    pub why_failed: String,
    /// The requester's tags.
    pub tags: Tags,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When its status changed last.
    pub changed_at: Timestamp,
}

impl Peering {
    /// When a request that nobody answers expires.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        Timestamp(self.created_at.0.saturating_add(PENDING_S))
    }

    /// Where it stands.
    #[must_use]
    pub fn status_at(&self, now: Timestamp) -> PeeringStatus {
        let is_expired = self.status == PeeringStatus::PendingAcceptance && now >= self.expires_at();
        if is_expired { PeeringStatus::Expired } else { self.status }
    }

    /// When something has to be done about it without being asked: it expires, or has ended and is forgotten.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        match self.status {
            PeeringStatus::PendingAcceptance => Some(self.expires_at()),
            PeeringStatus::Active => None,
            PeeringStatus::Failed | PeeringStatus::Rejected | PeeringStatus::Expired | PeeringStatus::Deleted => {
                Some(Timestamp(self.changed_at.0.saturating_add(ENDED_KEPT_S)))
            }
        }
    }

    /// Whether it is active, or may still become so.
    #[must_use]
    pub fn is_open_at(&self, now: Timestamp) -> bool {
        matches!(self.status_at(now), PeeringStatus::PendingAcceptance | PeeringStatus::Active)
    }

    /// Whether packets pass.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.status == PeeringStatus::Active
    }

    /// Whether it is between these two VPCs.
    #[must_use]
    pub fn is_between(&self, one: &VpcId, other: &VpcId) -> bool {
        let (requester, accepter) = (&self.requester.vpc, &self.accepter.vpc);
        (requester == one && accepter == other) || (requester == other && accepter == one)
    }

    /// Whether one of the two VPCs is this.
    #[must_use]
    pub fn has_end(&self, vpc: &VpcId) -> bool {
        self.requester.vpc == *vpc || self.accepter.vpc == *vpc
    }

    /// Whether an account owns one of its VPCs.
    #[must_use]
    pub fn concerns(&self, account: &AccountId) -> bool {
        self.requester.account == *account || self.accepter.account == *account
    }
}

/// Every connection, and which VPCs reach each other because of them.
#[derive(Clone, Debug, Default)]
pub struct Peerings {
    all: OrdMap<PeeringId, Arc<Peering>>,
    active: OrdMap<VpcId, OrdMap<VpcId, PeeringId>>,
}

impl Peerings {
    /// One connection.
    #[must_use]
    pub fn get(&self, id: &PeeringId) -> Option<&Arc<Peering>> {
        self.all.get(id)
    }

    /// All of them, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Peering>> {
        self.all.values()
    }

    /// When something has to be done about one of them.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        self.all.values().filter_map(|peering| peering.due()).min()
    }

    /// The VPCs that a VPC reaches, and through which connection.
    pub fn of(&self, vpc: &VpcId) -> impl Iterator<Item = (&VpcId, &PeeringId)> + use<'_> {
        self.active.get(vpc).into_iter().flatten()
    }

    /// How many VPCs a VPC reaches.
    #[must_use]
    pub fn count(&self, vpc: &VpcId) -> usize {
        self.active.get(vpc).map_or(0, OrdMap::len)
    }

    /// The active connection of two VPCs.
    #[must_use]
    pub fn between(&self, one: &VpcId, other: &VpcId) -> Option<&PeeringId> {
        self.active.get(one)?.get(other)
    }

    /// The VPCs of connections that are not the same.
    pub(crate) fn differing(&self, other: &Self) -> BTreeSet<VpcId> {
        let mut vpcs = BTreeSet::new();
        for item in self.all.diff(&other.all) {
            let connections: Vec<&Arc<Peering>> = match item {
                DiffItem::Add(_, one) | DiffItem::Remove(_, one) => vec![one],
                DiffItem::Update { old: (_, old), new: (_, new) } => vec![old, new],
            };
            vpcs.extend(connections.into_iter().flat_map(|connection| ends(connection)).map(|(vpc, _)| vpc.clone()));
        }
        vpcs
    }

    pub(crate) fn put(&mut self, peering: &Arc<Peering>) {
        self.delete(&peering.id);
        self.all.insert(peering.id.clone(), Arc::clone(peering));
        if peering.is_active() {
            for (from, to) in ends(peering) {
                self.active.entry(from.clone()).or_default().insert(to.clone(), peering.id.clone());
            }
        }
    }

    pub(crate) fn delete(&mut self, id: &PeeringId) {
        let Some(old) = self.all.remove(id) else { return };
        for (from, to) in ends(&old).into_iter().filter(|_| old.is_active()) {
            let Some(peers) = self.active.get_mut(from) else { continue };
            peers.remove(to);
            if peers.is_empty() {
                self.active.remove(from);
            }
        }
    }
}

fn ends(peering: &Peering) -> [(&VpcId, &VpcId); 2] {
    let (requester, accepter) = (&peering.requester.vpc, &peering.accepter.vpc);
    [(requester, accepter), (accepter, requester)]
}

impl World {
    /// Peering connections.
    #[must_use]
    pub fn peerings(&self) -> &Peerings {
        &self.peerings
    }

    /// Whether what is in one VPC and what is in another know each other by private address.
    #[must_use]
    pub fn are_joined(&self, one: &VpcId, other: &VpcId) -> bool {
        one == other || self.peerings.between(one, other).is_some()
    }

    /// Whether a group that a rule names can be the peer of anybody who carries the rule's group: it is there, and may be carried in a
    /// VPC of the group or in one that is joined with it. Rules that name others are stale.
    #[must_use]
    pub fn can_name(&self, group: &Group, peer: &GroupId) -> bool {
        let meets = |peer: &Group| peer.meets(group) || self.are_joined(&group.vpc, &peer.vpc);
        self.group(peer).is_some_and(|peer| meets(peer))
    }

    /// The ENI that a private address belongs to, as seen in a VPC: one of its own, else one of a VPC that it is
    /// peered with. The blocks of peers never overlap.
    #[must_use]
    pub fn eni_seen_from(&self, vpc: &VpcId, address: IpAddr) -> Option<&Arc<Eni>> {
        let of_peer = || self.peerings.of(vpc).find_map(|(peer, _)| self.eni_at(peer, address));
        self.eni_at(vpc, address).or_else(of_peer)
    }

    /// The VPCs that see the addresses of a VPC: itself, and its peers.
    pub fn joined_with(&self, vpc: &VpcId) -> BTreeSet<VpcId> {
        let peers = self.peerings.of(vpc).map(|(peer, _)| peer.clone());
        std::iter::once(vpc.clone()).chain(peers).collect()
    }
}
