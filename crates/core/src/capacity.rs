//! What policies cost the data plane, so that one which does not fit is refused before it is promised.
//!
//! The bound is computed from the rules alone. `compile` lays policies out independently; a property test
//! holds that no layout is ever larger than the bound here. All numbers are 64-bit words (see
//! `ARCHITECTURE.md`, the policy store).
//!
//! A host has policies, and counters of rules, only for the groups that its own ENIs carry, so these are counted host by host. VPCs,
//! groups and addresses are numbered on every host, wherever they are used, and are counted once for all.

mod touched;
mod words;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use imbl::OrdMap;

pub use self::words::policy_words;
use self::{
    touched::Touched,
    words::{acl_words, most_rules},
};
use crate::{
    change::Change,
    ids::{GroupId, HostId, SubnetId, VpcId},
    limits::{
        HOST_ADDRESSES_MAX, HOST_ENIS_MAX, HOST_GROUPS_MAX, HOST_POLICY_WORDS_PROMISED, HOST_RULES_MAX,
        HOST_VPCS_MAX, POLICY_RULES_MAX, POLICY_WORDS_MAX, RULES_MAX,
    },
    refusal::{Counted, Refusal},
    world::{Eni, GroupSet, World, group_set},
};

/// What the data planes of all hosts are asked to hold, kept up to date change by change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Of every set of groups that an ENI carries, on a host or on none.
    policies: OrdMap<GroupSet, PolicyCost>,
    /// How many ENIs are where.
    seats: OrdMap<Seat, u64>,
    /// What a set costs on a host where ENIs carry it.
    places: OrdMap<(GroupSet, HostId), PlaceCost>,
    /// How many sets of a host hold a group.
    uses: OrdMap<(GroupId, HostId), u64>,
    /// What is on no host costs none.
    hosts: OrdMap<HostId, HostUse>,
    vpcs: u64,
    groups: u64,
    addresses: u64,
    rules: u64,
}

/// What one host holds of what is bounded host by host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostUse {
    /// ENIs.
    pub enis: u64,
    /// Words promised to policies.
    pub words: u64,
    /// Rules of the groups that its ENIs carry, those of candidates included: each has a counter.
    pub rules: u64,
}

/// Words of the policy of a set of groups, and of what is asked beside it; zero without candidates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct PolicyCost {
    policy: u64,
    candidate: u64,
}

/// Words of all policies of a set of groups on a host, and of the largest, with the network ACL that it meets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct PlaceCost {
    all: u64,
    largest: u64,
}

/// What the policy of an ENI depends on besides rules. In each VPC a set of groups has a policy, and behind each network ACL that
/// denies anything one more.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Seat {
    set: GroupSet,
    host: HostId,
    vpc: VpcId,
    subnet: SubnetId,
}

impl Seat {
    /// `None` for an ENI that is on no host.
    fn of(world: &World, eni: &Eni) -> Option<Self> {
        let host = world.home_of(eni)?.clone();
        Some(Self { set: group_set(&eni.groups), host, vpc: eni.vpc.clone(), subnet: eni.subnet.clone() })
    }

    fn place(&self) -> (GroupSet, HostId) {
        (Arc::clone(&self.set), self.host.clone())
    }
}

impl Ledger {
    /// Counts a whole world.
    #[must_use]
    pub fn count(world: &World) -> Self {
        let mut ledger = Self::default();
        ledger.count_entities(world);
        ledger.rules = world.groups().map(|group| counted_rules(world, &group.id)).sum();
        for set in world.group_sets() {
            ledger.measure(world, set);
            let mut seats: BTreeMap<Seat, u64> = BTreeMap::new();
            for eni in world.enis_with(set).filter_map(|id| world.eni(id)) {
                if let Some(seat) = Seat::of(world, eni) {
                    *seats.entry(seat).or_default() += 1;
                }
            }
            let hosts: BTreeSet<HostId> = seats.keys().map(|seat| seat.host.clone()).collect();
            seats.into_iter().for_each(|(seat, enis)| ledger.sit(world, seat, enis));
            hosts.iter().for_each(|host| ledger.set_place(world, set, host));
        }
        ledger
    }

    /// The most that any one host holds, of each.
    #[must_use]
    pub fn fullest(&self) -> HostUse {
        self.hosts.values().fold(HostUse::default(), |most, of| HostUse {
            enis: most.enis.max(of.enis),
            words: most.words.max(of.words),
            rules: most.rules.max(of.rules),
        })
    }

    /// What a host holds.
    #[must_use]
    pub fn of(&self, host: &HostId) -> HostUse {
        self.hosts.get(host).copied().unwrap_or_default()
    }

