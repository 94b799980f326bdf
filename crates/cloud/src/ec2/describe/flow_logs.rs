//! Flow logs, as they are configured.

use std::sync::Arc;

use sekimori_core::{
    flow_log::{FlowLog, LogDestinationKind, LoggedTraffic},
    ids::FlowLogId,
    refusal::{Kind, Refusal},
    tags::Tags,
    time::Timestamp,
};

use super::{
    View,
    listing::{Item, named, part},
    tags,
};
use crate::{
    ec2::{Call, errors::Fault, query::Listing, refusals::of_refusal, words::flow_log as words},
    node::{Fields, list, number},
    time::to_millis,
};

pub(super) fn flow_logs(call: &Call, listing: &Listing<FlowLogId>, view: &View<'_>) -> Result<Fields, Fault> {
    let is_own = |log: &&Arc<FlowLog>| log.account == *view.account && log.region == view.region.name;
    let one = |id: &FlowLogId| view.world.flow_log(id).filter(is_own).map(|log| &**log);
    let all = || view.world.flow_logs().filter(is_own).map(|log| &**log).collect();
    let (wanted, next) = part(call, listing, named(&listing.ids, Kind::FlowLog, one, all)?, view);
    let mut fields: Fields = vec![("flowLogSet", list("item", wanted.into_iter().map(shown)))];
    fields.extend(next);
    Ok(fields)
}

/// What making some answers: those that were made, and why the other resources have none.
pub(super) fn created(call: &Call, made: &[FlowLogId], failed: &[(String, Refusal)]) -> Fields {
    let failure = |(resource, refusal): &(String, Refusal)| -> Fields {
        let told = of_refusal(Some(call.action()), refusal);
        let error: Fields = vec![("code", told.code.into()), ("message", told.message.into())];
        vec![("error", error.into()), ("resourceId", resource.as_str().into())]
    };
    let mut fields: Fields = Vec::new();
    fields.extend(call.client_token().map(|token| ("clientToken", token.into())));
    fields.push(("flowLogIdSet", list("item", made.iter().map(|id| id.as_str()))));
    fields.push(("unsuccessful", list("item", failed.iter().map(failure))));
    fields
}

/// What deleting some answers: they are deleted all or none.
pub(super) fn deleted() -> Fields {
    vec![("unsuccessful", list::<&str>("item", []))]
}

impl Item for FlowLog {
    fn place(&self) -> (Timestamp, &str) {
        (self.created_at, self.id.as_str())
    }

    fn tags(&self) -> &Tags {
        &self.tags
    }

    fn values(&self, filter: &str, _: &View<'_>) -> Vec<String> {
        match filter {
            "deliver-log-status" => vec!["SUCCESS".to_owned()],
            "log-destination-type" => vec![destination(self.config.destination_kind).to_owned()],
            "flow-log-id" => vec![self.id.to_string()],
            "log-group-name" => {
                Some(&self.config.log_group).filter(|name| !name.is_empty()).cloned().into_iter().collect()
            }
            "resource-id" => vec![self.resource.as_str().to_owned()],
            "traffic-type" => vec![traffic(self.config.traffic).to_owned()],
            _ => Vec::new(),
        }
    }
}

fn destination(kind: LogDestinationKind) -> &'static str {
    match kind {
        LogDestinationKind::CloudWatchLogs => words::CLOUD_WATCH_LOGS,
        LogDestinationKind::S3 => words::S3,
        LogDestinationKind::Firehose => words::FIREHOSE,
        // No call of EC2 makes such a flow log.
        LogDestinationKind::LogService => "",
    }
}

fn traffic(traffic: LoggedTraffic) -> &'static str {
    match traffic {
        LoggedTraffic::Accepted => "ACCEPT",
        LoggedTraffic::Rejected => "REJECT",
        LoggedTraffic::All => "ALL",
    }
}

fn shown(log: &FlowLog) -> Fields {
    let config = &log.config;
    let mut fields: Fields = vec![
        ("creationTime", to_millis(log.created_at).into()),
        ("deliverLogsStatus", "SUCCESS".into()),
        ("flowLogId", log.id.as_str().into()),
        ("flowLogStatus", "ACTIVE".into()),
        ("resourceId", log.resource.as_str().into()),
        ("trafficType", traffic(config.traffic).into()),
        ("logDestinationType", destination(config.destination_kind).into()),
        ("logFormat", config.format.as_str().into()),
        ("maxAggregationInterval", number(config.interval_s)),
    ];
    let texts = [
        ("logGroupName", &config.log_group),
        ("logDestination", &config.destination),
        ("deliverLogsPermissionArn", &config.role),
        ("deliverCrossAccountRole", &config.cross_account_role),
    ];
    let given = texts.into_iter().filter(|(_, text)| !text.is_empty());
    fields.extend(given.map(|(name, text)| (name, text.as_str().into())));
    if let Some(files) = config.files {
        let options: Fields = vec![
            ("fileFormat", if files.is_parquet { "parquet" } else { "plain-text" }.into()),
            ("hiveCompatiblePartitions", files.is_hive_compatible.into()),
            ("perHourPartition", files.is_hourly.into()),
        ];
        fields.push(("destinationOptions", options.into()));
    }
    fields.push(tags::set(&log.tags));
    fields
}
