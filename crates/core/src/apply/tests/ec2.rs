//! What EC2 does otherwise than ECS: default groups, names, duplicates, quotas by family.

use std::collections::BTreeSet;

use super::*;
use crate::{
    command::RuleRewrite,
    resource::Resource,
    tags::{TagKeys, Tags},
    terminated::{TERMINATED_PER_ACCOUNT_MAX, TERMINATED_SHOWN_S},
    world::{InstanceState, VpcAttribute},
};

fn shown(estate: &Estate, group: &GroupId) -> BTreeSet<String> {
    let group = estate.state.world().group(group).expect("it exists");
    group.rules.values().map(|rule| format!("{} {:?}", rule.spec.direction, rule.spec.peer)).collect()
}

fn default_of(estate: &Estate) -> GroupId {
    let mut groups = estate.state.world().groups();
    groups.find(|group| group.is_default && group.vpc == estate.vpc).expect("it is made with the VPC").id.clone()
}

#[test]
fn the_default_group_is_made_with_the_vpc_and_goes_with_it() {
    let mut estate = Estate::new(Dialect::Ec2);
    let default = default_of(&estate);
    let own = format!("ingress Group {{ group: {default}, account: {} }}", estate.account);
    let expected = [own, "egress Cidr(0.0.0.0/0)".to_owned(), "egress Cidr(::/0)".to_owned()];
    assert_eq!(shown(&estate, &default), expected.into_iter().collect());
    let instance = estate.instance(&[]);
    assert_eq!(estate.state.world().primary_eni(&instance).unwrap().groups, std::slice::from_ref(&default));

    let delete = |group: &GroupId| Command::DeleteGroup { account: estate.account.clone(), group: group.clone() };
    let (of_default, of_a, of_b) = (delete(&default), delete(&estate.a), delete(&estate.b));
    let refused = estate.try_run(of_default).unwrap_err();
    assert!(refused.ends_with("is the default security group of its VPC; it goes with the VPC"), "{refused}");
    let (account, vpc, subnet) = (estate.account.clone(), estate.vpc.clone(), estate.subnet.clone());
    let instances = vec![instance.clone()];
    let deleted = estate.run(Command::DeleteInstances { account: account.clone(), instances, is_forced: true });
    assert_eq!(deleted, Outcome::Deleted(vec![(instance, InstanceState::Running)]));
    estate.run(Command::DeleteSubnet { account: account.clone(), subnet });
    let delete_vpc = Command::DeleteVpc { account, vpc };
    assert!(estate.try_run(delete_vpc.clone()).unwrap_err().contains("is still used by `sg-"));
    estate.run(of_a);
    estate.run(of_b);
    estate.run(delete_vpc);
    assert_eq!(estate.state.world().groups().count(), 0);
}

#[test]
fn names_are_unique_in_a_vpc_whatever_their_case() {
    let mut estate = Estate::new(Dialect::Ec2);
    let of = |name: &str, vpc: &VpcId| NewGroup {
        account: estate.account.clone(),
        vpc: vpc.clone(),
        flavor: Flavor::Ec2,
        name: name.to_owned(),
        description: String::new(),
        resource_group: String::new(),
        tags: Tags::default(),
        managed_by: None,
    };
    let (web, again) = (of("web", &estate.vpc), of("WEB", &estate.vpc));
    let other = of("web", &VpcId::from("vpc-other"));
    let Outcome::Group(first) = estate.run(Command::CreateGroup(web)) else { panic!() };
    estate.refused(
        Command::CreateGroup(again.clone()),
        &expect!["`VPC` has a security group of the name `WEB` already; choose another name"],
    );
    let Outcome::Vpc(vpc) = estate.run(estate.new_vpc("10.9.0.0/16", VpcIpv6::Off)) else { panic!() };
    estate.run(Command::CreateGroup(NewGroup { vpc, ..other }));
    estate.run(Command::DeleteGroup { account: estate.account.clone(), group: first });
    estate.run(Command::CreateGroup(again));
}

#[test]
fn a_rule_that_is_there_is_refused_and_one_that_is_not_cannot_be_revoked() {
    let mut estate = Estate::new(Dialect::Ec2);
    let a = estate.a.clone();
    estate.run(estate.authorize(&a, [port(1, from("10.0.0.0/8"))]));
    let both = [port(1, from("192.168.0.0/16")), port(1, from("10.0.0.0/8"))];
    estate.refused(
        estate.authorize(&a, both.clone()),
        &expect!["`A` has a rule that says this already; leave it, or revoke it first"],
    );
    assert_eq!(estate.rules(&a), 3, "all or none");
    let revoke = |specs: &[RuleSpec]| Command::Revoke {
        account: estate.account.clone(),
        group: a.clone(),
        direction: Direction::Ingress,
        rules: Revocation::Specs(specs.to_vec()),
    };
    let (of_both, of_one) = (revoke(&both), revoke(&both[1..]));
    estate.refused(of_both, &expect!["`A` has no rule that says this; list the rules to see what they say"]);
    let Outcome::Revoked(rules) = estate.run(of_one) else { panic!() };
    assert_eq!(rules.iter().map(|rule| &rule.spec).collect::<Vec<_>>(), [&both[1]]);
}

