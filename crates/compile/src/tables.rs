//! The tables of one host: they follow a world commit by commit, and each step says what to write.

mod counted;
mod flags;
mod found;
mod renew;
mod seats;
mod touched;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use sekimori_core::{
    change::Change,
    feed::ClosedEni,
    ids::{EniId, GroupId, HostId, RuleId, VpcId},
    packet::{Packet, Why},
    platform::PlatformPolicy,
    world::{self, GroupSet, Timeouts, World},
};

pub use self::counted::Counted;
use self::{found::Found, seats::Seats, touched::Touched};
use crate::{
    abi,
    build::BuildError,
    interpret::{self, Ends, Finding, address_key},
    policy::{Numbers, Place, words},
    slots::{NoSlot, Slots, Stage},
};

/// The name of a rule's counter: a rule, or the hidden intra-group accept of a group.
pub type RuleKey = (GroupId, Option<RuleId>);

/// The number of a version of a policy. Never used twice on a host while a flow may remember it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyId(pub u32);

/// What the tables say about an ENI of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EniEntry {
    /// Its name.
    pub id: EniId,
    /// Its VPC's number.
    pub vpc: u32,
    /// Its policy.
    pub policy: PolicyId,
    /// `abi::ENI_*`, without `ENI_VALID`.
    pub flags: u16,
    /// Its Ethernet address.
    pub mac: [u8; 6],
    /// Idle timeouts.
    pub timeouts: Timeouts,
    /// The policy that is asked beside its own, if its groups have candidates.
    pub shadow: Option<Shadowed>,
}

/// What is compared with the policy of an ENI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shadowed {
    /// The policy that it would have.
    pub policy: PolicyId,
    /// Which candidates these are: see [`World::round_of`].
    pub round: u64,
}

/// What the tables say about a private address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberEntry {
    /// The number of the ENI that has it, if it is on this host.
    pub eni: Option<u32>,
    /// Numbers of its groups, ascending.
    pub groups: Vec<u32>,
}

/// A name that a number got, or lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// Of an ENI.
    Eni(u32, Option<EniId>),
    /// Of a VPC.
    Vpc(u32, Option<VpcId>),
    /// Of a group.
    Group(u32, Option<GroupId>),
    /// Of a rule's counter.
    Rule(u32, Option<RuleKey>),
}

/// What to write so that the kernel follows. The writer orders it so that nothing opens on the way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// Names to write before anything that uses their numbers.
    pub names: Vec<Name>,
    /// New versions of policies.
    pub policies: Vec<(PolicyId, Arc<Vec<u64>>)>,
    /// ENIs of this host by number; `None` is gone.
    pub enis: Vec<(u32, Option<EniEntry>)>,
    /// Private addresses; `None` is gone.
    pub members: Vec<(abi::AddressKey, Option<MemberEntry>)>,
    /// Policies that no ENI has any more.
    pub retired: Vec<PolicyId>,
    /// ENIs that keep an older policy, or none, because the new one cannot be had.
    pub failures: Vec<ClosedEni>,
}

/// What an earlier process left in the kernel.
#[derive(Clone, Debug, Default)]
pub struct Adopted {
    /// ENIs by number.
    pub enis: Vec<(EniId, u32)>,
    /// VPCs by number.
    pub vpcs: Vec<(VpcId, u32)>,
    /// Groups by number.
    pub groups: Vec<(GroupId, u32)>,
    /// Rules by counter.
    pub rules: Vec<(RuleKey, u32)>,
    /// Policies by content.
    pub policies: HashMap<Vec<u64>, PolicyId>,
    /// The highest policy number that anything may remember.
    pub last_policy: u32,
}

#[derive(Clone, Debug)]
struct Policy {
    id: PolicyId,
    words: Arc<Vec<u64>>,
}

/// The tables of one host.
#[derive(Clone, Debug)]
pub struct Tables {
    host: HostId,
    world: World,
    numbers: Numbers,
    enis: Slots<EniId>,
    vpcs: Slots<VpcId>,
    policies: BTreeMap<Place, Policy>,
    seats: Seats,
    adopted: HashMap<Vec<u64>, PolicyId>,
    last_policy: u32,
    entries: BTreeMap<u32, EniEntry>,
    members: BTreeMap<abi::AddressKey, MemberEntry>,
}

