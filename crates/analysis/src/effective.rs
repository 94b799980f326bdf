//! Everything that decides at one ENI, in the order in which it decides.
//!
//! The lines are the five steps of section 3 of the design: what always passes, the anti-spoofing check,
//! intra-group accepts, the merged rules of all groups, the default. The order comes from
//! [`sekimori_core::rule::order`] and is never computed a second time here.

use serde::{Deserialize, Serialize};

use sekimori_core::{
    bypass::BypassEntry,
    ids::{AccountId, EniId, GroupId, InstanceId, RuleId, VpcId},
    platform::{MAIL_PORT, PlatformPolicy},
    rule::{self, Action, Direction, Rule, RuleSpec},
    verdict,
    world::{Eni, Flavor, Group, Revision, Treatment, World},
};

use crate::{
    ends::{self, NotOne},
    merge,
    text::{self, ALL},
};

/// The effective policy of one ENI.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The interface.
    pub eni: EniId,
    /// The instance it is attached to.
    pub instance: Option<InstanceId>,
    /// Its owner.
    pub account: AccountId,
    /// Its VPC.
    pub vpc: VpcId,
    /// Its private addresses, as text.
    pub addresses: Vec<String>,
    /// Its groups, in the order of attachment.
    pub groups: Vec<GroupName>,
    /// The kind of its groups.
    pub flavor: Option<Flavor>,
    /// What a change does to its live flows.
    pub treatment: Treatment,
    /// The revision of the world that was looked at.
    pub revision: Revision,
    /// What its groups do to each other, in sentences.
    #[serde(default)]
    pub notes: Vec<String>,
    /// What decides about packets towards it.
    pub ingress: Vec<Line>,
    /// What decides about packets from it.
    pub egress: Vec<Line>,
}

/// A group by id and name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupName {
    /// Its id.
    pub id: GroupId,
    /// The owner's name for it; may be empty.
    pub name: String,
}

/// What kind of thing a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LineKind {
    /// Passes before any rule and makes no flow.
    Bypass,
    /// Drops what is sent from an address that is not the ENI's.
    SourceCheck,
    /// A platform policy, which no group can undo.
    Platform,
    /// Accepts ENIs that share a group whose inner access is Accept.
    IntraGroup,
    /// A rule.
    Rule,
    /// What happens when nothing above matched.
    Default,
}

/// One line of an effective policy. What has no meaning for the kind of line is absent or `all`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Its place, from 1. The first line that matches decides.
    pub position: u32,
    /// What it is.
    pub kind: LineKind,
    /// The group it comes from.
    pub group: Option<GroupName>,
    /// The rule's id.
    pub rule: Option<RuleId>,
    /// What it does.
    pub action: Action,
    /// The rule's priority, where the flavor has priorities.
    pub priority: Option<u8>,
    /// The protocol.
    pub protocol: String,
    /// Destination ports, or ICMP type and code.
    pub ports: String,
    /// Source ports.
    pub source_ports: String,
    /// The other end.
    pub peer: String,
    /// The ENI's own end.
    pub local: String,
    /// The owner's words about the rule, or ours about a hidden line.
    pub description: String,
}

/// The effective policy of the interface that an end means; of an instance the primary one's.
///
/// # Errors
/// When it means no interface, or several.
pub fn show(world: &World, name: &str) -> Result<Report, NotOne> {
    let eni = ends::only(world, name)?;
    Ok(Report {
        eni: eni.id.clone(),
        instance: eni.instance.clone(),
        account: eni.account.clone(),
        vpc: eni.vpc.clone(),
        addresses: eni.addresses.iter().map(ToString::to_string).collect(),
        groups: eni.groups.iter().map(|id| group_name(world, id)).collect(),
        flavor: world.flavor_of(eni),
        treatment: world.treatment_of(eni),
        revision: world.revision(),
        notes: merge::explain(world, eni).into_iter().chain(behind_acl(world, eni)).collect(),
        ingress: lines(world, eni, Direction::Ingress),
        egress: lines(world, eni, Direction::Egress),
    })
}

/// That a network ACL is asked as well, about every packet.
fn behind_acl(world: &World, eni: &Eni) -> Option<String> {
    let (subnet, acl) = world.is_guarded(&eni.subnet).then(|| world.acl_of(&eni.subnet)).flatten()?;
    Some(format!(
        "what enters or leaves subnet {} meets network ACL {} first, which knows no flows and denies what it does not allow",
        subnet.id, acl.id
    ))
}

/// A group's id with the name it has in this world.
pub(crate) fn group_name(world: &World, id: &GroupId) -> GroupName {
    let name = world.group(id).map(|group| group.name.clone()).unwrap_or_default();
    GroupName { id: id.clone(), name }
}

