//! Enforcement outlives the agent: what flows keeps flowing without losing a packet, what is denied stays denied,
//! and the next agent takes over what it finds, touches nothing that is right, and applies what changed meanwhile.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs,
    io::{BufRead as _, BufReader},
    os::fd::AsFd as _,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use sekimori_agent::{
    bpf::{AttachMode, maps::BPFFS, sys},
    enforcer::Enforcer,
    netlink::netns,
};
use sekimori_compile::abi::{ABI_VERSION, Eni, FlowKey};
use sekimori_core::{
    address::{Cidr, Family},
    change::{Actor, Change, Commit},
    ids::{GroupId, HostId},
    rule::{Action, Direction, Peer, PortRange, Protocol, Rule, RuleSpec, Service},
    time::Timestamp,
    world::{self, World},
};
use sekimori_tests::{
    generate::Chooser,
    lab::{HOST, Lab, pause, traffic::Traffic},
};

/// How often an agent is killed.
const KILLS: usize = 24;
/// Set for a process that is to be killed: the data directory.
const VICTIM: &str = "SEKIMORI_TEST_VICTIM";
/// The victim's world, in its data directory.
const WORLD_FILE: &str = "world.json";

const WORLD: &str = "
    group client basic isolated
      out deny udp/6667 to any as never
    group more basic isolated
      in allow tcp/9000-9100 from any as unrelated
    group server basic isolated
      in allow tcp/443 from any as https
      in allow udp/5000 from any as datagrams
      in allow udp/6667 from any as six
      in allow ping from any as ping
    instance a client
    instance b server
    instance c client";

/// What a restart must not touch.
#[derive(Debug, PartialEq, Eq)]
struct KernelState {
    /// Interfaces with their policies, by number.
    enis: BTreeMap<u32, Eni>,
    epoch: u32,
    /// Stamp, rule and flags of every flow that has carried an answer; those of a flood come and go.
    flows: BTreeMap<FlowKey, (u64, u32, u8)>,
}

impl KernelState {
    fn of(lab: &mut Lab) -> Self {
        let slots: Vec<u32> = lab.enforcer().tables().entries().keys().copied().collect();
        let plane = lab.enforcer().plane();
        let enis: BTreeMap<u32, Eni> =
            slots.iter().map(|slot| (*slot, plane.maps().enis.get(*slot as usize))).collect();
        let vpc = enis.values().next().map_or(0, |eni| eni.vpc);
        let flows = plane.flows().unwrap().into_iter();
        let flows = flows.filter(|live| live.flow.packets.iter().all(|count| *count > 0));
        let flows = flows.map(|live| (live.key, (live.flow.stamp, live.flow.rule, live.flow.flags))).collect();
        Self { enis, epoch: plane.maps().epochs.get(vpc as usize), flows }
    }
}

#[test]
fn a_restart_with_the_same_world_touches_nothing() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    let traffic = Traffic::begin(&mut lab);
    let before = KernelState::of(&mut lab);
    assert_eq!(before.flows.len(), 12, "two streams and a connection in two families at two ends");
    for _ in 0..3 {
        lab.close();
        pause(Duration::from_millis(200));
        lab.open();
        assert_eq!(KernelState::of(&mut lab), before);
        lab.keep_house();
        assert_eq!(KernelState::of(&mut lab), before);
    }
    traffic.end(&mut lab);
}

/// The programs that links run, and the names of the programs.
fn programs(lab: &Lab) -> (BTreeMap<OsString, u32>, BTreeSet<OsString>) {
    let names = |kind: &str| {
        let dir = lab.dir().join(BPFFS).join(format!("v{ABI_VERSION}")).join(kind);
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path())
    };
    let name = |path: &Path| path.file_name().unwrap().to_owned();
    let run = |path: &Path| sys::link_info(sys::open_pinned(path).unwrap().as_fd()).unwrap().program;
    let running = names("links").map(|path| (name(&path), run(&path))).collect();
    (running, names("programs").map(|path| name(&path)).collect())
}

