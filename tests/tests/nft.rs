//! The nftables export says what `core::verdict` says: generated worlds are exported, loaded with `nft -f` in a namespace that
//! forwards, and packets are sent through it; and live connections on an interface's own host behave as with the data plane.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    collections::BTreeSet,
    io::Write as _,
    net::{IpAddr, UdpSocket},
    os::fd::{AsFd, AsRawFd},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, bind, recv, send, setsockopt, socket,
    sockopt::RcvBufForce,
};
use sekimori_agent::netlink::netns::{self, NetNs, within};
use sekimori_analysis::nft::{self, Question};
use sekimori_core::{
    address::Family,
    flow::{Segment, TcpFlags},
    packet::{Packet, Transport, Why},
    rule::Direction,
    verdict,
    world::{Eni, World},
};
use sekimori_tests::{
    frame::frame,
    generate::Universe,
    lab::{Lab, observe::Answer},
    plane::is_root,
};

const WORLDS: u64 = 250;
/// Packets at each interface of a world: each has a number, which marks it and its place in conntrack.
const PACKETS: usize = 60;
/// Interfaces of a world that are tried.
const ENIS: usize = 3;
/// The router's Ethernet address on both links.
const ROUTER: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// How long a packet that passes may take.
const PATIENCE: Duration = Duration::from_millis(300);

/// Benches that this process has made: each has names of its own.
static BENCHES: AtomicU32 = AtomicU32::new(0);

/// Three namespaces in a row: the peers, a router that the ruleset is loaded in, and the interface.
struct Bench {
    names: [String; 3],
    peer: UdpSocket,
    eni: UdpSocket,
    router: NetNs,
    zone: u32,
}

impl Bench {
    fn new() -> Self {
        let own = BENCHES.fetch_add(1, Ordering::Relaxed);
        let names = ["p", "r", "e"].map(|name| format!("nft-{}-{own}-{name}", std::process::id()));
        let spaces = names.clone().map(|name| netns::create(&name, || Ok(())).unwrap().0);
        let [peer, router, eni] = spaces;
        let [p, _, e] = &names;
        let script = format!(
            "set -e
             for end in p:{p} tap:{e}; do
               near=${{end%%:*}}0; far=${{end#*:}}
               ip link add $near type veth peer name eth0 netns $far
               ip link set $near address 02:00:00:00:00:01 arp off up
               ip -n $far link set eth0 arp off up
             done
             echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
             for name in all default p0 tap0; do echo 0 > /proc/sys/net/ipv4/conf/$name/rp_filter; done
             for way in p0:tap0:1 tap0:p0:2; do
               from=${{way%%:*}}; rest=${{way#*:}}; to=${{rest%%:*}}; table=${{rest#*:}}
               for family in -4 -6; do
                 ip $family rule add pref $table iif $from lookup 10$table
                 ip $family route add default dev $to table 10$table
               done
             done"
        );
        shell(&router, &script);
        Self { peer: link(&peer), eni: link(&eni), router, names, zone: 0 }
    }

    /// Loads a ruleset, and the marks that keep the packets' flows apart.
    fn load(&mut self, ruleset: &str) {
        let zones = (1..=PACKETS as u32).map(|number| {
            let zone = (self.zone + number) % 65_000 + 1;
            format!("ip id {number} ct zone set {zone}\nip6 flowlabel {number} ct zone set {zone}\n")
        });
        let marks = format!(
            "table inet marks {{}}\ndelete table inet marks\ntable inet marks {{ chain zones {{\n\
             type filter hook prerouting priority raw; policy accept;\n{}}}\n}}\n",
            zones.collect::<String>()
        );
        self.zone += PACKETS as u32;
        nft(&self.router, &format!("{ruleset}\n{marks}"));
        shell(&self.router, "echo 0 > /proc/sys/net/netfilter/nf_conntrack_checksum");
    }

    /// Sends the frames of one direction; returns the numbers of those that arrive.
    fn pass(&self, direction: Direction, frames: &[(u32, Vec<u8>)], expected: usize) -> BTreeSet<u32> {
        let (from, to) = match direction {
            Direction::Ingress => (&self.peer, &self.eni),
            Direction::Egress => (&self.eni, &self.peer),
        };
        let mut room = [0; 2_048];
        while recv(to.as_raw_fd(), &mut room, MsgFlags::empty()).is_ok() {}
        for (_, frame) in frames {
            send(from.as_raw_fd(), frame, MsgFlags::empty()).unwrap();
        }
        let (began, mut arrived) = (Instant::now(), BTreeSet::new());
        let mut quiet = Instant::now();
        // What is not expected needs a moment to show itself.
        while began.elapsed() < PATIENCE && (arrived.len() < expected || quiet.elapsed() < Duration::from_millis(3)) {
            match recv(to.as_raw_fd(), &mut room, MsgFlags::empty()) {
                Ok(length) => {
                    arrived.extend(number_of(&room[..length]));
                    quiet = Instant::now();
                }
                Err(_) => std::thread::yield_now(),
            }
        }
        arrived
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        for name in &self.names {
            if let Err(error) = netns::delete(name) {
                eprintln!("cannot remove the namespace {name}: {error}");
            }
        }
    }
}

fn shell(ns: &NetNs, script: &str) {
    let status = within(ns.as_fd(), || Command::new("sh").args(["-c", script]).status()).unwrap().unwrap();
    assert!(status.success(), "{script}");
}

fn nft(ns: &NetNs, ruleset: &str) {
    let output = within(ns.as_fd(), || {
        let mut process =
            Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        process.stdin.take().expect("it is piped").write_all(ruleset.as_bytes())?;
        process.wait_with_output()
    });
    let output = output.unwrap().unwrap();
    assert!(output.status.success(), "{}\n{ruleset}", String::from_utf8_lossy(&output.stderr));
}

/// The link of a namespace, for any frame.
fn link(ns: &NetNs) -> UdpSocket {
    let opened = within(ns.as_fd(), || -> nix::Result<_> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll)?;
        setsockopt(&fd, RcvBufForce, &(8 << 20))?;
        let mut links = nix::ifaddrs::getifaddrs()?.filter(|one| one.interface_name == "eth0");
        let address = links.find_map(|one| one.address?.as_link_addr().copied()).expect("there is a link");
        let at = nix::sys::socket::LinkAddr::clone(&address);
        bind(fd.as_raw_fd(), &at)?;
        Ok(UdpSocket::from(fd))
    });
    opened.unwrap().unwrap()
}

/// The frame of a packet with a number that the router keeps.
fn numbered(number: u32, packet: Packet, eni: &Eni) -> Vec<u8> {
    let segment = Segment {
        packet,
        flags: TcpFlags { syn: true, ..TcpFlags::default() },
        icmp_id: number as u16,
        quoted: None,
    };
    let mut bytes = frame(&segment, eni.mac.0);
    bytes[..6].copy_from_slice(&ROUTER);
    match Family::of(packet.local) {
        Family::V4 => {
            bytes[18..20].copy_from_slice(&(number as u16).to_be_bytes());
            let words = bytes[14..34].chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]));
            let sum: u32 = words.sum();
            let folded = (sum & 0xffff) + (sum >> 16);
            let folded = !((folded & 0xffff) + (folded >> 16)) as u16;
            bytes[24..26].copy_from_slice(&folded.to_be_bytes());
        }
        Family::V6 => bytes[15..18].copy_from_slice(&number.to_be_bytes()[1..]),
    }
    bytes
}

