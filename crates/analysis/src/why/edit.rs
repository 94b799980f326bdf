//! Changes of a policy as a question proposes them: the command that carries one out, what it speaks about, and its words in the
//! API of the account that it is for.

use sekimori_core::{
    address::{Cidr, Family},
    command::{AclCommand, Command, NewRule, Revocation, RuleEdit},
    ids::{AccountId, EniId, GroupId, NetworkAclId, VpcId},
    network_acl::AclEntry,
    platform::PlatformPolicy,
    rule::{Action, Direction, Peer, PortRange, Protocol, Rule, RuleSpec, Service, ec2},
    space::{Set, TooComplex, resolve::Reader},
    world::{Dialect, Flavor, InnerAccess, World},
};

use crate::text;

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Edit {
    Authorize {
        account: AccountId,
        group: GroupId,
        rule: NewRule,
    },
    Revoke {
        account: AccountId,
        group: GroupId,
        rule: Rule,
    },
    /// Another priority for a rule that is there (ECS).
    Move {
        account: AccountId,
        group: GroupId,
        rule: Rule,
        priority: u8,
    },
    InnerDrop {
        account: AccountId,
        group: GroupId,
    },
    PutEntry {
        account: AccountId,
        acl: NetworkAclId,
        entry: AclEntry,
    },
    DeleteEntry {
        account: AccountId,
        acl: NetworkAclId,
        entry: AclEntry,
    },
    Platform {
        policy: PlatformPolicy,
    },
}

const BOTH_WAYS: [Direction; 2] = [Direction::Ingress, Direction::Egress];

impl Edit {
    pub(super) fn command(&self) -> Command {
        let entry = |account: &AccountId, command| Command::NetworkAcl { account: account.clone(), command };
        match self.clone() {
            Self::Authorize { account, group, rule } => Command::Authorize { account, group, rules: vec![rule] },
            Self::Revoke { account, group, rule } => {
                let (direction, rules) = (rule.spec.direction, Revocation::Ids(vec![rule.id]));
                Command::Revoke { account, group, direction, rules }
            }
            Self::Move { account, group, rule, priority } => {
                let edit = Box::new(RuleEdit { priority: Some(priority), ..RuleEdit::default() });
                Command::EditRule { account, group, direction: rule.spec.direction, rule: rule.id, edit }
            }
            Self::InnerDrop { account, group } => {
                Command::SetInnerAccess { account, group, inner_access: InnerAccess::Drop }
            }
            Self::PutEntry { account, acl, entry: new } => {
                entry(&account, AclCommand::PutEntry { acl, entry: new, is_new: true })
            }
            Self::DeleteEntry { account, acl, entry: old } => {
                let (direction, number) = old.place();
                entry(&account, AclCommand::DeleteEntry { acl, direction, number })
            }
            Self::Platform { policy } => Command::SetPlatform { policy, is_on: false },
        }
    }

    pub(super) fn directions(&self) -> Vec<Direction> {
        match self {
            Self::Authorize { rule, .. } => vec![rule.spec.direction],
            Self::Revoke { rule, .. } | Self::Move { rule, .. } => vec![rule.spec.direction],
            Self::InnerDrop { .. } => BOTH_WAYS.to_vec(),
            Self::PutEntry { entry, .. } | Self::DeleteEntry { entry, .. } => vec![entry.spec.direction],
            Self::Platform { policy } => vec![policy.direction()],
        }
    }

    /// The interfaces for which it may decide something.
    pub(super) fn interfaces(&self, world: &World) -> Vec<EniId> {
        match self {
            Self::Authorize { group, .. }
            | Self::Revoke { group, .. }
            | Self::Move { group, .. }
            | Self::InnerDrop { group, .. } => world.members(group).map(|eni| eni.id.clone()).collect(),
            Self::PutEntry { acl, .. } | Self::DeleteEntry { acl, .. } => {
                let acl = world.network_acl(acl);
                acl.iter().flat_map(|acl| world.enis_behind(acl)).map(|eni| eni.id.clone()).collect()
            }
            Self::Platform { .. } => world.enis().map(|eni| eni.id.clone()).collect(),
        }
    }

