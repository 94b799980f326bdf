//! What the processes hold, what the store holds, what was dropped where nothing may be, and how all stands at the end.

use std::{
    collections::BTreeSet,
    fmt, fs,
    path::Path,
    sync::PoisonError,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use serde_json::Value;

use super::{
    Run,
    estate::Place,
    model::{BY_ALLOW, BY_DENY, Fate, Transport},
};
use crate::{
    ecs::{Client, ECS},
    stats::Stats,
};

/// Between two looks at the memory.
const LOOK: Duration = Duration::from_millis(500);
/// Every so many of them, counters are read.
const LOOKS_PER_COUNTERS: u32 = 10;
/// MiB that the server may ever hold.
const SERVER_MIB_MAX: f64 = 128.0;
/// MiB that the agent may ever hold, with the pages of the kernel's maps that it has written.
const AGENT_MIB_MAX: f64 = 320.0;
/// MiB that either may grow by while it lives and everything goes on as before.
const GROWTH_MIB_MAX: f64 = 12.0;
/// MiB of the store, at the most.
const STORE_MIB_MAX: f64 = 64.0;
/// The least samples that say anything of growth.
const SAMPLES_MIN: usize = 20;

/// One look.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Instant,
    server_mib: f64,
    agent_mib: f64,
    store_mib: f64,
}

/// What of it is looked at.
type Field = fn(&Sample) -> f64;

/// All looks.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    samples: Vec<Sample>,
    /// Since when no process dies.
    calm: Option<Instant>,
}

impl Memory {
    fn greatest(&self, field: Field) -> f64 {
        self.samples.iter().map(field).fold(0.0, f64::max)
    }

    /// From the beginning of the calm, its first fifth left out, to its end: medians of a fifth each.
    fn growth(&self, field: Field) -> Option<(f64, f64)> {
        let calm = self.calm?;
        let all: Vec<f64> = self.samples.iter().filter(|sample| sample.at >= calm).map(field).collect();
        if all.len() < SAMPLES_MIN {
            return None;
        }
        let fifth = all.len() / 5;
        let part = |from: usize| Stats::of(all.iter().skip(from).take(fifth).copied()).map(|stats| stats.median);
        part(fifth).zip(part(all.len() - fifth))
    }

    /// Finds what is too much.
    pub fn judge(&self, run: &Run) {
        let fields: [(&str, Field); 2] =
            [("server", |sample| sample.server_mib), ("agent", |sample| sample.agent_mib)];
        for (name, field) in fields {
            let Some((from, to)) = self.growth(field) else {
                run.find("there are too few looks at the memory to say whether it grows");
                continue;
            };
            if to - from > GROWTH_MIB_MAX {
                run.find(format!(
                    "the {name} grew from {from:.1} to {to:.1} MiB while it went on as before; at most {GROWTH_MIB_MAX} MiB"
                ));
            }
        }
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields: [(&str, Field, f64); 3] = [
            ("server", |sample| sample.server_mib, SERVER_MIB_MAX),
            ("agent", |sample| sample.agent_mib, AGENT_MIB_MAX),
            ("store", |sample| sample.store_mib, STORE_MIB_MAX),
        ];
        for (name, field, most) in fields {
            let growth = self.growth(field).map(|(from, to)| format!(", {from:.1} to {to:.1} in its last life"));
            let growth = growth.unwrap_or_default();
            writeln!(f, "  {name:11} {:.1} MiB at most (bound {most} MiB){growth}", self.greatest(field))?;
        }
        Ok(())
    }
}

/// Looks until the end.
///
/// # Errors
/// When something cannot be read that is there.
pub fn watch(run: &Run, client: &Client) -> anyhow::Result<()> {
    let mut looks = 0_u32;
    while run.halt.pause(LOOK).is_ok() {
        looks += 1;
        if let Some(sample) = look(run)? {
            judge(run, &sample);
            let mut memory = run.memory.lock().unwrap_or_else(PoisonError::into_inner);
            memory.calm = *run.calm.lock().unwrap_or_else(PoisonError::into_inner);
            memory.samples.push(sample);
        }
        // While the server is away there is nothing to ask.
        if looks.is_multiple_of(LOOKS_PER_COUNTERS)
            && let Ok(counters) = client.native("GET", "/v1/counters")
        {
            judge_quiet(run, &counters)?;
        }
    }
    Ok(())
}

/// While the processes are being killed nobody looks.
fn look(run: &Run) -> anyhow::Result<Option<Sample>> {
    let Ok(server) = run.server.try_lock() else { return Ok(None) };
    let Ok((server_mib, agent_mib)) = server.resident_mib() else { return Ok(None) };
    let store_mib = bytes_in(&server.dir().join("server"))? as f64 / 1_048_576.0;
    Ok(Some(Sample { at: Instant::now(), server_mib, agent_mib, store_mib }))
}

