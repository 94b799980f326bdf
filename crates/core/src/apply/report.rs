//! Diagnostic reports, of which an account has the newest.

use std::sync::Arc;

use super::Draft;
use crate::{
    change::Change,
    command::{NewReport, Outcome},
    diagnosis::Report,
    ids::ReportId,
    refusal::Refusal,
};

impl Draft<'_> {
    /// A diagnosis is never refused because there were many: the oldest report goes.
    pub(super) fn create_report(&mut self, new: &NewReport) -> Result<Outcome, Refusal> {
        let NewReport { account, instance, from, until, revision, results } = new;
        let target = self.own_instance(account, instance)?;
        for id in self.world.outdated_reports(account) {
            self.put(Change::DeleteReport { account: account.clone(), id });
        }
        let dialect = self.world.dialect_of(account);
        let id: ReportId = self.context.ids.fresh(dialect, "dr", |id| self.world.report(account, id).is_some());
        let report = Report {
            id: id.clone(),
            account: account.clone(),
            region: self.world.region_of(&target.vpc).to_owned(),
            instance: instance.clone(),
            from: *from,
            until: *until,
            created_at: self.context.now,
            revision: *revision,
            results: results.clone(),
        };
        self.put(Change::PutReport(Arc::new(report)));
        Ok(Outcome::Report(id))
    }
}
