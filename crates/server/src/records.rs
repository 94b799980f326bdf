//! Records of flow logs in files: each interval of a flow log is a file of its own, written whole or not at all.
//!
//! A host's minute is spooled, and becomes a line in the files of each active flow log that it concerns once the flow log's
//! interval is over. Only then is the host told that it may forget it. The name of a file says until when it goes, so a minute
//! that is told again after a crash finds its file there, and nothing is written twice, also when an interval has become
//! shorter or longer. Whatever fails is told and counted, and keeps nobody from anything.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use sekimori_cloud::records::{Record, Recorder, file_end};
use sekimori_core::{
    flow_log::FlowLog,
    flow_record::{TRAFFIC_FACTS_MAX, TRAFFIC_WINDOW_S, TrafficKey, TrafficPart, TrafficSum},
    ids::{EniId, HostId},
    resource::Resource,
    world::{Eni, World},
};

use crate::files;

/// The directory of all records, in the server's own.
pub const RECORDS_DIR: &str = "flow-logs";
/// Where minutes wait for the end of their interval.
const SPOOL_DIR: &str = "spool";
/// Files of one flow log that are kept; the oldest go.
pub const RECORD_FILES_MAX: usize = 2_016;
/// Bytes of one file, about; what is beyond is told as missing.
pub const RECORD_FILE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The longest interval of a flow log, in seconds; each shorter one ends with it.
const INTERVAL_S_MAX: i64 = 600;

/// All of them.
#[derive(Debug)]
pub struct Records {
    dir: PathBuf,
    coming: Mutex<BTreeMap<HostId, Minute>>,
    written: AtomicU64,
    failed: AtomicU64,
}

/// What a host has seen in a minute, or in several.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
struct Minute {
    start_s: i64,
    facts: Vec<(TrafficKey, TrafficSum)>,
    skipped: BTreeSet<EniId>,
}

