//! Network interfaces, the state of instances, and the default group.

use std::{net::IpAddr, sync::Arc};

use super::*;
use crate::{
    change::Change,
    command::{EniPatch, InstancePatch, NetworkPatch, NewAddresses, Power, PowerChange},
    ids::EniId,
    world::{Eni, InstanceState, TimeoutChoice, Vpc},
};

impl Estate {
    pub(super) fn spec(&self, groups: &[GroupId]) -> EniSpec {
        EniSpec::new(self.subnet.clone(), groups.to_vec())
    }

    pub(super) fn create(&self, spec: EniSpec) -> Command {
        Command::CreateEni { account: self.account.clone(), spec }
    }

    pub(super) fn free(&mut self) -> EniId {
        let groups = [self.a.clone()];
        let Outcome::Eni(id) = self.run(self.create(self.spec(&groups))) else { panic!() };
        id
    }

    pub(super) fn attach(&self, eni: &EniId, instance: &InstanceId) -> Command {
        Command::AttachEni { account: self.account.clone(), eni: eni.clone(), instance: instance.clone() }
    }

    pub(super) fn detach(&self, eni: &EniId, instance: &InstanceId) -> Command {
        Command::DetachEni { account: self.account.clone(), eni: eni.clone(), instance: instance.clone() }
    }

    pub(super) fn modify(&self, eni: &EniId, patch: EniPatch) -> Command {
        Command::ModifyEni { account: self.account.clone(), eni: eni.clone(), patch }
    }

    fn regroup(&self, instance: &InstanceId, groups: &[GroupId]) -> Command {
        let patch = InstancePatch { groups: Some(groups.to_vec()), ..InstancePatch::default() };
        Command::ModifyInstance { account: self.account.clone(), instance: instance.clone(), patch }
    }

    pub(super) fn assign(&self, eni: &EniId, addresses: NewAddresses) -> Command {
        Command::AssignAddresses { account: self.account.clone(), eni: eni.clone(), addresses }
    }

    fn unassign(&self, eni: &EniId, addresses: &[IpAddr]) -> Command {
        let addresses = addresses.to_vec();
        Command::UnassignAddresses { account: self.account.clone(), eni: eni.clone(), addresses }
    }

    pub(super) fn switch(&self, instances: &[InstanceId], power: Power, is_all_or_none: bool) -> Command {
        let instances = instances.to_vec();
        Command::SetPower { account: self.account.clone(), instances, power, is_all_or_none }
    }

    pub(super) fn delete(&self, instance: &InstanceId, is_forced: bool) -> Command {
        let instances = vec![instance.clone()];
        Command::DeleteInstances { account: self.account.clone(), instances, is_forced }
    }

    pub(super) fn eni(&self, id: &EniId) -> Eni {
        Eni::clone(self.state.world().eni(id).expect("it exists"))
    }

    fn primary(&self, instance: &InstanceId) -> EniId {
        self.state.world().primary_eni(instance).expect("it has one").id.clone()
    }

    /// The refusal, without ids.
    fn told(&mut self, command: Command) -> String {
        let message = self.try_run(command).expect_err("the command is refused");
        let words = message.split('`').enumerate();
        words.map(|(place, word)| if place % 2 == 1 { "…" } else { word }).collect()
    }
}

#[test]
fn a_free_interface_is_attached_detached_and_deleted() {
    let mut estate = Estate::new(Dialect::Ecs);
    let a = estate.a.clone();
    let web = estate.instance(std::slice::from_ref(&a));
    let (first, second) = (estate.free(), estate.free());
    assert!(estate.eni(&first).instance.is_none() && !estate.eni(&first).is_primary());
    estate.run(estate.attach(&first, &web));
    estate.run(estate.attach(&second, &web));
    let places: Vec<u8> = estate.state.world().enis_of(&web).map(|eni| eni.device_index).collect();
    assert_eq!(places, [0, 1, 2]);
    assert_eq!(estate.told(estate.attach(&first, &web)), "… is attached to …; detach it first");
    let delete = |eni: &EniId| Command::DeleteEni { account: "1".into(), eni: eni.clone() };
    assert_eq!(estate.told(delete(&first)), "… is attached to …; detach it first");
    estate.run(estate.detach(&first, &web));
    assert!(estate.told(estate.detach(&first, &web)).starts_with("… is not attached to …"));
    estate.run(estate.attach(&first, &web));
    assert_eq!(estate.eni(&first).device_index, 1, "the lowest free place");
    estate.run(estate.detach(&first, &web));
    let address = estate.eni(&first).addresses[0];
    assert!(estate.state.world().eni_at(&estate.vpc, address).is_some(), "its address stays its own");
    estate.run(delete(&first));
    assert!(estate.state.world().eni_at(&estate.vpc, address).is_none());
}

