//! Questions about packets whose answers a network ACL drops.

use sekimori_core::{
    change::Change,
    limits::LimitMode,
    network_acl::{AclAssociation, AclEntry, NetworkAcl},
    rule::{Peer, Protocol, RuleSpec, Service},
    time::Timestamp,
    world::Subnet,
};

use super::*;

/// An entry about everything from or to a block.
fn entry(number: u16, direction: Direction, action: Action, block: &str) -> AclEntry {
    let peer = Peer::Cidr(block.parse().unwrap());
    AclEntry { number, spec: RuleSpec::plain(direction, action, (Protocol::Any, Service::Any), peer) }
}

/// Puts an interface into a subnet of its own that has a network ACL.
fn guard(world: &mut World, eni: &str, entries: Vec<AclEntry>) {
    let own = Eni { subnet: "subnet-2".into(), ..Eni::clone(world.eni(&eni.into()).unwrap()) };
    let acl = NetworkAcl {
        id: "acl-1".into(),
        account: fixture::ACCOUNT.into(),
        vpc: "vpc-1".into(),
        is_default: false,
        entries,
        tags: Default::default(),
        created_at: Timestamp(0),
    };
    let subnet = Subnet {
        id: "subnet-2".into(),
        vpc: "vpc-1".into(),
        account: fixture::ACCOUNT.into(),
        zone: String::new(),
        name: String::new(),
        description: String::new(),
        cidr: "10.2.0.0/24".parse().unwrap(),
        ipv6: Some("fd00:0:0:2::/64".parse().unwrap()),
        resource_group: String::new(),
        tags: Default::default(),
        acl: Some(AclAssociation { id: "aclassoc-1".into(), acl: "acl-1".into() }),
        created_at: Timestamp(0),
    };
    for change in [Change::PutNetworkAcl(acl.into()), Change::PutSubnet(subnet.into()), Change::PutEni(own.into())] {
        world.apply(&change);
    }
}

#[test]
fn of_several_pairs_each_must_be_answered_whatever_is_wanted() {
    let mut world = fixture::world(
        "
        ec2
        sg web ec2
        sg db ec2
        web: out allow all to 0.0.0.0/0
        db: in allow tcp 5432 from sg-web
        eni web 10.1.0.2 in web
        eni d1 10.1.0.10 in db
        eni d2 10.2.0.11 in db",
    );
    let entries = [(Direction::Ingress, Action::Allow), (Direction::Egress, Action::Deny)];
    guard(&mut world, "eni-d2", entries.map(|(direction, action)| entry(100, direction, action, "0.0.0.0/0")).into());
    for goal in [Goal::Allow, Goal::Stop] {
        let answer = explain(&world, &question("i-web", "sg-db", "tcp/5432"), goal, LimitMode::Cloud).unwrap();
        assert_eq!((answer.pairs, answer.pairs_allowed, answer.pairs_answered), (2, 2, 1), "{goal:?}");
        assert!(!answer.is_answered(), "{goal:?}");
    }
    let answer = explain(&world, &question("i-web", "i-d1", "tcp/5432"), Goal::Stop, LimitMode::Cloud).unwrap();
    assert!(answer.is_answered());
}

/// What stops a packet to `i-db` behind a network ACL with entries of these numbers, over IPv4 and over IPv6.
fn stopped_with(numbers: &[(u16, &str)]) -> [String; 2] {
    let mut world = fixture::world(
        "
        ec2
        sg all ec2
        all: in allow all from 0.0.0.0/0
        all: in allow all from ::/0
        all: out allow all to 0.0.0.0/0
        all: out allow all to ::/0
        eni web 10.1.0.2 fd00:0:0:1::2 in all
        eni db 10.2.0.10 fd00:0:0:2::10 in all",
    );
    let both = |&(number, block): &(u16, &str)| {
        [Direction::Ingress, Direction::Egress].map(|direction| entry(number, direction, Action::Allow, block))
    };
    guard(&mut world, "eni-db", numbers.iter().flat_map(both).collect());
    [("10.1.0.2", "10.2.0.10"), ("fd00:0:0:1::2", "fd00:0:0:2::10")].map(|(from, to)| {
        let asked = question(from, to, "tcp/80");
        let answer = explain(&world, &asked, Goal::Stop, LimitMode::Cloud).unwrap();
        let change = answer.change.unwrap();
        let steps: Vec<String> = change.steps.iter().map(|step| step.says.clone()).collect();
        format!("{}; {:?} others", steps.join(", "), change.cost.packets)
    })
}

#[test]
fn an_entry_goes_wherever_there_is_room_before_the_one_that_decides() {
    let world = (100, "0.0.0.0/0");
    let expected = expect![[r#"
        add entry 50 to network ACL acl-1: deny tcp 80 from 10.1.0.2/32; Some("0") others
        add entry 50 to network ACL acl-1: deny tcp 80 from fd00:0:0:1::2/128; Some("0") others"#]];
    expected.assert_eq(&stopped_with(&[world, (101, "::/0")]).join("\n"));
    // An entry of another address does not matter either.
    let expected = expect![[r#"
        add entry 49 to network ACL acl-1: deny tcp 80 from 10.1.0.2/32; Some("0") others
        add entry 49 to network ACL acl-1: deny tcp 80 from fd00:0:0:1::2/128; Some("0") others"#]];
    expected.assert_eq(&stopped_with(&[(99, "192.0.2.1/32"), world, (101, "::/0")]).join("\n"));
    // Every number before it is taken.
    let expected = expect![[r#"
        delete entry 2 of network ACL acl-1: allow all from 0.0.0.0/0; Some("36894049967762310149") others
        delete entry 3 of network ACL acl-1: allow all from ::/0; Some("340282366920938463463374607431768145919") others"#]];
    expected.assert_eq(&stopped_with(&[(1, "192.0.2.1/32"), (2, "0.0.0.0/0"), (3, "::/0")]).join("\n"));
}
