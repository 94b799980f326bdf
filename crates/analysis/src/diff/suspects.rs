//! Which packets can be decided otherwise: those that a line speaks about which is not the same in both worlds.
//!
//! A packet that no such line speaks about meets the same lines in the same order before and after, and so the same decision.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use sekimori_core::{
    address::Cidr,
    bypass::BypassEntry,
    difference::{self, Differences},
    ids::{EniId, GroupId, SubnetId, VpcId},
    platform::PlatformPolicy,
    rule::{Direction, Peer, RuleSpec},
    space::{
        Set, TooComplex,
        resolve::{Reader, discovery},
        view::to_peers,
    },
    verdict::default_action,
    world::{Flavor, Group, Referent, World},
};

use super::places::Judged;

/// What differs about the rules of a group.
#[derive(Default)]
struct Touched<'a> {
    /// Rules whose packets may be decided otherwise, with the world that says which they are.
    rules: Vec<(&'a World, &'a RuleSpec)>,
    /// Rules of which that is true only for peers that joined or left a group.
    by_members: Vec<(&'a World, &'a RuleSpec, &'a GroupId)>,
    /// Whether members accept each other in one world only.
    is_opened: bool,
    /// Whether it accepts its members, and has others than before.
    has_other_members: bool,
}

/// Everything that is not the same in two worlds.
pub(super) struct Suspects<'a> {
    before: &'a World,
    after: &'a World,
    pub(super) differences: Differences,
    touched: BTreeMap<&'a GroupId, Touched<'a>>,
    /// Addresses of interfaces that are not the same.
    moved: BTreeSet<IpAddr>,
    joined_or_left: RefCell<BTreeMap<(GroupId, VpcId), BTreeSet<IpAddr>>>,
}

impl<'a> Suspects<'a> {
    pub(super) fn between(before: &'a World, after: &'a World) -> Self {
        let differences = Differences::between(before, after);
        let enis = |id: &EniId| [before.eni(id), after.eni(id)];
        let moved = differences.enis.iter().flat_map(enis).flatten();
        let moved: BTreeSet<IpAddr> = moved.flat_map(|eni| eni.addresses.iter().copied()).collect();
        let joined_or_left = RefCell::default();
        let mut suspects = Self { before, after, differences, touched: BTreeMap::new(), moved, joined_or_left };
        suspects.touch_groups();
        suspects.touch_lists();
        suspects.touch_members();
        suspects
    }

    /// The groups with a policy that may decide otherwise.
    pub(super) fn groups(&self) -> impl Iterator<Item = &GroupId> {
        self.touched.keys().copied()
    }

