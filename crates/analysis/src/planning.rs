//! Planning checks: what the cloud's advice for production says about names, sharing, purposes and openness of groups.
//!
//! These are opinions, and every one can be set. Whether a port is open to the world is not: it is judged exactly,
//! against the rules that come before.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use sekimori_core::{
    address::{Cidr, Family},
    ids::GroupId,
    rule::{Action, Direction, Peer, PortRange, Protocol, Rule, Service},
    space::{Set, TooComplex, resolve::Reader},
    world::{Group, Revision, World},
};

use crate::{
    effective::{GroupName, group_name},
    portions::{Decider, Portions},
    text,
};

/// Words of a pattern, and of a name that is compared with it.
const NAME_PARTS_MAX: usize = 32;

/// What is advised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Advice {
    /// Parts with hyphens between them; a part in braces stands for any word.
    pub name_pattern: String,
    /// The tag that tells the environment of an instance.
    pub environment_tag: String,
    /// Ports that only administrators need.
    pub management_ports: BTreeSet<u16>,
    /// Rules of one group that are still easy to manage.
    pub rules_max: usize,
}

impl Default for Advice {
    fn default() -> Self {
        Self {
            name_pattern: "{environment}-{application}-{purpose}-sg".to_owned(),
            environment_tag: "env".to_owned(),
            management_ports: BTreeSet::from([22, 3389]),
            rules_max: 50,
        }
    }
}

/// What does not follow the advice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The revision of the world that was looked at.
    pub revision: Revision,
    /// How many groups were looked at.
    pub groups: usize,
    /// What was found, by group.
    pub findings: Vec<Finding>,
}

/// Something that does not follow the advice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The group.
    pub group: GroupName,
    /// Which advice.
    pub check: Check,
    /// What is so.
    pub what: String,
    /// What would be better.
    pub advice: String,
}

/// The checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// The name tells environment, application and purpose.
    Name,
    /// Production and test do not share a group.
    Environment,
    /// A group has one purpose.
    Purpose,
    /// Management ports are not open to the world.
    Management,
    /// There are not too many rules.
    Rules,
}

/// What ports are for.
const PURPOSES: [(&str, &[u16]); 5] = [
    ("web", &[80, 443, 8080, 8443]),
    ("database", &[1433, 1521, 3306, 5432, 5439, 27017]),
    ("cache", &[6379, 11211]),
    ("mail", &[25, 465, 587, 993]),
    ("file sharing", &[445, 2049]),
];

const PRODUCTION: [&str; 3] = ["prod", "production", "prd"];
const TEST: [&str; 7] = ["test", "testing", "dev", "development", "staging", "stage", "qa"];

/// Compares groups with the advice: one, or all.
///
/// # Errors
/// When the rules of a group are too many for an exact answer.
pub fn check(world: &World, group: Option<&GroupId>, advice: &Advice) -> Result<Report, TooComplex> {
    let wanted = |candidate: &&Group| group.is_none_or(|id| candidate.id == *id);
    let groups: Vec<&Group> = world.groups().map(|group| &**group).filter(wanted).collect();
    let mut findings = Vec::new();
    for group in &groups {
        let found = [
            name(group, advice),
            environment(world, group, advice),
            purpose(group),
            management(world, group, advice)?,
            rules(group, advice),
        ];
        let told = found.into_iter().flatten();
        findings.extend(told.map(|(check, what, advice)| Finding {
            group: group_name(world, &group.id),
            check,
            what,
            advice,
        }));
    }
    Ok(Report { revision: world.revision(), groups: groups.len(), findings })
}

type Found = Option<(Check, String, String)>;

fn name(group: &Group, advice: &Advice) -> Found {
    let Advice { name_pattern, .. } = advice;
    if fits(name_pattern, &group.name) {
        return None;
    }
    let what = format!("the name `{}` does not have the form {name_pattern}", group.name);
    Some((Check::Name, what, format!("name it by environment, application and purpose: {}", example(name_pattern))))
}

