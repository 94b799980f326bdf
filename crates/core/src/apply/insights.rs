//! Paths and their analyses, of which an account has the newest.

use std::sync::Arc;

use super::{Draft, missing, within};
use crate::{
    change::Change,
    command::{NewInsightsAnalysis, NewInsightsPath, Outcome},
    ids::{AccountId, InsightsAnalysisId, InsightsPathId},
    insights::{InsightsAnalysis, InsightsPath},
    limits::INSIGHTS_PATHS_PER_ACCOUNT_MAX,
    refusal::{Counted, Kind, Refusal},
};

impl Draft<'_> {
    pub(super) fn create_insights_path(&mut self, new: &NewInsightsPath) -> Result<Outcome, Refusal> {
        let NewInsightsPath { account, region, question, tags } = new;
        within(Counted::Tags, self.limits(account).tags, tags.len())?;
        let owned = self.world.insights_paths().filter(|path| path.account == *account).count();
        within(Counted::InsightsPaths, INSIGHTS_PATHS_PER_ACCOUNT_MAX, owned + 1)?;
        let dialect = self.world.dialect_of(account);
        let id: InsightsPathId = self.context.ids.fresh(dialect, "nip", |id| self.world.insights_path(id).is_some());
        let path = InsightsPath {
            id: id.clone(),
            account: account.clone(),
            region: region.clone(),
            question: question.clone(),
            tags: tags.clone(),
            created_at: self.context.now,
        };
        self.put(Change::PutInsightsPath(Arc::new(path)));
        Ok(Outcome::InsightsPath(id))
    }

    /// A path that was analysed stays until its analyses are gone.
    pub(super) fn delete_insights_path(
        &mut self,
        account: &AccountId,
        id: &InsightsPathId,
    ) -> Result<Outcome, Refusal> {
        self.own_path(account, id)?;
        if let Some(analysis) = self.world.analyses_of(account).find(|analysis| analysis.path == *id) {
            let by = analysis.id.to_string();
            return Err(Refusal::InUse { kind: Kind::InsightsPath, id: id.to_string(), by });
        }
        self.put(Change::DeleteInsightsPath(id.clone()));
        Ok(Outcome::Done)
    }

    /// An analysis is never refused because there were many: the oldest goes.
    pub(super) fn create_insights_analysis(&mut self, new: &NewInsightsAnalysis) -> Result<Outcome, Refusal> {
        let NewInsightsAnalysis { account, path, revision, finding, tags } = new;
        within(Counted::Tags, self.limits(account).tags, tags.len())?;
        let path = self.own_path(account, path)?;
        for id in self.world.outdated_analyses(account) {
            self.put(Change::DeleteInsightsAnalysis(id));
        }
        let dialect = self.world.dialect_of(account);
        let is_taken = |id: &InsightsAnalysisId| self.world.insights_analysis(id).is_some();
        let id = self.context.ids.fresh(dialect, "nia", is_taken);
        let analysis = InsightsAnalysis {
            id: id.clone(),
            account: account.clone(),
            path: path.id.clone(),
            region: path.region.clone(),
            started_at: self.context.now,
            revision: *revision,
            finding: finding.clone(),
            tags: tags.clone(),
        };
        self.put(Change::PutInsightsAnalysis(Arc::new(analysis)));
        Ok(Outcome::InsightsAnalysis(id))
    }

    pub(super) fn delete_insights_analysis(
        &mut self,
        account: &AccountId,
        id: &InsightsAnalysisId,
    ) -> Result<Outcome, Refusal> {
        let own = self.world.insights_analysis(id).filter(|analysis| analysis.account == *account);
        own.ok_or_else(|| missing(Kind::InsightsAnalysis, id))?;
        self.put(Change::DeleteInsightsAnalysis(id.clone()));
        Ok(Outcome::Done)
    }

    fn own_path(&self, account: &AccountId, id: &InsightsPathId) -> Result<Arc<InsightsPath>, Refusal> {
        let own = self.world.insights_path(id).filter(|path| path.account == *account);
        own.cloned().ok_or_else(|| missing(Kind::InsightsPath, id))
    }
}
