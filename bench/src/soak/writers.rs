//! Changes through the API, as clients make them: each is repeated until it is answered, for a server may die before it answers.
//! What a change opens or closes is unsettled from before the call until the kernel enforces it.

use std::{
    net::TcpStream,
    os::fd::AsFd,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use sekimori_agent::netlink::netns::{self, NetNs, within};
use serde_json::Value;

use super::{
    Counts, Run,
    estate::{self, Place, one, permission},
    model::{BY_ALLOW, BY_DENY, BY_GROUP, BY_PERMISSION, Fate, OPEN_TCP, Path, Transport},
    probes::ALLOWED_PATIENCE,
};
use crate::{
    api::{borrow, permissions},
    ec2,
    ecs::{Client, ECS},
    world::fillers,
};

/// How long a server may be away.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two calls of a server that is away.
const AGAIN: Duration = Duration::from_millis(50);
/// Rules that no probe meets, which come and go together.
const FILLERS: usize = 40;
/// Those of one call.
const FILLERS_PER_CALL: usize = 10;

/// Who changes what. No two change the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    /// Rules that allow.
    Allows,
    /// Rules that deny.
    Denials,
    /// Who is in the clients' group.
    Members,
    /// Groups that are made, filled, given to servers, taken away and deleted.
    Groups,
    /// Rules that no probe meets. It does not wait for the kernel.
    Fillers,
    /// Instances that are made and released, with their namespaces.
    Instances,
    /// Rules of EC2 that allow.
    Permissions,
}

/// All of them.
pub const ALL: [Writer; 7] = [
    Writer::Allows,
    Writer::Denials,
    Writer::Members,
    Writer::Groups,
    Writer::Fillers,
    Writer::Instances,
    Writer::Permissions,
];

/// Changes until the end, or until enough has been changed.
///
/// # Errors
/// What the server refuses, and that it is away for too long.
pub fn write(run: &Run, writer: Writer, client: &Client, ec2: &ec2::Client) -> anyhow::Result<()> {
    let mut hand = Hand { run, client, ec2, writer, started: Instant::now(), made: 0 };
    let mut chances = run.plan.chances(&format!("{writer:?}"));
    let mut round = 0;
    while hand.may_go_on() {
        let chance = chances.next_u64();
        match writer {
            Writer::Allows => hand.toggle(&BY_ALLOW, Fate::Passes, chance)?,
            Writer::Denials => hand.toggle(&BY_DENY, Fate::Dropped, chance)?,
            Writer::Members => hand.move_one(chance)?,
            Writer::Groups => hand.live_a_group(chance, round)?,
            Writer::Fillers => hand.fill(round)?,
            Writer::Instances => hand.live_an_instance(round)?,
            Writer::Permissions => hand.permit(chance)?,
        }
        round += 1;
    }
    Ok(())
}

/// What a writer writes with.
struct Hand<'a> {
    run: &'a Run,
    client: &'a Client,
    ec2: &'a ec2::Client,
    writer: Writer,
    started: Instant,
    made: u64,
}

