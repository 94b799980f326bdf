//! Local compute on the real kernel, as root: real namespaces, real packets.

mod interfaces;
mod lab;
mod peerings;

use std::{
    net::IpAddr,
    os::{fd::AsFd, unix::process::ExitStatusExt},
    sync::Arc,
    time::Duration,
};

use sekimori_core::{
    change::Change,
    command::Command,
    ids::InstanceId,
    world::{Eni, World},
};

use self::lab::{Lab, can_run, connect, is_up, ns, pings, talk};
use super::{Drift, LocalCompute, LocalError, LocalLook, Looked, REGISTRY_FILE, Touched};
use crate::netlink::{
    Netlink,
    netns::{self, within},
    setting::Setting,
};

const PATIENCE: Duration = Duration::from_secs(3);
const IMPATIENCE: Duration = Duration::from_millis(300);

/// What is missing, by a look at everything; one in turns must suspect the same.
fn drifts(lab: &Lab) -> Vec<Drift> {
    let (found, mut look) = (lab.local().check(), LocalLook::default());
    let end = std::iter::repeat_with(|| lab.local().look(&mut look)).find(|looked| *looked != Looked::Some);
    assert_eq!(end, Some(if found.is_empty() { Looked::All } else { Looked::Suspicious }), "{found:?}");
    found
}

/// More links than are read at a time, so that some are read in two parts.
#[tokio::test]
async fn a_look_in_turns_sees_every_link() {
    if !can_run() {
        return;
    }
    let mut lab = Lab::new();
    let network = lab.network("10.1.0.0/24");
    lab.instances(&network, 70);
    lab.reconcile().await;
    assert_eq!(drifts(&lab), []);
    let mut look = LocalLook::default();
    let steps = std::iter::repeat_with(|| lab.local().look(&mut look)).take_while(|looked| *looked == Looked::Some);
    assert!(steps.count() > 5, "a router, parts of its links, instances");
}

/// A connection must work, in both families.
fn assert_reach(lab: &Lab, from: &str, to: &InstanceId) {
    for ipv6 in [false, true] {
        let address = lab.address(to, ipv6);
        let (from, to) = (ns(from), ns(to.as_str()));
        assert!(pings(&from, address, PATIENCE), "ping {address}");
        let mut ends = connect(&from, &to, address).unwrap_or_else(|error| panic!("{address}: {error}"));
        talk(&mut ends).unwrap();
    }
}

#[tokio::test]
async fn instances_of_a_subnet_reach_each_other() {
    if !can_run() {
        return;
    }
    let mut lab = Lab::new();
    let network = lab.network("10.1.0.0/24");
    let (ids, _) = lab.instances(&network, 2);
    let ports = lab.reconcile().await;
    assert_eq!(ports.len(), 2);
    assert!(ports.iter().all(|port| port.vpc == network.vpc && port.generation == 1));
    let closed: Vec<_> = ports.iter().map(|port| (port.eni.clone(), port.ifindex)).collect();
    assert_eq!(lab.guard.closed, closed, "each was closed once");
    // The first packet passes: nothing has to come up any more.
    for ipv6 in [false, true] {
        assert!(pings(&ns(ids[0].as_str()), lab.address(&ids[1], ipv6), PATIENCE));
    }
    assert_reach(&lab, ids[0].as_str(), &ids[1]);
    assert_reach(&lab, ids[1].as_str(), &ids[0]);
    let ends = connect(&ns(ids[0].as_str()), &ns(ids[1].as_str()), lab.address(&ids[1], false)).unwrap();
    assert_eq!(ends.1.peer_addr().unwrap().ip(), lab.address(&ids[0], false), "no address is translated");
    assert!(pings(&ns(ids[0].as_str()), "127.0.0.1".parse().unwrap(), PATIENCE));
    assert!(pings(&ns(ids[0].as_str()), "10.1.0.253".parse().unwrap(), PATIENCE), "the gateway");
}

