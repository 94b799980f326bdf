//! `sekimori eni`: which interface an ENI is enforced at, where that is a tap, a veth or a card that others make.

use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use clap::{Args, Subcommand};
use comfy_table::{Cell, Row};
use sekimori_agent::bound::look_up;
use sekimori_core::{
    address::Mac,
    binding::{Netns, Side},
    feed::BoundState,
    ids::{EniId, HostId},
};
use sekimori_server::{
    WAIT_S_MAX,
    api::{Interface, Interfaces, Revised, SetBinding},
};

use crate::{
    cli::Common,
    client::{Client, path_part},
    exit::{Answer, Failure, Outcome},
    output::{self, NONE, Page, alarm, or_none},
};

/// How often it is asked whether an interface is judged at.
const LOOK: Duration = Duration::from_millis(50);

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum EniCommand {
    /// Enforce an ENI at an interface: now, and whenever it comes back under its name
    Bind(BindArgs),
    /// Let an interface go: its programs are taken off
    Unbind(UnbindArgs),
    /// Show which ENIs are bound to which interfaces, and what is wrong there
    List(ListArgs),
}

/// The arguments of `bind`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sekimori eni bind eni-0a1b2c tap0 --mac 52:54:00:12:34:56\n  \
                        sekimori eni bind eni-0a1b2c eth0 --netns /proc/1234/ns/net --side own")]
pub(crate) struct BindArgs {
    /// The ENI (eni-…)
    #[arg(value_name = "ENI")]
    eni: String,
    /// The interface; it need not be there yet
    #[arg(value_name = "INTERFACE")]
    interface: String,
    /// The interface's network namespace, a name of `ip netns` or a path; without it that of the agent
    #[arg(long, value_name = "NAME|PATH")]
    netns: Option<Netns>,
    /// What the interface leads to: `guest`, the workload (a tap, the host's end of a veth), or `own`, away from the workload,
    /// which is on this side (a card of the host)
    #[arg(long, value_name = "SIDE", default_value_t = Side::Guest)]
    side: Side,
    /// The Ethernet address that the workload sends from; it becomes the ENI's. Without it the workload must have the ENI's
    /// (`guest`), or the interface's own is taken (`own`)
    #[arg(long, value_name = "MAC")]
    mac: Option<Mac>,
    /// The host that the interface is on; without it the host of the ENI's instance, or of the agent
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// Who binds it, in a few words; `unbind --holder` lets go only what this holder has
    #[arg(long, value_name = "TEXT", default_value = "")]
    holder: String,
    /// Take the ENI from the interface that it is bound to already; that one is set down
    #[arg(long = "move")]
    is_moved: bool,
    /// Cut TCP connections of the host itself that run over the interface (`own`)
    #[arg(long)]
    force: bool,
    /// How long to wait until packets are judged there, in seconds; exit code 2 when they are not
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=WAIT_S_MAX))]
    wait_s: Option<u64>,
}

/// The arguments of `unbind`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sekimori eni unbind eni-0a1b2c")]
pub(crate) struct UnbindArgs {
    /// The ENI (eni-…)
    #[arg(value_name = "ENI")]
    eni: String,
    /// Only if this holder has it
    #[arg(long, value_name = "TEXT")]
    holder: Option<String>,
}

/// The arguments of `list`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sekimori eni list")]
pub(crate) struct ListArgs {
    /// Those that are bound to nothing as well
    #[arg(long)]
    all: bool,
}

/// Does what is ordered.
pub(crate) fn run(common: &Common, command: EniCommand) -> Outcome {
    match command {
        EniCommand::Bind(args) => bind(common, args),
        EniCommand::Unbind(args) => unbind(common, &args),
        EniCommand::List(args) => list(common, &args),
    }
}

