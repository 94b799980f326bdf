//! VPC peering: asked for by one owner, answered by the other, ended by either.

use std::sync::Arc;

use super::{Draft, missing, network::overlaps, within};
use crate::{
    change::Change,
    command::{NewPeering, Outcome},
    ids::{AccountId, PeeringId, VpcId},
    peering::{Peering, PeeringSide, PeeringStatus},
    refusal::{Counted, Kind, Refusal},
    world::Vpc,
};

/// What a connection failed for; the words of the EC2 API.
const UNKNOWN_OR_OVERLAPPING: &str = "Failed due to incorrect VPC-ID, Account ID, or overlapping CIDR range";

impl Draft<'_> {
    pub(super) fn create_peering(&mut self, new: &NewPeering) -> Result<Outcome, Refusal> {
        let NewPeering { account, vpc, peer, peer_account, tags } = new;
        within(Counted::Tags, self.limits(account).tags, tags.len())?;
        let requester = self.own_vpc(account, vpc)?;
        let is_it = |other: &&Arc<Vpc>| other.account == *peer_account && other.region == requester.region;
        let accepter = self.world.vpc(peer).filter(is_it).cloned();
        if accepter.is_none() && peer_account == account {
            return Err(missing(Kind::Vpc, peer));
        }
        let (now, dialect) = (self.context.now, self.world.dialect_of(account));
        let is_same = |one: &&Arc<Peering>| one.is_between(vpc, peer) && one.is_open_at(now);
        if let Some(other) = self.world.peerings().iter().find(is_same) {
            return Err(Refusal::PeeringExists { peering: other.id.clone() });
        }
        let is_waiting = |one: &Peering| one.status_at(now) == PeeringStatus::PendingAcceptance;
        let asked = self.world.peerings().iter().filter(|one| is_waiting(one) && one.requester.account == *account);
        within(Counted::PendingPeerings, self.limits(account).pending_peerings, asked.count() + 1)?;
        let can_be = accepter.as_ref().is_some_and(|accepter| !overlap(&requester, accepter));
        let unknown = || PeeringSide { vpc: peer.clone(), account: peer_account.clone(), cidr: None, ipv6: None };
        let id: PeeringId = self.context.ids.fresh(dialect, "pcx", |id| self.world.peerings().get(id).is_some());
        let peering = Peering {
            id: id.clone(),
            region: requester.region.clone(),
            requester: PeeringSide::of(&requester),
            accepter: accepter.as_ref().map_or_else(unknown, |accepter| PeeringSide::of(accepter)),
            status: if can_be { PeeringStatus::PendingAcceptance } else { PeeringStatus::Failed },
            ended_by: None,
            why_failed: if can_be { String::new() } else { UNKNOWN_OR_OVERLAPPING.to_owned() },
            tags: tags.clone(),
            created_at: now,
            changed_at: now,
        };
        self.put(Change::PutPeering(Arc::new(peering)));
        Ok(Outcome::Peering(id))
    }

    pub(super) fn accept_peering(&mut self, account: &AccountId, id: &PeeringId) -> Result<Outcome, Refusal> {
        let peering = self.asked_peering(account, id)?;
        for vpc in [&peering.requester.vpc, &peering.accepter.vpc] {
            let active = self.world.peerings().count(vpc);
            within(Counted::Peerings, self.limits(account).peerings_per_vpc, active + 1)?;
        }
        self.check_peers_apart(&peering)?;
        self.set_peering(&peering, PeeringStatus::Active, None);
        Ok(Outcome::Peering(id.clone()))
    }

    pub(super) fn reject_peering(&mut self, account: &AccountId, id: &PeeringId) -> Result<Outcome, Refusal> {
        let peering = self.asked_peering(account, id)?;
        self.set_peering(&peering, PeeringStatus::Rejected, Some(account));
        Ok(Outcome::Done)
    }

    /// Either owner may end an active connection, and the one who asked a request that waits.
    pub(super) fn delete_peering(&mut self, account: &AccountId, id: &PeeringId) -> Result<Outcome, Refusal> {
        let peering = self.own_peering(account, id)?;
        let status = peering.status_at(self.context.now);
        let may = match status {
            PeeringStatus::Active => true,
            PeeringStatus::PendingAcceptance => peering.requester.account == *account,
            PeeringStatus::Failed | PeeringStatus::Rejected | PeeringStatus::Expired | PeeringStatus::Deleted => {
                false
            }
        };
        if !may {
            return Err(Refusal::PeeringState { peering: id.clone(), status: status.to_string() });
        }
        self.set_peering(&peering, PeeringStatus::Deleted, Some(account));
        Ok(Outcome::Done)
    }

    /// What a VPC was peered with loses it.
    pub(super) fn end_peerings_of(&mut self, account: &AccountId, vpc: &VpcId) {
        let now = self.context.now;
        let open = |one: &&Arc<Peering>| one.is_open_at(now) && one.has_end(vpc);
        let open: Vec<_> = self.world.peerings().iter().filter(open).cloned().collect();
        for peering in open {
            self.set_peering(&peering, PeeringStatus::Deleted, Some(account));
        }
    }

    /// A VPC that gets an IPv6 block must not overlap one that it is peered with.
    pub(super) fn check_peers_of(&self, vpc: &Vpc) -> Result<(), Refusal> {
        let peers = self.world.peerings().of(&vpc.id).filter_map(|(peer, _)| self.world.vpc(peer));
        match peers.into_iter().find(|peer| overlap(vpc, peer)) {
            Some(peer) => Err(Refusal::Overlap { cidr: blocks_of(vpc), other: peer.id.to_string() }),
            None => Ok(()),
        }
    }

    /// An address must lead to one peer: without route tables that choose, the blocks of all peers of a VPC are apart.
    fn check_peers_apart(&self, peering: &Peering) -> Result<(), Refusal> {
        let (one, other) = (&peering.requester.vpc, &peering.accepter.vpc);
        for (vpc, new) in [(one, other), (other, one)] {
            let Some(new) = self.world.vpc(new) else { return Err(missing(Kind::Vpc, new)) };
            let peers = self.world.peerings().of(vpc).filter_map(|(peer, _)| self.world.vpc(peer));
            if let Some(taken) = peers.into_iter().find(|peer| overlap(peer, new)) {
                return Err(Refusal::Overlap { cidr: blocks_of(new), other: taken.id.to_string() });
            }
            if self.world.vpc(vpc).is_none_or(|vpc| overlap(vpc, new)) {
                return Err(Refusal::Overlap { cidr: blocks_of(new), other: vpc.to_string() });
            }
        }
        Ok(())
    }

    fn own_peering(&self, account: &AccountId, id: &PeeringId) -> Result<Arc<Peering>, Refusal> {
        let peering = self.world.peerings().get(id).filter(|one| one.concerns(account));
        peering.cloned().ok_or_else(|| missing(Kind::Peering, id))
    }

    /// A request that an account has to answer.
    fn asked_peering(&self, account: &AccountId, id: &PeeringId) -> Result<Arc<Peering>, Refusal> {
        let peering = self.own_peering(account, id)?;
        if peering.accepter.account != *account {
            return Err(Refusal::NotAccepter { peering: id.clone() });
        }
        let status = peering.status_at(self.context.now);
        if status != PeeringStatus::PendingAcceptance {
            return Err(Refusal::PeeringState { peering: id.clone(), status: status.to_string() });
        }
        Ok(peering)
    }

    fn set_peering(&mut self, peering: &Peering, status: PeeringStatus, by: Option<&AccountId>) {
        let changed = Peering { status, ended_by: by.cloned(), changed_at: self.context.now, ..peering.clone() };
        self.put(Change::PutPeering(Arc::new(changed)));
    }

    pub(super) fn keep_peerings(&mut self) -> Outcome {
        let now = self.context.now;
        let due: Vec<_> =
            self.world.peerings().iter().filter(|one| one.due().is_some_and(|due| due <= now)).collect();
        for peering in due.into_iter().cloned().collect::<Vec<_>>() {
            if peering.status == PeeringStatus::PendingAcceptance {
                self.set_peering(&peering, PeeringStatus::Expired, None);
            } else {
                self.put(Change::DeletePeering(peering.id.clone()));
            }
        }
        Outcome::Done
    }
}

pub(super) fn overlap(one: &Vpc, other: &Vpc) -> bool {
    let v4 = overlaps(one.cidr, other.cidr);
    let v6 = one.ipv6.zip(other.ipv6).is_some_and(|(one, other)| one.contains(&other) || other.contains(&one));
    v4 || v6
}

fn blocks_of(vpc: &Vpc) -> String {
    let v6 = vpc.ipv6.map(|block| format!(", {block}")).unwrap_or_default();
    format!("{}{v6}", vpc.cidr)
}
