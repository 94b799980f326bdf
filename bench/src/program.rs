//! What one packet costs: the programs under `PROG_TEST_RUN`, without interfaces.
//!
//! The kernel runs a program many times on one frame and tells the mean. That is right for packets of a known
//! flow, and for denied ones of whoever was denied before, which change nothing. What is so once only, a flow that begins and a peer that is seen
//! for the first time, is told by the difference to a second packet: see `begun` and `denied_stranger`.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    path::Path,
};

use anyhow::Context as _;
use aya::programs::SchedClassifier;
use sekimori_agent::bpf::sys;
use sekimori_compile::{abi::PortKey, event::EVENTS_DENIED};
use sekimori_core::{
    flow::{Segment, TcpFlags},
    packet::{Packet, Transport},
    rule::Direction,
    world::Dialect,
};
use sekimori_tests::frame::frame;
use serde::Serialize;

use crate::{
    plane::Plane,
    stats::Stats,
    stop::Stop,
    world::{Builder, FILLER_PORT, OPEN_PORT, Pair},
};

/// The paths that have goals.
pub const ESTABLISHED: &str = "established, TCP over IPv4";
/// As above.
pub const DENIED: &str = "new, denied, TCP over IPv4";
/// A flow that begins.
pub const BEGUN: &str = "new, allowed, flow inserted, TCP over IPv4";
/// What is measured with everything else.
pub const NOTHING: &str = "nothing, the call itself";
/// A denial that nothing remembers: every table is asked.
pub const DENIED_STRANGER: &str = "new, denied, TCP over IPv4, first of a peer";
const DENIED_UDP: &str = "new, denied, UDP over IPv4";
const DENIED_UDP_STRANGER: &str = "new, denied, UDP over IPv4, first of a peer";
/// Rules of the policies that are measured.
pub const SIZES: [usize; 3] = [10, 1_000, 10_000];
/// Entries of the prefix lists that a policy names, together.
pub const LIST_SIZES: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];
/// Rules of the policies that something is beside.
const BESIDE: usize = 1_000;
/// Entries of a network ACL in each direction: the cloud's quota.
const ACL_ENTRIES: u16 = 20;
/// Rules of the policy that is as bad as it can be.
const ADVERSARIAL: usize = 1_000;
/// Test runs need an interface that exists.
const LOOPBACK: u32 = 1;
/// Runs that the kernel takes the mean of.
const REPEAT: u32 = 100_000;
/// Flows that are begun for one value.
const FLOWS: u16 = 1_000;
/// The first address of peers that are seen once (RFC 2544).
const STRANGERS: u32 = u32::from_be_bytes([198, 18, 0, 0]);
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
    pub path: String,
    /// Rules in the policy, or entries in its lists.
    pub rules: usize,
    /// Nanoseconds for a packet, the call itself included.
    pub ns: Stats,
}

type Values = BTreeMap<(String, usize), Vec<f64>>;

/// Everything of this kind.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ProgramCost {
    /// Paths and what they cost.
    pub paths: Vec<PathCost>,
    /// What does not fit the data plane, and how that is said.
    pub refused: Vec<(usize, String)>,
}

/// Measures every path at every size, interleaved, round by round.
///
/// # Errors
/// The kernel's, or a packet that is not judged as it must be.
pub fn measure(dir: &Path, rounds: usize, stop: &Stop) -> anyhow::Result<ProgramCost> {
    let mut values = Values::new();
    let mut labs = vec![Lab::open(&dir.join("rules"), rules_lab()?)?, Lab::open(&dir.join("acls"), acls_lab()?)?];
    let mut refused = Vec::new();
    for entries in LIST_SIZES {
        stop.check()?;
        let mut builder = Builder::new(7)?;
        match builder.listed_pair(entries) {
            Ok(pair) => {
                let cases = vec![Case { what: ", addresses in lists", size: entries, pair, kind: Kind::Lists }];
                labs.push(Lab::open(&dir.join(entries.to_string()), (builder, cases))?);
            }
            Err(error) => refused.push((entries, format!("{error:#}"))),
        }
    }
    for _ in 0..rounds {
        for lab in &mut labs {
            stop.check()?;
            lab.round(&mut values)?;
        }
    }
    let costs = values.into_iter().filter_map(|((path, rules), values)| {
        let ns = Stats::of(values)?;
        Some(PathCost { path, rules, ns })
    });
    Ok(ProgramCost { paths: costs.collect(), refused })
}

