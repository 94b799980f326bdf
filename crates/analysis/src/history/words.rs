//! What a fact says from a change on, as far as people decide by it: a reader of the log should not have to ask for the world of the
//! time to know what was done.

use sekimori_core::{
    bypass::BypassEntry,
    change::Change,
    ids::GroupId,
    platform::{Platform, PlatformPolicy},
    rule::Rule,
    tags::Tags,
    world::{Account, Eni, Flavor, Group, InnerAccess, Instance, Subnet, Vpc, World},
};

use crate::{services::shortened, text};

/// Entries of a list, of the bypass set or of a network ACL that are told one by one.
const ENTRIES_MAX: usize = 20;

/// The words for a change; what says no more than that it is has none, and neither has what is gone.
#[expect(clippy::wildcard_enum_match_arm, reason = "the other facts say no more than which they are")]
pub(super) fn words(world: &World, change: &Change) -> Option<String> {
    // A group that is gone by now: without the words that only one cloud has.
    let flavor = |group: &GroupId| world.group(group).map_or(Flavor::Ec2, |group| group.flavor);
    let rule_words =
        |group, rule: &Rule| format!("{}: {}", rule.spec.direction, text::rule(world, flavor(group), rule));
    let said = match change {
        Change::PutRule { group, rule } => rule_words(group, rule),
        Change::PutGroup(group) => group_words(group),
        Change::PutEni(eni) => eni_words(eni),
        Change::PutInstance(instance) => instance_words(instance),
        Change::PutAccount(account) => account_words(account),
        Change::PutVpc(vpc) => vpc_words(vpc),
        Change::PutSubnet(subnet) => subnet_words(subnet),
        Change::PutBypass(bypass) => entries(bypass.entries().iter().map(bypassed)),
        Change::PutPlatform(platform) => platform_words(*platform),
        Change::PutNetworkAcl(acl) => {
            let said = acl.entries.iter().map(|entry| {
                let said = text::spec(world, Flavor::Ec2, &entry.spec);
                format!("{} {} {said}", entry.spec.direction, entry.number)
            });
            entries(said)
        }
        Change::PutPrefixList(list) => {
            let blocks = entries(list.entries.iter().map(|entry| entry.cidr.to_string()));
            join([list.name.clone(), blocks])
        }
        Change::PutPortList(list) => {
            let ports = entries(list.entries.iter().map(|entry| text::ports(Some(entry.ports))));
            join([list.name.clone(), ports])
        }
        Change::PutPeering(peering) => {
            format!("{} with {}, {}", peering.requester.vpc, peering.accepter.vpc, peering.status)
        }
        Change::PutShadow(shadow) => entries(shadow.rules.iter().map(|rule| rule_words(&shadow.group, rule))),
        Change::PutInvariant(invariant) => {
            let violation = invariant.violation.as_ref();
            let violated = violation.map(|violation| format!("; violated: {}", violation.witness));
            format!("{}{}", invariant.statement, violated.unwrap_or_default())
        }
        _ => String::new(),
    };
    Some(said).filter(|said| !said.is_empty())
}

fn join(parts: impl IntoIterator<Item = String>) -> String {
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

/// Some entries one by one; none are told as that.
fn entries(all: impl Iterator<Item = String>) -> String {
    let all: Vec<String> = all.collect();
    if all.is_empty() { "no entries".to_owned() } else { shortened(all, ENTRIES_MAX).join("; ") }
}

fn bypassed(entry: &BypassEntry) -> String {
    format!("{}: {}", entry.direction, text::bypass(entry))
}

fn tags(tags: &Tags) -> String {
    let all: Vec<String> = tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
    if all.is_empty() { String::new() } else { format!("tags {}", all.join(" ")) }
}

fn platform_words(platform: Platform) -> String {
    let state = |policy: PlatformPolicy| format!("{policy} {}", if platform.has(policy) { "on" } else { "off" });
    PlatformPolicy::ALL.map(state).join(", ")
}

fn group_words(group: &Group) -> String {
    let inner = match (group.flavor, group.inner_access) {
        (Flavor::Ec2, _) => "",
        (Flavor::EcsBasic | Flavor::EcsEnterprise, InnerAccess::Accept) => "members accept each other",
        (Flavor::EcsBasic | Flavor::EcsEnterprise, InnerAccess::Drop) => "members do not accept each other",
    };
    join([group.name.clone(), inner.to_owned(), tags(&group.tags)])
}

fn eni_words(eni: &Eni) -> String {
    let groups: Vec<&str> = eni.groups.iter().map(|group| group.as_str()).collect();
    let addresses: Vec<String> = eni.addresses.iter().map(ToString::to_string).collect();
    join([
        eni.name.clone(),
        format!("in {}", groups.join(", ")),
        format!("at {}", addresses.join(" ")),
        eni.instance.as_ref().map(|instance| format!("of {instance}")).unwrap_or_default(),
        eni.binding.as_ref().map(|binding| format!("bound to {binding}")).unwrap_or_default(),
        if eni.source_check { String::new() } else { "source check off".to_owned() },
        eni.treatment.map(|treatment| format!("treatment {}", text::treatment(treatment))).unwrap_or_default(),
        tags(&eni.tags),
    ])
}

fn instance_words(instance: &Instance) -> String {
    join([instance.name.clone(), instance.state.to_string(), tags(&instance.tags)])
}

fn account_words(account: &Account) -> String {
    let treatment = account.treatment.map(|treatment| format!("treatment {}", text::treatment(treatment)));
    join([account.name.clone(), treatment.unwrap_or_default()])
}

fn vpc_words(vpc: &Vpc) -> String {
    let further = vpc.further.iter().map(ToString::to_string);
    let blocks = [vpc.cidr.to_string()].into_iter().chain(vpc.ipv6.map(|net| net.to_string())).chain(further);
    join([vpc.name.clone(), blocks.collect::<Vec<_>>().join(" "), tags(&vpc.tags)])
}

fn subnet_words(subnet: &Subnet) -> String {
    let blocks = [subnet.cidr.to_string()].into_iter().chain(subnet.ipv6.map(|net| net.to_string()));
    let acl = subnet.acl.as_ref().map(|acl| format!("network ACL {}", acl.acl));
    join([subnet.name.clone(), blocks.collect::<Vec<_>>().join(" "), acl.unwrap_or_default(), tags(&subnet.tags)])
}
