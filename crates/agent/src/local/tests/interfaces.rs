//! Secondary interfaces that come and go, and instances that stop and start.

use sekimori_core::{
    command::{EniSpec, NewAddresses, Outcome, Power},
    ids::EniId,
};

use super::*;

/// An ENI beside the instances of a network, attached to nothing.
fn free_eni(lab: &mut Lab, network: &lab::Network) -> EniId {
    let spec = EniSpec::new(network.subnet.clone(), vec![network.group.clone()]).with_ipv6(1);
    let create = Command::CreateEni { account: lab.account.clone(), spec };
    let Outcome::Eni(eni) = lab.run(&create).0 else { panic!("no ENI") };
    eni
}

fn attach(lab: &mut Lab, eni: &EniId, instance: &InstanceId) -> Vec<Change> {
    let (account, eni, instance) = (lab.account.clone(), eni.clone(), instance.clone());
    lab.run(&Command::AttachEni { account, eni, instance }).1
}

fn detach(lab: &mut Lab, eni: &EniId, instance: &InstanceId) -> Vec<Change> {
    let (account, eni, instance) = (lab.account.clone(), eni.clone(), instance.clone());
    lab.run(&Command::DetachEni { account, eni, instance }).1
}

fn switch(lab: &mut Lab, instance: &InstanceId, power: Power) -> Vec<Change> {
    let (account, instances) = (lab.account.clone(), vec![instance.clone()]);
    // A start is told from the one before by its revision, which a lab does not count.
    lab.count_up();
    lab.run(&Command::SetPower { account, instances, power, is_all_or_none: true }).1
}

fn addresses(lab: &Lab, eni: &EniId) -> Vec<IpAddr> {
    lab.world().eni(eni).unwrap().addresses.clone()
}

/// Whether every address answers, or none does.
fn answer(from: &InstanceId, addresses: &[IpAddr], patience: Duration) -> bool {
    let answers: Vec<bool> = addresses.iter().map(|address| pings(&ns(from.as_str()), *address, patience)).collect();
    assert!(answers.iter().all(|one| *one == answers[0]), "{addresses:?}: {answers:?}");
    answers[0]
}

#[tokio::test]
async fn a_secondary_interface_comes_and_goes() {
    if !can_run() {
        return;
    }
    let mut lab = Lab::new();
    let network = lab.network("10.1.0.0/24");
    let (ids, _) = lab.instances(&network, 2);
    let before = lab.reconcile().await;
    let eni = free_eni(&mut lab, &network);
    let own = addresses(&lab, &eni);
    assert!(!answer(&ids[0], &own, IMPATIENCE), "a free interface is nowhere");

    let changes = attach(&mut lab, &eni, &ids[1]);
    let ports = lab.apply(&changes).await;
    assert!(ports.iter().any(|port| port.eni == eni && port.generation == 1), "{ports:?}");
    assert!(is_up(ns(ids[1].as_str()).as_fd(), "eth1"));
    assert!(answer(&ids[0], &own, PATIENCE));
    assert_reach(&lab, ids[0].as_str(), &ids[1]);

    let all = lab.reconcile().await;
    lab.reopen();
    assert_eq!(lab.reconcile().await, all, "a restart adopts it");
    assert!(before.iter().all(|port| all.contains(port)), "the others are as they were");

    let changes = detach(&mut lab, &eni, &ids[1]);
    lab.apply(&changes).await;
    assert_eq!(lab.guard.forgotten, std::slice::from_ref(&eni));
    assert!(!answer(&ids[0], &own, IMPATIENCE));
    assert_reach(&lab, ids[0].as_str(), &ids[1]);

    // It takes its addresses with it.
    let changes = attach(&mut lab, &eni, &ids[0]);
    lab.apply(&changes).await;
    assert!(answer(&ids[1], &own, PATIENCE));
    let mut moved = detach(&mut lab, &eni, &ids[0]);
    moved.extend(attach(&mut lab, &eni, &ids[1]));
    lab.apply(&moved).await;
    assert!(answer(&ids[0], &own, PATIENCE), "also from one instance to another in one step");
    let again = lab.local().ports().find(|port| port.eni == eni).unwrap();
    assert_eq!(again.generation, 2, "the same instance has had a link of it before");
    assert_eq!(drifts(&lab), []);
}

