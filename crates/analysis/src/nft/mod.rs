//! The policy of interfaces as an nftables ruleset, for hosts without the agent. Pure: a world in, text for `nft -f` out.
//!
//! The rules are those of the world in decision order, written out line by line; there is no form in between. What nftables
//! cannot say is refused by name. Live flows are the host's conntrack's: a changed ruleset judges new flows, and live ones go on; idle
//! timeouts are the host's too.
//!
//! An interface is named by the device that its packets pass. On the interface's own host packets towards it come *in* through
//! that device; on a host that forwards to it (`tap0`, a veth) they go *out* through it, and its Ethernet address is checked too.

mod chain;
mod sets;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use sekimori_core::{
    end::EndError,
    ids::{EniId, HostId, VpcId},
    rule::Direction,
    world::{Eni, Revision, World},
};

use crate::ends::{self, NotOne};

/// The table that the ruleset makes, in place of an older one.
pub const TABLE: &str = "sekimori";
/// The device of an interface on its own host, unless another is named.
pub const DEVICE: &str = "eth0";
/// Bytes of a device's name (`IFNAMSIZ` without its end).
const DEVICE_BYTES_MAX: usize = 15;
/// Bytes of the name of a set or chain.
const NAME_BYTES_MAX: usize = 120;

/// What is to be exported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// An interface, an instance for its primary interface, or a host for all of its interfaces.
    pub target: String,
    /// Whether it is loaded on a host that forwards to an interface, rather than on the interface's own. A host's interfaces
    /// always are.
    pub is_forwarded: bool,
    /// The device of an interface, by ENI. One interface alone may leave it out.
    pub devices: BTreeMap<EniId, String>,
}

/// A ruleset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The interfaces that it is about.
    pub enis: Vec<EniId>,
    /// The revision of the world that it says.
    pub revision: Revision,
    /// The ruleset: a transaction for `nft -f`.
    pub ruleset: String,
}

/// Why there is no ruleset.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NftError {
    /// Nothing of that name.
    #[error("`{0}` is no interface, instance or host with interfaces, and no name of one; see `sekimori status`")]
    Unknown(String),
    /// What is named is not one interface.
    #[error(transparent)]
    Target(#[from] NotOne),
    /// Interfaces of a host without a device.
    #[error("no device is named for {}; give {}", of_those(eni, *left), if *left == 0 { "it with --device ENI=DEVICE" } else { "each with --device ENI=DEVICE" })]
    NoDevice {
        /// The first of them.
        eni: EniId,
        /// The others.
        left: usize,
    },
    /// A device for what is not exported.
    #[error("`{eni}` is not one of the interfaces of `{target}`; leave its --device out")]
    Stranger {
        /// The interface.
        eni: EniId,
        /// What is exported.
        target: String,
    },
    /// A name that nftables or the kernel does not take.
    #[error("`{0}` cannot be the name of a device; use at most {DEVICE_BYTES_MAX} letters, digits, `-`, `_` and `.`")]
    BadDevice(String),
    /// Two interfaces at one device.
    #[error("`{one}` and `{other}` have the device `{device}` both; nftables could not tell them apart")]
    Shared {
        /// One.
        one: EniId,
        /// The other.
        other: EniId,
        /// The device.
        device: String,
    },
    /// Flows of two VPCs that conntrack could not tell apart.
    #[error(
        "`{one}` and `{other}` have addresses in common, and one conntrack cannot tell their flows apart; export their \
         interfaces one by one"
    )]
    Overlap {
        /// One VPC.
        one: VpcId,
        /// The other.
        other: VpcId,
    },
    /// An id that cannot be a name in nftables.
    #[error("`{0}` cannot name a set in nftables; use ids of letters, digits, `-`, `_` and `.`")]
    BadName(String),
}

/// An interface, and how many more.
fn of_those(eni: &EniId, left: usize) -> String {
    if left == 0 { format!("`{eni}`") } else { format!("`{eni}` and {left} more") }
}

/// Where a ruleset is to be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    /// On the interface's own host.
    Inside,
    /// On a host that forwards to it.
    Outside,
}

/// Writes the ruleset.
///
/// # Errors
/// What is unknown, or cannot be said.
pub fn export(world: &World, question: &Question) -> Result<Report, NftError> {
    let (side, enis) = chosen(world, question)?;
    let devices = devices(question, side, &enis)?;
    check_overlap(world, side, &enis)?;
    let mut sets = sets::Sets::default();
    let mut chains = Vec::new();
    for eni in &enis {
        for direction in [Direction::Ingress, Direction::Egress] {
            chains.push(chain::write(world, eni, direction, side == Side::Outside, &mut sets)?);
        }
    }
    let mut text = head(world, &question.target);
    text.push_str(&sets.write());
    chains.iter().for_each(|chain| text.push_str(chain));
    text.push_str(&hooks(side, &devices)?);
    text.push_str("}\n");
    Ok(Report { enis: enis.iter().map(|eni| eni.id.clone()).collect(), revision: world.revision(), ruleset: text })
}

