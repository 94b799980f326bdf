//! Whatever somebody else does to programs, names, namespaces and maps is found, told and repaired, and while it is repaired
//! nothing gets through that is denied.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    collections::BTreeSet,
    fs,
    mem::offset_of,
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd},
    path::PathBuf,
};

use nix::mount::{MntFlags, umount2};
use sekimori_agent::{
    bpf::{
        maps::{BPFFS, Maps},
        sys::{self, Plain, Shared},
    },
    enforcer::{ENTRIES_PER_STEP, READ_BACK_ENTRIES},
    netlink::netns::{self, NetNs, within},
};
use sekimori_compile::{
    abi::{self, ABI_VERSION, AddressKey, Eni, Member, PortKey},
    interpret::address_key,
    layout::halves,
};
use sekimori_core::{
    address::Family,
    feed::{Difference, Part},
};
use sekimori_tests::{
    generate::Chooser,
    lab::{
        Lab,
        flood::{Counting, flood, watch},
        frames::{Frame, frame},
        observe::Answer,
    },
};

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

const WORLD: &str = "
    group client basic isolated
      out deny udp/6667 to any as never
    group open basic isolated
      in allow tcp from any as all
    group server basic isolated
      in allow tcp/443 from group:client as https
      in deny tcp/8080 from group:client as no-proxy
      in allow tcp/8080 from any as proxy
    instance a client
    instance b server
    instance c open";

/// What holds before and after.
const AS_DECLARED: &str = "\
    a -> b tcp/443: passes [a: default allow] [b: allow https]
    a -> b tcp/8080: dropped [a: default allow] [b: deny no-proxy]
    a -> b udp/6667: dropped [a: deny never]
    c -> b tcp/443: dropped [c: default allow] [b: default deny]
    b -> c tcp/8080: passes [b: default allow] [c: allow all]
";

fn as_declared(lab: &mut Lab) {
    for line in AS_DECLARED.lines() {
        let (attempt, expected) = line.trim().split_once(": ").unwrap();
        for family in FAMILIES {
            assert_eq!(lab.try_probe(attempt, family).to_string(), expected, "{attempt} {family:?}");
        }
    }
}

/// Frames that must not arrive, sent as fast as they go while something is repaired.
struct Siege {
    flood: Counting,
    watch: Counting,
}

impl Siege {
    fn begin(lab: &Lab) -> Self {
        let (a, b) = (lab.host("a"), lab.host("b"));
        let frames = FAMILIES.into_iter().flat_map(|family| {
            let ends = |port| {
                let from = SocketAddr::new(a.address(family), 30_000);
                (from, SocketAddr::new(b.address(family), port))
            };
            [Frame::Datagram(6_667), Frame::Syn(6_666), Frame::Syn(8_080), Frame::Ack(443)]
                .map(|kind| frame(kind, a.mac, ends(kind.port())))
        });
        Self { watch: watch(&b), flood: flood(&a, frames.collect()) }
    }

    fn end(self) {
        let sent = self.flood.stop();
        sekimori_tests::lab::pause(std::time::Duration::from_millis(50));
        assert_eq!(self.watch.stop(), 0, "of {sent} denied packets");
        assert!(sent > 100, "the siege was too weak: {sent}");
    }
}

fn pins(lab: &Lab, kind: &str) -> PathBuf {
    lab.dir().join(BPFFS).join(format!("v{ABI_VERSION}")).join(kind)
}

fn link(lab: &Lab, side: &str, instance: &str) -> PathBuf {
    pins(lab, "links").join(format!("{side}_{}", lab.eni(instance).id))
}

fn kinds(found: &[Difference]) -> Vec<(Part, &str)> {
    let told = found.iter().map(|difference| {
        assert_eq!(difference.failure, None, "{difference}");
        (difference.part, difference.found.as_str())
    });
    told.collect()
}

