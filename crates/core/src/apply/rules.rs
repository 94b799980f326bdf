//! Rules of a group.

use std::{collections::BTreeSet, sync::Arc};

use super::{Draft, missing, within};
use crate::{
    address::Family,
    change::Change,
    command::{NewRule, Outcome, Revocation, RuleEdit, RuleRewrite},
    ids::{AccountId, GroupId, PrefixListId, RuleId},
    refusal::{Counted, Kind, Refusal},
    rule::{Direction, Peer, Rule, RuleSpec, Service},
    world::{Flavor, Group, Referent},
};

impl Draft<'_> {
    pub(super) fn authorize(
        &mut self,
        account: &AccountId,
        id: &GroupId,
        rules: &[NewRule],
    ) -> Result<Outcome, Refusal> {
        let mut ids = Vec::with_capacity(rules.len());
        for new in rules {
            let group = self.own_group(account, id)?;
            self.check_spec(&group, &new.spec)?;
            let known = group.rules.values().find(|rule| rule.spec == new.spec);
            ids.push(match (known, group.flavor) {
                (None, _) => self.add_rule(&group, new),
                (Some(rule), Flavor::EcsBasic | Flavor::EcsEnterprise) => rule.id.clone(),
                (Some(_), Flavor::Ec2) => {
                    return Err(Refusal::RuleExists { group: id.clone(), spec: Box::new(new.spec.clone()) });
                }
            });
        }
        self.check_rule_limits(account, id)?;
        Ok(Outcome::Rules(ids))
    }

    pub(super) fn add_rule(&mut self, group: &Group, new: &NewRule) -> RuleId {
        let dialect = self.world.dialect_of(&group.account);
        let id: RuleId = self.context.ids.fresh(dialect, "sgr", |id| self.world.rule(id).is_some());
        let NewRule { spec, description, tags } = new.clone();
        let rule = Rule { id: id.clone(), spec, description, tags, created_at: self.context.now };
        self.put(Change::PutRule { group: group.id.clone(), rule: Arc::new(rule) });
        id
    }

    pub(super) fn revoke(
        &mut self,
        account: &AccountId,
        id: &GroupId,
        direction: Direction,
        rules: &Revocation,
    ) -> Result<Outcome, Refusal> {
        let group = self.own_group(account, id)?;
        let doomed = match rules {
            Revocation::Ids(ids) => named(&group, direction, ids)?,
            Revocation::Specs(specs) => said(&group, specs)?,
        };
        for rule in &doomed {
            self.put(Change::DeleteRule { group: id.clone(), rule: rule.id.clone() });
        }
        Ok(Outcome::Revoked(doomed))
    }

    /// Changes one rule, and keeps its name, its birthday and its counter.
    pub(super) fn edit_rule(
        &mut self,
        account: &AccountId,
        id: &GroupId,
        direction: Direction,
        rule: &RuleId,
        edit: &RuleEdit,
    ) -> Result<Outcome, Refusal> {
        let group = self.own_group(account, id)?;
        let missing = || Refusal::RuleMissing { group: id.clone(), rule: rule.clone() };
        let old = group.rules.get(rule).filter(|old| old.spec.direction == direction).ok_or_else(missing)?;
        let new = Rule {
            spec: edit.applied_to(&old.spec),
            description: edit.description.as_ref().unwrap_or(&old.description).clone(),
            ..Rule::clone(old)
        };
        if new == **old {
            return Ok(Outcome::Done);
        }
        check_kinds(old, &new.spec)?;
        check_fit(&new)?;
        self.check_spec(&group, &new.spec)?;
        if let Some(other) = group.rules.values().find(|other| other.id != *rule && other.spec == new.spec) {
            return Err(Refusal::SameRule { group: id.clone(), other: other.id.clone() });
        }
        let says_more = new.spec != old.spec;
        self.put(Change::PutRule { group: id.clone(), rule: Arc::new(new) });
        if says_more {
            self.check_rule_limits(account, id)?;
        }
        Ok(Outcome::Done)
    }

    /// Gives rules other words at once. Each keeps its name, its direction and the kind of its peer.
    pub(super) fn rewrite_rules(
        &mut self,
        account: &AccountId,
        id: &GroupId,
        rules: &[RuleRewrite],
    ) -> Result<Outcome, Refusal> {
        let group = self.own_group(account, id)?;
        for RuleRewrite { rule, spec, description } in rules {
            let missing = || Refusal::RuleMissing { group: id.clone(), rule: rule.clone() };
            let old = group.rules.get(rule).filter(|old| old.spec.direction == spec.direction).ok_or_else(missing)?;
            check_kinds(old, spec)?;
            self.check_spec(&group, spec)?;
            let new = Rule { spec: spec.clone(), description: description.clone(), ..Rule::clone(old) };
            if new != **old {
                self.put(Change::PutRule { group: id.clone(), rule: Arc::new(new) });
            }
        }
        self.check_distinct(id, rules)?;
        self.check_rule_limits(account, id)?;
        Ok(Outcome::Done)
    }

    /// Whether no rule says what one of these says now.
    fn check_distinct(&self, id: &GroupId, rules: &[RuleRewrite]) -> Result<(), Refusal> {
        let Some(group) = self.world.group(id) else { return Ok(()) };
        for RuleRewrite { rule, spec, description: _ } in rules {
            if group.rules.values().any(|other| other.id != *rule && other.spec == *spec) {
                return Err(Refusal::RuleExists { group: id.clone(), spec: Box::new(spec.clone()) });
            }
        }
        Ok(())
    }

    /// Changes the words about the rule that says exactly this.
    pub(super) fn describe_rule(
        &mut self,
        account: &AccountId,
        id: &GroupId,
        spec: &RuleSpec,
        description: Option<&String>,
    ) -> Result<Outcome, Refusal> {
        let group = self.own_group(account, id)?;
        let old = group.rules.values().find(|rule| rule.spec == *spec);
        let old = old.ok_or_else(|| Refusal::NoSuchRule { group: id.clone() })?;
        if let Some(description) = description.filter(|description| **description != old.description) {
            let rule = Rule { description: description.clone(), ..Rule::clone(old) };
            self.put(Change::PutRule { group: id.clone(), rule: Arc::new(rule) });
        }
        Ok(Outcome::Done)
    }

    /// Whether a group may have a rule: what it names exists and may be named by this flavor.
    pub(super) fn check_spec(&self, group: &Group, spec: &RuleSpec) -> Result<(), Refusal> {
        match &spec.peer {
            Peer::Cidr(_) => {}
            Peer::Group { group: peer, account } => self.check_group_peer(group, peer, account, spec.direction)?,
            Peer::PrefixList(id) => {
                let list = self.world.prefix_list(id);
                let list = list.filter(|list| list.account == group.account && self.is_in(group, &list.region));
                let list = list.ok_or_else(|| missing(Kind::PrefixList, id))?;
                if let Some(cidr) = spec.local.filter(|cidr| cidr.family() != list.family) {
                    return Err(Refusal::PrefixListFamily { list: id.to_string(), cidr: cidr.to_string() });
                }
            }
        }
        match &spec.service {
            Service::PortList(id) => {
                let list = self.world.port_list(id);
                let list = list.filter(|list| list.account == group.account && self.is_in(group, &list.region));
                list.map(|_| ()).ok_or_else(|| missing(Kind::PortList, id))
            }
            Service::Any | Service::Ports(_) | Service::Icmp { .. } => Ok(()),
        }
    }

    fn is_in(&self, group: &Group, region: &str) -> bool {
        self.world.vpc(&group.vpc).is_some_and(|vpc| vpc.region == region)
    }

    fn check_group_peer(
        &self,
        group: &Group,
        peer: &GroupId,
        account: &AccountId,
        direction: Direction,
    ) -> Result<(), Refusal> {
        let is_ecs = match group.flavor {
            Flavor::EcsBasic | Flavor::EcsEnterprise => true,
            Flavor::Ec2 => false,
        };
        if group.flavor == Flavor::EcsEnterprise {
            return Err(Refusal::EnterpriseRule { group: group.id.clone() });
        }
        if is_ecs && *peer == group.id {
            return Err(Refusal::SelfReference { group: peer.clone(), direction });
        }
        let named = self.world.group(peer).filter(|named| named.account == *account);
        let named = named.ok_or_else(|| missing(Kind::PeerGroup, peer))?;
        if named.flavor == Flavor::EcsEnterprise {
            return Err(Refusal::EnterprisePeer { group: peer.clone() });
        }
        if !named.meets(group) && !self.world.are_joined(&group.vpc, &named.vpc) {
            return Err(Refusal::VpcMismatch { one: group.id.to_string(), other: peer.to_string() });
        }
        Ok(())
    }

    pub(super) fn check_rule_limits(&self, account: &AccountId, id: &GroupId) -> Result<(), Refusal> {
        let limits = self.limits(account);
        let Some(group) = self.world.group(id) else { return Ok(()) };
        for direction in [Direction::Ingress, Direction::Egress] {
            let rules = || group.rules.values().filter(|rule| rule.spec.direction == direction);
            within(Counted::RulesOfGroup, limits.rules_per_group_direction, rules().count())?;
            for family in [Family::V4, Family::V6] {
                let weight = rules().map(|rule| self.weight_in(&rule.spec, family)).sum();
                within(Counted::RulesOfGroup, limits.rules_per_group_family, weight)?;
            }
        }
        let peers = group.rules.values().filter(|rule| matches!(rule.spec.peer, Peer::Group { .. })).count();
        within(Counted::GroupPeerRules, limits.group_peer_rules, peers)?;
        let lists: BTreeSet<&PrefixListId> =
            group.rules.values().filter_map(|rule| prefix_list_of(&rule.spec)).collect();
        for list in lists {
            let namers = self.world.referrers(&Referent::PrefixList(list.clone()));
            let groups: BTreeSet<&GroupId> = namers.map(|(group, _)| group).collect();
            within(Counted::GroupsOfPrefixList, limits.groups_per_prefix_list, groups.len())?;
        }
        self.check_rules_of(&limits, std::slice::from_ref(id))?;
        for set in self.world.group_sets_with(id) {
            self.check_rules_of(&limits, set)?;
        }
        Ok(())
    }
}

