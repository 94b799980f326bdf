//! Rules of small groups, written as text, and what the check says about them.

mod more;

use expect_test::{Expect, expect};

use super::*;
use crate::fixture;

fn ask(text: &str, question: &Question, last: &dyn Fn(&GroupId, &RuleId) -> Option<Timestamp>) -> String {
    let uses = Uses { watched_since: Timestamp(100), last, evidence: None };
    match check(&fixture::world(text), question, &uses) {
        Ok(report) => report.findings.iter().map(shown).collect::<Vec<_>>().join("\n"),
        Err(error) => format!("error: {error}"),
    }
}

fn shown(finding: &Finding) -> String {
    let Finding { group, rule, state, cloud, unused, depends_on_members, removable, .. } = finding;
    let mut lines = vec![format!("{rule} of {}: {state:?}", group.name)];
    lines[0].push_str(if *removable { ", removable" } else { "" });
    lines[0].push_str(if *depends_on_members { ", while members stay" } else { "" });
    for place in finding.places.iter().filter(|place| place.state != State::Decides) {
        let groups: Vec<&str> = place.groups.iter().map(|group| group.name.as_str()).collect();
        let covers: Vec<&str> = place.covered_by.iter().map(|cover| cover.text.as_str()).collect();
        lines.push(format!("  {} ({} enis): {:?}: {}", groups.join("+"), place.enis, place.state, covers.join("; ")));
    }
    lines.extend(cloud.as_ref().map(|cover| format!("  cloud: {}", cover.text)));
    lines.extend(
        unused.as_ref().map(|unused| format!("  unused: last {:?}, certain {}", unused.last_used, unused.certain)),
    );
    lines.join("\n")
}

fn check_text(text: &str, expected: Expect) {
    expected.assert_eq(&ask(text, &Question::default(), &|_, _| None));
}

