//! Section 3.2 of the design: while rules and memberships change, while the agent is restarted and while its writes
//! fail, nothing gets through that every world of the run denies, and what every world allows always does.

#![expect(clippy::panic, reason = "a test fails by panicking, in its helpers too")]

use std::{
    collections::BTreeSet,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use sekimori_agent::bpf::HashWrites;
use sekimori_compile::abi::{AddressKey, PortKey};
use sekimori_core::{
    address::Family,
    change::Change,
    packet::{Packet, Transport},
    rule::Direction,
    verdict,
};
use sekimori_tests::{
    generate::Chooser,
    lab::{
        Lab,
        echo::Stream,
        flood::{Counting, flood, watch},
        frames::{Frame, frame},
        observe::Answer,
    },
};

/// Changes of a run.
const CHANGES: usize = 1_000;
/// Different source ports of a flood.
const SOURCES: u16 = 48;
/// The port that every world allows.
const CONTROL: u16 = 5_000;
/// Ports that every world denies from `a` to `b`. The last four are denied by one end or the other, in turns.
const DENIED: [u16; 7] = [6_666, 7_777, 8_888, 9_999, 9_998, 9_997, 9_996];
/// Of these, the ones that every world denies from outside to `b`.
const DENIED_FROM_OUTSIDE: [u16; 2] = [6_666, 7_777];
/// And from `c`, which shares the rules of `a`.
const DENIED_FROM_C: [u16; 4] = [6_666, 8_888, 9_999, 9_996];
const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

const WORLD: &str = "
    prefixes four 10.9.0.0/16
    prefixes six fd09::/16
    group base basic isolated
      out allow udp/5000-5001 to any as control
      out deny tcp/8888 to any as never
      out deny udp/8888 to any as never
    group friends basic isolated
    group q basic isolated
    group r basic isolated
    group mute basic isolated
      out deny tcp/9998 to any as mute
      out deny udp/9998 to any as mute
    group mute-too basic isolated
      out deny tcp/9997 to any as mute
      out deny udp/9997 to any as mute
    group server basic isolated
      in allow udp/5000-5001 from any as control
      in allow tcp/8888 from any as eight
      in allow udp/8888 from any as eight
      in allow tcp/7777 from group:friends as friends
      in allow udp/7777 from group:friends as friends
      in allow tcp/9997 from group:q as q
      in allow udp/9997 from group:q as q
      in allow tcp/9996 from list:four,list:six as listed
      in allow udp/9996 from list:four,list:six as listed
    group nine basic isolated
      in allow tcp/9998 from any as nine
      in allow udp/9998 from any as nine
    group s basic isolated
    instance a base
    instance b server
    instance c base friends";

/// What changes, and how it is now.
#[derive(Default)]
struct Estate {
    /// One for each of the last four of [`DENIED`]: whether `a` denies it, rather than `b`.
    is_denied_by_a: [bool; 4],
    is_a_in_r: bool,
    is_b_in_s: bool,
    is_c_stranger: bool,
    noise: BTreeSet<(String, String)>,
    next: u32,
}

impl Estate {
    /// One commit of several changes, none of which opens what is to stay denied.
    fn step(&mut self, lab: &mut Lab, chooser: &mut Chooser, is_noisy: bool) -> Vec<Change> {
        let mut changes = Vec::new();
        for flip in 0..4 {
            if chooser.one_in(3) {
                changes.extend(self.flip(lab, flip));
            }
        }
        if is_noisy {
            for flag in [&mut self.is_a_in_r, &mut self.is_b_in_s, &mut self.is_c_stranger] {
                *flag ^= chooser.one_in(4);
            }
            changes.extend(self.rule(lab, chooser));
        }
        changes.extend(self.memberships(lab));
        for at in (1..changes.len()).rev() {
            changes.swap(at, chooser.below(at + 1));
        }
        changes
    }

    /// Lets the other end deny a port: by rules, by memberships, by the membership that the rule at the other
    /// end asks for, or by a list.
    fn flip(&mut self, lab: &mut Lab, flip: usize) -> Vec<Change> {
        self.is_denied_by_a[flip] ^= true;
        let by_a = self.is_denied_by_a[flip];
        let rule = |lab: &mut Lab, group: &str, label: &str, text: &str| match by_a {
            true => [
                lab.with_rule(group, &format!("{text} tcp/{label} from any as {label}")),
                lab.with_rule(group, &format!("{text} udp/{label} from any as {label}")),
            ]
            .concat(),
            false => lab.without_rule(group, label),
        };
        match flip {
            0 => [rule(lab, "base", "9999", "out deny"), rule(lab, "server", "9999", "in allow")].concat(),
            3 => {
                let (four, six) = if by_a { ("10.0.0.1/32", "fd00::10/128") } else { ("10.9.0.0/16", "fd09::/16") };
                let lists = vec![lab.prefix_list("four", &[four]), lab.prefix_list("six", &[six])];
                [rule(lab, "base", "9996", "out deny"), lists].concat()
            }
            _ => Vec::new(),
        }
    }

    /// The groups of every instance, where they differ from what they are.
    fn memberships(&self, lab: &Lab) -> Vec<Change> {
        let [_, by_mute, by_mute_too, _] = self.is_denied_by_a;
        let chosen = |all: &[(&'static str, bool)]| -> Vec<&'static str> {
            all.iter().filter(|(_, is_in)| *is_in).map(|(group, _)| *group).collect()
        };
        let a =
            [("base", true), ("r", self.is_a_in_r), ("mute", by_mute), ("q", by_mute_too), ("mute-too", by_mute_too)];
        let b = [("server", true), ("s", self.is_b_in_s), ("nine", by_mute)];
        let c = [("base", true), ("friends", !self.is_c_stranger), ("q", self.is_c_stranger)];
        let all = [("a", chosen(&a)), ("b", chosen(&b)), ("c", chosen(&c))];
        let changes = all.iter().map(|(instance, groups)| (instance, lab.regrouped(instance, groups)));
        let is_news = |(instance, change): &(&&str, Change)| *change != Change::PutEni(lab.eni(instance));
        changes.filter(is_news).map(|(_, change)| change).collect()
    }

    /// A rule comes or goes that speaks of other ports, or denies everything last.
    fn rule(&mut self, lab: &mut Lab, chooser: &mut Chooser) -> Vec<Change> {
        if self.noise.len() > 24
            && let Some((group, label)) = self.noise.pop_first()
        {
            return lab.without_rule(&group, &label);
        }
        self.next += 1;
        let label = format!("noise-{}", self.next);
        let group = chooser.pick(&["base", "server", "friends", "q", "r", "s", "nine", "mute"]);
        let direction = chooser.pick(&["in", "out"]);
        let (action, service) = if chooser.one_in(6) {
            ("deny", "all prio 100".to_owned())
        } else {
            let (protocol, port) = (chooser.pick(&["tcp", "udp"]), 1 + chooser.below(4_000));
            let prio = chooser.pick(&["1", "50", "100"]);
            (chooser.pick(&["allow", "deny"]), format!("{protocol}/{port}-{} prio {prio}", port + chooser.below(900)))
        };
        let peer = chooser.pick(&["any", "host:c", "host:a", "group:friends", "group:r", "10.0.0.0/16,fd00::/64"]);
        let (service, options) = service.split_once(' ').unwrap_or((&service, ""));
        self.noise.insert((group.to_owned(), label.clone()));
        lab.with_rule(group, &format!("{direction} {action} {service} from {peer} {options} as {label}"))
    }
}

/// What is denied is denied by every world at one end at least, and what is allowed at both.
fn must_hold(lab: &Lab) {
    for (from, port) in DENIED.map(|port| ("a", port)).into_iter().chain(DENIED_FROM_C.map(|port| ("c", port))) {
        assert!(!is_allowed(lab, from, "b", port), "the world opens {port} from {from}");
    }
    assert!(is_allowed(lab, "a", "b", CONTROL), "the world closes the control");
}

/// Whether some packet of the port passes both ends.
fn is_allowed(lab: &Lab, from: &str, to: &str, port: u16) -> bool {
    let (from, to) = (lab.eni(from), lab.eni(to));
    let passes = |(transport, at): (Transport, usize)| {
        let (source, destination) = (from.addresses[at], to.addresses[at]);
        let egress =
            Packet { direction: Direction::Egress, local: source, peer: destination, transport, is_forwarded: false };
        let ingress = Packet {
            direction: Direction::Ingress,
            local: destination,
            peer: source,
            transport,
            is_forwarded: false,
        };
        [(&from, egress), (&to, ingress)]
            .iter()
            .all(|(eni, packet)| verdict::decide(lab.world(), eni, packet).is_allowed())
    };
    let udp = Transport::Udp { source: 1, destination: port };
    let tcp = Transport::Tcp { source: 1, destination: port };
    [(udp, 0), (udp, 1)].into_iter().any(passes) || port != CONTROL && [(tcp, 0), (tcp, 1)].into_iter().any(passes)
}

/// Frames from one host to another that must not arrive.
fn denied_frames(lab: &Lab, from: &str, to: &str, ports: &[u16]) -> Vec<Vec<u8>> {
    let (from, to) = (lab.host(from), lab.host(to));
    let mut frames = Vec::new();
    for source in 1..=SOURCES {
        for family in FAMILIES {
            let ends = |port| {
                let source = SocketAddr::new(from.address(family), 30_000 + source);
                (source, SocketAddr::new(to.address(family), port))
            };
            for port in ports {
                frames.push(frame(Frame::Syn(*port), from.mac, ends(*port)));
                frames.push(frame(Frame::Datagram(*port), from.mac, ends(*port)));
            }
            // Of a connection that does not exist, and of a packet whose first part was never sent.
            frames.push(frame(Frame::Ack(CONTROL), from.mac, ends(CONTROL)));
            frames.push(frame(Frame::Fragment(17), from.mac, ends(0)));
        }
    }
    frames
}

/// Frames of `a` that claim to come from `c`, whom `b` trusts now and then.
fn forged_frames(lab: &Lab) -> Vec<Vec<u8>> {
    let (a, b, c) = (lab.host("a"), lab.host("b"), lab.host("c"));
    let forge = |family| {
        let ends = (SocketAddr::new(c.address(family), 30_000), SocketAddr::new(b.address(family), 7_777));
        [frame(Frame::Datagram(7_777), a.mac, ends), frame(Frame::Syn(7_777), a.mac, ends)]
    };
    FAMILIES.into_iter().flat_map(forge).collect()
}

/// Everything that is sent and watched during a run.
struct Siege {
    floods: Vec<Counting>,
    watches: Vec<Counting>,
}

impl Siege {
    fn begin(lab: &Lab) -> Self {
        let mut from_a = denied_frames(lab, "a", "b", &DENIED);
        from_a.extend(denied_frames(lab, "a", "outside", &[8_888]));
        from_a.extend(forged_frames(lab));
        let from_outside = denied_frames(lab, "outside", "b", &DENIED_FROM_OUTSIDE);
        let from_c = denied_frames(lab, "c", "b", &DENIED_FROM_C);
        let watches = ["b", "outside"].map(|at| watch(&lab.host(at)));
        let floods = [("a", from_a), ("outside", from_outside), ("c", from_c)];
        Self {
            floods: floods.into_iter().map(|(from, frames)| flood(&lab.host(from), frames)).collect(),
            watches: watches.into_iter().collect(),
        }
    }

    fn leaked(&self) -> u64 {
        self.watches.iter().map(Counting::count).sum()
    }

    /// How many were sent, and how many of them arrived.
    fn end(self) -> (u64, u64) {
        let sent = self.floods.into_iter().map(Counting::stop).sum();
        sekimori_tests::lab::pause(Duration::from_millis(100));
        (sent, self.watches.into_iter().map(Counting::stop).sum())
    }
}

/// Fails now and then, as often as it is told.
struct Faulty {
    inner: Box<dyn HashWrites>,
    /// One in so many fails; 0 is none.
    one_in: Arc<AtomicUsize>,
    failures: Arc<AtomicUsize>,
    chooser: Chooser,
}

impl Faulty {
    fn try_luck(&mut self) -> io::Result<()> {
        let one_in = self.one_in.load(Ordering::Relaxed);
        if one_in == 0 || !self.chooser.one_in(one_in) {
            return Ok(());
        }
        self.failures.fetch_add(1, Ordering::Relaxed);
        Err(io::Error::other("a failure that a test asked for"))
    }
}

impl HashWrites for Faulty {
    fn update_address(&mut self, key: &AddressKey, member: u32) -> io::Result<()> {
        self.try_luck()?;
        self.inner.update_address(key, member)
    }

    fn delete_address(&mut self, key: &AddressKey) -> io::Result<()> {
        self.try_luck()?;
        self.inner.delete_address(key)
    }

    fn update_port(&mut self, key: &PortKey, eni: u32) -> io::Result<()> {
        self.try_luck()?;
        self.inner.update_port(key, eni)
    }

    fn delete_port(&mut self, key: &PortKey) -> io::Result<()> {
        self.try_luck()?;
        self.inner.delete_port(key)
    }
}

/// The failures of a run.
#[derive(Default)]
struct Faults {
    one_in: Arc<AtomicUsize>,
    failures: Arc<AtomicUsize>,
}

impl Faults {
    fn install(&self, lab: &mut Lab, seed: u64) {
        let (one_in, failures) = (Arc::clone(&self.one_in), Arc::clone(&self.failures));
        let chooser = Chooser::new(seed);
        lab.enforcer().plane().intercept(|inner| Box::new(Faulty { inner, one_in, failures, chooser }));
    }

    fn set(&self, one_in: usize) {
        self.one_in.store(one_in, Ordering::Relaxed);
    }
}

#[test]
fn nothing_denied_passes_while_everything_changes() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    let seed = 20_261_123;
    let (mut estate, mut chooser, faults) = (Estate::default(), Chooser::new(seed), Faults::default());
    faults.install(&mut lab, seed);
    let controls: Vec<_> = FAMILIES.map(|family| lab.stream("a", "b", family, Stream::Udp(CONTROL))).into();
    let siege = Siege::begin(&lab);
    let began = Instant::now();
    let (mut restarts, mut fresh) = (0, 0);
    for number in 0..CHANGES {
        let changes = estate.step(&mut lab, &mut chooser, true);
        faults.set(if number % 50 >= 30 { 6 } else { 0 });
        lab.try_change(changes);
        must_hold(&lab);
        assert_eq!(siege.leaked(), 0, "after change {number}");
        if number % 50 != 37 && chooser.one_in(3) || number % 50 == 49 {
            settle(&mut lab, &faults);
        }
        if number % 50 == 37 {
            // The agent ends with writes undone, and the world goes on without it.
            faults.set(0);
            lab.close();
            let changes = estate.step(&mut lab, &mut chooser, true);
            lab.try_change(changes);
            lab.open();
            faults.install(&mut lab, seed + number as u64);
            restarts += 1;
        }
        if number % 10 == 0 && lab.is_applied() {
            fresh += 1;
            assert_eq!(lab.try_probe("a -> b udp/5001", FAMILIES[fresh % 2]).answer, Answer::Passes);
        }
    }
    settle(&mut lab, &faults);
    let took = began.elapsed();
    let (sent, leaked) = siege.end();
    let failures = faults.failures.load(Ordering::Relaxed);
    println!(
        "seed {seed}: {CHANGES} changes, {restarts} restarts and {failures} failed writes in {took:.1?}; \
         {sent} denied packets, {leaked} arrived; {fresh} new flows were allowed"
    );
    assert_eq!(leaked, 0);
    assert!(sent > 100_000 && failures > 50 && fresh > 50, "the siege was too weak");
    for control in controls {
        let control = control.stop();
        println!("control: {} sent, {} lost", control.sent, control.lost.len());
        assert!(control.lost.is_empty(), "{:?}", control.lost);
    }
}

/// Repairs until all is well, with failures at first.
fn settle(lab: &mut Lab, faults: &Faults) {
    for attempt in 0..100 {
        lab.keep_house();
        if lab.is_applied() {
            return;
        }
        if attempt == 4 {
            faults.set(0);
        }
    }
    panic!("the kernel does not follow");
}

#[test]
fn a_change_from_one_denial_to_another_lets_nothing_through() {
    let Some(mut lab) = Lab::of(WORLD) else { return };
    let seed = 42;
    let (mut estate, mut chooser) = (Estate::default(), Chooser::new(seed));
    let siege = Siege::begin(&lab);
    let began = Instant::now();
    let mut commits = 0;
    while began.elapsed() < Duration::from_secs(10) {
        let changes = estate.step(&mut lab, &mut chooser, false);
        lab.change(changes);
        must_hold(&lab);
        commits += 1;
        if commits % 64 == 0 {
            lab.keep_house();
        }
    }
    let (sent, leaked) = siege.end();
    println!("seed {seed}: {commits} commits; {sent} denied packets, {leaked} arrived");
    assert_eq!(leaked, 0);
    assert!(sent > 100_000 && commits > 300, "the siege was too weak");
}
