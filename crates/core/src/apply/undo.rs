//! What undoes a change on trial: the facts that are still as it left them, as far as they fit together with everything else.
//!
//! A rollback leaves a world that requests could have made. So a fact that would not fit is left as it is, and told with the reason.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use super::{Draft, network::overlaps, peering::overlap, resource_group::inside};
use crate::{
    change::{Change, Row},
    command::Outcome,
    flow_log::FlowLog,
    ids::{GroupId, NetworkAclId, VpcId},
    peering::Peering,
    refusal::Refusal,
    resource::Resource,
    rule::{Peer, Rule, Service},
    time::Timestamp,
    trial::{Back, Trial, Undo, undone},
    world::{Account, Eni, Flavor, Group, Instance, Referent, Subnet, Vpc, World},
};

impl Draft<'_> {
    /// Undoes what is as the change left it, and leaves what something else needs by now.
    pub(super) fn roll_back(&mut self, trial: &Trial) -> Result<Outcome, Refusal> {
        let (mut restored, mut left, mut needed) = (Vec::new(), Vec::new(), BTreeSet::new());
        let mut wanted: Vec<Back> = Vec::new();
        for undo in &trial.facts {
            let Some(row) = undo.row() else { continue };
            let now = self.as_left(&row, undo);
            match undo.back(now.as_ref()) {
                _ if now == undo.before => restored.push(row.name()),
                Some(back) => wanted.push(back),
                None => left.push(format!("{}: it was changed since", row.name())),
            }
        }
        // Each round leaves something, until all that is undone fits together.
        loop {
            let result = Undone::of(&self.world, &wanted, self.context.now);
            let troubles: Vec<Option<String>> = wanted.iter().map(|back| result.trouble(back)).collect();
            if troubles.iter().all(Option::is_none) {
                break;
            }
            let mut kept = Vec::new();
            for (back, trouble) in wanted.into_iter().zip(troubles) {
                match trouble {
                    Some(trouble) => {
                        left.push(format!("{}: {trouble}", back.row.name()));
                        needed.insert(back.row);
                    }
                    None => kept.push(back),
                }
            }
            wanted = kept;
        }
        for change in undone(&wanted) {
            self.undo(change);
        }
        self.put(Change::DeleteTrial(trial.id.clone()));
        self.forget_in_newer(trial, &needed);
        restored.extend(wanted.iter().map(|back| back.row.name()));
        let in_part = wanted.iter().filter(|back| !back.kept.is_empty());
        let told = |back: &Back| format!("{}: what was changed since: {}", back.row.name(), back.kept.join(", "));
        left.extend(in_part.map(told));
        Ok(Outcome::RolledBack { trial: trial.id.clone(), restored, left })
    }

    /// What newer changes on trial found of one that nobody has confirmed is not given back by them: what they found is then what it found. What
    /// stays because it is needed is theirs to give back.
    fn forget_in_newer(&mut self, ended: &Trial, needed: &BTreeSet<Row>) {
        let newer = self.world.trials().iter().filter(|trial| trial.revision > ended.revision);
        let rewritten = |trial: &Arc<Trial>| {
            let facts: Vec<Undo> = trial.facts.iter().filter_map(|fact| fact.without(&ended.facts, needed)).collect();
            (facts != trial.facts).then(|| Arc::new(Trial { facts, ..Trial::clone(trial) }))
        };
        let rewritten: Vec<Arc<Trial>> = newer.filter_map(rewritten).collect();
        for trial in rewritten {
            self.put(Change::PutTrial(trial));
        }
    }

    /// A row as it is. A peering connection that has ended is forgotten after a while: nobody has done that, so it is as it was left.
    fn as_left(&self, row: &Row, undo: &Undo) -> Option<Change> {
        let is_ended = |after: &Change| {
            if let Change::PutPeering(peering) = after { !peering.is_open_at(peering.changed_at) } else { false }
        };
        self.world.fact(row).or_else(|| undo.after.clone().filter(is_ended))
    }

    /// Makes a change that undoes a fact, with what goes with it.
    fn undo(&mut self, change: Change) {
        if let Change::DeleteGroup(group) = &change {
            self.drop_snapshots(group);
            self.drop_shadow(group);
        }
        let gone = if let Change::DeleteInstance(id) = &change { self.world.instance(id).cloned() } else { None };
        let change = self.done_now(change);
        self.put(change);
        if let Some(instance) = gone {
            self.go_on_showing(&instance);
        }
    }

    /// When a host is to have started, stopped, attached or detached something does not go back in time: it does so now, or has nothing
    /// to do.
    fn done_now(&self, change: Change) -> Change {
        let next = self.world.revision().next();
        if let Change::PutInstance(before) = &change
            && let Some(now) = self.world.instance(&before.id)
        {
            let state_since = if now.state == before.state { now.state_since } else { next };
            return Change::PutInstance(Arc::new(Instance { state_since, ..Instance::clone(before) }));
        }
        if let Change::PutEni(before) = &change
            && let Some(now) = self.world.eni(&before.id)
        {
            let moved_in = if now.instance == before.instance { now.moved_in } else { next };
            return Change::PutEni(Arc::new(Eni { moved_in, ..Eni::clone(before) }));
        }
        change
    }
}

