//! Peering connections of VPCs.

use sekimori_core::{
    command::{Command, NewPeering},
    ids::{AccountId, PeeringId, VpcId},
    refusal::Kind,
};

use super::{
    listings::listing,
    scope::{Scope, read_id},
    tags,
};
use crate::ec2::{
    errors::{Fault, IdKind},
    query::Query,
};

pub(super) fn create(scope: &Scope<'_>) -> Result<Command, Fault> {
    let vpc = scope.vpc("VpcId")?;
    let peer = scope.text("PeerVpcId").ok_or_else(|| Fault::Missing { name: "peerVpcId".to_owned() })?;
    let peer: VpcId = read_id(peer, IdKind::Vpc)?;
    if let Some(region) = scope.text("PeerRegion").filter(|region| *region != scope.region.name) {
        return Err(Fault::Value(format!(
            "Value ({region}) for parameter peerRegion is invalid. VPCs are peered within a region here: use {}.",
            scope.region.name
        )));
    }
    let peer_account = scope.text("PeerOwnerId").map_or_else(|| scope.account.clone(), AccountId::from);
    Ok(Command::CreatePeering(NewPeering {
        account: scope.account.clone(),
        vpc,
        peer,
        peer_account,
        tags: tags::specified(scope, "vpc-peering-connection")?,
    }))
}

pub(super) fn accept(scope: &Scope<'_>) -> Result<Command, Fault> {
    Ok(Command::AcceptPeering { account: scope.account.clone(), peering: peering(scope)? })
}

pub(super) fn reject(scope: &Scope<'_>) -> Result<Command, Fault> {
    Ok(Command::RejectPeering { account: scope.account.clone(), peering: peering(scope)? })
}

pub(super) fn delete(scope: &Scope<'_>) -> Result<Command, Fault> {
    Ok(Command::DeletePeering { account: scope.account.clone(), peering: peering(scope)? })
}

pub(super) fn list(scope: &Scope<'_>) -> Result<Query, Fault> {
    listing(scope, "VpcPeeringConnectionId", IdKind::Peering, "vpcPeeringConnectionIdSet").map(Query::Peerings)
}

/// The connection that a required parameter names, if it is in the request's region.
fn peering(scope: &Scope<'_>) -> Result<PeeringId, Fault> {
    let id: PeeringId = read_id(scope.required("VpcPeeringConnectionId")?, IdKind::Peering)?;
    match scope.world.peerings().get(&id).filter(|peering| peering.region != scope.region.name) {
        Some(_) => Err(Fault::missing(Kind::Peering, id.as_str())),
        None => Ok(id),
    }
}
