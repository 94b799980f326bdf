//! Flow logs as they are configured: what should be written down about whose traffic, and where it should go.
//!
//! It is a fact like any other, of either dialect; nothing here writes a record: see [`crate::flow_record`].

use serde::{Deserialize, Serialize};

use crate::{
    ids::{AccountId, FlowLogId},
    resource::Resource,
    tags::Tags,
    time::Timestamp,
};

/// Which traffic is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LoggedTraffic {
    /// What groups let pass.
    Accepted,
    /// What they do not.
    Rejected,
    /// Both.
    All,
}

/// The kind of place that records go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LogDestinationKind {
    /// CloudWatch Logs.
    CloudWatchLogs,
    /// S3.
    S3,
    /// Kinesis Data Firehose.
    Firehose,
    /// Log Service of Alibaba Cloud.
    LogService,
}

/// Whose addresses the traffic has that is written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LoggedAddresses {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
    /// Either.
    #[default]
    Both,
}

/// How files of records are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogFiles {
    /// In columns (Parquet), not as text.
    pub is_parquet: bool,
    /// In folders as Hive names them.
    pub is_hive_compatible: bool,
    /// In a folder for each hour.
    pub is_hourly: bool,
}

/// What a flow log says, apart from whose traffic it is about. Texts are the owner's; what is not given is empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowLogConfig {
    /// Which traffic.
    pub traffic: LoggedTraffic,
    /// The kind of place.
    pub destination_kind: LogDestinationKind,
    /// The place; a project, of Log Service.
    pub destination: String,
    /// The log group, or the store of the project.
    pub log_group: String,
    /// Who may write there.
    pub role: String,
    /// Who may write there in another account.
    pub cross_account_role: String,
    /// The fields of a record.
    pub format: String,
    /// Over how many seconds records are put together.
    pub interval_s: u32,
    /// How files are written; nothing where there are none.
    pub files: Option<LogFiles>,
    /// Addresses of which family.
    pub addresses: LoggedAddresses,
    /// Traffic that goes any of these ways, in the words of the dialect; empty is all of it.
    pub paths: Vec<String>,
}

impl FlowLogConfig {
    /// Whether two say the same to the same place: a resource has only one of them.
    #[must_use]
    pub fn repeats(&self, other: &Self) -> bool {
        (self.traffic, self.destination_kind, &self.destination, &self.log_group, &self.paths)
            == (other.traffic, other.destination_kind, &other.destination, &other.log_group, &other.paths)
    }
}

/// A flow log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowLog {
    /// Its name.
    pub id: FlowLogId,
    /// Its owner.
    pub account: AccountId,
    /// The region, in the owner's dialect.
    pub region: String,
    /// Whose traffic: a VPC's, a subnet's or an ENI's, which may be gone.
    pub resource: Resource,
    /// The owner's name for it; EC2 has none.
    pub name: String,
    /// The owner's words about it.
    pub description: String,
    /// Its resource group; empty is the account's default one.
    pub resource_group: String,
    /// What it says.
    pub config: FlowLogConfig,
    /// The owner's tags.
    pub tags: Tags,
    /// When it was made.
    pub created_at: Timestamp,
    /// Since when records are written; nothing while none are.
    pub active_since: Option<Timestamp>,
}
