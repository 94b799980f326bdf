//! `GET /v1/why`: the answer of the analysis, with what hosts have counted and told of such packets.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use axum::extract::{Query, State, rejection::QueryRejection};
use serde::Deserialize;

use sekimori_analysis::why::{self, Explanation, Goal, Leg, Question};
use sekimori_core::{
    address::{Cidr, Family},
    feed::{Count, Counter, reason_name},
    ids::EniId,
    live_flow::FlowMatch,
    packet::Why,
    rule::Direction,
    world::World,
};

use super::{Answer, ApiError, apart, history::world_at, json};
use crate::{
    api::{Decided, EnforcedAt, ErrorCode, Evidence, FlowSight, LiveEvidence, WhyAnswer},
    app::App,
    flows::FlowFilter,
    live,
};

/// Events that are told of one question.
const WHY_FLOWS_MAX: usize = 20;
/// Interfaces and directions whose counters are told of one question.
const WHY_COUNTERS_MAX: usize = 64;

/// The parameters of `GET /v1/why`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WhyQuery {
    from: String,
    to: String,
    service: String,
    vpc: Option<String>,
    source_port: Option<u16>,
    goal: Option<String>,
    family: Option<String>,
    at: Option<u64>,
    at_time: Option<i64>,
}

/// `GET /v1/why?from=&to=&service=&vpc=&source_port=&goal=&family=&at=&at_time=`.
pub(super) async fn why(
    State(app): State<Arc<App>>,
    query: Result<Query<WhyQuery>, QueryRejection>,
) -> Answer<WhyAnswer> {
    let Query(query) = query.map_err(|error| {
        invalid(format!("the question cannot be read: {}; give from, to and service", error.body_text()))
    })?;
    let (at, at_time) = (query.at, query.at_time);
    let (question, goal) = read(query)?;
    let world = world_at(&app, at, at_time).await?;
    let (asked, limits) = (world.clone(), app.limits);
    let explanation = apart(&app, move || why::explain(&asked, &question, goal, limits)).await??;
    let is_past = at.is_some() || at_time.is_some();
    let evidence = if is_past { nothing_seen(&app) } else { evidence(&app, &world, &explanation).await };
    json(WhyAnswer { explanation, evidence })
}

fn read(query: WhyQuery) -> Result<(Question, Goal), ApiError> {
    let WhyQuery { from, to, service, vpc, source_port, goal, family, .. } = query;
    let goal = match goal.as_deref() {
        None | Some("allow") => Goal::Allow,
        Some("stop") => Goal::Stop,
        Some(other) => return Err(invalid(format!("`{other}` is not a goal; use allow or stop"))),
    };
    let family = match family.as_deref() {
        None => None,
        Some("ipv4") => Some(Family::V4),
        Some("ipv6") => Some(Family::V6),
        Some(other) => return Err(invalid(format!("`{other}` is not a family; use ipv4 or ipv6"))),
    };
    Ok((Question { from, to, service, source_port, vpc, family }, goal))
}

fn invalid(message: String) -> ApiError {
    ApiError::new(ErrorCode::Invalid, message)
}

/// What is counted and seen now is no evidence of the past.
fn nothing_seen(app: &App) -> Evidence {
    let (hosts, counters, flows) = (Vec::new(), Vec::new(), Vec::new());
    let live = LiveEvidence::default();
    Evidence { hosts, counters, watched_since: app.usage.since(), live, flows, recorded_since: None }
}

async fn evidence(app: &App, world: &World, explanation: &Explanation) -> Evidence {
    let legs = legs(explanation);
    let enis: BTreeSet<&EniId> = legs.iter().map(|leg| &leg.eni).collect();
    Evidence {
        hosts: enis.into_iter().map(|eni| enforced(app, world, eni)).collect(),
        counters: legs.iter().map(|leg| decided(app, world, leg)).collect(),
        watched_since: app.usage.since(),
        live: live_flows(app, world, explanation).await,
        flows: flows(app, explanation),
        recorded_since: app.hosts.flows.recorded_since(),
    }
}

