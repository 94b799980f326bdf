//! The exact judgement of a rule: which packets reach it, and what would become of them without it.

use std::collections::BTreeSet;

use sekimori_core::{
    address::{Cidr, Family},
    ids::{GroupId, RuleId, VpcId},
    platform::PlatformPolicy,
    rule::{Action, Direction, Peer, RuleSpec},
    space::{Set, TooComplex, resolve::Reader},
    world::{Group, GroupSet, World},
};

use super::{Finding, Place, State, cover};
use crate::{
    bearers::{self, Bearers},
    effective::group_name,
    portions::{Decider, Portion, Portions},
};

/// Covering lines that are tried one by one whether the others do without them.
const COVERS_PRUNED_MAX: usize = 64;

/// A rule, judged in every policy that it is part of.
pub(super) struct Judged {
    pub(super) rule: RuleId,
    pub(super) state: State,
    pub(super) places: Vec<JudgedPlace>,
    /// The rule that covers it by the cloud's definition.
    pub(super) cloud: Option<RuleId>,
    pub(super) depends_on_members: bool,
}

/// A rule in one policy.
#[derive(Clone)]
pub(super) struct JudgedPlace {
    groups: GroupSet,
    enis: usize,
    state: State,
    covered_by: Vec<Covering>,
}

/// What decides in the stead of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Covering {
    Bypass,
    Platform(PlatformPolicy),
    IntraGroup(GroupId),
    Rule(GroupId, RuleId),
    Default,
    /// Nobody has an address of the rule's own block.
    Nobody(Cidr),
}

impl JudgedPlace {
    pub(super) fn into_place(self, world: &World) -> Place {
        Place {
            groups: self.groups.iter().map(|id| group_name(world, id)).collect(),
            enis: self.enis,
            state: self.state,
            covered_by: self.covered_by.iter().map(|line| cover(world, line)).collect(),
        }
    }
}

/// Every rule of a group in one direction, in decision order.
pub(super) fn group(world: &World, group: &Group, direction: Direction) -> Result<Vec<Judged>, TooComplex> {
    let policies = policies(world, group, direction)?;
    let Some(Policy { open: alone, .. }) = policies.first() else { return Ok(Vec::new()) };
    let mut judged = Vec::new();
    for line in &alone.lines {
        let Decider::Rule(_, rule) = &line.decider else { continue };
        let mut places = Vec::with_capacity(policies.len());
        let mut rests_on_addresses = false;
        for policy in &policies {
            let (state, covered_by) = policy.judge(world, (&group.id, rule), &Gone::new())?;
            rests_on_addresses |= policy.rests_on_addresses(&group.id, rule, state)?;
            places.push(JudgedPlace { groups: policy.groups.clone(), enis: policy.enis, state, covered_by });
        }
        let cloud = covered_by_one(alone, group, rule)?;
        let covered_by = places.iter().flat_map(|place| &place.covered_by);
        let depends_on_members = rests_on_addresses || names_members(world, &group.id, rule, covered_by);
        judged.push(Judged { rule: rule.clone(), state: overall(&places), places, cloud, depends_on_members });
    }
    Ok(judged)
}

/// The group by itself in its own VPC, then every set of groups that an ENI carries it with, in every VPC where one does.
fn policies(world: &World, group: &Group, direction: Direction) -> Result<Vec<Policy>, TooComplex> {
    bearers::of_group(world, group).map(|bearers| Policy::of(world, bearers, direction)).collect()
}

/// What a rule does over all the policies in use; in one that is not in use, by itself.
fn overall(places: &[JudgedPlace]) -> State {
    let used: Vec<State> = places.iter().filter(|place| place.enis > 0).map(|place| place.state).collect();
    let counted = if used.is_empty() { places.iter().map(|place| place.state).collect() } else { used };
    let worst = counted.iter().max().copied().unwrap_or(State::Decides);
    match (worst, counted.iter().any(|state| *state != State::Decides)) {
        (State::Decides, true) => State::DiffersByPolicy,
        (State::Decides | State::DecidesNothing | State::ChangesNothing | State::DiffersByPolicy, _) => worst,
    }
}

/// The policy of a set of groups.
struct Policy {
    groups: GroupSet,
    vpc: VpcId,
    /// How many interfaces carry exactly these.
    enis: usize,
    /// Its lines, at whatever address.
    open: Portions,
    /// Its lines at the addresses of these interfaces, if they are known and a line asks for them.
    owned: Option<Portions>,
}