impl Tables {
    /// Empty tables of a host, with the numbers that the kernel knows already.
    #[must_use]
    pub fn new(host: HostId, adopted: Adopted) -> Self {
        let numbers = Numbers {
            groups: Slots::adopt(abi::GROUP_SLOTS, adopted.groups),
            rules: Slots::adopt(abi::RULE_SLOTS, adopted.rules),
        };
        Self {
            host,
            world: World::default(),
            numbers,
            enis: Slots::adopt(abi::ENI_SLOTS, adopted.enis),
            vpcs: Slots::adopt(abi::VPC_SLOTS, adopted.vpcs),
            policies: BTreeMap::new(),
            seats: Seats::default(),
            adopted: adopted.policies,
            last_policy: adopted.last_policy,
            entries: BTreeMap::new(),
            members: BTreeMap::new(),
        }
    }

    /// Follows to a world that some changes lead to. Work is proportional to the changes and what they
    /// touch.
    pub fn update(&mut self, world: &World, changes: &[Change]) -> Delta {
        let before = std::mem::replace(&mut self.world, world.clone());
        // Where no ENI was, each that is there is touched, and most by several changes.
        let is_first = before.eni_count() == 0;
        let mut touched = if is_first { Touched::everything(world) } else { Touched::default() };
        let mut delta = Delta::default();
        for change in changes {
            self.number(change, &before, &mut delta);
            if !is_first {
                touched.add(change, &before, world);
            }
        }
        let found: Vec<Found> = touched.enis.iter().map(|id| Found::of(id, world, &self.host)).collect();
        for found in &found {
            self.seats.seat(&found.id, found.here().map(|eni| Place::of(world, eni)));
        }
        let renewed = self.update_policies(&touched, &mut delta);
        for found in &found {
            self.update_eni(found, &before, &mut delta);
        }
        for set in &renewed {
            for id in self.renew_entries(set, &touched.enis, &mut delta) {
                self.update_eni(&Found::of(&id, world, &self.host), &before, &mut delta);
            }
        }
        self.retire(&touched, &mut delta);
        delta
    }

    /// Marks the numbers that were given back until now; see [`Slots`]. Those of rules only if every interface has its newest
    /// policy: an older one goes on counting under them.
    pub fn mark(&mut self, is_newest: bool) {
        self.enis.mark();
        self.vpcs.mark();
        self.numbers.groups.mark();
        if is_newest {
            self.numbers.rules.mark();
        }
    }

    /// The counters of rules among the marked numbers.
    #[must_use]
    pub fn marked_rules(&self) -> BTreeSet<u32> {
        self.numbers.rules.marked().collect()
    }

    /// The numbers that were marked may be taken again; those that something is counted under when it is written down.
    pub fn thaw(&mut self) {
        self.enis.end();
        self.vpcs.thaw();
        self.numbers.groups.thaw();
        self.numbers.rules.end();
    }

    /// Forgets what an earlier process left and this one does not need. Call after the first update; names that nothing is
    /// counted under are in the result, to be cleared.
    pub fn forget_unused(&mut self) -> Vec<Name> {
        self.adopted.clear();
        let mut names = Vec::new();
        for id in self.enis.names_where(|id| self.world.eni(id).is_none()) {
            self.enis.release(&id);
        }
        for id in self.vpcs.names_where(|id| self.world.vpc(id).is_none()) {
            names.extend(self.vpcs.release(&id).map(|slot| Name::Vpc(slot, None)));
        }
        for id in self.numbers.groups.names_where(|id| self.world.group(id).is_none()) {
            names.extend(self.numbers.groups.release(&id).map(|slot| Name::Group(slot, None)));
        }
        let world = &self.world;
        let exists = |(group, rule): &RuleKey| {
            world.group(group).is_some() && rule.as_ref().is_none_or(|rule| world.knows_rule(group, rule))
        };
        for key in self.numbers.rules.names_where(|key| !exists(key)) {
            self.numbers.rules.release(&key);
        }
        names
    }