impl Records {
    /// Below the server's directory.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        let dir = dir.join(RECORDS_DIR);
        Self { dir, coming: Mutex::default(), written: AtomicU64::new(0), failed: AtomicU64::new(0) }
    }

    /// Files that were written, and attempts that failed.
    #[must_use]
    pub fn counted(&self) -> (u64, u64) {
        (self.written.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed))
    }

    /// Takes in a part of a minute; with the last one the minute is written. Returns the minute that the host may forget.
    pub(crate) fn note(&self, host: &HostId, part: TrafficPart, world: &World) -> Option<i64> {
        let minute = {
            let mut coming = self.coming.lock().unwrap_or_else(PoisonError::into_inner);
            let minute = coming.entry(host.clone()).or_default();
            if minute.start_s != part.start_s {
                *minute = Minute { start_s: part.start_s, ..Minute::default() };
            }
            minute.skipped.extend(part.skipped);
            let room = TRAFFIC_FACTS_MAX.saturating_sub(minute.facts.len());
            minute.skipped.extend(part.facts.iter().skip(room).map(|(key, _)| key.eni.clone()));
            minute.facts.extend(part.facts.into_iter().take(room));
            if !part.is_last {
                return None;
            }
            coming.remove(host)?
        };
        let start_s = minute.start_s;
        if let Err(error) = self.write(host, &minute, world) {
            self.failed.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(%error, dir = %self.dir.display(), "records of flow logs cannot be written");
        }
        Some(start_s)
    }

    fn write(&self, host: &HostId, minute: &Minute, world: &World) -> io::Result<()> {
        let spool = self.dir.join(SPOOL_DIR);
        files::create_private_dir(&spool)?;
        let bytes = serde_json::to_vec(minute).map_err(io::Error::other)?;
        files::write_durably(&spool.join(spool_name(host, minute.start_s)), &bytes)?;
        let end_s = minute.start_s + TRAFFIC_WINDOW_S;
        let waiting = waiting(&spool, host)?;
        for log in world.flow_logs() {
            // What one log cannot take does not keep the others waiting; it is tried again as long as its minutes are there.
            if let Err(error) = self.write_log(host, log, &waiting, end_s, world) {
                self.failed.fetch_add(1, Ordering::Relaxed);
                let path = self.dir.join(log.id.as_str());
                let path = std::path::absolute(&path).unwrap_or(path);
                tracing::warn!(flow_log = %log.id, path = %path.display(), %error, "records cannot be written");
            }
        }
        let is_over = |start: &&i64| start.div_euclid(INTERVAL_S_MAX) * INTERVAL_S_MAX + INTERVAL_S_MAX <= end_s;
        waiting.iter().filter(is_over).try_for_each(|start| fs::remove_file(spool.join(spool_name(host, *start))))
    }

    /// The files of one flow log for the intervals that are over: of minutes that it was active in and that no file has.
    fn write_log(
        &self,
        host: &HostId,
        log: &FlowLog,
        waiting: &BTreeSet<i64>,
        end_s: i64,
        world: &World,
    ) -> io::Result<()> {
        let Some(since) = log.active_since else { return Ok(()) };
        let interval_s = i64::from(log.config.interval_s).clamp(TRAFFIC_WINDOW_S, INTERVAL_S_MAX);
        let mut intervals: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        for start in waiting.iter().filter(|start| *start + TRAFFIC_WINDOW_S > since.0) {
            intervals.entry(start.div_euclid(interval_s) * interval_s).or_default().push(*start);
        }
        intervals.retain(|start, _| start + interval_s <= end_s);
        if intervals.is_empty() {
            return Ok(());
        }
        let written_s = written_until(&self.dir.join(log.id.as_str()), host)?;
        for (start, mut minutes) in intervals {
            minutes.retain(|minute| *minute >= written_s);
            // An interval that began before the flow log was active, or in a file of another interval, is shorter.
            let from = start.max(written_s).max(since.0.div_euclid(TRAFFIC_WINDOW_S) * TRAFFIC_WINDOW_S);
            if !minutes.is_empty() {
                self.write_interval(host, log, (from, start + interval_s), &minutes, world)?;
            }
        }
        Ok(())
    }

    fn write_interval(
        &self,
        host: &HostId,
        log: &FlowLog,
        interval: (i64, i64),
        minutes: &[i64],
        world: &World,
    ) -> io::Result<()> {
        let recorder = Recorder::new(log, world, interval);
        let mut facts: BTreeMap<TrafficKey, TrafficSum> = BTreeMap::new();
        let mut skipped = BTreeSet::new();
        for start in minutes {
            let minute = read(&self.dir.join(SPOOL_DIR).join(spool_name(host, *start)))?;
            skipped.extend(minute.skipped);
            for (key, sum) in minute.facts.into_iter().filter(|(key, _)| recorder.wants(key)) {
                facts.entry(key).and_modify(|known| known.add(&sum)).or_insert(sum);
            }
        }
        let Some(text) = lines(&recorder, &logged(log, host, world), &facts, &skipped) else { return Ok(()) };
        let dir = self.dir.join(log.id.as_str());
        files::create_private_dir(&dir)?;
        files::write_durably(&dir.join(recorder.file_name(file_number(host))), text.as_bytes())?;
        self.written.fetch_add(1, Ordering::Relaxed);
        forget_oldest(&dir)
    }
}

/// The text of a file; `None` if the host has no interface that is meant.
fn lines(
    recorder: &Recorder<'_>,
    enis: &[&Eni],
    facts: &BTreeMap<TrafficKey, TrafficSum>,
    skipped: &BTreeSet<EniId>,
) -> Option<String> {
    if enis.is_empty() {
        return None;
    }
    let mut text = recorder.header().map(|names| names + "\n").unwrap_or_default();
    for eni in enis {
        let own = facts.range(first_of(eni)..).take_while(|(key, _)| key.eni == eni.id);
        let (mut is_quiet, mut is_whole) = (true, !skipped.contains(&eni.id));
        for (key, sum) in own {
            is_quiet = false;
            if text.len() >= RECORD_FILE_BYTES_MAX {
                is_whole = false;
                break;
            }
            text += &recorder.line(eni, Record::Ok(key, sum));
            text.push('\n');
        }
        let rest = if !is_whole { Some(Record::SkipData) } else { is_quiet.then_some(Record::NoData) };
        text.extend(rest.map(|record| recorder.line(eni, record) + "\n"));
    }
    Some(text)
}