#[test]
fn families_have_quotas_of_their_own_and_groups_count_in_both() {
    let mut estate = Estate::new(Dialect::Ec2);
    let (a, b) = (estate.a.clone(), estate.b.clone());
    let v4 = (0..60).map(|number| port(1, from(&format!("10.0.{number}.0/24"))));
    estate.run(estate.authorize(&a, v4));
    let v6 = (0..59).map(|number| port(1, from(&format!("fd00:{number}::/32"))));
    estate.run(estate.authorize(&a, v6));
    let last = estate.authorize(&a, [port(1, from("fd00:99::/32"))]);
    let too_many = expect!["at most 60 rules in one direction of a security group; this request would make it 61"];
    estate.refused(estate.authorize(&a, [port(1, from("10.1.0.0/24"))]), &too_many);
    let peer = Peer::Group { group: b.clone(), account: estate.account.clone() };
    estate.refused(estate.authorize(&a, [port(1, peer)]), &too_many);
    estate.run(last);
}

#[test]
fn blocks_are_those_of_ec2() {
    let mut estate = Estate::new(Dialect::Ec2);
    estate.refused(
        estate.new_vpc("10.0.0.0/15", VpcIpv6::Off),
        &expect!["block `10.0.0.0/15` cannot be used: a VPC is between /16 and /28"],
    );
    estate.refused(
        estate.new_subnet("10.1.9.0/29"),
        &expect!["block `10.1.9.0/29` cannot be used: a subnet is between /16 and /28"],
    );
}

#[test]
fn rules_have_tags_and_are_found_by_their_ids() {
    let mut estate = Estate::new(Dialect::Ec2);
    let a = estate.a.clone();
    let Outcome::Rules(ids) = estate.run(estate.authorize(&a, [port(1, from("10.0.0.0/8"))])) else { panic!() };
    let resources = vec![Resource::Rule(ids[0].clone())];
    let tags = Tags::read(Dialect::Ec2, [("env", "test")]).unwrap();
    let account = estate.account.clone();
    estate.run(Command::Tag { account: account.clone(), resources: resources.clone(), tags });
    let (group, rule) = estate.state.world().rule(&ids[0]).unwrap();
    assert_eq!((&group.id, rule.tags.get("env")), (&a, Some("test")));
    estate.run(Command::Untag { account: account.clone(), resources, keys: TagKeys::All });
    assert!(estate.state.world().rule(&ids[0]).unwrap().1.tags.is_empty());
    let rules = Revocation::Ids(ids.clone());
    estate.run(Command::Revoke { account, group: a, direction: Direction::Ingress, rules });
    assert!(estate.state.world().rule(&ids[0]).is_none());
}

#[test]
fn instances_of_one_call_share_a_reservation() {
    let mut estate = Estate::new(Dialect::Ec2);
    let (a, other) = (estate.a.clone(), estate.instances(&[], 1));
    let Outcome::Instances(ids) = estate.run(estate.instances(&[a], 2)) else { panic!() };
    let Outcome::Instances(more) = estate.run(other) else { panic!() };
    let launch = |id: &InstanceId| estate.state.world().instance(id).unwrap().launch.clone().unwrap();
    assert_eq!((launch(&ids[0]).index, launch(&ids[1]).index), (0, 1));
    assert_eq!(launch(&ids[0]).reservation, launch(&ids[1]).reservation);
    assert_ne!(launch(&ids[0]).reservation, launch(&more[0]).reservation);
}

