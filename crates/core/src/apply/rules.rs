//! Rules of a group.

use std::sync::Arc;

use super::{Draft, missing, within};
use crate::{
    change::Change,
    command::{NewRule, Outcome, Revocation},
    ids::{AccountId, GroupId, RuleId},
    refusal::{Counted, Kind, Refusal},
    rule::{Direction, Peer, Rule, RuleSpec, Service},
    world::{Flavor, Group},
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
            ids.push(match known {
                Some(rule) => rule.id.clone(),
                None => self.add_rule(&group, new),
            });
        }
        self.check_rule_limits(account, id)?;
        Ok(Outcome::Rules(ids))
    }

    fn add_rule(&mut self, group: &Group, new: &NewRule) -> RuleId {
        let dialect = self.world.dialect_of(&group.account);
        let id: RuleId = self.context.ids.fresh(dialect, "sgr", |id| group.rules.contains_key(id));
        let (spec, description) = (new.spec.clone(), new.description.clone());
        let rule = Rule { id: id.clone(), spec, description, created_at: self.context.now };
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
            Revocation::Specs(specs) => said(&group, specs),
        };
        for rule in &doomed {
            self.put(Change::DeleteRule { group: id.clone(), rule: rule.clone() });
        }
        Ok(Outcome::Rules(doomed))
    }

    /// Whether a group may have a rule: what it names exists and may be named by this flavor.
    fn check_spec(&self, group: &Group, spec: &RuleSpec) -> Result<(), Refusal> {
        match &spec.peer {
            Peer::Cidr(_) => {}
            Peer::Group { group: peer, account } => self.check_group_peer(group, peer, account, spec.direction)?,
            Peer::PrefixList(id) => {
                let list = self.world.prefix_list(id).filter(|list| list.account == group.account);
                let list = list.ok_or_else(|| missing(Kind::PrefixList, id))?;
                if let Some(cidr) = spec.local.filter(|cidr| cidr.family() != list.family) {
                    return Err(Refusal::PrefixListFamily { list: id.to_string(), cidr: cidr.to_string() });
                }
            }
        }
        match &spec.service {
            Service::PortList(id) => {
                let list = self.world.port_list(id).filter(|list| list.account == group.account);
                list.map(|_| ()).ok_or_else(|| missing(Kind::PortList, id))
            }
            Service::Any | Service::Ports(_) | Service::Icmp { .. } => Ok(()),
        }
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
        if named.vpc != group.vpc {
            return Err(Refusal::VpcMismatch { one: group.id.to_string(), other: peer.to_string() });
        }
        Ok(())
    }

    fn check_rule_limits(&self, account: &AccountId, id: &GroupId) -> Result<(), Refusal> {
        let limits = self.limits(account);
        let group = self.own_group(account, id)?;
        for direction in [Direction::Ingress, Direction::Egress] {
            let count = group.rules.values().filter(|rule| rule.spec.direction == direction).count();
            within(Counted::RulesOfGroup, limits.rules_per_group_direction, count)?;
        }
        let peers = group.rules.values().filter(|rule| matches!(rule.spec.peer, Peer::Group { .. })).count();
        within(Counted::GroupPeerRules, limits.group_peer_rules, peers)?;
        self.check_rules_of(&limits, std::slice::from_ref(id))?;
        for set in self.world.group_sets_with(id) {
            self.check_rules_of(&limits, set)?;
        }
        Ok(())
    }
}

fn named(group: &Group, direction: Direction, ids: &[RuleId]) -> Result<Vec<RuleId>, Refusal> {
    for id in ids {
        let known = group.rules.get(id).is_some_and(|rule| rule.spec.direction == direction);
        if !known {
            return Err(Refusal::RuleMissing { group: group.id.clone(), rule: id.clone() });
        }
    }
    Ok(ids.to_vec())
}

fn said(group: &Group, specs: &[RuleSpec]) -> Vec<RuleId> {
    group.rules.values().filter(|rule| specs.contains(&rule.spec)).map(|rule| rule.id.clone()).collect()
}