    /// The world that the tables follow.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The number of an ENI.
    #[must_use]
    pub fn eni_slot(&self, id: &EniId) -> Option<u32> {
        self.enis.get(id)
    }

    /// ENIs of this host, by number.
    #[must_use]
    pub fn entries(&self) -> &BTreeMap<u32, EniEntry> {
        &self.entries
    }

    /// Private addresses.
    #[must_use]
    pub fn members(&self) -> &BTreeMap<abi::AddressKey, MemberEntry> {
        &self.members
    }

    /// The words of every policy in use.
    pub fn policies(&self) -> impl Iterator<Item = (PolicyId, &Arc<Vec<u64>>)> {
        self.policies.values().map(|policy| (policy.id, &policy.words))
    }

    /// What a counter counts.
    pub fn rule_names(&self) -> impl Iterator<Item = (&RuleKey, u32)> {
        self.numbers.rules.iter()
    }

    /// The counter of a rule, or of a group's intra-group accept.
    #[must_use]
    pub fn rule_slot(&self, key: &RuleKey) -> Option<u32> {
        self.numbers.rules.get(key)
    }

    /// Judges the first packet of a flow from the tables alone; `None` for an ENI that has no policy here.
    #[must_use]
    pub fn judge(&self, eni: &EniId, packet: &Packet) -> Option<Finding> {
        self.judge_by(eni, packet, |entry| Some(entry.policy))
    }

    /// The same if the candidates of the ENI's groups were their rules; `None` also without a candidate.
    #[must_use]
    pub fn judge_candidate(&self, eni: &EniId, packet: &Packet) -> Option<Finding> {
        self.judge_by(eni, packet, |entry| entry.shadow.map(|shadow| shadow.policy))
    }

    fn judge_by(
        &self,
        eni: &EniId,
        packet: &Packet,
        which: impl Fn(&EniEntry) -> Option<PolicyId>,
    ) -> Option<Finding> {
        let slot = self.enis.get(eni)?;
        let entry = self.entries.get(&slot)?;
        let id = which(entry)?;
        let policy = self.policies.values().find(|policy| policy.id == id)?;
        let own = self.members.get(&address_key(entry.vpc, packet.local));
        let peer = self.members.get(&address_key(entry.vpc, packet.peer));
        let is_named = !packet.is_forwarded || entry.flags & abi::ENI_SENDER_GROUPS == 0;
        let ends = Ends {
            policy: &policy.words,
            source_check: entry.flags & abi::ENI_SOURCE_CHECK != 0,
            is_own: own.is_some_and(|member| member.eni == Some(slot)),
            peer_groups: peer.filter(|_| is_named).map(|member| member.groups.as_slice()).unwrap_or_default(),
        };
        Some(interpret::judge(&ends, packet))
    }

    fn acl_why(&self, eni: &EniId, finding: &Finding) -> Why {
        let asked = self.world.eni(eni).and_then(|eni| self.world.acl_of(&eni.subnet));
        asked.map_or(Why::NoPolicy, |(_, acl)| Why::NetworkAcl { acl: acl.id.clone(), entry: finding.entry })
    }

