//! What can be asked of flow logs. Plain data; [`crate::apply`] gives it its meaning.

use serde::{Deserialize, Serialize};

use crate::{flow_log::FlowLogConfig, ids::AccountId, resource::Resource, tags::Tags};

/// Flow logs to be made, one for each resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewFlowLogs {
    /// The owner.
    pub account: AccountId,
    /// The region of the resources.
    pub region: String,
    /// Whose traffic.
    pub resources: Vec<Resource>,
    /// What each says.
    pub config: FlowLogConfig,
    /// Tags of each.
    pub tags: Tags,
}
