//! What several groups do to each other at one interface: one isolates and another lets in, one denies what another
//! allows.
//!
//! Only what crosses from one group into another is told; what a group does to its own rules is `health`'s.

use sekimori_core::{
    ids::GroupId,
    rule::{Action, Direction},
    space::TooComplex,
    world::{Eni, Flavor, Group, World},
};

use crate::{
    portions::{Decider, Portion, Portions},
    text,
};

/// Sentences of one interface; the rest is counted.
const NOTES_MAX: usize = 50;

/// The effects of the groups of an interface on each other, in sentences. None for a single group.
#[must_use]
pub(crate) fn explain(world: &World, eni: &Eni) -> Vec<String> {
    let groups: Vec<&Group> = eni.groups.iter().filter_map(|id| world.group(id)).map(|group| &**group).collect();
    let mut notes = isolation(&groups);
    if groups.len() > 1 {
        for direction in [Direction::Ingress, Direction::Egress] {
            match conflicts(world, eni, direction) {
                Ok(found) => notes.extend(found),
                Err(error) => notes.push(format!("{direction}: {error}")),
            }
        }
    }
    let left = notes.len().saturating_sub(NOTES_MAX);
    notes.truncate(NOTES_MAX);
    notes.extend((left > 0).then(|| format!("and {left} more")));
    notes
}

/// Isolation has the lowest precedence: one shared group that accepts is enough (`spec/ecs.md` A2).
fn isolation(groups: &[&Group]) -> Vec<String> {
    let is_basic = |group: &&&Group| match group.flavor {
        Flavor::EcsBasic => true,
        Flavor::EcsEnterprise | Flavor::Ec2 => false,
    };
    let (accepting, isolating): (Vec<&&Group>, Vec<&&Group>) =
        groups.iter().filter(is_basic).partition(|group| group.accepts_inner());
    let names = |groups: &[&&Group]| {
        groups.iter().map(|group| text::named(group.id.as_str(), &group.name)).collect::<Vec<_>>().join(", ")
    };
    match (accepting.as_slice(), isolating.as_slice()) {
        (_, []) => Vec::new(),
        ([], isolating) => {
            vec![format!("isolated in {}: other members are judged by the rules like everyone", names(isolating))]
        }
        (accepting, isolating) => vec![format!(
            "isolated in {}, but not from interfaces that share {} as well: one shared group that accepts is enough",
            names(isolating),
            names(accepting)
        )],
    }
}

/// Rules of one group that rules of another, of the opposite action, take packets from.
fn conflicts(world: &World, eni: &Eni, direction: Direction) -> Result<Vec<String>, TooComplex> {
    let portions = Portions::of(world, (&eni.groups, &eni.vpc), direction)?;
    let mut notes = Vec::new();
    for (place, line) in portions.lines.iter().enumerate() {
        let Decider::Rule(group, rule) = &line.decider else { continue };
        let before = portions.lines.get(..place).unwrap_or_default();
        let others: Vec<&Portion> = before.iter().filter(|earlier| opposes(earlier, group, line)).collect();
        let Some((first, _)) = others.split_first() else { continue };
        let mut left = line.matched.clone();
        for other in &others {
            left = left.difference(&other.matched)?;
        }
        let effect = if left.is_empty() { "decides nothing here" } else { "is narrowed here" };
        let said = text::rule_of(world, group, rule);
        notes.push(format!(
            "{direction}: {said}, {effect}: {} comes first{}",
            name(world, first),
            more(others.len())
        ));
    }
    Ok(notes)
}

fn opposes(earlier: &Portion, group: &GroupId, line: &Portion) -> bool {
    let is_other = match &earlier.decider {
        Decider::Rule(other, _) => other != group,
        Decider::Bypass | Decider::Platform(_) | Decider::IntraGroup(_) => false,
    };
    let is_opposite = match (earlier.action, line.action) {
        (Action::Deny, Action::Allow) | (Action::Allow, Action::Deny) => true,
        (Action::Allow, Action::Allow) | (Action::Deny, Action::Deny) => false,
    };
    is_other && is_opposite && earlier.matched.meets(&line.matched)
}

fn name(world: &World, line: &Portion) -> String {
    match &line.decider {
        Decider::Rule(group, rule) => text::rule_of(world, group, rule),
        Decider::Bypass => "the bypass set".to_owned(),
        Decider::Platform(policy) => format!("platform policy {policy}"),
        Decider::IntraGroup(group) => format!("intra-group accept of {group}"),
    }
}

fn more(rules: usize) -> String {
    if rules > 1 { format!(", and {} more", rules - 1) } else { String::new() }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::fixture;

    fn check(text: &str, expected: Expect) {
        let world = fixture::world(text);
        let eni = world.eni(&"eni-a".into()).unwrap();
        expected.assert_eq(&explain(&world, eni).join("\n"));
    }

    #[test]
    fn a_group_that_accepts_undoes_the_isolation_of_another() {
        check(
            "sg web\n sg db drop\n eni a 10.0.0.1 in web db",
            expect![
                "isolated in sg-db (db), but not from interfaces that share sg-web (web) as well: one shared group that accepts is enough"
            ],
        );
        check(
            "sg db drop\n eni a 10.0.0.1 in db",
            expect!["isolated in sg-db (db): other members are judged by the rules like everyone"],
        );
        check("sg web\n eni a 10.0.0.1 in web", expect![[""]]);
    }

    #[test]
    fn a_group_that_denies_takes_from_another_that_allows() {
        check(
            "sg web
             sg wall
             web: in allow tcp 80 from 0.0.0.0/0 priority 2
             web: in allow tcp 22 from 10.0.0.0/8 priority 2
             wall: in deny tcp 1-100 from 0.0.0.0/0 priority 1
             wall: in deny tcp 22 from 10.1.0.0/16 priority 1
             wall: in allow tcp 443 from 10.0.0.0/8
             web: in allow tcp 443 from 10.0.0.0/8
             eni a 10.0.0.1 in web wall",
            expect![[r#"
                ingress: rule r1 of sg-web (web): allow tcp 80 from 0.0.0.0/0, priority 2, decides nothing here: rule r3 of sg-wall (wall): deny tcp 1-100 from 0.0.0.0/0, priority 1 comes first
                ingress: rule r2 of sg-web (web): allow tcp 22 from 10.0.0.0/8, priority 2, decides nothing here: rule r3 of sg-wall (wall): deny tcp 1-100 from 0.0.0.0/0, priority 1 comes first, and 1 more"#]],
        );
    }
}