#[test]
fn several_rules_cover_one_together() {
    check_text(
        "sg web drop
         web: in deny tcp 1-100 from 10.0.0.0/8
         web: in allow tcp 101-200 from 10.0.0.0/8
         web: in allow tcp 50-150 from 10.1.0.0/16 priority 5
         web: in allow tcp 50-250 from 10.1.0.0/16 priority 6",
        expect![[r#"
            r3 of web: DecidesNothing, removable
              web (0 enis): DecidesNothing: rule r1 of sg-web (web): deny tcp 1-100 from 10.0.0.0/8, priority 1; rule r2 of sg-web (web): allow tcp 101-200 from 10.0.0.0/8, priority 1"#]],
    );
}

#[test]
fn the_clouds_check_does_not_ask_what_becomes_of_the_packets() {
    check_text(
        "sg web drop
         web: in allow tcp 80 from 0.0.0.0/0 priority 1
         web: in deny tcp 80 from 10.0.0.0/8 priority 1
         web: in allow tcp 80 from 10.0.0.0/8 priority 2",
        expect![[r#"
            r2 of web: Decides
              cloud: rule r1 of sg-web (web): allow tcp 80 from 0.0.0.0/0, priority 1
            r3 of web: DecidesNothing, removable
              web (0 enis): DecidesNothing: rule r2 of sg-web (web): deny tcp 80 from 10.0.0.0/8, priority 1
              cloud: rule r2 of sg-web (web): deny tcp 80 from 10.0.0.0/8, priority 1"#]],
    );
}

#[test]
fn a_rule_that_a_later_one_or_the_default_repeats_changes_nothing() {
    check_text(
        "sg web drop
         web: in allow tcp 443 from 10.0.0.0/8 priority 1
         web: in allow tcp 443 from 0.0.0.0/0 priority 2
         web: in deny tcp 22 from 10.0.0.0/8 priority 1
         web: out allow all to 0.0.0.0/0",
        expect![[r#"
            r3 of web: ChangesNothing, removable
              web (0 enis): ChangesNothing: the default
            r1 of web: ChangesNothing, removable
              web (0 enis): ChangesNothing: rule r2 of sg-web (web): allow tcp 443 from 0.0.0.0/0, priority 2
            r4 of web: ChangesNothing, removable
              web (0 enis): ChangesNothing: the default"#]],
    );
}

#[test]
fn of_two_rules_that_say_the_same_one_stays() {
    check_text(
        "sg web drop
         sg ops drop
         web: in allow tcp 22 from 10.0.0.0/8
         ops: in allow tcp 22 from 10.0.0.0/8
         eni a 10.0.0.1 in web ops",
        expect![[r#"
            r2 of ops: ChangesNothing
              ops+web (1 enis): ChangesNothing: rule r1 of sg-web (web): allow tcp 22 from 10.0.0.0/8, priority 1
            r1 of web: DecidesNothing, removable
              ops+web (1 enis): DecidesNothing: rule r2 of sg-ops (ops): allow tcp 22 from 10.0.0.0/8, priority 1"#]],
    );
}

#[test]
fn what_is_redundant_in_one_policy_only_is_told_and_stays() {
    check_text(
        "sg web drop
         sg wall drop
         web: in allow tcp 80 from 0.0.0.0/0 priority 2
         wall: in deny tcp 80 from 0.0.0.0/0 priority 1
         eni a 10.0.0.1 in web wall
         eni b 10.0.0.2 in web",
        expect![[r#"
            r1 of web: DiffersByPolicy
              wall+web (1 enis): DecidesNothing: rule r2 of sg-wall (wall): deny tcp 80 from 0.0.0.0/0, priority 1"#]],
    );
}

#[test]
fn groups_are_their_members_and_one_without_members_is_not_nothing() {
    check_text(
        "sg web
         sg db drop
         sg none
         db: in allow tcp 5432 from 10.0.0.0/30 priority 1
         db: in allow tcp 5432 from sg-web priority 2
         db: in allow tcp 5432 from sg-none priority 2
         web: in allow tcp 80 from 10.0.0.2 priority 1
         eni a 10.0.0.1 in web
         eni b 10.0.0.2 in web
         eni c 10.0.0.9 in db",
        expect![[r#"
            r2 of db: DecidesNothing, while members stay
              db (1 enis): DecidesNothing: rule r1 of sg-db (db): allow tcp 5432 from 10.0.0.0/30, priority 1
              cloud: rule r1 of sg-db (db): allow tcp 5432 from 10.0.0.0/30, priority 1
            r4 of web: DecidesNothing, while members stay
              web (2 enis): DecidesNothing: intra-group accept of sg-web (web)"#]],
    );
}

#[test]
fn what_is_idle_only_with_the_members_of_now_is_not_deleted() {
    check_text(
        "sg web drop
         sg app
         web: in allow tcp 5432 from sg-app
         web: in allow tcp 5432 from 10.0.0.1
         web: in allow tcp 22 from sg-app priority 1
         web: in allow tcp 22 from sg-app priority 2
         web: in allow tcp 80 from sg-app
         web: in allow tcp 80 from 0.0.0.0/0
         web: in allow tcp 443 from sg-app
         web: in allow tcp 443 from 0.0.0.0/0
         web: in allow tcp 443 from ::/0
         web: in allow udp 1 from 10.0.0.0/8 priority 1
         web: in deny udp 1 from sg-app priority 2
         web: in allow udp 1 from 10.0.0.0/8 priority 3
         eni a 10.0.0.1 fd00::1 in app
         eni b 10.0.0.2 in web",
        expect![[r#"
            r2 of web: DecidesNothing, while members stay
              web (1 enis): DecidesNothing: rule r1 of sg-web (web): allow tcp 5432 from group sg-app (app), priority 1
              cloud: rule r1 of sg-web (web): allow tcp 5432 from group sg-app (app), priority 1
            r3 of web: ChangesNothing
              web (1 enis): ChangesNothing: rule r4 of sg-web (web): allow tcp 22 from group sg-app (app), priority 2
            r7 of web: ChangesNothing, removable
              web (1 enis): ChangesNothing: rule r8 of sg-web (web): allow tcp 443 from 0.0.0.0/0, priority 1; rule r9 of sg-web (web): allow tcp 443 from ::/0, priority 1
            r11 of web: ChangesNothing, removable
              web (1 enis): ChangesNothing: the default
            r4 of web: DecidesNothing, removable
              web (1 enis): DecidesNothing: rule r3 of sg-web (web): allow tcp 22 from group sg-app (app), priority 1
              cloud: rule r3 of sg-web (web): allow tcp 22 from group sg-app (app), priority 1
            r12 of web: DecidesNothing, removable
              web (1 enis): DecidesNothing: rule r10 of sg-web (web): allow udp 1 from 10.0.0.0/8, priority 1
              cloud: rule r10 of sg-web (web): allow udp 1 from 10.0.0.0/8, priority 1"#]],
    );
}

#[test]
fn unused_rules_are_told_with_what_is_known() {
    let text = "sg web drop
         web: in allow tcp 80 from 0.0.0.0/0
         web: in allow tcp 443 from 0.0.0.0/0
         web: in allow tcp 22 from 0.0.0.0/0";
    let last = |_: &GroupId, rule: &RuleId| match rule.as_str() {
        "r1" => Some(Timestamp(500)),
        "r2" => Some(Timestamp(150)),
        _ => None,
    };
    let since = |at| Question { group: Some("sg-web".into()), unused_since: Some(Timestamp(at)), overlaps: false };
    expect![[r#"
        r2 of web: Decides
          unused: last Some(Timestamp(150)), certain true
        r3 of web: Decides
          unused: last None, certain true"#]]
    .assert_eq(&ask(text, &since(200), &last));
    expect![[r#"
        r3 of web: Decides
          unused: last None, certain false"#]]
    .assert_eq(&ask(text, &since(50), &last));
}

#[test]
fn a_group_that_does_not_exist_is_named() {
    let question = Question { group: Some("sg-0".into()), ..Question::default() };
    assert!(ask("sg web", &question, &|_, _| None).contains("`sg-0`"));
}

const OWN_BLOCKS: &str = "
    sg web drop
    web: in allow tcp 80 from 0.0.0.0/0 at 10.9.0.0/16
    web: in deny tcp 443 from 0.0.0.0/0 at 10.0.0.0/24 priority 1
    web: in allow tcp 443 from 0.0.0.0/0 priority 2
    web: in allow tcp 22 from 0.0.0.0/0 at 10.0.0.2
    web: in allow tcp 23 from ::/0 at fd00::/8";

#[test]
fn only_the_addresses_that_interfaces_have_count() {
    let text = format!("{OWN_BLOCKS}\neni a 10.0.0.1 in web\neni b 10.0.0.2 in web");
    check_text(
        &text,
        expect![[r#"
            r1 of web: DecidesNothing, while members stay
              web (2 enis): DecidesNothing: no interface has an address in 10.9.0.0/16
            r3 of web: DecidesNothing, while members stay
              web (2 enis): DecidesNothing: rule r2 of sg-web (web): deny tcp 443 from 0.0.0.0/0, own address in 10.0.0.0/24, priority 1"#]],
    );
}

#[test]
fn addresses_that_are_not_known_are_left_open() {
    // Nobody carries the group; a third member, elsewhere, is spoken about; one may use any address.
    check_text(OWN_BLOCKS, expect![""]);
    check_text(&format!("{OWN_BLOCKS}\neni a 10.0.0.2 in web\neni c 10.9.0.1 in web"), expect![""]);
    let mut world = fixture::world(&format!("{OWN_BLOCKS}\neni a 10.0.0.2 in web"));
    let findings = |world: &World| {
        let uses = Uses { watched_since: Timestamp(100), last: &|_, _| None, evidence: None };
        check(world, &Question::default(), &uses).unwrap().findings.len()
    };
    assert_eq!(findings(&world), 2);
    let mut eni = sekimori_core::world::Eni::clone(world.enis().next().unwrap());
    eni.source_check = false;
    world.apply(&sekimori_core::change::Change::PutEni(std::sync::Arc::new(eni)));
    assert_eq!(findings(&world), 0);
}