    fn touch(&mut self, group: &GroupId) -> Option<&mut Touched<'a>> {
        let known = self.after.group(group).or_else(|| self.before.group(group))?;
        Some(self.touched.entry(&known.id).or_default())
    }

    fn touch_groups(&mut self) {
        let (before, after) = (self.before, self.after);
        for id in self.differences.groups.clone() {
            let (old, new) = (before.group(&id), after.group(&id));
            let Some(touched) = self.touch(&id) else { continue };
            let accepts = |group: Option<&std::sync::Arc<Group>>| group.is_some_and(|group| group.accepts_inner());
            touched.is_opened = accepts(old) != accepts(new);
            match (old, new) {
                (Some(old), Some(new)) => {
                    let (gone, added) = difference::rules(old, new);
                    touched.rules.extend(gone.into_iter().map(|spec| (before, spec)));
                    touched.rules.extend(added.into_iter().map(|spec| (after, spec)));
                }
                (Some(only), None) => touched.rules.extend(only.rules.values().map(|rule| (before, &rule.spec))),
                (None, Some(only)) => touched.rules.extend(only.rules.values().map(|rule| (after, &rule.spec))),
                (None, None) => {}
            }
        }
    }

    fn touch_lists(&mut self) {
        let prefixes = self.differences.prefix_lists.iter().cloned().map(Referent::PrefixList);
        let ports = self.differences.port_lists.iter().cloned().map(Referent::PortList);
        for referent in prefixes.chain(ports).collect::<Vec<_>>() {
            for world in [self.before, self.after] {
                for (group, spec) in referring(world, &referent) {
                    if let Some(touched) = self.touch(group) {
                        touched.rules.push((world, spec));
                    }
                }
            }
        }
    }

    /// Rules that name a group which has other members, as far as anybody sees them, and groups that accept their members.
    fn touch_members(&mut self) {
        let (before, after) = (self.before, self.after);
        let mut regrouped: BTreeSet<GroupId> = BTreeSet::new();
        for world in [before, after] {
            let enis = self.differences.enis.iter().filter_map(|id| world.eni(id));
            regrouped.extend(enis.flat_map(|eni| eni.groups.iter().cloned()));
            // Who sees others than before may see members of any group.
            let seeing = self.differences.joined.iter().flat_map(|vpc| world.enis_in(vpc));
            for group in seeing.flat_map(|eni| &eni.groups).filter_map(|id| world.group(id)) {
                regrouped.insert(group.id.clone());
                regrouped.extend(group.rules.values().filter_map(|rule| match &rule.spec.peer {
                    Peer::Group { group, .. } => Some(group.clone()),
                    Peer::Cidr(_) | Peer::PrefixList(_) => None,
                }));
            }
        }
        for peer in regrouped {
            for world in [before, after] {
                if world.group(&peer).is_some_and(|group| group.accepts_inner())
                    && let Some(touched) = self.touch(&peer)
                {
                    touched.has_other_members = true;
                }
                for (group, spec) in referring(world, &Referent::Group(peer.clone())) {
                    let Peer::Group { group: named, .. } = &spec.peer else { continue };
                    if let Some(touched) = self.touch(group) {
                        touched.by_members.push((world, spec, named));
                    }
                }
            }
        }
    }

    /// The packets that two policies may decide otherwise, without what no rule judges. All of them where that cannot be told more
    /// closely.
    pub(super) fn of(&self, old: &Judged<'_>, new: &Judged<'_>, direction: Direction) -> Result<Set, TooComplex> {
        let closely = self.closely(old, new, direction).unwrap_or(None);
        let packets = closely.unwrap_or_else(|| Set::everything(direction));
        packets.difference(&discovery(direction))
    }

    /// `None` is all of them.
    fn closely(&self, old: &Judged<'_>, new: &Judged<'_>, direction: Direction) -> Result<Option<Set>, TooComplex> {
        let is_elsewhere = old.bearing.vpc != new.bearing.vpc;
        if is_elsewhere || default_action(flavor(old), direction) != default_action(flavor(new), direction) {
            return Ok(None);
        }
        let mut found = Found { old, new, direction, set: Set::empty() };
        self.of_all_interfaces(&mut found)?;
        let (before, after): (BTreeSet<&GroupId>, BTreeSet<&GroupId>) =
            (old.bearing.groups.iter().collect(), new.bearing.groups.iter().collect());
        for (judged, others, own) in [(old, &after, &before), (new, &before, &after)] {
            for group in own.difference(others).filter_map(|id| judged.world.group(id)) {
                for rule in group.rules.values() {
                    found.rule(judged.world, &rule.spec)?;
                }
                if group.accepts_inner() {
                    found.members(judged.world, &group.id)?;
                }
            }
        }
        for (id, touched) in before.intersection(&after).filter_map(|id| self.touched.get_key_value(*id)) {
            self.of_group(id, touched, &mut found)?;
        }
        if !found.acls()? {
            return Ok(None);
        }
        Ok(Some(found.set))
    }

    /// Bypass set and platform policies.
    fn of_all_interfaces(&self, found: &mut Found<'_>) -> Result<(), TooComplex> {
        let (before, after) = (self.before, self.after);
        if self.differences.bypass {
            for entry in only(before.bypass().entries(), after.bypass().entries()) {
                found.rule(after, &entry.as_rule())?;
            }
            for entry in only(after.bypass().entries(), before.bypass().entries()) {
                found.rule(after, &entry.as_rule())?;
            }
        }
        let direction = found.direction;
        let has_other_blocks = self.differences.vpcs.contains(&found.new.bearing.vpc);
        for policy in PlatformPolicy::ALL.into_iter().filter(|policy| policy.direction() == direction) {
            let is_on = |world: &World| world.platform().active(direction).any(|active| active == policy);
            if is_on(before) != is_on(after) || has_other_blocks && (is_on(before) || is_on(after)) {
                for world in [before, after] {
                    let set = Reader::new(world, &found.new.bearing.vpc, []).platform(policy)?;
                    found.add(set)?;
                }
            }
        }
        Ok(())
    }

    fn of_group(&self, id: &GroupId, touched: &Touched<'_>, found: &mut Found<'_>) -> Result<(), TooComplex> {
        for (world, spec) in &touched.rules {
            found.rule(world, spec)?;
        }
        let direction = found.direction;
        for (world, spec, peer) in touched.by_members.iter().filter(|(_, spec, _)| spec.direction == direction) {
            let addresses = self.joined_or_left(peer, &found.new.bearing.vpc);
            found.rule_for(world, spec, &addresses)?;
        }
        if touched.is_opened {
            found.members(self.before, id)?;
            found.members(self.after, id)?;
        } else if touched.has_other_members {
            let addresses = self.joined_or_left(id, &found.new.bearing.vpc);
            found.add(to_peers(found.direction, &addresses)?)?;
        }
        Ok(())
    }

    /// Addresses that are a member's in one world only, as seen in a VPC.
    fn joined_or_left(&self, group: &GroupId, vpc: &VpcId) -> BTreeSet<IpAddr> {
        let key = (group.clone(), vpc.clone());
        if let Some(known) = self.joined_or_left.borrow().get(&key) {
            return known.clone();
        }
        let mut asked = self.moved.clone();
        if self.differences.joined.contains(vpc) {
            let members = [self.before, self.after].into_iter().flat_map(|world| world.members(group));
            asked.extend(members.flat_map(|eni| eni.addresses.iter().copied()));
        }
        let is_member = |world: &World, address: &IpAddr| {
            world.eni_seen_from(vpc, *address).is_some_and(|eni| eni.groups.contains(group))
        };
        asked.retain(|address| is_member(self.before, address) != is_member(self.after, address));
        self.joined_or_left.borrow_mut().insert(key, asked.clone());
        asked
    }
}