#[test]
fn a_managed_interface_is_only_looked_at() {
    let mut estate = Estate::new(Dialect::Ecs);
    let (a, b) = (estate.a.clone(), estate.b.clone());
    let web = estate.instance(std::slice::from_ref(&a));
    let (free, primary) = (estate.free(), estate.primary(&web));
    for eni in [&free, &primary] {
        estate.run(Command::ManageEni { eni: eni.clone(), managed_by: Some(7) });
    }
    let account = estate.account.clone();
    let member = |group: &GroupId, member| (account.clone(), group.clone(), member);
    let (by_eni, by_instance) = (Member::Eni(free.clone()), Member::Instance(web.clone()));
    let join = |(account, group, member)| Command::JoinGroup { account, group, member };
    let leave = |(account, group, member)| Command::LeaveGroup { account, group, member };
    let one = NewAddresses { ipv4_count: 1, ..NewAddresses::default() };
    let refused = [
        estate.attach(&free, &web),
        estate.modify(&free, EniPatch { name: Some("n".into()), ..EniPatch::default() }),
        estate.assign(&free, one.clone()),
        estate.unassign(&free, &["10.0.0.1".parse().unwrap()]),
        Command::DeleteEni { account: account.clone(), eni: free.clone() },
        join(member(&b, by_eni.clone())),
        leave(member(&a, by_eni)),
        join(member(&b, by_instance.clone())),
        leave(member(&a, by_instance)),
        estate.regroup(&web, std::slice::from_ref(&b)),
    ];
    for command in refused {
        let told = estate.told(command.clone());
        assert_eq!(told, "interface … is managed by a cloud product; look at it, and change another", "{command:?}");
    }
    estate.run(Command::ManageEni { eni: free.clone(), managed_by: None });
    estate.run(estate.assign(&free, one));
    let nobody = Command::ManageEni { eni: "eni-0".into(), managed_by: None };
    assert!(estate.told(nobody).contains("does not exist"));
}

#[test]
fn secondary_interfaces_are_counted_by_region() {
    let mut estate = Estate::new(Dialect::Ecs);
    let (a, first) = (estate.a.clone(), estate.free());
    let most = crate::limits::Limits::of(LimitMode::Cloud, Dialect::Ecs).secondary_enis;
    let (like, mut world) = (estate.eni(&first), estate.state.world().clone());
    for number in 1..most {
        let id = format!("eni-{number}").as_str().into();
        let eni = Eni { id, addresses: Vec::new(), ..like.clone() };
        world.apply(&Change::PutEni(Arc::new(eni)));
    }
    estate.state = State::new(world);
    let told = "at most 5000 secondary network interfaces in this region; this request would make it 5001";
    assert_eq!(estate.told(estate.create(estate.spec(std::slice::from_ref(&a)))), told);
    let secondary = vec![estate.spec(std::slice::from_ref(&a))];
    let Command::RunInstances(mut new) = estate.instances(std::slice::from_ref(&a), 1) else { panic!() };
    estate.run(Command::RunInstances(new.clone()));
    new.secondary = secondary;
    assert_eq!(estate.told(Command::RunInstances(new)), told);
    let vpc = Vpc::clone(estate.state.world().vpc(&estate.vpc).unwrap());
    let mut world = estate.state.world().clone();
    world.apply(&Change::PutVpc(Arc::new(Vpc { region: "cn-beijing".to_owned(), ..vpc.clone() })));
    estate.state = State::new(world);
    assert_eq!(estate.told(estate.create(estate.spec(&[a]))), told, "all of them are in one VPC");
    let Outcome::Vpc(far) = estate.run(estate.new_vpc("172.16.0.0/12", VpcIpv6::Off)) else { panic!() };
    (estate.vpc, estate.subnet) = (far, SubnetId::from(""));
    let Outcome::Subnet(subnet) = estate.run(estate.new_subnet("172.16.0.0/24")) else { panic!() };
    let there = estate.group(Flavor::EcsBasic);
    estate.run(estate.create(EniSpec::new(subnet, vec![there])));
}

