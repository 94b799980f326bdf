//! Networks, interfaces, instances, peerings and flow logs on trial: what comes back, what goes, and what is left because it does not fit.

use std::net::IpAddr;

use super::{
    peering::{accept, ask, asked, end, status, with_peer},
    *,
};
use crate::{
    command::{NewAddresses, Power, TrialCommand},
    ids::EniId,
    peering::{ENDED_KEPT_S, PeeringStatus},
    resource::Resource,
    world::InstanceState,
};

impl Estate {
    /// That a rollback of these commands leaves nothing of them.
    fn comes_back(&mut self, commands: Vec<Command>) {
        let before = self.state.world().to_changes();
        let id = self.begin(60, commands);
        assert_ne!(self.state.world().to_changes(), before);
        let (restored, left) = self.undone(TrialCommand::RollBack { id });
        assert!(restored > 0 && left.is_empty(), "{left:?}");
        assert_eq!(self.state.world().to_changes(), before);
    }

    /// What is left of a change, the reasons only.
    fn left(&mut self, id: String) -> Vec<String> {
        let (_, mut left) = self.undone(TrialCommand::RollBack { id });
        left.sort();
        left.iter().map(|text| text.split_once(": ").expect("a reason").1.to_owned()).collect()
    }

    fn delete_subnet(&self, subnet: &SubnetId) -> Command {
        Command::DeleteSubnet { account: self.account.clone(), subnet: subnet.clone() }
    }

    fn delete_vpc(&self, vpc: &VpcId) -> Command {
        Command::DeleteVpc { account: self.account.clone(), vpc: vpc.clone() }
    }

    fn delete_eni(&self, eni: &EniId) -> Command {
        Command::DeleteEni { account: self.account.clone(), eni: eni.clone() }
    }

    fn subnet(&mut self, cidr: &str) -> SubnetId {
        let Outcome::Subnet(id) = self.run(self.new_subnet(cidr)) else { panic!() };
        id
    }
}

#[test]
fn what_was_made_on_trial_goes() {
    for dialect in [Dialect::Ecs, Dialect::Ec2] {
        let mut estate = Estate::new(dialect);
        let group = estate.a.clone();
        let block = if dialect == Dialect::Ecs { "172.16.0.0/12" } else { "10.9.0.0/16" };
        estate.comes_back(vec![estate.new_vpc(block, VpcIpv6::Any)]);
        estate.comes_back(vec![estate.new_subnet("10.1.1.0/24")]);
        estate.comes_back(vec![estate.create(estate.spec(std::slice::from_ref(&group)))]);
        estate.comes_back(vec![estate.new_flow_logs(&[Resource::Subnet(estate.subnet.clone())], "one")]);
        let id = estate.begin(60, vec![estate.instances(std::slice::from_ref(&group), 2)]);
        assert_eq!((estate.state.world().instances().count(), estate.state.world().enis().count()), (2, 2));
        assert_eq!(estate.undone(TrialCommand::RollBack { id }), (4, vec![]));
        let world = estate.state.world();
        assert_eq!((world.instances().count(), world.enis().count()), (0, 0));
        let shown = world.terminated().iter().count();
        assert_eq!(shown, if dialect == Dialect::Ec2 { 2 } else { 0 }, "EC2 shows them as terminated");
    }
}

#[test]
fn what_was_deleted_on_trial_comes_back() {
    for dialect in [Dialect::Ecs, Dialect::Ec2] {
        let mut estate = Estate::new(dialect);
        let (eni, subnet) = (estate.free(), estate.subnet("10.1.1.0/24"));
        let (logs, _) = estate.flow_logs(&[Resource::Vpc(estate.vpc.clone())], "one");
        estate.comes_back(vec![estate.delete_eni(&eni)]);
        estate.comes_back(vec![estate.delete_subnet(&subnet)]);
        estate.comes_back(vec![estate.delete_flow_logs(&logs)]);
        estate.comes_back(vec![estate.delete_eni(&eni), estate.delete_subnet(&subnet)]);
    }
    let (mut estate, peer) = with_peer("10.2.0.0/16");
    let id = asked(&mut estate, &peer);
    estate.run(accept(&estate, &id));
    estate.comes_back(vec![estate.delete_vpc(&peer)]);
    assert!(estate.state.world().are_joined(&peer, &estate.vpc), "its peering came back with it");
}

#[test]
fn peerings_come_back_though_they_were_forgotten_meanwhile() {
    let (mut estate, peer) = with_peer("10.2.0.0/16");
    estate.comes_back(vec![ask(&estate, &peer)]);
    let id = asked(&mut estate, &peer);
    estate.comes_back(vec![accept(&estate, &id)]);
    assert_eq!(status(&estate, &id), Some(PeeringStatus::PendingAcceptance));
    estate.run(accept(&estate, &id));
    estate.comes_back(vec![end(&estate, &id)]);
    let trial = estate.begin(60 * 60 * 24, vec![end(&estate, &id)]);
    estate.later(ENDED_KEPT_S);
    estate.run(Command::KeepPeerings);
    assert_eq!(status(&estate, &id), None);
    assert_eq!(estate.left(trial), [""; 0]);
    assert_eq!(status(&estate, &id), Some(PeeringStatus::Active));
    // Another one has its place by now.
    let trial = estate.begin(60, vec![end(&estate, &id)]);
    let other = asked(&mut estate, &peer);
    assert_eq!(estate.left(trial), [format!("`{other}` is between its VPCs")]);
    assert_eq!(status(&estate, &id), Some(PeeringStatus::Deleted));
}

