//! What was described, put together: what makes a world out of an empty one, with a note for whatever had to be assumed.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use ipnet::Ipv4Net;

use sekimori_core::{
    address::{Family, Mac},
    change::Change,
    ids::{AccountId, EniId, GroupId, HostId, InstanceId, PrefixListId, SubnetId, VpcId},
    network_acl::{AclAssociation, NetworkAcl},
    rule::{Peer, Rule, Service},
    time::Timestamp,
    world::{
        self, Dialect, Eni, Flavor, Group, InnerAccess, Instance, InstanceState, ListChange, PortList, PrefixEntry,
        PrefixList, Revision, Subnet, Timeouts, Vpc, VpcAttribute,
    },
};

use super::{
    Account, Described, SeenAcl, SeenList, SeenRules, SeenSubnet, SeenVpc, UNNAMED_EC2, UNNAMED_ECS, routes,
};

/// Where instances of an account run, as far as anybody here is concerned.
const ELSEWHERE: &str = "elsewhere";
/// The block of a VPC of which nothing is known.
const NO_BLOCK: &str = "127.255.255.255/32";

pub(super) fn group(id: GroupId, account: AccountId, vpc: VpcId, flavor: Flavor) -> Group {
    Group {
        id,
        account,
        vpc,
        also_in: Vec::new(),
        flavor,
        name: String::new(),
        description: String::new(),
        inner_access: InnerAccess::Accept,
        resource_group: String::new(),
        tags: Default::default(),
        managed_by: None,
        is_protected: false,
        is_default: false,
        created_at: Timestamp(0),
        rules: Default::default(),
    }
}

pub(super) fn instance(id: InstanceId, account: AccountId, vpc: VpcId, subnet: SubnetId) -> Instance {
    Instance {
        id,
        account,
        vpc,
        subnet,
        host: HostId::from(ELSEWHERE),
        name: String::new(),
        description: String::new(),
        image: String::new(),
        instance_type: String::new(),
        disk: Default::default(),
        resource_group: String::new(),
        tags: Default::default(),
        created_at: Timestamp(0),
        state: InstanceState::Running,
        state_since: Revision(0),
        launch: None,
    }
}

pub(super) fn eni(id: EniId, (account, dialect): (AccountId, Dialect), vpc: VpcId, subnet: SubnetId) -> Eni {
    Eni {
        id,
        account,
        vpc,
        subnet,
        instance: None,
        device_index: 0,
        mac: Mac([0; 6]),
        addresses: Vec::new(),
        groups: Vec::new(),
        treatment: None,
        timeouts: Timeouts::of(dialect),
        source_check: true,
        resource_group: String::new(),
        tags: Default::default(),
        created_at: Timestamp(0),
        name: String::new(),
        description: String::new(),
        delete_on_release: true,
        managed_by: None,
        moved_in: Revision(0),
        binding: None,
    }
}

/// Each address once; the first one first.
pub(super) fn once(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let mut seen = BTreeSet::new();
    addresses.into_iter().filter(|address| seen.insert(*address)).collect()
}

/// What no reply says the owner of belongs to the one owner of the dialect that is named, if there is just one.
fn name_owners(described: &mut Described) {
    for (dialect, unnamed) in [(Dialect::Ec2, UNNAMED_EC2), (Dialect::Ecs, UNNAMED_ECS)] {
        let unnamed = AccountId::from(unnamed);
        let mut named = described.dialects.iter().filter(|(id, own)| **own == dialect && **id != unnamed);
        let (Some((owner, _)), None) = (named.next(), named.next()) else { continue };
        let owner = owner.clone();
        let Described { vpcs, subnets, groups, rules, prefix_lists, port_lists, instances, enis, acls, .. } =
            described;
        let mut all: Vec<&mut AccountId> = Vec::new();
        all.extend(vpcs.values_mut().map(|vpc| &mut vpc.account));
        all.extend(subnets.values_mut().map(|subnet| &mut subnet.account));
        all.extend(groups.values_mut().map(|group| &mut group.account));
        all.extend(prefix_lists.values_mut().map(|list| &mut list.account));
        all.extend(port_lists.values_mut().map(|list| &mut list.account));
        all.extend(instances.values_mut().map(|instance| &mut instance.account));
        all.extend(enis.values_mut().map(|eni| &mut eni.account));
        all.extend(acls.values_mut().map(|acl| &mut acl.account));
        let rules = rules.values_mut().flat_map(|seen| seen.directions.values_mut().flatten());
        all.extend(rules.filter_map(|rule| match &mut rule.spec.peer {
            Peer::Group { account, .. } => Some(account),
            Peer::Cidr(_) | Peer::PrefixList(_) => None,
        }));
        all.into_iter().filter(|account| **account == unnamed).for_each(|account| *account = owner.clone());
        described.dialects.remove(&unnamed);
    }
}

