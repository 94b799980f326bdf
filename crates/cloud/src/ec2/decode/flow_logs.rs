//! Flow logs: whose traffic, which of it, where to, and with which fields (`spec/ec2.md` D).

use sekimori_core::{
    command::{Command, FlowLogCommand, NewFlowLogs},
    flow_log::{FlowLogConfig, LogDestinationKind, LogFiles, LoggedAddresses, LoggedTraffic},
    ids::FlowLogId,
    resource::{Resource, ResourceKind},
};

use super::{
    listings::{self, PARTS},
    scope::{Scope, read_id},
    tags,
};
use crate::{
    ec2::{
        errors::{Fault, IdKind},
        query::Query,
        words::flow_log,
    },
    records::unknown_field,
};

/// Resources of one call.
const RESOURCES_MAX: usize = 300;
/// The longest name, ARN or format.
const TEXT_MAX: usize = 2_048;
/// Seconds over which records may be put together, the usual ones last.
const INTERVALS_S: [u32; 2] = [60, 600];

pub(super) fn create(scope: &Scope<'_>) -> Result<Command, Fault> {
    let resources = resources(scope)?;
    let new = NewFlowLogs {
        resources,
        name: String::new(),
        description: String::new(),
        resource_group: String::new(),
        config: config(scope)?,
        tags: tags::specified(scope, "vpc-flow-log")?,
        is_all_or_none: false,
    };
    Ok(of(scope, FlowLogCommand::Create(Box::new(new))))
}

pub(super) fn delete(scope: &Scope<'_>) -> Result<Command, Fault> {
    let flow_logs: Vec<FlowLogId> = scope.ids("FlowLogId", IdKind::FlowLog)?;
    if flow_logs.is_empty() {
        return Err(Fault::Missing { name: "FlowLogId".to_owned() });
    }
    Ok(of(scope, FlowLogCommand::Delete { flow_logs }))
}

fn of(scope: &Scope<'_>, command: FlowLogCommand) -> Command {
    Command::FlowLogs { account: scope.account.clone(), region: scope.region.name.to_owned(), command }
}

pub(super) fn flow_logs(scope: &Scope<'_>) -> Result<Query, Fault> {
    let parts = 1..=*PARTS.end();
    listings::listing_in(scope, "FlowLogId", IdKind::FlowLog, "flowLogIdSet", &parts).map(Query::FlowLogs)
}

/// What the call names, of one type.
fn resources(scope: &Scope<'_>) -> Result<Vec<Resource>, Fault> {
    let (kind, id_kind) = match scope.required("ResourceType")? {
        "VPC" => (ResourceKind::Vpc, IdKind::Vpc),
        "Subnet" => (ResourceKind::Subnet, IdKind::Subnet),
        "NetworkInterface" => (ResourceKind::Eni, IdKind::Interface),
        other => {
            return Err(Fault::Value(format!(
                "Value ({other}) for parameter resourceType is invalid. Use VPC, Subnet or NetworkInterface."
            )));
        }
    };
    let texts = scope.list("ResourceId")?;
    if texts.len() > RESOURCES_MAX {
        return Err(Fault::Value(format!(
            "A request names at most {RESOURCES_MAX} resources; send several requests."
        )));
    }
    let mut resources: Vec<Resource> = Vec::new();
    for text in texts {
        let id: String = read_id(text, id_kind)?;
        let resource = kind.named(&id);
        if !resources.contains(&resource) {
            resources.push(resource);
        }
    }
    if resources.is_empty() { Err(Fault::Missing { name: "ResourceId".to_owned() }) } else { Ok(resources) }
}

fn config(scope: &Scope<'_>) -> Result<FlowLogConfig, Fault> {
    let destination_kind = match scope.text("LogDestinationType").unwrap_or(flow_log::CLOUD_WATCH_LOGS) {
        flow_log::CLOUD_WATCH_LOGS => LogDestinationKind::CloudWatchLogs,
        flow_log::S3 => LogDestinationKind::S3,
        flow_log::FIREHOSE => LogDestinationKind::Firehose,
        other => {
            return Err(Fault::Value(format!("Value ({other}) for parameter logDestinationType is invalid.")));
        }
    };
    let config = FlowLogConfig {
        traffic: traffic(scope)?,
        destination_kind,
        destination: text(scope, "LogDestination")?,
        log_group: text(scope, "LogGroupName")?,
        role: text(scope, "DeliverLogsPermissionArn")?,
        cross_account_role: text(scope, "DeliverCrossAccountRole")?,
        format: format(scope)?,
        interval_s: interval(scope)?,
        files: files(scope, destination_kind)?,
        addresses: LoggedAddresses::Both,
        paths: Vec::new(),
    };
    check_destination(&config)?;
    Ok(config)
}