fn chosen<'a>(world: &'a World, question: &Question) -> Result<(Side, Vec<&'a Eni>), NftError> {
    let target = question.target.as_str();
    let host = HostId::from(target);
    let of_host: Vec<&Eni> = world.enis().map(|eni| &**eni).filter(|eni| world.is_on(eni, &host)).collect();
    // An id goes before a host, and a host before a name.
    if ends::of_id(world, target).is_none() && !of_host.is_empty() {
        return Ok((Side::Outside, of_host));
    }
    let side = if question.is_forwarded { Side::Outside } else { Side::Inside };
    match ends::only(world, target) {
        Ok(eni) => Ok((side, vec![&**eni])),
        Err(NotOne::End(EndError::Unknown(name))) => Err(NftError::Unknown(name)),
        Err(error) => Err(error.into()),
    }
}

/// The device of each interface, by device.
fn devices(question: &Question, side: Side, enis: &[&Eni]) -> Result<BTreeMap<String, EniId>, NftError> {
    if let Some(eni) = question.devices.keys().find(|id| enis.iter().all(|eni| eni.id != **id)) {
        return Err(NftError::Stranger { eni: eni.clone(), target: question.target.clone() });
    }
    let mut devices: BTreeMap<String, EniId> = BTreeMap::new();
    let mut without = Vec::new();
    for eni in enis {
        let device = match (question.devices.get(&eni.id), side) {
            (Some(device), _) => device.clone(),
            (None, Side::Inside) => DEVICE.to_owned(),
            (None, Side::Outside) => {
                without.push(eni.id.clone());
                continue;
            }
        };
        check_device(&device)?;
        if let Some(one) = devices.insert(device.clone(), eni.id.clone()) {
            return Err(NftError::Shared { one, other: eni.id.clone(), device });
        }
    }
    match without.split_first() {
        Some((eni, left)) => Err(NftError::NoDevice { eni: eni.clone(), left: left.len() }),
        None => Ok(devices),
    }
}

fn check_device(name: &str) -> Result<(), NftError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let is_good = (1..=DEVICE_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_plain);
    if is_good { Ok(()) } else { Err(NftError::BadDevice(name.to_owned())) }
}

fn check_overlap(world: &World, side: Side, enis: &[&Eni]) -> Result<(), NftError> {
    let vpcs: BTreeMap<&VpcId, _> = enis.iter().filter_map(|eni| Some((&eni.vpc, world.vpc(&eni.vpc)?))).collect();
    let all: Vec<_> = vpcs.into_iter().filter(|_| side == Side::Outside).collect();
    for (place, (one, first)) in all.iter().enumerate() {
        for (other, second) in all.iter().skip(place + 1) {
            let (a, b) = (first.cidr, second.cidr);
            if a.contains(&b.network()) || b.contains(&a.network()) {
                return Err(NftError::Overlap { one: (*one).clone(), other: (*other).clone() });
            }
        }
    }
    Ok(())
}

/// A name in nftables. Ids come from whoever made the world.
fn name(start: &str, id: &str, end: &str) -> Result<String, NftError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let name = format!("{start}{id}{end}");
    let is_good = !id.is_empty() && name.bytes().all(is_plain) && name.len() <= NAME_BYTES_MAX;
    if is_good { Ok(name) } else { Err(NftError::BadName(id.to_owned())) }
}

fn chain_name(eni: &EniId, direction: Direction) -> Result<String, NftError> {
    name("", eni.as_str(), &format!("-{direction}"))
}

/// The old table goes and the new one comes in one transaction. A table must be there to be deleted.
fn head(world: &World, target: &str) -> String {
    let target: String = target.chars().filter(|letter| letter.is_ascii_graphic()).collect();
    format!(
        "# The policy of {target} at revision {}, written by sekimori export nft. Load it with: nft -f FILE\n\
         # Live flows and idle timeouts are this host's conntrack's.\n\
         table inet {TABLE} {{}}\ndelete table inet {TABLE}\ntable inet {TABLE} {{\n",
        world.revision()
    )
}

/// A packet between two interfaces here is judged at both ends: what one chain accepts goes on to the next hook's.
fn hooks(side: Side, devices: &BTreeMap<String, EniId>) -> Result<String, NftError> {
    let hooks: &[(&str, &str, &str, Direction)] = match side {
        Side::Inside => {
            &[("in", "input", "iifname", Direction::Ingress), ("out", "output", "oifname", Direction::Egress)]
        }
        Side::Outside => &[
            ("forwarded-from", "forward", "iifname", Direction::Egress),
            ("received-from", "input", "iifname", Direction::Egress),
            ("forwarded-to", "forward", "oifname", Direction::Ingress),
            ("sent-to", "output", "oifname", Direction::Ingress),
        ],
    };
    let mut text = String::new();
    for (chain, hook, device, direction) in hooks {
        let priority = if *chain == "forwarded-to" { "filter + 1" } else { "filter" };
        text.push_str(&format!(
            "  chain {chain} {{\n    type filter hook {hook} priority {priority}; policy accept;\n"
        ));
        for (name, eni) in devices {
            text.push_str(&format!("    {device} \"{name}\" goto {}\n", chain_name(eni, *direction)?));
        }
        text.push_str("  }\n");
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