/// Puts an account together.
pub(super) fn account(mut described: Described) -> Account {
    for (id, eni) in std::mem::take(&mut described.enis_of_instances) {
        described.enis.entry(id).or_insert(eni);
    }
    name_owners(&mut described);
    let mut changes = Vec::new();
    let enis = enis(&mut described);
    let groups = groups(&mut described, &enis);
    let subnets = subnets(&mut described, &enis);
    let mut vpcs = vpcs(&mut described, &groups, &subnets, &enis);
    routes::join(&mut described, &mut vpcs, (&subnets, &enis));
    changes.extend(described.dialects.iter().map(|(id, dialect)| {
        let account = world::Account {
            id: id.clone(),
            dialect: *dialect,
            name: id.to_string(),
            treatment: None,
            resource_groups: Default::default(),
            created_at: Timestamp(0),
        };
        Change::PutAccount(Arc::new(account))
    }));
    changes.extend(vpcs.into_iter().map(|vpc| Change::PutVpc(Arc::new(vpc))));
    changes.extend(described.peerings.values().cloned().map(|peering| Change::PutPeering(Arc::new(peering))));
    changes.extend(acls(&described));
    changes.extend(subnets.into_iter().map(|subnet| Change::PutSubnet(Arc::new(subnet))));
    let prefix_lists = described.prefix_lists.keys().map(ToString::to_string);
    let listed = prefix_lists.chain(described.port_lists.keys().map(ToString::to_string)).collect();
    changes.extend(lists(&mut described));
    note_absent(&mut described, &groups, &listed);
    for mut group in groups {
        let rules = std::mem::take(&mut group.rules);
        let id = group.id.clone();
        changes.push(Change::PutGroup(Arc::new(group)));
        changes.extend(rules.into_iter().map(|(_, rule)| Change::PutRule { group: id.clone(), rule }));
    }
    changes.extend(described.instances.values().cloned().map(|instance| Change::PutInstance(Arc::new(instance))));
    changes.extend(enis.into_iter().map(|eni| Change::PutEni(Arc::new(eni))));
    let pages = described.pages.iter().filter(|(_, (seen, total))| seen < total);
    let pages: Vec<String> = pages
        .map(|(list, (seen, total))| format!("{seen} of {total} {list} are described; give all pages"))
        .collect();
    described.notes.extend(pages);
    Account { changes, notes: described.notes.into_iter().collect() }
}

/// Interfaces that can be judged: an address, and an instance that is there if one is named.
fn enis(described: &mut Described) -> Vec<Eni> {
    let mut kept = Vec::new();
    for (id, mut eni) in std::mem::take(&mut described.enis) {
        if eni.addresses.is_empty() {
            described.notes.insert(format!("`{id}` has no address, and is left out"));
            continue;
        }
        if let Some(instance) = eni.instance.clone().filter(|instance| !described.instances.contains_key(instance)) {
            described.notes.insert(format!("`{instance}` is not described, only its interface `{id}`"));
            let made = self::instance(instance.clone(), eni.account.clone(), eni.vpc.clone(), eni.subnet.clone());
            described.instances.insert(instance, made);
        }
        if eni.groups.is_empty() {
            described.notes.insert(format!("`{id}` has no group, so nothing is allowed there but what has no rule"));
        }
        eni.groups = distinct(eni.groups);
        kept.push(eni);
    }
    kept
}

fn distinct(groups: Vec<GroupId>) -> Vec<GroupId> {
    let mut seen = BTreeSet::new();
    groups.into_iter().filter(|group| seen.insert(group.clone())).collect()
}

/// Groups with their rules; one that interfaces carry and nobody describes has none.
fn groups(described: &mut Described, enis: &[Eni]) -> Vec<Group> {
    for eni in enis {
        for id in &eni.groups {
            if !described.groups.contains_key(id) {
                let flavor = match described.dialects.get(&eni.account) {
                    Some(Dialect::Ec2) => Flavor::Ec2,
                    Some(Dialect::Ecs) | None => Flavor::EcsBasic,
                };
                let known = described.rules.contains_key(id);
                let what = if known { "only its rules are" } else { "so it is taken as a group without rules" };
                described.notes.insert(format!("`{id}` is not described, {what}; `{}` carries it", eni.id));
                let made = group(id.clone(), eni.account.clone(), eni.vpc.clone(), flavor);
                described.groups.insert(id.clone(), made);
            }
        }
    }
    let mut all = Vec::new();
    for (id, mut group) in std::mem::take(&mut described.groups) {
        match described.rules.remove(&id) {
            Some(SeenRules { directions, .. }) => {
                let rules = directions.into_values().flatten();
                group.rules = rules.map(|rule: Rule| (rule.id.clone(), Arc::new(rule))).collect();
            }
            None if group.flavor == Flavor::Ec2 => {}
            None => {
                described.notes.insert(format!(
                    "the rules of `{id}` are not described; give its DescribeSecurityGroupAttribute"
                ));
            }
        }
        all.push(group);
    }
    for id in described.rules.keys() {
        described.notes.insert(format!("rules of `{id}` are described, but no VPC of it, so they are left out"));
    }
    all
}

