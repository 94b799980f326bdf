//! The same rules for the other firewalls, in the router's forward hook.
//!
//! Each lets established connections pass first, then asks its rules in order and drops the rest. None of
//! them is asked to look at the interface, which would cost it more.

use std::{
    fmt::Write as _,
    io::Write as _,
    os::fd::{AsFd as _, BorrowedFd},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::Context as _;
use sekimori_agent::netlink::netns::{self, within};
use sekimori_core::rule::Protocol;

use crate::{
    stats::Stats,
    world::{Builder, Filler, OPEN_PORT, Pair, fillers},
};

/// The iptables that does not go through nftables.
const LEGACY: &str = "iptables-legacy-restore";

/// What a firewall is told.
struct Input {
    program: &'static str,
    arguments: &'static [&'static str],
    text: String,
}

/// The iptables that is there: the old one if it is, for it does not go through nftables.
#[must_use]
pub fn iptables_restore() -> &'static str {
    let has_legacy = Command::new(LEGACY).arg("--version").output().is_ok();
    if has_legacy { LEGACY } else { "iptables-restore" }
}

/// One set of intervals that holds every rule, looked up once.
///
/// # Errors
/// When `nft` refuses.
pub fn nft_set(router: BorrowedFd<'_>, pair: &Pair, rules: usize) -> anyhow::Result<()> {
    let elements: Vec<String> =
        filters(pair, rules).map(|(peer, protocol, port)| format!("{peer} . {} . {port}", name(protocol))).collect();
    let text = format!(
        "table inet bench {{\n\
         set allowed {{ type ipv4_addr . inet_proto . inet_service; flags interval; elements = {{ {} }}; }}\n\
         chain forward {{ type filter hook forward priority 0; policy drop;\n\
         ct state established,related accept\nip saddr . meta l4proto . th dport @allowed accept\n{}}}\n}}\n",
        elements.join(", "),
        nft_v6(pair)
    );
    tell(router, &Input { program: "nft", arguments: &["-f", "-"], text })
}

/// One rule after the other.
///
/// # Errors
/// When `nft` refuses.
pub fn nft_linear(router: BorrowedFd<'_>, pair: &Pair, rules: usize) -> anyhow::Result<()> {
    let mut text = String::from(
        "table inet bench {\nchain forward { type filter hook forward priority 0; policy drop;\n\
         ct state established,related accept\n",
    );
    for (peer, protocol, port) in filters(pair, rules) {
        writeln!(text, "ip saddr {peer} {} dport {port} accept", name(protocol))?;
    }
    text.push_str(&nft_v6(pair));
    text.push_str("}\n}\n");
    tell(router, &Input { program: "nft", arguments: &["-f", "-"], text })
}

/// One rule after the other.
///
/// # Errors
/// When `iptables` refuses.
pub fn iptables(router: BorrowedFd<'_>, pair: &Pair, rules: usize) -> anyhow::Result<()> {
    let mut text = String::from(
        "*filter\n:INPUT ACCEPT\n:FORWARD DROP\n:OUTPUT ACCEPT\n\
         -A FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT\n",
    );
    for (peer, protocol, port) in filters(pair, rules) {
        let name = name(protocol);
        writeln!(text, "-A FORWARD -s {peer} -p {name} -m {name} --dport {port} -j ACCEPT")?;
    }
    text.push_str("COMMIT\n");
    tell(router, &Input { program: iptables_restore(), arguments: &[], text })?;
    let text = format!(
        "*filter\n:INPUT ACCEPT\n:FORWARD DROP\n:OUTPUT ACCEPT\n\
         -A FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT\n-A FORWARD -p ipv6-icmp -j ACCEPT\n\
         -A FORWARD -s {} -p tcp -m tcp --dport {OPEN_PORT} -j ACCEPT\nCOMMIT\n",
        v6_of(pair)
    );
    let program = if iptables_restore() == LEGACY { "ip6tables-legacy-restore" } else { "ip6tables-restore" };
    tell(router, &Input { program, arguments: &[], text })
}

