//! Diagnostic reports: what was found about an instance, by which metric, and how grave it is.
//!
//! A report tells of the world as it was when the report was made, and never changes. Who finds things is
//! `analysis`; here they are only bounded and kept.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    ids::{AccountId, EniId, InstanceId, ReportId},
    limits::{FINDING_CHARACTERS_MAX, FINDINGS_MAX, REPORTS_PER_ACCOUNT_MAX},
    time::Timestamp,
    world::{Revision, World},
};

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Metric {
    /// Whether the common ports are open to anybody.
    CommonPorts,
    /// Whether ports for administrators are open to the world.
    ManagementPorts,
    /// Whether the instance reaches common services outside.
    Outbound,
    /// Whether every rule has an effect.
    IdleRules,
    /// What several groups of one interface do to each other.
    GroupEffects,
}

impl Metric {
    /// Every metric, in the order in which a report has them.
    pub const ALL: [Self; 5] =
        [Self::CommonPorts, Self::ManagementPorts, Self::Outbound, Self::IdleRules, Self::GroupEffects];
}

/// How grave something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Severity {
    /// There is no answer.
    Unknown,
    /// Nothing was found.
    Normal,
    /// It may have to do with a problem.
    Info,
    /// It may make a problem.
    Warn,
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The interface it is about; `None` is the instance as a whole.
    pub eni: Option<EniId>,
    /// How grave it is.
    pub severity: Severity,
    /// In words.
    pub text: String,
}

/// What one metric found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricResult {
    /// The metric.
    pub metric: Metric,
    /// Whether there is an answer: rules may be too many for an exact one.
    pub is_known: bool,
    /// What was found.
    pub findings: Vec<Finding>,
}

impl MetricResult {
    /// A result with so many findings, and so many words in each, as a report holds. The last one tells what is left
    /// out.
    #[must_use]
    pub fn of(metric: Metric, mut findings: Vec<Finding>) -> Self {
        let left_out = findings.len().saturating_sub(FINDINGS_MAX);
        if left_out > 0 {
            findings.truncate(FINDINGS_MAX - 1);
            let severity = findings.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Info);
            let text = format!("{} more like these; ask about each interface alone", left_out + 1);
            findings.push(Finding { eni: None, severity, text });
        }
        for finding in &mut findings {
            if let Some((end, _)) = finding.text.char_indices().nth(FINDING_CHARACTERS_MAX) {
                finding.text.truncate(end);
            }
        }
        Self { metric, is_known: true, findings }
    }

    /// The result of a metric that has no answer.
    #[must_use]
    pub fn unknown(metric: Metric) -> Self {
        Self { metric, is_known: false, findings: Vec::new() }
    }

    /// The gravest of what was found.
    #[must_use]
    pub fn severity(&self) -> Severity {
        if !self.is_known {
            return Severity::Unknown;
        }
        self.findings.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Normal)
    }
}

/// A report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Its name.
    pub id: ReportId,
    /// Its owner.
    pub account: AccountId,
    /// The region of the instance.
    pub region: String,
    /// The instance, which may be gone.
    pub instance: InstanceId,
    /// The beginning of the time that the owner asked about; it is only repeated.
    pub from: Option<Timestamp>,
    /// The end of it.
    pub until: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// The world that was looked at.
    pub revision: Revision,
    /// What every metric found, in the order of [`Metric::ALL`].
    pub results: Vec<MetricResult>,
}

impl Report {
    /// The gravest of what was found.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.results.iter().map(MetricResult::severity).max().unwrap_or(Severity::Unknown)
    }
}

impl World {
    /// One report of an account.
    #[must_use]
    pub fn report(&self, account: &AccountId, id: &ReportId) -> Option<&Arc<Report>> {
        self.reports.get(&(account.clone(), id.clone()))
    }

    /// The reports of an account, by id.
    pub fn reports_of(&self, account: &AccountId) -> impl Iterator<Item = &Arc<Report>> + use<'_> {
        let first = (account.clone(), ReportId::from(""));
        let account = account.clone();
        let own = self.reports.range(first..).take_while(move |((owner, _), _)| *owner == account);
        own.map(|(_, report)| report)
    }

    /// Reports of an account that must go before another one comes: the oldest.
    pub(crate) fn outdated_reports(&self, account: &AccountId) -> Vec<ReportId> {
        let mut own: Vec<&Arc<Report>> = self.reports_of(account).collect();
        let too_many = (own.len() + 1).saturating_sub(REPORTS_PER_ACCOUNT_MAX);
        own.sort_by(|one, other| {
            (one.created_at, one.revision, &one.id).cmp(&(other.created_at, other.revision, &other.id))
        });
        own.into_iter().take(too_many).map(|report| report.id.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(text: String) -> Finding {
        Finding { eni: None, severity: Severity::Warn, text }
    }

    #[test]
    fn a_result_is_as_grave_as_what_was_found() {
        assert_eq!(MetricResult::of(Metric::Outbound, Vec::new()).severity(), Severity::Normal);
        assert_eq!(MetricResult::unknown(Metric::Outbound).severity(), Severity::Unknown);
        let info = Finding { severity: Severity::Info, ..finding(String::new()) };
        let both = MetricResult::of(Metric::Outbound, vec![finding(String::new()), info]);
        assert_eq!(both.severity(), Severity::Warn);
    }

    #[test]
    fn findings_and_their_words_are_bounded_and_the_rest_is_told() {
        let all = vec![finding("é".repeat(FINDING_CHARACTERS_MAX + 9)); FINDINGS_MAX + 5];
        let result = MetricResult::of(Metric::IdleRules, all);
        assert_eq!(result.findings.len(), FINDINGS_MAX);
        assert_eq!(result.findings[0].text.chars().count(), FINDING_CHARACTERS_MAX);
        let last = &result.findings[FINDINGS_MAX - 1];
        assert_eq!(
            (last.severity, last.text.as_str()),
            (Severity::Warn, "6 more like these; ask about each interface alone")
        );
        let full = MetricResult::of(Metric::IdleRules, vec![finding("x".to_owned()); FINDINGS_MAX]);
        assert!(full.findings.iter().all(|finding| finding.text == "x"));
    }
}