/// A world with some facts undone.
struct Undone<'a> {
    /// As it is.
    now: &'a World,
    /// As it would be.
    then: World,
    /// The same with the groups that go: their rules are still there if they are not among what is undone.
    with_groups: World,
    at: Timestamp,
}

impl<'a> Undone<'a> {
    fn of(now: &'a World, wanted: &[Back], at: Timestamp) -> Self {
        let (mut then, mut with_groups) = (now.clone(), now.clone());
        for change in undone(wanted) {
            then.apply(&change);
            if !matches!(change, Change::DeleteGroup(_)) {
                with_groups.apply(&change);
            }
        }
        Self { now, then, with_groups, at }
    }

    /// Why a fact cannot be undone.
    fn trouble(&self, back: &Back) -> Option<String> {
        let Back { row, change, .. } = back;
        if change.is_delete() {
            return self.needed(row);
        }
        self.misfit(change).or_else(|| self.no_resource_group(row.clone()))
    }

    /// Why something cannot be what it was.
    fn misfit(&self, before: &Change) -> Option<String> {
        if let Change::PutAccount(account) = before {
            return self.used_resource_group(account);
        }
        if let Change::PutVpc(vpc) = before {
            return self.misfit_vpc(vpc);
        }
        if let Change::PutSubnet(subnet) = before {
            return self.misfit_subnet(subnet);
        }
        if let Change::PutPeering(peering) = before {
            return self.misfit_peering(peering);
        }
        if let Change::PutRule { group, rule } = before {
            return self.misfit_rule(group, rule);
        }
        if let Change::PutGroup(group) = before {
            let gone = self.no_vpc(&group.vpc).or_else(|| group.also_in.iter().find_map(|vpc| self.no_vpc(vpc)));
            return gone.or_else(|| self.taken_name(group)).or_else(|| self.carried_elsewhere(group));
        }
        if let Change::PutNetworkAcl(acl) = before {
            return self.no_vpc(&acl.vpc);
        }
        if let Change::PutShadow(shadow) = before {
            return self.then.group(&shadow.group).is_none().then(|| is_gone(&shadow.group));
        }
        if let Change::PutFlowLog(log) = before {
            let is_same = |other: &&Arc<FlowLog>| {
                other.id != log.id && other.resource == log.resource && other.config.repeats(&log.config)
            };
            let same = self.then.flow_logs().find(is_same);
            return same.map(|other| format!("`{}` records the same", other.id));
        }
        if let Change::PutEni(eni) = before { self.misfit_eni(eni) } else { None }
    }