fn judge(run: &Run, sample: &Sample) {
    let Sample { server_mib, agent_mib, store_mib, .. } = *sample;
    let bounds = [
        ("the server holds", server_mib, SERVER_MIB_MAX),
        ("the agent holds", agent_mib, AGENT_MIB_MAX),
        ("the store has", store_mib, STORE_MIB_MAX),
    ];
    for (what, found, most) in bounds {
        if found > most {
            run.find(format!("{what} {found:.0} MiB; at most {most} MiB"));
        }
    }
}

fn bytes_in(dir: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir).with_context(|| format!("cannot read `{}`", dir.display()))?.flatten() {
        // What is renamed or removed meanwhile is not there any more.
        let Ok(metadata) = entry.metadata() else { continue };
        bytes += if metadata.is_dir() { bytes_in(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}

/// Where only allowed traffic is, nothing was dropped.
fn judge_quiet(run: &Run, counters: &Value) -> anyhow::Result<()> {
    let quiet = [Place::Quiet(0), Place::Quiet(1)];
    let enis = quiet.into_iter().map(|place| Ok(run.estate.host(place)?.eni.as_str()));
    let enis = enis.collect::<anyhow::Result<BTreeSet<&str>>>()?;
    let counts = counters.pointer("/total/enis").and_then(Value::as_array).context("counters have no interfaces")?;
    for count in counts {
        let is_quiet = count.get("eni").and_then(Value::as_str).is_some_and(|eni| enis.contains(eni));
        if is_quiet && count.get("passed") == Some(&Value::Bool(false)) {
            run.find(format!("something was dropped where everything is allowed: {count}"));
        }
    }
    Ok(())
}

/// How all stands at the end.
///
/// # Errors
/// What does not stand.
pub fn judge_end(run: &Run, client: &Client) -> anyhow::Result<()> {
    client.wait()?;
    judge_rules(run, client)?;
    judge_quiet(run, &client.native("GET", "/v1/counters")?)?;
    // The first tells of what was taken away and put back.
    client.native("POST", "/v1/verify")?;
    let verified = client.native("POST", "/v1/verify")?;
    let hosts = verified.get("hosts").and_then(Value::as_array).context("nobody has verified anything")?;
    for host in hosts {
        let differences = host.get("differences").and_then(Value::as_array).map_or(0, Vec::len);
        anyhow::ensure!(differences == 0, "the kernel does not hold what it should: {host}");
    }
    let status = client.native("GET", "/v1/status")?;
    let closed = status.pointer("/hosts/0/closed").and_then(Value::as_array).map_or(0, Vec::len);
    anyhow::ensure!(closed == 0, "interfaces are closed: {status}");
    Ok(())
}

/// What was acknowledged is there: the rules that open and close ports are those that the model knows.
fn judge_rules(run: &Run, client: &Client) -> anyhow::Result<()> {
    let answer = client.call(ECS, "DescribeSecurityGroupAttribute", &[("SecurityGroupId", &run.estate.servers)])?;
    let rules = answer.pointer("/Permissions/Permission").and_then(Value::as_array).context("no rules")?;
    let says = |rule: &Value, field: &str, wanted: &str| rule.get(field).and_then(Value::as_str) == Some(wanted);
    for port in BY_ALLOW.into_iter().chain(BY_DENY) {
        let path =
            super::model::Path { from: Place::Client(0), to: Place::Server(0), transport: Transport::of(port), port };
        let is_there = rules.iter().any(|rule| says(rule, "PortRange", &super::estate::one(port)));
        let fate = run.model.look(&path).map(|state| state.fate);
        let expected = match fate {
            Some(Fate::Passes) => BY_ALLOW.contains(&port),
            Some(Fate::Dropped) => BY_DENY.contains(&port),
            Some(Fate::Unsettled) | None => continue,
        };
        anyhow::ensure!(is_there == expected, "{path} is {fate:?}, and its rule is there: {is_there}");
    }
    Ok(())
}

/// The processes have not complained about themselves. That a server was killed is what we did.
pub fn judge_log(run: &Run, log: &str) {
    let is_ours = |line: &&str| line.contains("status=\"signal 9\"");
    let complains = |line: &&str| line.contains("panicked") || line.contains("ERROR");
    for line in log.lines().filter(|line| complains(line) && !is_ours(line)) {
        run.journal.find(&format!("the processes said: {line}"));
    }
}