/// Policies of each size, one that is as bad as it can be, and one with another beside it.
fn rules_lab() -> anyhow::Result<(Builder, Vec<Case>)> {
    let mut builder = Builder::new(1)?;
    let mut cases = Vec::new();
    for size in SIZES {
        cases.push(Case { what: "", size, pair: builder.pair(size, true)?, kind: Kind::Rules });
    }
    let pair = builder.shadowed_pair(BESIDE)?;
    cases.push(Case { what: ", beside a candidate", size: BESIDE, pair, kind: Kind::Beside });
    let pair = builder.adversarial_pair(ADVERSARIAL)?;
    cases.push(Case { what: ", every rule half matches", size: ADVERSARIAL, pair, kind: Kind::Adversarial });
    Ok((builder, cases))
}

/// EC2, whose subnets have network ACLs.
fn acls_lab() -> anyhow::Result<(Builder, Vec<Case>)> {
    let mut builder = Builder::in_dialect(8, Dialect::Ec2)?;
    let pair = builder.guarded_pair(BESIDE, None)?;
    let mut cases = vec![Case { what: ", EC2", size: BESIDE, pair, kind: Kind::Beside }];
    let pair = builder.guarded_pair(BESIDE, Some(ACL_ENTRIES))?;
    cases.push(Case { what: ", EC2 behind a network ACL", size: BESIDE, pair, kind: Kind::Beside });
    Ok((builder, cases))
}

/// What is asked of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Everything, in both IP versions.
    Rules,
    /// What something beside the policy adds.
    Beside,
    /// What is known, and what is denied.
    Lists,
    /// What is denied by a policy that is as bad as it can be.
    Adversarial,
}

/// A pair, and what is asked of it.
#[derive(Clone)]
struct Case {
    what: &'static str,
    size: usize,
    pair: Pair,
    kind: Kind,
}

struct Lab {
    plane: Plane,
    cases: Vec<Case>,
    cookie: u64,
    empty: aya::Ebpf,
}

impl Lab {
    fn open(dir: &Path, (builder, cases): (Builder, Vec<Case>)) -> anyhow::Result<Self> {
        let mut plane = Plane::open(dir)?;
        plane.enforce(builder.world())?;
        let mut empty = aya::Ebpf::load(EMPTY).context("cannot load the empty program")?;
        let program: &mut SchedClassifier = empty.program_mut("empty").context("no empty program")?.try_into()?;
        program.load()?;
        Ok(Self { plane, cases, cookie: sys::netns_cookie()?, empty })
    }

    fn round(&mut self, values: &mut Values) -> anyhow::Result<()> {
        values.entry((NOTHING.to_owned(), 0)).or_default().push(self.empty_ns()?);
        for case in self.cases.clone() {
            self.bind(&case.pair)?;
            let found = match case.kind {
                Kind::Rules => self.by_rules(&case.pair)?,
                Kind::Beside => self.beside(&case.pair)?,
                Kind::Lists => self.by_lists(&case.pair)?,
                Kind::Adversarial => {
                    let flow = Flow::udp(v4_of(&case.pair)?, FILLER_PORT - 1);
                    let denied = self.denied(&case.pair, &flow)?;
                    vec![
                        (DENIED_UDP, denied),
                        (DENIED_UDP_STRANGER, denied + self.denied_stranger(&case.pair, &flow)?),
                    ]
                }
            };
            for (path, ns) in found {
                values.entry((format!("{path}{}", case.what), case.size)).or_default().push(ns);
            }
        }
        Ok(())
    }

