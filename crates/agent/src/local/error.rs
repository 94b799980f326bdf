//! What can go wrong with one namespace or interface. Every message names it and says what to do.

use std::{io, path::PathBuf};

use sekimori_core::ids::{EniId, InstanceId, SubnetId, VpcId};

use crate::netlink::NetlinkError;

/// Why something of local compute could not be made, or taken away.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocalError {
    /// The name is somebody else's.
    #[error(
        "namespace `{name}` exists already and was not made from this data directory; it is left alone: \
         remove it with `ip netns del {name}`, or delete what needs the name"
    )]
    Foreign {
        /// The name.
        name: String,
    },
    /// An interface of the instance has the name that an ENI needs.
    #[error(
        "instance `{instance}` has an interface `{device}` that is not an ENI; rename it with \
         `ip -n {instance} link set {device} name …`"
    )]
    DeviceTaken {
        /// The instance.
        instance: InstanceId,
        /// The interface.
        device: String,
    },
    /// A link of the router has the name that an ENI needs.
    #[error(
        "ENI `{eni}` needs link `{link}` in namespace `{vpc}`, which is there and not this ENI's; remove it with \
         `ip -n {vpc} link del {link}`"
    )]
    LinkTaken {
        /// The ENI.
        eni: EniId,
        /// The link.
        link: String,
        /// The VPC.
        vpc: VpcId,
    },
    /// The world names a subnet that it does not hold.
    #[error("ENI `{eni}` is in subnet `{subnet}`, which this host was not told about; restart the agent to resync")]
    NoSubnet {
        /// The ENI.
        eni: EniId,
        /// The subnet.
        subnet: SubnetId,
    },
    /// The world names a VPC that it does not hold.
    #[error(
        "instance `{instance}` is in VPC `{vpc}`, which this host was not told about; restart the agent to resync"
    )]
    NoVpc {
        /// The instance.
        instance: InstanceId,
        /// The VPC.
        vpc: VpcId,
    },
    /// A namespace could not be made, opened or removed.
    #[error("cannot {action} namespace `{name}`: {reason}")]
    Namespace {
        /// What was tried.
        action: &'static str,
        /// The namespace.
        name: String,
        /// What the kernel said.
        reason: String,
    },
    /// A request to the kernel's network configuration was refused.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// The data plane could not close the interface, so it was not set up.
    #[error("ENI `{eni}` stays down, because it could not be closed: {reason}")]
    Guard {
        /// The ENI.
        eni: EniId,
        /// Why.
        reason: String,
    },
    /// The list of names could not be read or written, so nothing was made.
    #[error("cannot {action} `{}`: {reason}", .file.display())]
    Registry {
        /// What was tried.
        action: &'static str,
        /// The file.
        file: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
}

impl LocalError {
    pub(super) fn namespace(action: &'static str, name: &str, error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::AlreadyExists {
            return Self::Foreign { name: name.to_owned() };
        }
        Self::Namespace { action, name: name.to_owned(), reason: error.to_string() }
    }
}