#[test]
fn a_program_that_is_taken_off_is_put_on_again() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    assert_eq!(lab.watch(), []);
    for side in ["to", "from"] {
        let before = sys::open_pinned(&link(&lab, side, "b")).unwrap();
        sys::link_detach(before.as_fd()).unwrap();
        assert_eq!(kinds(&lab.watch()), [(Part::Program, "was detached")]);
        assert_eq!(lab.watch(), [], "it is told once");
        let after = sys::open_pinned(&link(&lab, side, "b")).unwrap();
        assert_ne!(sys::link_info(after.as_fd()).unwrap().ifindex, 0);
        let siege = Siege::begin(&lab);
        sekimori_tests::lab::pause(std::time::Duration::from_millis(100));
        siege.end();
        as_declared(&mut lab);
    }
}

#[test]
fn filters_that_are_taken_off_are_put_on_again() {
    let Some(mut lab) = Lab::with_filters(WORLD) else { return };
    assert_eq!(lab.watch(), []);
    as_declared(&mut lab);
    let router = NetNs::open(lab.vpc_id("main").as_str()).unwrap().unwrap();
    let b = slot(&mut lab, "b");
    let ifindex = lab.enforcer().plane().maps().enis.get(b).ifindex;
    for what in ["filter del dev $dev egress", "filter del dev $dev ingress", "qdisc del dev $dev clsact"] {
        let script = format!("dev=$(ip -o link | sed -n 's/^{ifindex}: \\([^@]*\\)@.*/\\1/p'); tc {what}");
        let done = within(router.as_fd(), || std::process::Command::new("sh").args(["-c", &script]).status());
        assert!(done.unwrap().unwrap().success(), "{script}");
        assert_eq!(kinds(&lab.watch()), [(Part::Program, "was detached")], "{what}");
        assert_eq!(lab.watch(), []);
        as_declared(&mut lab);
    }
}

#[test]
fn a_program_that_takes_the_place_of_ours_has_to_go() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    // What goes the wrong way judges nothing of an ENI's own, so `b` opens.
    let (_, other) = lab.enforcer().plane().programs();
    let other = other.try_clone_to_owned().unwrap();
    let ours = sys::open_pinned(&link(&lab, "to", "b")).unwrap();
    sys::link_update(ours.as_fd(), other.as_fd()).unwrap();
    assert_eq!(kinds(&lab.watch()), [(Part::Program, "was replaced by another program")]);
    as_declared(&mut lab);
}

#[test]
fn without_its_name_a_program_stays_and_gets_it_back() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    let siege = Siege::begin(&lab);
    let mut wire = lab.connect("a", "b", 443, Family::V4);
    let id = |path: &PathBuf| sys::object_id(sys::open_pinned(path).unwrap().as_fd()).unwrap();
    let path = link(&lab, "to", "b");
    let before = id(&path);
    fs::remove_file(&path).unwrap();
    sekimori_tests::lab::pause(std::time::Duration::from_millis(100));
    assert_eq!(kinds(&lab.watch()), [(Part::Program, "has lost its name")]);
    assert_eq!(id(&path), before, "it is the same link");
    // The name is there, and is another's.
    fs::remove_file(&path).unwrap();
    fs::hard_link(link(&lab, "to", "a"), &path)
        .or_else(|_| {
            let other = sys::open_pinned(&link(&lab, "to", "a")).unwrap();
            sys::pin(other.as_fd(), &path)
        })
        .unwrap();
    assert_eq!(kinds(&lab.watch()), [(Part::Program, "has lost its name")]);
    assert_eq!(id(&path), before);
    assert_eq!(lab.talk(&mut wire).answer, Answer::Passes);
    siege.end();
    as_declared(&mut lab);
}

