//! What a change changes, as the native API is asked and tells it.

use serde::{Deserialize, Serialize};

use sekimori_analysis::{
    account::File,
    diff::{FlowsChanged, LiveChanged, Report},
};
use sekimori_core::{ids::GroupId, time::Timestamp, world::Revision};

use super::{CloudRequest, LiveHost};

/// The request of `POST /v1/diff`: which two states are compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", try_from = "DiffFields")]
pub enum DiffQuestion {
    /// Two moments.
    Moments(DiffMoments),
    /// Now, and what a request would make of it. Nothing is changed.
    Request(CloudRequest),
    /// Now, and the same with other rules of a group.
    Group(GroupRules),
    /// The policies of two interfaces, instances or groups, as they are now.
    Policies(DiffPolicies),
    /// Now, and an account in files.
    Account(DiffAccount),
}

/// A question as it is written, whether or not it says all that is needed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DiffFields {
    moments: Option<DiffMoments>,
    request: Option<CloudRequest>,
    group: Option<GroupRules>,
    policies: Option<DiffPolicies>,
    account: Option<DiffAccount>,
}

impl TryFrom<DiffFields> for DiffQuestion {
    type Error = &'static str;

    fn try_from(fields: DiffFields) -> Result<Self, Self::Error> {
        let DiffFields { moments, request, group, policies, account } = fields;
        let given = [
            moments.map(Self::Moments),
            request.map(Self::Request),
            group.map(Self::Group),
            policies.map(Self::Policies),
            account.map(Self::Account),
        ];
        let mut given = given.into_iter().flatten();
        given.next().filter(|_| given.next().is_none()).ok_or(
            "give one of the fields `moments` (`from`, `to`), `request` (`parameters`), `group` (`group`, and one of `with_group`, `file` and \
             `shadow`), `policies` (`one`, `other`) and `account` (`files`, `is_before`)",
        )
    }
}

/// Two moments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiffMoments {
    /// The earlier one, or whichever is to count as before.
    pub from: Moment,
    /// The later one; absent is now.
    #[serde(default)]
    pub to: Moment,
}

/// A moment: a revision or a time; without either it is now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Moment {
    /// The revision that was the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<u64>,
    /// Seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_time: Option<i64>,
}

/// Other rules of a group: those of another one, of a file, or of its shadow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupRules {
    /// The group whose members are looked at.
    pub group: GroupId,
    /// The group that has the rules, and the policy among members.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with_group: Option<GroupId>,
    /// The file that has them, as an export has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The region that the file comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_region: Option<String>,
    /// The group's own shadow has them.
    #[serde(default)]
    pub shadow: bool,
}

/// Two policies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiffPolicies {
    /// What counts as before.
    pub one: String,
    /// What counts as after.
    pub other: String,
}

/// An account that files describe, as `--account-files` reads them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiffAccount {
    /// The files.
    pub files: Vec<File>,
    /// Whether the account counts as before, and what is now as after; else the other way round.
    #[serde(default)]
    pub is_before: bool,
}

/// The answer of `POST /v1/diff`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffAnswer {
    /// What is gained and lost.
    #[serde(flatten)]
    pub report: Report,
    /// The live flows that it would end, as the kernels hold them; absent where nothing is ahead that could end any.
    #[serde(default)]
    pub live: Option<LiveEnded>,
    /// What it makes of flows that were seen; absent where two policies were compared, of which no flow is judged by both.
    pub flows: Option<FlowsSeen>,
    /// The invariant that forbids the request, with what would break it; the cloud would let it be.
    #[serde(default)]
    pub forbidden: Option<String>,
    /// The newest revision when it was answered.
    pub revision: Revision,
}

/// Live flows that the second state would end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveEnded {
    /// Which.
    #[serde(flatten)]
    pub changed: LiveChanged,
    /// Flows of the interfaces that something changes about which the hosts have not told, so that they were not judged.
    pub untold: u64,
    /// The hosts that were asked. Of those that have not answered, the flows that may be live are told from what was seen.
    pub hosts: Vec<LiveHost>,
}

impl LiveEnded {
    /// Whether every host that was asked has answered.
    #[must_use]
    pub fn has_told_all(&self) -> bool {
        !self.hosts.is_empty() && self.hosts.iter().all(|host| host.failure.is_none())
    }
}

/// Flows that were seen, in both states.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowsSeen {
    /// What of them would be otherwise.
    #[serde(flatten)]
    pub changed: FlowsChanged,
    /// Since when events are recorded; absent while they are not.
    pub recorded_since: Option<Timestamp>,
    /// Events that hosts have not told.
    pub lost: u64,
}