    /// The packets that it speaks about, at interfaces of a VPC. No others are decided otherwise because of it.
    pub(super) fn packets(&self, world: &World, vpc: &VpcId, direction: Direction) -> Result<Set, TooComplex> {
        let reader = Reader::new(world, vpc, []);
        match self {
            Self::Authorize { rule, .. } => reader.rule(&rule.spec),
            Self::Revoke { rule, .. } | Self::Move { rule, .. } => reader.rule(&rule.spec),
            Self::InnerDrop { group, .. } => reader.members(direction, group),
            Self::PutEntry { entry, .. } | Self::DeleteEntry { entry, .. } => reader.rule(&entry.spec),
            Self::Platform { policy } => reader.platform(*policy),
        }
    }

    /// What it does, for people.
    pub(super) fn says(&self, world: &World) -> String {
        let named = |id: &GroupId| {
            let name = world.group(id).map(|group| group.name.clone()).unwrap_or_default();
            text::named(id.as_str(), &name)
        };
        let flavor = |id: &GroupId| world.group(id).map(|group| group.flavor);
        match self {
            Self::Authorize { group, rule, .. } => {
                let said = flavor(group).map(|flavor| text::spec(world, flavor, &rule.spec)).unwrap_or_default();
                format!("add to {}: {said}", named(group))
            }
            Self::Revoke { group, rule, .. } => {
                let said = flavor(group).map(|flavor| text::rule(world, flavor, rule)).unwrap_or_default();
                format!("revoke rule {} of {}: {said}", rule.id, named(group))
            }
            Self::Move { group, rule, priority, .. } => {
                let said = flavor(group).map(|flavor| text::rule(world, flavor, rule)).unwrap_or_default();
                let (id, old) = (&rule.id, rule.spec.priority);
                format!("change the priority of rule {id} of {} from {old} to {priority}: {said}", named(group))
            }
            Self::InnerDrop { group, .. } => format!("members of {} do not accept each other any more", named(group)),
            Self::PutEntry { acl, entry, .. } => {
                format!("add entry {} to network ACL {acl}: {}", entry.number, said(entry))
            }
            Self::DeleteEntry { acl, entry, .. } => {
                format!("delete entry {} of network ACL {acl}: {}", entry.number, said(entry))
            }
            Self::Platform { policy } => format!("turn platform policy {policy} off"),
        }
    }

    /// The command line that makes the change through the API of the account's dialect.
    pub(super) fn command_line(&self, world: &World) -> String {
        match self {
            Self::Authorize { account, group, rule } => match world.dialect_of(account) {
                Dialect::Ecs => ecs_authorize(world, group, &rule.spec),
                Dialect::Ec2 => {
                    let (way, permission) = (rule.spec.direction, permission(account, &rule.spec));
                    format!(
                        "aws ec2 authorize-security-group-{way} --group-id {group} --ip-permissions '{permission}'"
                    )
                }
            },
            Self::Revoke { account, group, rule } => {
                let way = rule.spec.direction;
                match world.dialect_of(account) {
                    Dialect::Ecs => {
                        let call = by_direction(way, ["RevokeSecurityGroup", "RevokeSecurityGroupEgress"]);
                        format!("{} --SecurityGroupRuleId.1 {}", ecs(world, group, call), rule.id)
                    }
                    Dialect::Ec2 => format!(
                        "aws ec2 revoke-security-group-{way} --group-id {group} --security-group-rule-ids {}",
                        rule.id
                    ),
                }
            }
            Self::Move { group, rule, priority, .. } => {
                let calls = ["ModifySecurityGroupRule", "ModifySecurityGroupEgressRule"];
                let call = ecs(world, group, by_direction(rule.spec.direction, calls));
                format!("{call} --SecurityGroupRuleId {} --Priority {priority}", rule.id)
            }
            Self::InnerDrop { group, .. } => {
                format!("{} --InnerAccessPolicy Drop", ecs(world, group, "ModifySecurityGroupPolicy"))
            }
            Self::PutEntry { acl, entry, .. } => {
                format!(
                    "aws ec2 create-network-acl-entry --network-acl-id {acl} {} {}",
                    place(entry),
                    entry_words(entry)
                )
            }
            Self::DeleteEntry { acl, entry, .. } => {
                format!("aws ec2 delete-network-acl-entry --network-acl-id {acl} {}", place(entry))
            }
            Self::Platform { policy } => format!("sekimori platform set {policy} off"),
        }
    }
}

