//! Groups of another account as peers, with real packets: two accounts in one shared VPC.

use expect_test::expect;
use sekimori_core::{command::Command, ids::GroupId};
use sekimori_tests::lab::Lab;

/// The lab's own account has the database, `two` the web servers and strangers; the VPC is the lab's.
const SHARED: &str = "
    account two
    group web basic by two
    group strangers basic isolated by two
    group db basic isolated
      in allow tcp/5432 from group:web as web-of-two
    instance a web by two
    instance b db
    instance c strangers by two
    instance d web by two";

#[test]
fn members_of_another_accounts_group_are_matched_by_their_private_addresses() {
    let Some(mut lab) = Lab::of(SHARED) else { return };
    lab.check(expect![[r#"
        a -> b tcp/5432: passes [a: default allow] [b: allow web-of-two]
        a -> b tcp/22: dropped [a: default allow] [b: default deny]
        c -> b tcp/5432: dropped [c: default allow] [b: default deny]
        outside -> b tcp/5432: dropped [b: default deny]
        a -> d tcp/80: passes [a: intra-group web] [d: intra-group web]
        b -> a tcp/80: dropped [b: default allow] [a: default deny]
    "#]]);
}

#[test]
fn what_the_other_account_does_to_its_group_counts_at_once() {
    let Some(mut lab) = Lab::of(SHARED) else { return };
    lab.join("c", "web");
    lab.check(expect![[r#"
        c -> b tcp/5432: passes [c: default allow] [b: allow web-of-two]
    "#]]);
    lab.leave("c", "web");
    lab.check(expect![[r#"
        c -> b tcp/5432: dropped [c: default allow] [b: default deny]
    "#]]);
    // A packet between two accounts is judged at both ends, by the rules of each.
    lab.allow("web", "out deny tcp/5432 to group:db as no-db");
    lab.check(expect![[r#"
        a -> b tcp/5432: dropped [a: deny no-db]
    "#]]);
    lab.revoke("web", "no-db");
    lab.allow("web", "in allow tcp/80 from group:db as http");
    lab.check(expect![[r#"
        a -> b tcp/5432: passes [a: default allow] [b: allow web-of-two]
        b -> a tcp/80: passes [b: default allow] [a: allow http]
    "#]]);
    lab.remove_instance("a");
    lab.add_instance("main", "e", &["db"]);
    lab.check(expect![[r#"
        e -> b tcp/5432: dropped [e: default allow] [b: default deny]
    "#]]);
}

#[test]
fn closing_the_vpc_leaves_what_is_there_enforced() {
    let Some(mut lab) = Lab::of(SHARED) else { return };
    let (vpc, with) = (lab.vpc_id("main"), lab.account_named(Some("two")));
    lab.run(&Command::ShareVpc { vpc, with, is_shared: false });
    lab.check(expect![[r#"
        a -> b tcp/5432: passes [a: default allow] [b: allow web-of-two]
        c -> b tcp/5432: dropped [c: default allow] [b: default deny]
    "#]]);
}

#[test]
fn a_group_that_is_deleted_by_force_is_nobodys_peer() {
    let Some(mut lab) = Lab::of(SHARED) else { return };
    let web: GroupId = lab.group_id("web");
    for instance in ["a", "d"] {
        lab.join(instance, "strangers");
    }
    lab.run(&Command::RemoveGroup { group: web, force: true });
    lab.check(expect![[r#"
        a -> b tcp/5432: dropped [a: default allow] [b: default deny]
        a -> d tcp/80: dropped [a: default allow] [d: default deny]
    "#]]);
    assert_eq!(lab.eni("a").groups, [lab.group_id("strangers")]);
}
