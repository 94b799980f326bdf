//! What can be asked about network interfaces, and about instances and networks that exist.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::{
    ids::{GroupId, InstanceId, SubnetId},
    refusal::Refusal,
    tags::Tags,
    world::{InstanceState, TimeoutChoice},
};

/// Private addresses that an ENI is to get beside those it has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewAddresses {
    /// These IPv4 addresses.
    pub ipv4: Vec<Ipv4Addr>,
    /// So many free IPv4 addresses.
    pub ipv4_count: u32,
    /// These IPv6 addresses.
    pub ipv6: Vec<Ipv6Addr>,
    /// So many free IPv6 addresses.
    pub ipv6_count: u32,
}

/// An ENI to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EniSpec {
    /// Where.
    pub subnet: SubnetId,
    /// Its groups. Without any it gets the VPC's default group, where the dialect makes one.
    pub groups: Vec<GroupId>,
    /// The primary IPv4 address; `None` takes a free one.
    pub primary: Option<Ipv4Addr>,
    /// Its further addresses.
    pub more: NewAddresses,
    /// The owner's name for it.
    pub name: String,
    /// The owner's words about it.
    pub description: String,
    /// Idle timeouts that are not the dialect's.
    pub timeouts: TimeoutChoice,
    /// Whether only its own addresses may be sent from it.
    pub source_check: bool,
    /// Whether it is deleted with its instance.
    pub delete_on_release: bool,
    /// ECS resource group; empty is the account's default one.
    pub resource_group: String,
    /// Its tags.
    pub tags: Tags,
}

impl EniSpec {
    /// An ENI with one free IPv4 address, and everything else as it is by default.
    #[must_use]
    pub fn new(subnet: SubnetId, groups: Vec<GroupId>) -> Self {
        Self {
            subnet,
            groups,
            primary: None,
            more: NewAddresses::default(),
            name: String::new(),
            description: String::new(),
            timeouts: TimeoutChoice::default(),
            source_check: true,
            delete_on_release: true,
            resource_group: String::new(),
            tags: Tags::default(),
        }
    }

    /// The same with so many free IPv6 addresses.
    #[must_use]
    pub fn with_ipv6(mut self, count: u32) -> Self {
        self.more.ipv6_count = count;
        self
    }
}

/// What changes about an ENI; what is `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EniPatch {
    /// All of its groups. Those of a primary ENI change with its instance.
    pub groups: Option<Vec<GroupId>>,
    /// The owner's name for it.
    pub name: Option<String>,
    /// The owner's words about it.
    pub description: Option<String>,
    /// Idle timeouts.
    pub timeouts: TimeoutChoice,
    /// Whether only its own addresses may be sent from it.
    pub source_check: Option<bool>,
    /// Whether it is deleted with its instance.
    pub delete_on_release: Option<bool>,
}

/// What changes about an instance; what is `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstancePatch {
    /// All groups of its primary ENI. They may be of another flavor than before if they are of one.
    pub groups: Option<Vec<GroupId>>,
    /// The owner's name for it.
    pub name: Option<String>,
    /// The owner's words about it.
    pub description: Option<String>,
}

/// What changes about a VPC or subnet; what is `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkPatch {
    /// The owner's name for it.
    pub name: Option<String>,
    /// The owner's words about it.
    pub description: Option<String>,
}

/// What becomes of the state of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Power {
    /// A stopped one runs.
    Start,
    /// A running one is stopped.
    Stop,
    /// A running one runs anew: its interfaces are made again, and its live connections are gone.
    Reboot,
}

impl Power {
    /// The state that an instance must have.
    #[must_use]
    pub fn needs(self) -> InstanceState {
        match self {
            Self::Start => InstanceState::Stopped,
            Self::Stop | Self::Reboot => InstanceState::Running,
        }
    }

    /// The state that it has afterwards.
    #[must_use]
    pub fn makes(self) -> InstanceState {
        match self {
            Self::Start | Self::Reboot => InstanceState::Running,
            Self::Stop => InstanceState::Stopped,
        }
    }
}

/// What became of one instance of several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PowerChange {
    /// The instance.
    pub instance: InstanceId,
    /// The state that it had; `None` for one that does not exist.
    pub before: Option<InstanceState>,
    /// The state that it has now.
    pub after: Option<InstanceState>,
    /// Why it was left as it was.
    pub refused: Option<Refusal>,
}
