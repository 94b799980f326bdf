//! An agent of another version takes over: allowed packets are not lost, flows that begin meanwhile included; nothing that is denied
//! passes; counters go on; and whoever is killed in between leaves every interface judged.
//!
//! What another version has left is made of this one: its pins get the name of another version. In one test it really is another
//! program, whose flows and their keys are arranged otherwise.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    collections::BTreeSet,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use sekimori_agent::{
    bpf::maps::{BPFFS, Image},
    run::counters::CounterTeller,
};
use sekimori_compile::abi::ABI_VERSION;
use sekimori_core::{
    address::Family,
    feed::{Counter, Tally},
    rule::Direction,
};
use sekimori_tests::lab::{Lab, host::Host, pause, traffic::Traffic};

const WORLD: &str = "
    group client basic isolated
      out deny udp/6667 to any as never
    group more basic isolated
      in allow tcp/9000-9100 from any as unrelated
    group server basic isolated
      in allow tcp/443 from any as https
      in allow udp/5000-5001 from any as datagrams
      in allow udp/6667 from any as six
      in allow ping from any as ping
    instance a client
    instance b server
    instance c client";

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];
/// Where new flows go to.
const PORT: u16 = 5_001;
const PACE: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_secs(3);

/// Flows that begin all the time: each is one datagram that must be answered.
struct Beginnings {
    stop: Arc<AtomicBool>,
    worker: JoinHandle<(u16, BTreeSet<u16>)>,
}

impl Beginnings {
    fn begin(lab: &mut Lab, family: Family) -> Self {
        let (from, to) = (lab.host("c"), lab.host("b"));
        let stop = Arc::new(AtomicBool::new(false));
        let done = Arc::clone(&stop);
        let worker = std::thread::spawn(move || keep_beginning(&from, &to, family, &done));
        Self { stop, worker }
    }

    /// None was lost.
    fn end(self) -> u16 {
        self.stop.store(true, Ordering::Relaxed);
        let (begun, lost) = self.worker.join().unwrap();
        assert!(lost.is_empty(), "of {begun} flows that began {} had no answer: {lost:?}", lost.len());
        begun
    }
}

fn keep_beginning(from: &Host, to: &Host, family: Family, stop: &AtomicBool) -> (u16, BTreeSet<u16>) {
    const FIRST_PORT: u16 = 32_000;
    let at = SocketAddr::new(to.address(family), PORT);
    let server = to.udp(at);
    let (mut open, mut begun, mut room) = (Vec::new(), 0, [0; 8]);
    let mut last = Instant::now();
    while !open.is_empty() && last.elapsed() < PATIENCE || !stop.load(Ordering::Relaxed) {
        if !stop.load(Ordering::Relaxed) && begun < u16::MAX - FIRST_PORT {
            let client = from.udp(SocketAddr::new(from.address(family), FIRST_PORT + begun));
            client.connect(at).unwrap();
            client.send(&begun.to_be_bytes()).unwrap();
            open.push((begun, client));
            begun += 1;
            last = Instant::now();
        }
        pause(PACE);
        while let Ok((length, back)) = server.recv_from(&mut room) {
            server.send_to(&room[..length], back).unwrap();
        }
        open.retain(|(_, client)| client.recv(&mut room).is_err());
    }
    (begun, open.into_iter().map(|(number, _)| number).collect())
}

fn pins(lab: &Lab, version: u32) -> PathBuf {
    lab.dir().join(BPFFS).join(format!("v{version}"))
}

/// The agent ends, and what it leaves is another version's.
fn become_another(lab: &mut Lab, version: u32) {
    lab.close();
    fs::rename(pins(lab, ABI_VERSION), pins(lab, version)).unwrap();
}

