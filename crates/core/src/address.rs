//! Addresses as clients write them, and as packets carry them.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// The [`number`] of its last address.
    #[must_use]
    pub fn last(self) -> u128 {
        match self {
            Self::V4 => u128::from(u32::MAX),
            Self::V6 => u128::MAX,
        }
    }
}

/// The number of an address, within its family.
#[must_use]
pub fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

/// The address of a number. A number that IPv4 does not have is cut.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "the caller's numbers come from addresses of the family")]
pub fn from_number(family: Family, number: u128) -> IpAddr {
    match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::from(number as u32)),
        Family::V6 => IpAddr::V6(Ipv6Addr::from(number)),
    }
}

/// A block of addresses exactly as a client wrote it.
///
/// ECS stores `10.159.6.18/12` and a bare `10.0.0.1` and shows them unchanged (`spec/ecs.md` A4, H2), so host
/// bits and the missing length are kept; [`Cidr::contains`] masks. IPv6 text is compressed and lower-cased.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr {
    net: IpNet,
    bare: bool,
}

/// Why a text is not a [`Cidr`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an address or CIDR block; write 192.0.2.0/24 or 2001:db8::/32")]
pub struct CidrError(pub String);

impl Cidr {
    /// The whole of IPv4, `0.0.0.0/0`.
    pub const WORLD_V4: Self = Self { net: IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0)), bare: false };
    /// The whole of IPv6, `::/0`.
    pub const WORLD_V6: Self = Self { net: IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 0)), bare: false };

    /// The addresses of IPv6 that hold on one link, `fe80::/10`.
    pub const LINK_V6: Self =
        Self { net: IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10)), bare: false };

    /// The whole of a family.
    #[must_use]
    pub fn world(family: Family) -> Self {
        match family {
            Family::V4 => Self::WORLD_V4,
            Family::V6 => Self::WORLD_V6,
        }
    }

    /// The block with its host bits cleared: what it matches.
    #[must_use]
    pub fn network(&self) -> IpNet {
        self.net.trunc()
    }

    /// The block with host bits cleared and always with a length: EC2's canonical form.
    #[must_use]
    pub fn canonical(&self) -> Self {
        Self { net: self.net.trunc(), bare: false }
    }

    /// Whether bits beyond the prefix are set, as in `10.0.0.1/8`.
    #[must_use]
    pub fn has_host_bits(&self) -> bool {
        self.net.addr() != self.net.network()
    }

    /// The family of the block.
    #[must_use]
    pub fn family(&self) -> Family {
        match self.net {
            IpNet::V4(_) => Family::V4,
            IpNet::V6(_) => Family::V6,
        }
    }

    /// Whether the block holds every address of its family.
    #[must_use]
    pub fn is_world(&self) -> bool {
        self.net.prefix_len() == 0
    }

    /// Whether an address lies in the block; never true across families.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.net.trunc().contains(&address)
    }
}

impl From<IpNet> for Cidr {
    fn from(net: IpNet) -> Self {
        Self { net, bare: false }
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        let bad = || CidrError(text.to_owned());
        if text.contains('/') {
            let net = text.parse::<IpNet>().map_err(|_| bad())?;
            return Ok(Self { net, bare: false });
        }
        let address = text.parse::<IpAddr>().map_err(|_| bad())?;
        Ok(Self { net: IpNet::from(address), bare: true })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.bare { write!(f, "{}", self.net.addr()) } else { write!(f, "{}", self.net) }
    }
}

impl fmt::Debug for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Cidr {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cidr {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A 48-bit Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Mac {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("`{text}` is not a MAC address; write 00:16:3e:00:00:01");
        let bytes = text
            .split(':')
            .map(|part| u8::from_str_radix(part, 16).map_err(|_| bad()))
            .collect::<Result<Vec<u8>, String>>()?;
        <[u8; 6]>::try_from(bytes).map(Mac).map_err(|_| bad())
    }
}

impl Serialize for Mac {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Mac {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_the_client_wrote_and_masks_only_to_match() {
        let cidr: Cidr = "10.159.6.18/12".parse().unwrap();
        assert_eq!(cidr.to_string(), "10.159.6.18/12");
        assert!(cidr.contains("10.144.0.1".parse().unwrap()));
        let bare: Cidr = "2001:0DB8::0001".parse().unwrap();
        assert_eq!(bare.to_string(), "2001:db8::1");
        assert_eq!(bare.canonical().to_string(), "2001:db8::1/128");
    }

    #[test]
    fn a_block_never_matches_the_other_family() {
        assert!(!Cidr::WORLD_V4.contains("::1".parse().unwrap()));
        assert!(!Cidr::WORLD_V6.contains("127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn refuses_what_is_not_an_address() {
        for text in ["", "10.0.0.0/33", "10.0.0", "10.0.0.0/", "::/129", "a/8", "10.0.0.0/8/8"] {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
    }
}
