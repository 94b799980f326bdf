//! Where an ENI is enforced whose interface is not of this program's making: a virtual machine's tap, a container's
//! veth, a card of the host. Pure: whether the interface is there is for the agent to see.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    address::Mac,
    ids::{EniId, HostId, InstanceId},
    limits::{HOLDER_BYTES_MAX, INTERFACE_BYTES_MAX, NETNS_BYTES_MAX},
};

/// Where `ip netns` keeps its names; the second is a link to the first.
const NETNS_DIRECTORIES: [&str; 2] = ["/run/netns/", "/var/run/netns/"];

/// The loopback interface, in every namespace.
pub const LOOPBACK: &str = "lo";

/// An interface that an ENI is bound to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// The host that the interface is on.
    pub host: HostId,
    /// Its network namespace; `None` is the one that the agent runs in.
    pub netns: Option<Netns>,
    /// Its name there. Whatever has the name is bound, also when it comes back as another device.
    pub interface: String,
    /// What it leads to.
    pub side: Side,
    /// Who bound it, in their own words; may be empty.
    pub holder: String,
}

/// What an interface leads to, seen from the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// To the workload: what leaves by it goes to the ENI. A tap, the host's end of a veth.
    #[default]
    Guest,
    /// Away from the workload, which is on this side itself: what arrives by it goes to the ENI. A card of the host, a
    /// container's own end of a veth.
    Own,
}

/// A network namespace as its user names it: a name of `ip netns`, or the path of a namespace's file.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Netns(String);

/// Why an ENI is not bound, or not let go.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum BindingRefusal {
    /// The interface has no such name.
    #[error(
        "`{name}` cannot be the name of an interface; give 1 to {INTERFACE_BYTES_MAX} bytes without `/`, `:` and spaces"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// It is what programs of a host talk to each other by, this one included.
    #[error(
        "`{LOOPBACK}` is how the programs of a host talk to each other, and to Sekimori; bind a tap, a veth or an Ethernet card"
    )]
    Loopback,
    /// The words about the holder are too many.
    #[error("a holder of {bytes} bytes is too long; use at most {HOLDER_BYTES_MAX}, without control characters")]
    Holder {
        /// How many.
        bytes: usize,
    },
    /// No single interface has this Ethernet address.
    #[error("`{mac}` is not the Ethernet address of one interface; give the one that the workload sends from")]
    Mac {
        /// The address.
        mac: Mac,
    },
    /// Another ENI of the VPC that is bound has the Ethernet address.
    #[error("`{eni}` of the same VPC is bound with the Ethernet address `{mac}`; give each workload its own")]
    MacTaken {
        /// The address.
        mac: Mac,
        /// The other ENI.
        eni: EniId,
    },
    /// The interface is another ENI's.
    #[error("`{eni}` is bound to {place}; unbind it first, or name another interface")]
    InterfaceTaken {
        /// The other ENI.
        eni: EniId,
        /// The interface.
        place: String,
    },
    /// The ENI is somewhere else.
    #[error("`{eni}` is bound to {place}; unbind it first, or move it")]
    Elsewhere {
        /// The ENI.
        eni: EniId,
        /// Where it is.
        place: String,
    },
    /// The ENI is attached to an instance of another host.
    #[error("`{eni}` is attached to `{instance}` of host `{host}`; bind it there, or detach it first")]
    OtherHost {
        /// The ENI.
        eni: EniId,
        /// Its instance.
        instance: InstanceId,
        /// The instance's host.
        host: HostId,
    },
    /// The ENI is bound on another host than the instance's.
    #[error("`{eni}` is bound on host `{host}`, where `{instance}` is not; unbind it first")]
    BoundOnOtherHost {
        /// The ENI.
        eni: EniId,
        /// The instance.
        instance: InstanceId,
        /// The host of the binding.
        host: HostId,
    },
    /// There is nothing to let go.
    #[error("`{eni}` is not bound to an interface; `sekimori eni list` shows which are")]
    NotBound {
        /// The ENI.
        eni: EniId,
    },
}