/// Keys of an interface are not before this one.
fn first_of(eni: &Eni) -> TrafficKey {
    TrafficKey {
        eni: eni.id.clone(),
        direction: sekimori_core::rule::Direction::Ingress,
        passed: false,
        protocol: 0,
        source: std::net::Ipv4Addr::UNSPECIFIED.into(),
        destination: std::net::Ipv4Addr::UNSPECIFIED.into(),
        source_port: 0,
        destination_port: 0,
    }
}

/// The interfaces of a host that a flow log is about, by name.
fn logged<'a>(log: &FlowLog, host: &HostId, world: &'a World) -> Vec<&'a Eni> {
    let is_meant = |eni: &&Eni| match &log.resource {
        Resource::Vpc(vpc) => eni.vpc == *vpc,
        Resource::Subnet(subnet) => eni.subnet == *subnet,
        Resource::Eni(id) => eni.id == *id,
        Resource::Instance(_)
        | Resource::Group(_)
        | Resource::PrefixList(_)
        | Resource::PortList(_)
        | Resource::Rule(_)
        | Resource::Peering(_)
        | Resource::InsightsPath(_)
        | Resource::InsightsAnalysis(_)
        | Resource::FlowLog(_)
        | Resource::NetworkAcl(_) => false,
    };
    world.enis().map(|eni| &**eni).filter(is_meant).filter(|eni| world.is_on(eni, host)).collect()
}

/// Until when, in seconds since 1970, the files of a flow log have the minutes of a host.
fn written_until(dir: &Path, host: &HostId) -> io::Result<i64> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(i64::MIN),
        entries => entries?,
    };
    let mut last = i64::MIN;
    for entry in entries {
        let name = entry?.file_name();
        last = name.to_str().and_then(|name| file_end(name, file_number(host))).map_or(last, |end| last.max(end));
    }
    Ok(last)
}

/// What tells the files of hosts apart.
fn file_number(host: &HostId) -> u32 {
    number_of(host) as u32
}

fn spool_name(host: &HostId, start_s: i64) -> String {
    format!("{:016x}-{start_s}", number_of(host))
}

/// The FNV-1a hash of a host's name: a file name that any host name can have.
fn number_of(host: &HostId) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    host.as_str().bytes().fold(0xcbf2_9ce4_8422_2325, step)
}

/// The minutes of a host that are spooled, in order.
fn waiting(spool: &Path, host: &HostId) -> io::Result<BTreeSet<i64>> {
    let prefix = format!("{:016x}-", number_of(host));
    let mut starts = BTreeSet::new();
    for entry in fs::read_dir(spool)? {
        let name = entry?.file_name();
        starts.extend(name.to_str().and_then(|name| name.strip_prefix(&prefix)?.parse::<i64>().ok()));
    }
    Ok(starts)
}

fn read(path: &Path) -> io::Result<Minute> {
    serde_json::from_slice(&fs::read(path)?).map_err(io::Error::other)
}

/// Names begin alike and go on with the time, so their order is that of time.
fn forget_oldest(dir: &Path) -> io::Result<()> {
    let mut names: Vec<_> = fs::read_dir(dir)?.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    names.sort();
    let surplus = names.len().saturating_sub(RECORD_FILES_MAX);
    names.iter().take(surplus).try_for_each(fs::remove_file)
}

#[cfg(test)]
mod tests;
