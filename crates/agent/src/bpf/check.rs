//! Compares the kernel's maps with the tables. Looks, and changes nothing.
//!
//! What is compared is what decides: interfaces, who has an address, the words of policies, which interface is whose, and
//! the names that a restarted agent reads. Flows, fragments and counters are the programs' own, and `port_hints` is only a
//! hint, which the programs do not trust.

use std::{collections::BTreeSet, io, ops::Range, sync::Arc};

use sekimori_compile::{
    abi::{self, AddressKey, EMPTY_MEMBER, Eni, PortKey, address_of},
    tables::{Delta, EniEntry, Name, PolicyId, Tables},
};
use sekimori_core::feed::{Difference, Part};

use super::{
    DataPlane,
    members::{NO_MEMBER, member},
    sys,
};

/// Something in the maps that can be compared, and written again, by itself.
#[derive(Clone, Debug)]
pub enum Object {
    /// An ENI's entry, and its interface's.
    Eni(u32),
    /// A private address.
    Member(AddressKey),
    /// The words of a policy.
    Policy(PolicyId, Arc<Vec<u64>>),
    /// An interface that is no ENI's.
    Port(PortKey),
    /// A name.
    Name(Name),
    /// The cells that hold no object: the mark of a change on its way, and the member of no group.
    Fixed,
}

/// The place in an array that is no object's. That of the ENIs says in `next` whether objects have begun to move.
pub(super) const NOBODY: usize = 0;

impl Object {
    /// The difference of a name that is not as it should be.
    #[must_use]
    pub fn wrong_name(name: &Name) -> Difference {
        difference(Part::Name, told(name), "is not what is written down")
    }

    /// The difference of a policy of which some words are wrong, if any are.
    #[must_use]
    pub fn wrong_policy(id: PolicyId, wrong: usize, len: usize) -> Option<Difference> {
        let what = || format!("has {wrong} wrong words of {len}");
        (wrong > 0).then(|| difference(Part::Policy, format!("number {}", id.0), what()))
    }

    /// What a step of the tables has written.
    #[must_use]
    pub fn of(delta: &Delta) -> Vec<Self> {
        let policies = delta.policies.iter().map(|(id, words)| Self::Policy(*id, Arc::clone(words)));
        let enis = delta.enis.iter().map(|(slot, _)| Self::Eni(*slot));
        let members = delta.members.iter().map(|(key, _)| Self::Member(*key));
        let names = delta.names.iter().cloned().map(Self::Name);
        policies.chain(enis).chain(members).chain(names).collect()
    }
}

impl DataPlane {
    /// Names that are not as they should be, and names of numbers that stand for nothing.
    #[must_use]
    pub fn wrong_names(&self, tables: &Tables) -> Vec<Name> {
        let names = tables.names();
        let mut wrong: Vec<Name> = names.iter().filter(|name| !self.has_name(name)).cloned().collect();
        let [mut enis, mut vpcs, mut groups, mut rules] = [const { BTreeSet::new() }; 4];
        for name in &names {
            match name {
                Name::Eni(slot, _) => enis.insert(*slot),
                Name::Vpc(slot, _) => vpcs.insert(*slot),
                Name::Group(slot, _) => groups.insert(*slot),
                Name::Rule(slot, _) => rules.insert(*slot),
            };
        }
        let free = |len: usize, used: BTreeSet<u32>| (1..len as u32).filter(move |slot| !used.contains(slot));
        wrong.extend(free(self.maps.eni_names.len(), enis).map(|slot| Name::Eni(slot, None)));
        wrong.extend(free(self.maps.vpc_names.len(), vpcs).map(|slot| Name::Vpc(slot, None)));
        wrong.extend(free(self.maps.group_names.len(), groups).map(|slot| Name::Group(slot, None)));
        wrong.extend(free(self.maps.rule_names.len(), rules).map(|slot| Name::Rule(slot, None)));
        wrong.retain(|name| !self.has_name(name));
        wrong
    }

