//! Flow logs: made for each resource by itself, changed, turned on and off, deleted all or none.

use std::sync::Arc;

use super::{Draft, missing, within};
use crate::{
    change::Change,
    command::{FlowLogCommand, FlowLogEdit, NewFlowLogs, Outcome},
    flow_log::FlowLog,
    ids::{AccountId, FlowLogId},
    limits::{FLOW_LOGS_PER_ACCOUNT_MAX, flow_logs_per_resource_max},
    refusal::{Counted, Kind, Refusal},
    resource::Resource,
};

impl Draft<'_> {
    pub(super) fn run_flow_logs(
        &mut self,
        account: &AccountId,
        region: &str,
        command: &FlowLogCommand,
    ) -> Result<Outcome, Refusal> {
        match command {
            FlowLogCommand::Create(new) => self.create_flow_logs(account, region, new),
            FlowLogCommand::Edit { flow_log, edit } => {
                let old = self.own_flow_log(account, region, flow_log)?;
                Ok(self.put_flow_log(&old, edited(&old, edit)))
            }
            FlowLogCommand::SetActive { flow_log, is_active } => {
                let old = self.own_flow_log(account, region, flow_log)?;
                let since = is_active.then(|| old.active_since.unwrap_or(self.context.now));
                Ok(self.put_flow_log(&old, FlowLog { active_since: since, ..FlowLog::clone(&old) }))
            }
            FlowLogCommand::Delete { flow_logs } => self.delete_flow_logs(account, region, flow_logs),
        }
    }

    /// A resource that cannot have one says why, and the others get theirs, unless all were to have one.
    fn create_flow_logs(&mut self, account: &AccountId, region: &str, new: &NewFlowLogs) -> Result<Outcome, Refusal> {
        within(Counted::Tags, self.limits(account).tags, new.tags.len())?;
        self.check_resource_group(account, &new.resource_group)?;
        let (mut made, mut failed) = (Vec::new(), Vec::new());
        for resource in &new.resources {
            match self.create_flow_log((account, region), new, resource) {
                Ok(id) => made.push(id),
                Err(refusal) if new.is_all_or_none => return Err(refusal),
                Err(refusal) => failed.push((resource.as_str().to_owned(), refusal)),
            }
        }
        Ok(Outcome::FlowLogs { made, failed })
    }

    fn create_flow_log(
        &mut self,
        (account, region): (&AccountId, &str),
        new: &NewFlowLogs,
        resource: &Resource,
    ) -> Result<FlowLogId, Refusal> {
        let labels = self.world.labels(resource);
        let own = labels.filter(|labels| labels.account == account && labels.region == region);
        own.ok_or_else(|| missing(resource.kind(), resource.as_str()))?;
        let own = || self.world.flow_logs().filter(|log| log.account == *account);
        within(Counted::FlowLogs, FLOW_LOGS_PER_ACCOUNT_MAX, own().count() + 1)?;
        let same = || own().filter(|log| log.resource == *resource);
        if same().any(|log| log.config.repeats(&new.config)) {
            return Err(Refusal::FlowLogExists { resource: resource.as_str().to_owned() });
        }
        let dialect = self.world.dialect_of(account);
        within(Counted::FlowLogsOfResource, flow_logs_per_resource_max(dialect), same().count() + 1)?;
        let id: FlowLogId = self.context.ids.fresh(dialect, "fl", |id| self.world.flow_log(id).is_some());
        let log = FlowLog {
            id: id.clone(),
            account: account.clone(),
            region: region.to_owned(),
            resource: resource.clone(),
            name: new.name.clone(),
            description: new.description.clone(),
            resource_group: new.resource_group.clone(),
            config: new.config.clone(),
            tags: new.tags.clone(),
            created_at: self.context.now,
            active_since: Some(self.context.now),
        };
        self.put(Change::PutFlowLog(Arc::new(log)));
        Ok(id)
    }

    fn delete_flow_logs(&mut self, account: &AccountId, region: &str, ids: &[FlowLogId]) -> Result<Outcome, Refusal> {
        for id in ids {
            self.own_flow_log(account, region, id)?;
            self.put(Change::DeleteFlowLog(id.clone()));
        }
        Ok(Outcome::Done)
    }

    fn own_flow_log(&self, account: &AccountId, region: &str, id: &FlowLogId) -> Result<Arc<FlowLog>, Refusal> {
        let own = self.world.flow_log(id).filter(|log| log.account == *account && log.region == region);
        own.cloned().ok_or_else(|| missing(Kind::FlowLog, id))
    }

    fn put_flow_log(&mut self, old: &FlowLog, new: FlowLog) -> Outcome {
        if *old != new {
            self.put(Change::PutFlowLog(Arc::new(new)));
        }
        Outcome::Done
    }
}

fn edited(old: &FlowLog, edit: &FlowLogEdit) -> FlowLog {
    let FlowLogEdit { name, description, interval_s, format, addresses } = edit;
    let mut log = old.clone();
    log.name.clone_from(name.as_ref().unwrap_or(&old.name));
    log.description.clone_from(description.as_ref().unwrap_or(&old.description));
    log.config.interval_s = interval_s.unwrap_or(old.config.interval_s);
    log.config.format.clone_from(format.as_ref().unwrap_or(&old.config.format));
    log.config.addresses = addresses.unwrap_or(old.config.addresses);
    log
}
