//! Network interfaces and what they are bound to, in the native API.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use sekimori_core::{
    address::Mac,
    binding::{Binding, Netns, Side},
    feed::BoundState,
    ids::{AccountId, EniId, HostId, InstanceId, VpcId},
    world::Revision,
};

/// An ENI, in `GET /v1/interfaces`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Its name.
    pub id: EniId,
    /// Its owner.
    pub account: AccountId,
    /// Its VPC.
    pub vpc: VpcId,
    /// The instance that it is attached to.
    pub instance: Option<InstanceId>,
    /// Its Ethernet address.
    pub mac: Mac,
    /// Its private addresses.
    pub addresses: Vec<IpAddr>,
    /// The interface that it is bound to.
    pub binding: Option<Binding>,
    /// How it stands there; null until the host has told.
    pub state: Option<BoundState>,
    /// What is wrong there, in plain words.
    pub notes: Vec<String>,
}

/// The answer of `GET /v1/interfaces`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interfaces {
    /// In the order of their names.
    pub interfaces: Vec<Interface>,
    /// The revision.
    pub revision: Revision,
}

/// The request of `PUT /v1/interfaces/{eni}/binding`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetBinding {
    /// The host; without it the instance's, or the one that instances are placed on.
    #[serde(default)]
    pub host: Option<HostId>,
    /// The network namespace; without it the one that the agent runs in.
    #[serde(default)]
    pub netns: Option<Netns>,
    /// The interface.
    pub interface: String,
    /// What it leads to.
    #[serde(default)]
    pub side: Side,
    /// What the workload sends from, if that is not the ENI's Ethernet address.
    #[serde(default)]
    pub mac: Option<Mac>,
    /// Who binds it.
    #[serde(default)]
    pub holder: String,
    /// Whether the ENI is taken from where it is bound already.
    #[serde(default, rename = "move")]
    pub is_moved: bool,
    /// Whether connections of the host itself over the interface may be cut.
    #[serde(default)]
    pub force: bool,
}
