//! Paths and their analyses: what is asked, where a packet passes, and what is in its way.

use std::sync::Arc;

use sekimori_core::{
    ids::{EniId, GroupId, InsightsAnalysisId, InsightsPathId},
    insights::{Hop, InsightsAnalysis, InsightsPath, Obstacle, PathFilter, PathPacket, PathProtocol},
    refusal::Kind,
    rule::{Direction, Peer, PortRange, RuleSpec, ec2},
    tags::Tags,
    time::Timestamp,
};

use super::{
    View,
    listing::{Item, named, part},
    network_acls, tags,
};
use crate::{
    ec2::{
        Call,
        errors::Fault,
        query::{AnalysisQuery, Listing},
        words::arn,
    },
    node::{Fields, Node, list, number},
    time::to_millis,
};

pub(super) fn paths(call: &Call, listing: &Listing<InsightsPathId>, view: &View<'_>) -> Result<Fields, Fault> {
    let is_own = |path: &&Arc<InsightsPath>| path.account == *view.account && path.region == view.region.name;
    let one = |id: &InsightsPathId| view.world.insights_path(id).filter(is_own).map(|path| &**path);
    let all = || view.world.insights_paths().filter(is_own).map(|path| &**path).collect();
    let (wanted, next) = part(call, listing, named(&listing.ids, Kind::InsightsPath, one, all)?, view);
    let items = wanted.into_iter().map(|path| self::path(path));
    let mut fields: Fields = vec![("networkInsightsPathSet", list("item", items))];
    fields.extend(next);
    Ok(fields)
}

pub(super) fn analyses(call: &Call, query: &AnalysisQuery, view: &View<'_>) -> Result<Fields, Fault> {
    let is_own = |found: &&Arc<InsightsAnalysis>| found.account == *view.account && found.region == view.region.name;
    let one = |id: &InsightsAnalysisId| view.world.insights_analysis(id).filter(is_own).map(|found| &**found);
    let all = || view.world.insights_analyses().filter(is_own).map(|found| &**found).collect();
    let mut found = named(&query.listing.ids, Kind::InsightsAnalysis, one, all)?;
    found.retain(|analysis| {
        query.path.as_ref().is_none_or(|path| *path == analysis.path)
            && query.from.is_none_or(|from| from <= analysis.started_at)
            && query.until.is_none_or(|until| analysis.started_at <= until)
    });
    let (wanted, next) = part(call, &query.listing, found, view);
    let items = wanted.into_iter().map(|found| analysis(found, view));
    let mut fields: Fields = vec![("networkInsightsAnalysisSet", list("item", items))];
    fields.extend(next);
    Ok(fields)
}

pub(super) fn created_path(id: &InsightsPathId, view: &View<'_>) -> Fields {
    view.world.insights_path(id).map(|one| ("networkInsightsPath", path(one).into())).into_iter().collect()
}

pub(super) fn started(id: &InsightsAnalysisId, view: &View<'_>) -> Fields {
    let found = view.world.insights_analysis(id);
    found.map(|one| ("networkInsightsAnalysis", analysis(one, view).into())).into_iter().collect()
}

/// What deleting answers: the id of what is gone.
pub(super) fn deleted(call: &Call) -> Fields {
    let ids = [
        ("NetworkInsightsPathId", "networkInsightsPathId"),
        ("NetworkInsightsAnalysisId", "networkInsightsAnalysisId"),
    ];
    let given = |(name, shown): (&str, &'static str)| Some((shown, call.params().filled(name)?.into()));
    ids.into_iter().filter_map(given).collect()
}

impl Item for InsightsPath {
    fn place(&self) -> (Timestamp, &str) {
        (self.created_at, self.id.as_str())
    }

    fn tags(&self) -> &Tags {
        &self.tags
    }

    fn values(&self, filter: &str, _: &View<'_>) -> Vec<String> {
        let question = &self.question;
        let of = |own: Option<PathFilter>, name: &str| filter_value(own.unwrap_or_default(), name);
        match filter.split_once('.') {
            Some(("filter-at-source", name)) => of(question.at_source, name).into_iter().collect(),
            Some(("filter-at-destination", name)) => of(question.at_destination, name).into_iter().collect(),
            Some(_) => Vec::new(),
            None => match filter {
                "source" => vec![question.from.clone()],
                "destination" => question.to.clone().into_iter().collect(),
                "protocol" => vec![question.protocol.name().to_owned()],
                _ => Vec::new(),
            },
        }
    }
}

impl Item for InsightsAnalysis {
    fn place(&self) -> (Timestamp, &str) {
        (self.started_at, self.id.as_str())
    }

    fn tags(&self) -> &Tags {
        &self.tags
    }

    fn values(&self, filter: &str, _: &View<'_>) -> Vec<String> {
        match filter {
            "path-found" => vec![self.finding.is_found.to_string()],
            "status" => vec![status(self).to_owned()],
            _ => Vec::new(),
        }
    }
}

fn filter_value(filter: PathFilter, name: &str) -> Option<String> {
    let range = |ports: Option<PortRange>| ports.map(|ports| format!("{}-{}", ports.first(), ports.last()));
    match name {
        "source-address" => filter.source_address.map(|address| address.to_string()),
        "source-port-range" => range(filter.source_ports),
        "destination-address" => filter.destination_address.map(|address| address.to_string()),
        "destination-port-range" => range(filter.destination_ports),
        _ => None,
    }
}

/// An analysis is complete when it is answered.
fn status(analysis: &InsightsAnalysis) -> &'static str {
    if analysis.finding.failure.is_empty() { "succeeded" } else { "failed" }
}