impl Policy {
    fn of(world: &World, bearers: Bearers, direction: Direction) -> Result<Self, TooComplex> {
        let open = Portions::of(world, (&bearers.0, &bearers.1), direction)?;
        let owned = bearers::owned(world, &bearers, direction)?.map(|owned| open.at(&owned)).transpose()?;
        Ok(Self { enis: bearers::enis(world, &bearers).count(), groups: bearers.0, vpc: bearers.1, open, owned })
    }

    /// What a rule does here without the rules that are gone, and what decides in its stead.
    fn judge(
        &self,
        world: &World,
        (group, rule): (&GroupId, &RuleId),
        gone: &Gone,
    ) -> Result<(State, Vec<Covering>), TooComplex> {
        let Some(owned) = &self.owned else { return judge(&self.open, group, rule, gone) };
        let (state, covered_by) = judge(owned, group, rule, gone)?;
        let says = |portions: &Portions| {
            let place = portions.position(group, rule).and_then(|place| portions.lines.get(place));
            place.is_some_and(|line| !line.matched.is_empty())
        };
        let local = world.group(group).and_then(|group| group.rules.get(rule)).and_then(|rule| rule.spec.local);
        match local.filter(|_| says(&self.open) && !says(owned)) {
            Some(local) => Ok((state, vec![Covering::Nobody(local)])),
            None => Ok((state, covered_by)),
        }
    }

    /// Whether a rule would do something else here if interfaces with other addresses came.
    fn rests_on_addresses(&self, group: &GroupId, rule: &RuleId, state: State) -> Result<bool, TooComplex> {
        let is_narrowed = self.owned.is_some() && state != State::Decides;
        Ok(is_narrowed && judge(&self.open, group, rule, &Gone::new())?.0 != state)
    }

    /// Whether a rule keeps packets from a later one that says the opposite about such services, and only who carries a group now makes
    /// that these do not meet.
    fn waits_for_members(
        &self,
        world: &World,
        (group, rule): (&GroupId, &RuleId),
        gone: &Gone,
    ) -> Result<bool, TooComplex> {
        let (Some(place), Some(own)) = (self.open.position(group, rule), rule_of(world, group, rule)) else {
            return Ok(false);
        };
        let Some(line) = self.open.lines.get(place) else { return Ok(false) };
        let everybody = self.of_everybody(world, line, own)?;
        let later = self.open.lines.iter().skip(place + 1).filter(|line| is_left(line, gone));
        for line in later.filter(|line| line.action != own.action) {
            let Decider::Rule(group, rule) = &line.decider else { continue };
            let Some(later) = rule_of(world, group, rule).filter(|later| names_group(own) || names_group(later))
            else {
                continue;
            };
            if everybody.meets(&self.of_everybody(world, line, later)?) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What the rule of a line would speak about if whoever may carry a group carried it.
    fn of_everybody(&self, world: &World, line: &Portion, spec: &RuleSpec) -> Result<Set, TooComplex> {
        if !names_group(spec) {
            return Ok(line.matched.clone());
        }
        let reader = Reader::new(world, &self.vpc, []);
        let of = |everyone| reader.rule(&RuleSpec { peer: Peer::Cidr(everyone), ..spec.clone() });
        of(Cidr::WORLD_V4)?.union(&of(Cidr::WORLD_V6)?)
    }
}

/// Rules that are taken as deleted.
type Gone = BTreeSet<(GroupId, RuleId)>;

fn is_left(line: &Portion, gone: &Gone) -> bool {
    match &line.decider {
        Decider::Rule(group, rule) => !gone.contains(&(group.clone(), rule.clone())),
        Decider::Bypass | Decider::Platform(_) | Decider::IntraGroup(_) => true,
    }
}

/// What a rule does among some lines without the rules that are gone, and what decides in its stead.
fn judge(
    portions: &Portions,
    group: &GroupId,
    rule: &RuleId,
    gone: &Gone,
) -> Result<(State, Vec<Covering>), TooComplex> {
    let Some(place) = portions.position(group, rule) else { return Ok((State::Decides, Vec::new())) };
    let (before, rest) = portions.lines.split_at(place);
    let Some((line, after)) = rest.split_first() else { return Ok((State::Decides, Vec::new())) };
    let mut reaching = line.matched.clone();
    let mut covering = Vec::new();
    let earlier = before.iter().filter(|earlier| is_left(earlier, gone));
    for earlier in earlier.filter(|earlier| earlier.matched.meets(&line.matched)) {
        if reaching.meets(&earlier.matched) {
            reaching = reaching.difference(&earlier.matched)?;
            covering.push(earlier);
        }
    }
    if reaching.is_empty() {
        return Ok((State::DecidesNothing, named(pruned(&line.matched, covering)?)));
    }
    let after = after.iter().filter(|later| is_left(later, gone));
    match without(reaching, line, after, portions.default)? {
        Some(instead) => Ok((State::ChangesNothing, instead)),
        None => Ok((State::Decides, Vec::new())),
    }
}

/// What would decide about packets if their line were not there, when it would decide alike.
fn without<'a>(
    mut packets: Set,
    line: &Portion,
    after: impl Iterator<Item = &'a Portion>,
    default: Action,
) -> Result<Option<Vec<Covering>>, TooComplex> {
    let mut instead = Vec::new();
    for later in after.filter(|later| later.matched.meets(&line.matched)) {
        if !packets.meets(&later.matched) {
            continue;
        }
        if later.action != line.action {
            return Ok(None);
        }
        packets = packets.difference(&later.matched)?;
        instead.push(later);
    }
    let mut instead = named(instead);
    if !packets.is_empty() {
        if default != line.action {
            return Ok(None);
        }
        instead.push(Covering::Default);
    }
    Ok(Some(instead))
}

/// Covering lines without those that the others do without. One line that covers all is enough.
fn pruned<'a>(matched: &Set, mut covering: Vec<&'a Portion>) -> Result<Vec<&'a Portion>, TooComplex> {
    for line in &covering {
        if matched.is_within(&line.matched)? {
            return Ok(vec![*line]);
        }
    }
    if covering.len() > COVERS_PRUNED_MAX {
        return Ok(covering);
    }
    let mut index = covering.len();
    while index > 0 {
        index -= 1;
        let mut rest = matched.clone();
        for (_, line) in covering.iter().enumerate().filter(|(other, _)| *other != index) {
            rest = rest.difference(&line.matched)?;
        }
        if rest.is_empty() {
            covering.remove(index);
        }
    }
    Ok(covering)
}