    /// Why something cannot go.
    fn needed(&self, row: &Row) -> Option<String> {
        if let Row::Vpc(id) = row {
            return self.inside_vpc(id);
        }
        if let Row::Subnet(id) = row {
            let inside = self.then.enis().find(|eni| eni.subnet == *id);
            return inside.map(|eni| format!("`{}` is in it", eni.id));
        }
        if let Row::NetworkAcl(id) = row {
            return self.needed_acl(id);
        }
        if let Row::Group(id) = row {
            return self.needed_group(id);
        }
        if let Row::PrefixList(id) = row {
            return self.named_by(&Referent::PrefixList(id.clone()));
        }
        if let Row::PortList(id) = row {
            return self.named_by(&Referent::PortList(id.clone()));
        }
        if let Row::Instance(id) = row {
            return self.then.enis_of(id).next().map(|eni| format!("`{}` is attached to it", eni.id));
        }
        if let Row::PrefixListVersion(id, version) = row {
            let newer = self.then.prefix_list(id).filter(|list| list.version > *version);
            return newer.map(|list| format!("`{id}` is at version {}", list.version));
        }
        let Row::Eni(id) = row else { return None };
        let eni = self.now.eni(id).filter(|eni| eni.is_primary())?;
        let instance = eni.instance.as_ref().filter(|instance| self.then.instance(instance).is_some());
        instance.map(|instance| format!("it is the primary interface of `{instance}`"))
    }

    /// That the resource group of something is gone.
    fn no_resource_group(&self, row: Row) -> Option<String> {
        let labels = self.then.labels(&resource(row)?)?;
        let group = Some(labels.resource_group).filter(|group| !group.is_empty())?;
        let account = self.then.account(labels.account)?;
        (!account.resource_groups.contains_key(group)).then(|| is_gone(group))
    }

    fn no_vpc(&self, vpc: &VpcId) -> Option<String> {
        self.then.vpc(vpc).is_none().then(|| is_gone(vpc))
    }

    fn used_resource_group(&self, before: &Account) -> Option<String> {
        let now = self.now.account(&before.id)?;
        let mut gone = now.resource_groups.keys().filter(|group| !before.resource_groups.contains_key(*group));
        let (group, by) = gone.find_map(|group| Some((group, inside(&self.then, &before.id, group)?)))?;
        Some(format!("`{}` is in its resource group `{group}`", by.as_str()))
    }

    fn misfit_vpc(&self, vpc: &Vpc) -> Option<String> {
        let is_in = |other: &&Arc<Subnet>| other.vpc == vpc.id && other.ipv6.is_some();
        let Some(block) = vpc.ipv6 else {
            let subnet = self.then.subnets().find(is_in);
            return subnet.map(|subnet| format!("`{}` has a part of its IPv6 block", subnet.id));
        };
        let overlaps = |other: &&Arc<Vpc>| {
            other.id != vpc.id && other.ipv6.is_some_and(|own| own.contains(&block) || block.contains(&own))
        };
        self.then.vpcs().find(overlaps).map(|other| format!("{block} is a block of `{}`", other.id))
    }

    fn misfit_subnet(&self, subnet: &Subnet) -> Option<String> {
        if let Some(gone) = self.no_vpc(&subnet.vpc) {
            return Some(gone);
        }
        if let Some(own) = subnet.acl.as_ref().filter(|own| self.then.network_acl(&own.acl).is_none()) {
            return Some(is_gone(&own.acl));
        }
        let is_same = |other: &&Arc<Subnet>| {
            let has_block = overlaps(other.cidr, subnet.cidr) || other.ipv6.is_some() && other.ipv6 == subnet.ipv6;
            other.vpc == subnet.vpc && other.id != subnet.id && has_block
        };
        if let Some(other) = self.then.subnets().find(is_same) {
            return Some(format!("`{}` has its block", other.id));
        }
        let mut enis = self.then.enis_in(&subnet.vpc).filter(|eni| eni.subnet == subnet.id && subnet.ipv6.is_none());
        let user = enis.find(|eni| eni.addresses.iter().any(IpAddr::is_ipv6));
        user.map(|eni| format!("`{}` has an address of its IPv6 block", eni.id))
    }