#[tokio::test]
async fn two_vpcs_with_the_same_block_are_apart() {
    if !can_run() {
        return;
    }
    let mut lab = Lab::new();
    let (red, blue) = (lab.network("10.1.0.0/24"), lab.network("10.1.0.0/24"));
    let (mut reds, _) = lab.instances(&red, 2);
    let (blues, _) = lab.instances(&blue, 1);
    reds.sort_by_key(|id| lab.address(id, false));
    lab.reconcile().await;
    assert_eq!(lab.address(&reds[0], false), lab.address(&blues[0], false));
    assert_reach(&lab, reds[1].as_str(), &reds[0]);
    // Blue's only instance has the address of the first red one; the second red address is nobody's in blue.
    assert!(!pings(&ns(blues[0].as_str()), lab.address(&reds[1], false), IMPATIENCE));
    assert!(!pings(&ns(blues[0].as_str()), lab.address(&reds[1], true), IMPATIENCE));
}

#[tokio::test]
async fn the_outside_reaches_instances_and_is_reached() {
    if !can_run() {
        return;
    }
    let mut lab = Lab::new();
    let network = lab.network("10.1.0.0/24");
    let (ids, _) = lab.instances(&network, 1);
    lab.reconcile().await;
    let name = format!("{}.outside", network.vpc);
    assert_reach(&lab, &name, &ids[0]);
    let (inside, outside) = (ns(ids[0].as_str()), ns(&name));
    for address in ["198.51.100.10", "203.0.113.10", "2001:db8:ffff::10"] {
        let mut ends = connect(&inside, &outside, address.parse().unwrap()).unwrap();
        talk(&mut ends).unwrap();
    }
    let ends = connect(&outside, &inside, lab.address(&ids[0], false)).unwrap();
    assert_eq!(ends.1.peer_addr().unwrap().ip(), "198.51.100.10".parse::<IpAddr>().unwrap());
    assert!(!lab.guard.closed.iter().any(|(eni, _)| *eni != lab.eni(&ids[0])), "the outside has no ENI");
}

#[tokio::test]
async fn what_is_the_vpcs_never_leaves_it() {
    if !can_run() {
        return;
    }
    let mut lab = Lab::new();
    let network = lab.network("10.1.0.0/24");
    let (ids, _) = lab.instances(&network, 1);
    lab.reconcile().await;
    let outside = ns(&format!("{}.outside", network.vpc));
    let netlink = Netlink::open(&outside, &[]).unwrap();
    let [inner, other] = ["10.1.0.200", "192.88.0.1"].map(|text| text.parse::<IpAddr>().unwrap());
    let own = |address: IpAddr| Setting::Address { link: 1, address: address.into() };
    netlink.make(&[own(inner), own(other)]).await.unwrap();
    assert!(pings(&ns(ids[0].as_str()), other, PATIENCE), "any other address is outside");
    assert!(!pings(&ns(ids[0].as_str()), inner, IMPATIENCE));
}

#[tokio::test]
async fn what_is_deleted_by_hand_is_noticed_and_repaired() {
    if !can_run() {
        return;
    }
    let mut lab = Lab::new();
    let network = lab.network("10.1.0.0/24");
    let (ids, _) = lab.instances(&network, 3);
    let before = lab.reconcile().await;
    assert_eq!(drifts(&lab), []);
    let mut bystander = connect(&ns(ids[0].as_str()), &ns(ids[2].as_str()), lab.address(&ids[2], false)).unwrap();

    // The namespace, while somebody still holds it.
    let held = ns(ids[1].as_str());
    netns::delete(ids[1].as_str()).unwrap();
    assert_eq!(drifts(&lab), [Drift::Instance(ids[1].clone())]);
    let after = lab.reconcile().await;
    assert_eq!(drifts(&lab), []);
    assert_reach(&lab, ids[0].as_str(), &ids[1]);
    assert_eq!((&after[0], &after[2]), (&before[0], &before[2]), "the others are as they were");
    assert_eq!(after[1].generation, before[1].generation + 1);
    assert_ne!(after[1].ifindex, before[1].ifindex);
    drop(held);

    // The link, from the instance's side; the repair looks at nothing but the drift.
    let netlink = Netlink::open(&ns(ids[1].as_str()), &[]).unwrap();
    netlink.delete_link("eth0").await.unwrap();
    let found = drifts(&lab);
    assert_eq!(found, [Drift::Link { eni: lab.eni(&ids[1]), instance: ids[1].clone() }]);
    let touched: Vec<Touched> = found.iter().map(Drift::touched).collect();
    let again = lab.touch(&touched).await;
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].generation, after[1].generation + 1);
    assert_eq!(drifts(&lab), []);
    assert_reach(&lab, ids[0].as_str(), &ids[1]);
    talk(&mut bystander).unwrap();
}