#[test]
fn maps_get_their_names_back_and_a_restart_finds_them() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    let siege = Siege::begin(&lab);
    let mut wire = lab.connect("a", "b", 443, Family::V6);
    for name in ["flows6", "policies"] {
        fs::remove_file(pins(&lab, "maps").join(name)).unwrap();
    }
    assert_eq!(kinds(&lab.watch()), [(Part::Pin, "was removed"); 2]);
    // Those of programs too, or the next start would verify them again.
    let programs = pins(&lab, "programs");
    let programs = || fs::read_dir(&programs).unwrap().map(|entry| entry.unwrap().path());
    let all: BTreeSet<PathBuf> = programs().collect();
    assert_eq!(all.len(), 4, "a copy for the router, and one for runs without an interface");
    all.iter().for_each(|path| fs::remove_file(path).unwrap());
    assert_eq!(kinds(&lab.watch()), [(Part::Pin, "was removed"); 4]);
    assert_eq!(programs().collect::<BTreeSet<_>>(), all);
    // All names at once.
    umount2(&lab.dir().join(BPFFS), MntFlags::MNT_DETACH).unwrap();
    let found = lab.watch();
    assert_eq!(kinds(&found)[0], (Part::Pin, "was unmounted"));
    assert_eq!(
        found.len(),
        1 + 28 + 4 + 6,
        "the mount, the maps, the programs and two links for each of three interfaces: {found:?}"
    );
    assert_eq!(lab.watch(), []);
    lab.close();
    lab.open();
    siege.end();
    assert_eq!(lab.talk(&mut wire).to_string(), "passes [a: known-flow] [b: known-flow]");
    as_declared(&mut lab);
}

#[test]
fn namespaces_and_interfaces_come_back_with_their_policy() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    let vpc = lab.vpc_id("main").to_string();
    let names = [lab.instance_id("b").to_string(), vpc.clone(), format!("{vpc}.outside")];
    for name in names {
        netns::delete(&name).unwrap();
        assert_eq!(kinds(&lab.watch()), [(Part::Namespace, "was removed or replaced")], "{name}");
        as_declared(&mut lab);
        assert_eq!(lab.watch(), []);
    }
    let inside = NetNs::open(lab.instance_id("b").as_str()).unwrap().unwrap();
    let deleted =
        within(inside.as_fd(), || std::process::Command::new("ip").args(["link", "delete", "eth0"]).status());
    assert!(deleted.unwrap().unwrap().success());
    let lost = (Part::Link, "was removed, replaced or set down, or has lost its routes");
    assert_eq!(kinds(&lab.watch()), [lost]);
    as_declared(&mut lab);
    let router = NetNs::open(&vpc).unwrap().unwrap();
    let in_router = |arguments: &[&str]| {
        let done = within(router.as_fd(), || std::process::Command::new("ip").args(arguments).output());
        let done = done.unwrap().unwrap();
        assert!(done.status.success(), "{arguments:?}");
        String::from_utf8(done.stdout).unwrap()
    };
    let (number, address) = (lab.kernel_eni("b").ifindex, lab.host("b").address(Family::V4).to_string());
    let links = in_router(&["-o", "link"]);
    let line = links.lines().find_map(|line| line.strip_prefix(&format!("{number}: "))).unwrap();
    let link = line.split(['@', ':']).next().unwrap().to_owned();
    for arguments in [
        ["link", "set", &link, "down"].as_slice(),
        &["route", "delete", &address, "dev", &link],
        &["link", "set", "outside", "down"],
        &["link", "delete", "outside"],
    ] {
        in_router(arguments);
        assert_eq!(kinds(&lab.watch()), [lost], "{arguments:?}");
        as_declared(&mut lab);
        assert_eq!(lab.watch(), []);
    }
}

#[test]
fn who_lives_in_a_namespace_without_a_name_keeps_its_network() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    let name = lab.instance_id("b").to_string();
    let known = netns::identity(&name).unwrap();
    let mut lodger = std::process::Command::new("ip").args(["netns", "exec", &name, "sleep", "60"]).spawn().unwrap();
    let home = format!("/proc/{}/ns/net", lodger.id());
    let has_moved_in = (0..5_000).any(|_| {
        sekimori_tests::lab::pause(std::time::Duration::from_millis(1));
        netns::identity_at(&home).unwrap() == known
    });
    assert!(has_moved_in);
    let mut wire = lab.connect("a", "b", 443, Family::V4);
    netns::delete(&name).unwrap();
    assert_eq!(kinds(&lab.watch()), [(Part::Namespace, "was removed or replaced")]);
    assert_eq!(netns::identity(&name).unwrap(), known);
    assert_eq!(lab.talk(&mut wire).to_string(), "passes [a: known-flow] [b: known-flow]");
    as_declared(&mut lab);
    lodger.kill().unwrap();
    lodger.wait().unwrap();
}