fn path(path: &InsightsPath) -> Fields {
    let question = &path.question;
    let arn = |kind: &str, id: &str| arn(&path.region, &path.account, kind, id);
    let of_end = |id: &str| arn(if id.starts_with("eni-") { "network-interface" } else { "instance" }, id);
    let mut fields: Fields = vec![
        ("networkInsightsPathId", path.id.as_str().into()),
        ("networkInsightsPathArn", arn("network-insights-path", path.id.as_str()).into()),
        ("createdDate", to_millis(path.created_at).into()),
        ("source", question.from.as_str().into()),
        ("sourceArn", of_end(&question.from).into()),
        ("protocol", question.protocol.name().into()),
    ];
    if let Some(to) = &question.to {
        fields.extend([("destination", to.as_str().into()), ("destinationArn", of_end(to).into())]);
    }
    fields.extend(question.source_address.map(|address| ("sourceIp", address.to_string().into())));
    fields.extend(question.destination_address.map(|address| ("destinationIp", address.to_string().into())));
    fields.extend(question.destination_port.map(|port| ("destinationPort", number(port))));
    fields.extend(question.at_source.map(|own| ("filterAtSource", filter(own).into())));
    fields.extend(question.at_destination.map(|own| ("filterAtDestination", filter(own).into())));
    fields.push(tags::set(&path.tags));
    fields
}

fn filter(filter: PathFilter) -> Fields {
    let ports = |ports: PortRange| -> Node {
        Node::Object(vec![("fromPort", number(ports.first())), ("toPort", number(ports.last()))])
    };
    let mut fields: Fields = Vec::new();
    fields.extend(filter.source_address.map(|address| ("sourceAddress", address.to_string().into())));
    fields.extend(filter.source_ports.map(|own| ("sourcePortRange", ports(own))));
    fields.extend(filter.destination_address.map(|address| ("destinationAddress", address.to_string().into())));
    fields.extend(filter.destination_ports.map(|own| ("destinationPortRange", ports(own))));
    fields
}

fn analysis(analysis: &InsightsAnalysis, view: &View<'_>) -> Fields {
    let finding = &analysis.finding;
    let arn = arn(&analysis.region, &analysis.account, "network-insights-analysis", analysis.id.as_str());
    let protocol = view.world.insights_path(&analysis.path).map(|path| path.question.protocol);
    let shown = Shown { view, analysis };
    let hops = finding.hops.iter().zip(1_u32..);
    let components = hops.map(|(hop, place)| shown.component(hop, place, (finding.packet.as_ref(), protocol)));
    let answer = finding.packet.as_ref().map(PathPacket::answer);
    let back = finding.hops_back.iter().zip(1_u32..);
    let back = back.map(|(hop, place)| shown.component(hop, place, (answer.as_ref(), protocol)));
    let mut fields: Fields = vec![
        ("networkInsightsAnalysisId", analysis.id.as_str().into()),
        ("networkInsightsAnalysisArn", arn.into()),
        ("networkInsightsPathId", analysis.path.as_str().into()),
        ("startDate", to_millis(analysis.started_at).into()),
        ("status", status(analysis).into()),
    ];
    if finding.failure.is_empty() {
        fields.push(("networkPathFound", finding.is_found.into()));
    } else {
        fields.push(("statusMessage", finding.failure.as_str().into()));
    }
    fields.push(("forwardPathComponentSet", list("item", components)));
    fields.push(("returnPathComponentSet", list("item", back)));
    fields.push(("explanationSet", list("item", finding.obstacles.iter().map(|one| shown.explanation(one)))));
    fields.push(("alternatePathHintSet", list::<&str>("item", [])));
    fields.push(tags::set(&analysis.tags));
    fields
}

/// An analysis that is being shown: ids become components, with what is still known of them.
struct Shown<'a> {
    view: &'a View<'a>,
    analysis: &'a InsightsAnalysis,
}

