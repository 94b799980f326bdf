//! A remedy in the words of the clouds' own command lines.

use serde_json::{Value, json};

use sekimori_core::{
    command::NewRule,
    ids::RuleId,
    network_acl::{AclEntry, NetworkAcl},
    rule::{Direction, Peer, PortRange, Protocol, Rule, RuleSpec, Service, ec2},
    time::Timestamp,
    world::{Flavor, Group, World},
};

use crate::transfer::columns;

/// The commands that add rules to a group and take others from it. Adding comes first: whoever types them is not locked out
/// in between.
pub(super) fn of_rules(world: &World, group: &Group, added: &[NewRule], removed: &[&Rule]) -> Vec<String> {
    let mut words = Vec::new();
    for direction in [Direction::Ingress, Direction::Egress] {
        let added: Vec<&NewRule> = added.iter().filter(|rule| rule.spec.direction == direction).collect();
        let removed = removed.iter().filter(|rule| rule.spec.direction == direction);
        let removed: Vec<&RuleId> = removed.map(|rule| &rule.id).collect();
        match group.flavor {
            Flavor::Ec2 => words.extend(aws(group, direction, &added, &removed)),
            Flavor::EcsBasic | Flavor::EcsEnterprise => {
                words.extend(aliyun(world, group, direction, &added, &removed));
            }
        }
    }
    words
}

fn aws(group: &Group, direction: Direction, added: &[&NewRule], removed: &[&RuleId]) -> Vec<String> {
    let mut words = Vec::new();
    if !added.is_empty() {
        let permissions: Vec<Value> = added.iter().map(|rule| permission(rule)).collect();
        let permissions = quoted(&Value::from(permissions).to_string());
        words.push(format!(
            "aws ec2 authorize-security-group-{direction} --group-id {} --ip-permissions {permissions}",
            group.id
        ));
    }
    if !removed.is_empty() {
        let ids = removed.iter().map(|id| id.as_str()).collect::<Vec<_>>().join(" ");
        words.push(format!(
            "aws ec2 revoke-security-group-{direction} --group-id {} --security-group-rule-ids {ids}",
            group.id
        ));
    }
    words
}

/// A rule as `IpPermissions` has it (`spec/ec2.md` A1).
fn permission(rule: &NewRule) -> Value {
    let NewRule { spec, description, .. } = rule;
    let mut permission = json!({ "IpProtocol": ec2::protocol(spec.protocol) });
    if let Some((from, to)) = ports(spec) {
        permission["FromPort"] = json!(from);
        permission["ToPort"] = json!(to);
    }
    let (key, mut source) = match &spec.peer {
        Peer::Cidr(cidr) if cidr.family() == sekimori_core::address::Family::V4 => {
            ("IpRanges", json!({ "CidrIp": cidr.canonical() }))
        }
        Peer::Cidr(cidr) => ("Ipv6Ranges", json!({ "CidrIpv6": cidr.canonical() })),
        Peer::PrefixList(id) => ("PrefixListIds", json!({ "PrefixListId": id })),
        Peer::Group { group, account } => ("UserIdGroupPairs", json!({ "GroupId": group, "UserId": account })),
    };
    if !description.is_empty() {
        source["Description"] = json!(description);
    }
    permission[key] = json!([source]);
    permission
}

fn ports(spec: &RuleSpec) -> Option<(i32, i32)> {
    let range = |range: PortRange| (i32::from(range.first()), i32::from(range.last()));
    match &spec.service {
        Service::Ports(own) => Some(range(*own)),
        Service::Icmp { kind, code } => Some((i32::from(*kind), code.map_or(-1, i32::from))),
        Service::Any | Service::PortList(_) => match spec.protocol {
            Protocol::TCP | Protocol::UDP => Some(range(PortRange::ALL)),
            Protocol::ICMP | Protocol::ICMPV6 => Some((-1, -1)),
            Protocol::Any | Protocol::Number(_) => None,
        },
    }
}

fn aliyun(
    world: &World,
    group: &Group,
    direction: Direction,
    added: &[&NewRule],
    removed: &[&RuleId],
) -> Vec<String> {
    let suffix = match direction {
        Direction::Ingress => "",
        Direction::Egress => "Egress",
    };
    let region = world.vpc(&group.vpc).map(|vpc| vpc.region.as_str()).unwrap_or_default();
    let call = |name: &str| format!("aliyun ecs {name}{suffix} --RegionId {region} --SecurityGroupId {}", group.id);
    let mut words = Vec::new();
    if !added.is_empty() {
        let rules = (1_usize..).zip(added).flat_map(|(number, rule)| {
            let rule = Rule {
                id: RuleId::from(""),
                spec: rule.spec.clone(),
                description: rule.description.clone(),
                tags: rule.tags.clone(),
                created_at: Timestamp(0),
            };
            let named = columns(&rule, group).filter(|(name, _)| *name != "Direction");
            named.map(move |(name, text)| format!(" --Permissions.{number}.{name} {}", quoted(&text)))
        });
        words.push(call("AuthorizeSecurityGroup") + &rules.collect::<String>());
    }
    if !removed.is_empty() {
        let ids = (1_usize..).zip(removed).map(|(number, id)| format!(" --SecurityGroupRuleId.{number} {id}"));
        words.push(call("RevokeSecurityGroup") + &ids.collect::<String>());
    }
    words
}

/// The command that puts an entry of a network ACL in the place of another.
pub(super) fn replaced_entry(acl: &NetworkAcl, entry: &AclEntry) -> String {
    let AclEntry { number, spec } = entry;
    let range = match &spec.service {
        Service::Ports(range) => format!(" --port-range From={},To={}", range.first(), range.last()),
        Service::Icmp { kind, code } => {
            format!(" --icmp-type-code Type={kind},Code={}", code.map_or(-1, i32::from))
        }
        Service::Any | Service::PortList(_) => String::new(),
    };
    let block = match &spec.peer {
        Peer::Cidr(cidr) if cidr.family() == sekimori_core::address::Family::V6 => {
            format!("--ipv6-cidr-block {cidr}")
        }
        Peer::Cidr(cidr) => format!("--cidr-block {cidr}"),
        Peer::PrefixList(_) | Peer::Group { .. } => String::new(),
    };
    format!(
        "aws ec2 replace-network-acl-entry --network-acl-id {} --{} --rule-number {number} --protocol {} --rule-action {} \
         {block}{range}",
        acl.id,
        spec.direction,
        ec2::protocol_number(spec.protocol),
        spec.action
    )
}

/// The command that deletes an entry of a network ACL.
pub(super) fn deleted_entry(acl: &NetworkAcl, entry: &AclEntry) -> String {
    let AclEntry { number, spec } = entry;
    format!(
        "aws ec2 delete-network-acl-entry --network-acl-id {} --{} --rule-number {number}",
        acl.id, spec.direction
    )
}

/// The command that deletes a group.
pub(super) fn deleted_group(group: &Group) -> String {
    format!("aws ec2 delete-security-group --group-id {}", group.id)
}

/// A word as a shell takes it unchanged.
fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:,=".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_cannot_leave_its_quotes() {
        assert_eq!(quoted("10.0.0.0/8"), "10.0.0.0/8");
        assert_eq!(quoted("it's $(rm)"), "'it'\\''s $(rm)'");
        assert_eq!(quoted(""), "''");
    }
}