/// The kernel's maps, as somebody else may write them.
struct Stranger {
    enis: Shared<Eni>,
    members: Shared<Member>,
    words: Shared<u64>,
    vpc_names: Shared<abi::IdBytes>,
}

impl Stranger {
    fn in_the_house_of(lab: &mut Lab) -> Self {
        let maps = lab.enforcer().plane().maps();
        Self {
            enis: mapped(maps, "enis", abi::ENI_SLOTS),
            members: mapped(maps, "members", abi::MEMBER_SLOTS),
            words: Shared::map_dense(maps.fd("policies").unwrap(), maps.words.len()).unwrap(),
            vpc_names: mapped(maps, "vpc_names", abi::VPC_SLOTS),
        }
    }
}

fn mapped<T: Plain>(maps: &Maps, name: &str, len: u32) -> Shared<T> {
    Shared::map(maps.fd(name).unwrap(), len as usize).unwrap()
}

fn hash<T>(lab: &mut Lab, name: &str, work: impl FnOnce(BorrowedFd<'_>) -> T) -> T {
    work(lab.enforcer().plane().maps().fd(name).unwrap())
}

fn slot(lab: &mut Lab, instance: &str) -> usize {
    let eni = lab.eni(instance).id.clone();
    lab.enforcer().tables().eni_slot(&eni).unwrap() as usize
}

fn key(lab: &mut Lab, instance: &str) -> AddressKey {
    let address = lab.host(instance).address(Family::V4);
    let at = slot(lab, instance);
    let vpc = lab.enforcer().plane().maps().enis.get(at).vpc;
    address_key(u32::from(vpc), address)
}

/// The place that an address leads to.
fn place(lab: &mut Lab, key: &AddressKey) -> Option<u32> {
    hash(lab, "addresses", |map| sys::lookup(map, key)).unwrap()
}

/// Everything is found by the samples alone, and repaired; returns what was told.
fn sampled(lab: &mut Lab) -> Vec<Difference> {
    let mut found = Vec::new();
    // Two rounds: the one that has begun may be past the place.
    let rounds = 2 * (abi::ENI_SLOTS as usize / READ_BACK_ENTRIES + 2);
    for _ in 0..rounds {
        lab.enforcer().read_back();
        found.extend(lab.enforcer().take_read_back(Some(0)).unwrap().differences);
    }
    found
}

#[test]
fn wrong_entries_are_found_by_samples_and_repaired() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    assert_eq!(sampled(&mut lab), []);
    let mut stranger = Stranger::in_the_house_of(&mut lab);
    let (a, b, c) = (slot(&mut lab, "a"), slot(&mut lab, "b"), slot(&mut lab, "c"));
    let opened = stranger.enis.get(c).policy;
    let siege = Siege::begin(&lab);
    stranger.enis.store_u64(a, offset_of!(Eni, next), opened);
    assert_eq!(kinds(&sampled(&mut lab)), [(Part::Eni, "has another policy to come")]);
    stranger.enis.store_u16(b, offset_of!(Eni, flags), 0);
    assert_eq!(kinds(&sampled(&mut lab)), [(Part::Eni, "has another set of flags")]);
    stranger.enis.store_u32(b, offset_of!(Eni, ifindex), 9_999);
    assert_eq!(kinds(&sampled(&mut lab)), [(Part::Eni, "has another interface")]);
    stranger.enis.store_u16(b, offset_of!(Eni, vpc), 77);
    stranger.enis.store_u32(b, offset_of!(Eni, tcp_established_s), 1);
    assert_eq!(kinds(&sampled(&mut lab)), [(Part::Eni, "has another VPC, timeout")]);
    stranger.enis.store_u16(4_000, offset_of!(Eni, flags), abi::ENI_VALID);
    assert_eq!(kinds(&sampled(&mut lab)), [(Part::Eni, "is in use and stands for nothing")]);
    stranger.enis.store_u64(0, offset_of!(Eni, next), 1);
    assert_eq!(kinds(&sampled(&mut lab)), [(Part::Eni, "is not empty")]);
    siege.end();
    as_declared(&mut lab);
}

