//! A change undone field by field: what it changed and what is still as it left it goes back, what somebody has changed since stays.
//!
//! A fact is a whole interface, a group or the set of platform policies, so most of what happens to one has nothing to do with a trial of it. Every
//! kind of row that somebody edits is listed here with its fields, each by itself or with those that mean nothing without it.

use std::{collections::BTreeSet, sync::Arc};

use imbl::OrdMap;

use crate::{
    bypass::{BypassEntry, BypassSet},
    change::Change,
    flow_log::FlowLog,
    network_acl::{AclEntry, NetworkAcl},
    peering::Peering,
    platform::{Platform, PlatformPolicy},
    rule::Rule,
    tags::Tags,
    world::{Account, Eni, Group, Instance, PortList, PrefixList, Subnet, Vpc, VpcAttribute},
};

/// Fields that say what something is called: whoever edits one has not taken over what was made.
const LABELS: [&str; 4] = ["name", "description", "resource group", "tags"];

/// What becomes of a row, and of its fields by name.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    /// Those that go back.
    back: Vec<&'static str>,
    /// Those that were changed since.
    pub(crate) kept: Vec<&'static str>,
}

/// A row as it was before a change, as the change left it, and as it is.
struct Sides<'a, T> {
    before: &'a T,
    after: &'a T,
    now: &'a T,
}

/// What becomes of one field.
enum Field {
    /// The change has not touched it, or it is as it was already.
    Stays,
    /// It is as the change left it.
    Back,
    /// Somebody has changed it since.
    Kept,
}

impl<T> Sides<'_, T> {
    fn decide(&self, same: impl Fn(&T, &T) -> bool) -> Field {
        if same(self.before, self.after) || same(self.now, self.before) {
            Field::Stays
        } else if same(self.now, self.after) {
            Field::Back
        } else {
            Field::Kept
        }
    }
}

impl Fields {
    fn note(&mut self, name: &'static str, field: &Field) {
        match field {
            Field::Stays => {}
            Field::Back => self.back.push(name),
            Field::Kept => self.kept.push(name),
        }
    }
}

/// A field of many parts that are changed one by one: each goes back by itself.
trait Parts: Clone {
    /// What tells a part from the others.
    type Key: Ord + Clone;
    /// A part.
    type Part: PartialEq + Clone;

    /// Every part, in order.
    fn parts(&self) -> Vec<(Self::Key, Self::Part)>;
    /// The field of these parts.
    fn of(parts: Vec<(Self::Key, Self::Part)>) -> Self;
}

fn get<'a, K: PartialEq, V>(parts: &'a [(K, V)], key: &K) -> Option<&'a V> {
    parts.iter().find(|(own, _)| own == key).map(|(_, part)| part)
}

/// A field of many parts, and whether some go back and some were changed since.
fn parts<P: Parts>(sides: &Sides<'_, P>) -> (P, [Field; 2]) {
    let [before, after, now] = [sides.before, sides.after, sides.now].map(P::parts);
    let keys: BTreeSet<&P::Key> = before.iter().chain(&after).map(|(key, _)| key).collect();
    let (mut merged, mut told) = (now.clone(), [Field::Stays, Field::Stays]);
    for key in keys {
        let [was, left, is] = [&before, &after, &now].map(|side| get(side, key));
        match (Sides { before: &was, after: &left, now: &is }).decide(|one, other| one == other) {
            Field::Stays => {}
            Field::Kept => told[1] = Field::Kept,
            Field::Back => {
                told[0] = Field::Back;
                let place = merged.iter().position(|(own, _)| own == key);
                match (was, place.and_then(|place| merged.get_mut(place))) {
                    (Some(was), Some(part)) => part.1 = was.clone(),
                    (Some(was), None) => merged.push((key.clone(), was.clone())),
                    (None, _) => merged.retain(|(own, _)| own != key),
                }
            }
        }
    }
    // As it was to the letter, when nobody has changed anything: the order of the parts included.
    let merged = if now == after { before } else { merged };
    (P::of(merged), told)
}

impl Parts for Tags {
    type Key = String;
    type Part = String;