#[test]
fn the_next_agent_finds_its_programs_verified() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    let dir = lab.dir().join(BPFFS).join(format!("v{ABI_VERSION}")).join("programs");
    let (running, names) = programs(&lab);
    assert_eq!((running.len(), names.len()), (6, 4), "two of each interface; two of the namespace and two of none");
    let traffic = Traffic::begin(&mut lab);
    lab.close();
    let own = dir.join(names.first().unwrap());
    sys::pin(sys::open_pinned(&own).unwrap().as_fd(), &dir.join("to_decide_1_of_another_build")).unwrap();
    lab.open();
    assert_eq!(programs(&lab), (running.clone(), names.clone()), "the same run on, and nothing else is kept");
    lab.close();
    names.iter().for_each(|name| fs::remove_file(dir.join(name)).unwrap());
    lab.open();
    let (again, named) = programs(&lab);
    assert_eq!(named, names, "what has lost its name is verified once more");
    assert!(again.iter().all(|(link, program)| running.get(link).is_some_and(|old| old != program)));
    traffic.end(&mut lab);
}

#[test]
fn a_restart_applies_what_changed_meanwhile() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    let mut revoked = lab.connect("c", "b", 443, Family::V4);
    let traffic = Traffic::begin(&mut lab);
    lab.close();
    lab.revoke("server", "https");
    lab.allow("server", "in allow tcp/443 from host:a as just-a");
    lab.allow("server", "in allow tcp/80 from host:c as http");
    lab.join("c", "more");
    lab.add_instance("main", "d", &["server"]);
    lab.open();
    traffic.end(&mut lab);
    lab.check(expect_test::expect![[r#"
        a -> b tcp/443: passes [a: default allow] [b: allow just-a]
        a -> b tcp/80: dropped [a: default allow] [b: default deny]
        a -> c tcp/9050: passes [a: default allow] [c: allow unrelated]
        a -> d ping: passes [a: default allow] [d: allow ping]
        c -> d tcp/80: passes [c: default allow] [d: allow http]
    "#]]);
    lab.close();
    lab.remove_instance("d");
    lab.leave("c", "more");
    lab.open();
    lab.check(expect_test::expect![[r#"
        a -> c tcp/9050: dropped [a: default allow] [c: default deny]
    "#]]);
    assert_eq!(lab.talk(&mut revoked).to_string(), "dropped [c: known-flow] [b: flow-ended-by-change]");
}

#[test]
fn killed_at_any_moment_nothing_is_lost_and_nothing_opens() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    let traffic = Traffic::begin(&mut lab);
    lab.close();
    fs::write(lab.dir().join(WORLD_FILE), serde_json::to_vec(&lab.world().to_changes()).unwrap()).unwrap();
    let mut chooser = Chooser::new(7);
    let mut commits = 0;
    for kill in 0..KILLS {
        let mut victim = Victim::start(lab.dir());
        // While it takes over, or later.
        victim.wait_for(if kill % 2 == 0 { "running" } else { "commit" });
        pause(Duration::from_micros(chooser.below(60_000) as u64));
        commits += victim.kill();
    }
    println!("{KILLS} agents were killed, after {commits} commits");
    assert!(commits > KILLS, "too few changes");
    lab.join("c", "more");
    lab.open();
    traffic.end(&mut lab);
    lab.check(expect_test::expect![[r#"
        a -> b tcp/443: passes [a: default allow] [b: allow https]
        a -> b udp/6666: dropped [a: default allow] [b: default deny]
        a -> b udp/6667: dropped [a: deny never]
        a -> c tcp/9050: passes [a: default allow] [c: allow unrelated]
        c -> a tcp/9050: dropped [c: default allow] [a: default deny]
    "#]]);
}

/// An agent in a process of its own, which makes changes until it is killed.
struct Victim {
    process: Child,
    said: BufReader<std::process::ChildStdout>,
}

impl Victim {
    fn start(dir: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "victim", "--ignored", "--nocapture"]).env(VICTIM, dir);
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(process.stdout.take().unwrap());
        Self { process, said }
    }

    fn wait_for(&mut self, word: &str) {
        let mut line = String::new();
        while !line.contains(word) {
            line.clear();
            assert_ne!(self.said.read_line(&mut line).unwrap(), 0, "the victim has ended by itself");
        }
    }

    /// Kills it; returns how many commits it had made.
    fn kill(mut self) -> usize {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        (&mut self.said).lines().map_while(Result::ok).filter(|line| line.contains("commit")).count()
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        // It is dead already unless the test has failed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
#[ignore = "started, and killed, by another test"]
fn victim() {
    let Some(dir) = std::env::var_os(VICTIM) else { return };
    let facts: Vec<Change> = serde_json::from_slice(&fs::read(Path::new(&dir).join(WORLD_FILE)).unwrap()).unwrap();
    let mut world = World::default();
    facts.iter().for_each(|change| world.apply(change));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut enforcer = Enforcer::open(Path::new(&dir), HostId::from(HOST), AttachMode::Auto).unwrap();
    println!("running");
    let groups = || world.groups().map(|group| group.id.clone()).collect();
    runtime.block_on(enforcer.follow_world(world.clone(), groups())).unwrap();
    let mut chooser = Chooser::new(u64::from(std::process::id()));
    for number in 0_u64.. {
        let changes = some_changes(&world, &mut chooser, number);
        changes.iter().for_each(|change| world.apply(change));
        let revision = world.revision().next();
        world = world.at(revision);
        let actor = Actor { who: "victim".into(), operation: "test".into(), from: None, request_id: String::new() };
        let commit = Commit { revision, at: Timestamp(0), actor, changes };
        runtime.block_on(enforcer.follow(&commit, Vec::new())).unwrap();
        println!("commit {number}");
    }
}

/// Changes of rules and memberships, none of which the traffic of the test should notice.
fn some_changes(world: &World, chooser: &mut Chooser, number: u64) -> Vec<Change> {
    let group = |name: &str| world.groups().find(|group| group.name == name).unwrap().id.clone();
    let mut changes = Vec::new();
    for name in ["client", "server", "more"] {
        let id = group(name);
        let rule = Rule {
            id: format!("sgr-victim-{}", chooser.below(8)).into(),
            spec: noise(chooser),
            description: number.to_string(),
            tags: Default::default(),
            created_at: Timestamp(0),
        };
        changes.push(match chooser.one_in(3) {
            true => Change::DeleteRule { group: id, rule: rule.id },
            false => Change::PutRule { group: id, rule: Arc::new(rule) },
        });
    }
    let members: Vec<GroupId> = ["client", "more"]
        .iter()
        .filter(|name| **name == "client" || chooser.one_in(2))
        .map(|name| group(name))
        .collect();
    for eni in world.enis().filter(|eni| eni.groups[0] == members[0]) {
        let groups = members.clone();
        changes.push(Change::PutEni(Arc::new(world::Eni { groups, ..world::Eni::clone(eni) })));
    }
    changes
}

/// A rule about ports that nothing uses.
fn noise(chooser: &mut Chooser) -> RuleSpec {
    RuleSpec {
        direction: chooser.pick(&[Direction::Ingress, Direction::Egress]),
        action: chooser.pick(&[Action::Allow, Action::Deny]),
        priority: 1 + chooser.below(100) as u8,
        protocol: chooser.pick(&[Protocol::TCP, Protocol::UDP]),
        service: Service::Ports(PortRange::one(1 + chooser.below(400) as u16)),
        source_ports: None,
        peer: Peer::Cidr(chooser.pick(&[Cidr::WORLD_V4, Cidr::WORLD_V6])),
        local: None,
    }
}

#[test]
fn a_namespace_that_somebody_deletes_comes_back_with_its_policy() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    netns::delete(lab.instance_id("b").as_str()).unwrap();
    lab.keep_house();
    lab.check(expect_test::expect![[r#"
        a -> b tcp/443: passes [a: default allow] [b: allow https]
        a -> b tcp/80: dropped [a: default allow] [b: default deny]
    "#]]);
}

#[test]
fn down_leaves_nothing_and_touches_nothing_else() {
    let (Some(mut lab), Some(mut other)) = (Lab::of(WORLD), Lab::of(WORLD)) else { return };
    let mut names = ["a", "b", "c"].map(|name| lab.instance_id(name).to_string()).to_vec();
    let vpc = lab.vpc_id("main").to_string();
    names.extend([format!("{vpc}.outside"), vpc]);
    assert!(names.iter().all(|name| netns::exists(name).unwrap()));
    let dir = lab.dir().display().to_string();
    assert!(fs::read_to_string("/proc/self/mounts").unwrap().contains(&dir));
    let report = lab.down();
    assert!(report.left.is_empty(), "{report:?}");
    assert!(!names.iter().any(|name| netns::exists(name).unwrap()), "a namespace is left");
    assert!(!fs::read_to_string("/proc/self/mounts").unwrap().contains(&dir), "a mount is left");
    assert!(!lab.dir().join("bpffs").exists());
    assert!(lab.down().left.is_empty(), "there is nothing left to remove");
    other.check(expect_test::expect![[r#"
        a -> b tcp/443: passes [a: default allow] [b: allow https]
        a -> b tcp/80: dropped [a: default allow] [b: default deny]
    "#]]);
}