fn said(entry: &AclEntry) -> String {
    // An entry names no group and no list, so no world is asked for names.
    text::spec(&World::default(), Flavor::Ec2, &entry.spec)
}

fn by_direction<T: Copy>(direction: Direction, [ingress, egress]: [T; 2]) -> T {
    match direction {
        Direction::Ingress => ingress,
        Direction::Egress => egress,
    }
}

fn ecs(world: &World, group: &GroupId, call: &str) -> String {
    let region = world.group(group).and_then(|group| world.vpc(&group.vpc)).map(|vpc| vpc.region.clone());
    format!("aliyun ecs {call} --RegionId {} --SecurityGroupId {group}", region.unwrap_or_default())
}

/// The protocols that ECS has names for.
fn ecs_protocol(protocol: Protocol) -> Option<&'static str> {
    match protocol {
        Protocol::Any => Some("ALL"),
        Protocol::TCP => Some("TCP"),
        Protocol::UDP => Some("UDP"),
        Protocol::ICMP => Some("ICMP"),
        Protocol::ICMPV6 => Some("ICMPv6"),
        Protocol::GRE => Some("GRE"),
        Protocol::Number(_) => None,
    }
}

/// Whether the API of a dialect has words for a protocol.
pub(super) fn can_name(dialect: Dialect, protocol: Protocol) -> bool {
    match dialect {
        Dialect::Ecs => ecs_protocol(protocol).is_some(),
        Dialect::Ec2 => true,
    }
}

fn ecs_authorize(world: &World, group: &GroupId, spec: &RuleSpec) -> String {
    let way = spec.direction;
    let call = by_direction(way, ["AuthorizeSecurityGroup", "AuthorizeSecurityGroupEgress"]);
    let policy = match spec.action {
        Action::Allow => "accept",
        Action::Deny => "drop",
    };
    let mut words = vec![
        ("IpProtocol", ecs_protocol(spec.protocol).unwrap_or("ALL").to_owned()),
        ("PortRange", slashed(ports_of(&spec.service))),
    ];
    words.extend(spec.source_ports.map(|ports| ("SourcePortRange", slashed(Some(ports)))));
    let [theirs, ours] = by_direction(way, [["Source", "Dest"], ["Dest", "Source"]]);
    let block = |end: &str, cidr: &Cidr| {
        let name = match (end, cidr.family()) {
            ("Source", Family::V4) => "SourceCidrIp",
            ("Source", Family::V6) => "Ipv6SourceCidrIp",
            (_, Family::V4) => "DestCidrIp",
            (_, Family::V6) => "Ipv6DestCidrIp",
        };
        (name, cidr.to_string())
    };
    match &spec.peer {
        Peer::Cidr(cidr) => words.push(block(theirs, cidr)),
        Peer::PrefixList(id) => {
            words.push((by_direction(way, ["SourcePrefixListId", "DestPrefixListId"]), id.to_string()));
        }
        Peer::Group { group: peer, account } => {
            words.push((by_direction(way, ["SourceGroupId", "DestGroupId"]), peer.to_string()));
            if world.group(group).is_some_and(|group| group.account != *account) {
                words.push((by_direction(way, ["SourceGroupOwnerId", "DestGroupOwnerId"]), account.to_string()));
            }
        }
    }
    words.extend(spec.local.as_ref().map(|cidr| block(ours, cidr)));
    words.extend([("Policy", policy.to_owned()), ("Priority", spec.priority.to_string())]);
    let words: Vec<String> =
        words.into_iter().map(|(name, value)| format!("--Permissions.1.{name} {value}")).collect();
    format!("{} {}", ecs(world, group, call), words.join(" "))
}

fn ports_of(service: &Service) -> Option<PortRange> {
    match service {
        Service::Ports(range) => Some(*range),
        Service::Any | Service::PortList(_) | Service::Icmp { .. } => None,
    }
}