#[test]
fn the_primary_interface_never_leaves_its_instance() {
    let mut estate = Estate::new(Dialect::Ecs);
    let (a, b) = (estate.a.clone(), estate.b.clone());
    let web = estate.instance(&[a]);
    let primary = estate.primary(&web);
    let expected = "… is the primary interface of …; change the instance instead";
    assert_eq!(estate.told(estate.detach(&primary, &web)), expected);
    assert_eq!(estate.told(estate.attach(&primary, &web)), expected);
    let groups = EniPatch { groups: Some(vec![b]), ..EniPatch::default() };
    assert_eq!(estate.told(estate.modify(&primary, groups)), expected);
    let delete = Command::DeleteEni { account: estate.account.clone(), eni: primary };
    assert_eq!(estate.told(delete), expected);
}

#[test]
fn interfaces_and_instances_must_fit() {
    let mut estate = Estate::new(Dialect::Ecs);
    let a = estate.a.clone();
    let web = estate.instance(std::slice::from_ref(&a));
    let Command::CreateSubnet(mut other) = estate.new_subnet("10.9.0.0/24") else { panic!() };
    other.zone = "y".into();
    let Outcome::Subnet(other) = estate.run(Command::CreateSubnet(other)) else { panic!() };
    let spec = EniSpec::new(other, vec![a.clone()]);
    let Outcome::Eni(far) = estate.run(estate.create(spec)) else { panic!() };
    assert!(estate.told(estate.attach(&far, &web)).starts_with("… is in zone … and … is in another"));
    for _ in 0..7 {
        let eni = estate.free();
        estate.run(estate.attach(&eni, &web));
    }
    let eni = estate.free();
    let told = estate.told(estate.attach(&eni, &web));
    assert_eq!(told, "at most 8 network interfaces of one instance; this request would make it 9");
    estate.refused(
        estate.attach(&eni, &"i-no".into()),
        &expect!["instance `i-no` does not exist in this account and region; check the id"],
    );
}

#[test]
fn an_instance_is_made_with_several_interfaces_and_takes_some_with_it() {
    let mut estate = Estate::new(Dialect::Ecs);
    let (a, b) = (estate.a.clone(), estate.b.clone());
    let free = estate.free();
    let Command::RunInstances(mut new) = estate.instances(&[a], 1) else { panic!() };
    new.secondary = vec![estate.spec(std::slice::from_ref(&b))];
    new.attached = vec![free.clone()];
    let Outcome::Instances(made) = estate.run(Command::RunInstances(new)) else { panic!() };
    let groups: Vec<_> = estate.state.world().enis_of(&made[0]).map(|eni| eni.groups.clone()).collect();
    assert_eq!(groups, [vec![estate.a.clone()], vec![b], vec![estate.a.clone()]]);
    let keep = EniPatch { delete_on_release: Some(false), ..EniPatch::default() };
    estate.run(estate.modify(&free, keep));
    assert!(estate.told(estate.delete(&made[0], false)).starts_with("… is running"));
    estate.run(estate.delete(&made[0], true));
    let left: Vec<EniId> = estate.state.world().enis().map(|eni| eni.id.clone()).collect();
    assert_eq!(left, std::slice::from_ref(&free));
    assert_eq!(estate.eni(&free).instance, None);
}