impl Hand<'_> {
    /// Waits until the next change is due.
    fn may_go_on(&self) -> bool {
        let share = (self.run.plan.changes() / ALL.len() as u64).max(1) as f64;
        let due = self.run.plan.duration.mul_f64(self.made as f64 / share);
        let wait = due.saturating_sub(self.started.elapsed());
        self.run.halt.pause(wait).is_ok()
    }

    /// Makes a call of ECS until it is answered: see [`Hand::insist`].
    fn call(&mut self, action: &str, parameters: &[(&str, &str)], done: &[&str]) -> anyhow::Result<Value> {
        let client = self.client;
        match self.insist(action, parameters, done, || client.ask(ECS, action, parameters))? {
            Some(text) => Ok(serde_json::from_str(&text)?),
            None => Ok(Value::Null),
        }
    }

    /// Makes a call, again and again until it is answered. Then what was not answered may have been done already: `done` says with
    /// which refusal the server tells so, and there is no answer.
    fn insist(
        &mut self,
        action: &str,
        parameters: &[(&str, &str)],
        done: &[&str],
        ask: impl Fn() -> anyhow::Result<(u16, String)>,
    ) -> anyhow::Result<Option<String>> {
        let until = Instant::now() + PATIENCE;
        let mut is_first = true;
        loop {
            self.run.counts.under_way.fetch_add(1, Ordering::Relaxed);
            let answer = ask();
            self.run.counts.under_way.fetch_sub(1, Ordering::Relaxed);
            match answer {
                Ok((200, text)) => {
                    self.made += 1;
                    Counts::note(&self.run.counts.changes);
                    return Ok(Some(text));
                }
                Ok((503, _)) | Err(_) if Instant::now() < until => {}
                // What was not answered is under way still.
                Ok((403, text)) if text.contains("IdempotentProcessing") && !is_first && Instant::now() < until => {}
                Ok((_, text)) if !is_first && done.iter().any(|code| text.contains(code)) => {
                    self.made += 1;
                    Counts::note(&self.run.counts.changes);
                    return Ok(None);
                }
                Ok((status, text)) => anyhow::bail!("{action} {parameters:?} is refused with {status}: {text}"),
                Err(error) => return Err(error),
            }
            is_first = false;
            self.run.counts.repeated.fetch_add(1, Ordering::Relaxed);
            self.run.halt.pause(AGAIN)?;
        }
    }

    /// Waits until the kernel enforces what was acknowledged.
    fn settle(&self) -> anyhow::Result<()> {
        let until = Instant::now() + PATIENCE;
        while let Err(error) = self.client.wait() {
            anyhow::ensure!(Instant::now() < until, "the kernel does not follow: {error:#}");
            self.run.halt.pause(AGAIN)?;
        }
        Ok(())
    }

    /// Makes calls that change the fate of some paths.
    fn change(
        &mut self,
        concerns: impl Fn(&Path) -> bool,
        fate: Fate,
        calls: impl FnOnce(&mut Self) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.run.model.set(Fate::Unsettled, &concerns);
        calls(self)?;
        self.settle()?;
        self.run.model.set(fate, &concerns);
        Ok(())
    }

    /// Adds the rule of a port, or takes it away. `fate` is what its presence brings.
    fn toggle(&mut self, ports: &[u16], fate: Fate, chance: u64) -> anyhow::Result<()> {
        let port = ports[(chance % ports.len() as u64) as usize];
        let path = Path { from: Place::Client(0), to: Place::Server(0), transport: Transport::of(port), port };
        let is_there = self.run.model.look(&path).is_some_and(|state| state.fate == fate);
        let absent = if fate == Fate::Passes { Fate::Dropped } else { Fate::Passes };
        let (action, next) = match is_there {
            true => ("RevokeSecurityGroup", absent),
            false => ("AuthorizeSecurityGroup", fate),
        };
        let (servers, clients) = (self.run.estate.servers.clone(), self.run.estate.clients.clone());
        let range = one(port);
        let rule = [
            ("SecurityGroupId", servers.as_str()),
            ("IpProtocol", Transport::of(port).name()),
            ("PortRange", &range),
            ("SourceGroupId", &clients),
            ("Priority", "1"),
            ("Policy", if fate == Fate::Passes { "accept" } else { "drop" }),
        ];
        self.run.journal.note(format!("{:?}: {action} {port}", self.writer));
        self.change(|path| path.port == port, next, |hand| hand.call(action, &rule, &[]).map(drop))
    }

    /// Adds a rule of EC2, or takes it away.
    fn permit(&mut self, chance: u64) -> anyhow::Result<()> {
        let port = BY_PERMISSION[(chance % BY_PERMISSION.len() as u64) as usize];
        let (from, to) = (Place::Tenant(0), Place::Tenant(1));
        let path = Path { from, to, transport: Transport::of(port), port };
        let is_there = self.run.model.look(&path).is_some_and(|state| state.fate == Fate::Passes);
        let (action, next, done) = match is_there {
            true => ("RevokeSecurityGroupIngress", Fate::Dropped, "InvalidPermission.NotFound"),
            false => ("AuthorizeSecurityGroupIngress", Fate::Passes, "InvalidPermission.Duplicate"),
        };
        let rule = permission(&self.run.estate.tenants, port);
        self.run.journal.note(format!("{:?}: {action} {port}", self.writer));
        self.change(
            |path| path.to == to && path.port == port,
            next,
            |hand| {
                let (ec2, rule) = (hand.ec2, borrow(&rule));
                hand.insist(action, &rule, &[done], || ec2.ask(action, &rule)).map(drop)
            },
        )
    }

    /// Lets a mover join the clients, or leave them.
    fn move_one(&mut self, chance: u64) -> anyhow::Result<()> {
        let place = Place::Mover((chance % 2) as u8);
        let instance = self.run.estate.host(place)?.instance.clone();
        let path = Path { from: place, to: Place::Server(0), transport: Transport::Tcp, port: OPEN_TCP };
        let is_member = self.run.model.look(&path).is_some_and(|state| state.fate == Fate::Passes);
        let (action, next, done) = match is_member {
            true => ("LeaveSecurityGroup", Fate::Dropped, "InvalidSecurityGroupAssociation.NotFound"),
            false => ("JoinSecurityGroup", Fate::Passes, "InvalidInstanceId.AlreadyExists"),
        };
        let clients = self.run.estate.clients.clone();
        let member = [("SecurityGroupId", clients.as_str()), ("InstanceId", &instance)];
        self.run.journal.note(format!("{:?}: {action} {place}", self.writer));
        self.change(|path| path.from == place, next, |hand| hand.call(action, &member, &[done]).map(drop))
    }

    /// The whole life of a group: it opens a port at one server while that is in it.
    fn live_a_group(&mut self, chance: u64, round: u64) -> anyhow::Result<()> {
        let port = BY_GROUP[(chance % BY_GROUP.len() as u64) as usize];
        let place = Place::Server((chance / 2 % 2) as u8);
        let instance = self.run.estate.host(place)?.instance.clone();
        let (vpc, clients) = (self.run.estate.vpc.clone(), self.run.estate.clients.clone());
        let name = format!("soak-{}-{round}", self.run.plan.seed);
        self.run.journal.note(format!("{:?}: {name} opens {port} at {place}", self.writer));
        let new = [("VpcId", vpc.as_str()), ("SecurityGroupName", &name), ("ClientToken", &name)];
        let made = self.call("CreateSecurityGroup", &new, &[])?;
        let id = made.get("SecurityGroupId").and_then(Value::as_str).unwrap_or_default().to_owned();
        let range = one(port);
        let rule = [
            ("SecurityGroupId", id.as_str()),
            ("IpProtocol", Transport::of(port).name()),
            ("PortRange", &range),
            ("SourceGroupId", &clients),
        ];
        self.call("AuthorizeSecurityGroup", &rule, &[])?;
        let member = [("SecurityGroupId", id.as_str()), ("InstanceId", &instance)];
        let concerns = |path: &Path| path.port == port && path.to == place;
        self.change(concerns, Fate::Passes, |hand| {
            hand.call("JoinSecurityGroup", &member, &["InvalidInstanceId.AlreadyExists"]).map(drop)
        })?;
        self.run.halt.pause(AGAIN * 10)?;
        self.change(concerns, Fate::Dropped, |hand| {
            hand.call("LeaveSecurityGroup", &member, &["InvalidSecurityGroupAssociation.NotFound"]).map(drop)
        })?;
        self.call("DeleteSecurityGroup", &[("SecurityGroupId", &id)], &["InvalidSecurityGroupId.NotFound"])?;
        Ok(())
    }

    /// The whole life of an instance: what it needs is there when the kernel enforces it, it reaches a server, and nothing of it stays.
    fn live_an_instance(&mut self, round: u64) -> anyhow::Result<()> {
        let (vswitch, clients) = (self.run.estate.vswitch.clone(), self.run.estate.clients.clone());
        let token = format!("instance-{}-{round}", self.run.plan.seed);
        self.run.journal.note(format!("{:?}: {token} begins", self.writer));
        let new = estate::new_instance(&vswitch, &clients);
        let made = self.call("RunInstances", &[new.as_slice(), &[("ClientToken", &token)]].concat(), &[])?;
        let instance = made.pointer("/InstanceIdSets/InstanceIdSet/0").and_then(Value::as_str);
        let instance = instance.context("no instance was made")?.to_owned();
        self.settle()?;
        let ns = NetNs::open(&instance)?.with_context(|| format!("`{instance}` has no namespace"))?;
        let server = self.run.estate.host(Place::Server((round % 2) as u8))?.at((round / 2 % 2) as usize, OPEN_TCP);
        within(ns.as_fd(), || TcpStream::connect_timeout(&server, ALLOWED_PATIENCE))?
            .with_context(|| format!("`{instance}`, which is new, does not reach {server}"))?;
        let released = [("InstanceId", instance.as_str()), ("Force", "true")];
        self.call("DeleteInstance", &released, &["InvalidInstanceId.NotFound"])?;
        self.settle()?;
        anyhow::ensure!(!netns::exists(&instance)?, "`{instance}` was released, and its namespace is still there");
        Ok(())
    }

    /// Rules that no probe meets come, some at a time, and go.
    fn fill(&mut self, round: u64) -> anyhow::Result<()> {
        let parts = FILLERS / FILLERS_PER_CALL;
        let part = round as usize % parts;
        let is_adding = (round as usize / parts).is_multiple_of(2);
        let rules: Vec<_> = fillers(FILLERS).skip(part * FILLERS_PER_CALL).take(FILLERS_PER_CALL).collect();
        let parameters = permissions(&self.run.estate.servers, &rules);
        let action = if is_adding { "AuthorizeSecurityGroup" } else { "RevokeSecurityGroup" };
        self.call(action, &borrow(&parameters), &[]).map(drop)
    }
}