impl Shown<'_> {
    fn named(&self, kind: &str, id: &str) -> Fields {
        let InsightsAnalysis { region, account, .. } = self.analysis;
        let mut fields: Fields = vec![("id", id.into()), ("arn", arn(region, account, kind, id).into())];
        let group = self.view.world.group(&id.into()).filter(|_| kind == GROUP);
        fields.extend(group.map(|group| ("name", group.name.as_str().into())));
        fields
    }

    fn component(
        &self,
        hop: &Hop,
        place: u32,
        (packet, protocol): (Option<&PathPacket>, Option<PathProtocol>),
    ) -> Fields {
        let mut fields: Fields = vec![("sequenceNumber", number(place))];
        match hop {
            Hop::Instance(id) => fields.push(("component", self.named("instance", id.as_str()).into())),
            Hop::Eni(id) => {
                fields.push(("component", self.named(ENI, id.as_str()).into()));
                fields.extend(self.places(id));
            }
            Hop::Group { group, rule } => {
                fields.push(("component", self.named(GROUP, group.as_str()).into()));
                fields.push(("securityGroupRule", self::rule(group, rule).into()));
            }
            Hop::NetworkAcl { acl, entry } => {
                fields.push(("component", self.named(ACL, acl.as_str()).into()));
                fields.push(("aclRule", network_acls::analysed(entry).into()));
            }
        }
        let header = packet.map(|packet| header(packet, protocol));
        fields.extend(
            header.map(|header| (if place == 1 { "outboundHeader" } else { "inboundHeader" }, header.into())),
        );
        fields
    }

    /// Subnet and VPC of an interface that is there still.
    fn places(&self, eni: &EniId) -> Fields {
        let Some(eni) = self.view.world.eni(eni) else { return Vec::new() };
        vec![
            ("subnet", self.named("subnet", eni.subnet.as_str()).into()),
            ("vpc", self.named("vpc", eni.vpc.as_str()).into()),
        ]
    }

    fn explanation(&self, obstacle: &Obstacle) -> Fields {
        let of = |code: &str, eni: &EniId| -> Fields {
            let mut fields: Fields = vec![("explanationCode", code.into())];
            fields.push(("networkInterface", self.named(ENI, eni.as_str()).into()));
            fields.extend(self.places(eni));
            fields
        };
        match obstacle {
            Obstacle::RulesMismatch { eni, groups, direction } => {
                let mut fields = of("ENI_SG_RULES_MISMATCH", eni);
                let groups = groups.iter().map(|id| self.named(GROUP, id.as_str()));
                fields.push(("securityGroupSet", list("item", groups)));
                fields.push(("direction", direction_word(*direction).into()));
                fields
            }
            Obstacle::NoRules { eni, group, direction } => {
                let mut fields = of("SG_HAS_NO_RULES", eni);
                fields.push(("securityGroup", self.named(GROUP, group.as_str()).into()));
                fields.push(("direction", direction_word(*direction).into()));
                fields
            }
            Obstacle::NetworkAcl { eni, acl, direction, entry } => {
                let mut fields = of("SUBNET_ACL_RESTRICTION", eni);
                fields.push(("acl", self.named(ACL, acl.as_str()).into()));
                fields.push(("direction", direction_word(*direction).into()));
                fields.extend(entry.as_ref().map(|entry| ("aclRule", network_acls::analysed(entry).into())));
                fields
            }
            Obstacle::ForeignAddress { eni, address } => {
                let mut fields = of("ENI_ADDRESS_RESTRICTION", eni);
                fields.push(("address", address.as_str().into()));
                fields
            }
            Obstacle::NoRoute { eni, destination: _ } => of("NO_ROUTE_TO_DESTINATION", eni),
            Obstacle::Stopped(id) => vec![
                ("explanationCode", "BAD_STATE".into()),
                ("component", self.named("instance", id.as_str()).into()),
                ("state", "stopped".into()),
            ],
        }
    }
}

const ENI: &str = "network-interface";
const ACL: &str = "network-acl";
const GROUP: &str = "security-group";

fn direction_word(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "ingress",
        Direction::Egress => "egress",
    }
}

fn rule(group: &GroupId, spec: &RuleSpec) -> Fields {
    let mut fields: Fields = vec![
        ("direction", direction_word(spec.direction).into()),
        ("securityGroupId", group.as_str().into()),
        ("protocol", ec2::protocol(spec.protocol).into()),
    ];
    match &spec.peer {
        Peer::Cidr(cidr) => fields.push(("cidr", cidr.to_string().into())),
        Peer::PrefixList(id) => fields.push(("prefixListId", id.as_str().into())),
        // The model of the cloud has no place for a group that a rule names.
        Peer::Group { .. } => {}
    }
    let ports = ec2::numbers(spec.protocol, &spec.service);
    fields.extend(ports.map(|(from, to)| ("portRange", range(from, to))));
    fields
}

fn range(from: i64, to: i64) -> Node {
    Node::Object(vec![("from", number(from)), ("to", number(to))])
}

fn header(packet: &PathPacket, protocol: Option<PathProtocol>) -> Fields {
    let one = |port: u16| list("item", [range(port.into(), port.into())]);
    let mut fields: Fields = vec![
        ("sourceAddressSet", list("item", [packet.source.to_string()])),
        ("sourcePortRangeSet", one(packet.source_port)),
        ("destinationAddressSet", list("item", [packet.destination.to_string()])),
        ("destinationPortRangeSet", one(packet.destination_port)),
    ];
    fields.extend(protocol.map(|protocol| ("protocol", protocol.name().into())));
    fields
}
