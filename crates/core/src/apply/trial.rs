//! Changes on trial: begun, confirmed, and undone as far as nothing has been changed since.

use std::sync::Arc;

use super::{Draft, missing, resource_group::inside, within};
use crate::{
    change::{Change, Row},
    command::{Command, Outcome, TrialCommand},
    refusal::{Counted, Kind, Refusal},
    rule::{Peer, Service},
    time::Timestamp,
    trial::{TRIAL_FACTS_MAX, TRIALS_MAX, Trial, TrialRefusal, Undo, Undoing, rows, undone},
    world::{Eni, Referent, World},
};

impl Draft<'_> {
    pub(super) fn run_trial(&mut self, command: &TrialCommand) -> Result<Outcome, Refusal> {
        match command {
            TrialCommand::Begin { command, operations, within_s } => self.begin_trial(command, operations, *within_s),
            TrialCommand::Confirm { id } => {
                let trial = self.trial_of(id)?;
                if trial.until <= self.context.now {
                    return Err(TrialRefusal::Late(id.clone()).into());
                }
                self.put(Change::DeleteTrial(id.clone()));
                Ok(Outcome::Done)
            }
            TrialCommand::RollBack { id } => {
                let trial = self.trial_of(id)?;
                self.roll_back(&trial)
            }
            TrialCommand::RollBackDue => {
                let due = self.world.trials().iter().filter(|trial| trial.until <= self.context.now);
                // The newest first: what an older one left may be what a newer one found.
                match due.max_by_key(|trial| trial.revision).cloned() {
                    Some(trial) => self.roll_back(&trial),
                    None => Ok(Outcome::Done),
                }
            }
        }
    }

    fn trial_of(&self, id: &str) -> Result<Arc<Trial>, Refusal> {
        self.world.trials().get(id).cloned().ok_or_else(|| missing(Kind::Trial, id))
    }

    fn begin_trial(&mut self, command: &Command, operations: &[String], within_s: u32) -> Result<Outcome, Refusal> {
        let (before, begun) = (self.world.clone(), self.changes.len());
        let outcome = Box::new(self.run(command)?);
        let mut facts = Vec::new();
        for row in rows(self.changes.get(begun..).unwrap_or_default()) {
            let (was, is) = (before.fact(&row), self.world.fact(&row));
            if was == is {
                continue;
            }
            match row.undoing(was.is_some(), is.is_some()) {
                Undoing::Apart => {}
                Undoing::Possible => facts.push(Undo { before: was, after: is }),
                Undoing::Impossible(word) => {
                    return Err(TrialRefusal::NotUndoable(name(&row), word.to_owned()).into());
                }
            }
        }
        if facts.is_empty() {
            return Ok(Outcome::Trial(None, outcome));
        }
        within(Counted::TrialFacts, TRIAL_FACTS_MAX, facts.len())?;
        within(Counted::Trials, TRIALS_MAX, self.world.trials().len() + 1)?;
        let now = self.context.now;
        let id = loop {
            let id = format!("trial-{:08x}", self.context.ids.next_u64() >> 32);
            if self.world.trials().get(&id).is_none() {
                break id;
            }
        };
        let (revision, until) = (before.revision().next(), Timestamp(now.0.saturating_add(i64::from(within_s))));
        let operations = operations.to_vec();
        let trial = Trial { id: id.clone(), revision, operations, made_at: now, until, facts };
        self.put(Change::PutTrial(Arc::new(trial)));
        Ok(Outcome::Trial(Some(id), outcome))
    }

    /// Undoes what is as the change left it, and leaves what something else needs by now.
    fn roll_back(&mut self, trial: &Trial) -> Result<Outcome, Refusal> {
        let mut left = Vec::new();
        let mut wanted: Vec<&Undo> = Vec::new();
        for undo in &trial.facts {
            let Some(row) = undo.row() else { continue };
            if self.world.fact(&row) == undo.after {
                wanted.push(undo);
            } else {
                left.push(format!("{}: it was changed since", name(&row)));
            }
        }
        // Each round leaves something, until all that is undone fits together.
        loop {
            let mut world = self.world.clone();
            undone(&wanted).iter().for_each(|change| world.apply(change));
            let groups = undone(&wanted).into_iter().filter(|change| !matches!(change, Change::DeleteGroup(_)));
            let mut with_groups = self.world.clone();
            groups.for_each(|change| with_groups.apply(&change));
            let trouble = |undo: &&Undo| self.trouble((&world, &with_groups), undo);
            let troubles: Vec<Option<String>> = wanted.iter().map(trouble).collect();
            if troubles.iter().all(Option::is_none) {
                break;
            }
            let mut kept = Vec::new();
            for (undo, trouble) in wanted.into_iter().zip(troubles) {
                match (trouble, undo.row()) {
                    (Some(trouble), Some(row)) => left.push(format!("{}: {trouble}", name(&row))),
                    (Some(_), None) => {}
                    (None, _) => kept.push(undo),
                }
            }
            wanted = kept;
        }
        let changes = undone(&wanted);
        for change in &changes {
            if let Change::DeleteGroup(group) = change {
                self.drop_snapshots(group);
                self.drop_shadow(group);
            }
            self.put(change.clone());
        }
        self.put(Change::DeleteTrial(trial.id.clone()));
        let restored = wanted.iter().filter_map(|undo| undo.row()).map(|row| name(&row)).collect();
        Ok(Outcome::RolledBack { trial: trial.id.clone(), restored, left })
    }

    /// Why a fact cannot be undone in the world that holds the result; the other one still has the groups that go.
    fn trouble(&self, (world, with_groups): (&World, &World), undo: &Undo) -> Option<String> {
        match (undo.row()?, &undo.before) {
            (Row::Account(id), Some(Change::PutAccount(account))) => {
                let now = self.world.account(&id)?;
                let gone = now.resource_groups.keys().filter(|group| !account.resource_groups.contains_key(*group));
                let mut used = gone.filter_map(|group| Some((group, inside(world, &id, group)?)));
                used.next().map(|(group, by)| format!("`{}` is in its resource group `{group}`", by.as_str()))
            }
            (Row::Rule(group, _), Some(Change::PutRule { rule, .. })) => {
                let Some(owner) = world.group(&group) else { return Some(format!("`{group}` is gone")) };
                let same = owner.rules.values().find(|other| other.id != rule.id && other.spec == rule.spec);
                let peer = match &rule.spec.peer {
                    Peer::Group { group, .. } if world.group(group).is_none() => Some(group.to_string()),
                    Peer::PrefixList(list) if world.prefix_list(list).is_none() => Some(list.to_string()),
                    Peer::Group { .. } | Peer::PrefixList(_) | Peer::Cidr(_) => None,
                };
                let ports = match &rule.spec.service {
                    Service::PortList(list) if world.port_list(list).is_none() => Some(list.to_string()),
                    Service::PortList(_) | Service::Any | Service::Ports(_) | Service::Icmp { .. } => None,
                };
                let same = same.map(|other| format!("`{}` says the same", other.id));
                same.or_else(|| peer.or(ports).map(|gone| format!("`{gone}`, which it names, is gone")))
            }
            (Row::Group(id), Some(Change::PutGroup(group))) => {
                let other = world.group_named(&group.vpc, &group.name).filter(|other| **other != id);
                let taken = other.filter(|_| self.world.group(&id).is_none());
                let gone = world.vpc(&group.vpc).is_none().then(|| format!("`{}` is gone", group.vpc));
                gone.or_else(|| taken.map(|other| format!("`{other}` has its name")))
            }
            (Row::Group(id), None) => {
                let member = world.members(&id).next().map(|eni| format!("`{}` carries it", eni.id));
                let namer = world.referrers(&Referent::Group(id.clone())).find(|(other, _)| *other != id);
                let namer = namer.map(|(other, _)| format!("a rule of `{other}` names it"));
                let has_rules = with_groups.group(&id).is_some_and(|group| !group.rules.is_empty());
                member.or(namer).or_else(|| has_rules.then(|| "it has further rules".to_owned()))
            }
            (Row::Eni(_), Some(Change::PutEni(eni))) => unfit(world, eni),
            (Row::PrefixList(id), None) => named_by(world, &Referent::PrefixList(id)),
            (Row::PortList(id), None) => named_by(world, &Referent::PortList(id)),
            (Row::NetworkAcl(id), None) => {
                let behind = world.subnets().find(|subnet| subnet.has_acl(&id));
                behind.map(|subnet| format!("`{}` has it", subnet.id))
            }
            (Row::Subnet(_), Some(Change::PutSubnet(subnet))) => {
                let acl = subnet.acl.as_ref().filter(|own| world.network_acl(&own.acl).is_none());
                acl.map(|own| format!("`{}` is gone", own.acl))
            }
            (Row::Shadow(group), Some(_)) if world.group(&group).is_none() => Some(format!("`{group}` is gone")),
            _ => None,
        }
    }
}

/// Why an interface cannot be what it was.
fn unfit(world: &World, eni: &Eni) -> Option<String> {
    let group = eni.groups.iter().find(|group| world.group(group).is_none());
    let taken = |own: &&std::net::IpAddr| world.eni_at(&eni.vpc, **own).is_some_and(|other| other.id != eni.id);
    let taken = eni.addresses.iter().find(taken).map(|own| format!("{own} is another interface's"));
    let gone = eni.instance.as_ref().filter(|instance| world.instance(instance).is_none());
    let group = group.map(|group| format!("`{group}` is gone"));
    group.or(taken).or_else(|| gone.map(|instance| format!("`{instance}` is gone")))
}

fn named_by(world: &World, referent: &Referent) -> Option<String> {
    let namer = world.referrers(referent).next();
    namer.map(|(group, rule)| format!("rule `{rule}` of `{group}` names it"))
}

/// `rule/sg-1/sgr-1`: the row without what sorts it in a store.
fn name(row: &Row) -> String {
    let key = row.to_key();
    key.split_once('/').map_or(key.clone(), |(_, name)| name.to_owned())
}
