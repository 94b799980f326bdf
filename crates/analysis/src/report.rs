//! What a diagnostic report of an instance holds: the exact answers of this crate, metric by metric.
//!
//! A metric whose rules are too many for an exact answer says that it has none; the others are told all the same.

use std::{collections::BTreeSet, sync::Arc};

use sekimori_core::{
    address::Cidr,
    diagnosis::{Finding, Metric, MetricResult, Severity},
    ids::{EniId, GroupId, InstanceId},
    rule::Direction,
    space::TooComplex,
    world::{Eni, World, group_set},
};

use crate::{
    diagnose::{self, Access, Check, DiagnoseError, Question},
    health::{self, State},
    merge,
    planning::{Advice, opening},
    portions::Portions,
};

/// What an instance reaches outside before it does anything else.
const OUTBOUND: [&str; 3] = ["udp/53", "tcp/80", "tcp/443"];

/// Looks at every interface of an instance.
#[must_use]
pub fn examine(world: &World, instance: &InstanceId) -> Vec<MetricResult> {
    let enis: Vec<&Arc<Eni>> = world.enis_of(instance).collect();
    let result = |metric| match found(world, &enis, metric) {
        Ok(findings) => MetricResult::of(metric, findings),
        Err(_) => MetricResult::unknown(metric),
    };
    Metric::ALL.into_iter().map(result).collect()
}

fn found(world: &World, enis: &[&Arc<Eni>], metric: Metric) -> Result<Vec<Finding>, TooComplex> {
    let of_each = |look: fn(&World, &Eni) -> Result<Vec<Finding>, TooComplex>| {
        let all: Vec<Vec<Finding>> = enis.iter().map(|eni| look(world, eni)).collect::<Result<_, _>>()?;
        Ok(all.into_iter().flatten().collect())
    };
    match metric {
        Metric::CommonPorts => of_each(common_ports),
        Metric::ManagementPorts => of_each(management_ports),
        Metric::Outbound => of_each(outbound),
        Metric::IdleRules => idle_rules(world, enis),
        Metric::GroupEffects => of_each(group_effects),
    }
}

/// What nobody can reach. That may well be meant.
fn common_ports(world: &World, eni: &Eni) -> Result<Vec<Finding>, TooComplex> {
    let closed = checks(world, eni, Direction::Ingress, None)?.into_iter().filter(is_closed);
    Ok(closed.map(|check| of_check(&eni.id, Severity::Info, &check, "from")).collect())
}

fn outbound(world: &World, eni: &Eni) -> Result<Vec<Finding>, TooComplex> {
    let mut findings = Vec::new();
    for service in OUTBOUND {
        let closed = checks(world, eni, Direction::Egress, Some(service))?.into_iter().filter(is_closed);
        findings.extend(closed.map(|check| of_check(&eni.id, Severity::Warn, &check, "to")));
    }
    Ok(findings)
}

fn management_ports(world: &World, eni: &Eni) -> Result<Vec<Finding>, TooComplex> {
    let portions = Portions::of(world, (&group_set(&eni.groups), &eni.vpc), Direction::Ingress)?;
    let mut findings = Vec::new();
    for port in Advice::default().management_ports {
        for family in [Cidr::WORLD_V4, Cidr::WORLD_V6] {
            let Some(rule) = opening(world, &portions, (port, family))? else { continue };
            let text = format!("tcp/{port} is open to {family} by {rule}");
            findings.push(Finding { eni: Some(eni.id.clone()), severity: Severity::Warn, text });
        }
    }
    Ok(findings)
}

/// Rules of the groups, each once however many interfaces carry it.
fn idle_rules(world: &World, enis: &[&Arc<Eni>]) -> Result<Vec<Finding>, TooComplex> {
    let groups: BTreeSet<&GroupId> = enis.iter().flat_map(|eni| &eni.groups).collect();
    let mut findings = Vec::new();
    for group in groups.into_iter().filter_map(|id| world.group(id)) {
        findings.extend(health::idle(world, group)?.iter().filter_map(of_rule));
    }
    Ok(findings)
}

fn of_rule(finding: &health::Finding) -> Option<Finding> {
    let what = match finding.state {
        State::DecidesNothing => "decides nothing",
        State::ChangesNothing => "changes nothing",
        State::DiffersByPolicy | State::Decides => return None,
    };
    let health::Finding { group, rule, direction, rule_text, .. } = finding;
    let text = format!("{direction} rule {rule} of {} {what}: {rule_text}", group.id);
    Some(Finding { eni: None, severity: Severity::Info, text })
}

fn group_effects(world: &World, eni: &Eni) -> Result<Vec<Finding>, TooComplex> {
    let notes = merge::explain(world, eni).into_iter();
    Ok(notes.map(|text| Finding { eni: Some(eni.id.clone()), severity: Severity::Info, text }).collect())
}