    fn by_rules(&mut self, pair: &Pair) -> anyhow::Result<Vec<(&'static str, f64)>> {
        let [v4, v6] = both_addresses(pair)?;
        let mut found = self.beside(pair)?;
        found.push(("established, UDP over IPv4", self.known(pair, &Flow::udp(v4, OPEN_PORT))?));
        found.push(("established, TCP over IPv6", self.known(pair, &Flow::tcp(v6, OPEN_PORT))?));
        found.push(("new, denied, TCP over IPv6", self.denied(pair, &Flow::tcp(v6, FILLER_PORT))?));
        self.plane.kernel.want_events(EVENTS_DENIED);
        found.push(("new, denied, TCP over IPv4, events told", self.denied(pair, &Flow::tcp(v4, FILLER_PORT))?));
        self.plane.kernel.want_events(0);
        Ok(found)
    }

    fn beside(&mut self, pair: &Pair) -> anyhow::Result<Vec<(&'static str, f64)>> {
        let found = self.known_and_denied(pair)?;
        let [(_, established), ..] = found;
        let begun = established + self.begun(pair, v4_of(pair)?)?;
        Ok(found.into_iter().chain([(BEGUN, begun)]).collect())
    }

    fn by_lists(&mut self, pair: &Pair) -> anyhow::Result<Vec<(&'static str, f64)>> {
        Ok(self.known_and_denied(pair)?.to_vec())
    }

    fn known_and_denied(&mut self, pair: &Pair) -> anyhow::Result<[(&'static str, f64); 3]> {
        let v4 = v4_of(pair)?;
        let established = self.known(pair, &Flow::tcp(v4, OPEN_PORT))?;
        let flow = Flow::tcp(v4, FILLER_PORT);
        let denied = self.denied(pair, &flow)?;
        let stranger = denied + self.denied_stranger(pair, &flow)?;
        Ok([(ESTABLISHED, established), (DENIED, denied), (DENIED_STRANGER, stranger)])
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

    /// The copy of the program runs that an interface would: see `DataPlane::programs_in`.
    fn run(&mut self, frame: &[u8], repeat: u32, action: i32) -> anyhow::Result<f64> {
        let (to_eni, _) = self.plane.kernel.programs_in(self.cookie)?;
        let run = sys::test_run(to_eni, (frame, 0), LOOPBACK, repeat)?;
        anyhow::ensure!(run.action == action, "a packet was judged {} instead of {action}", run.action);
        Ok(f64::from(run.duration_ns))
    }

    fn known(&mut self, pair: &Pair, flow: &Flow) -> anyhow::Result<f64> {
        self.run(&flow.first(pair), 1, PASS)?;
        self.run(&flow.later(pair), REPEAT, PASS)
    }

    fn denied(&mut self, pair: &Pair, flow: &Flow) -> anyhow::Result<f64> {
        self.run(&flow.first(pair), REPEAT, DROP)
    }

    /// What the first denied packet of a peer costs more than the second, as in `begun`.
    fn denied_stranger(&mut self, pair: &Pair, flow: &Flow) -> anyhow::Result<f64> {
        let frames = (0..u32::from(FLOWS)).map(|index| {
            let peer = IpAddr::V4(Ipv4Addr::from(STRANGERS + index));
            Flow { peer, ..*flow }.first(pair)
        });
        self.more_at_first(frames, DROP)
    }

    /// What the first packet of a flow costs more than the second: look-up and insertion. Each runs once, so
    /// the call's own cost, and that of cold caches, is in both and falls out of the difference.
    fn begun(&mut self, pair: &Pair, peer: IpAddr) -> anyhow::Result<f64> {
        let frames =
            (1..=FLOWS).map(|index| Flow { port: CLIENT_PORT + index, ..Flow::tcp(peer, OPEN_PORT) }.first(pair));
        let more = self.more_at_first(frames, PASS)?;
        self.plane.forget_flows()?;
        Ok(more)
    }

    fn more_at_first(&mut self, frames: impl Iterator<Item = Vec<u8>>, action: i32) -> anyhow::Result<f64> {
        let (mut first, mut second) = (Vec::new(), Vec::new());
        for frame in frames {
            first.push(self.run(&frame, 1, action)?);
            second.push(self.run(&frame, 1, action)?);
        }
        let medians = Stats::of(first).zip(Stats::of(second)).context("no packets")?;
        Ok(medians.0.median - medians.1.median)
    }
}

fn v4_of(pair: &Pair) -> anyhow::Result<IpAddr> {
    pair.client.addresses.first().copied().context("the client has no address")
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