/// A round of looking and a part of one of comparing, step by step, with something done after each; how many steps, and what was
/// told.
fn in_turns(lab: &mut Lab, mut between: impl FnMut(&mut Lab, usize)) -> (usize, Vec<Difference>) {
    assert!(lab.enforcer().begin_look(true) && !lab.enforcer().begin_look(true), "one round at a time");
    lab.enforcer().begin_read_back();
    let mut steps = 1;
    while lab.step() {
        between(lab, steps);
        steps += 1;
    }
    (steps, lab.enforcer().take_read_back(Some(0)).unwrap().differences)
}

#[test]
fn turns_find_what_is_taken_away_and_no_change_between_them() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    let mut is_open = false;
    let mut regroup = |lab: &mut Lab, _: usize| {
        is_open = !is_open;
        lab.regroup("a", if is_open { &["open"] } else { &["client"] });
    };
    let parts = READ_BACK_ENTRIES / ENTRIES_PER_STEP;
    // Changes at every place of a round, several times over all entries.
    for _ in 0..4 * abi::ENI_SLOTS as usize / READ_BACK_ENTRIES {
        let (steps, found) = in_turns(&mut lab, &mut regroup);
        assert_eq!(found, []);
        assert!(steps > 5, "{steps}");
    }
    let all: usize = (0..6).map(|_| in_turns(&mut lab, |_, _| ()).0).sum();
    assert!(all > abi::ENI_SLOTS as usize / ENTRIES_PER_STEP, "{all} steps of {parts} or fewer each");
    lab.regroup("a", &["client"]);
    // What is taken away before the round comes there is found in it, whatever changes meanwhile.
    let detached = link(&lab, "to", "b");
    let (_, found) = in_turns(&mut lab, |lab, step| {
        if step == 1 {
            sys::link_detach(sys::open_pinned(&detached).unwrap().as_fd()).unwrap();
            fs::remove_file(link(lab, "from", "c")).unwrap();
            netns::delete(&format!("{}.outside", lab.vpc_id("main"))).unwrap();
        }
        lab.regroup("a", if step % 2 == 0 { &["client"] } else { &["open"] });
    });
    let mut found = kinds(&found);
    found.sort_unstable();
    let expected = [
        (Part::Program, "has lost its name"),
        (Part::Program, "was detached"),
        (Part::Namespace, "was removed or replaced"),
    ];
    assert_eq!(found, expected);
    lab.regroup("a", &["client"]);
    as_declared(&mut lab);
    assert_eq!(lab.verify(), []);
}

#[test]
fn a_link_that_is_taken_off_behind_a_round_is_found_by_the_next_short_one() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    let path = link(&lab, "to", "b");
    let (_, found) = in_turns(&mut lab, |_, step| {
        if step == 6 {
            sys::link_detach(sys::open_pinned(&path).unwrap().as_fd()).unwrap();
        }
    });
    assert_eq!(found, [], "the round was past it");
    assert!(lab.enforcer().begin_look(false));
    while lab.step() {}
    let found = lab.enforcer().take_read_back(Some(0)).unwrap().differences;
    assert_eq!(kinds(&found), [(Part::Program, "was detached")]);
    as_declared(&mut lab);
}

