//! Flow logs, which are the VPC product's: whose traffic, which of it, and the store that it should go to.

use sekimori_core::{
    command::{Command, FlowLogCommand, FlowLogEdit, NewFlowLogs},
    flow_log::{FlowLogConfig, LogDestinationKind, LoggedAddresses, LoggedTraffic},
    ids::FlowLogId,
    resource::ResourceKind,
};

use super::{
    queries::{PAGING, Paging, number_page},
    scope::{Scope, invalid, is_flow_log_description, is_network_name},
    tags,
};
use crate::{
    ecs::{
        errors::{Fault, Words},
        query::{FlowLogQuery, Query},
        records::{ALL_PATHS, FIELDS, INTERNET_PATH, path_named},
    },
    records::{format_of, unknown_field},
};

/// Minutes over which records may be put together, the usual ones last.
const INTERVALS_MIN: [u32; 3] = [1, 5, 10];
/// The longest format: every field once has some 300 bytes.
const FORMAT_BYTES_MAX: usize = 1_024;
/// Ways of traffic that one call names.
const PATHS_MAX: usize = 20;
/// Characters of the name of a project or store.
const PLACE_CHARACTERS: std::ops::RangeInclusive<usize> = 3..=63;
/// Pages are larger than those of other operations unless the call says otherwise.
const FLOW_LOG_PAGING: Paging = Paging { size_default: 20, ..PAGING };

pub(super) fn create(scope: &Scope<'_>) -> Result<Command, Fault> {
    let kind = resource_kind(scope.required("ResourceType")?)?;
    let new = NewFlowLogs {
        resources: vec![kind.named(scope.required_id("ResourceId")?)],
        name: name(scope)?.unwrap_or_default(),
        description: description(scope)?.unwrap_or_default(),
        resource_group: scope.resource_group()?,
        config: config(scope)?,
        tags: tags::read(scope)?,
        is_all_or_none: true,
    };
    of(scope, FlowLogCommand::Create(Box::new(new)))
}

pub(super) fn modify(scope: &Scope<'_>) -> Result<Command, Fault> {
    let edit = FlowLogEdit {
        name: name(scope)?,
        description: description(scope)?,
        interval_s: interval_s(scope)?,
        format: format(scope)?,
        addresses: addresses(scope)?,
    };
    of(scope, FlowLogCommand::Edit { flow_log: own(scope)?, edit })
}

pub(super) fn set_active(scope: &Scope<'_>, is_active: bool) -> Result<Command, Fault> {
    of(scope, FlowLogCommand::SetActive { flow_log: own(scope)?, is_active })
}

pub(super) fn delete(scope: &Scope<'_>) -> Result<Command, Fault> {
    of(scope, FlowLogCommand::Delete { flow_logs: vec![own(scope)?] })
}

pub(super) fn flow_logs(scope: &Scope<'_>) -> Result<Query, Fault> {
    let text = |name: &str| scope.text(name).map(str::to_owned);
    Ok(Query::FlowLogs(Box::new(FlowLogQuery {
        region: scope.needs_region()?,
        id: scope.id("FlowLogId")?,
        name: text("FlowLogName"),
        description: text("Description"),
        kind: scope.text("ResourceType").map(resource_kind).transpose()?,
        resource: text("ResourceId"),
        vpc: scope.id("VpcId")?,
        traffic: scope.text("TrafficType").map(traffic).transpose()?,
        project: text("ProjectName"),
        store: text("LogStoreName"),
        status: text("Status"),
        resource_group: scope.resource_group_filter()?,
        tags: tags::filters_in(scope, "Tags")?,
        page: number_page(scope, &FLOW_LOG_PAGING)?,
    })))
}

fn of(scope: &Scope<'_>, command: FlowLogCommand) -> Result<Command, Fault> {
    let region = scope.needs_region()?.id.to_owned();
    Ok(Command::FlowLogs { account: scope.account.clone(), region, command })
}

/// Whether it is there, and in the region of the request, is judged by `core`.
fn own(scope: &Scope<'_>) -> Result<FlowLogId, Fault> {
    scope.required_id("FlowLogId")
}

fn config(scope: &Scope<'_>) -> Result<FlowLogConfig, Fault> {
    let [.., usual] = INTERVALS_MIN;
    Ok(FlowLogConfig {
        traffic: traffic(scope.required("TrafficType")?)?,
        destination_kind: LogDestinationKind::LogService,
        destination: place(scope, "ProjectName", false)?,
        log_group: place(scope, "LogStoreName", true)?,
        role: String::new(),
        cross_account_role: String::new(),
        format: format(scope)?.unwrap_or_else(|| format_of(&FIELDS)),
        interval_s: interval_s(scope)?.unwrap_or(usual * 60),
        files: None,
        addresses: addresses(scope)?.unwrap_or_default(),
        paths: paths(scope)?,
    })
}