/// What the agent tells of its counters, and the server's answer that all of it is written down.
fn count(lab: &mut Lab, teller: &mut CounterTeller) -> Vec<Tally> {
    lab.keep_house();
    let read = lab.enforcer().reader().unwrap().read().unwrap();
    let reports = teller.tell(read);
    let is_forgotten = lab.enforcer().forget_counted(&teller.forget());
    teller.forgot(is_forgotten);
    reports.last().into_iter().for_each(|report| teller.written(report.number));
    reports.into_iter().flat_map(|report| report.tallies).collect()
}

fn must_be_gone(lab: &mut Lab, version: u32) {
    let mut teller = CounterTeller::default();
    for _ in 0..4 {
        count(lab, &mut teller);
    }
    assert!(!pins(lab, version).exists(), "something of the other version is left");
    assert_eq!(lab.verify(), [], "and what is there is right");
}

#[test]
fn an_older_and_a_newer_version_are_taken_over_without_a_gap() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    let traffic = Traffic::begin(&mut lab);
    let beginnings = FAMILIES.map(|family| Beginnings::begin(&mut lab, family));
    for version in [ABI_VERSION - 1, ABI_VERSION + 1] {
        pause(Duration::from_millis(300));
        become_another(&mut lab, version);
        pause(Duration::from_millis(300));
        lab.open();
        pause(Duration::from_millis(300));
        must_be_gone(&mut lab, version);
    }
    let begun = beginnings.map(Beginnings::end);
    assert!(begun.iter().all(|begun| *begun > 200), "{begun:?}");
    traffic.end(&mut lab);
    lab.check(expect_test::expect![[r#"
        a -> b tcp/443: passes [a: default allow] [b: allow https]
        a -> b udp/6666: dropped [a: default allow] [b: default deny]
        c -> a tcp/9050: dropped [c: default allow] [a: default deny]
    "#]]);
}

/// The program, compiled with its flows arranged otherwise. It has the size that the agent reads and writes, as the agent that runs
/// it is this one.
fn rearranged() -> Image {
    let dir = tempfile::tempdir().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bpf");
    for entry in fs::read_dir(source).unwrap() {
        let entry = entry.unwrap();
        let text = fs::read_to_string(entry.path()).unwrap();
        fs::write(
            dir.path().join(entry.file_name()),
            if entry.file_name() == "abi.h" { rearrange(&text) } else { text },
        )
        .unwrap();
    }
    let object = dir.path().join("rearranged.o");
    let include = format!("-I/usr/include/{}-linux-gnu", std::env::consts::ARCH);
    let compiler = std::env::var("CLANG").unwrap_or_else(|_| "clang".to_owned());
    let status = Command::new(compiler)
        .args(["-target", "bpf", "-mcpu=v3", "-O2", "-g", &include, "-c"])
        .arg(dir.path().join("sekimori.bpf.c"))
        .arg("-o")
        .arg(&object)
        .status();
    assert!(status.unwrap().success());
    Image { object: Box::leak(fs::read(object).unwrap().into_boxed_slice()), version: ABI_VERSION - 1 }
}

/// `abi.h` with the last fields of flows and of their keys first.
fn rearrange(text: &str) -> String {
    let mut text = text.to_owned();
    for (structure, moved) in [
        ("struct flow {", ["\t__u64 packets[2];", "\t__u64 bytes[2];"].as_slice()),
        ("struct flow_key4 {", ["\t__be32 peer;", "\t__be32 local;"].as_slice()),
        ("struct flow_key {", ["\t__u8 peer[16];", "\t__u8 local[16];"].as_slice()),
    ] {
        let (before, rest) = text.split_once(structure).unwrap();
        let (fields, after) = rest.split_once("};").unwrap();
        let (mut first, mut others) = (Vec::new(), Vec::new());
        for line in fields.lines().filter(|line| !line.is_empty()) {
            if moved.contains(&line) { first.push(line) } else { others.push(line) }
        }
        assert_eq!(first.len(), moved.len(), "`{structure}` has other fields now: {fields}");
        first.reverse();
        let fields = [first, others].concat().join("\n");
        text = format!("{before}{structure}\n{fields}\n}};{after}");
    }
    text
}

#[test]
fn flows_are_carried_out_of_a_layout_that_this_version_has_never_seen() {
    let Some(mut lab) = Lab::with_image(WORLD, rearranged()) else { return };
    let traffic = Traffic::begin(&mut lab);
    let beginnings = FAMILIES.map(|family| Beginnings::begin(&mut lab, family));
    pause(Duration::from_millis(500));
    lab.close();
    lab.set_image(Image::default());
    lab.open();
    pause(Duration::from_millis(300));
    let begun = beginnings.map(Beginnings::end);
    assert!(begun.iter().all(|begun| *begun > 200), "{begun:?}");
    traffic.end(&mut lab);
    must_be_gone(&mut lab, ABI_VERSION - 1);
}

#[test]
fn what_changed_while_no_agent_ran_is_enforced_by_the_next_version() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    let mut revoked = lab.connect("c", "b", 443, Family::V4);
    let traffic = Traffic::begin(&mut lab);
    become_another(&mut lab, ABI_VERSION - 1);
    lab.revoke("server", "https");
    lab.allow("server", "in allow tcp/443 from host:a as just-a");
    lab.join("c", "more");
    lab.open();
    traffic.end(&mut lab);
    lab.check(expect_test::expect![[r#"
        a -> b tcp/443: passes [a: default allow] [b: allow just-a]
        a -> c tcp/9050: passes [a: default allow] [c: allow unrelated]
    "#]]);
    assert_eq!(lab.talk(&mut revoked).to_string(), "dropped [c: known-flow] [b: flow-ended-by-change]");
    must_be_gone(&mut lab, ABI_VERSION - 1);
}

/// An agent that was ended before, within and after taking the links over.
#[test]
fn half_an_upgrade_is_finished_by_the_next_agent() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    let traffic = Traffic::begin(&mut lab);
    let old = ABI_VERSION - 1;
    become_another(&mut lab, old);
    // It had no server, so it has only loaded its maps.
    lab.open_unheard();
    lab.close();
    lab.open();
    lab.close();
    // Two links have the old name again, and of one the old name only: as if they had not been renamed yet.
    let links = |version| pins(&lab, version).join("links");
    fs::create_dir_all(links(old)).unwrap();
    let names: Vec<_> = fs::read_dir(links(ABI_VERSION)).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 6);
    for name in &names[..2] {
        fs::rename(links(ABI_VERSION).join(name), links(old).join(name)).unwrap();
    }
    lab.open();
    traffic.end(&mut lab);
    must_be_gone(&mut lab, old);
}

#[test]
fn counters_of_another_version_are_told_a_last_time() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    let mut teller = CounterTeller::default();
    let eni = lab.eni("a").id.clone();
    let dropped = |tallies: &[Tally]| -> Vec<(u64, u64, bool)> {
        let is_meant = |tally: &&Tally| matches!(&tally.counter, Counter::Eni { eni: of, direction: Direction::Egress, passed: false, .. } if *of == eni);
        tallies.iter().filter(is_meant).map(|tally| (tally.life, tally.count.packets, tally.is_over)).collect()
    };
    lab.try_probe("a -> b udp/6667", Family::V4);
    let before = count(&mut lab, &mut teller);
    let [(life, packets, false)] = dropped(&before)[..] else { panic!("{before:?}") };
    become_another(&mut lab, ABI_VERSION - 1);
    lab.open();
    lab.try_probe("a -> b udp/6667", Family::V4);
    let mut teller = CounterTeller::default();
    let after = dropped(&count(&mut lab, &mut teller));
    assert!(after.contains(&(life, packets, true)), "{after:?} of {packets} in {life}");
    let new: Vec<u64> = after.iter().filter(|(other, ..)| *other != life).map(|(_, packets, _)| *packets).collect();
    assert_eq!(new, [packets], "the same probe, in a life of its own");
    count(&mut lab, &mut teller);
    assert!(!pins(&lab, ABI_VERSION - 1).exists());
}