#[test]
fn rules_are_rewritten_at_once_and_keep_their_names() {
    let mut estate = Estate::new(Dialect::Ec2);
    let a = estate.a.clone();
    let (one, other) = (port(1, from("10.0.0.0/8")), port(2, from("10.0.0.0/8")));
    let Outcome::Rules(ids) = estate.run(estate.authorize(&a, [one.clone(), other.clone()])) else { panic!() };
    let account = estate.account.clone();
    let rewrite = |pairs: &[(&RuleId, &RuleSpec)]| {
        let rule = |(rule, spec): &(&RuleId, &RuleSpec)| RuleRewrite {
            rule: RuleId::clone(rule),
            spec: RuleSpec::clone(spec),
            description: "new".to_owned(),
        };
        let rules = pairs.iter().map(rule).collect();
        Command::RewriteRules { account: account.clone(), group: a.clone(), rules }
    };
    estate.run(rewrite(&[(&ids[0], &other), (&ids[1], &one)]));
    let shown = estate.state.world().rule(&ids[0]).unwrap().1;
    assert_eq!((&shown.spec, shown.description.as_str()), (&other, "new"), "they have swapped");
    estate.refused(
        rewrite(&[(&ids[0], &one)]),
        &expect!["`A` has a rule that says this already; leave it, or revoke it first"],
    );
    let refused = estate.try_run(rewrite(&[(&ids[0], &port(3, from("::/0")))])).unwrap_err();
    assert!(refused.contains("cannot become one of another kind or family"), "{refused}");
    let unknown = RuleId::from("sgr-no");
    let refused = estate.try_run(rewrite(&[(&unknown, &one)])).unwrap_err();
    assert!(refused.contains("has no rule `sgr-no`"), "{refused}");
}

#[test]
fn a_terminated_instance_is_shown_for_an_hour_and_is_in_nobodys_way() {
    let mut estate = Estate::new(Dialect::Ec2);
    let (account, instance) = (estate.account.clone(), estate.instance(&[]));
    let delete = Command::DeleteInstances { account, instances: vec![instance.clone()], is_forced: true };
    estate.run(delete.clone());
    let world = estate.state.world();
    let gone = world.terminated().get(&instance).expect("it is shown");
    assert_eq!(
        (gone.instance.id.clone(), gone.region.as_str(), gone.at),
        (instance.clone(), "r", estate.context.now)
    );
    assert!(world.instance(&instance).is_none() && world.enis().next().is_none());
    assert_eq!(estate.run(delete), Outcome::Deleted(Vec::new()), "once more is no error");
    let (account, subnet) = (estate.account.clone(), estate.subnet.clone());
    estate.run(Command::DeleteSubnet { account, subnet });
    let due = estate.state.world().terminated().next_due().unwrap();
    assert_eq!(due.0, estate.context.now.0 + TERMINATED_SHOWN_S);
    estate.context.now = Timestamp(due.0 - 1);
    estate.run(Command::ForgetTerminated);
    assert!(estate.state.world().terminated().get(&instance).is_some());
    estate.context.now = due;
    estate.run(Command::ForgetTerminated);
    assert_eq!(estate.state.world().terminated().iter().count(), 0);
    assert_eq!(estate.state.world().terminated().next_due(), None);
}

#[test]
fn of_many_terminated_instances_the_oldest_are_forgotten() {
    let mut estate = Estate::new(Dialect::Ec2);
    let mut ended = Vec::new();
    for _ in 0..TERMINATED_PER_ACCOUNT_MAX / 100 + 1 {
        let Outcome::Instances(instances) = estate.run(estate.instances(&[], 100)) else { panic!() };
        let account = estate.account.clone();
        estate.run(Command::DeleteInstances { account, instances: instances.clone(), is_forced: true });
        estate.context.now.0 += 1;
        ended.extend(instances);
    }
    let terminated = estate.state.world().terminated();
    assert_eq!(terminated.iter().count(), TERMINATED_PER_ACCOUNT_MAX);
    let is_shown = |id: &InstanceId| terminated.get(id).is_some();
    assert!(!ended[..100].iter().any(is_shown) && ended[100..].iter().all(is_shown));
}

#[test]
fn attributes_of_a_vpc_are_kept_as_they_are_said() {
    let mut estate = Estate::new(Dialect::Ec2);
    let set = |estate: &Estate, attribute, is_on| {
        let (account, vpc) = (estate.account.clone(), estate.vpc.clone());
        Command::SetVpcAttribute { account, vpc, attribute, is_on }
    };
    let on = |estate: &Estate| estate.state.world().vpc(&estate.vpc).unwrap().attributes.clone();
    assert_eq!(on(&estate), BTreeSet::from([VpcAttribute::DnsSupport]));
    estate.run(set(&estate, VpcAttribute::DnsHostnames, true));
    estate.run(set(&estate, VpcAttribute::DnsSupport, false));
    estate.run(set(&estate, VpcAttribute::DnsSupport, false));
    assert_eq!(on(&estate), BTreeSet::from([VpcAttribute::DnsHostnames]));
    let vpc = estate.vpc.clone();
    let other =
        Command::SetVpcAttribute { account: "2".into(), vpc, attribute: VpcAttribute::DnsSupport, is_on: true };
    estate.try_run(other).expect_err("it is another's");
}
