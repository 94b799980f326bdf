//! Named sets: the members of groups, prefix lists and port lists, each written once.

use std::collections::BTreeMap;

use sekimori_core::{
    address::Family,
    ids::{GroupId, PortListId, PrefixListId, VpcId},
    rule::PortRange,
    world::World,
};

use super::{NftError, name};

/// The sets that lines refer to, by name.
#[derive(Debug, Default)]
pub(super) struct Sets {
    by_name: BTreeMap<String, Set>,
}

#[derive(Debug)]
struct Set {
    kind: &'static str,
    elements: Vec<String>,
}

impl Sets {
    /// The addresses of a family that carry a group, as they are seen from a VPC; the name of the set.
    pub(super) fn group(
        &mut self,
        world: &World,
        vpc: &VpcId,
        group: &GroupId,
        family: Family,
    ) -> Result<String, NftError> {
        let name = name("group-", group.as_str(), &format!("-{vpc}-{}", ending(family)))?;
        let members = world.members(group).filter(|eni| world.are_joined(vpc, &eni.vpc));
        let seen = |eni: &sekimori_core::world::Eni, address| {
            world.eni_seen_from(vpc, address).is_some_and(|found| found.id == eni.id)
        };
        let addresses = members.flat_map(|eni| {
            let own = eni.addresses.iter().filter(|address| Family::of(**address) == family);
            own.filter(|address| seen(eni, **address)).map(ToString::to_string).collect::<Vec<_>>()
        });
        let elements = addresses.collect();
        self.insert(name, kind(family), elements)
    }

    /// The blocks of a family in a prefix list.
    pub(super) fn prefix_list(
        &mut self,
        world: &World,
        id: &PrefixListId,
        family: Family,
    ) -> Result<String, NftError> {
        let name = name("prefixes-", id.as_str(), &format!("-{}", ending(family)))?;
        let entries = world.prefix_list(id).map(|list| list.entries.as_slice()).unwrap_or_default();
        let blocks = entries.iter().map(|entry| entry.cidr).filter(|cidr| cidr.family() == family);
        let elements = blocks.map(|cidr| cidr.network().to_string()).collect();
        self.insert(name, kind(family), elements)
    }

    /// The ranges of a port list.
    pub(super) fn port_list(&mut self, world: &World, id: &PortListId) -> Result<String, NftError> {
        let name = name("ports-", id.as_str(), "")?;
        let entries = world.port_list(id).map(|list| list.entries.as_slice()).unwrap_or_default();
        let elements = entries.iter().map(|entry| run(entry.ports)).collect();
        self.insert(name, "inet_service", elements)
    }

    fn insert(&mut self, name: String, kind: &'static str, elements: Vec<String>) -> Result<String, NftError> {
        self.by_name.entry(name.clone()).or_insert(Set { kind, elements });
        Ok(name)
    }

    pub(super) fn write(&self) -> String {
        let mut text = String::new();
        for (name, Set { kind, elements }) in &self.by_name {
            // Members and entries may overlap, which is no error.
            text.push_str(&format!("  set {name} {{\n    type {kind}; flags interval; auto-merge;\n"));
            if !elements.is_empty() {
                text.push_str(&format!("    elements = {{ {} }}\n", elements.join(", ")));
            }
            text.push_str("  }\n");
        }
        text
    }
}

/// A range of ports.
pub(super) fn run(range: PortRange) -> String {
    match (range.first(), range.last()) {
        (first, last) if first == last => first.to_string(),
        (first, last) => format!("{first}-{last}"),
    }
}

fn kind(family: Family) -> &'static str {
    match family {
        Family::V4 => "ipv4_addr",
        Family::V6 => "ipv6_addr",
    }
}

fn ending(family: Family) -> &'static str {
    match family {
        Family::V4 => "v4",
        Family::V6 => "v6",
    }
}