#[test]
fn addresses_are_given_and_taken() {
    let mut estate = Estate::new(Dialect::Ecs);
    let Command::CreateSubnet(mut new) = estate.new_subnet("10.2.0.0/24") else { panic!() };
    new.ipv6_index = Some(2);
    let Outcome::Subnet(both) = estate.run(Command::CreateSubnet(new)) else { panic!() };
    estate.subnet = both;
    let eni = estate.free();
    let wanted = NewAddresses {
        ipv4: vec!["10.2.0.50".parse().expect("an address")],
        ipv6_count: 1,
        ..NewAddresses::default()
    };
    let outcome = estate.run(estate.assign(&eni, wanted.clone()));
    let Outcome::Addresses { addresses: given, .. } = outcome else { panic!() };
    assert_eq!(estate.eni(&eni).addresses[1..], given);
    assert_eq!(given[0].to_string(), "10.2.0.50");
    let again = estate.told(estate.assign(&eni, wanted));
    assert_eq!(again, "address … of subnet … is another interface's; choose a free one");
    for outside in ["10.2.0.0", "10.2.0.253", "10.3.0.1"] {
        let ipv4 = vec![outside.parse().expect("an address")];
        let told = estate.told(estate.assign(&eni, NewAddresses { ipv4, ..NewAddresses::default() }));
        assert!(told.ends_with("it is outside the block or reserved"), "{outside}: {told}");
    }
    let many = NewAddresses { ipv4_count: 49, ..NewAddresses::default() };
    assert!(estate.told(estate.assign(&eni, many)).starts_with("at most 50 private IPv4 addresses"));
    let many = NewAddresses { ipv6_count: u32::MAX, ..NewAddresses::default() };
    assert!(estate.told(estate.assign(&eni, many)).starts_with("at most 10 IPv6 addresses"));
    let primary = estate.eni(&eni).addresses[0];
    assert!(estate.told(estate.unassign(&eni, &[given[0], primary])).starts_with("… has no secondary address …"));
    estate.run(estate.unassign(&eni, &given));
    assert_eq!(estate.eni(&eni).addresses, [primary]);
}

#[test]
fn groups_of_an_instance_are_replaced_as_a_whole() {
    let mut estate = Estate::new(Dialect::Ecs);
    let (a, b) = (estate.a.clone(), estate.b.clone());
    let (one, two) = (estate.group(Flavor::EcsEnterprise), estate.group(Flavor::EcsEnterprise));
    let web = estate.instance(std::slice::from_ref(&a));
    estate.run(estate.regroup(&web, &[b.clone(), a.clone(), b.clone()]));
    let primary = estate.primary(&web);
    assert_eq!(estate.eni(&primary).groups, [b, a.clone()]);
    let told = estate.told(estate.regroup(&web, &[a, one.clone()]));
    assert!(told.ends_with("all groups of an interface must be of one type"), "{told}");
    estate.run(estate.regroup(&web, &[one.clone(), two.clone()]));
    assert_eq!(estate.eni(&primary).groups, [one, two], "the whole list is of one type");
    let revision = estate.state.world().to_changes();
    let nothing = InstancePatch::default();
    let (account, instance) = (estate.account.clone(), web);
    estate.run(Command::ModifyInstance { account, instance, patch: nothing });
    assert_eq!(estate.state.world().to_changes(), revision);
}

#[test]
fn an_interface_is_changed_field_by_field() {
    let mut estate = Estate::new(Dialect::Ecs);
    let b = estate.b.clone();
    let eni = estate.free();
    let timeouts = TimeoutChoice { udp_s: Some(80), ..TimeoutChoice::default() };
    let patch = EniPatch {
        groups: Some(vec![b.clone()]),
        name: Some("backup".to_owned()),
        timeouts,
        source_check: Some(false),
        ..EniPatch::default()
    };
    let before = estate.eni(&eni);
    estate.run(estate.modify(&eni, patch));
    let after = estate.eni(&eni);
    assert_eq!((after.groups, after.name.as_str(), after.source_check), (vec![b], "backup", false));
    assert_eq!((after.timeouts.udp_s, after.timeouts.tcp_established_s), (80, before.timeouts.tcp_established_s));
    assert_eq!((after.addresses, after.delete_on_release), (before.addresses, before.delete_on_release));
}