/// Whether a name has the parts of a pattern. A word is letters, digits and underscores.
fn fits(pattern: &str, name: &str) -> bool {
    let (wanted, found): (Vec<&str>, Vec<&str>) = (pattern.split('-').collect(), name.split('-').collect());
    let is_word = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_');
    let part = |(wanted, found): (&&str, &&str)| match wanted.strip_prefix('{').and_then(|it| it.strip_suffix('}')) {
        Some(_) => is_word(found),
        None => wanted == found,
    };
    wanted.len() <= NAME_PARTS_MAX && wanted.len() == found.len() && wanted.iter().zip(&found).all(part)
}

fn example(pattern: &str) -> String {
    pattern.replace("{environment}", "prod").replace("{application}", "mysql").replace("{purpose}", "db")
}

fn environment(world: &World, group: &Group, advice: &Advice) -> Found {
    let (mut production, mut test) = (BTreeSet::new(), BTreeSet::new());
    for instance in world.members(&group.id).filter_map(|eni| world.instance(eni.instance.as_ref()?)) {
        let value = instance.tags.get(&advice.environment_tag).map(str::to_ascii_lowercase).unwrap_or_default();
        if PRODUCTION.contains(&value.as_str()) {
            production.insert(instance.id.to_string());
        } else if TEST.contains(&value.as_str()) {
            test.insert(instance.id.to_string());
        }
    }
    let (Some(one), Some(other)) = (production.first(), test.first()) else { return None };
    let what = format!(
        "{} of production ({one}, …) and {} of test ({other}, …) share it, by tag `{}`",
        production.len(),
        test.len(),
        advice.environment_tag
    );
    Some((Check::Environment, what, "give production and test groups of their own: clone this one".to_owned()))
}

fn purpose(group: &Group) -> Found {
    let accepting = |rule: &&Rule| rule.spec.direction == Direction::Ingress && rule.spec.action == Action::Allow;
    let mut ports_by_purpose: BTreeMap<&str, BTreeSet<u16>> = BTreeMap::new();
    for rule in group.rules.values().map(|rule| &**rule).filter(accepting) {
        // A range over everything tells no purpose.
        let Service::Ports(range) = &rule.spec.service else { continue };
        for (purpose, ports) in PURPOSES.iter().filter(|_| *range != PortRange::ALL && range.first() > 1) {
            let named = ports.iter().copied().filter(|port| range.contains(*port));
            ports_by_purpose.entry(purpose).or_default().extend(named);
        }
    }
    ports_by_purpose.retain(|_, ports| !ports.is_empty());
    if ports_by_purpose.len() < 2 {
        return None;
    }
    let one = |(purpose, ports): (&&str, &BTreeSet<u16>)| {
        format!("{purpose} ({})", ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", "))
    };
    let what =
        format!("it serves several purposes: {}", ports_by_purpose.iter().map(one).collect::<Vec<_>>().join(", "));
    Some((Check::Purpose, what, "use one group for each purpose, and attach both where both are needed".to_owned()))
}

/// Management ports that a rule for the whole world opens, and what it opens is not denied before.
fn management(world: &World, group: &Group, advice: &Advice) -> Result<Found, TooComplex> {
    let portions = Portions::of(world, (std::slice::from_ref(&group.id), &group.vpc), Direction::Ingress)?;
    let mut open = Vec::new();
    for port in &advice.management_ports {
        for family in [Cidr::WORLD_V4, Cidr::WORLD_V6] {
            let Some(text) = opening(world, &portions, (*port, family))? else { continue };
            let whom = if family.family() == Family::V4 { "IPv4" } else { "IPv6" };
            open.push(format!("{port} to all of {whom} by {text}"));
        }
    }
    if open.is_empty() {
        return Ok(None);
    }
    let what = format!("management ports are open: {}", open.join("; "));
    let advice = "allow them from the addresses of administrators or a bastion only".to_owned();
    Ok(Some((Check::Management, what, advice)))
}

/// The rule for everyone that opens a port, if one does.
pub(crate) fn opening(world: &World, portions: &Portions, of: (u16, Cidr)) -> Result<Option<String>, TooComplex> {
    let (port, family) = of;
    let mut left: Set = Reader::everyone(Direction::Ingress, port, &family);
    for line in &portions.lines {
        if !left.meets(&line.matched) {
            continue;
        }
        if let Decider::Rule(group, id) = &line.decider
            && line.action == Action::Allow
            && let Some(rule) = world.group(group).and_then(|group| group.rules.get(id))
            && is_for_everyone(rule)
        {
            return Ok(Some(text::rule_of(world, group, id)));
        }
        left = left.difference(&line.matched)?;
    }
    Ok(None)
}