    /// How one object differs from the tables.
    ///
    /// # Errors
    /// The kernel's.
    pub fn check(&self, object: &Object, tables: &Tables) -> io::Result<Option<Difference>> {
        Ok(match object {
            Object::Eni(slot) => match tables.entries().get(slot) {
                Some(entry) => self.check_eni(*slot, entry)?,
                None => self.check_free(*slot),
            },
            Object::Member(key) => self.check_member(key, tables)?,
            Object::Policy(id, words) => {
                let wrong = self.wrong_words(*id, words, 0..words.len());
                wrong.and_then(|wrong| Object::wrong_policy(*id, wrong, words.len()))
            }
            Object::Port(port) => self.check_port(port)?,
            Object::Name(name) => {
                let is_wrong = tables.has_name(name) && !self.has_name(name);
                is_wrong.then(|| Object::wrong_name(name))
            }
            Object::Fixed => self.check_fixed(),
        })
    }

    /// An ENI's entry as it should be; `None` while its policy cannot be had, which is told elsewhere.
    pub(super) fn wanted_eni(&self, slot: u32, entry: &EniEntry) -> Option<Eni> {
        let policy = self.policy_word(entry.policy)?;
        let old = self.maps.enis.get(slot as usize);
        // Without an interface the cookie means nothing.
        let port = self.attachments.port(&entry.id);
        let (netns, ifindex) = port.map_or((old.netns, 0), |port| (port.netns, port.ifindex));
        Some(Eni { netns, ifindex, own: self.right_own(slot), ..self.eni(entry, policy) })
    }

    fn check_eni(&self, slot: u32, entry: &EniEntry) -> io::Result<Option<Difference>> {
        let Some(wanted) = self.wanted_eni(slot, entry) else { return Ok(None) };
        let found = self.maps.enis.get(slot as usize);
        if found != wanted {
            let fields = wrong_fields(&found, &wanted).join(", ");
            return Ok(Some(difference(Part::Eni, &entry.id, format!("has another {fields}"))));
        }
        if self.maps.shadows.get(slot as usize) != self.wanted_shadow(Some(entry)) {
            return Ok(Some(difference(Part::Eni, &entry.id, "has another shadow")));
        }
        if !self.has_its_room(slot) {
            return Ok(Some(difference(Part::Eni, &entry.id, "has another share of the flow tables")));
        }
        let Some(port) = self.attachments.port(&entry.id) else { return Ok(None) };
        let leads_to: Option<u32> = sys::lookup(self.maps.fd("ports")?, &port)?;
        Ok((leads_to != Some(slot)).then(|| difference(Part::Port, &entry.id, leads(leads_to))))
    }

    fn check_free(&self, slot: u32) -> Option<Difference> {
        let found = self.maps.enis.get(slot as usize);
        let shadow = self.maps.shadows.get(slot as usize);
        let is_closed = found.flags == 0 && found.policy == 0 && found.next == 0;
        let room = self.maps.budgets.get(slot as usize).room;
        let is_free = is_closed && shadow == abi::Shadow::default() && room == 0;
        (!is_free).then(|| difference(Part::Eni, format!("number {slot}"), "is in use and stands for nothing"))
    }

    fn check_member(&self, key: &AddressKey, tables: &Tables) -> io::Result<Option<Difference>> {
        let leads_to: Option<u32> = sys::lookup(self.maps.fd("addresses")?, key)?;
        let subject = || format!("{} of VPC number {}", address_of(key.address), key.vpc);
        let Some(entry) = tables.members().get(key) else {
            return Ok(leads_to.map(|_| difference(Part::Address, subject(), "is known and is nobody's")));
        };
        let held = self.members.held.get(key).map(|held| held.at);
        if leads_to.is_none() || leads_to != held {
            return Ok(Some(difference(Part::Address, subject(), leads(leads_to))));
        }
        let found = leads_to.map(|at| self.maps.members.get((at as usize).min(self.maps.members.len() - 1)));
        let is_right = found == Some(member(key, entry, 0));
        Ok((!is_right).then(|| difference(Part::Address, subject(), "has other groups or another owner")))
    }

    /// How many words of a part of a policy are wrong; `None` when it is in use no more.
    #[must_use]
    pub fn wrong_words(&self, id: PolicyId, words: &[u64], part: Range<usize>) -> Option<usize> {
        let placed = self.placed.get(&id)?;
        let wanted = words.get(part.clone())?;
        let found = self.maps.words.get_run(placed.at as usize + part.start, wanted.len());
        Some(found.iter().zip(wanted).filter(|(found, word)| found != word).count())
    }