    /// What a finding about a packet at an ENI means, with names.
    #[must_use]
    pub fn why(&self, eni: &EniId, packet: &Packet, finding: &Finding) -> Why {
        let named = || self.numbers.rules.iter().find(|(_, slot)| *slot == finding.slot).map(|(key, _)| key.clone());
        match finding.reason {
            abi::Reason::Bypass => Why::Bypass,
            abi::Reason::PlatformAllow => Why::Platform { policy: PlatformPolicy::CloudServices },
            // Of those that deny, one is about TCP and the other about UDP.
            abi::Reason::PlatformDeny => Why::Platform {
                policy: match packet.transport.protocol() {
                    6 => PlatformPolicy::Mail,
                    _ => PlatformPolicy::DhcpServers,
                },
            },
            abi::Reason::Spoofed => Why::Spoofed,
            abi::Reason::RuleAllow | abi::Reason::RuleDeny | abi::Reason::IntraGroup => match named() {
                Some((group, Some(rule))) => Why::Rule { group, rule },
                Some((group, None)) => Why::IntraGroup { group },
                None => Why::NoPolicy,
            },
            abi::Reason::DefaultAllow | abi::Reason::DefaultDeny => Why::Default,
            abi::Reason::AclDeny => self.acl_why(eni, finding),
            abi::Reason::KnownFlow | abi::Reason::KnownError => Why::KnownFlow,
            abi::Reason::KnownFragment | abi::Reason::Fragment => Why::Fragment,
            abi::Reason::MidStream => Why::MidStream,
            abi::Reason::TableFull => Why::TableFull,
            abi::Reason::HalfOpen => Why::HalfOpen,
            abi::Reason::Malformed | abi::Reason::NotIp => Why::Malformed,
            abi::Reason::NoPolicy | abi::Reason::FlowEnded | abi::Reason::Changing => Why::NoPolicy,
        }
    }

    /// Gives and takes back the numbers of what a change names.
    fn number(&mut self, change: &Change, before: &World, delta: &mut Delta) {
        match change {
            Change::PutVpc(vpc) => {
                note(&mut delta.names, self.vpcs.take(&vpc.id), |slot| Name::Vpc(slot, Some(vpc.id.clone())));
            }
            Change::DeleteVpc(id) => self.release_vpc(id, delta),
            Change::PutGroup(group) => {
                let id = &group.id;
                note(&mut delta.names, self.numbers.groups.take(id), |slot| Name::Group(slot, Some(id.clone())));
                self.number_in_use((id.clone(), None), delta);
            }
            Change::DeleteGroup(id) => {
                delta.names.extend(self.numbers.groups.release(id).map(|slot| Name::Group(slot, None)));
                self.numbers.rules.release(&(id.clone(), None));
                let rules = before.group(id).map(|group| group.rules.clone()).unwrap_or_default();
                for rule in rules.keys() {
                    self.numbers.rules.release(&(id.clone(), Some(rule.clone())));
                }
            }
            Change::DeleteRule { group, rule } => self.release_unknown(group, rule),
            Change::PutShadow(shadow) => self.number_shadow(&shadow.group, before, delta),
            Change::DeleteShadow(group) => self.number_shadow(group, before, delta),
            Change::PutRule { group, rule } => {
                self.number_in_use((group.clone(), Some(rule.id.clone())), delta);
            }
            Change::PutBypass(_)
            | Change::PutPlatform(_)
            | Change::PutAccount(_)
            | Change::PutKey(_)
            | Change::DeleteKey(_)
            | Change::PutTerminated(_)
            | Change::DeleteTerminated(_)
            | Change::PutSubnet(_)
            | Change::DeleteSubnet(_)
            | Change::PutInstance(_)
            | Change::DeleteInstance(_)
            | Change::PutEni(_)
            | Change::DeleteEni(_)
            | Change::PutPrefixList(_)
            | Change::DeletePrefixList(_)
            | Change::PutPortList(_)
            | Change::DeletePortList(_)
            | Change::PutToken(_)
            | Change::DeleteToken { .. }
            | Change::PutSnapshotPolicy(_)
            | Change::DeleteSnapshotPolicy(_)
            | Change::PutSnapshot(_)
            | Change::DeleteSnapshot(_)
            | Change::PutReport(_)
            | Change::DeleteReport { .. }
            | Change::PutInvariant(_)
            | Change::DeleteInvariant(_)
            | Change::PutTrial(_)
            | Change::DeleteTrial(_)
            | Change::PutFlowLog(_)
            | Change::DeleteFlowLog(_)
            | Change::PutInsightsPath(_)
            | Change::DeleteInsightsPath(_)
            | Change::PutInsightsAnalysis(_)
            | Change::DeleteInsightsAnalysis(_)
            | Change::PutPrefixListVersion(_)
            | Change::DeletePrefixListVersion { .. }
            | Change::PutPeering(_)
            | Change::DeletePeering(_)
            | Change::PutNetworkAcl(_)
            | Change::DeleteNetworkAcl(_) => {}
        }
    }