fn bind(common: &Common, args: BindArgs) -> Outcome {
    let client = Client::connect(common)?;
    let BindArgs { eni, interface, netns, side, mac, host, holder, is_moved, force, wait_s } = args;
    let mac = match (side, mac) {
        (Side::Own, None) => Some(own_mac(netns.as_ref(), &interface)?),
        (Side::Guest, None) | (_, Some(_)) => mac,
    };
    let binding = SetBinding { host: host.map(HostId::from), netns, interface, side, mac, holder, is_moved, force };
    let found = order(&client, &eni, &binding, Duration::from_secs(wait_s.unwrap_or_default()))?;
    output::show(common.output, &found, bound)?;
    let is_judged = found.state == Some(BoundState::Judged);
    Ok(if is_judged || wait_s.is_none() { Answer::Yes } else { Answer::No })
}

/// Binds, and waits until the host has heard of it, and then for at most `patience` until packets are judged there.
pub(super) fn order(
    client: &Client,
    eni: &str,
    binding: &SetBinding,
    patience: Duration,
) -> Result<Interface, Failure> {
    let revised: Revised = client.put(&format!("/v1/interfaces/{}/binding", path_part(eni)), binding)?;
    let until = Instant::now() + patience;
    heard(client, &revised, Some(patience).filter(|patience| !patience.is_zero()))
        .with_context(|| format!("`{eni}` is bound, and its host has not said how it stands there"))?;
    loop {
        let found = show(client, eni)?;
        if found.state == Some(BoundState::Judged) || Instant::now() >= until {
            return Ok(found);
        }
        std::thread::park_timeout(LOOK);
    }
}

/// Lets go, and returns when the host has.
pub(super) fn let_go(client: &Client, eni: &str, holder: Option<&str>) -> Result<Revised, Failure> {
    let query: Vec<(&str, &str)> = holder.map(|holder| ("holder", holder)).into_iter().collect();
    let revised: Revised = client.delete(&format!("/v1/interfaces/{}/binding", path_part(eni)), &query)?;
    heard(client, &revised, None)?;
    Ok(revised)
}

/// Every ENI, or those that are bound.
pub(super) fn all(client: &Client, bound: bool) -> Result<Vec<Interface>, Failure> {
    let bound = bound.to_string();
    let Interfaces { interfaces, .. } = client.get("/v1/interfaces", &[("bound", bound.as_str())])?;
    Ok(interfaces)
}

/// Waits until every host has heard of a change, as long as the server waits if nothing is said.
fn heard(client: &Client, revised: &Revised, within: Option<Duration>) -> anyhow::Result<()> {
    let revision = revised.revision.to_string();
    let within = within.map(|within| within.as_secs().to_string());
    let mut query = vec![("revision", revision.as_str())];
    query.extend(within.as_deref().map(|within| ("timeout_s", within)));
    let _: Revised = client.get_patiently("/v1/wait", &query, LOOK)?;
    Ok(())
}

fn bound_one(client: &Client, eni: &str) -> Result<Option<Interface>, Failure> {
    Ok(all(client, true)?.into_iter().find(|one| one.id == EniId::from(eni)))
}

fn show(client: &Client, eni: &str) -> Result<Interface, Failure> {
    Ok(bound_one(client, eni)?.ok_or_else(|| anyhow!("`{eni}` was unbound by somebody else just now"))?)
}

/// The Ethernet address of an interface here.
fn own_mac(netns: Option<&Netns>, interface: &str) -> anyhow::Result<Mac> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let hint = || format!("the Ethernet address of `{interface}` cannot be looked up; give it with --mac");
    let found = runtime.block_on(look_up(netns, interface)).with_context(hint)?;
    found.and_then(|link| link.mac).ok_or_else(|| anyhow!("there is no interface here")).with_context(hint)
}

fn bound(found: &Interface) -> Page {
    let Some(binding) = &found.binding else { return Page::default() };
    let state = match found.state {
        Some(BoundState::Judged) => format!("is judged at {binding}"),
        Some(BoundState::Absent) => format!("waits for {binding}, which is closed as soon as it is there"),
        Some(BoundState::Closed) => format!("lets nothing pass {binding}"),
        Some(BoundState::Open) => format!("is NOT enforced at {binding}"),
        None => format!("is bound to {binding}, and its host has not told how it stands there"),
    };
    let sender = format!("the workload must send from {} and {}", found.mac, join(&found.addresses));
    Page::default().line(format!("{} {state}", found.id)).line(sender).lines(&found.notes)
}