/// What a router never forwards: discovery, which is believed with hop limit 255 only, and what comes from multicast addresses.
fn stays(packet: &Packet) -> bool {
    let is_discovery = matches!(packet.transport, Transport::Icmp { protocol: 58, kind: 133..=137, .. });
    is_discovery || [packet.local, packet.peer].iter().any(IpAddr::is_multicast)
}

fn number_of(frame: &[u8]) -> Option<u32> {
    let number = match frame.get(12..14)? {
        [0x08, 0x00] => u32::from(u16::from_be_bytes([frame[18], frame[19]])),
        [0x86, 0xdd] => u32::from_be_bytes([0, frame[15] & 0x0f, frame[16], frame[17]]),
        _ => return None,
    };
    (1..=PACKETS as u32).contains(&number).then_some(number)
}

/// A ruleset takes every packet for its source's own.
fn direct(packet: Packet) -> Packet {
    Packet { is_forwarded: false, ..packet }
}

fn ruleset(world: &World, eni: &Eni) -> String {
    let devices = [(eni.id.clone(), "tap0".to_owned())].into();
    let question = Question { target: eni.id.to_string(), is_forwarded: true, devices };
    nft::export(world, &question).unwrap().ruleset
}

#[test]
fn rulesets_agree_with_the_verdict() {
    if !is_root("the nftables differential") {
        return;
    }
    let mut bench = Bench::new();
    let (mut judged, mut passed) = (0, 0);
    for seed in 0..WORLDS {
        let mut universe = Universe::new(seed);
        for eni in universe.enis().into_iter().take(ENIS) {
            let text = ruleset(&universe.world, &eni);
            bench.load(&text);
            let packets: Vec<(u32, Packet)> =
                (1..=PACKETS as u32).map(|number| (number, direct(universe.packet(&eni)))).collect();
            let packets: Vec<_> = packets.into_iter().filter(|(_, packet)| !stays(packet)).collect();
            for direction in [Direction::Ingress, Direction::Egress] {
                let mine: Vec<&(u32, Packet)> =
                    packets.iter().filter(|(_, one)| one.direction == direction).collect();
                let expected: BTreeSet<u32> = mine
                    .iter()
                    .filter(|(_, packet)| verdict::decide(&universe.world, &eni, packet).is_allowed())
                    .map(|(number, _)| *number)
                    .collect();
                let frames: Vec<_> =
                    mine.iter().map(|(number, one)| (*number, numbered(*number, *one, &eni))).collect();
                let arrived = bench.pass(direction, &frames, expected.len());
                for (number, packet) in mine {
                    let (rules, wire) = (expected.contains(number), arrived.contains(number));
                    let why = || verdict::decide(&universe.world, &eni, packet);
                    assert!(
                        rules == wire,
                        "seed {seed} {}: {packet:?}: {:?}, but passed is {wire}\n{text}",
                        eni.id,
                        why()
                    );
                }
                judged += frames.len();
                passed += arrived.len();
            }
        }
    }
    println!("{judged} packets in {WORLDS} worlds, {passed} of them passed");
    assert!(judged > 20_000 && passed > judged / 20 && passed < judged * 19 / 20, "the worlds are too simple");
}