fn prefix_list_of(spec: &RuleSpec) -> Option<&PrefixListId> {
    match &spec.peer {
        Peer::PrefixList(id) => Some(id),
        Peer::Cidr(_) | Peer::Group { .. } => None,
    }
}

/// What makes a rule another rule does not change (`spec/ecs.md` C, `ModifySecurityGroupRule`).
fn check_kinds(old: &Rule, new: &RuleSpec) -> Result<(), Refusal> {
    let is_same_end = match (&old.spec.peer, &new.peer) {
        (Peer::Cidr(old), Peer::Cidr(new)) => old.family() == new.family(),
        (Peer::PrefixList(_), Peer::PrefixList(_)) | (Peer::Group { .. }, Peer::Group { .. }) => true,
        (Peer::Cidr(_) | Peer::PrefixList(_) | Peer::Group { .. }, _) => false,
    };
    let local_family = |spec: &RuleSpec| spec.local.map(|cidr| cidr.family());
    let is_same_local = local_family(&old.spec).is_none() || local_family(&old.spec) == local_family(new);
    if !is_same_end || !is_same_local {
        return Err(Refusal::PeerKindFixed { rule: old.id.clone() });
    }
    let names_list = |service: &Service| matches!(service, Service::PortList(_));
    if names_list(&old.spec.service) != names_list(&new.service) {
        return Err(Refusal::PortsKindFixed { rule: old.id.clone() });
    }
    Ok(())
}