#[tokio::test]
async fn a_router_that_lost_its_name_gets_it_back_with_its_connections() {
    if !can_run() {
        return;
    }
    let mut lab = Lab::new();
    let network = lab.network("10.1.0.0/24");
    let (ids, _) = lab.instances(&network, 2);
    let before = lab.reconcile().await;
    let mut ends = connect(&ns(ids[0].as_str()), &ns(ids[1].as_str()), lab.address(&ids[1], false)).unwrap();
    let outside = format!("{}.outside", network.vpc);
    netns::delete(network.vpc.as_str()).unwrap();
    netns::delete(&outside).unwrap();
    assert_eq!(drifts(&lab), [Drift::Router(network.vpc.clone()), Drift::Outside(network.vpc.clone())]);
    lab.touch(&[Touched::Vpc(network.vpc.clone())]).await;
    assert_eq!(drifts(&lab), []);
    talk(&mut ends).unwrap();
    assert_eq!(lab.reconcile().await, before);
    assert_reach(&lab, &outside, &ids[0]);

    // Nobody held it this time: everything is made again.
    drop(lab.local.take());
    netns::delete(network.vpc.as_str()).unwrap();
    lab.reopen();
    let after = lab.reconcile().await;
    assert!(after.iter().zip(&before).all(|(new, old)| new.generation == old.generation + 1));
    assert_reach(&lab, ids[0].as_str(), &ids[1]);
    assert_reach(&lab, &outside, &ids[0]);
}

#[tokio::test]
async fn a_restart_adopts_and_live_connections_survive() {
    if !can_run() {
        return;
    }
    let mut lab = Lab::new();
    let network = lab.network("10.1.0.0/24");
    let (ids, _) = lab.instances(&network, 2);
    let before = lab.reconcile().await;
    let mut ends = Vec::new();
    for ipv6 in [false, true] {
        let address = lab.address(&ids[1], ipv6);
        ends.push(connect(&ns(ids[0].as_str()), &ns(ids[1].as_str()), address).unwrap());
    }
    lab.guard.closed.clear();
    lab.reopen();
    assert_eq!(lab.reconcile().await, before);
    assert_eq!(lab.reconcile().await, before, "and once more changes nothing");
    assert_eq!(lab.guard.closed, [], "what is up is not closed");
    ends.iter_mut().for_each(|ends| talk(ends).unwrap());
    assert_eq!(drifts(&lab), []);
}

#[tokio::test]
async fn a_commit_changes_what_it_touches_only() {
    if !can_run() {
        return;
    }
    let mut lab = Lab::new();
    let network = lab.network("10.1.0.0/24");
    let (first, changes) = lab.instances(&network, 2);
    assert_eq!(lab.apply(&changes).await.len(), 2);
    let (second, changes) = lab.instances(&network, 1);
    let ports = lab.apply(&changes).await;
    assert_eq!(ports.len(), 1);
    assert_eq!(ports[0].eni, lab.eni(&second[0]));
    assert_reach(&lab, first[0].as_str(), &second[0]);

    // A change that the kernel need not know, such as another group, asks the kernel nothing.
    let eni = Change::PutEni(Arc::clone(lab.world().primary_eni(&second[0]).unwrap()));
    netns::delete(second[0].as_str()).unwrap();
    assert_eq!(lab.apply(&[eni]).await, ports);
    assert!(!netns::exists(second[0].as_str()).unwrap());

    let mut enis = [lab.eni(&first[1]), lab.eni(&second[0])];
    enis.sort();
    let gone = vec![first[1].clone(), second[0].clone()];
    let delete = Command::DeleteInstances { account: lab.account.clone(), instances: gone, is_forced: true };
    let (_, changes) = lab.run(&delete);
    assert_eq!(lab.apply(&changes).await, []);
    lab.guard.forgotten.sort();
    assert_eq!(lab.guard.forgotten, enis);
    assert!(!netns::exists(first[1].as_str()).unwrap());
    assert_eq!(lab.local().ports().count(), 1);
    assert_eq!(drifts(&lab), []);

    let delete =
        Command::DeleteInstances { account: lab.account.clone(), instances: vec![first[0].clone()], is_forced: true };
    let mut changes = lab.run(&delete).1;
    changes.push(Change::DeleteVpc(network.vpc.clone()));
    lab.change(&Change::DeleteVpc(network.vpc.clone()));
    lab.apply(&changes).await;
    assert!(!netns::exists(network.vpc.as_str()).unwrap());
    assert!(!netns::exists(&format!("{}.outside", network.vpc)).unwrap());
}