fn is_for_everyone(rule: &Rule) -> bool {
    let is_tcp = rule.spec.protocol == Protocol::TCP || rule.spec.protocol == Protocol::Any;
    match &rule.spec.peer {
        Peer::Cidr(cidr) => is_tcp && cidr.is_world(),
        Peer::PrefixList(_) | Peer::Group { .. } => false,
    }
}

fn rules(group: &Group, advice: &Advice) -> Found {
    let (count, most) = (group.rules.len(), advice.rules_max);
    if count <= most {
        return None;
    }
    let what = format!("it has {count} rules, more than {most}");
    let better = "delete what `sekimori health` finds, use prefix lists, or divide it by purpose".to_owned();
    Some((Check::Rules, what, better))
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::fixture;

    fn check_text(text: &str, advice: &Advice, expected: Expect) {
        let report = check(&fixture::world(text), None, advice).unwrap();
        let shown = |finding: &Finding| format!("{} {:?}: {}", finding.group.id, finding.check, finding.what);
        expected.assert_eq(&report.findings.iter().map(shown).collect::<Vec<_>>().join("\n"));
    }

    #[test]
    fn a_well_planned_group_has_no_findings() {
        let text = "sg db named prod-mysql-db-sg
                    db: in allow tcp 3306 from 10.0.0.0/24
                    db: in allow tcp 22 from 203.0.113.7
                    eni a 10.0.0.1 in db tag env=prod";
        check_text(text, &Advice::default(), expect![[""]]);
    }

    #[test]
    fn every_advice_is_compared() {
        let text = "sg all named servers
                    all: in allow tcp 443 from 0.0.0.0/0
                    all: in allow tcp 3306 from 10.0.0.0/8
                    all: in allow tcp 20-25 from 0.0.0.0/0
                    all: in allow all from ::/0
                    eni a 10.0.0.1 in all tag env=prod
                    eni b 10.0.0.2 in all tag env=Test";
        check_text(
            text,
            &Advice { rules_max: 3, ..Advice::default() },
            expect![[r#"
            sg-all Name: the name `servers` does not have the form {environment}-{application}-{purpose}-sg
            sg-all Environment: 1 of production (i-a, …) and 1 of test (i-b, …) share it, by tag `env`
            sg-all Purpose: it serves several purposes: database (3306), mail (25), web (443)
            sg-all Management: management ports are open: 22 to all of IPv4 by rule r3 of sg-all (servers): allow tcp 20-25 from 0.0.0.0/0, priority 1; 22 to all of IPv6 by rule r4 of sg-all (servers): allow all from ::/0, priority 1; 3389 to all of IPv6 by rule r4 of sg-all (servers): allow all from ::/0, priority 1
            sg-all Rules: it has 4 rules, more than 3"#]],
        );
    }

    #[test]
    fn a_port_that_is_denied_before_is_not_open() {
        let text = "sg a named prod-a-web-sg
                    a: in deny tcp 22 from 0.0.0.0/0 priority 1
                    a: in allow all from 0.0.0.0/0 priority 2";
        check_text(
            text,
            &Advice::default(),
            expect![
                "sg-a Management: management ports are open: 3389 to all of IPv4 by rule r2 of sg-a (prod-a-web-sg): allow all from 0.0.0.0/0, priority 2"
            ],
        );
    }

    #[test]
    fn the_pattern_can_be_set() {
        assert!(fits("{environment}-{application}-{purpose}-sg", "prod-mysql-db-sg"));
        assert!(fits("sg-{team}", "sg-web_1") && fits("東-{x}", "東-京"));
        for name in ["", "prod-mysql-sg", "prod-mysql-db", "prod--db-sg", "a-b-c-d-sg"] {
            assert!(!fits("{environment}-{application}-{purpose}-sg", name), "{name}");
        }
    }
}