fn named(lines: Vec<&Portion>) -> Vec<Covering> {
    let mut covering: Vec<Covering> = Vec::new();
    for line in lines {
        let name = match &line.decider {
            Decider::Bypass => Covering::Bypass,
            Decider::Platform(policy) => Covering::Platform(*policy),
            Decider::IntraGroup(group) => Covering::IntraGroup(group.clone()),
            Decider::Rule(group, rule) => Covering::Rule(group.clone(), rule.clone()),
        };
        if !covering.contains(&name) {
            covering.push(name);
        }
    }
    covering
}

/// The cloud's definition: one rule of the group covers every condition, and its priority is not lower.
fn covered_by_one(alone: &Portions, group: &Group, rule: &RuleId) -> Result<Option<RuleId>, TooComplex> {
    let Some(place) = alone.position(&group.id, rule) else { return Ok(None) };
    let Some(line) = alone.lines.get(place) else { return Ok(None) };
    // Rules stand in the order of priority, so what is not lower stands before, or has the same number.
    let priority = |id: &RuleId| group.rules.get(id).map(|rule| rule.spec.priority);
    for (other_place, other) in alone.lines.iter().enumerate() {
        let Decider::Rule(_, id) = &other.decider else { continue };
        let is_candidate = id != rule && priority(id) <= priority(rule) && line.matched.meets(&other.matched);
        if !is_candidate || !line.matched.is_within(&other.matched)? {
            continue;
        }
        // Of two rules that say the same, the later one is the redundant one.
        if other_place < place || !other.matched.is_within(&line.matched)? {
            return Ok(Some(id.clone()));
        }
    }
    Ok(None)
}

