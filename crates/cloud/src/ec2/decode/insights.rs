//! Paths whose reachability is asked about, and analyses of them (`spec/ec2.md` B5).

use std::{net::Ipv4Addr, ops::RangeInclusive};

use sekimori_core::{
    command::{Command, NewInsightsAnalysis, NewInsightsPath},
    ids::{EniId, InsightsAnalysisId, InsightsPathId, InstanceId},
    insights::{PathFilter, PathFinding, PathProtocol, PathQuestion},
    refusal::Kind,
    rule::PortRange,
    time::Timestamp,
    world::Revision,
};

use super::{
    instances::ipv4,
    listings,
    scope::{Scope, read_id},
    tags,
};
use crate::{
    ec2::{
        errors::{Fault, IdKind},
        query::{AnalysisQuery, Query},
    },
    time::parse_loosely,
};

/// What the listings take as `MaxResults`.
const PARTS: RangeInclusive<u32> = 1..=100;

pub(super) fn create_path(scope: &Scope<'_>) -> Result<Command, Fault> {
    let question = PathQuestion {
        from: end(scope, scope.required("Source")?)?,
        to: scope.text("Destination").map(|text| end(scope, text)).transpose()?,
        protocol: protocol(scope.required("Protocol")?)?,
        source_address: address(scope, "SourceIp")?,
        destination_address: address(scope, "DestinationIp")?,
        destination_port: port(scope, "DestinationPort")?,
        at_source: filter(scope, "FilterAtSource")?,
        at_destination: filter(scope, "FilterAtDestination")?,
    };
    check_fit(&question)?;
    Ok(Command::CreateInsightsPath(Box::new(NewInsightsPath {
        account: scope.account.clone(),
        region: scope.region.name.to_owned(),
        question,
        tags: tags::specified(scope, "network-insights-path")?,
    })))
}

pub(super) fn delete_path(scope: &Scope<'_>) -> Result<Command, Fault> {
    Ok(Command::DeleteInsightsPath { account: scope.account.clone(), path: own_path(scope)? })
}

/// What is found is filled in by whoever carries it out.
pub(super) fn start(scope: &Scope<'_>) -> Result<Command, Fault> {
    Ok(Command::CreateInsightsAnalysis(Box::new(NewInsightsAnalysis {
        account: scope.account.clone(),
        path: own_path(scope)?,
        revision: Revision::default(),
        finding: PathFinding::default(),
        tags: tags::specified(scope, "network-insights-analysis")?,
    })))
}

pub(super) fn delete_analysis(scope: &Scope<'_>) -> Result<Command, Fault> {
    let text = scope.required("NetworkInsightsAnalysisId")?;
    let analysis: InsightsAnalysisId = read_id(text, IdKind::InsightsAnalysis)?;
    let own = scope.world.insights_analysis(&analysis).filter(|own| own.region == scope.region.name);
    own.ok_or_else(|| Fault::missing(Kind::InsightsAnalysis, text))?;
    Ok(Command::DeleteInsightsAnalysis { account: scope.account.clone(), analysis })
}

pub(super) fn paths(scope: &Scope<'_>) -> Result<Query, Fault> {
    listings::listing_in(scope, "NetworkInsightsPathId", IdKind::InsightsPath, "networkInsightsPathIdSet", &PARTS)
        .map(Query::InsightsPaths)
}

pub(super) fn analyses(scope: &Scope<'_>) -> Result<Query, Fault> {
    let ids = ("NetworkInsightsAnalysisId", "networkInsightsAnalysisIdSet");
    let listing = listings::listing_in(scope, ids.0, IdKind::InsightsAnalysis, ids.1, &PARTS)?;
    let path = scope.text("NetworkInsightsPathId").map(|text| read_id(text, IdKind::InsightsPath)).transpose()?;
    let (from, until) = (moment(scope, "AnalysisStartTime")?, moment(scope, "AnalysisEndTime")?);
    Ok(Query::InsightsAnalyses(AnalysisQuery { listing, path, from, until }))
}

fn own_path(scope: &Scope<'_>) -> Result<InsightsPathId, Fault> {
    let text = scope.required("NetworkInsightsPathId")?;
    let path: InsightsPathId = read_id(text, IdKind::InsightsPath)?;
    let own = scope.world.insights_path(&path).filter(|own| own.region == scope.region.name);
    own.ok_or_else(|| Fault::missing(Kind::InsightsPath, text))?;
    Ok(path)
}

