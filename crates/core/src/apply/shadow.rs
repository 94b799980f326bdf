//! Candidates of groups: set, cleared, and made the rules of the group. By order of the operator.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{Draft, within};
use crate::{
    change::Change,
    command::{NewRule, Outcome, ShadowCommand},
    ids::{GroupId, RuleId},
    refusal::{Counted, Refusal},
    rule::{Rule, RuleSpec},
    shadow::{SHADOW_RULES_MAX, Shadow, ShadowProblem},
    snapshot::steps,
    world::{Group, group_set},
};

impl Draft<'_> {
    pub(super) fn run_shadow(&mut self, command: &ShadowCommand) -> Result<Outcome, Refusal> {
        match command {
            ShadowCommand::Set { group, rules } => self.set_shadow(group, rules),
            ShadowCommand::Clear { group } => self.clear_shadow(group),
            ShadowCommand::Promote { group, is_forced } => self.promote_shadow(group, *is_forced),
        }
    }

    /// A candidate is held to everything that the rules of the group are.
    fn set_shadow(&mut self, id: &GroupId, rules: &[NewRule]) -> Result<Outcome, Refusal> {
        let group = self.any_group(id)?;
        let before = self.world.shadows().get(id).map_or(0, |shadow| shadow.weight());
        let weight = self.world.shadows().weight() - before + rules.len() + group.rules.len() + 1;
        within(Counted::ShadowRules, SHADOW_RULES_MAX, weight)?;
        let shadow = Shadow {
            group: id.clone(),
            rules: self.named_rules(&group, rules)?,
            base: group.rules.values().cloned().collect(),
            number: self.context.ids.next_u64(),
            set_at: self.context.now,
        };
        self.put(Change::PutShadow(Arc::new(shadow)));
        self.check_candidate(&group)?;
        Ok(Outcome::Done)
    }

    /// Gives the rules of a candidate names: that of the group's rule which says the same, or a fresh one. What is said twice is
    /// said once.
    fn named_rules(&mut self, group: &Group, rules: &[NewRule]) -> Result<Vec<Arc<Rule>>, Refusal> {
        let live: BTreeMap<&RuleSpec, &Arc<Rule>> = group.rules.values().map(|rule| (&rule.spec, rule)).collect();
        let (mut said, mut ids) = (BTreeSet::<&RuleSpec>::new(), BTreeSet::<RuleId>::new());
        let dialect = self.world.dialect_of(&group.account);
        let mut named = Vec::with_capacity(rules.len());
        for NewRule { spec, description, tags } in rules {
            self.check_spec(group, spec)?;
            if !said.insert(spec) {
                continue;
            }
            let rule = match live.get(spec) {
                Some(rule) => Rule { description: description.clone(), ..Rule::clone(rule) },
                None => Rule {
                    id: self
                        .context
                        .ids
                        .fresh(dialect, "sgr", |id| self.world.rule(id).is_some() || ids.contains(id)),
                    spec: spec.clone(),
                    description: description.clone(),
                    tags: tags.clone(),
                    created_at: self.context.now,
                },
            };
            ids.insert(rule.id.clone());
            named.push(Arc::new(rule));
        }
        Ok(named)
    }

    /// Whether the quotas allow a candidate as the rules of its group.
    fn check_candidate(&mut self, group: &Group) -> Result<(), Refusal> {
        let candidate = self.world.with_candidates(&group_set(std::slice::from_ref(&group.id)));
        let world = std::mem::replace(&mut self.world, candidate);
        let checked = self.check_rule_limits(&group.account, &group.id);
        self.world = world;
        checked
    }

    fn clear_shadow(&mut self, id: &GroupId) -> Result<Outcome, Refusal> {
        self.shadow_of(id)?;
        self.put(Change::DeleteShadow(id.clone()));
        Ok(Outcome::Done)
    }

    fn promote_shadow(&mut self, id: &GroupId, is_forced: bool) -> Result<Outcome, Refusal> {
        let shadow = self.shadow_of(id)?;
        let group = self.own_group(&self.any_group(id)?.account, id)?;
        if !is_forced && shadow.is_outdated(&group) {
            return Err(Refusal::Shadow { group: id.clone(), problem: ShadowProblem::Outdated });
        }
        self.put(Change::DeleteShadow(id.clone()));
        self.take_steps(&group, steps(&shadow.rules, &group))?;
        Ok(Outcome::Done)
    }

    /// What goes with a group that is deleted.
    pub(super) fn drop_shadow(&mut self, group: &GroupId) {
        if self.world.shadows().get(group).is_some() {
            self.put(Change::DeleteShadow(group.clone()));
        }
    }

    fn shadow_of(&self, id: &GroupId) -> Result<Arc<Shadow>, Refusal> {
        self.any_group(id)?;
        let absent = || Refusal::Shadow { group: id.clone(), problem: ShadowProblem::Absent };
        self.world.shadows().get(id).cloned().ok_or_else(absent)
    }
}