/// The judgements of the answer, those of other pairs as well, each interface and reason once.
fn legs(explanation: &Explanation) -> Vec<&Leg> {
    let others = explanation.answers.iter().flat_map(|answer| answer.legs.iter().chain(&answer.answer_dropped));
    let all = explanation.report.legs.iter().chain(&explanation.report.answer_dropped).chain(others);
    let mut known: BTreeSet<(&EniId, Direction, &Why)> = BTreeSet::new();
    all.filter(|leg| known.insert((&leg.eni, leg.direction, &leg.decision.why))).take(WHY_COUNTERS_MAX).collect()
}

fn enforced(app: &App, world: &World, id: &EniId) -> EnforcedAt {
    let host = world.eni(id).and_then(|eni| world.home_of(eni)).cloned();
    let status = app.hosts.all().into_iter().find(|status| Some(&status.host) == host.as_ref());
    let applied = status.and_then(|status| status.applied);
    EnforcedAt {
        eni: id.clone(),
        host,
        applied,
        is_current: applied.is_some_and(|applied| applied >= world.revision()),
    }
}

fn decided(app: &App, world: &World, leg: &Leg) -> Decided {
    let (reason, direction) = (reason_name(&leg.decision.why).to_owned(), leg.direction);
    let (group, rule) = (leg.group.as_ref().map(|group| group.id.clone()), leg.rule.clone());
    let count = match &group {
        Some(group) => app.hosts.counts.count_of(&Counter::Rule { group: group.clone(), rule: rule.clone() }),
        None => {
            let host = world.eni(&leg.eni).and_then(|eni| world.home_of(eni));
            let packets = host.map(|host| app.hosts.counts.packets_of(host, &leg.eni, direction, &reason));
            Count { packets: packets.unwrap_or_default(), bytes: 0 }
        }
    };
    let last_used = group.as_ref().zip(rule.as_ref()).and_then(|(group, rule)| app.usage.last_use(group, rule));
    Decided { eni: leg.eni.clone(), direction, group, rule, reason, count, last_used }
}

/// The live flows of the service at the interfaces of the answer; between the two ends, if they are two.
async fn live_flows(app: &App, world: &World, explanation: &Explanation) -> LiveEvidence {
    let transport = explanation.report.transport;
    let matches: BTreeMap<(&EniId, Direction), FlowMatch> = legs(explanation)
        .into_iter()
        .map(|leg| {
            let of_leg = FlowMatch {
                eni: Some(leg.eni.clone()),
                direction: Some(leg.direction),
                peer: other_end(explanation, leg),
                protocol: Some(transport.protocol()),
                port: transport.destination_port(),
            };
            ((&leg.eni, leg.direction), of_leg)
        })
        .collect();
    let questions = live::of_matches(&app.hosts, world, matches.into_values(), WHY_FLOWS_MAX as u32);
    let heard = live::ask(&app.hosts, questions).await;
    let (count, unknown) = (heard.flows.len() as u64 + heard.untold(), heard.missing());
    let some = heard.flows.into_iter().take(WHY_FLOWS_MAX);
    LiveEvidence { count, flows: some.map(|(host, flow)| super::live::sight(world, host, flow)).collect(), unknown }
}

/// The other end of a leg, where the question is about two ends only.
fn other_end(explanation: &Explanation, leg: &Leg) -> Option<Cidr> {
    let report = &explanation.report;
    let other = if leg.direction == Direction::Egress { &report.to } else { &report.from };
    (explanation.pairs == 1).then(|| other.address.to_string().parse().ok()).flatten()
}

/// The newest events of the service at the interfaces of the answer; between the two ends, if they are two.
fn flows(app: &App, explanation: &Explanation) -> Vec<FlowSight> {
    let report = &explanation.report;
    let mut found = Vec::new();
    for leg in &report.legs {
        let filter = FlowFilter {
            eni: Some(leg.eni.clone()),
            peer: other_end(explanation, leg),
            port: report.transport.destination_port(),
            protocol: Some(report.transport.protocol()),
            ..FlowFilter::default()
        };
        let (sights, _, _) = app.hosts.flows.list(&filter, WHY_FLOWS_MAX);
        let of_leg = sights.iter().filter(|sight| sight.event.direction == leg.direction);
        found.extend(of_leg.map(|sight| FlowSight::clone(sight)));
    }
    found.sort_by_key(|sight| sight.event.at_ms);
    let surplus = found.len().saturating_sub(WHY_FLOWS_MAX);
    found.drain(..surplus);
    found
}