/// Whether the judgement rests on who carries which group. A rule that names a group is idle whoever carries it where all that decides
/// in its stead names the same group, or everybody.
fn names_members<'a>(
    world: &World,
    group: &GroupId,
    rule: &RuleId,
    covered_by: impl IntoIterator<Item = &'a Covering>,
) -> bool {
    let Some(named) = peer_group(world, group, rule) else {
        return covered_by.into_iter().any(|it| it.is_of_some(world));
    };
    let (mut everybody, mut is_of_all) = (BTreeSet::new(), true);
    for covering in covered_by {
        match covering {
            Covering::Default => everybody.extend([Family::V4, Family::V6]),
            Covering::IntraGroup(group) => is_of_all &= group == named,
            Covering::Rule(group, rule) => match rule_of(world, group, rule).map(|spec| &spec.peer) {
                Some(Peer::Cidr(block)) if block.is_world() => drop(everybody.insert(block.family())),
                Some(Peer::Group { group, .. }) => is_of_all &= group == named,
                Some(Peer::Cidr(_) | Peer::PrefixList(_)) | None => is_of_all = false,
            },
            Covering::Bypass | Covering::Platform(_) | Covering::Nobody(_) => is_of_all = false,
        }
    }
    // What is for everybody of one family is not for a member of the other that comes.
    !is_of_all || everybody.len() == 1
}

impl Covering {
    /// Whether it is for those who carry a group, or have an address, now.
    fn is_of_some(&self, world: &World) -> bool {
        match self {
            Self::IntraGroup(_) | Self::Nobody(_) => true,
            Self::Rule(group, rule) => peer_group(world, group, rule).is_some(),
            Self::Bypass | Self::Platform(_) | Self::Default => false,
        }
    }
}

fn rule_of<'a>(world: &'a World, group: &GroupId, rule: &RuleId) -> Option<&'a RuleSpec> {
    world.group(group).and_then(|group| group.rules.get(rule)).map(|rule| &rule.spec)
}

fn names_group(spec: &RuleSpec) -> bool {
    group_of(spec).is_some()
}

fn group_of(spec: &RuleSpec) -> Option<&GroupId> {
    match &spec.peer {
        Peer::Group { group, .. } => Some(group),
        Peer::Cidr(_) | Peer::PrefixList(_) => None,
    }
}

/// The group that a rule names as its peer.
fn peer_group<'a>(world: &'a World, group: &GroupId, rule: &RuleId) -> Option<&'a GroupId> {
    group_of(rule_of(world, group, rule)?)
}

/// Marks the findings that can be deleted together: each is judged again without those that are deleted before it.
/// The last in decision order go first, so that of two rules that say the same the one that decides stays.
///
/// What is idle only as long as members and addresses stay as they are is not marked: a rule for a group beside one for the address that
/// its only member has now are not the same rule twice.
pub(super) fn mark_removable(world: &World, findings: &mut [Finding]) {
    let mut gone = Gone::new();
    // Findings of one group and direction stand together, and deleting rules changes no other line.
    let mut known: Option<(GroupId, Direction, Vec<Policy>)> = None;
    for finding in findings.iter_mut().rev() {
        if !matches!(finding.state, State::DecidesNothing | State::ChangesNothing) {
            continue;
        }
        let (group, direction) = (finding.group.id.clone(), finding.direction);
        let is_known = known.as_ref().is_some_and(|(own, way, _)| *own == group && *way == direction);
        if !is_known {
            let judged = world.group(&group).and_then(|group| policies(world, group, direction).ok());
            known = judged.map(|policies| (group, direction, policies));
        }
        let Some((_, _, policies)) = &known else { continue };
        if is_redundant(world, policies, finding, &gone) {
            gone.insert((finding.group.id.clone(), finding.rule.clone()));
            finding.removable = true;
        }
    }
}

/// Whether a rule can be deleted, now and whoever comes. One that cannot be judged stays.
fn is_redundant(world: &World, policies: &[Policy], finding: &Finding, gone: &Gone) -> bool {
    let (group, rule) = (&finding.group.id, &finding.rule);
    let is_used = policies.iter().any(|policy| policy.enis > 0);
    let mut counted = policies.iter().filter(|policy| !is_used || policy.enis > 0);
    counted.all(|policy| {
        let Ok((state, covered_by)) = policy.judge(world, (group, rule), gone) else { return false };
        matches!(state, State::DecidesNothing | State::ChangesNothing)
            && !names_members(world, group, rule, &covered_by)
            && policy.rests_on_addresses(group, rule, state) == Ok(false)
            && (state == State::DecidesNothing || policy.waits_for_members(world, (group, rule), gone) == Ok(false))
    })
}