/// IPv6 is only asked about connections that stay: one rule lets them begin.
fn nft_v6(pair: &Pair) -> String {
    format!("ip6 saddr {} tcp dport {OPEN_PORT} accept\nmeta l4proto ipv6-icmp accept\n", v6_of(pair))
}

fn v6_of(pair: &Pair) -> String {
    let found = pair.client.addresses.iter().find(|address| address.is_ipv6());
    found.map(ToString::to_string).unwrap_or_default()
}

/// What one rule more, or less, of so many takes: with an interval set of nftables, and with iptables. Microseconds, with the start
/// of the program, as whoever changes a rule pays it.
fn update_times(router: BorrowedFd<'_>, pair: &Pair, rules: usize, rounds: usize) -> anyhow::Result<(Stats, Stats)> {
    nft_set(router, pair, rules)?;
    iptables(router, pair, rules)?;
    let element = format!("{{ 192.0.2.1 . tcp . {OPEN_PORT} }}");
    let rule = format!("FORWARD -s 192.0.2.1 -p tcp -m tcp --dport {OPEN_PORT} -j ACCEPT");
    let (mut nft, mut iptables) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        for verb in ["add", "delete"] {
            nft.push(run_us(router, "nft", &format!("{verb} element inet bench allowed {element}"))?);
        }
        for verb in ["-A", "-D"] {
            let program = if iptables_restore() == LEGACY { "iptables-legacy" } else { "iptables" };
            iptables.push(run_us(router, program, &format!("{verb} {rule}"))?);
        }
    }
    Stats::of(nft).zip(Stats::of(iptables)).context("nothing was changed")
}

/// The same in a namespace that is there for nothing else.
///
/// # Errors
/// When they refuse.
pub fn measure_updates(rules: usize, rounds: usize) -> anyhow::Result<(Stats, Stats)> {
    let pair = Builder::new(9)?.pair(2, true)?;
    let name = format!("bench-rivals-{}", std::process::id());
    let (ns, ()) = netns::create(&name, || Ok(()))?;
    let measured = update_times(ns.as_fd(), &pair, rules, rounds);
    netns::delete(&name)?;
    measured
}

fn run_us(router: BorrowedFd<'_>, program: &str, words: &str) -> anyhow::Result<f64> {
    within(router, || {
        let started = Instant::now();
        let done = Command::new(program).args(words.split_whitespace()).output();
        let done = done.with_context(|| format!("cannot run `{program}`"))?;
        let told = String::from_utf8_lossy(&done.stderr);
        anyhow::ensure!(done.status.success(), "`{program} {words}` refuses: {}", told.trim());
        Ok(started.elapsed().as_secs_f64() * 1e6)
    })?
}

/// Peer, protocol and port of every rule, the matching ones last.
fn filters(pair: &Pair, rules: usize) -> impl Iterator<Item = (String, Protocol, u16)> {
    let last = [Protocol::TCP, Protocol::UDP];
    let client = pair.client.addresses.first().map(ToString::to_string).unwrap_or_default();
    let others = fillers(rules.saturating_sub(last.len()));
    let others = others.map(|Filler { peer, protocol, port }| (peer.to_string(), protocol, port));
    others.chain(last.map(|protocol| (client.clone(), protocol, OPEN_PORT)))
}

fn name(protocol: Protocol) -> &'static str {
    if protocol == Protocol::TCP { "tcp" } else { "udp" }
}

fn tell(router: BorrowedFd<'_>, input: &Input) -> anyhow::Result<()> {
    within(router, || {
        let mut command = Command::new(input.program);
        command.args(input.arguments).stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot run `{}`", input.program))?;
        let mut stdin = child.stdin.take().context("no standard input")?;
        let written = stdin.write_all(input.text.as_bytes());
        drop(stdin);
        let output = child.wait_with_output()?;
        let words = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "`{}` refuses: {}", input.program, words.trim());
        Ok(written?)
    })?
}
