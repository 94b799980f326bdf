//! What is said to make a peering connection.

use serde::{Deserialize, Serialize};

use crate::{
    ids::{AccountId, VpcId},
    tags::Tags,
};

/// A peering connection to be asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewPeering {
    /// Who asks.
    pub account: AccountId,
    /// A VPC of that account.
    pub vpc: VpcId,
    /// The VPC that it is to reach.
    pub peer: VpcId,
    /// The owner of that VPC, who has to accept.
    pub peer_account: AccountId,
    /// Tags.
    pub tags: Tags,
}