/// Subnets; those that interfaces are in and nobody describes are made of their addresses.
fn subnets(described: &mut Described, enis: &[Eni]) -> Vec<Subnet> {
    for eni in enis {
        if described.subnets.contains_key(&eni.subnet) {
            continue;
        }
        let here =
            enis.iter().filter(|other| other.subnet == eni.subnet).flat_map(|other| other.addresses.iter().copied());
        let cidr = block_of(here);
        described.notes.insert(format!("`{}` is not described; its block is taken as {cidr}", eni.subnet));
        let seen = SeenSubnet {
            account: eni.account.clone(),
            vpc: eni.vpc.clone(),
            zone: String::new(),
            name: String::new(),
            cidr,
            ipv6: None,
            tags: Default::default(),
        };
        described.subnets.insert(eni.subnet.clone(), seen);
    }
    let acl_of = |subnet: &SubnetId| {
        let bound = described.acls.iter().find(|(_, acl)| acl.subnets.contains(subnet)).map(|(id, _)| id);
        let named = || described.acl_names.get(subnet).filter(|id| described.acls.contains_key(*id));
        let id = bound.or_else(named)?;
        Some(AclAssociation { id: format!("aclassoc-{subnet}").as_str().into(), acl: id.clone() })
    };
    let subnet = |(id, seen): (&SubnetId, &SeenSubnet)| Subnet {
        id: id.clone(),
        vpc: seen.vpc.clone(),
        account: seen.account.clone(),
        zone: seen.zone.clone(),
        name: seen.name.clone(),
        description: String::new(),
        cidr: seen.cidr,
        ipv6: seen.ipv6,
        resource_group: String::new(),
        tags: seen.tags.clone(),
        acl: acl_of(id),
        created_at: Timestamp(0),
    };
    described.subnets.iter().map(subnet).collect()
}

/// VPCs; those that are named and not described are what a peering connection says, or made of the subnets in them.
fn vpcs(described: &mut Described, groups: &[Group], subnets: &[Subnet], enis: &[Eni]) -> Vec<Vpc> {
    for side in described.peerings.values().flat_map(|peering| [&peering.requester, &peering.accepter]) {
        let Some(cidr) = side.cidr else { continue };
        let further = described.peer_blocks.get(&side.vpc).cloned().unwrap_or_default();
        let bare = || SeenVpc::bare(side.account.clone(), cidr, further);
        described.vpcs.entry(side.vpc.clone()).or_insert_with(bare);
    }
    let of_groups = groups.iter().map(|group| (&group.vpc, &group.account));
    let of_subnets = subnets.iter().map(|subnet| (&subnet.vpc, &subnet.account));
    let of_enis = enis.iter().map(|eni| (&eni.vpc, &eni.account));
    for (id, account) in of_groups.chain(of_subnets).chain(of_enis) {
        if described.vpcs.contains_key(id) {
            continue;
        }
        let within = subnets.iter().filter(|subnet| subnet.vpc == *id);
        let ends = within.flat_map(|subnet| [subnet.cidr.network().into(), subnet.cidr.broadcast().into()]);
        let cidr = block_of(ends);
        let note = format!("`{id}` is not described; its block is taken as {cidr}, and what is beyond as outside");
        described.notes.insert(note);
        described.vpcs.insert(id.clone(), SeenVpc::bare(account.clone(), cidr, Vec::new()));
    }
    let vpc = |(id, seen): (&VpcId, &SeenVpc)| Vpc {
        id: id.clone(),
        account: seen.account.clone(),
        region: region(seen, subnets.iter().filter(|subnet| subnet.vpc == *id)),
        name: seen.name.clone(),
        description: String::new(),
        cidr: seen.cidr,
        ipv6: seen.ipv6,
        further: seen.further.clone(),
        ways: None,
        resource_group: String::new(),
        tags: seen.tags.clone(),
        // Whoever has a group in it may have one.
        shared_with: groups
            .iter()
            .filter(|group| group.vpc == *id && group.account != seen.account)
            .map(|group| group.account.clone())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect(),
        attributes: VpcAttribute::of_new(),
        created_at: Timestamp(0),
    };
    described.vpcs.iter().map(vpc).collect()
}