/// An end: an interface or an instance of the caller, by id or ARN. Gateways and endpoints there are none of.
fn end(scope: &Scope<'_>, text: &str) -> Result<String, Fault> {
    let id = text.rsplit_once('/').filter(|_| text.starts_with("arn:aws:ec2:")).map_or(text, |(_, id)| id);
    let known = match id.split_once('-') {
        Some(("eni", _)) => {
            let eni: EniId = read_id(id, IdKind::Interface)?;
            let own = scope.world.eni(&eni).filter(|own| own.account == *scope.account);
            scope.check_region(own.map(|own| &own.vpc), Kind::Eni, id)?;
            own.is_some().then_some(id).ok_or_else(|| Fault::missing(Kind::Eni, id))
        }
        Some(("i", _)) => {
            let instance: InstanceId = read_id(id, IdKind::Instance)?;
            scope.own_instance(&instance).map(|_| id)
        }
        Some(_) | None => Err(Fault::Value(format!(
            "Value ({text}) is no network interface or instance; paths begin and end at these here."
        ))),
    };
    known.map(str::to_owned)
}

fn protocol(text: &str) -> Result<PathProtocol, Fault> {
    match text {
        "tcp" => Ok(PathProtocol::Tcp),
        "udp" => Ok(PathProtocol::Udp),
        other => Err(Fault::Value(format!("Value ({other}) for parameter protocol is invalid. Use tcp or udp."))),
    }
}

fn address(scope: &Scope<'_>, name: &str) -> Result<Option<Ipv4Addr>, Fault> {
    scope.text(name).map(ipv4).transpose()
}

fn port(scope: &Scope<'_>, name: &str) -> Result<Option<u16>, Fault> {
    let port = scope.integer(name, 0..=u32::from(u16::MAX))?;
    Ok(port.and_then(|port| u16::try_from(port).ok()))
}

/// A filter, if any part of it is given.
fn filter(scope: &Scope<'_>, name: &str) -> Result<Option<PathFilter>, Fault> {
    let ports = |side: &str| {
        let at = |end: &str| port(scope, &format!("{name}.{side}PortRange.{end}"));
        match (at("FromPort")?, at("ToPort")?) {
            (None, None) => Ok(None),
            (Some(from), Some(to)) => PortRange::new(from, to)
                .map(Some)
                .ok_or_else(|| Fault::Value(format!("Invalid port range ({from}:{to}) in {name}"))),
            (Some(_), None) | (None, Some(_)) => {
                Err(Fault::Missing { name: format!("{name}.{side}PortRange.FromPort and ToPort") })
            }
        }
    };
    let filter = PathFilter {
        source_address: address(scope, &format!("{name}.SourceAddress"))?,
        source_ports: ports("Source")?,
        destination_address: address(scope, &format!("{name}.DestinationAddress"))?,
        destination_ports: ports("Destination")?,
    };
    Ok(Some(filter).filter(|filter| *filter != PathFilter::default()))
}

/// A filter and the older parameters say the same things, so there is one or the other (`spec/ec2.md` B5); and a path ends
/// somewhere.
fn check_fit(question: &PathQuestion) -> Result<(), Fault> {
    let wrong = |message: &str| Err(Fault::Combination(message.to_owned()));
    if question.at_source.is_some() && (question.source_address.is_some() || question.destination_port.is_some()) {
        return wrong("FilterAtSource cannot be used with SourceIp or DestinationPort");
    }
    if question.at_destination.is_some() && question.destination_address.is_some() {
        return wrong("FilterAtDestination cannot be used with DestinationIp");
    }
    if question.to.is_none() && question.destination().is_none() {
        return Err(Fault::Missing { name: "Destination or DestinationIp".to_owned() });
    }
    Ok(())
}

fn moment(scope: &Scope<'_>, name: &str) -> Result<Option<Timestamp>, Fault> {
    let read = |text: &str| {
        parse_loosely(text).ok_or_else(|| Fault::Value(format!("Value ({text}) for parameter {name} is no time.")))
    };
    scope.text(name).map(read).transpose()
}