#[tokio::test]
async fn addresses_come_and_go() {
    if !can_run() {
        return;
    }
    let mut lab = Lab::new();
    let network = lab.network("10.1.0.0/24");
    let (ids, _) = lab.instances(&network, 2);
    let eni = free_eni(&mut lab, &network);
    attach(&mut lab, &eni, &ids[1]);
    lab.reconcile().await;
    let account = lab.account.clone();
    let wanted = NewAddresses { ipv4_count: 2, ipv6_count: 1, ..NewAddresses::default() };
    let assign = Command::AssignAddresses { account: account.clone(), eni: eni.clone(), addresses: wanted };
    let (outcome, changes) = lab.run(&assign);
    let Outcome::Addresses { addresses: more, .. } = outcome else { panic!("no addresses") };
    lab.apply(&changes).await;
    assert_eq!(more.len(), 3);
    assert!(answer(&ids[0], &more, PATIENCE));
    assert!(answer(&ids[0], &addresses(&lab, &eni), PATIENCE));
    let unassign = Command::UnassignAddresses { account, eni: eni.clone(), addresses: more.clone() };
    let (_, changes) = lab.run(&unassign);
    lab.apply(&changes).await;
    assert!(!answer(&ids[0], &more, IMPATIENCE));
    assert!(answer(&ids[0], &addresses(&lab, &eni), PATIENCE));
}

#[tokio::test]
async fn a_stopped_instance_has_no_link_and_comes_back() {
    if !can_run() {
        return;
    }
    let mut lab = Lab::new();
    let network = lab.network("10.1.0.0/24");
    let (ids, _) = lab.instances(&network, 2);
    let eni = free_eni(&mut lab, &network);
    attach(&mut lab, &eni, &ids[1]);
    lab.reconcile().await;
    let mut own = addresses(&lab, &eni);
    own.extend([lab.address(&ids[1], false), lab.address(&ids[1], true)]);

    let changes = switch(&mut lab, &ids[1], Power::Stop);
    assert_eq!(lab.apply(&changes).await, [], "no port is left, and none is missed");
    assert!(!answer(&ids[0], &own, IMPATIENCE));
    assert_eq!(drifts(&lab), []);
    lab.reopen();
    assert_eq!(lab.reconcile().await.len(), 1, "it stays stopped");
    assert!(!answer(&ids[0], &own, IMPATIENCE));

    let changes = switch(&mut lab, &ids[1], Power::Start);
    let ports = lab.apply(&changes).await;
    assert!(ports.iter().all(|port| port.generation == 2) && ports.len() == 2, "{ports:?}");
    assert!(answer(&ids[0], &own, PATIENCE));
}

#[tokio::test]
async fn a_reboot_makes_the_links_anew_also_when_nobody_looked() {
    if !can_run() {
        return;
    }
    let mut lab = Lab::new();
    let network = lab.network("10.1.0.0/24");
    let (ids, _) = lab.instances(&network, 2);
    let before = lab.reconcile().await;
    let changes = switch(&mut lab, &ids[1], Power::Reboot);
    let [port] = lab.apply(&changes).await.try_into().unwrap();
    assert_eq!(port.generation, before[1].generation + 1);
    assert_reach(&lab, ids[0].as_str(), &ids[1]);
    assert!(lab.reconcile().await.contains(&port), "once");

    switch(&mut lab, &ids[1], Power::Stop);
    switch(&mut lab, &ids[1], Power::Start);
    lab.reopen();
    let after = lab.reconcile().await;
    assert_eq!(after[1].generation, port.generation + 1);
    assert_eq!(after[0], before[0], "the other is as it was");
    assert_reach(&lab, ids[0].as_str(), &ids[1]);
}