    /// The ledger after some changes that led from one world to another. The work is proportional to what they touch.
    ///
    /// # Errors
    /// Refuses when a policy, or all that a host has, would not fit the data plane.
    pub fn after(&self, before: &World, world: &World, changes: &[Change]) -> Result<Self, Refusal> {
        let Touched { mut sets, mut places, groups, enis } = Touched::by(before, world, changes);
        let mut after = self.clone();
        after.count_entities(world);
        for group in &groups {
            after.recount_rules(before, world, group);
        }
        for id in &enis {
            let [was, is] = [before, world].map(|world| world.eni(id).and_then(|eni| Seat::of(world, eni)));
            if was != is {
                places.extend(was.iter().chain(&is).map(Seat::place));
                was.iter().for_each(|seat| after.leave(world, seat));
                is.into_iter().for_each(|seat| after.sit(world, seat, 1));
            }
            let carried = [before, world].map(|world| world.eni(id).map(|eni| group_set(&eni.groups)));
            sets.extend(carried.into_iter().flatten().filter(|set| after.is_news(world, set)));
        }
        for set in &sets {
            after.measure(world, set);
            places.extend(self.hosts_of(set).map(|host| (Arc::clone(set), host.clone())));
        }
        for (set, host) in &places {
            after.set_place(world, set, host);
        }
        after.check_policies(self, world, &sets, &places)?;
        after.check_totals(self)?;
        let hosts = places.iter().map(|(_, host)| host).chain(groups.iter().flat_map(|group| after.users_of(group)));
        hosts.collect::<BTreeSet<_>>().into_iter().try_for_each(|host| after.check_host(self, host))?;
        Ok(after)
    }

    /// A change that makes a policy smaller is never refused, even one that is too large already.
    fn check_policies(
        &self,
        before: &Self,
        world: &World,
        sets: &BTreeSet<GroupSet>,
        places: &BTreeSet<(GroupSet, HostId)>,
    ) -> Result<(), Refusal> {
        let words = |old: u64, new: u64| match new > old {
            true => within(Counted::PolicyWords, POLICY_WORDS_MAX, new),
            false => Ok(()),
        };
        for set in sets {
            let [old, new] = [before, self].map(|ledger| ledger.policies.get(set).copied().unwrap_or_default());
            words(old.policy, new.policy)?;
            words(old.candidate, new.candidate)?;
            let rules = candidate(world, set).map_or(0, |world| most_rules(&world, set)).max(most_rules(world, set));
            within(Counted::PolicyRules, POLICY_RULES_MAX, rules)?;
        }
        for place in places {
            let [old, new] = [before, self].map(|ledger| ledger.places.get(place).copied().unwrap_or_default());
            words(old.largest, new.largest)?;
        }
        Ok(())
    }

    fn check_totals(&self, before: &Self) -> Result<(), Refusal> {
        let totals = [
            (Counted::HostVpcs, HOST_VPCS_MAX, before.vpcs, self.vpcs),
            (Counted::HostGroups, HOST_GROUPS_MAX, before.groups, self.groups),
            (Counted::HostAddresses, HOST_ADDRESSES_MAX, before.addresses, self.addresses),
            (Counted::Rules, RULES_MAX, before.rules, self.rules),
        ];
        let grown = totals.into_iter().filter(|(_, _, old, new)| new > old);
        grown.into_iter().try_for_each(|(counted, limit, _, new)| within(counted, limit, new))
    }

    fn check_host(&self, before: &Self, host: &HostId) -> Result<(), Refusal> {
        let (old, new) = (before.of(host), self.of(host));
        let bounds = [
            (Counted::HostEnis, HOST_ENIS_MAX, old.enis, new.enis),
            (Counted::HostPolicyWords, HOST_POLICY_WORDS_PROMISED, old.words, new.words),
            (Counted::HostRules, HOST_RULES_MAX, old.rules, new.rules),
        ];
        for (counted, limit, old, wanted) in bounds {
            let limit = u64::from(limit);
            if wanted > old && wanted > limit {
                return Err(Refusal::HostLimit { host: host.clone(), counted, limit, wanted });
            }
        }
        Ok(())
    }

    /// Whether a set is carried since just now, or not any more.
    fn is_news(&self, world: &World, set: &GroupSet) -> bool {
        world.enis_with(set).next().is_some() != self.policies.contains_key(set)
    }

    /// Notes what the policy of a set takes.
    fn measure(&mut self, world: &World, set: &GroupSet) {
        if world.enis_with(set).next().is_none() {
            self.policies.remove(set);
            return;
        }
        let candidate = candidate(world, set).map_or(0, |world| policy_words(&world, set));
        self.policies.insert(Arc::clone(set), PolicyCost { policy: policy_words(world, set), candidate });
    }

    /// Notes what the policies of a set take on a host.
    fn set_place(&mut self, world: &World, set: &GroupSet, host: &HostId) {
        let place = (Arc::clone(set), host.clone());
        let new = self.place_cost(world, set, host);
        let old = self.places.remove(&place).unwrap_or_default();
        if new != PlaceCost::default() {
            self.places.insert(place, new);
        }
        self.change_host(host, |of| of.words = of.words - old.all + new.all);
    }

