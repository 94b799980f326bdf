//! What can be asked of networks. Plain data; [`crate::apply`] gives it its meaning.

use ipnet::{Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use crate::{
    ids::{AccountId, VpcId},
    tags::Tags,
};

/// A VPC to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewVpc {
    /// The owner.
    pub account: AccountId,
    /// The region.
    pub region: String,
    /// The owner's name for it.
    pub name: String,
    /// The owner's words about it.
    pub description: String,
    /// IPv4 block.
    pub cidr: Ipv4Net,
    /// IPv6 block.
    pub ipv6: VpcIpv6,
    /// ECS resource group; empty is the account's default one.
    pub resource_group: String,
    /// Tags.
    pub tags: Tags,
}

/// A subnet to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewSubnet {
    /// The owner.
    pub account: AccountId,
    /// The VPC it is part of.
    pub vpc: VpcId,
    /// The zone.
    pub zone: String,
    /// The owner's name for it.
    pub name: String,
    /// The owner's words about it.
    pub description: String,
    /// IPv4 block, within the VPC's.
    pub cidr: Ipv4Net,
    /// Which /64 of the VPC's IPv6 block; `None` is no IPv6.
    pub ipv6_index: Option<u8>,
    /// Tags.
    pub tags: Tags,
}

/// An IPv6 block of a new VPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum VpcIpv6 {
    /// None.
    Off,
    /// A fresh unique-local /56.
    Any,
    /// This one.
    Block(Ipv6Net),
}
