//! A report as SARIF 2.1.0 (OASIS, 27 March 2020): one run, a rule for each control, a result for each finding.

use serde_json::{Value, json};

use super::{Asked, Cause, Finding, Report, Severity};

const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// The report as a SARIF log.
#[must_use]
pub fn sarif(report: &Report, version: &str) -> Value {
    let notifications = report.unjudged.iter().map(|unjudged| {
        let text = format!("{}/{}: {}", unjudged.control, unjudged.resource, unjudged.reason);
        json!({ "level": "error", "message": { "text": text } })
    });
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "sekimori comply",
                "version": version,
                "rules": report.controls.iter().map(|asked| rule(report, asked)).collect::<Vec<_>>(),
            } },
            "columnKind": "unicodeCodePoints",
            "invocations": [{
                "executionSuccessful": report.unjudged.is_empty(),
                "toolExecutionNotifications": notifications.collect::<Vec<_>>(),
            }],
            "properties": { "mode": report.mode, "revision": report.revision },
            "results": report.findings.iter().map(|finding| result(report, finding)).collect::<Vec<_>>(),
        }],
    })
}

fn rule(report: &Report, asked: &Asked) -> Value {
    let cis = report.cis_of(asked).into_iter().map(|cis| format!("CIS AWS {} {}", cis.version, cis.number));
    json!({
        "id": asked.id,
        "name": asked.config_rule,
        "shortDescription": { "text": asked.title },
        "help": { "text": asked.remediation },
        "defaultConfiguration": { "level": level(asked.severity) },
        "properties": {
            // What code scanning sorts by: the middle of each range of CVSS.
            "security-severity": match asked.severity {
                Severity::Low => "2.0",
                Severity::Medium => "5.5",
                Severity::High => "8.0",
                Severity::Critical => "9.5",
            },
            "tags": std::iter::once("security".to_owned()).chain(cis).collect::<Vec<_>>(),
            "parameters": asked.parameters,
        },
    })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Low => "note",
        Severity::Medium => "warning",
        Severity::High | Severity::Critical => "error",
    }
}

fn result(report: &Report, finding: &Finding) -> Value {
    let index = report.controls.iter().position(|asked| asked.id == finding.control);
    let resource = &finding.resource;
    let path = format!("accounts/{}/{}/{}", resource.account, resource.kind.replace("::", "-"), resource.id);
    let suppressions = finding.suppression.iter().map(|suppression| {
        let justification = format!("{} (until {})", suppression.reason, suppression.expires);
        json!({ "kind": "external", "status": "accepted", "justification": justification })
    });
    json!({
        "ruleId": finding.control,
        "ruleIndex": index,
        "level": level(finding.severity),
        "message": { "text": message(report, finding) },
        "locations": [{
            "physicalLocation": { "artifactLocation": { "uri": path }, "region": { "startLine": 1 } },
            "logicalLocations": [{
                "name": resource.id,
                "fullyQualifiedName": format!("{}/{}/{}", resource.account, resource.region, resource.id),
                "kind": "resource",
            }],
        }],
        "partialFingerprints": { "finding/v1": finding.id },
        "suppressions": suppressions.collect::<Vec<_>>(),
    })
}

fn message(report: &Report, finding: &Finding) -> String {
    let title = report.control(&finding.control).map(|asked| asked.title.as_str()).unwrap_or_default();
    let causes: Vec<String> = finding.causes.iter().map(in_one_line).collect();
    format!("{title}: {}: {}", finding.resource.id, causes.join("; "))
}

/// A cause with what it opens.
pub(super) fn in_one_line(cause: &Cause) -> String {
    if cause.opens.is_empty() { cause.text.clone() } else { format!("{} ({})", cause.text, cause.opens.join(", ")) }
}