/// The checks of a diagnosis. An interface without an address of a family has none for it.
fn checks(world: &World, eni: &Eni, direction: Direction, service: Option<&str>) -> Result<Vec<Check>, TooComplex> {
    let (target, service) = (eni.id.to_string(), service.map(str::to_owned));
    match diagnose::ask(world, &Question { target, direction, peer: None, service }) {
        Ok(report) => Ok(report.checks),
        Err(DiagnoseError::TooComplex(error)) => Err(error),
        Err(DiagnoseError::Target(_) | DiagnoseError::Service(_) | DiagnoseError::Family { .. }) => Ok(Vec::new()),
    }
}

fn is_closed(check: &Check) -> bool {
    check.access == Access::Closed
}

fn of_check(eni: &EniId, severity: Severity, check: &Check, preposition: &str) -> Finding {
    let by: Vec<&str> = check.deciding.iter().map(|line| line.text.as_str()).collect();
    let text = format!("{} {preposition} {} is closed: {}", check.service, check.peer, by.join("; "));
    Finding { eni: Some(eni.clone()), severity, text }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::fixture;

    fn check(world: &str, instance: &str, expected: Expect) {
        let line = |finding: &Finding| {
            let eni = finding.eni.as_ref().map_or("-", |eni| eni.as_str());
            format!("  {:?} {eni} {}", finding.severity, finding.text)
        };
        let results = examine(&fixture::world(world), &instance.into()).into_iter().map(|result| {
            let findings: Vec<String> = result.findings.iter().map(line).collect();
            [vec![format!("{:?} {:?}", result.metric, result.severity())], findings].concat().join("\n")
        });
        expected.assert_eq(&results.collect::<Vec<_>>().join("\n"));
    }

    #[test]
    fn each_metric_tells_what_the_questions_of_this_crate_tell() {
        check(
            "sg web
             sg wall drop
             web: in allow icmp from 0.0.0.0/0
             web: in allow tcp 80-443 from 0.0.0.0/0
             web: in allow tcp 443 from 10.0.0.0/8
             web: in allow tcp 3389 from 203.0.113.7
             web: in allow tcp 8080 from 0.0.0.0/0
             wall: in allow tcp 22 from 0.0.0.0/0
             wall: in deny tcp 8080 from 0.0.0.0/0
             eni a 10.0.0.1 in web wall",
            "i-a",
            expect![[r#"
                CommonPorts Info
                  Info eni-a tcp/8080 from 0.0.0.0/0 is closed: rule r7 of sg-wall (wall): deny tcp 8080 from 0.0.0.0/0, priority 1
                ManagementPorts Warn
                  Warn eni-a tcp/22 is open to 0.0.0.0/0 by rule r6 of sg-wall (wall): allow tcp 22 from 0.0.0.0/0, priority 1
                Outbound Normal
                IdleRules Info
                  Info - ingress rule r3 of sg-web decides nothing: allow tcp 443 from 10.0.0.0/8, priority 1
                  Info - ingress rule r5 of sg-web decides nothing: allow tcp 8080 from 0.0.0.0/0, priority 1
                GroupEffects Info
                  Info eni-a isolated in sg-wall (wall), but not from interfaces that share sg-web (web) as well: one shared group that accepts is enough
                  Info eni-a ingress: rule r5 of sg-web (web): allow tcp 8080 from 0.0.0.0/0, priority 1, decides nothing here: rule r7 of sg-wall (wall): deny tcp 8080 from 0.0.0.0/0, priority 1 comes first"#]],
        );
    }

    #[test]
    fn an_enterprise_group_without_rules_reaches_nothing() {
        check(
            "sg fort enterprise\neni a 10.0.0.1 in fort",
            "i-a",
            expect![[r#"
            CommonPorts Info
              Info eni-a icmp/8/0 from 0.0.0.0/0 is closed: no rule matches; ingress default of ecs enterprise
              Info eni-a tcp/80 from 0.0.0.0/0 is closed: no rule matches; ingress default of ecs enterprise
              Info eni-a tcp/443 from 0.0.0.0/0 is closed: no rule matches; ingress default of ecs enterprise
              Info eni-a tcp/22 from 0.0.0.0/0 is closed: no rule matches; ingress default of ecs enterprise
              Info eni-a tcp/3389 from 0.0.0.0/0 is closed: no rule matches; ingress default of ecs enterprise
              Info eni-a tcp/8080 from 0.0.0.0/0 is closed: no rule matches; ingress default of ecs enterprise
            ManagementPorts Normal
            Outbound Warn
              Warn eni-a udp/53 to 0.0.0.0/0 is closed: no rule matches; egress default of ecs enterprise
              Warn eni-a tcp/80 to 0.0.0.0/0 is closed: no rule matches; egress default of ecs enterprise
              Warn eni-a tcp/443 to 0.0.0.0/0 is closed: no rule matches; egress default of ecs enterprise
            IdleRules Normal
            GroupEffects Normal"#]],
        );
    }

    #[test]
    fn an_instance_without_interfaces_has_nothing_to_tell() {
        check(
            "sg web\neni a 10.0.0.1 in web",
            "i-none",
            expect![[r#"
            CommonPorts Normal
            ManagementPorts Normal
            Outbound Normal
            IdleRules Normal
            GroupEffects Normal"#]],
        );
    }
}