#[test]
fn instances_are_stopped_started_and_rebooted() {
    let mut estate = Estate::new(Dialect::Ecs);
    let a = estate.a.clone();
    let (one, two) = (estate.instance(std::slice::from_ref(&a)), estate.instance(std::slice::from_ref(&a)));
    let both = [one.clone(), two.clone()];
    estate.run(estate.switch(std::slice::from_ref(&one), Power::Stop, true));
    let state = |estate: &Estate, id: &InstanceId| estate.state.world().instance(id).expect("it exists").state;
    assert_eq!((state(&estate, &one), state(&estate, &two)), (InstanceState::Stopped, InstanceState::Running));
    let told = estate.told(estate.switch(&both, Power::Stop, true));
    assert_eq!(told, "… is stopped, which this cannot be done in; start or stop it first");
    let Outcome::Power(changes) = estate.run(estate.switch(&both, Power::Stop, false)) else { panic!() };
    let [first, second] = changes.as_slice() else { panic!("{changes:?}") };
    assert!(first.refused.is_some() && first.after == Some(InstanceState::Stopped));
    let (stopped, running) = (Some(InstanceState::Stopped), Some(InstanceState::Running));
    let expected = PowerChange { instance: two.clone(), before: running, after: stopped, refused: None };
    assert_eq!(*second, expected);
    assert!(estate.told(estate.switch(std::slice::from_ref(&one), Power::Reboot, true)).starts_with("… is stopped"));
    estate.run(estate.switch(&both, Power::Start, true));
    let since = |estate: &Estate| estate.state.world().instance(&one).expect("it exists").state_since;
    let started = since(&estate);
    estate.run(estate.switch(std::slice::from_ref(&one), Power::Reboot, true));
    assert!(since(&estate) > started);
    let enis = estate.state.world().enis().count();
    assert_eq!(enis, 2, "interfaces stay whatever the state is");
}

#[test]
fn the_default_group_is_made_once_and_found_again() {
    let mut estate = Estate::new(Dialect::Ecs);
    let (first, second) = (estate.instance(&[]), estate.instance(&[]));
    let groups = |estate: &Estate, instance| estate.eni(&estate.primary(instance)).groups;
    assert_eq!(groups(&estate, &first), groups(&estate, &second));
    let id = groups(&estate, &first)[0].clone();
    let group = estate.state.world().group(&id).expect("it exists").clone();
    assert!(group.is_default && group.flavor == Flavor::EcsBasic);
    let rules: Vec<String> = group
        .rules
        .values()
        .map(|rule| format!("{} {:?} {}", rule.spec.protocol, rule.spec.service, rule.spec.priority))
        .collect();
    assert_eq!(rules.len(), 3, "{rules:?}");
}

#[test]
fn networks_are_renamed_and_get_ipv6() {
    let mut estate = Estate::new(Dialect::Ecs);
    let (account, vpc, subnet) = (estate.account.clone(), estate.vpc.clone(), estate.subnet.clone());
    let patch = NetworkPatch { name: Some("prod".to_owned()), description: None };
    let modify = |patch: &NetworkPatch, ipv6| Command::ModifyVpc {
        account: account.clone(),
        vpc: vpc.clone(),
        patch: patch.clone(),
        ipv6,
    };
    let block = estate.state.world().vpc(&vpc).expect("it exists").ipv6;
    estate.run(modify(&patch, VpcIpv6::Any));
    let after = estate.state.world().vpc(&vpc).expect("it exists").clone();
    assert_eq!((after.name.as_str(), after.ipv6), ("prod", block), "a block that is there stays");
    let other = VpcIpv6::Block("2001:db8:1:100::/56".parse().expect("a block"));
    assert!(estate.told(modify(&patch, other)).contains("already"));
    let index = |ipv6_index| {
        let (account, subnet) = (account.clone(), subnet.clone());
        Command::ModifySubnet { account, subnet, patch: NetworkPatch::default(), ipv6_index }
    };
    estate.run(index(Some(7)));
    estate.run(index(Some(7)));
    assert!(estate.told(index(Some(8))).contains("already"));
    assert!(estate.state.world().subnet(&subnet).expect("it exists").ipv6.is_some());
}