fn stays(kept: &Interface) -> Page {
    let Some(binding) = &kept.binding else { return Page::default() };
    let holder =
        if binding.holder.is_empty() { "nobody by name".to_owned() } else { format!("`{}`", binding.holder) };
    Page::default().line(format!("{} stays bound to {binding}: it is held by {holder}", kept.id))
}

fn unbind(common: &Common, args: &UnbindArgs) -> Outcome {
    let client = Client::connect(common)?;
    let revised = let_go(&client, &args.eni, args.holder.as_deref())?;
    // Who names a holder lets go of nothing that is another's.
    if args.holder.is_some()
        && let Some(kept) = bound_one(&client, &args.eni)?
    {
        output::show(common.output, &kept, stays)?;
        return Ok(Answer::No);
    }
    output::state(common.output, &args.eni, "let go", &revised)?;
    Ok(Answer::Yes)
}

fn list(common: &Common, args: &ListArgs) -> Outcome {
    let found = all(&Client::connect(common)?, !args.all)?;
    output::show(common.output, &found, |found| page(found))?;
    Ok(Answer::Yes)
}

fn page(found: &[Interface]) -> Page {
    let page = Page::default().table(
        &["ENI", "INTERFACE", "NAMESPACE", "HOST", "SIDE", "STATE", "MAC", "ADDRESSES", "HOLDER"],
        found.iter().map(row),
        "no ENI is bound to an interface",
    );
    let notes = found.iter().flat_map(|one| one.notes.iter().map(move |note| format!("{}: {note}", one.id)));
    notes.fold(page, |page, note| page.line(note))
}

fn row(one: &Interface) -> Row {
    let binding = one.binding.as_ref();
    let is_wrong = binding.is_some() && one.state != Some(BoundState::Judged);
    let holder = binding.map(|binding| binding.holder.as_str()).filter(|holder| !holder.is_empty());
    Row::from(vec![
        Cell::new(&one.id),
        Cell::new(or_none(binding.map(|binding| &binding.interface))),
        Cell::new(or_none(binding.and_then(|binding| binding.netns.as_ref()))),
        Cell::new(or_none(binding.map(|binding| &binding.host))),
        Cell::new(or_none(binding.map(|binding| binding.side))),
        alarm(or_none(one.state), is_wrong),
        Cell::new(one.mac),
        Cell::new(join(&one.addresses)),
        Cell::new(holder.unwrap_or(NONE)),
    ])
}

fn join(addresses: &[std::net::IpAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use sekimori_core::binding::Binding;

    use super::*;

    fn of(state: Option<BoundState>, notes: &[&str]) -> Interface {
        let netns = Some("vms".parse().unwrap());
        let (interface, holder) = ("tap0".to_owned(), "libvirt web".to_owned());
        Interface {
            id: "eni-1".into(),
            account: "1".into(),
            vpc: "vpc-1".into(),
            instance: None,
            mac: Mac([2, 0, 0, 0, 0, 1]),
            addresses: vec!["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()],
            binding: Some(Binding { host: "rack-1".into(), netns, interface, side: Side::Guest, holder }),
            state,
            notes: notes.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn what_is_wrong_is_told_in_words() {
        let wrong =
            of(Some(BoundState::Absent), &["there is no interface `tap0` in namespace `vms` of host `rack-1` now"]);
        expect![[r#"
            ENI    INTERFACE  NAMESPACE  HOST    SIDE   STATE   MAC                ADDRESSES          HOLDER
            eni-1  tap0       vms        rack-1  guest  absent  02:00:00:00:00:01  10.0.0.1, fd00::1  libvirt web
            eni-1: there is no interface `tap0` in namespace `vms` of host `rack-1` now
        "#]]
        .assert_eq(&page(&[wrong]).plain());
        expect![[r#"
            eni-1 is judged at `tap0` in namespace `vms` of host `rack-1`
            the workload must send from 02:00:00:00:00:01 and 10.0.0.1, fd00::1
        "#]]
        .assert_eq(&bound(&of(Some(BoundState::Judged), &[])).plain());
    }
}
