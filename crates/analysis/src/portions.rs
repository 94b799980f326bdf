//! The lines of a policy as exact sets of packets, in the order in which they decide.
//!
//! A policy here is that of a set of groups at any ENI which carries them: the ENI's own addresses are left
//! open, so what is said holds for every ENI of the set, until [`Portions::at`] narrows them.

use sekimori_core::{
    ids::{GroupId, RuleId, VpcId},
    platform::PlatformPolicy,
    rule::{self, Action, Direction, RuleSpec},
    space::{
        Set, TooComplex,
        resolve::{ReadMembers, Reader, discovery},
    },
    verdict,
    world::{Group, World},
};

/// What decides about the packets of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decider {
    /// The bypass set, and discovery.
    Bypass,
    /// A platform policy.
    Platform(PlatformPolicy),
    /// The hidden accept of a group.
    IntraGroup(GroupId),
    /// A rule.
    Rule(GroupId, RuleId),
}

/// One line.
#[derive(Clone, Debug)]
pub(crate) struct Portion {
    pub(crate) decider: Decider,
    pub(crate) action: Action,
    /// The packets that the line speaks about; those of earlier lines are decided by them.
    pub(crate) matched: Set,
}

/// The lines of one direction of a policy, and what becomes of the rest.
#[derive(Clone, Debug)]
pub(crate) struct Portions {
    pub(crate) lines: Vec<Portion>,
    pub(crate) default: Action,
}

impl Portions {
    /// The policy that ENIs of a VPC with these groups have.
    pub(crate) fn of(
        world: &World,
        (groups, vpc): (&[GroupId], &VpcId),
        direction: Direction,
    ) -> Result<Self, TooComplex> {
        Self::read(world, (groups, vpc), direction, None, |_, _| true)
    }

    /// The same without rules that cannot speak about any of some packets. For others the lines say nothing. Groups that
    /// have been read already are not read again.
    pub(crate) fn about(
        world: &World,
        of: (&[GroupId], &VpcId),
        direction: Direction,
        packets: &Set,
        known: Option<&ReadMembers>,
    ) -> Result<Self, TooComplex> {
        Self::read(world, of, direction, known, |reader, spec| reader.may_meet(spec, packets))
    }

    fn read(
        world: &World,
        (groups, vpc): (&[GroupId], &VpcId),
        direction: Direction,
        known: Option<&ReadMembers>,
        is_wanted: impl Fn(&Reader<'_>, &RuleSpec) -> bool,
    ) -> Result<Self, TooComplex> {
        let groups: Vec<&Group> = groups.iter().filter_map(|id| world.group(id)).map(|group| &**group).collect();
        let default = verdict::default_action(groups.first().map(|group| group.flavor), direction);
        let specs: Vec<&RuleSpec> =
            groups.iter().flat_map(|group| group.rules.values()).map(|rule| &rule.spec).collect();
        let mut reader = Reader::new(world, vpc, specs);
        if let Some(known) = known {
            reader = reader.sharing(known);
        }
        let mut lines = hidden(world, &groups, direction, &reader)?;
        for (group, rule) in
            in_order(&groups, direction).into_iter().filter(|(_, rule)| is_wanted(&reader, &rule.spec))
        {
            let decider = Decider::Rule(group.id.clone(), rule.id.clone());
            lines.push(Portion { decider, action: rule.spec.action, matched: reader.rule(&rule.spec)? });
        }
        Ok(Self { lines, default })
    }

    /// The same lines for some packets only.
    pub(crate) fn at(&self, packets: &Set) -> Result<Self, TooComplex> {
        let narrowed = |line: &Portion| {
            let matched = line.matched.intersection(packets)?;
            Ok(Portion { decider: line.decider.clone(), action: line.action, matched })
        };
        Ok(Self { lines: self.lines.iter().map(narrowed).collect::<Result<_, _>>()?, default: self.default })
    }

    /// The place of a rule.
    pub(crate) fn position(&self, group: &GroupId, rule: &RuleId) -> Option<usize> {
        let is_it = |line: &Portion| match &line.decider {
            Decider::Rule(own, id) => own == group && id == rule,
            Decider::Bypass | Decider::Platform(_) | Decider::IntraGroup(_) => false,
        };
        self.lines.iter().position(is_it)
    }
}

/// What comes before every rule.
fn hidden(
    world: &World,
    groups: &[&Group],
    direction: Direction,
    reader: &Reader<'_>,
) -> Result<Vec<Portion>, TooComplex> {
    let allow = |decider, matched| Portion { decider, action: Action::Allow, matched };
    let mut lines = vec![allow(Decider::Bypass, discovery(direction))];
    for entry in world.bypass().entries().iter().filter(|entry| entry.direction == direction) {
        lines.push(allow(Decider::Bypass, reader.bypass(entry)?));
    }
    for policy in world.platform().active(direction) {
        let (decider, action) = (Decider::Platform(policy), policy.action());
        lines.push(Portion { decider, action, matched: reader.platform(policy)? });
    }
    let mut accepting: Vec<&&Group> = groups.iter().filter(|group| group.accepts_inner()).collect();
    accepting.sort_by(|one, other| one.id.cmp(&other.id));
    for group in accepting {
        lines.push(allow(Decider::IntraGroup(group.id.clone()), reader.members(direction, &group.id)?));
    }
    Ok(lines)
}

/// The rules of some groups in one direction, merged, in decision order.
pub(crate) fn in_order<'a>(groups: &[&'a Group], direction: Direction) -> Vec<(&'a Group, &'a rule::Rule)> {
    let all = groups.iter().flat_map(|group| group.rules.values().map(move |rule| (*group, &**rule)));
    let mut merged: Vec<(&Group, &rule::Rule)> = all.filter(|(_, rule)| rule.spec.direction == direction).collect();
    merged.sort_by(|(group, rule), (other_group, other_rule)| {
        let order = rule::order(group.flavor, &group.id, rule);
        order.cmp(&rule::order(other_group.flavor, &other_group.id, other_rule))
    });
    merged
}