#[test]
fn a_forwarding_host_checks_the_ethernet_address() {
    if !is_root("the nftables export") {
        return;
    }
    let mut bench = Bench::new();
    let mut tried = 0;
    for seed in 0..40 {
        let mut universe = Universe::new(seed);
        let Some(eni) = universe.enis().into_iter().find(|eni| eni.source_check) else { continue };
        bench.load(&ruleset(&universe.world, &eni));
        let drawn: Vec<Packet> =
            (0..PACKETS).map(|_| direct(universe.packet(&eni))).filter(|packet| !stays(packet)).collect();
        let is_allowed = |packet: &&Packet| {
            let decision = verdict::decide(&universe.world, &eni, packet);
            packet.direction == Direction::Egress && decision.is_allowed() && decision.why != Why::Bypass
        };
        let Some(packet) = drawn.iter().find(is_allowed) else { continue };
        let honest = numbered(1, *packet, &eni);
        let mut forged = numbered(2, *packet, &eni);
        forged[11] ^= 1;
        let arrived = bench.pass(Direction::Egress, &[(1, honest), (2, forged)], 1);
        assert_eq!(arrived, BTreeSet::from([1]), "seed {seed}: {packet:?}");
        tried += 1;
    }
    assert!(tried > 5, "too few worlds let anything out: {tried}");
}

/// The same addresses in both.
const OPEN: &str = "
    group all basic
      in allow all from any as all
    instance a all
    instance b all
    instance c all";

const STRICT: &str = "
    group web basic isolated
    group far basic isolated
    group server basic isolated
      in allow tcp/443 from group:web as https
      in allow udp/5000 from any as datagrams
      in allow ping from any as ping
      in deny tcp/8080 from group:far prio 1 as no-proxy
      in allow tcp/8080 from any prio 2 as proxy
      out deny tcp/25 to any as no-mail
    instance a web
    instance b server
    instance c far";

#[test]
fn an_interface_s_own_host_behaves_as_with_the_data_plane() {
    let (Some(mut open), Some(mut strict)) = (Lab::of(OPEN), Lab::of(STRICT)) else { return };
    let eni = strict.eni("b");
    assert_eq!(eni.addresses[0], open.eni("b").addresses[0]);
    let own = |lab: &Lab| lab.eni("b").addresses.clone();
    assert_eq!(own(&open), own(&strict));
    let question = Question { target: strict.instance_id("b").to_string(), ..Question::default() };
    let text = nft::export(strict.world(), &question).unwrap().ruleset;
    println!("{text}");
    let inside = NetNs::open(open.instance_id("b").as_str()).unwrap().unwrap();
    nft(&inside, &text);
    let mut before = open.connect("a", "b", 443, Family::V4);
    nft(&inside, &text);
    assert_eq!(
        open.talk(&mut before).answer,
        Answer::Passes,
        "what conntrack knows goes on when a ruleset is loaded again"
    );
    let probes = [
        "a -> b tcp/443",
        "c -> b tcp/443",
        "a -> b udp/5000",
        "a -> b udp/5001",
        "a -> b ping",
        "a -> b tcp/8080",
        "c -> b tcp/8080",
        "b -> outside tcp/25",
        "b -> outside tcp/26",
        "b -> outside ping",
        "outside -> b tcp/8080",
    ];
    for probe in probes {
        for family in [Family::V4, Family::V6] {
            let expected = strict.try_probe(probe, family).answer;
            let found = open.try_probe(probe, family).answer;
            // Nobody of ours counts what nftables drops.
            let found = if found == Answer::Lost { Answer::Dropped } else { found };
            assert_eq!(found, expected, "{probe} {family:?}\n{text}");
        }
    }
}