impl Binding {
    /// Refuses what no interface or holder can be called.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), BindingRefusal> {
        let name = &self.interface;
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'/' | b':');
        let is_name = (1..=INTERFACE_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_plain);
        if !is_name || name == "." || name == ".." {
            return Err(BindingRefusal::Name { name: name.chars().take(64).collect() });
        }
        if name == LOOPBACK {
            return Err(BindingRefusal::Loopback);
        }
        if self.holder.len() > HOLDER_BYTES_MAX || self.holder.chars().any(char::is_control) {
            return Err(BindingRefusal::Holder { bytes: self.holder.len() });
        }
        Ok(())
    }

    /// Whether both mean the same interface, whatever it leads to.
    #[must_use]
    pub fn is_same_interface(&self, other: &Self) -> bool {
        (&self.host, &self.netns, &self.interface) == (&other.host, &other.netns, &other.interface)
    }
}

impl fmt::Display for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.interface)?;
        if let Some(netns) = &self.netns {
            write!(f, " in namespace `{netns}`")?;
        }
        write!(f, " of host `{}`", self.host)
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Guest => "guest",
            Self::Own => "own",
        })
    }
}

impl FromStr for Side {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "guest" => Ok(Self::Guest),
            "own" => Ok(Self::Own),
            other => Err(format!("`{other}` is not a side; write guest (it leads to the workload) or own")),
        }
    }
}

impl Netns {
    /// The name, if it is one of `ip netns`.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        (!self.0.starts_with('/')).then_some(self.0.as_str())
    }

    /// As its user gave it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Netns {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = NETNS_DIRECTORIES.iter().find_map(|directory| text.strip_prefix(directory)).unwrap_or(text);
        let is_path = name.starts_with('/');
        let is_plain = |byte: u8| byte.is_ascii_graphic() && (is_path || byte != b'/');
        let is_dots = name.split('/').any(|part| part == "." || part == "..");
        if (1..=NETNS_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_plain) && !is_dots {
            return Ok(Self(name.to_owned()));
        }
        let shown: String = text.chars().take(NETNS_BYTES_MAX).collect();
        Err(format!(
            "`{shown}` is not a network namespace; give a name of `ip netns`, or a path like /proc/1234/ns/net"
        ))
    }
}

impl TryFrom<String> for Netns {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Netns> for String {
    fn from(netns: Netns) -> Self {
        netns.0
    }
}

impl fmt::Display for Netns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Netns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_has_one_name() {
        let read = |text: &str| text.parse::<Netns>().map(|netns| netns.to_string());
        for text in ["cni-1", "/run/netns/cni-1", "/var/run/netns/cni-1"] {
            assert_eq!(read(text).as_deref(), Ok("cni-1"));
        }
        assert_eq!(read("/proc/17/ns/net").as_deref(), Ok("/proc/17/ns/net"));
        for bad in ["", "a b", "a/b", "/run/netns/", "/run/netns/../x", "..", "/proc/../x", &"x".repeat(256)] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_cannot_be_an_interface_is_refused() {
        let of = |interface: &str, holder: &str| {
            let (interface, holder) = (interface.to_owned(), holder.to_owned());
            Binding { host: "h".into(), netns: None, interface, side: Side::Guest, holder }.check()
        };
        assert_eq!(of("tap0", "libvirt web"), Ok(()));
        for bad in ["", ".", "..", "a/b", "a b", "a:b", "sixteen-bytes-xx"] {
            assert!(matches!(of(bad, ""), Err(BindingRefusal::Name { .. })), "{bad}");
        }
        assert_eq!(of("lo", ""), Err(BindingRefusal::Loopback));
        assert!(of("tap0", "a\nb").is_err() && of("tap0", &"x".repeat(129)).is_err());
    }
}