/// Whether the parts of a changed rule fit together, those that were given and those that stayed.
fn check_fit(rule: &Rule) -> Result<(), Refusal> {
    let spec = &rule.spec;
    let has_ports = matches!(spec.service, Service::Ports(_) | Service::PortList(_)) || spec.source_ports.is_some();
    if has_ports && !spec.protocol.has_ports() {
        return Err(Refusal::PortsWithoutProtocol { rule: rule.id.clone(), protocol: spec.protocol });
    }
    let peer = match &spec.peer {
        Peer::Cidr(cidr) => Some(cidr.family()),
        Peer::PrefixList(_) | Peer::Group { .. } => None,
    };
    let families = [peer, spec.local.map(|cidr| cidr.family()), spec.protocol.family()];
    let families: BTreeSet<Family> = families.into_iter().flatten().collect();
    if families.len() > 1 { Err(Refusal::RuleFamily { rule: rule.id.clone() }) } else { Ok(()) }
}

fn named(group: &Group, direction: Direction, ids: &[RuleId]) -> Result<Vec<Arc<Rule>>, Refusal> {
    let find = |id: &RuleId| {
        let known = group.rules.get(id).filter(|rule| rule.spec.direction == direction);
        known.cloned().ok_or_else(|| Refusal::RuleMissing { group: group.id.clone(), rule: id.clone() })
    };
    ids.iter().map(find).collect()
}

fn said(group: &Group, specs: &[RuleSpec]) -> Result<Vec<Arc<Rule>>, Refusal> {
    let found: Vec<_> = group.rules.values().filter(|rule| specs.contains(&rule.spec)).cloned().collect();
    let is_said = |spec: &RuleSpec| found.iter().any(|rule| rule.spec == *spec);
    match group.flavor {
        Flavor::EcsBasic | Flavor::EcsEnterprise => Ok(found),
        Flavor::Ec2 if specs.iter().all(is_said) => Ok(found),
        Flavor::Ec2 => Err(Refusal::NoSuchRule { group: group.id.clone() }),
    }
}
