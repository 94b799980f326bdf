//! Network ACLs on packets: they are asked about every packet, those of live flows and answers too, and know nothing of groups;
//! packets within a subnet never meet them.

#![expect(clippy::expect_used, reason = "a test fails by panicking, in its helpers too")]

use expect_test::expect;
use sekimori_core::{address::Family, ids::SubnetId};
use sekimori_tests::lab::Lab;

const WORLD: [(&str, &str); 2] = [("CidrBlock=0.0.0.0/0", "0"), ("Ipv6CidrBlock=::/0", "1")];

/// Two VPCs that reach each other: `a` and `b` in the subnet of one, `far` in that of the other. Groups allow everything.
fn lab() -> Option<Lab> {
    let mut lab = Lab::of(
        "vpc app 10.1.0.0/16
         vpc data 10.2.0.0/16
         group web ec2 in app
         group other ec2 in data
         instance a web in app
         instance b web in app
         instance far other in data",
    )?;
    lab.settle_in_a_region();
    let [app, data] = ["app", "data"].map(|name| lab.vpc_id(name));
    lab.peer(&app, &data);
    for name in ["web", "other"] {
        let group = lab.group_id(name);
        let open = "IpPermissions.1.IpProtocol=-1&IpPermissions.1.IpRanges.1.CidrIp=0.0.0.0/0\
            &IpPermissions.1.Ipv6Ranges.1.CidrIpv6=::/0";
        lab.ec2(&format!("Action=AuthorizeSecurityGroupIngress&GroupId={group}&{open}"), "all");
    }
    Some(lab)
}

/// Gives the subnet of an instance an ACL without entries; its id.
fn guard(lab: &mut Lab, instance: &str) -> String {
    let subnet: SubnetId = lab.eni(instance).subnet.clone();
    let (vpc, own) = lab
        .world()
        .subnet(&subnet)
        .and_then(|subnet| Some((subnet.vpc.clone(), subnet.acl.clone()?.id)))
        .expect("a subnet of EC2 has an ACL");
    let told = lab.ec2(&format!("Action=CreateNetworkAcl&VpcId={vpc}"), "");
    let after = told.split_once("<networkAclId>").and_then(|(_, rest)| rest.split_once('<'));
    let acl = after.map(|(id, _)| id.to_owned()).unwrap_or_default();
    lab.ec2(&format!("Action=ReplaceNetworkAclAssociation&AssociationId={own}&NetworkAclId={acl}"), "");
    acl
}

/// Adds an entry for each family; the second has the next number.
fn entry(lab: &mut Lab, acl: &str, (is_egress, number): (bool, u16), what: &str) {
    for (block, step) in WORLD {
        let number = number + step.parse::<u16>().unwrap_or(0);
        lab.ec2(
            &format!(
                "Action=CreateNetworkAclEntry&NetworkAclId={acl}&Egress={is_egress}&RuleNumber={number}&{block}&{what}"
            ),
            "",
        );
    }
}

#[test]
fn an_acl_drops_what_leaves_a_subnet_and_nothing_within_it() {
    let Some(mut lab) = lab() else { return };
    lab.check(expect![[r#"
        far -> a tcp/80: passes [far: allow birth] [a: allow all]
        a -> far tcp/80: passes [a: allow birth] [far: allow all]
        a -> b tcp/80: passes [a: allow birth] [b: allow all]
    "#]]);
    let acl = guard(&mut lab, "a");
    lab.check(expect![[r#"
        far -> a tcp/80 v4: dropped [far: allow birth] [a: network-acl]
        far -> a tcp/80 v6: dropped [far: allow birth] [a: network-acl]
        a -> far tcp/80 v4: dropped [a: network-acl]
        a -> far tcp/80 v6: dropped [a: network-acl]
        a -> b tcp/80: passes [a: allow birth] [b: allow all]
    "#]]);
    // In, but no answer out: an ACL knows no flows.
    entry(&mut lab, &acl, (false, 100), "Protocol=6&PortRange.From=80&PortRange.To=80&RuleAction=allow");
    lab.check(expect![[r#"
        far -> a tcp/80: dropped [far: allow birth] [a: allow all] [back at a: network-acl]
        far -> a tcp/22: dropped [far: allow birth] [a: network-acl]
        a -> b tcp/80: passes [a: allow birth] [b: allow all]
    "#]]);
    entry(&mut lab, &acl, (true, 100), "Protocol=6&PortRange.From=1024&PortRange.To=65535&RuleAction=allow");
    lab.check(expect![[r#"
        far -> a tcp/80: passes [far: allow birth] [a: allow all]
        far -> a tcp/22: dropped [far: allow birth] [a: network-acl]
        a -> far tcp/8080: dropped [a: allow birth] [far: allow all] [back at a: network-acl]
        a -> far tcp/80: dropped [a: network-acl]
        a -> b ping: passes [a: allow birth] [b: allow all]
        a -> far ping: dropped [a: network-acl]
    "#]]);
    // A lower number decides first.
    entry(&mut lab, &acl, (false, 50), "Protocol=6&PortRange.From=0&PortRange.To=1023&RuleAction=deny");
    lab.check(expect![[r#"
        far -> a tcp/80: dropped [far: allow birth] [a: network-acl]
        b -> a tcp/80: passes [b: allow birth] [a: allow all]
    "#]]);
}

#[test]
fn an_acl_cuts_a_live_connection_that_the_groups_keep() {
    let Some(mut lab) = lab() else { return };
    let acl = guard(&mut lab, "far");
    entry(&mut lab, &acl, (false, 100), "Protocol=-1&RuleAction=allow");
    entry(&mut lab, &acl, (true, 100), "Protocol=-1&RuleAction=allow");
    let mut wires = [Family::V4, Family::V6].map(|family| lab.connect("a", "far", 443, family));
    let mut told = |lab: &mut Lab, expected: &str| {
        for wire in &mut wires {
            assert_eq!(lab.talk(wire).to_string(), expected);
        }
    };
    told(&mut lab, "passes [a: known-flow] [far: known-flow]");
    entry(&mut lab, &acl, (false, 10), "Protocol=6&PortRange.From=443&PortRange.To=443&RuleAction=deny");
    told(&mut lab, "dropped [a: known-flow] [far: network-acl]");
    for number in [10, 11] {
        let call = format!("Action=DeleteNetworkAclEntry&NetworkAclId={acl}&Egress=false&RuleNumber={number}");
        lab.ec2(&call, "");
    }
    // The groups have known the connection all along.
    told(&mut lab, "passes [a: known-flow] [far: known-flow]");
}