#[tokio::test]
async fn a_name_that_is_not_ours_is_refused_and_left_alone() {
    if !can_run() {
        return;
    }
    let mut lab = Lab::new();
    let (network, other) = (lab.network("10.1.0.0/24"), lab.network("10.2.0.0/24"));
    let (ids, _) = lab.instances(&network, 2);
    let (others, _) = lab.instances(&other, 1);
    let outside = format!("{}.outside", other.vpc);
    let foreign = [ids[0].as_str(), &outside].map(|name| netns::create(name, || Ok(())).unwrap().0);
    let identities = foreign.each_ref().map(|ns| ns.identity().unwrap());
    let report = lab.try_reconcile().await;
    let refused = |name: &str| LocalError::Foreign { name: name.to_owned() };
    let expected = [(lab.eni(&ids[0]), refused(ids[0].as_str())), (lab.eni(&others[0]), refused(&outside))];
    assert_eq!(sorted(report.failed), sorted(expected.to_vec()));
    assert_eq!(report.ports.len(), 1, "the other instance is not held up");
    assert!(refused("i-1").to_string().contains("ip netns del i-1"));
    let links = within(foreign[0].as_fd(), || nix::net::if_::if_nameindex().unwrap().iter().count());
    assert_eq!(links.unwrap(), 1, "nothing but the loopback link");
    assert!(!is_up(foreign[0].as_fd(), "lo"));

    lab.reopen();
    lab.try_reconcile().await;
    let local = lab.local.take().unwrap();
    assert!(local.remove_all(&mut lab.guard).await.is_complete());
    for (ns, identity) in foreign.iter().zip(identities) {
        assert_eq!(netns::identity(ns.name()).unwrap(), Some(identity));
    }

    foreign.iter().for_each(|ns| netns::delete(ns.name()).unwrap());
    lab.reopen();
    assert_eq!(lab.reconcile().await.len(), 3);
}

fn sorted<T: Ord + Clone, E>(mut all: Vec<(T, E)>) -> Vec<(T, E)> {
    all.sort_by_key(|(key, _)| key.clone());
    all
}

#[tokio::test]
async fn remove_all_leaves_nothing() {
    if !can_run() {
        return;
    }
    let mut lab = Lab::new();
    let (one, two) = (lab.network("10.1.0.0/24"), lab.network("10.2.0.0/24"));
    let (mut ids, _) = lab.instances(&one, 2);
    ids.extend(lab.instances(&two, 1).0);
    lab.reconcile().await;
    // Held by somebody: the links go all the same.
    let held = ns(ids[0].as_str());
    let router = ns(one.vpc.as_str());
    lab.reopen();
    let report = lab.local.take().unwrap().remove_all(&mut lab.guard).await;
    assert!(report.is_complete(), "{report:?}");
    let names = ids.iter().map(ToString::to_string);
    let routers = [&one, &two].into_iter().flat_map(|net| [net.vpc.to_string(), format!("{}.outside", net.vpc)]);
    for name in names.chain(routers) {
        assert!(!netns::exists(&name).unwrap(), "{name}");
    }
    for ns in [held, router] {
        let links = within(ns.as_fd(), || nix::net::if_::if_nameindex().unwrap().iter().count());
        assert_eq!(links.unwrap(), 1, "{}: nothing but the loopback link", ns.name());
    }
    assert_eq!(lab.guard.forgotten.len(), 3);
    lab.reopen();
    assert_eq!(lab.local().registry.instances().count(), 0);
}

#[tokio::test]
async fn an_interface_that_cannot_be_closed_is_never_set_up() {
    if !can_run() {
        return;
    }
    let mut lab = Lab::new();
    let network = lab.network("10.1.0.0/24");
    let (ids, _) = lab.instances(&network, 2);
    lab.guard.refuse.insert(lab.eni(&ids[0]));
    let report = lab.try_reconcile().await;
    assert_eq!(report.ports.len(), 1);
    let expected = LocalError::Guard { eni: lab.eni(&ids[0]), reason: "told to refuse".to_owned() };
    assert_eq!(report.failed, [(lab.eni(&ids[0]), expected)]);
    assert!(!pings(&ns(ids[1].as_str()), lab.address(&ids[0], false), IMPATIENCE));
    lab.guard.refuse.clear();
    lab.reconcile().await;
    assert_reach(&lab, ids[1].as_str(), &ids[0]);
}