    /// Gives counters to the rules of a candidate, and takes back those of the one before it.
    fn number_shadow(&mut self, group: &GroupId, before: &World, delta: &mut Delta) {
        let rules = |world: &World| world.shadows().get(group).map(|shadow| shadow.rules.clone()).unwrap_or_default();
        for rule in rules(before) {
            self.release_unknown(group, &rule.id);
        }
        for rule in rules(&self.world) {
            self.number_in_use((group.clone(), Some(rule.id.clone())), delta);
        }
    }

    /// Takes the counter of a rule back when neither the group nor its candidate has it any more.
    fn release_unknown(&mut self, group: &GroupId, rule: &RuleId) {
        if !self.world.knows_rule(group, rule) {
            self.numbers.rules.release(&(group.clone(), Some(rule.clone())));
        }
    }

    fn release_vpc(&mut self, id: &VpcId, delta: &mut Delta) {
        let Some(slot) = self.vpcs.release(id) else { return };
        // Addresses of VPCs that it was peered with.
        let [first, last] = [0, u8::MAX].map(|byte| abi::AddressKey { vpc: slot, address: [byte; 16] });
        let seen: Vec<_> = self.members.range(first..=last).map(|(key, _)| *key).collect();
        seen.iter().for_each(|key| drop(self.members.remove(key)));
        delta.members.extend(seen.into_iter().map(|key| (key, None)));
        delta.names.push(Name::Vpc(slot, None));
    }

    /// Gives a counter to a rule of a policy that is here.
    fn number_in_use(&mut self, key: RuleKey, delta: &mut Delta) {
        if self.world.group_sets_with(&key.0).any(|set| self.places_of(set).next().is_some()) {
            number_rule(&mut self.numbers, key, delta);
        }
    }

    /// Gives counters to the rules of a policy that is new here; rules that come later get theirs as they come. Rules that
    /// no interface of this host has need none.
    fn number_rules(&mut self, set: &GroupSet, delta: &mut Delta) {
        for group in set.iter().filter_map(|id| self.world.group(id)) {
            let candidates = self.world.shadows().get(&group.id).into_iter().flat_map(|shadow| &shadow.rules);
            let rules = group.rules.keys().chain(candidates.map(|rule| &rule.id)).cloned().map(Some);
            for rule in std::iter::once(None).chain(rules) {
                number_rule(&mut self.numbers, (group.id.clone(), rule), delta);
            }
        }
    }

    /// Builds the policies that may differ; returns the sets whose policy does.
    fn update_policies(&mut self, touched: &Touched, delta: &mut Delta) -> BTreeSet<GroupSet> {
        let mut renewed = BTreeSet::new();
        for set in &touched.sets {
            for place in self.places_here(set) {
                if !self.policies.contains_key(&place) {
                    self.number_rules(set, delta);
                }
                match words(&self.world, &self.numbers, &place) {
                    Ok(words) if self.policies.get(&place).is_some_and(|old| *old.words == words) => {}
                    Ok(words) => {
                        self.renew(place, words, delta);
                        renewed.insert(Arc::clone(set));
                    }
                    // Without its policy a candidate is not compared: that closes nothing.
                    Err(_) if place.is_candidate => {
                        delta.retired.extend(self.policies.remove(&place).map(|policy| policy.id));
                        renewed.insert(Arc::clone(set));
                    }
                    Err(error) => delta.failures.extend(self.failures(&place, &error)),
                }
            }
        }
        renewed
    }

    fn renew(&mut self, place: Place, words: Vec<u64>, delta: &mut Delta) {
        let known = self.adopted.get(&words).copied();
        let words = Arc::new(words);
        let id = known.unwrap_or_else(|| {
            self.last_policy += 1;
            let id = PolicyId(self.last_policy);
            delta.policies.push((id, Arc::clone(&words)));
            id
        });
        if let Some(old) = self.policies.insert(place, Policy { id, words }) {
            delta.retired.push(old.id);
        }
    }

    fn failures(&self, place: &Place, error: &BuildError) -> Vec<ClosedEni> {
        self.seats.at(place).map(|eni| ClosedEni { eni: eni.clone(), reason: error.to_string() }).collect()
    }

