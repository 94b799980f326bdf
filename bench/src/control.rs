//! The control plane on a large estate: how many durable changes a second, how long an answer takes, how much
//! memory the server holds, and how long it takes to start.
//!
//! The clients share the machine with the server, so the rates are what two cores can do together.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use serde::Serialize;
use serde_json::Value;

use crate::{
    api::{borrow, permissions},
    ecs::{Client, ECS, VPC},
    server::Server,
    stats::Stats,
    stop::Stop,
    world::{Filler, fillers},
};

/// Rules of every group.
pub const RULES: usize = 20;
/// Clients that change at the same time.
pub const MANY_CLIENTS: usize = 64;
/// Clients that build the estate.
const BUILDERS: usize = 16;
/// Groups on a page.
const PAGE: usize = 50;

/// How much is done.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Groups of the estate.
    pub groups: usize,
    /// How long changes are counted.
    pub duration: Duration,
    /// How many answers are timed.
    pub answers: usize,
}

/// What the control plane costs.
#[derive(Clone, Debug, Serialize)]
pub struct ControlCost {
    /// Groups of the estate, each with [`RULES`] rules.
    pub groups: usize,
    /// Groups made in a second while the estate was built, each with its rules: two durable calls.
    pub created_per_s: f64,
    /// Durable `AuthorizeSecurityGroup` calls a second, of one client.
    pub authorized_per_s_alone: f64,
    /// The same of [`MANY_CLIENTS`] clients together.
    pub authorized_per_s: f64,
    /// Milliseconds of a `DescribeSecurityGroups` by id.
    pub by_id_ms: Stats,
    /// Milliseconds of a `DescribeSecurityGroupAttribute`, rules included.
    pub attribute_ms: Stats,
    /// Seconds for all groups, page by page.
    pub all_pages_s: f64,
    /// Memory of the server's process, in MiB.
    pub server_mib: f64,
    /// Memory of the others, in MiB.
    pub agent_mib: f64,
    /// Seconds from `sekimori up` on this store to serving.
    pub start_s: f64,
}

/// Builds an estate and measures on it.
///
/// # Errors
/// When the server does not start, or refuses.
pub fn measure(dir: &Path, size: Size, stop: &Stop) -> anyhow::Result<ControlCost> {
    let mut server = Server::start(dir, stop)?;
    let client = server.client()?;
    let vpc = client.make(VPC, "CreateVpc", &[("CidrBlock", "10.0.0.0/16")], "VpcId")?;
    let started = Instant::now();
    let groups = build(&client, &vpc, size.groups, stop)?;
    let created_per_s = groups.len() as f64 / started.elapsed().as_secs_f64();
    let authorized_per_s_alone = authorize(&client, &groups, 1, size.duration, stop)?;
    let authorized_per_s = authorize(&client, &groups, MANY_CLIENTS, size.duration, stop)?;
    let by_id_ms = answers(&client, "DescribeSecurityGroups", &groups, size.answers, stop)?;
    let attribute_ms = answers(&client, "DescribeSecurityGroupAttribute", &groups, size.answers, stop)?;
    let all_pages_s = all_pages(&client, groups.len(), stop)?;
    let (server_mib, agent_mib) = server.resident_mib()?;
    let start_s = server.restart(stop)?.as_secs_f64();
    Ok(ControlCost {
        groups: groups.len(),
        created_per_s,
        authorized_per_s_alone,
        authorized_per_s,
        by_id_ms,
        attribute_ms,
        all_pages_s,
        server_mib,
        agent_mib,
        start_s,
    })
}

/// Runs the same work in several threads, each with a client of its own.
fn side_by_side<T: Send>(
    client: &Client,
    count: usize,
    work: impl Fn(usize, Client) -> anyhow::Result<T> + Sync,
) -> anyhow::Result<Vec<T>> {
    thread::scope(|scope| {
        let work = &work;
        let begun: Vec<_> = (0..count)
            .map(|number| {
                let own = client.sibling();
                scope.spawn(move || work(number, own))
            })
            .collect();
        let ended = begun.into_iter().map(|thread| match thread.join() {
            Ok(result) => result,
            Err(_) => Err(anyhow::anyhow!("a client has panicked")),
        });
        ended.collect()
    })
}

fn build(client: &Client, vpc: &str, count: usize, stop: &Stop) -> anyhow::Result<Vec<String>> {
    let rules: Vec<Filler> = fillers(RULES).collect();
    let parts = side_by_side(client, BUILDERS, |builder, client| {
        let own = (builder..count).step_by(BUILDERS);
        own.map(|number| {
            stop.check()?;
            let name = format!("bench-{number}");
            let group = [("VpcId", vpc), ("SecurityGroupName", name.as_str())];
            let group = client.make(ECS, "CreateSecurityGroup", &group, "SecurityGroupId")?;
            client.call(ECS, "AuthorizeSecurityGroup", &borrow(&permissions(&group, &rules)))?;
            Ok(group)
        })
        .collect::<anyhow::Result<Vec<String>>>()
    })?;
    Ok(parts.concat())
}

/// Durable changes a second: every client adds rules to a group of its own, one a call.
fn authorize(
    client: &Client,
    groups: &[String],
    clients: usize,
    duration: Duration,
    stop: &Stop,
) -> anyhow::Result<f64> {
    let until = Instant::now() + duration;
    let counts = side_by_side(client, clients, |number, client| {
        let group = groups.get(number * groups.len() / clients).context("there are fewer groups than clients")?;
        let mut calls = 0_usize;
        while Instant::now() < until {
            stop.check()?;
            // Which clients there were before is part of the port, so that no rule is there already.
            let port = format!("{0}/{0}", 1 + clients * 500 + calls % 32_000);
            let block = format!("192.0.{}.0/24", calls / 32_000 + 2);
            let rule = [("IpProtocol", "TCP"), ("PortRange", port.as_str()), ("SourceCidrIp", block.as_str())];
            let group = [("SecurityGroupId", group.as_str())];
            client.call(ECS, "AuthorizeSecurityGroup", &[group.as_slice(), rule.as_slice()].concat())?;
            calls += 1;
        }
        Ok(calls)
    })?;
    Ok(counts.iter().sum::<usize>() as f64 / duration.as_secs_f64())
}

fn answers(client: &Client, action: &str, groups: &[String], count: usize, stop: &Stop) -> anyhow::Result<Stats> {
    let mut times = Vec::new();
    // Far apart, so that no answer is warm from the one before.
    for group in groups.iter().cycle().step_by(groups.len() / 7 + 1).take(count) {
        stop.check()?;
        let started = Instant::now();
        client.call(ECS, action, &[("SecurityGroupId", group.as_str())])?;
        times.push(started.elapsed().as_secs_f64() * 1e3);
    }
    Stats::of(times).context("no answers")
}

fn all_pages(client: &Client, count: usize, stop: &Stop) -> anyhow::Result<f64> {
    let started = Instant::now();
    let mut seen = 0;
    for page in 1..=count.div_ceil(PAGE) {
        stop.check()?;
        let (page, size) = (page.to_string(), PAGE.to_string());
        let answer = client.call(
            ECS,
            "DescribeSecurityGroups",
            &[("PageNumber", page.as_str()), ("PageSize", size.as_str())],
        )?;
        seen += answer.pointer("/SecurityGroups/SecurityGroup").and_then(Value::as_array).map_or(0, Vec::len);
    }
    anyhow::ensure!(seen == count, "{seen} of {count} groups were on the pages");
    Ok(started.elapsed().as_secs_f64())
}