    fn place_cost(&self, world: &World, set: &GroupSet, host: &HostId) -> PlaceCost {
        let Some(cost) = self.policies.get(set) else { return PlaceCost::default() };
        let (mut vpcs, mut unguarded) = (BTreeSet::new(), BTreeSet::new());
        let mut place = PlaceCost::default();
        for seat in self.seats_at(set, host) {
            vpcs.insert(&seat.vpc);
            if world.is_guarded(&seat.subnet) {
                let words = cost.policy.saturating_add(acl_words(world, &seat.subnet));
                place.all = place.all.saturating_add(words);
                place.largest = place.largest.max(words);
            } else if unguarded.insert(&seat.vpc) {
                place.all = place.all.saturating_add(cost.policy);
                place.largest = place.largest.max(cost.policy);
            }
        }
        // What is asked beside a policy has met the network ACL already.
        place.all = place.all.saturating_add(cost.candidate.saturating_mul(vpcs.len() as u64));
        place
    }

    fn seats_at<'a>(&'a self, set: &'a GroupSet, host: &'a HostId) -> impl Iterator<Item = &'a Seat> {
        let first =
            Seat { set: Arc::clone(set), host: host.clone(), vpc: VpcId::from(""), subnet: SubnetId::from("") };
        self.seats.range(first..).map(|(seat, _)| seat).take_while(move |seat| seat.set == *set && seat.host == *host)
    }

    /// The hosts where a set has policies.
    fn hosts_of<'a>(&'a self, set: &'a GroupSet) -> impl Iterator<Item = &'a HostId> {
        let first = (Arc::clone(set), HostId::from(""));
        self.places
            .range(first..)
            .map(|((of, host), _)| (of, host))
            .take_while(move |(of, _)| *of == set)
            .map(|it| it.1)
    }

    /// The hosts whose ENIs carry a group.
    fn users_of<'a>(&'a self, group: &'a GroupId) -> impl Iterator<Item = &'a HostId> {
        let first = (group.clone(), HostId::from(""));
        self.uses
            .range(first..)
            .map(|((of, host), _)| (of, host))
            .take_while(move |(of, _)| *of == group)
            .map(|it| it.1)
    }

    /// Notes that ENIs are somewhere.
    fn sit(&mut self, world: &World, seat: Seat, enis: u64) {
        if self.seats_at(&seat.set, &seat.host).next().is_none() {
            self.use_groups(world, &seat);
        }
        self.change_host(&seat.host, |of| of.enis += enis);
        *self.seats.entry(seat).or_default() += enis;
    }

    /// Notes that an ENI is there no more.
    fn leave(&mut self, world: &World, seat: &Seat) {
        self.change_host(&seat.host, |of| of.enis -= 1);
        if take_one(&mut self.seats, seat) && self.seats_at(&seat.set, &seat.host).next().is_none() {
            self.disuse_groups(world, seat);
        }
    }

    fn use_groups(&mut self, world: &World, seat: &Seat) {
        for group in seat.set.iter() {
            let sets = self.uses.entry((group.clone(), seat.host.clone())).or_default();
            *sets += 1;
            if *sets == 1 {
                self.change_host(&seat.host, |of| of.rules += counted_rules(world, group));
            }
        }
    }

    fn disuse_groups(&mut self, world: &World, seat: &Seat) {
        for group in seat.set.iter() {
            if take_one(&mut self.uses, &(group.clone(), seat.host.clone())) {
                self.change_host(&seat.host, |of| of.rules -= counted_rules(world, group));
            }
        }
    }

    /// The rules of a group are others. ENIs are still where they were.
    fn recount_rules(&mut self, before: &World, world: &World, group: &GroupId) {
        let [old, new] = [before, world].map(|world| counted_rules(world, group));
        self.rules = self.rules - old + new;
        let hosts: Vec<HostId> = self.users_of(group).cloned().collect();
        for host in &hosts {
            self.change_host(host, |of| of.rules = of.rules - old + new);
        }
    }

    fn change_host(&mut self, host: &HostId, change: impl FnOnce(&mut HostUse)) {
        let mut of = self.of(host);
        change(&mut of);
        if of == HostUse::default() {
            self.hosts.remove(host);
        } else {
            self.hosts.insert(host.clone(), of);
        }
    }

    fn count_entities(&mut self, world: &World) {
        self.vpcs = world.vpcs.len() as u64;
        self.groups = world.groups.len() as u64;
        self.addresses = world.address_count() as u64;
    }
}

/// Counts one less; true if it was the last.
fn take_one<K: Ord + Clone>(counts: &mut OrdMap<K, u64>, key: &K) -> bool {
    let Some(count) = counts.get_mut(key) else { return false };
    *count -= 1;
    let is_last = *count == 0;
    if is_last {
        counts.remove(key);
    }
    is_last
}

/// The rules of a group, and of its candidate: each has a counter.
fn counted_rules(world: &World, group: &GroupId) -> u64 {
    let live = world.group(group).map_or(0, |group| group.rules.len());
    (live + world.shadows().get(group).map_or(0, |shadow| shadow.rules.len())) as u64
}

/// The world in which the candidates of a set of groups are their rules, if it has any.
fn candidate(world: &World, set: &GroupSet) -> Option<World> {
    world.has_candidate(set).then(|| world.with_candidates(set))
}

fn within(counted: Counted, limit: u32, wanted: u64) -> Result<(), Refusal> {
    let limit = u64::from(limit);
    if wanted > limit { Err(Refusal::Limit { counted, limit, wanted }) } else { Ok(()) }
}
