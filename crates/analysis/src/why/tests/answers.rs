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
    let own = Eni { subnet: "subnet-2".into(), ..Eni::clone(world.eni(&"eni-d2".into()).unwrap()) };
    let all = ("0.0.0.0/0".parse().unwrap(), (Protocol::Any, Service::Any));
    let entry = |(direction, action)| AclEntry {
        number: 100,
        spec: RuleSpec::plain(direction, action, all.1.clone(), Peer::Cidr(all.0)),
    };
    let acl = NetworkAcl {
        id: "acl-1".into(),
        account: fixture::ACCOUNT.into(),
        vpc: "vpc-1".into(),
        is_default: false,
        entries: [(Direction::Ingress, Action::Allow), (Direction::Egress, Action::Deny)].map(entry).into(),
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
        ipv6: None,
        resource_group: String::new(),
        tags: Default::default(),
        acl: Some(AclAssociation { id: "aclassoc-1".into(), acl: "acl-1".into() }),
        created_at: Timestamp(0),
    };
    for change in [Change::PutNetworkAcl(acl.into()), Change::PutSubnet(subnet.into()), Change::PutEni(own.into())] {
        world.apply(&change);
    }
    for goal in [Goal::Allow, Goal::Stop] {
        let answer = explain(&world, &question("i-web", "sg-db", "tcp/5432"), goal, LimitMode::Cloud).unwrap();
        assert_eq!((answer.pairs, answer.pairs_allowed, answer.pairs_answered), (2, 2, 1), "{goal:?}");
        assert!(!answer.is_answered(), "{goal:?}");
    }
    let answer = explain(&world, &question("i-web", "i-d1", "tcp/5432"), Goal::Stop, LimitMode::Cloud).unwrap();
    assert!(answer.is_answered());
}