#[test]
fn what_a_wrong_policy_let_through_ends_when_it_is_repaired() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    let mut stranger = Stranger::in_the_house_of(&mut lab);
    let (b, c) = (slot(&mut lab, "b"), slot(&mut lab, "c"));
    let mut allowed = lab.connect("a", "b", 443, Family::V4);
    stranger.enis.store_u64(b, offset_of!(Eni, policy), stranger.enis.get(c).policy);
    let mut denied = lab.connect("a", "b", 6_666, Family::V4);
    assert_eq!(kinds(&sampled(&mut lab)), [(Part::Eni, "has another policy")]);
    assert_eq!(lab.talk(&mut denied).to_string(), "dropped [a: known-flow] [b: flow-ended-by-change]");
    assert_eq!(lab.talk(&mut allowed).answer, Answer::Passes);
    // The words of the policy itself: every deny becomes an allow.
    let (_, at) = halves(stranger.enis.get(b).policy);
    let (_, length) = halves(stranger.words.get(at as usize));
    for word in at..at + length {
        let old = stranger.words.get(word as usize);
        // A record is flags, action and counter; the default stands in the upper half of the ninth word.
        let is_default = word == at + 1 + sekimori_compile::layout::DEFAULTS_WORD;
        let new = if is_default { old | u64::from(sekimori_compile::layout::DEFAULT_ALLOW) << 32 } else { old };
        stranger.words.store_u64(word as usize, 0, new);
    }
    // A port that nobody remembers to be closed.
    let mut denied = lab.connect("a", "b", 6_667, Family::V4);
    let found = sampled(&mut lab);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].part == Part::Policy && found[0].found.starts_with("has 1 wrong words of"), "{found:?}");
    assert_eq!(lab.talk(&mut denied).to_string(), "dropped [a: known-flow] [b: flow-ended-by-change]");
    assert_eq!(lab.talk(&mut allowed).answer, Answer::Passes);
    as_declared(&mut lab);
}

#[test]
fn members_that_are_wrong_or_missing_are_found_and_repaired() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    let mut stranger = Stranger::in_the_house_of(&mut lab);
    let (of_a, of_b) = (key(&mut lab, "a"), key(&mut lab, "b"));
    // Gone: `a` is nobody, whom no rule denies 8080.
    hash(&mut lab, "addresses", |map| sys::delete(map, &of_a)).unwrap();
    assert_eq!(kinds(&sampled(&mut lab)), [(Part::Address, "is not in the table")]);
    as_declared(&mut lab);
    // Another's.
    let at = place(&mut lab, &of_b).unwrap();
    hash(&mut lab, "addresses", |map| sys::update(map, &of_a, &at)).unwrap();
    let found = sampled(&mut lab);
    assert!(found.len() == 1 && found[0].found.contains("which is another's"), "{found:?}");
    as_declared(&mut lab);
    // Without its groups, and with a successor that is in use.
    let at = place(&mut lab, &of_a).unwrap() as usize;
    stranger.members.store_u32(at, offset_of!(Member, groups_n), 0);
    assert_eq!(kinds(&sampled(&mut lab)), [(Part::Address, "has other groups or another owner")]);
    let (at, other) = (place(&mut lab, &of_a).unwrap() as usize, place(&mut lab, &of_b).unwrap());
    stranger.members.store_u32(at, offset_of!(Member, next), other);
    assert_eq!(kinds(&sampled(&mut lab)), [(Part::Address, "has other groups or another owner")]);
    // Nobody's, of a VPC that is and of one that cannot be.
    for vpc in [of_a.vpc, u32::MAX] {
        let stray = AddressKey { vpc, address: [7; 16] };
        hash(&mut lab, "addresses", |map| sys::update(map, &stray, &other)).unwrap();
        assert_eq!(kinds(&sampled(&mut lab)), [(Part::Address, "is known and is nobody's")]);
        assert_eq!(place(&mut lab, &stray), None);
    }
    as_declared(&mut lab);
    // Places that were given back are given out again: nothing is used twice.
    for round in 0..40 {
        lab.regroup("a", if round % 2 == 0 { &["open"] } else { &["client"] });
        lab.keep_house();
    }
    assert_eq!(lab.verify(), []);
    as_declared(&mut lab);
}