fn lines(world: &World, eni: &Eni, direction: Direction) -> Vec<Line> {
    let mut lines: Vec<Line> = no_router(eni, direction).into_iter().chain(always_passing(eni, direction)).collect();
    lines.extend(bypasses(world, direction));
    lines.extend(source_check(eni));
    lines.extend(platform(world, direction));
    lines.extend(intra_group(world, eni));
    lines.extend(rules(world, eni, direction));
    lines.push(default(world, eni, direction));
    for (position, line) in (1..).zip(&mut lines) {
        line.position = position;
    }
    lines
}

/// A line that matches everything, to be narrowed.
fn line(kind: LineKind, action: Action, description: &str) -> Line {
    let all = || ALL.to_owned();
    Line {
        position: 0,
        kind,
        group: None,
        rule: None,
        action,
        priority: None,
        protocol: all(),
        ports: all(),
        source_ports: all(),
        peer: all(),
        local: all(),
        description: description.to_owned(),
    }
}

/// What an interface whose sender is checked may not say by discovery (RFC 6105).
fn no_router(eni: &Eni, direction: Direction) -> Option<Line> {
    let line = line(LineKind::SourceCheck, Action::Deny, NO_ROUTER);
    is_held_to_itself(eni, direction).then(|| Line {
        protocol: "icmpv6".to_owned(),
        ports: "types 134, 137".to_owned(),
        ..line
    })
}

fn is_held_to_itself(eni: &Eni, direction: Direction) -> bool {
    direction == Direction::Egress && eni.source_check
}

/// Why discovery of these kinds does not leave.
pub(crate) const NO_ROUTER: &str =
    "router advertisements and redirects: an interface whose source is checked is no router";

/// What passes in every VPC and is not in the operator's list (design, section 3, step 1).
fn always_passing(eni: &Eni, direction: Direction) -> [Line; 2] {
    let always = match is_held_to_itself(eni, direction) {
        true => "passes as far as it says nothing of others",
        false => "always passes",
    };
    let passing = |what| line(LineKind::Bypass, Action::Allow, &format!("{what}, {always}"));
    let (arp, discovery) = (passing("address resolution"), passing("IPv6 neighbour and router discovery"));
    [
        Line { protocol: "arp".to_owned(), ..arp },
        Line { protocol: "icmpv6".to_owned(), ports: "types 130-137, 143".to_owned(), ..discovery },
    ]
}

fn bypasses(world: &World, direction: Direction) -> Vec<Line> {
    let entries = world.bypass().entries().iter().filter(|entry| entry.direction == direction);
    let bypass =
        |entry: &BypassEntry| said(world, &entry.as_rule(), line(LineKind::Bypass, Action::Allow, "bypass set"));
    entries.map(bypass).collect()
}

fn source_check(eni: &Eni) -> Option<Line> {
    let own = eni.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    eni.source_check.then(|| Line {
        local: format!("not {own}"),
        ..line(LineKind::SourceCheck, Action::Deny, "only the interface's own addresses may be used")
    })
}

fn platform(world: &World, direction: Direction) -> impl Iterator<Item = Line> {
    world.platform().active(direction).flat_map(|policy| {
        let whole =
            line(LineKind::Platform, policy.action(), &format!("platform policy {policy}: {}", policy.purpose()));
        match policy {
            PlatformPolicy::Mail => vec![Line {
                protocol: "tcp".to_owned(),
                ports: MAIL_PORT.to_string(),
                peer: "outside the VPC".to_owned(),
                ..whole
            }],
            PlatformPolicy::CloudServices | PlatformPolicy::DhcpServers => {
                policy.rules().iter().map(|spec| said(world, spec, whole.clone())).collect()
            }
        }
    })
}

/// The groups of an ENI whose members let each other in, by id.
pub(crate) fn accepting<'a>(world: &'a World, eni: &Eni) -> Vec<&'a Group> {
    let mut accepting: Vec<&Group> =
        eni.groups.iter().filter_map(|id| world.group(id)).map(|group| &**group).collect();
    accepting.retain(|group| group.accepts_inner());
    accepting.sort_by(|one, other| one.id.cmp(&other.id));
    accepting
}

fn intra_group(world: &World, eni: &Eni) -> Vec<Line> {
    let lines = accepting(world, eni).into_iter().map(|group| Line {
        group: Some(group_name(world, &group.id)),
        peer: format!("group {}", text::named(group.id.as_str(), &group.name)),
        ..line(LineKind::IntraGroup, Action::Allow, "intra-group accept")
    });
    lines.collect()
}

