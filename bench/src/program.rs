//! What one packet costs: the programs under `PROG_TEST_RUN`, without interfaces.
//!
//! The kernel runs a program many times on one frame and tells the mean. That is right for packets of a known
//! flow and for denied ones, which change nothing. A packet that begins a flow does so once: see `begun`.

use std::{collections::BTreeMap, net::IpAddr, path::Path};

use anyhow::Context as _;
use aya::programs::SchedClassifier;
use sekimori_agent::bpf::sys;
use sekimori_compile::{abi::PortKey, event::EVENTS_DENIED};
use sekimori_core::{
    flow::{Segment, TcpFlags},
    packet::{Packet, Transport},
    rule::Direction,
};
use sekimori_tests::frame::frame;
use serde::Serialize;

use crate::{
    plane::Plane,
    stats::Stats,
    stop::Stop,
    world::{Builder, FILLER_PORT, OPEN_PORT, Pair},
};

/// The path that has a goal.
pub const ESTABLISHED: &str = "established, TCP over IPv4";
/// Rules of the policies that are measured.
pub const SIZES: [usize; 3] = [10, 1_000, 10_000];
/// Rules of the policy that is as bad as it can be.
const ADVERSARIAL: usize = 1_000;
/// Test runs need an interface that exists.
const LOOPBACK: u32 = 1;
/// Runs that the kernel takes the mean of.
const REPEAT: u32 = 100_000;
/// Flows that are begun for one value.
const FLOWS: u16 = 1_000;
/// The first source port.
const CLIENT_PORT: u16 = 40_000;
/// `TC_ACT_UNSPEC`: whoever comes after decides.
const PASS: i32 = -1;
/// `TC_ACT_SHOT`.
const DROP: i32 = 2;

static EMPTY: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/empty.bpf.o"));

/// What one path costs.
#[derive(Clone, Debug, Serialize)]
pub struct PathCost {
    /// The path.
    pub path: &'static str,
    /// Rules in the policy.
    pub rules: usize,
    /// Nanoseconds for a packet, the call itself included.
    pub ns: Stats,
}