fn changed(world: &World, instance: &InstanceId, change: impl FnOnce(&mut Eni)) -> Change {
    let mut eni = Eni::clone(world.primary_eni(instance).unwrap());
    change(&mut eni);
    Change::PutEni(Arc::new(eni))
}

#[tokio::test]
async fn addresses_come_and_go_without_a_new_link() {
    if !can_run() {
        return;
    }
    let mut lab = Lab::new();
    let network = lab.network("10.1.0.0/24");
    let (ids, _) = lab.instances(&network, 2);
    let before = lab.reconcile().await;
    let (lost, gained) = (lab.address(&ids[1], true), "10.1.0.77".parse::<IpAddr>().unwrap());
    let change = changed(lab.world(), &ids[1], |eni| {
        eni.addresses.retain(|address| *address != lost);
        eni.addresses.push(gained);
    });
    lab.change(&change);
    let port = before.iter().find(|port| port.eni == lab.eni(&ids[1])).unwrap();
    // Over a restart: what is to go is known from the list.
    lab.reopen();
    assert_eq!(lab.apply(&[change]).await, std::slice::from_ref(port));
    let from = ns(ids[0].as_str());
    assert!(pings(&from, gained, PATIENCE));
    assert!(!pings(&from, lost, IMPATIENCE));
    assert!(!pings(&ns(ids[1].as_str()), lost, IMPATIENCE), "the instance has lost it too");
    assert!(pings(&from, lab.address(&ids[1], false), PATIENCE));

    // It may be another's now.
    let change = changed(lab.world(), &ids[0], |eni| eni.addresses.push(lost));
    lab.change(&change);
    lab.apply(&[change]).await;
    assert!(pings(&ns(&format!("{}.outside", network.vpc)), lost, PATIENCE));
    assert_eq!(lab.reconcile().await, before);
}

#[tokio::test]
async fn a_second_interface_comes_and_goes() {
    if !can_run() {
        return;
    }
    let mut lab = Lab::new();
    let network = lab.network("10.1.0.0/24");
    let (ids, _) = lab.instances(&network, 1);
    let before = lab.reconcile().await;
    let Change::PutEni(eni) = changed(lab.world(), &ids[0], |eni| {
        eni.id = format!("{}-second", eni.id).into();
        eni.device_index = 1;
        eni.addresses = vec!["10.1.0.78".parse().unwrap()];
    }) else {
        panic!("a change of an ENI")
    };
    lab.change(&Change::PutEni(Arc::clone(&eni)));
    let ports = lab.apply(&[Change::PutEni(Arc::clone(&eni))]).await;
    assert_eq!(ports.len(), 2);
    assert_eq!(ports[0], before[0]);
    assert!(is_up(ns(ids[0].as_str()).as_fd(), "eth1"));

    lab.change(&Change::DeleteEni(eni.id.clone()));
    assert_eq!(lab.apply(&[Change::DeleteEni(eni.id.clone())]).await, before);
    assert_eq!(lab.guard.forgotten, std::slice::from_ref(&eni.id));
    let links = within(ns(ids[0].as_str()).as_fd(), || nix::net::if_::if_nameindex().unwrap().iter().count());
    assert_eq!(links.unwrap(), 2, "loopback and eth0");
    assert_eq!(drifts(&lab), []);
}

#[tokio::test]
async fn an_interface_of_the_user_is_not_taken_over() {
    if !can_run() {
        return;
    }
    let mut lab = Lab::new();
    let network = lab.network("10.1.0.0/24");
    let (ids, _) = lab.instances(&network, 1);
    lab.reconcile().await;
    let instance = ns(ids[0].as_str());
    let end = |name| crate::netlink::End { name, mac: super::wanted::OUTSIDE_MAC };
    let netlink = Netlink::open(&instance, &[]).unwrap();
    netlink.add_pair(end("eth1"), end("mine"), &instance).await.unwrap();
    let change = changed(lab.world(), &ids[0], |eni| {
        eni.id = format!("{}-second", eni.id).into();
        eni.device_index = 1;
        eni.addresses = vec!["10.1.0.78".parse().unwrap()];
    });
    lab.change(&change);
    let report = lab.try_reconcile().await;
    assert_eq!(report.failed.len(), 1);
    let expected = LocalError::DeviceTaken { instance: ids[0].clone(), device: "eth1".to_owned() };
    assert_eq!(report.failed[0].1, expected);
    assert!(netlink.link("mine").await.unwrap().is_some());
}

