//! The same rules for the other firewalls, in the router's forward hook.
//!
//! Each lets established connections pass first, then asks its rules in order and drops the rest. None of
//! them is asked to look at the interface, which would cost it more.

use std::{
    fmt::Write as _,
    io::Write as _,
    os::fd::BorrowedFd,
    process::{Command, Stdio},
};

use anyhow::Context as _;
use sekimori_agent::netlink::netns::within;
use sekimori_core::rule::Protocol;

use crate::world::{Filler, OPEN_PORT, Pair, fillers};

/// What a firewall is told.
struct Input {
    program: &'static str,
    arguments: &'static [&'static str],
    text: String,
}

/// The iptables that is there: the old one if it is, for it does not go through nftables.
#[must_use]
pub fn iptables_restore() -> &'static str {
    let has_legacy = Command::new("iptables-legacy-restore").arg("--version").output().is_ok();
    if has_legacy { "iptables-legacy-restore" } else { "iptables-restore" }
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
         ct state established,related accept\nip saddr . meta l4proto . th dport @allowed accept\n}}\n}}\n",
        elements.join(", ")
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
    tell(router, &Input { program: iptables_restore(), arguments: &[], text })
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
