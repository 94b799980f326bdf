//! Flow logs. Their replies are of texts: also numbers of pages, and whether a call has succeeded.

use std::sync::Arc;

use sekimori_core::{
    flow_log::{FlowLog, LoggedAddresses, LoggedTraffic},
    ids::{FlowLogId, VpcId},
    resource::Resource,
    world::World,
};

use super::{
    View,
    page::{Order, part},
};
use crate::{
    ecs::{
        catalog::Action,
        encode::{Fields, Node, list, number},
        query::FlowLogQuery,
        records::ALL_PATHS,
    },
    time::to_seconds,
};

const ACTIVE: &str = "Active";
const INACTIVE: &str = "Inactive";

/// Whether an operation changes or deletes a flow log.
pub(super) fn changes(action: Action) -> bool {
    matches!(
        action,
        Action::ModifyFlowLogAttribute | Action::ActiveFlowLog | Action::DeactiveFlowLog | Action::DeleteFlowLog
    )
}

/// What a change answers.
pub(super) fn done() -> Fields {
    vec![("Success", "true".into())]
}

/// What `CreateFlowLog`, which makes one, answers.
pub(super) fn created(made: &[FlowLogId], world: &World) -> Fields {
    let mut fields = done();
    for id in made {
        let resource_group = world.flow_log(id).map_or("", |log| log.resource_group.as_str());
        fields.extend([("FlowLogId", id.as_str().into()), ("ResourceGroupId", resource_group.into())]);
    }
    fields
}

pub(super) fn flow_logs(query: &FlowLogQuery, view: &View<'_>) -> Fields {
    let all: Vec<&Arc<FlowLog>> =
        view.world.flow_logs().filter(|log| log.account == *view.account && passes(query, log, view.world)).collect();
    let (wanted, place) = part(all, &query.page, Order::Ascending, |log| log.id.to_string());
    let mut fields = done();
    fields
        .extend(place.into_iter().filter(|(name, _)| *name != "NextToken").map(|(name, value)| (name, text(value))));
    fields.push(("FlowLogs", list("FlowLog", wanted.into_iter().map(|log| shown(log, view.world)))));
    fields
}

fn passes(query: &FlowLogQuery, log: &FlowLog, world: &World) -> bool {
    let is = |wanted: &Option<String>, own: &str| wanted.as_ref().is_none_or(|wanted| wanted == own);
    query.region.id == log.region
        && query.id.as_ref().is_none_or(|id| *id == log.id)
        && is(&query.name, &log.name)
        && is(&query.description, &log.description)
        && query.kind.is_none_or(|kind| kind.named(log.resource.as_str()) == log.resource)
        && is(&query.resource, log.resource.as_str())
        && query.vpc.as_ref().is_none_or(|vpc| about(&log.resource, world).1 == Some(vpc))
        && query.traffic.is_none_or(|traffic| traffic == log.config.traffic)
        && is(&query.project, &log.config.destination)
        && is(&query.store, &log.config.log_group)
        && query.status.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(status(log)))
        && is(&query.resource_group, &log.resource_group)
        && log.tags.pass(&query.tags)
}

/// The type of the thing that a flow log is about, and the VPC that it is, or is in.
fn about<'a>(resource: &'a Resource, world: &'a World) -> (&'static str, Option<&'a VpcId>) {
    match resource {
        Resource::Vpc(id) => ("VPC", Some(id)),
        Resource::Subnet(id) => ("VSwitch", world.subnet(id).map(|subnet| &subnet.vpc)),
        Resource::Eni(id) => ("NetworkInterface", world.eni(id).map(|eni| &eni.vpc)),
        // No flow log is about another thing.
        Resource::Instance(_)
        | Resource::Group(_)
        | Resource::PrefixList(_)
        | Resource::PortList(_)
        | Resource::Rule(_)
        | Resource::Peering(_)
        | Resource::InsightsPath(_)
        | Resource::InsightsAnalysis(_)
        | Resource::FlowLog(_)
        | Resource::NetworkAcl(_) => ("", None),
    }
}

fn shown(log: &FlowLog, world: &World) -> Fields {
    let config = &log.config;
    let paths: Vec<&str> = config.paths.iter().map(String::as_str).collect();
    let paths = if paths.is_empty() { vec![ALL_PATHS] } else { paths };
    let tags = log.tags.iter().map(|(key, value)| -> Fields { vec![("Key", key.into()), ("Value", value.into())] });
    vec![
        ("FlowLogId", log.id.as_str().into()),
        ("FlowLogName", log.name.as_str().into()),
        ("Description", log.description.as_str().into()),
        ("RegionId", log.region.as_str().into()),
        ("ResourceType", about(&log.resource, world).0.into()),
        ("ResourceId", log.resource.as_str().into()),
        ("TrafficType", traffic(config.traffic).into()),
        ("TrafficPath", list("TrafficPathList", paths)),
        ("IpVersion", addresses(config.addresses).into()),
        ("ProjectName", config.destination.as_str().into()),
        ("LogStoreName", config.log_group.as_str().into()),
        ("LogFormat", config.format.as_str().into()),
        ("AggregationInterval", number(config.interval_s / 60)),
        ("Status", status(log).into()),
        ("BusinessStatus", "Normal".into()),
        ("FlowLogDeliverStatus", "SUCCESS".into()),
        ("FlowLogDeliverErrorMessage", "".into()),
        ("ServiceType", "".into()),
        ("CreationTime", to_seconds(log.created_at).into()),
        ("ResourceGroupId", log.resource_group.as_str().into()),
        ("Tags", list("Tag", tags)),
    ]
}

fn status(log: &FlowLog) -> &'static str {
    if log.active_since.is_some() { ACTIVE } else { INACTIVE }
}

fn traffic(traffic: LoggedTraffic) -> &'static str {
    match traffic {
        LoggedTraffic::All => "All",
        LoggedTraffic::Accepted => "Allow",
        LoggedTraffic::Rejected => "Drop",
    }
}

fn addresses(addresses: LoggedAddresses) -> &'static str {
    match addresses {
        LoggedAddresses::Ipv4 => "IPv4",
        LoggedAddresses::Ipv6 => "IPv6",
        LoggedAddresses::Both => "DualStack",
    }
}

/// A number as text.
fn text(value: Node) -> Node {
    if let Node::Number(number) = value { number.to_string().into() } else { value }
}