fn traffic(scope: &Scope<'_>) -> Result<LoggedTraffic, Fault> {
    match scope.text("TrafficType") {
        Some("ACCEPT") => Ok(LoggedTraffic::Accepted),
        Some("REJECT") => Ok(LoggedTraffic::Rejected),
        Some("ALL") => Ok(LoggedTraffic::All),
        Some(other) => Err(Fault::Value(format!(
            "Value ({other}) for parameter trafficType is invalid. Use ACCEPT, REJECT or ALL."
        ))),
        None => Err(Fault::Missing { name: "TrafficType".to_owned() }),
    }
}

/// Records go to one place, which is named as its kind is named.
fn check_destination(config: &FlowLogConfig) -> Result<(), Fault> {
    let wrong = |message: &str| Err(Fault::Parameter(message.to_owned()));
    let has = |text: &str| !text.is_empty();
    let is_arn_of = |service: &str| config.destination.starts_with(&format!("arn:aws:{service}:"));
    match config.destination_kind {
        LogDestinationKind::CloudWatchLogs if has(&config.destination) && has(&config.log_group) => {
            wrong("Please only provide LogGroupName or only provide LogDestination.")
        }
        LogDestinationKind::CloudWatchLogs if !has(&config.destination) && !has(&config.log_group) => {
            wrong("LogDestination can't be empty if LogGroupName is not provided.")
        }
        LogDestinationKind::CloudWatchLogs if !has(&config.role) => {
            wrong("DeliverLogsPermissionArn can't be empty if LogDestinationType is cloud-watch-logs.")
        }
        LogDestinationKind::CloudWatchLogs if has(&config.destination) && !is_arn_of("logs") => {
            wrong("LogDestination is not the ARN of a log group.")
        }
        LogDestinationKind::S3 | LogDestinationKind::Firehose if has(&config.log_group) => {
            wrong("LogGroupName must be empty unless LogDestinationType is cloud-watch-logs.")
        }
        LogDestinationKind::S3 if !is_arn_of("s3") => wrong("LogDestination is not the ARN of a bucket."),
        LogDestinationKind::Firehose if !is_arn_of("firehose") => {
            wrong("LogDestination is not the ARN of a delivery stream.")
        }
        LogDestinationKind::CloudWatchLogs
        | LogDestinationKind::S3
        | LogDestinationKind::Firehose
        | LogDestinationKind::LogService => Ok(()),
    }
}

/// The fields of a record: known ones, one at least.
fn format(scope: &Scope<'_>) -> Result<String, Fault> {
    let text = text(scope, "LogFormat")?;
    if text.is_empty() {
        return Ok(flow_log::default_format());
    }
    match unknown_field(&text, &flow_log::FIELDS) {
        Some(word) => Err(Fault::Parameter(format!("Unknown fields provided in LogFormat: {word}"))),
        None => Ok(text),
    }
}

fn interval(scope: &Scope<'_>) -> Result<u32, Fault> {
    let [_, usual] = INTERVALS_S;
    let given = scope.integer("MaxAggregationInterval", 0..=u32::MAX)?.unwrap_or(usual);
    if INTERVALS_S.contains(&given) {
        return Ok(given);
    }
    Err(Fault::Parameter("Invalid Flow Log Max Aggregation Interval: use 60 or 600.".to_owned()))
}

fn files(scope: &Scope<'_>, kind: LogDestinationKind) -> Result<Option<LogFiles>, Fault> {
    let option = |name: &str| format!("DestinationOptions.{name}");
    let is_parquet = match scope.text(&option("FileFormat")) {
        None => None,
        Some("plain-text") => Some(false),
        Some("parquet") => Some(true),
        Some(other) => {
            return Err(Fault::Value(format!(
                "Value ({other}) for parameter fileFormat is invalid. Use plain-text or parquet."
            )));
        }
    };
    let (hive, hourly) =
        (scope.boolean(&option("HiveCompatiblePartitions"))?, scope.boolean(&option("PerHourPartition"))?);
    let is_given = is_parquet.is_some() || hive.is_some() || hourly.is_some();
    match (is_given, kind) {
        (false, _) => Ok(None),
        (true, LogDestinationKind::S3) => Ok(Some(LogFiles {
            is_parquet: is_parquet.unwrap_or(false),
            is_hive_compatible: hive.unwrap_or(false),
            is_hourly: hourly.unwrap_or(false),
        })),
        (
            true,
            LogDestinationKind::CloudWatchLogs | LogDestinationKind::Firehose | LogDestinationKind::LogService,
        ) => Err(Fault::Parameter("DestinationOptions are for LogDestinationType s3 only.".to_owned())),
    }
}

fn text(scope: &Scope<'_>, name: &str) -> Result<String, Fault> {
    let text = scope.text(name).unwrap_or_default();
    if text.len() <= TEXT_MAX && !text.contains(char::is_control) {
        return Ok(text.to_owned());
    }
    Err(Fault::Value(format!("{name} has at most {TEXT_MAX} bytes and no control characters.")))
}
