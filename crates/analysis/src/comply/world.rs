//! What *unrestricted* means when packets are looked at and not the text of rules.
//!
//! A rule for everyone can be written as two halves of the world, as many blocks, or with a few addresses denied before it. It stays one:
//! what lets in at least a sixteenth of the public addresses of a family is unrestricted, and at least three quarters of the ports are all
//! of them. Whoever restricts something in earnest names far less: all addresses of the largest cloud are less than a twentieth of IPv4.
//! Both numbers are counted, not estimated.

use std::sync::LazyLock;

use sekimori_core::{
    address::{Cidr, Family},
    rule::{Direction, PortRange},
    space::{
        Set, TooComplex,
        reach::{Reach, reach},
    },
};

/// The blocks of IPv4 that nobody on the internet has (RFC 6890, RFC 5771).
const NOT_PUBLIC_V4: [&str; 8] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "224.0.0.0/3",
];
/// The global unicast addresses of IPv6 (RFC 4291).
const PUBLIC_V6: &str = "2000::/3";
/// What the cloud's own check takes for no internet address (`spec/ecs.md` F), and the same of IPv6 (RFC 4193, RFC 4291).
const PRIVATE: [&str; 9] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "100.64.0.0/10",
    "fc00::/7",
    "fe80::/10",
    "::1/128",
];

/// At least so many ports are all ports: three quarters of them.
pub(super) const ALL_PORTS_MIN: u64 = 49_152;
/// The part of the public addresses that is everyone.
const EVERYONE_PART: u128 = 16;

static PUBLIC_V4_COUNT: LazyLock<u128> = LazyLock::new(|| count(Family::V4));
static PUBLIC_V6_COUNT: LazyLock<u128> = LazyLock::new(|| count(Family::V6));

fn blocks(texts: &[&str]) -> Vec<Cidr> {
    texts.iter().filter_map(|text| text.parse().ok()).collect()
}

/// The packets whose peer has a public address of a family.
pub(super) fn public(direction: Direction, family: Family) -> Result<Set, TooComplex> {
    match family {
        Family::V4 => {
            Set::of_family(direction, family).difference(&Set::of_peers(direction, &blocks(&NOT_PUBLIC_V4))?)
        }
        Family::V6 => Set::of_peers(direction, &blocks(&[PUBLIC_V6])),
    }
}

/// The packets whose peer has an address that is not private.
pub(super) fn not_private(direction: Direction) -> Result<Set, TooComplex> {
    Set::everything(direction).difference(&Set::of_peers(direction, &private())?)
}

/// The blocks that are private.
pub(super) fn private() -> Vec<Cidr> {
    blocks(&PRIVATE)
}

fn count(family: Family) -> u128 {
    let ports = Set::of_ports(Direction::Ingress, 6, PortRange::one(1));
    let all = public(Direction::Ingress, family).and_then(|public| public.intersection(&ports));
    let all = all.and_then(|all| reach(&[&all], Direction::Ingress));
    all.iter().flatten().map(Reach::peer_count).sum()
}

fn public_count(family: Family) -> u128 {
    match family {
        Family::V4 => *PUBLIC_V4_COUNT,
        Family::V6 => *PUBLIC_V6_COUNT,
    }
}

/// At least so many public addresses are everyone.
pub(super) fn everyone_min(family: Family) -> u128 {
    public_count(family) / EVERYONE_PART
}

/// `every public IPv4 address`, or which part of them.
pub(super) fn share(family: Family, peers: u128) -> String {
    let name = match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    };
    let all = public_count(family);
    if peers >= all {
        return format!("every public {name} address");
    }
    // Rounded down, so that what is not all is never told as 100 %; by thousands, in numbers that cannot overflow.
    let thousandths = peers / (all / 1000).max(1);
    let thousandths = thousandths.min(999);
    format!("{}.{} % of the public {name} addresses", thousandths / 10, thousandths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_addresses_are_counted() {
        let reserved: u128 = (3 << 24) + (1 << 22) + (2 << 16) + (1 << 20) + (1 << 29);
        assert_eq!(public_count(Family::V4), (1 << 32) - reserved);
        assert_eq!(public_count(Family::V6), 1 << 125);
        assert_eq!(blocks(&NOT_PUBLIC_V4).len() + blocks(&PRIVATE).len(), 17);
    }

    #[test]
    fn a_share_is_never_rounded_up() {
        let all = public_count(Family::V4);
        assert_eq!(share(Family::V4, all), "every public IPv4 address");
        assert_eq!(share(Family::V4, all - 1), "99.9 % of the public IPv4 addresses");
        assert_eq!(share(Family::V6, 1 << 124), "50.0 % of the public IPv6 addresses");
        assert_eq!(everyone_min(Family::V4), all / 16);
    }
}