/// The region, if it is told, or the one whose zones the subnets are in: Amazon calls a zone after its region, with a letter more.
fn region<'a>(seen: &SeenVpc, mut subnets: impl Iterator<Item = &'a Subnet>) -> String {
    if !seen.region.is_empty() {
        return seen.region.clone();
    }
    let of_zone = |subnet: &Subnet| {
        let region = subnet.zone.strip_suffix(|letter: char| letter.is_ascii_lowercase())?;
        region.ends_with(|digit: char| digit.is_ascii_digit()).then(|| region.to_owned())
    };
    subnets.find_map(of_zone).unwrap_or_default()
}

/// The smallest IPv4 block that holds some addresses.
fn block_of(addresses: impl Iterator<Item = IpAddr>) -> Ipv4Net {
    let ends = addresses.filter_map(|address| match address {
        IpAddr::V4(address) => Some(address.to_bits()),
        IpAddr::V6(_) => None,
    });
    let ends: Vec<u32> = ends.collect();
    let (Some(first), Some(last)) = (ends.iter().min(), ends.iter().max()) else {
        return NO_BLOCK.parse().unwrap_or_default();
    };
    let length = u8::try_from((first ^ last).leading_zeros()).unwrap_or_default();
    Ipv4Net::new(std::net::Ipv4Addr::from_bits(*first), length).map(|block| block.trunc()).unwrap_or_default()
}

fn acls(described: &Described) -> impl Iterator<Item = Change> + use<'_> {
    described.acls.iter().map(|(id, acl)| {
        let SeenAcl { account, vpc, is_default, entries, subnets: _ } = acl;
        Change::PutNetworkAcl(Arc::new(NetworkAcl {
            id: id.clone(),
            account: account.clone(),
            vpc: vpc.clone(),
            is_default: *is_default,
            entries: entries.clone(),
            tags: Default::default(),
            created_at: Timestamp(0),
        }))
    })
}

fn lists(described: &mut Described) -> Vec<Change> {
    let mut changes = Vec::new();
    for (id, SeenList { account, region, name, entries }) in std::mem::take(&mut described.prefix_lists) {
        if entries.is_none() {
            described.notes.insert(format!("the entries of `{id}` are not described, so it is taken as empty"));
        }
        changes.push(prefix_list(id, account, (region, name), entries.unwrap_or_default()));
    }
    for (id, SeenList { account, region, name, entries }) in std::mem::take(&mut described.port_lists) {
        if entries.is_none() {
            described.notes.insert(format!("the entries of `{id}` are not described, so it is taken as empty"));
        }
        let entries = entries.unwrap_or_default();
        changes.push(Change::PutPortList(Arc::new(PortList {
            id,
            account,
            region,
            name,
            description: String::new(),
            entries_max: u32::try_from(entries.len()).unwrap_or(u32::MAX).max(1),
            entries,
            resource_group: String::new(),
            tags: Default::default(),
            created_at: Timestamp(0),
        })));
    }
    changes
}

fn prefix_list(
    id: PrefixListId,
    account: AccountId,
    (region, name): (String, String),
    entries: Vec<PrefixEntry>,
) -> Change {
    Change::PutPrefixList(Arc::new(PrefixList {
        id,
        account,
        region,
        name,
        description: String::new(),
        family: entries.first().map_or(Family::V4, |entry| entry.cidr.family()),
        entries_max: u32::try_from(entries.len()).unwrap_or(u32::MAX).max(1),
        entries,
        version: 1,
        last_change: ListChange::Created,
        resource_group: String::new(),
        tags: Default::default(),
        created_at: Timestamp(0),
    }))
}

/// Notes what rules name and nothing describes: such a rule matches nobody.
fn note_absent(described: &mut Described, groups: &[Group], listed: &BTreeSet<String>) {
    let known: BTreeSet<&str> = groups.iter().map(|group| group.id.as_str()).collect();
    let mut absent = BTreeSet::new();
    for rule in groups.iter().flat_map(|group| group.rules.values()) {
        match &rule.spec.peer {
            Peer::Group { group, .. } if !known.contains(group.as_str()) => drop(absent.insert(group.as_str())),
            Peer::PrefixList(list) if !listed.contains(list.as_str()) => drop(absent.insert(list.as_str())),
            Peer::Group { .. } | Peer::PrefixList(_) | Peer::Cidr(_) => {}
        }
        if let Service::PortList(list) = &rule.spec.service
            && !listed.contains(list.as_str())
        {
            absent.insert(list.as_str());
        }
    }
    let note =
        |id: &&str| format!("`{id}` is named by rules and not described; such rules are taken as matching nobody");
    described.notes.extend(absent.iter().map(note));
}
