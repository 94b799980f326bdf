//! Flow logs: made for each resource by itself, deleted all or none.

use std::sync::Arc;

use super::{Draft, missing, within};
use crate::{
    change::Change,
    command::{NewFlowLogs, Outcome},
    flow_log::FlowLog,
    ids::{AccountId, FlowLogId},
    limits::{FLOW_LOGS_PER_ACCOUNT_MAX, FLOW_LOGS_PER_RESOURCE_MAX},
    refusal::{Counted, Kind, Refusal},
    resource::Resource,
};

impl Draft<'_> {
    /// A resource that cannot have one says why, and the others get theirs.
    pub(super) fn create_flow_logs(&mut self, new: &NewFlowLogs) -> Result<Outcome, Refusal> {
        within(Counted::Tags, self.limits(&new.account).tags, new.tags.len())?;
        let (mut made, mut failed) = (Vec::new(), Vec::new());
        for resource in &new.resources {
            match self.create_flow_log(new, resource) {
                Ok(id) => made.push(id),
                Err(refusal) => failed.push((resource.as_str().to_owned(), refusal)),
            }
        }
        Ok(Outcome::FlowLogs { made, failed })
    }

    fn create_flow_log(&mut self, new: &NewFlowLogs, resource: &Resource) -> Result<FlowLogId, Refusal> {
        let NewFlowLogs { account, region, resources: _, config, tags } = new;
        let labels = self.world.labels(resource);
        let own = labels.filter(|labels| labels.account == account && labels.region == region);
        own.ok_or_else(|| missing(resource.kind(), resource.as_str()))?;
        let own = || self.world.flow_logs().filter(|log| log.account == *account);
        within(Counted::FlowLogs, FLOW_LOGS_PER_ACCOUNT_MAX, own().count() + 1)?;
        let same = || own().filter(|log| log.resource == *resource);
        if same().any(|log| log.config.repeats(config)) {
            return Err(Refusal::FlowLogExists { resource: resource.as_str().to_owned() });
        }
        within(Counted::FlowLogsOfResource, FLOW_LOGS_PER_RESOURCE_MAX, same().count() + 1)?;
        let dialect = self.world.dialect_of(account);
        let id: FlowLogId = self.context.ids.fresh(dialect, "fl", |id| self.world.flow_log(id).is_some());
        let log = FlowLog {
            id: id.clone(),
            account: account.clone(),
            region: region.clone(),
            resource: resource.clone(),
            config: config.clone(),
            tags: tags.clone(),
            created_at: self.context.now,
        };
        self.put(Change::PutFlowLog(Arc::new(log)));
        Ok(id)
    }

    pub(super) fn delete_flow_logs(
        &mut self,
        account: &AccountId,
        region: &str,
        ids: &[FlowLogId],
    ) -> Result<Outcome, Refusal> {
        for id in ids {
            let own = self.world.flow_log(id).filter(|log| log.account == *account && log.region == region);
            own.ok_or_else(|| missing(Kind::FlowLog, id))?;
            self.put(Change::DeleteFlowLog(id.clone()));
        }
        Ok(Outcome::Done)
    }
}