fn resource_kind(text: &str) -> Result<ResourceKind, Fault> {
    match text.to_ascii_lowercase().as_str() {
        "networkinterface" => Ok(ResourceKind::Eni),
        "vswitch" => Ok(ResourceKind::Subnet),
        "vpc" => Ok(ResourceKind::Vpc),
        _ => Err(invalid("ResourceType", format!("`{text}` is not NetworkInterface, VSwitch or VPC"))),
    }
}

fn traffic(text: &str) -> Result<LoggedTraffic, Fault> {
    match text.to_ascii_lowercase().as_str() {
        "all" => Ok(LoggedTraffic::All),
        "allow" => Ok(LoggedTraffic::Accepted),
        "drop" => Ok(LoggedTraffic::Rejected),
        _ => Err(invalid("TrafficType", format!("`{text}` is not All, Allow or Drop"))),
    }
}

fn addresses(scope: &Scope<'_>) -> Result<Option<LoggedAddresses>, Fault> {
    let Some(text) = scope.text("IpVersion") else { return Ok(None) };
    match text.to_ascii_lowercase().as_str() {
        "ipv4" => Ok(Some(LoggedAddresses::Ipv4)),
        "ipv6" => Ok(Some(LoggedAddresses::Ipv6)),
        "dualstack" => Ok(Some(LoggedAddresses::Both)),
        _ => Err(invalid("IpVersion", format!("`{text}` is not IPv4, IPv6 or DualStack"))),
    }
}

fn interval_s(scope: &Scope<'_>) -> Result<Option<u32>, Fault> {
    let [least, .., usual] = INTERVALS_MIN;
    match scope.integer("AggregationInterval", least..=usual)? {
        Some(minutes) if !INTERVALS_MIN.contains(&minutes) => {
            Err(invalid("AggregationInterval", format!("`{minutes}` is not 1, 5 or 10 minutes")))
        }
        minutes => Ok(minutes.map(|minutes| minutes * 60)),
    }
}

/// The fields of a record: known ones, one at least.
fn format(scope: &Scope<'_>) -> Result<Option<String>, Fault> {
    let Some(text) = scope.text("LogFormat") else { return Ok(None) };
    if text.len() > FORMAT_BYTES_MAX || text.split_whitespace().next().is_none() {
        return Err(invalid("LogFormat", format!("it has 1 to {FORMAT_BYTES_MAX} bytes")));
    }
    match unknown_field(text, &FIELDS) {
        Some(word) => Err(invalid("LogFormat", format!("`{word}` is no field such as ${{srcaddr}}"))),
        None => Ok(Some(text.to_owned())),
    }
}

/// The ways of traffic, each once; all of them unless some are named.
fn paths(scope: &Scope<'_>) -> Result<Vec<String>, Fault> {
    let named = scope.texts("TrafficPath");
    if named.len() > PATHS_MAX {
        return Err(invalid("TrafficPath", format!("it has more than {PATHS_MAX} items")));
    }
    let mut paths: Vec<String> = Vec::new();
    for text in named {
        let path = path_named(text);
        let path = path.ok_or_else(|| {
            invalid("TrafficPath", format!("`{text}` is no way of traffic; use {ALL_PATHS} or {INTERNET_PATH}"))
        })?;
        if !paths.iter().any(|known| known == path) {
            paths.push(path.to_owned());
        }
    }
    Ok(paths)
}

/// A project or store, which nothing here keeps: its name is part of the names of files.
fn place(scope: &Scope<'_>, name: &str, has_underscores: bool) -> Result<String, Fault> {
    let text = scope.text(name).unwrap_or_default();
    let is_inner = |byte: u8| byte == b'-' || (has_underscores && byte == b'_');
    let fits = PLACE_CHARACTERS.contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || is_inner(byte))
        && !text.starts_with(['-', '_'])
        && !text.ends_with(['-', '_']);
    if text.is_empty() || fits {
        return Ok(text.to_owned());
    }
    let marks = if has_underscores { "hyphens and underscores" } else { "hyphens" };
    Err(invalid(name, format!("it has 3 to 63 letters, digits, {marks}, and a letter or digit at both ends")))
}

fn name(scope: &Scope<'_>) -> Result<Option<String>, Fault> {
    scope.words("FlowLogName", is_network_name, Words::FlowLogName)
}

fn description(scope: &Scope<'_>) -> Result<Option<String>, Fault> {
    scope.words("Description", is_flow_log_description, Words::FlowLogDescription)
}