    /// An address must lead to one peer, and two VPCs have one connection.
    fn misfit_peering(&self, peering: &Peering) -> Option<String> {
        if !peering.is_open_at(self.at) {
            return None;
        }
        let (one, other) = (&peering.requester.vpc, &peering.accepter.vpc);
        let is_between =
            |open: &&Arc<Peering>| open.id != peering.id && open.is_between(one, other) && open.is_open_at(self.at);
        if let Some(open) = self.then.peerings().iter().find(is_between) {
            return Some(format!("`{}` is between its VPCs", open.id));
        }
        for (vpc, peer) in [(one, other), (other, one)] {
            let Some(own) = self.then.vpc(peer) else { return Some(is_gone(peer)) };
            let peers = self.then.peerings().of(vpc).filter(|(id, _)| *id != peer);
            let mut peers = peers.filter_map(|(id, _)| self.then.vpc(id));
            if let Some(taken) = peers.find(|known| peering.is_active() && overlap(known, own)) {
                return Some(format!("`{vpc}` is peered with `{}`, which has blocks of `{peer}`", taken.id));
            }
        }
        None
    }

    fn misfit_rule(&self, group: &GroupId, rule: &Rule) -> Option<String> {
        let Some(owner) = self.then.group(group) else { return Some(is_gone(group)) };
        let same = owner.rules.values().find(|other| other.id != rule.id && other.spec == rule.spec);
        let peer = match &rule.spec.peer {
            Peer::Group { group, .. } if self.then.group(group).is_none() => Some(group.to_string()),
            Peer::PrefixList(list) if self.then.prefix_list(list).is_none() => Some(list.to_string()),
            Peer::Group { .. } | Peer::PrefixList(_) | Peer::Cidr(_) => None,
        };
        let ports = match &rule.spec.service {
            Service::PortList(list) if self.then.port_list(list).is_none() => Some(list.to_string()),
            Service::PortList(_) | Service::Any | Service::Ports(_) | Service::Icmp { .. } => None,
        };
        let same = same.map(|other| format!("`{}` says the same", other.id));
        same.or_else(|| peer.or(ports).map(|gone| format!("`{gone}`, which it names, is gone")))
    }

    /// The index of a world has room for one of two; so who has the name now is asked whether it still has it then.
    fn taken_name(&self, group: &Group) -> Option<String> {
        let other = self.now.group_named(&group.vpc, &group.name).filter(|other| **other != group.id)?;
        let then = self.then.group(other).filter(|then| then.name.to_lowercase() == group.name.to_lowercase())?;
        Some(format!("`{}` has its name", then.id))
    }

    /// An interface in a VPC that the group would be for no longer.
    fn carried_elsewhere(&self, group: &Group) -> Option<String> {
        let eni = self.then.members(&group.id).find(|eni| !group.is_for(&eni.vpc))?;
        Some(format!("`{}` of `{}` carries it", eni.id, eni.vpc))
    }

    fn misfit_eni(&self, eni: &Eni) -> Option<String> {
        for id in &eni.groups {
            match self.then.group(id) {
                None => return Some(is_gone(id)),
                Some(group) if !group.is_for(&eni.vpc) => return Some(format!("`{id}` is not for `{}`", eni.vpc)),
                Some(_) => {}
            }
        }
        if self.then.subnet(&eni.subnet).is_none() {
            return Some(is_gone(&eni.subnet));
        }
        // The index of a world has room for one of two; so who has it now is asked whether it still has it then.
        let owner = |own: &IpAddr| {
            let other = self.now.eni_at(&eni.vpc, *own).filter(|other| other.id != eni.id)?;
            self.then.eni(&other.id).filter(|then| then.addresses.contains(own))
        };
        if let Some((own, _)) = eni.addresses.iter().find_map(|own| Some((own, owner(own)?))) {
            return Some(format!("{own} is another interface's"));
        }
        self.misfit_place(eni).or_else(|| self.misfit_binding(eni))
    }

    fn misfit_place(&self, eni: &Eni) -> Option<String> {
        let instance = eni.instance.as_ref()?;
        if self.then.instance(instance).is_none() {
            return Some(is_gone(instance));
        }
        let has_place = |other: &&Arc<Eni>| {
            let then = self.then.eni(&other.id).filter(|then| then.id != eni.id);
            then.is_some_and(|then| (&then.instance, then.device_index) == (&eni.instance, eni.device_index))
        };
        let other = self.now.enis_of(instance).find(has_place);
        other.map(|other| format!("`{}` has its place in `{instance}`", other.id))
    }

