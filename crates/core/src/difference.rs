//! What differs between two worlds, as far as decisions depend on it: where a comparison of policies has to look.
//!
//! Maps that grew out of each other share their parts, and shared parts are skipped; so the work is proportional to what was
//! changed and not to what there is. Names, descriptions, tags and whatever else no packet is judged by do not count.

use std::collections::BTreeSet;

use imbl::ordmap::{DiffItem, OrdMap};

use crate::{
    ids::{EniId, GroupId, InstanceId, NetworkAclId, PortListId, PrefixListId, SubnetId, VpcId},
    platform,
    rule::RuleSpec,
    world::{Eni, Group, PortList, PrefixList, Subnet, Vpc, World, group_set},
};

/// What differs, by name. What is in one world only differs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// ENIs with other addresses, groups, places or source checks.
    pub enis: BTreeSet<EniId>,
    /// Groups with other rules, of another flavor, or that accept others among themselves.
    pub groups: BTreeSet<GroupId>,
    /// Prefix lists with other entries.
    pub prefix_lists: BTreeSet<PrefixListId>,
    /// Port lists with other entries.
    pub port_lists: BTreeSet<PortListId>,
    /// VPCs with other blocks.
    pub vpcs: BTreeSet<VpcId>,
    /// VPCs that see the addresses of others than before.
    pub joined: BTreeSet<VpcId>,
    /// Subnets with other blocks or another network ACL.
    pub subnets: BTreeSet<SubnetId>,
    /// Network ACLs with other entries.
    pub network_acls: BTreeSet<NetworkAclId>,
    /// Instances that start, stop, come, go or are on another host.
    pub instances: BTreeSet<InstanceId>,
    /// ENIs in both worlds whose live flows are treated otherwise when something changes.
    pub treated: BTreeSet<EniId>,
    /// Whether the bypass set does.
    pub bypass: bool,
    /// Whether the platform policies do.
    pub platform: bool,
}

impl Differences {
    /// What differs between two worlds.
    #[must_use]
    pub fn between(before: &World, after: &World) -> Self {
        Self {
            enis: names(&before.enis, &after.enis, |one, other| is_same_eni(one, other)),
            groups: names(&before.groups, &after.groups, |one, other| is_same_group(one, other)),
            prefix_lists: names(&before.prefix_lists, &after.prefix_lists, |one, other| is_same_prefixes(one, other)),
            port_lists: names(&before.port_lists, &after.port_lists, |one, other| is_same_ports(one, other)),
            vpcs: names(&before.vpcs, &after.vpcs, |one, other| is_same_vpc(one, other)),
            joined: joined(before, after),
            subnets: names(&before.subnets, &after.subnets, |one, other| is_same_subnet(one, other)),
            network_acls: names(&before.network_acls, &after.network_acls, |one, other| one.entries == other.entries),
            instances: names(&before.instances, &after.instances, |one, other| {
                (one.state, &one.host) == (other.state, &other.host)
            }),
            treated: treated(before, after),
            bypass: before.bypass != after.bypass,
            platform: before.platform != after.platform,
        }
    }

    /// Whether no packet can be judged otherwise, nor a live flow treated so.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Rules that one of two groups has and the other has not, by what they say: those of the first, and those of the second.
#[must_use]
pub fn rules<'a>(before: &'a Group, after: &'a Group) -> (Vec<&'a RuleSpec>, Vec<&'a RuleSpec>) {
    let (mut gone, mut new) = (Vec::new(), Vec::new());
    for item in before.rules.diff(&after.rules) {
        match item {
            DiffItem::Add(_, rule) => new.push(&rule.spec),
            DiffItem::Remove(_, rule) => gone.push(&rule.spec),
            DiffItem::Update { old: (_, old), new: (_, rule) } if old.spec != rule.spec => {
                gone.push(&old.spec);
                new.push(&rule.spec);
            }
            DiffItem::Update { .. } => {}
        }
    }
    (gone, new)
}

fn names<K: Ord + Clone, V: PartialEq>(
    before: &OrdMap<K, V>,
    after: &OrdMap<K, V>,
    is_same: impl Fn(&V, &V) -> bool,
) -> BTreeSet<K> {
    let name = |item: DiffItem<'_, '_, K, V>| match item {
        DiffItem::Add(name, _) | DiffItem::Remove(name, _) => Some(name.clone()),
        DiffItem::Update { old: (name, old), new: (_, new) } => (!is_same(old, new)).then(|| name.clone()),
    };
    before.diff(after).filter_map(name).collect()
}

fn is_same_eni(one: &Eni, other: &Eni) -> bool {
    let place = |eni: &Eni| (eni.vpc.clone(), eni.subnet.clone(), eni.source_check);
    let addresses = |eni: &Eni| eni.addresses.iter().copied().collect::<BTreeSet<_>>();
    place(one) == place(other)
        && addresses(one) == addresses(other)
        && group_set(&one.groups) == group_set(&other.groups)
}

fn treated(before: &World, after: &World) -> BTreeSet<EniId> {
    let accounts = names(&before.accounts, &after.accounts, |one, other| one.treatment == other.treatment);
    let mut asked = names(&before.enis, &after.enis, |one, other| one.treatment == other.treatment);
    if !accounts.is_empty() {
        asked.extend(after.enis().filter(|eni| accounts.contains(&eni.account)).map(|eni| eni.id.clone()));
    }
    let treatment = |world: &World, id: &EniId| world.eni(id).map(|eni| world.treatment_of(eni));
    asked.retain(|id| treatment(before, id).zip(treatment(after, id)).is_some_and(|(old, new)| old != new));
    asked
}

fn is_same_group(one: &Group, other: &Group) -> bool {
    let (gone, new) = rules(one, other);
    gone.is_empty() && new.is_empty() && one.flavor == other.flavor && one.accepts_inner() == other.accepts_inner()
}

fn is_same_prefixes(one: &PrefixList, other: &PrefixList) -> bool {
    one.entries.iter().map(|entry| entry.cidr).eq(other.entries.iter().map(|entry| entry.cidr))
}

fn is_same_ports(one: &PortList, other: &PortList) -> bool {
    one.entries.iter().map(|entry| entry.ports).eq(other.entries.iter().map(|entry| entry.ports))
}

fn is_same_vpc(one: &Vpc, other: &Vpc) -> bool {
    platform::blocks(Some(one)).eq(platform::blocks(Some(other)))
}

fn is_same_subnet(one: &Subnet, other: &Subnet) -> bool {
    let acl = |subnet: &Subnet| subnet.acl.as_ref().map(|own| own.acl.clone());
    (one.cidr, one.ipv6, acl(one)) == (other.cidr, other.ipv6, acl(other))
}

fn joined(before: &World, after: &World) -> BTreeSet<VpcId> {
    let changed = before.peerings().differing(after.peerings());
    let differs = |vpc: &VpcId| before.joined_with(vpc) != after.joined_with(vpc);
    changed.into_iter().filter(differs).collect()
}