/// Packets that were found, of one pair of policies and direction.
struct Found<'a> {
    old: &'a Judged<'a>,
    new: &'a Judged<'a>,
    direction: Direction,
    set: Set,
}

impl Found<'_> {
    fn add(&mut self, packets: Set) -> Result<(), TooComplex> {
        self.set = self.set.union(&packets)?;
        Ok(())
    }

    fn rule(&mut self, world: &World, spec: &RuleSpec) -> Result<(), TooComplex> {
        if spec.direction != self.direction {
            return Ok(());
        }
        let packets = Reader::new(world, &self.new.bearing.vpc, []).rule(spec)?;
        self.add(packets)
    }

    /// What a rule says about some peers, whoever its own are.
    fn rule_for(&mut self, world: &World, spec: &RuleSpec, peers: &BTreeSet<IpAddr>) -> Result<(), TooComplex> {
        let reader = Reader::new(world, &self.new.bearing.vpc, []);
        let peers = to_peers(self.direction, peers)?;
        for everyone in [Cidr::WORLD_V4, Cidr::WORLD_V6] {
            let wide = RuleSpec { peer: Peer::Cidr(everyone), ..spec.clone() };
            self.add(reader.rule(&wide)?.intersection(&peers)?)?;
        }
        Ok(())
    }

    fn members(&mut self, world: &World, group: &GroupId) -> Result<(), TooComplex> {
        let packets = Reader::new(world, &self.new.bearing.vpc, []).members(self.direction, group)?;
        self.add(packets)
    }

    /// Entries of network ACLs. False when all packets are to be asked about.
    fn acls(&mut self) -> Result<bool, TooComplex> {
        let subnet = match (&self.old.bearing.guarded, &self.new.bearing.guarded) {
            (None, None) => return Ok(true),
            (Some(one), Some(other)) if one != other => return Ok(false),
            (Some(subnet), Some(_)) => subnet.clone(),
            // The other one may be that of another subnet.
            (Some(subnet), None) if !self.new.world.is_guarded(subnet) => subnet.clone(),
            (None, Some(subnet)) if !self.old.world.is_guarded(subnet) => subnet.clone(),
            (Some(_), None) | (None, Some(_)) => return Ok(false),
        };
        let (old, new) = (self.entries(self.old, &subnet), self.entries(self.new, &subnet));
        let (Some((old_place, old)), Some((new_place, new))) = (old, new) else { return Ok(false) };
        if old_place != new_place {
            return Ok(false);
        }
        let (gone, added) = (only(&old, &new), only(&new, &old));
        for (_, spec) in gone.into_iter().chain(added) {
            self.rule(self.new.world, spec)?;
        }
        Ok(true)
    }

    /// The blocks of a subnet, and the entries of its network ACL with their numbers.
    fn entries(&self, judged: &Judged<'_>, subnet: &SubnetId) -> Option<(Blocks, Vec<(u16, RuleSpec)>)> {
        let (subnet, acl) = judged.world.acl_of(subnet)?;
        let entries = acl.entries_of(self.direction).map(|entry| (entry.number, entry.spec.clone()));
        Some(((subnet.cidr.to_string(), subnet.ipv6.map(|block| block.to_string())), entries.collect()))
    }
}

type Blocks = (String, Option<String>);

/// What is in one list and not in the other.
fn only<'b, T: PartialEq>(own: &'b [T], other: &'b [T]) -> Vec<&'b T> {
    own.iter().filter(|one| !other.contains(one)).collect()
}

/// The rules that name something, with their groups.
fn referring<'a>(world: &'a World, referent: &Referent) -> Vec<(&'a GroupId, &'a RuleSpec)> {
    let rule = |(group, rule): &(GroupId, _)| {
        let group = world.group(group)?;
        Some((&group.id, &group.rules.get(rule)?.spec))
    };
    world.referrers(referent).filter_map(rule).collect()
}

fn flavor(judged: &Judged<'_>) -> Option<Flavor> {
    judged.bearing.groups.first().and_then(|id| judged.world.group(id)).map(|group| group.flavor)
}

/// Entries of the bypass set that are in one of two only, in words.
pub(super) fn bypass_words(before: &World, after: &World) -> Vec<String> {
    let (old, new) = (before.bypass().entries(), after.bypass().entries());
    let line = |effect: &'static str| move |entry: &BypassEntry| format!("{effect}: {}", crate::text::bypass(entry));
    let gone = only(old, new).into_iter().map(line("lost"));
    only(new, old).into_iter().map(line("gained")).chain(gone).collect()
}