    fn misfit_binding(&self, eni: &Eni) -> Option<String> {
        let binding = eni.binding.as_ref()?;
        let mut others = self.then.bound().filter(|(other, _)| other.id != eni.id);
        let other = others
            .find(|(other, at)| at.is_same_interface(binding) || (other.mac, &other.vpc) == (eni.mac, &eni.vpc));
        other.map(|(other, _)| format!("`{}` has its interface or its Ethernet address", other.id))
    }

    fn inside_vpc(&self, vpc: &VpcId) -> Option<String> {
        let subnet = || self.then.subnets().find(|subnet| subnet.vpc == *vpc).map(|subnet| subnet.id.to_string());
        let group = || self.then.groups().find(|group| group.is_for(vpc)).map(|group| group.id.to_string());
        let acl = || self.then.network_acls().find(|acl| acl.vpc == *vpc).map(|acl| acl.id.to_string());
        let is_open = |peering: &&Arc<Peering>| peering.has_end(vpc) && peering.is_open_at(self.at);
        let peering = || self.then.peerings().iter().find(is_open).map(|peering| peering.id.to_string());
        let inside = subnet().or_else(group).or_else(acl).or_else(peering);
        inside.map(|inside| format!("`{inside}` is of it"))
    }

    fn needed_acl(&self, id: &NetworkAclId) -> Option<String> {
        let behind = self.then.subnets().find(|subnet| subnet.has_acl(id));
        let behind = behind.map(|subnet| format!("`{}` has it", subnet.id));
        let default = self.now.network_acl(id).filter(|acl| acl.is_default && self.then.vpc(&acl.vpc).is_some());
        behind.or_else(|| default.map(|acl| format!("`{}` has it as its default", acl.vpc)))
    }

    fn needed_group(&self, id: &GroupId) -> Option<String> {
        let member = self.then.members(id).next().map(|eni| format!("`{}` carries it", eni.id));
        let namer = self.then.referrers(&Referent::Group(id.clone())).find(|(other, _)| other != id);
        let namer = namer.map(|(other, _)| format!("a rule of `{other}` names it"));
        let has_rules = self.with_groups.group(id).is_some_and(|group| !group.rules.is_empty());
        let of_vpc = |group: &&Arc<Group>| group.is_default && group.flavor == Flavor::Ec2;
        let default = self.now.group(id).filter(of_vpc).filter(|group| self.then.vpc(&group.vpc).is_some());
        let default = default.map(|group| format!("`{}` has it as its default", group.vpc));
        member.or(namer).or(default).or_else(|| has_rules.then(|| "it has further rules".to_owned()))
    }

    fn named_by(&self, referent: &Referent) -> Option<String> {
        let namer = self.then.referrers(referent).next();
        namer.map(|(group, rule)| format!("rule `{rule}` of `{group}` names it"))
    }
}

fn is_gone(what: impl std::fmt::Display) -> String {
    format!("`{what}` is gone")
}

/// What is in a resource group, of rows.
fn resource(row: Row) -> Option<Resource> {
    Some(match row {
        Row::Vpc(id) => Resource::Vpc(id),
        Row::Subnet(id) => Resource::Subnet(id),
        Row::Group(id) => Resource::Group(id),
        Row::Instance(id) => Resource::Instance(id),
        Row::Eni(id) => Resource::Eni(id),
        Row::PrefixList(id) => Resource::PrefixList(id),
        Row::PortList(id) => Resource::PortList(id),
        Row::FlowLog(id) => Resource::FlowLog(id),
        Row::Bypass
        | Row::Platform
        | Row::Account(_)
        | Row::Key(_)
        | Row::Peering(_)
        | Row::NetworkAcl(_)
        | Row::Rule(..)
        | Row::Shadow(_)
        | Row::Terminated(_)
        | Row::Token(..)
        | Row::SnapshotPolicy(_)
        | Row::Snapshot(_)
        | Row::Report(..)
        | Row::PrefixListVersion(..)
        | Row::InsightsPath(_)
        | Row::InsightsAnalysis(_)
        | Row::Invariant(_)
        | Row::Trial(_) => return None,
    })
}