    fn check_port(&self, port: &PortKey) -> io::Result<Option<Difference>> {
        let is_known = self.attachments.ports().values().any(|known| known == port);
        let leads_to: Option<u32> = sys::lookup(self.maps.fd("ports")?, port)?;
        let subject = || format!("{} of namespace {}", port.ifindex, port.netns);
        let stray = leads_to.filter(|_| !is_known);
        Ok(stray.map(|slot| difference(Part::Port, subject(), format!("is number {slot}'s and should be nobody's"))))
    }

    fn check_fixed(&self) -> Option<Difference> {
        let last = self.placed.keys().map(|id| id.0).max().unwrap_or(0);
        let is_right = self.maps.enis.get(NOBODY) == Eni::default()
            && self.maps.members.get(EMPTY_MEMBER as usize) == NO_MEMBER
            && self.maps.epochs.get(NOBODY) >= last
            && self.has_its_room(NOBODY as u32);
        (!is_right).then(|| difference(Part::Eni, "of nobody", "is not empty"))
    }

    fn has_name(&self, name: &Name) -> bool {
        let is = |found: abi::IdBytes, id: Option<&str>| abi::id_of(&found) == id;
        match name {
            Name::Eni(slot, id) => is(self.maps.eni_names.get(*slot as usize), id.as_ref().map(|id| id.as_str())),
            Name::Vpc(slot, id) => is(self.maps.vpc_names.get(*slot as usize), id.as_ref().map(|id| id.as_str())),
            Name::Group(slot, id) => is(self.maps.group_names.get(*slot as usize), id.as_ref().map(|id| id.as_str())),
            Name::Rule(slot, key) => {
                let found = self.maps.rule_names.get(*slot as usize);
                let rule = key.as_ref().and_then(|(_, rule)| rule.as_ref());
                is(found.group, key.as_ref().map(|(group, _)| group.as_str()))
                    && is(found.rule, rule.map(|rule| rule.as_str()))
            }
        }
    }
}

/// A difference that is not repaired yet.
pub(super) fn difference(part: Part, subject: impl ToString, found: impl Into<String>) -> Difference {
    Difference { part, subject: subject.to_string(), found: found.into(), failure: None }
}

fn leads(to: Option<u32>) -> String {
    to.map_or_else(|| "is not in the table".to_owned(), |at| format!("leads to place {at}, which is another's"))
}

fn told(name: &Name) -> String {
    match name {
        Name::Eni(slot, id) => format!("{slot} of ENI {}", id.as_ref().map_or("none", |id| id.as_str())),
        Name::Vpc(slot, id) => format!("{slot} of VPC {}", id.as_ref().map_or("none", |id| id.as_str())),
        Name::Group(slot, id) => format!("{slot} of group {}", id.as_ref().map_or("none", |id| id.as_str())),
        Name::Rule(slot, key) => {
            let group = key.as_ref().map_or("none", |(group, _)| group.as_str());
            let rule =
                key.as_ref().and_then(|(_, rule)| rule.as_ref()).map_or("intra-group accept", |id| id.as_str());
            format!("{slot} of rule {rule} of group {group}")
        }
    }
}

fn wrong_fields(found: &Eni, wanted: &Eni) -> Vec<&'static str> {
    let timeouts = |eni: &Eni| {
        let long = [eni.tcp_established_s, eni.other_s];
        (long, [eni.tcp_closed_s, eni.tcp_opening_s, eni.udp_s, eni.udp_stream_s, eni.icmp_s])
    };
    let named = [
        ("policy", found.policy != wanted.policy),
        ("policy to come", found.next != wanted.next),
        ("interface", (found.netns, found.ifindex) != (wanted.netns, wanted.ifindex)),
        ("place of its address", found.own != wanted.own),
        ("VPC", found.vpc != wanted.vpc),
        ("set of flags", found.flags != wanted.flags),
        ("Ethernet address", found.mac != wanted.mac),
        ("timeout", timeouts(found) != timeouts(wanted)),
    ];
    let wrong: Vec<&str> = named.iter().filter(|(_, is_wrong)| *is_wrong).map(|(name, _)| *name).collect();
    if wrong.is_empty() { vec!["field"] } else { wrong }
}