/// The rules of all groups of an ENI, in decision order.
pub(crate) fn merged<'a>(world: &'a World, eni: &Eni, direction: Direction) -> Vec<(&'a Group, &'a Rule)> {
    let groups = eni.groups.iter().filter_map(|id| world.group(id));
    let mut merged: Vec<(&Group, &Rule)> = groups
        .flat_map(|group| group.rules.values().map(move |rule| (&**group, &**rule)))
        .filter(|(_, rule)| rule.spec.direction == direction)
        .collect();
    merged.sort_by(|(group, rule), (other_group, other_rule)| {
        let order = rule::order(group.flavor, &group.id, rule);
        order.cmp(&rule::order(other_group.flavor, &other_group.id, other_rule))
    });
    merged
}

fn rules(world: &World, eni: &Eni, direction: Direction) -> Vec<Line> {
    merged(world, eni, direction).into_iter().map(|(group, rule)| rule_line(world, group, rule)).collect()
}

fn rule_line(world: &World, group: &Group, rule: &Rule) -> Line {
    let priority = match group.flavor {
        Flavor::EcsBasic | Flavor::EcsEnterprise => Some(rule.spec.priority),
        Flavor::Ec2 => None,
    };
    Line {
        group: Some(group_name(world, &group.id)),
        rule: Some(rule.id.clone()),
        priority,
        ..said(world, &rule.spec, line(LineKind::Rule, rule.spec.action, &rule.description))
    }
}

/// The packets that a rule speaks about, in a line of another kind.
fn said(world: &World, spec: &RuleSpec, line: Line) -> Line {
    Line {
        protocol: spec.protocol.to_string(),
        ports: text::service(&spec.service),
        source_ports: text::ports(spec.source_ports),
        peer: text::peer(world, &spec.peer),
        local: text::local(spec.local),
        ..line
    }
}

fn default(world: &World, eni: &Eni, direction: Direction) -> Line {
    let action = verdict::default_action(world.flavor_of(eni), direction);
    line(LineKind::Default, action, "default: nothing above matched")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::why::tests::two_tiers;

    fn table(lines: &[Line]) -> String {
        let row = |line: &Line| {
            let group = line.group.as_ref().map_or("-", |group| group.name.as_str());
            let priority = line.priority.map_or_else(|| "-".to_owned(), |priority| priority.to_string());
            let Line { position, kind, action, protocol, ports, source_ports, peer, local, .. } = line;
            format!(
                "{position} {kind:?} {group} {action} {priority} {protocol} {ports} {source_ports} {peer} {local}"
            )
        };
        lines.iter().map(row).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn hidden_lines_come_first_and_the_default_last() {
        let world = two_tiers();
        let report = show(&world, "i-db").unwrap();
        expect![[r#"
            1 Bypass - allow - arp all all all all
            2 Bypass - allow - icmpv6 types 130-137, 143 all all all
            3 Bypass - allow - udp 68 67 0.0.0.0/0 all
            4 Bypass - allow - udp 546 547 fe80::/10 all
            5 SourceCheck - deny - all all all all not 10.1.0.1, fd00::1
            6 IntraGroup db allow - all all all group sg-db (db) all
            7 Rule db deny 1 tcp 22 all 0.0.0.0/0 all
            8 Rule db allow 1 tcp 5432 all group sg-web (web) all
            9 Rule db allow 1 tcp 22 all 0.0.0.0/0 all
            10 Default - deny - all all all all all"#]]
        .assert_eq(&table(&report.ingress));
        expect![[r#"
            1 SourceCheck - deny - icmpv6 types 134, 137 all all all
            2 Bypass - allow - arp all all all all
            3 Bypass - allow - icmpv6 types 130-137, 143 all all all
            4 Bypass - allow - udp 67 68 0.0.0.0/0 all
            5 Bypass - allow - udp 547 546 ::/0 all
            6 SourceCheck - deny - all all all all not 10.1.0.1, fd00::1
            7 Platform - deny - udp 68 67 0.0.0.0/0 all
            8 Platform - deny - udp 546 547 ::/0 all
            9 IntraGroup db allow - all all all group sg-db (db) all
            10 Default - allow - all all all all all"#]]
        .assert_eq(&table(&report.egress));
    }

    #[test]
    fn an_instance_is_its_primary_interface() {
        let world = two_tiers();
        assert_eq!(show(&world, "i-db"), show(&world, "eni-db"));
    }

    #[test]
    fn what_does_not_exist_is_named() {
        let error = show(&two_tiers(), "i-nobody").unwrap_err();
        assert!(error.to_string().contains("`i-nobody`"), "{error}");
    }
}