    /// Where the ENIs on this host are that have exactly this set; twice, if it has candidates.
    fn places_here(&self, set: &GroupSet) -> BTreeSet<Place> {
        let mut places: BTreeSet<Place> = self.seats.of(set).map(|(place, _)| place.clone()).collect();
        if self.world.has_candidate(set) {
            places.extend(self.seats.of(set).map(|(place, _)| place.of_candidate()));
        }
        places
    }

    /// Where a set has a policy.
    fn places_of(&self, set: &GroupSet) -> impl Iterator<Item = &Place> + use<'_> {
        let set = Arc::clone(set);
        self.policies.range(seats::first_of(&set)..).map(|(place, _)| place).take_while(move |other| other.set == set)
    }

    fn update_eni(&mut self, found: &Found, before: &World, delta: &mut Delta) {
        let id = &found.id;
        let slot = found.here().and_then(|_| match self.take_eni(id) {
            Ok((slot, is_new)) => {
                self.seats.number(id, slot);
                delta.names.extend(is_new.then(|| Name::Eni(slot, Some(id.clone()))));
                Some(slot)
            }
            Err(error) => {
                delta.failures.push(ClosedEni { eni: id.clone(), reason: error.to_string() });
                None
            }
        });
        self.update_members(before, found, slot, delta);
        match (slot, found.here()) {
            (Some(slot), Some(eni)) => self.put_entry(slot, eni, delta),
            _ => self.drop_entry(id, delta),
        }
    }

    fn put_entry(&mut self, slot: u32, eni: &world::Eni, delta: &mut Delta) {
        let place = Place::of(&self.world, eni);
        let policy = self.policies.get(&place).map(|policy| policy.id);
        let (Some(policy), Some(vpc)) = (policy, self.vpcs.get(&eni.vpc)) else { return };
        let (id, mac, timeouts) = (eni.id.clone(), eni.mac.0, eni.timeouts);
        let shadow = self.shadow_of(&place);
        let flags = shadowed(flags::flags_of(&self.world, eni), shadow);
        let entry = EniEntry { id, vpc, policy, flags, mac, timeouts, shadow };
        if self.entries.get(&slot) != Some(&entry) {
            delta.enis.push((slot, Some(entry.clone())));
            self.entries.insert(slot, entry);
        }
    }

    /// The policies of a set have changed: the entries of its ENIs follow, but for those that are made anew themselves. What else of
    /// an entry depends on the world has not changed. Returns ENIs that have no entry yet.
    fn renew_entries(&mut self, set: &GroupSet, touched: &BTreeSet<EniId>, delta: &mut Delta) -> Vec<EniId> {
        let mut missing = Vec::new();
        for (place, enis) in self.seats.of(set) {
            let Some(policy) = self.policies.get(place).map(|policy| policy.id) else { continue };
            let shadow = self.shadow_of(place);
            for (id, slot) in enis.iter().filter(|(id, _)| !touched.contains(*id)) {
                match self.entries.get_mut(slot) {
                    Some(entry) if (entry.policy, entry.shadow) == (policy, shadow) => {}
                    Some(entry) => {
                        (entry.policy, entry.shadow, entry.flags) = (policy, shadow, shadowed(entry.flags, shadow));
                        delta.enis.push((*slot, Some(entry.clone())));
                    }
                    None => missing.push(id.clone()),
                }
            }
        }
        missing
    }

    fn shadow_of(&self, place: &Place) -> Option<Shadowed> {
        let round = self.world.round_of(&place.set)?;
        let policy = self.policies.get(&place.of_candidate())?;
        Some(Shadowed { policy: policy.id, round })
    }

    fn drop_entry(&mut self, id: &EniId, delta: &mut Delta) {
        let Some(slot) = self.enis.release(id) else { return };
        self.entries.remove(&slot);
        delta.enis.push((slot, None));
    }

    fn update_members(&mut self, was: &World, found: &Found, slot: Option<u32>, delta: &mut Delta) {
        let (before, after) = (was.eni(&found.id).map(Arc::as_ref), found.eni.as_deref());
        let mut new = BTreeMap::new();
        for vpc in after.map(|eni| self.world.joined_with(&eni.vpc)).unwrap_or_default() {
            for address in after.into_iter().flat_map(|eni| &eni.addresses) {
                // As a peer's: what the other VPC knows by this address is not the ENI itself.
                let own = slot.filter(|_| after.is_some_and(|eni| eni.vpc == vpc));
                new.extend(self.vpcs.get(&vpc).map(|vpc| (address_key(vpc, *address), own)));
            }
        }
        for vpc in before.map(|eni| was.joined_with(&eni.vpc)).unwrap_or_default() {
            let Some(slot) = self.vpcs.get(&vpc) else { continue };
            for address in before.into_iter().flat_map(|eni| &eni.addresses) {
                let key = address_key(slot, *address);
                let is_of_another = || self.world.eni_seen_from(&vpc, *address).is_some_and(|eni| eni.id != found.id);
                if !new.contains_key(&key) && !is_of_another() {
                    self.members.remove(&key);
                    delta.members.push((key, None));
                }
            }
        }
        let Some(groups) = self.group_numbers(after, delta) else { return };
        for (key, eni) in new {
            let entry = MemberEntry { eni, groups: groups.clone() };
            if self.members.get(&key) != Some(&entry) {
                self.members.insert(key, entry.clone());
                delta.members.push((key, Some(entry)));
            }
        }
    }

    /// The numbers of an ENI's groups, or `None`, with a failure noted, while one has none: a member that
    /// lacks a group would slip through a rule that denies the group.
    fn group_numbers(&self, eni: Option<&world::Eni>, delta: &mut Delta) -> Option<Vec<u32>> {
        let mut numbers = BTreeSet::new();
        for group in eni.into_iter().flat_map(|eni| &eni.groups) {
            match self.numbers.groups.get(group) {
                Some(number) => drop(numbers.insert(number)),
                None if self.world.group(group).is_none() => {}
                None => {
                    let reason = BuildError::Unnumbered(group.clone()).to_string();
                    delta.failures.extend(eni.map(|eni| ClosedEni { eni: eni.id.clone(), reason }));
                    return None;
                }
            }
        }
        Some(numbers.into_iter().collect())
    }

    fn retire(&mut self, touched: &Touched, delta: &mut Delta) {
        let mut groups = BTreeSet::new();
        for set in &touched.sets {
            let used = self.places_here(set);
            let unused: Vec<Place> = self.places_of(set).filter(|place| !used.contains(place)).cloned().collect();
            groups.extend(set.iter().filter(|_| !unused.is_empty()).cloned());
            for place in unused {
                delta.retired.extend(self.policies.remove(&place).map(|policy| policy.id));
            }
        }
        let in_use: BTreeSet<PolicyId> = delta.retired.iter().copied().filter(|id| self.has_policy(*id)).collect();
        delta.retired.retain(|id| !in_use.contains(id));
        self.release_rules(&groups);
    }

    /// Two sets may have adopted one policy; it is retired with the last of them.
    fn has_policy(&self, id: PolicyId) -> bool {
        self.policies.values().any(|policy| policy.id == id)
    }
}

/// The flags of an entry, with or without a policy to be compared with.
fn shadowed(flags: u16, shadow: Option<Shadowed>) -> u16 {
    if shadow.is_some() { flags | abi::ENI_SHADOW } else { flags & !abi::ENI_SHADOW }
}

/// A rule that had a number goes on counting under it as long as it is remembered.
fn number_rule(numbers: &mut Numbers, key: RuleKey, delta: &mut Delta) {
    if numbers.rules.take_back(&key, Stage::Cooling).is_some() {
        return;
    }
    note(&mut delta.names, numbers.rules.take(&key), |slot| Name::Rule(slot, Some(key.clone())));
}

fn note(names: &mut Vec<Name>, taken: Result<(u32, bool), NoSlot>, name: impl FnOnce(u32) -> Name) {
    if let Ok((slot, true)) = taken {
        names.push(name(slot));
    }
}
