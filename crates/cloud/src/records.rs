//! Records of flow logs: one line for each tuple, direction and decision of an interface in an interval, in the form of
//! the flow log's dialect.
//!
//! What a field would tell that is not known here is `-`, as in both clouds.

pub mod read;

use sekimori_core::{
    flow_log::{FlowLog, LogDestinationKind, LoggedAddresses, LoggedTraffic},
    flow_record::{TrafficKey, TrafficSum},
    time::Timestamp,
    world::{Eni, World},
};

use crate::{ec2, ecs, time};

/// What stands for what is not known, or does not apply.
const NONE: &str = "-";

/// What a line tells.
#[derive(Clone, Copy, Debug)]
pub enum Record<'a> {
    /// Traffic.
    Ok(&'a TrafficKey, &'a TrafficSum),
    /// There was none.
    NoData,
    /// Some of it is missing.
    SkipData,
}

/// Makes the lines of one flow log.
#[derive(Debug)]
pub struct Recorder<'a> {
    pub(crate) log: &'a FlowLog,
    pub(crate) world: &'a World,
    pub(crate) interval: (i64, i64),
    fields: Vec<&'a str>,
    form: Form,
}

/// How a dialect writes.
#[derive(Clone, Copy, Debug)]
enum Form {
    /// Values with blanks between them, below a line with the names of the fields.
    Ec2 {
        /// Of the newest field.
        version: u8,
    },
    /// An object of names and texts.
    Ecs,
}

impl<'a> Recorder<'a> {
    /// For an interval: from when on, and until when, in seconds since 1970.
    #[must_use]
    pub fn new(log: &'a FlowLog, world: &'a World, interval: (i64, i64)) -> Self {
        let fields: Vec<&str> = log.config.format.split_whitespace().filter_map(field_of).collect();
        let form = match log.config.destination_kind {
            LogDestinationKind::LogService => Form::Ecs,
            LogDestinationKind::CloudWatchLogs | LogDestinationKind::S3 | LogDestinationKind::Firehose => {
                Form::Ec2 { version: ec2::records::version_of(&fields) }
            }
        };
        Self { log, world, interval, fields, form }
    }

    /// The first line of a file, where files have one: the names of the fields.
    #[must_use]
    pub fn header(&self) -> Option<String> {
        match self.form {
            Form::Ec2 { .. } => Some(self.fields.join(" ")),
            Form::Ecs => None,
        }
    }

    /// A line about an interface.
    #[must_use]
    pub fn line(&self, eni: &Eni, record: Record<'_>) -> String {
        match self.form {
            Form::Ec2 { version } => {
                let value = |name: &&str| {
                    self.known(ec2::records::value(self, version, name, eni, record), name, eni, record)
                };
                self.fields.iter().map(value).collect::<Vec<_>>().join(" ")
            }
            Form::Ecs => {
                let value = |name: &str| self.known(ecs::records::value(self, name, eni, record), name, eni, record);
                ecs::records::line(&self.fields, value)
            }
        }
    }

    /// What the dialect makes of a field, or what means the same in both.
    fn known(&self, own: Option<String>, name: &str, eni: &Eni, record: Record<'_>) -> String {
        own.or_else(|| self.common(name, eni, record)).unwrap_or_else(|| NONE.to_owned())
    }

    fn common(&self, name: &str, eni: &Eni, record: Record<'_>) -> Option<String> {
        match name {
            "account-id" => return Some(eni.account.to_string()),
            "vpc-id" => return Some(eni.vpc.to_string()),
            "region" => return Some(self.log.region.clone()),
            "start" => return Some(self.times(record).0.to_string()),
            "end" => return Some(self.times(record).1.to_string()),
            "log-status" => return Some(status(record).to_owned()),
            _ => {}
        }
        let Record::Ok(key, sum) = record else { return None };
        match name {
            "srcaddr" => Some(key.source.to_string()),
            "dstaddr" => Some(key.destination.to_string()),
            "srcport" => Some(key.source_port.to_string()),
            "dstport" => Some(key.destination_port.to_string()),
            "protocol" => Some(key.protocol.to_string()),
            "packets" => Some(sum.packets.to_string()),
            "bytes" => Some(sum.bytes.to_string()),
            "action" => Some(if key.passed { "ACCEPT" } else { "REJECT" }.to_owned()),
            "tcp-flags" => Some(sum.tcp_flags.to_string()),
            _ => None,
        }
    }

    /// Of the interval, but of the first and the last packet where there were packets.
    pub(crate) fn times(&self, record: Record<'_>) -> (i64, i64) {
        let (start, end) = self.interval;
        match record {
            Record::Ok(_, sum) => (sum.first_s.clamp(start, end), sum.last_s.clamp(start, end)),
            Record::NoData | Record::SkipData => (start, end),
        }
    }

    /// Whether the flow log is about this traffic of one of its interfaces.
    #[must_use]
    pub fn wants(&self, key: &TrafficKey) -> bool {
        let is_family = match self.log.config.addresses {
            LoggedAddresses::Both => true,
            LoggedAddresses::Ipv4 => key.source.is_ipv4(),
            LoggedAddresses::Ipv6 => key.source.is_ipv6(),
        };
        let is_verdict = match self.log.config.traffic {
            LoggedTraffic::All => true,
            LoggedTraffic::Accepted => key.passed,
            LoggedTraffic::Rejected => !key.passed,
        };
        is_family && is_verdict && ecs::records::goes(&self.log.config.paths, key, self.world)
    }

    /// The name of the file of the interval on one of the hosts. Names of one flow log sort by time.
    #[must_use]
    pub fn file_name(&self, host: u32) -> String {
        let at = time::to_basic_minutes(Timestamp(self.interval.1));
        format!("{}_{at}_{host:08x}{SUFFIX}", self.place())
    }

    /// What names of files begin with: the clouds' own places, as far as they can be in the name of a file.
    fn place(&self) -> String {
        let FlowLog { account, region, id, config, .. } = self.log;
        let plain = |text: &&str| {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        };
        match self.form {
            Form::Ec2 { .. } => format!("{account}_vpcflowlogs_{region}_{id}"),
            Form::Ecs => {
                let words = [config.destination.as_str(), &config.log_group, region, id.as_str()];
                words.iter().filter(|word| plain(word)).copied().collect::<Vec<_>>().join("_")
            }
        }
    }
}

/// How names of files end.
const SUFFIX: &str = ".log";

/// Until when, in seconds since 1970, a file of a host goes, by its name.
#[must_use]
pub fn file_end(name: &str, host: u32) -> Option<i64> {
    let (_, at) = name.strip_suffix(&format!("_{host:08x}{SUFFIX}"))?.rsplit_once('_')?;
    time::parse_basic_minutes(at).map(|moment| moment.0)
}

/// The name of a field in a format: `${srcaddr}`.
fn field_of(word: &str) -> Option<&str> {
    word.strip_prefix("${")?.strip_suffix('}')
}

/// A format of these fields.
pub(crate) fn format_of(fields: &[&str]) -> String {
    fields.iter().map(|name| format!("${{{name}}}")).collect::<Vec<_>>().join(" ")
}

/// The first word of a format that is none of these fields.
pub(crate) fn unknown_field<'a>(format: &'a str, fields: &[&str]) -> Option<&'a str> {
    let is_known = |word: &&str| field_of(word).is_some_and(|name| fields.contains(&name));
    format.split_whitespace().find(|word| !is_known(word))
}

fn status(record: Record<'_>) -> &'static str {
    match record {
        Record::Ok(..) => "OK",
        Record::NoData => "NODATA",
        Record::SkipData => "SKIPDATA",
    }
}