#[test]
fn ports_and_names_are_found_and_repaired() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    let mut stranger = Stranger::in_the_house_of(&mut lab);
    let entry = stranger.enis.get(slot(&mut lab, "b"));
    let port = PortKey { netns: entry.netns, ifindex: entry.ifindex, reserved: 0 };
    hash(&mut lab, "ports", |map| sys::delete(map, &port)).unwrap();
    assert_eq!(kinds(&sampled(&mut lab)), [(Part::Port, "is not in the table")]);
    let stray = PortKey { netns: 1, ifindex: 1, reserved: 0 };
    hash(&mut lab, "ports", |map| sys::update(map, &stray, &1_u32)).unwrap();
    assert_eq!(kinds(&sampled(&mut lab)), [(Part::Port, "is number 1's and should be nobody's")]);
    stranger.vpc_names.set(entry.vpc as usize, [b'x'; abi::ID_BYTES]);
    stranger.vpc_names.set(900, [b'y'; abi::ID_BYTES]);
    let found = lab.verify();
    assert_eq!(kinds(&found), [(Part::Name, "is not what is written down"); 2]);
    assert_eq!(lab.verify(), []);
    let before = stranger.enis.get(slot(&mut lab, "b"));
    lab.close();
    lab.open();
    assert_eq!(stranger.enis.get(slot(&mut lab, "b")), before, "a restart finds the names");
    as_declared(&mut lab);
}

#[test]
fn after_any_garbage_one_look_repairs_everything() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    let seed = 20_261_127;
    let mut chooser = Chooser::new(seed);
    let mut told = 0;
    for round in 0..ROUNDS {
        let mut stranger = Stranger::in_the_house_of(&mut lab);
        for _ in 0..=chooser.below(4) {
            scribble(&mut lab, &mut stranger, &mut chooser);
        }
        if chooser.one_in(2) {
            lab.regroup("a", if chooser.one_in(2) { &["open"] } else { &["client"] });
        }
        let found = lab.verify();
        told += found.len();
        let again = lab.verify();
        assert_eq!(again, [], "round {round} of seed {seed}, after {found:?}");
        if round % 20 == 0 {
            lab.regroup("a", &["client"]);
            lab.keep_house();
            as_declared(&mut lab);
        }
    }
    println!("seed {seed}: {told} differences were repaired");
    assert!(told > ROUNDS, "too little was wrong");
}

/// How often something is scribbled on.
const ROUNDS: usize = 60;

/// Writes something somewhere.
fn scribble(lab: &mut Lab, stranger: &mut Stranger, chooser: &mut Chooser) {
    let garbage = chooser.pick(&[0, 1, 2, 3, 0x7f, u32::MAX, 0x8000_0000]);
    let instance = chooser.pick(&["a", "b", "c"]);
    let (eni, address) = (slot(lab, instance), key(lab, instance));
    let place = place(lab, &address);
    match chooser.below(7) {
        0 => stranger.enis.store_u64(eni, offset_of!(Eni, policy), u64::from(garbage) << 32 | u64::from(garbage)),
        1 => stranger.enis.store_u64(chooser.below(eni + 1), offset_of!(Eni, next), u64::from(garbage)),
        2 => stranger.enis.store_u32(eni, 4 * chooser.below(size_of::<Eni>() / 4), garbage),
        3 => drop(hash(lab, "addresses", |map| sys::update(map, &address, &garbage))),
        4 => drop(hash(lab, "addresses", |map| sys::delete(map, &address))),
        5 => {
            let at = place.unwrap_or(2).min(abi::MEMBER_SLOTS - 1) as usize;
            stranger.members.store_u32(at, 4 * chooser.below(size_of::<Member>() / 4), garbage);
        }
        _ => {
            let (_, at) = halves(stranger.enis.get(eni).policy);
            let word = (at as usize + chooser.below(60)).min(stranger.words.len() - 1);
            stranger.words.store_u64(word, 0, u64::from(garbage));
        }
    }
}