/// `443/443`, or `-1/-1` for what has no ports.
fn slashed(ports: Option<PortRange>) -> String {
    ports.map_or_else(|| "-1/-1".to_owned(), |range| format!("{}/{}", range.first(), range.last()))
}

/// A rule in the shorthand of the AWS command line.
fn permission(account: &AccountId, spec: &RuleSpec) -> String {
    let mut words = vec![format!("IpProtocol={}", ec2::protocol(spec.protocol))];
    words.extend(match &spec.service {
        Service::Ports(range) => vec![format!("FromPort={},ToPort={}", range.first(), range.last())],
        Service::Icmp { kind, code } => {
            vec![format!("FromPort={kind},ToPort={}", code.map_or(-1, i32::from))]
        }
        Service::Any if spec.protocol.has_ports() => vec!["FromPort=0,ToPort=65535".to_owned()],
        Service::Any if matches!(spec.protocol, Protocol::ICMP | Protocol::ICMPV6) => {
            vec!["FromPort=-1,ToPort=-1".to_owned()]
        }
        Service::Any | Service::PortList(_) => Vec::new(),
    });
    words.push(match &spec.peer {
        Peer::Cidr(cidr) => match cidr.family() {
            Family::V4 => format!("IpRanges=[{{CidrIp={cidr}}}]"),
            Family::V6 => format!("Ipv6Ranges=[{{CidrIpv6={cidr}}}]"),
        },
        Peer::PrefixList(id) => format!("PrefixListIds=[{{PrefixListId={id}}}]"),
        Peer::Group { group, account: owner } if owner == account => {
            format!("UserIdGroupPairs=[{{GroupId={group}}}]")
        }
        Peer::Group { group, account: owner } => format!("UserIdGroupPairs=[{{GroupId={group},UserId={owner}}}]"),
    });
    words.join(",")
}

/// Direction and number of an entry.
fn place(entry: &AclEntry) -> String {
    format!("--{} --rule-number {}", entry.spec.direction, entry.number)
}

fn entry_words(entry: &AclEntry) -> String {
    let spec = &entry.spec;
    let mut words = vec![format!("--protocol {}", ec2::protocol_number(spec.protocol))];
    words.extend(
        ports_of(&spec.service).map(|range| format!("--port-range From={},To={}", range.first(), range.last())),
    );
    words.extend(match (&spec.service, spec.protocol) {
        (Service::Icmp { kind, code }, _) => {
            Some(format!("--icmp-type-code Type={kind},Code={}", code.map_or(-1, i32::from)))
        }
        (Service::Any, Protocol::ICMP | Protocol::ICMPV6) => Some("--icmp-type-code Type=-1,Code=-1".to_owned()),
        (Service::Any | Service::Ports(_) | Service::PortList(_), _) => None,
    });
    words.extend(match &spec.peer {
        Peer::Cidr(cidr) => Some(match cidr.family() {
            Family::V4 => format!("--cidr-block {cidr}"),
            Family::V6 => format!("--ipv6-cidr-block {cidr}"),
        }),
        Peer::PrefixList(_) | Peer::Group { .. } => None,
    });
    words.push(format!("--rule-action {}", spec.action));
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use sekimori_core::limits::LimitMode;

    use crate::{
        fixture,
        why::{Goal, Question, explain},
    };

    #[test]
    fn the_api_of_ec2_is_given_numbers_where_it_has_no_names() {
        let world = fixture::world(
            "
            ec2
            sg web ec2
            eni a 10.1.0.2 in web
            eni b 10.1.0.3 in web",
        );
        for (service, protocol) in [("gre", "47"), ("47", "47"), ("132", "132"), ("1", "icmp"), ("TCP/80", "tcp")] {
            let ends = ("i-a".to_owned(), "i-b".to_owned());
            let question = Question { from: ends.0, to: ends.1, service: service.to_owned(), ..Question::default() };
            let change = explain(&world, &question, Goal::Allow, LimitMode::Cloud).unwrap().change.unwrap();
            assert_eq!(change.steps.len(), 2, "{service}: {change:?}");
            let said = format!(" --ip-permissions 'IpProtocol={protocol},");
            assert!(change.steps.iter().all(|step| step.command.contains(&said)), "{service}: {change:?}");
        }
    }
}