/// What the process does that is killed: makes and deletes without end. Run by the test below only.
#[tokio::test]
#[ignore = "the half of `killed_at_any_moment_nothing_is_lost_or_left` that is killed"]
async fn victim() {
    let (Ok(directory), Ok(seed)) = (std::env::var("SEKIMORI_TEST_DIR"), std::env::var("SEKIMORI_TEST_SEED")) else {
        return;
    };
    let mut lab = Lab::at(directory.as_ref(), seed.parse().unwrap());
    let network = lab.network("10.1.0.0/24");
    let (ids, _) = lab.instances(&network, 4);
    loop {
        lab.reconcile().await;
        let instances = ids[1..].to_vec();
        let full = lab.world().clone();
        let mut half = full.clone();
        for id in &instances {
            half.apply(&Change::DeleteEni(lab.eni(id)));
            half.apply(&Change::DeleteInstance(id.clone()));
        }
        lab.guard.world = full;
        let local = lab.local.as_mut().unwrap();
        local.reconcile(&half, &lab.host, &mut lab.guard).await;
    }
}

#[tokio::test]
async fn killed_at_any_moment_nothing_is_lost_or_left() {
    if !can_run() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut delays = sekimori_core::ids::IdSource::new(u64::from(std::process::id()));
    let seed = delays.next_u64();
    for round in 0..12 {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "local::tests::victim", "--ignored"])
            .env("SEKIMORI_TEST_DIR", directory.path())
            .env("SEKIMORI_TEST_SEED", seed.to_string())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        tokio::time::sleep(Duration::from_micros(30_000 + delays.next_u64() % 170_000)).await;
        child.kill().unwrap();
        let status = child.wait().unwrap();
        assert_eq!(status.signal(), Some(9), "the victim ended by itself: {status}");
        let mut lab = Lab::at(directory.path(), seed);
        let network = lab.network("10.1.0.0/24");
        let (ids, _) = lab.instances(&network, 4);
        let ports = lab.reconcile().await;
        assert_eq!(ports.len(), 4, "round {round}");
        assert_eq!(drifts(&lab), []);
        for id in &ids[1..] {
            assert_reach(&lab, ids[0].as_str(), id);
        }
        // Every other time the next victim finds what is there, else nothing.
        if round % 2 == 0 {
            lab.leave();
        } else {
            let report = lab.local.take().unwrap().remove_all(&mut lab.guard).await;
            assert!(report.is_complete(), "round {round}: {report:?}");
            assert!(!directory.path().join(REGISTRY_FILE).exists());
            for name in ids.iter().map(InstanceId::as_str).chain([network.vpc.as_str()]) {
                assert!(!netns::exists(name).unwrap(), "round {round}: {name}");
            }
        }
    }
}

#[tokio::test]
#[ignore = "a measurement: run with --ignored --nocapture"]
async fn measure() {
    let mut lab = Lab::new();
    lab.guard.is_blind = true;
    let network = lab.network("10.1.0.0/16");
    let timed = std::time::Instant::now;
    for _ in 0..10 {
        let mut changes = Vec::new();
        for _ in 0..10 {
            changes.extend(lab.instances(&network, 10).1);
        }
        let start = timed();
        let made = lab.apply(&changes).await.len();
        println!("create {made} instances in one commit: {:?}", start.elapsed());
    }
    let (_, changes) = lab.instances(&network, 1);
    let start = timed();
    lab.apply(&changes).await;
    println!("create one more: {:?}", start.elapsed());
    let count = lab.local().ports().count();
    let start = timed();
    for _ in 0..20 {
        assert_eq!(lab.local().check(), []);
    }
    println!("check() with {count} instances: {:?}", start.elapsed() / 20);
    let start = timed();
    lab.reconcile().await;
    println!("reconcile() of {count} intact instances: {:?}", start.elapsed());
    lab.reopen();
    let start = timed();
    lab.reconcile().await;
    println!("reconcile() after a restart: {:?}", start.elapsed());
    let local: LocalCompute = lab.local.take().unwrap();
    let start = timed();
    local.remove_all(&mut lab.guard).await;
    println!("remove_all(): {:?}", start.elapsed());
}
