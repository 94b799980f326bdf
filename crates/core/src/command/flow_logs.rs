//! What is said about flow logs. Plain data; [`crate::apply`] gives it its meaning.

use serde::{Deserialize, Serialize};

use crate::{
    flow_log::{FlowLogConfig, LoggedAddresses},
    ids::FlowLogId,
    resource::Resource,
    tags::Tags,
};

/// What is to be done to flow logs of an account in a region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FlowLogCommand {
    /// Makes some, one for each resource that can have it.
    Create(Box<NewFlowLogs>),
    /// Changes one.
    Edit {
        /// Which.
        flow_log: FlowLogId,
        /// What changes.
        edit: FlowLogEdit,
    },
    /// Begins to write records of one, or ends it. One that is so already stays as it is.
    SetActive {
        /// Which.
        flow_log: FlowLogId,
        /// Whether records are written.
        is_active: bool,
    },
    /// Deletes some, all or none.
    Delete {
        /// Which.
        flow_logs: Vec<FlowLogId>,
    },
}

/// Flow logs to be made, one for each resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewFlowLogs {
    /// Whose traffic.
    pub resources: Vec<Resource>,
    /// The owner's name for each.
    pub name: String,
    /// The owner's words about each.
    pub description: String,
    /// The resource group of each; empty is the account's default one.
    pub resource_group: String,
    /// What each says.
    pub config: FlowLogConfig,
    /// Tags of each.
    pub tags: Tags,
    /// Whether one that cannot be made is a reason to make none.
    pub is_all_or_none: bool,
}

/// What changes of a flow log; what is `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowLogEdit {
    /// A new name.
    pub name: Option<String>,
    /// New words about it.
    pub description: Option<String>,
    /// Over how many seconds records are put together from now on.
    pub interval_s: Option<u32>,
    /// Other fields of a record.
    pub format: Option<String>,
    /// Addresses of another family.
    pub addresses: Option<LoggedAddresses>,
}