type Values = BTreeMap<(&'static str, usize), Vec<f64>>;

/// Measures every path at every size, interleaved, round by round.
///
/// # Errors
/// The kernel's, or a packet that is not judged as it must be.
pub fn measure(dir: &Path, rounds: usize, stop: &Stop) -> anyhow::Result<Vec<PathCost>> {
    let mut lab = Lab::open(dir)?;
    let mut values = Values::new();
    for _ in 0..rounds {
        stop.check()?;
        lab.round(&mut values)?;
    }
    let costs = values.into_iter().filter_map(|((path, rules), values)| {
        let ns = Stats::of(values)?;
        Some(PathCost { path, rules, ns })
    });
    Ok(costs.collect())
}

struct Lab {
    plane: Plane,
    pairs: Vec<(usize, Pair)>,
    adversarial: Pair,
    cookie: u64,
    empty: aya::Ebpf,
}

impl Lab {
    fn open(dir: &Path) -> anyhow::Result<Self> {
        let mut builder = Builder::new(1)?;
        let pairs = SIZES.into_iter().map(|rules| Ok((rules, builder.pair(rules, true)?)));
        let pairs = pairs.collect::<anyhow::Result<Vec<_>>>()?;
        let adversarial = builder.adversarial_pair(ADVERSARIAL)?;
        let mut plane = Plane::open(dir)?;
        plane.enforce(builder.world())?;
        let mut empty = aya::Ebpf::load(EMPTY).context("cannot load the empty program")?;
        let program: &mut SchedClassifier = empty.program_mut("empty").context("no empty program")?.try_into()?;
        program.load()?;
        Ok(Self { plane, pairs, adversarial, cookie: sys::netns_cookie()?, empty })
    }

    fn round(&mut self, values: &mut Values) -> anyhow::Result<()> {
        values.entry(("nothing, the call itself", 0)).or_default().push(self.empty_ns()?);
        for (rules, pair) in self.pairs.clone() {
            self.bind(&pair)?;
            let mut note = |path, ns| values.entry((path, rules)).or_default().push(ns);
            let [v4, v6] = both_addresses(&pair)?;
            let tcp4 = self.known(&pair, &Flow::tcp(v4, OPEN_PORT))?;
            note(ESTABLISHED, tcp4);
            note("established, UDP over IPv4", self.known(&pair, &Flow::udp(v4, OPEN_PORT))?);
            note("established, TCP over IPv6", self.known(&pair, &Flow::tcp(v6, OPEN_PORT))?);
            note("new, denied, TCP over IPv4", self.denied(&pair, &Flow::tcp(v4, FILLER_PORT))?);
            note("new, denied, TCP over IPv6", self.denied(&pair, &Flow::tcp(v6, FILLER_PORT))?);
            self.plane.kernel.want_events(EVENTS_DENIED);
            note("new, denied, TCP over IPv4, events read", self.denied(&pair, &Flow::tcp(v4, FILLER_PORT))?);
            self.plane.kernel.want_events(0);
            note("new, allowed, flow inserted, TCP over IPv4", tcp4 + self.begun(&pair, v4)?);
        }
        let pair = self.adversarial.clone();
        self.bind(&pair)?;
        let [v4, _] = both_addresses(&pair)?;
        let ns = self.denied(&pair, &Flow::udp(v4, FILLER_PORT - 1))?;
        values.entry(("new, denied, every rule half matches", ADVERSARIAL)).or_default().push(ns);
        Ok(())
    }

    /// Says that the server's interface is the loopback.
    fn bind(&mut self, pair: &Pair) -> anyhow::Result<()> {
        let port = PortKey { netns: self.cookie, ifindex: LOOPBACK, reserved: 0 };
        self.plane.kernel.rebind(&pair.server.eni, None)?;
        self.plane.kernel.rebind(&pair.server.eni, Some(port))?;
        self.plane.forget_flows()
    }

    fn empty_ns(&self) -> anyhow::Result<f64> {
        let program: &SchedClassifier = self.empty.program("empty").context("no empty program")?.try_into()?;
        let fd = std::os::fd::AsFd::as_fd(program.fd()?);
        let ns = sys::test_run(fd, (&[0; 64], 0), LOOPBACK, REPEAT)?.duration_ns;
        Ok(f64::from(ns))
    }

    fn run(&self, frame: &[u8], repeat: u32, action: i32) -> anyhow::Result<f64> {
        let (to_eni, _) = self.plane.kernel.programs();
        let run = sys::test_run(to_eni, (frame, 0), LOOPBACK, repeat)?;
        anyhow::ensure!(run.action == action, "a packet was judged {} instead of {action}", run.action);
        Ok(f64::from(run.duration_ns))
    }

    fn known(&self, pair: &Pair, flow: &Flow) -> anyhow::Result<f64> {
        self.run(&flow.first(pair), 1, PASS)?;
        self.run(&flow.later(pair), REPEAT, PASS)
    }

    fn denied(&self, pair: &Pair, flow: &Flow) -> anyhow::Result<f64> {
        self.run(&flow.first(pair), REPEAT, DROP)
    }

    /// What the first packet of a flow costs more than the second: look-up and insertion. Each runs once, so
    /// the call's own cost, and that of cold caches, is in both and falls out of the difference.
    fn begun(&self, pair: &Pair, peer: IpAddr) -> anyhow::Result<f64> {
        let (mut first, mut second) = (Vec::new(), Vec::new());
        for index in 1..=FLOWS {
            let frame = Flow { port: CLIENT_PORT + index, ..Flow::tcp(peer, OPEN_PORT) }.first(pair);
            first.push(self.run(&frame, 1, PASS)?);
            second.push(self.run(&frame, 1, PASS)?);
        }
        self.plane.forget_flows()?;
        let medians = Stats::of(first).zip(Stats::of(second)).context("no flows")?;
        Ok(medians.0.median - medians.1.median)
    }
}

fn both_addresses(pair: &Pair) -> anyhow::Result<[IpAddr; 2]> {
    let addresses = pair.client.addresses.as_slice();
    let [v4, v6] = addresses else { anyhow::bail!("the client has the addresses {addresses:?}") };
    Ok([*v4, *v6])
}

/// Packets from a client to its server.
#[derive(Clone, Copy)]
struct Flow {
    peer: IpAddr,
    port: u16,
    service: u16,
    is_tcp: bool,
}

impl Flow {
    fn tcp(peer: IpAddr, service: u16) -> Self {
        Self { peer, port: CLIENT_PORT, service, is_tcp: true }
    }

    fn udp(peer: IpAddr, service: u16) -> Self {
        Self { is_tcp: false, ..Self::tcp(peer, service) }
    }

    fn first(&self, pair: &Pair) -> Vec<u8> {
        self.frame(pair, TcpFlags { syn: true, ..TcpFlags::default() })
    }

    fn later(&self, pair: &Pair) -> Vec<u8> {
        self.frame(pair, TcpFlags { ack: true, ..TcpFlags::default() })
    }

    fn frame(&self, pair: &Pair, flags: TcpFlags) -> Vec<u8> {
        let own = pair.server.addresses.iter().find(|address| address.is_ipv4() == self.peer.is_ipv4());
        let local = own.copied().unwrap_or(self.peer);
        let (source, destination) = (self.port, self.service);
        let transport = match self.is_tcp {
            true => Transport::Tcp { source, destination },
            false => Transport::Udp { source, destination },
        };
        let packet = Packet { direction: Direction::Ingress, local, peer: self.peer, transport, is_forwarded: false };
        frame(&Segment { packet, flags, icmp_id: 0, quoted: None }, pair.server.mac)
    }
}