#[test]
fn what_somebody_uses_by_now_stays() {
    let mut estate = Estate::new(Dialect::Ec2);
    let own = estate.vpc.clone();
    let before = estate.state.world().clone();
    let trial = estate.begin(60, vec![estate.new_vpc("10.9.0.0/16", VpcIpv6::Off)]);
    let made = estate.state.world().vpcs().find(|vpc| before.vpc(&vpc.id).is_none()).expect("it is there").id.clone();
    estate.vpc = made.clone();
    let subnet = estate.subnet("10.9.1.0/24");
    let left = estate.left(trial);
    assert!(left.contains(&format!("`{subnet}` is of it")), "{left:?}");
    let group = format!("`{made}` has it as its default");
    assert!(left.contains(&group) && left.contains(&format!("`{subnet}` has it")), "{left:?}");
    assert!(estate.state.world().default_acl(&made).is_some());
    estate.vpc = own;

    let trial = estate.begin(60, vec![estate.new_subnet("10.1.1.0/24")]);
    let made = estate.state.world().subnets().find(|one| one.cidr.to_string() == "10.1.1.0/24").unwrap().id.clone();
    let kept = std::mem::replace(&mut estate.subnet, made);
    let eni = estate.free();
    assert_eq!(estate.left(trial), [format!("`{eni}` is in it")]);
    estate.subnet = kept;

    let group = estate.a.clone();
    let trial = estate.begin(60, vec![estate.instances(std::slice::from_ref(&group), 1)]);
    let instance = estate.state.world().instances().next().unwrap().id.clone();
    let eni = estate.free();
    estate.run(estate.attach(&eni, &instance));
    let mut expected = [format!("`{eni}` is attached to it"), format!("it is the primary interface of `{instance}`")];
    expected.sort();
    let mut left = estate.left(trial);
    left.sort();
    assert_eq!(left, expected);
}

#[test]
fn what_somebody_else_has_by_now_does_not_come_back() {
    let mut estate = Estate::new(Dialect::Ec2);
    let (eni, subnet) = (estate.free(), estate.subnet("10.1.1.0/24"));
    let [address] = estate.eni(&eni).addresses[..] else { panic!() };
    let trial = estate.begin(60, vec![estate.delete_eni(&eni), estate.delete_subnet(&subnet)]);
    let other = estate.subnet("10.1.1.0/25");
    let taker = estate.free();
    let IpAddr::V4(wanted) = address else { panic!() };
    if !estate.eni(&taker).addresses.contains(&address) {
        let addresses = NewAddresses { ipv4: vec![wanted], ..NewAddresses::default() };
        estate.run(estate.assign(&taker, addresses));
    }
    assert_eq!(estate.left(trial), [format!("{address} is another interface's"), format!("`{other}` has its block")]);
    assert_eq!(estate.state.world().eni_at(&estate.vpc, address).map(|eni| eni.id.clone()), Some(taker));
    let (logs, _) = estate.flow_logs(&[Resource::Vpc(estate.vpc.clone())], "one");
    let trial = estate.begin(60, vec![estate.delete_flow_logs(&logs)]);
    let (again, _) = estate.flow_logs(&[Resource::Vpc(estate.vpc.clone())], "one");
    assert_eq!(estate.left(trial), [format!("`{}` records the same", again[0])]);
}

#[test]
fn hosts_do_again_what_a_rollback_asks_of_them_and_nothing_for_a_reboot() {
    let mut estate = Estate::new(Dialect::Ecs);
    let group = estate.a.clone();
    let instance = estate.instance(std::slice::from_ref(&group));
    let eni = estate.free();
    estate.run(estate.attach(&eni, &instance));
    let since = |estate: &Estate| {
        let found = estate.state.world().instance(&instance).unwrap().clone();
        (found.state, found.state_since)
    };
    let one = std::slice::from_ref(&instance);
    let trial = estate.begin(60, vec![estate.switch(one, Power::Stop, true), estate.detach(&eni, &instance)]);
    assert_eq!(estate.left(trial), [""; 0]);
    let newest = estate.state.world().revision();
    assert_eq!(since(&estate), (InstanceState::Running, newest));
    assert_eq!((estate.eni(&eni).instance, estate.eni(&eni).moved_in), (Some(instance.clone()), newest));
    let trial = estate.begin(60, vec![estate.switch(one, Power::Reboot, true)]);
    let rebooted = since(&estate);
    assert_eq!(estate.left(trial), [""; 0]);
    assert_eq!(since(&estate), rebooted, "it is not rebooted again");
}

#[test]
fn what_was_in_a_resource_group_that_is_gone_does_not_come_back() {
    let mut estate = Estate::new(Dialect::Ecs);
    let account = estate.account.clone();
    let made = Command::CreateResourceGroup { account: account.clone(), name: "shop".to_owned() };
    let Outcome::ResourceGroup(shop) = estate.run(made) else { panic!() };
    let eni = estate.free();
    let (resource, resource_group) = (Resource::Eni(eni.clone()), shop.clone());
    estate.run(Command::JoinResourceGroup { account: account.clone(), resource, resource_group });
    let trial = estate.begin(60, vec![estate.delete_eni(&eni)]);
    estate.run(Command::DeleteResourceGroup { account, resource_group: shop.clone() });
    assert_eq!(estate.left(trial), [format!("`{shop}` is gone")]);
}
