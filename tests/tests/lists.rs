//! Edits of prefix lists and port lists, with real packets: every rule that names the list decides by it at once, for
//! new connections and for live ones.

use expect_test::expect;
use sekimori_core::{address::Family, world::Treatment};
use sekimori_tests::lab::{Lab, observe::Answer, wire::Wire};

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];
/// Client a, closed but for what its lists open; server b, whose lists admit nobody yet.
const LISTED: &str = "
    prefixes four 10.9.0.0/16
    prefixes six fd09::/16
    ports web 8443
    group client enterprise
      out allow tcp/list:web to any as out
    group server basic
      in allow tcp/list:web from list:four,list:six as listed
    instance a client
    instance b server
    instance c client";

/// Lets a, and only a, into both lists.
fn admit_a(lab: &mut Lab) {
    let own: Vec<String> = lab.eni("a").addresses.iter().map(ToString::to_string).collect();
    lab.edit_prefixes("four", &[&own[0]], &[]);
    lab.edit_prefixes("six", &[&own[1]], &[]);
}

/// Takes a out again.
fn expel_a(lab: &mut Lab) {
    let own: Vec<String> = lab.eni("a").addresses.iter().map(ToString::to_string).collect();
    lab.edit_prefixes("four", &[], &[&own[0]]);
    lab.edit_prefixes("six", &[], &[&own[1]]);
}

fn connect(lab: &mut Lab) -> Vec<Wire> {
    let mut wires: Vec<Wire> = FAMILIES.iter().map(|family| lab.connect("a", "b", 443, *family)).collect();
    for wire in &mut wires {
        assert_eq!(lab.talk(wire).answer, Answer::Passes);
    }
    wires
}

fn talk(lab: &mut Lab, wires: &mut [Wire], expected: &str) {
    for wire in wires {
        assert_eq!(lab.talk(wire).to_string(), expected);
    }
}

#[test]
fn an_edit_decides_about_the_next_connection() {
    let Some(mut lab) = Lab::of(LISTED) else { return };
    lab.check(expect![[r#"
        a -> b tcp/443: dropped [a: default deny]
        a -> b tcp/8443: dropped [a: allow out] [b: default deny]
    "#]]);
    admit_a(&mut lab);
    lab.edit_ports("web", &["443"], &["8443"]);
    lab.check(expect![[r#"
        a -> b tcp/443: passes [a: allow out] [b: allow listed]
        a -> b tcp/8443: dropped [a: default deny]
        c -> b tcp/443: dropped [c: allow out] [b: default deny]
        outside -> b tcp/443: dropped [b: default deny]
    "#]]);
    // Ten edits, each to the opposite of the one before: none is late, and none is lost.
    for _ in 0..5 {
        expel_a(&mut lab);
        lab.check(expect![[r#"
            a -> b tcp/443: dropped [a: allow out] [b: default deny]
        "#]]);
        admit_a(&mut lab);
        lab.check(expect![[r#"
            a -> b tcp/443: passes [a: allow out] [b: allow listed]
        "#]]);
    }
}

#[test]
fn an_edit_of_a_prefix_list_ends_live_connections_that_it_excludes() {
    let Some(mut lab) = Lab::of(LISTED) else { return };
    admit_a(&mut lab);
    lab.edit_ports("web", &["443"], &[]);
    let mut wires = connect(&mut lab);
    // An edit that leaves the connection allowed goes unnoticed.
    lab.edit_prefixes("four", &["10.8.0.0/16"], &["10.9.0.0/16"]);
    lab.edit_prefixes("six", &["fd08::/16"], &["fd09::/16"]);
    talk(&mut lab, &mut wires, "passes [a: known-flow] [b: known-flow]");
    expel_a(&mut lab);
    talk(&mut lab, &mut wires, "dropped [a: known-flow] [b: flow-ended-by-change]");
}

#[test]
fn an_edit_of_a_port_list_ends_live_connections_at_both_ends() {
    let Some(mut lab) = Lab::of(LISTED) else { return };
    admit_a(&mut lab);
    lab.edit_ports("web", &["443"], &[]);
    let mut wires = connect(&mut lab);
    lab.edit_ports("web", &["1-100"], &["8443"]);
    talk(&mut lab, &mut wires, "passes [a: known-flow] [b: known-flow]");
    lab.edit_ports("web", &[], &["443"]);
    talk(&mut lab, &mut wires, "dropped [a: flow-ended-by-change]");
    // With `keep`, what lives goes on.
    lab.edit_ports("web", &["443"], &[]);
    lab.treat_account(Treatment::Keep);
    let mut wires = connect(&mut lab);
    lab.edit_ports("web", &[], &["443"]);
    talk(&mut lab, &mut wires, "passes [a: known-flow] [b: known-flow]");
}

#[test]
fn an_empty_list_matches_nothing_and_a_deny_of_it_denies_nothing() {
    let Some(mut lab) = Lab::of(
        "prefixes bad 198.51.100.0/24
         ports bad 22
         group server basic
           in deny all from list:bad prio 1 as no-bad
           in deny tcp/list:bad from any prio 2 as no-ssh
           in allow tcp from any prio 9 as tcp
         instance b server",
    ) else {
        return;
    };
    lab.check(expect![[r#"
        outside -> b tcp/443 v4: dropped [b: deny no-bad]
        outside -> b tcp/443 v6: passes [b: allow tcp]
        outside -> b tcp/22 v6: dropped [b: deny no-ssh]
    "#]]);
    lab.edit_prefixes("bad", &[], &["198.51.100.0/24"]);
    lab.edit_ports("bad", &[], &["22"]);
    lab.check(expect![[r#"
        outside -> b tcp/443: passes [b: allow tcp]
        outside -> b tcp/22: passes [b: allow tcp]
    "#]]);
}