    fn parts(&self) -> Vec<(String, String)> {
        self.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    fn of(parts: Vec<(String, String)>) -> Self {
        parts.into_iter().collect()
    }
}

impl Parts for OrdMap<String, String> {
    type Key = String;
    type Part = String;

    fn parts(&self) -> Vec<(String, String)> {
        self.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    fn of(parts: Vec<(String, String)>) -> Self {
        parts.into_iter().collect()
    }
}

impl Parts for BTreeSet<VpcAttribute> {
    type Key = VpcAttribute;
    type Part = ();

    fn parts(&self) -> Vec<(VpcAttribute, ())> {
        self.iter().map(|attribute| (*attribute, ())).collect()
    }

    fn of(parts: Vec<(VpcAttribute, ())>) -> Self {
        parts.into_iter().map(|(attribute, ())| attribute).collect()
    }
}

impl Parts for Vec<AclEntry> {
    type Key = (crate::rule::Direction, u16);
    type Part = AclEntry;

    fn parts(&self) -> Vec<(Self::Key, AclEntry)> {
        self.iter().map(|entry| (entry.place(), entry.clone())).collect()
    }

    fn of(mut parts: Vec<(Self::Key, AclEntry)>) -> Self {
        parts.sort_by_key(|(place, _)| *place);
        parts.into_iter().map(|(_, entry)| entry).collect()
    }
}

/// Merges a row: `"what it is called" = field and those that go with it`, each as a whole; then those of many parts; then those that never
/// change. Every field is named, so that no new one is forgotten.
macro_rules! by_field {
    ($kind:ident, $sides:expr, $told:expr, { $($name:literal = $($field:ident)+),* $(,)? },
     parts { $($many:literal = $part:ident),* }, fixed { $($fixed:ident)* }) => {{
        let [before, after, now]: [&$kind; 3] = [&**$sides.before, &**$sides.after, &**$sides.now];
        let $kind { $($($field: _,)+)* $($part: _,)* $($fixed: _,)* } = now;
        let mut merged = now.clone();
        $(
            let sides = Sides::<$kind> { before, after, now };
            let field = sides.decide(|one, other| $(one.$field == other.$field)&&+);
            if matches!(field, Field::Back) {
                $(merged.$field.clone_from(&before.$field);)+
            }
            $told.note($name, &field);
        )*
        $(
            let (part, fields) = parts(&Sides { before: &before.$part, after: &after.$part, now: &now.$part });
            merged.$part = part;
            for field in &fields {
                $told.note($many, field);
            }
        )*
        Arc::new(merged)
    }};
}

/// A row with what a change did to it undone, field by field; nothing for a kind that is only undone as a whole.
pub(crate) fn merge(before: &Change, after: &Change, now: &Change) -> Option<(Change, Fields)> {
    let mut told = Fields::default();
    let network = network(before, after, now, &mut told);
    let merged = network.or_else(|| member(before, after, now, &mut told));
    let merged = merged.or_else(|| list(before, after, now, &mut told));
    let merged = merged.or_else(|| setting(before, after, now, &mut told))?;
    Some((merged, told))
}

/// Whether what a change made differs from what is there in nothing but what it is called.
pub(crate) fn is_relabelled(after: &Change, now: &Change) -> bool {
    merge(after, now, now).is_some_and(|(_, told)| told.back.iter().all(|name| LABELS.contains(name)))
}

impl Fields {
    /// Whether something goes back.
    pub(crate) fn is_back(&self) -> bool {
        !self.back.is_empty()
    }
}

/// The three sides of a row of one kind.
macro_rules! of_kind {
    ($kind:ident, $before:expr, $after:expr, $now:expr) => {
        if let (Change::$kind(before), Change::$kind(after), Change::$kind(now)) = ($before, $after, $now) {
            Some(Sides { before, after, now })
        } else {
            None
        }
    };
}

fn network(before: &Change, after: &Change, now: &Change, told: &mut Fields) -> Option<Change> {
    if let Some(sides) = of_kind!(PutVpc, before, after, now) {
        return Some(Change::PutVpc(vpc(&sides, told)));
    }
    if let Some(sides) = of_kind!(PutSubnet, before, after, now) {
        return Some(Change::PutSubnet(subnet(&sides, told)));
    }
    if let Some(sides) = of_kind!(PutPeering, before, after, now) {
        return Some(Change::PutPeering(peering(&sides, told)));
    }
    if let Some(sides) = of_kind!(PutNetworkAcl, before, after, now) {
        return Some(Change::PutNetworkAcl(network_acl(&sides, told)));
    }
    of_kind!(PutFlowLog, before, after, now).map(|sides| Change::PutFlowLog(flow_log(&sides, told)))
}

fn vpc(sides: &Sides<'_, Arc<Vpc>>, told: &mut Fields) -> Arc<Vpc> {
    by_field!(Vpc, sides, told, {
        "name" = name, "description" = description, "resource group" = resource_group,
        "block" = cidr, "IPv6 block" = ipv6, "further blocks" = further, "routes" = ways, "sharing" = shared_with,
    }, parts { "tags" = tags, "attributes" = attributes }, fixed { id account region created_at })
}

fn subnet(sides: &Sides<'_, Arc<Subnet>>, told: &mut Fields) -> Arc<Subnet> {
    by_field!(Subnet, sides, told, {
        "name" = name, "description" = description, "resource group" = resource_group,
        "block" = cidr, "IPv6 block" = ipv6, "network ACL" = acl,
    }, parts { "tags" = tags }, fixed { id vpc account zone created_at })
}

fn peering(sides: &Sides<'_, Arc<Peering>>, told: &mut Fields) -> Arc<Peering> {
    by_field!(Peering, sides, told, {
        "status" = status ended_by why_failed changed_at, "ends" = requester accepter,
    }, parts { "tags" = tags }, fixed { id region created_at })
}

fn network_acl(sides: &Sides<'_, Arc<NetworkAcl>>, told: &mut Fields) -> Arc<NetworkAcl> {
    by_field!(NetworkAcl, sides, told, {}, parts { "tags" = tags, "entries" = entries },
        fixed { id account vpc is_default created_at })
}

fn flow_log(sides: &Sides<'_, Arc<FlowLog>>, told: &mut Fields) -> Arc<FlowLog> {
    by_field!(FlowLog, sides, told, {
        "name" = name, "description" = description, "resource group" = resource_group,
        "settings" = config, "state" = active_since,
    }, parts { "tags" = tags }, fixed { id account region resource created_at })
}

fn member(before: &Change, after: &Change, now: &Change, told: &mut Fields) -> Option<Change> {
    if let Some(sides) = of_kind!(PutInstance, before, after, now) {
        return Some(Change::PutInstance(instance(&sides, told)));
    }
    if let Some(sides) = of_kind!(PutEni, before, after, now) {
        return Some(Change::PutEni(eni(&sides, told)));
    }
    if let Some(sides) = of_kind!(PutGroup, before, after, now) {
        return Some(Change::PutGroup(group(&sides, told)));
    }
    let (Change::PutRule { group, rule: before }, Change::PutRule { rule: after, .. }) = (before, after) else {
        return None;
    };
    let Change::PutRule { rule: now, .. } = now else { return None };
    let rule = rule(&Sides { before, after, now }, told);
    Some(Change::PutRule { group: group.clone(), rule })
}

/// When a host is to have done something goes on, whatever goes back (`core::apply::undo`).
fn instance(sides: &Sides<'_, Arc<Instance>>, told: &mut Fields) -> Arc<Instance> {
    by_field!(Instance, sides, told, {
        "name" = name, "description" = description, "resource group" = resource_group,
        "place" = vpc subnet host, "image" = image, "type" = instance_type, "disk" = disk,
        "state" = state, "launch" = launch,
    }, parts { "tags" = tags }, fixed { id account created_at state_since })
}

fn eni(sides: &Sides<'_, Arc<Eni>>, told: &mut Fields) -> Arc<Eni> {
    by_field!(Eni, sides, told, {
        "name" = name, "description" = description, "resource group" = resource_group,
        "addresses" = vpc subnet addresses, "instance" = instance device_index, "groups" = groups,
        "treatment" = treatment, "timeouts" = timeouts, "source check" = source_check,
        "deletion with its instance" = delete_on_release, "service" = managed_by,
        "binding" = binding mac,
    }, parts { "tags" = tags }, fixed { id account created_at moved_in })
}

fn group(sides: &Sides<'_, Arc<Group>>, told: &mut Fields) -> Arc<Group> {
    by_field!(Group, sides, told, {
        "name" = name, "description" = description, "resource group" = resource_group,
        "VPCs" = vpc also_in, "inner access" = inner_access, "service" = managed_by, "protection" = is_protected,
    }, parts { "tags" = tags }, fixed { id account flavor is_default created_at rules })
}

fn rule(sides: &Sides<'_, Arc<Rule>>, told: &mut Fields) -> Arc<Rule> {
    by_field!(Rule, sides, told, { "description" = description, "words" = spec }, parts { "tags" = tags },
        fixed { id created_at })
}

fn list(before: &Change, after: &Change, now: &Change, told: &mut Fields) -> Option<Change> {
    if let Some(sides) = of_kind!(PutPrefixList, before, after, now) {
        return Some(Change::PutPrefixList(prefix_list(&sides, told)));
    }
    of_kind!(PutPortList, before, after, now).map(|sides| Change::PutPortList(port_list(&sides, told)))
}

fn prefix_list(sides: &Sides<'_, Arc<PrefixList>>, told: &mut Fields) -> Arc<PrefixList> {
    by_field!(PrefixList, sides, told, {
        "name" = name, "description" = description, "resource group" = resource_group,
        "entries" = entries_max entries version last_change,
    }, parts { "tags" = tags }, fixed { id account region family created_at })
}

fn port_list(sides: &Sides<'_, Arc<PortList>>, told: &mut Fields) -> Arc<PortList> {
    by_field!(PortList, sides, told, {
        "name" = name, "description" = description, "resource group" = resource_group, "entries" = entries_max entries,
    }, parts { "tags" = tags }, fixed { id account region created_at })
}

fn setting(before: &Change, after: &Change, now: &Change, told: &mut Fields) -> Option<Change> {
    if let Some(sides) = of_kind!(PutAccount, before, after, now) {
        return Some(Change::PutAccount(account(&sides, told)));
    }
    if let Some(sides) = of_kind!(PutPlatform, before, after, now) {
        return Some(Change::PutPlatform(platform(&sides, told)));
    }
    let sides = of_kind!(PutBypass, before, after, now)?;
    // What would not fit stays as it is.
    bypass(&sides, told).map(|merged| Change::PutBypass(Arc::new(merged)))
}

fn account(sides: &Sides<'_, Arc<Account>>, told: &mut Fields) -> Arc<Account> {
    by_field!(Account, sides, told, { "name" = name, "treatment" = treatment },
        parts { "resource groups" = resource_groups }, fixed { id dialect created_at })
}

fn platform(sides: &Sides<'_, Platform>, told: &mut Fields) -> Platform {
    PlatformPolicy::ALL.into_iter().fold(*sides.now, |merged, policy| {
        let field = sides.decide(|one, other| one.has(policy) == other.has(policy));
        told.note(policy.name(), &field);
        if matches!(field, Field::Back) { merged.with(policy, sides.before.has(policy)) } else { merged }
    })
}

/// Each entry is there or not; so nothing of a set can be changed since.
fn bypass(sides: &Sides<'_, Arc<BypassSet>>, told: &mut Fields) -> Option<BypassSet> {
    let [before, after, now] = [sides.before, sides.after, sides.now].map(|set| set.entries());
    if now == after {
        told.back.push("entries");
        return Some(BypassSet::clone(sides.before));
    }
    let is_made = |entry: &&BypassEntry| after.contains(entry) && !before.contains(entry);
    let mut entries: Vec<BypassEntry> = now.iter().filter(|entry| !is_made(entry)).cloned().collect();
    let gone = before.iter().filter(|entry| !after.contains(entry) && !now.contains(entry));
    entries.extend(gone.cloned());
    if entries != now {
        told.back.push("entries");
    }
    BypassSet::new(entries).ok()
}
