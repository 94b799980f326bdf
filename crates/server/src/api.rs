//! The native API as types: what the CLI and the server say to each other, defined once.
//!
//! Paths and codes are in the crate's documentation. Nothing here does anything.

mod compliance;
mod diff;
mod flows;
mod interfaces;
mod invariants;
mod request;
mod shadow;
mod snapshots;
mod trials;
mod verification;
mod why;

use std::{fmt, net::SocketAddr};

use serde::{Deserialize, Serialize};

use sekimori_analysis::{
    attach,
    diagnose::open,
    history::Entry,
    planning, preset,
    transfer::{self, clone},
};
use sekimori_core::{
    bypass::BypassEntry,
    feed::{ClosedEni, CounterReport},
    flow_record::Observed,
    ids::{AccountId, EniId, GroupId, HostId, KeyId, RuleId},
    limits::LimitMode,
    platform::PlatformPolicy,
    world::{Dialect, Revision, Treatment},
};

pub use self::{
    compliance::FixedCompliance,
    diff::{
        DiffAccount, DiffAnswer, DiffMoments, DiffPolicies, DiffQuestion, FlowsSeen, GroupRules, LiveEnded, Moment,
    },
    flows::{FlowList, FlowNews, FlowSight, LiveFlowList, LiveHost, LiveSight},
    interfaces::{Interface, Interfaces, SetBinding},
    invariants::{InvariantAnswer, SetInvariant},
    request::{CloudFailure, CloudParameters, CloudRequest},
    shadow::{PromoteShadow, ShadowAnswer},
    snapshots::{AttachSnapshotPolicy, EditSnapshotPolicy, NewSnapshotPolicy, RestoreAnswer, RestoreSnapshot},
    trials::{Aftermath, Applied, Apply, Changed, RolledBack, TrialTold, Trials},
    verification::{HostVerification, Verification, Verify},
    why::{Decided, EnforcedAt, Evidence, LiveEvidence, WhyAnswer},
};

/// The answer of `GET /healthz`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Whether all is well.
    pub status: HealthStatus,
    /// What is not well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The newest committed revision.
    pub committed: Revision,
    /// The revision that every host enforces.
    pub applied: Option<Revision>,
}

/// The answer of `GET /v1/history`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// The newest revision there is.
    pub newest: Revision,
    /// What was asked for, the newest first.
    pub entries: Vec<Entry>,
    /// There may be older ones: ask again for those `before` this revision.
    pub next: Option<Revision>,
}

/// One word about the whole server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    /// The API serves and the kernel enforces.
    Ok,
    /// No host has reported yet.
    Starting,
    /// Something is wrong.
    Degraded,
}

/// The answer of `GET /v1/status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The server's release.
    pub version: String,
    /// The newest committed revision.
    pub committed: Revision,
    /// Which limits hold.
    pub limits: LimitMode,
    /// The hosts.
    pub hosts: Vec<Host>,
    /// How many of each there are.
    pub counts: Counts,
    /// How full the data plane is.
    pub capacity: Vec<Capacity>,
}

/// A host, in a status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Its name.
    pub host: HostId,
    /// Whether its agent is connected.
    pub connected: bool,
    /// For how many seconds it has said nothing, if it should have: it hangs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent_s: Option<u64>,
    /// What its kernel enforces.
    pub applied: Option<Revision>,
    /// Interfaces that drop everything for want of their policy.
    pub closed: Vec<ClosedEni>,
}

/// How many entities there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Accounts.
    pub accounts: u64,
    /// VPCs.
    pub vpcs: u64,
    /// Instances.
    pub instances: u64,
    /// Network interfaces.
    pub enis: u64,
    /// Security groups.
    pub groups: u64,
    /// Rules of all groups.
    pub rules: u64,
}

/// How much of something the data plane holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capacity {
    /// What.
    pub resource: String,
    /// How much is used.
    pub used: u64,
    /// The most there may be.
    pub limit: u64,
}

/// The answer of `GET /v1/wait`, and of every change without an answer of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revised {
    /// The revision that every host has applied, or that the change was committed as.
    pub revision: Revision,
}

/// An account, in `GET /v1/accounts`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Its number.
    pub id: AccountId,
    /// Its dialect.
    pub dialect: Dialect,
    /// Its name.
    pub name: String,
    /// Its override of the treatment of live flows.
    pub treatment: Option<Treatment>,
    /// The ids of its access keys.
    pub keys: Vec<KeyId>,
}

/// The request of `POST /v1/accounts`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewAccount {
    /// Its dialect.
    pub dialect: Dialect,
    /// A name for people.
    pub name: String,
    /// Its number; absent makes one in the dialect's shape.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<AccountId>,
}

/// The answer of `POST /v1/accounts`: the only time that the secret is shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatedAccount {
    /// Its number.
    pub account: AccountId,
    /// Its dialect.
    pub dialect: Dialect,
    /// The public half of its access key.
    pub access_key_id: KeyId,
    /// The secret half.
    pub access_key_secret: String,
    /// The region that the server answers for.
    pub region: String,
}

/// A resource group, in `GET /v1/resource-groups` and the answer of `POST`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceGroup {
    /// Whose it is.
    pub account: AccountId,
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// The request of `POST /v1/resource-groups`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewResourceGroup {
    /// Whose it is; absent is the only account there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// A name for people.
    pub name: String,
}

/// The answer of `GET /v1/counters`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// By host.
    pub hosts: Vec<HostCounters>,
    /// Over all hosts.
    pub total: CounterReport,
}

/// What one host has counted since its maps were made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostCounters {
    /// The host.
    pub host: HostId,
    /// Its totals.
    pub report: CounterReport,
}

/// The request of `PUT /v1/treatment`: one of account and ENI.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetTreatment {
    /// Every ENI of this account that has no choice of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// This ENI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eni: Option<EniId>,
    /// The treatment; null returns to the default.
    pub treatment: Option<Treatment>,
}

/// The request of `PUT /v1/bypass`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetBypass {
    /// `dhcp`, `none`, or entries such as `udp/123@169.254.169.123`.
    pub items: Vec<String>,
}

/// The answer of `GET /v1/bypass` and `PUT /v1/bypass`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bypass {
    /// The listed entries.
    pub entries: Vec<BypassEntry>,
}

/// The request of `PUT /v1/groups/{group}/protection`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetProtection {
    /// Whether the group may not be deleted.
    #[serde(rename = "protected")]
    pub is_protected: bool,
}

/// The request of `PUT /v1/groups/{group}/manager` and `PUT /v1/interfaces/{eni}/manager`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetManager {
    /// The number of the cloud product that manages it; null gives it back to its owner.
    #[serde(rename = "service")]
    pub managed_by: Option<u64>,
}

/// The request of `PUT /v1/vpcs/{vpc}/sharing`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetSharing {
    /// The other account.
    pub account: AccountId,
    /// Whether it may have new groups and interfaces in the VPC.
    #[serde(rename = "shared")]
    pub is_shared: bool,
}

/// The answer of `DELETE /v1/groups/{group}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovedGroup {
    /// The group that is gone.
    pub group: GroupId,
    /// Rules of other groups that named it, and are gone too.
    pub rules: Vec<RemovedRule>,
    /// Interfaces that do not carry it any more.
    pub enis: Vec<EniId>,
    /// The revision of the change.
    pub revision: Revision,
}

/// A rule that went with the group that it named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovedRule {
    /// The group whose rule it was.
    pub group: GroupId,
    /// The rule.
    pub rule: RuleId,
}

/// The request of `PUT /v1/platform`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetPlatform {
    /// The policy.
    pub policy: PlatformPolicy,
    /// Whether it is on.
    pub on: bool,
}

/// The answer of `GET /v1/platform` and `PUT /v1/platform`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// Every policy.
    pub policies: Vec<Policy>,
    /// The revision of the world that was looked at.
    pub revision: Revision,
}

/// A platform policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Which.
    pub policy: PlatformPolicy,
    /// Whether it is on.
    pub on: bool,
    /// What it does.
    pub purpose: String,
}

/// The request of `POST /v1/health`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskHealth {
    /// One group; absent means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupId>,
    /// Rules that nothing has used since then, in seconds since 1970, are findings, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unused_since: Option<i64>,
    /// Whether rules that share packets are told, too.
    #[serde(default)]
    pub overlaps: bool,
    /// Whether rules that allow more than was used are.
    #[serde(default)]
    pub too_wide: bool,
    /// What records of flow logs show of their use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<GivenRecords>,
}

/// What records of flow logs show.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GivenRecords {
    /// Seconds since 1970 of the first of them.
    pub since_s: Option<i64>,
    /// The uses, each once; at most [`OBSERVED_MAX`](sekimori_core::limits::OBSERVED_MAX).
    pub observed: Vec<Observed>,
}

/// The request of `POST /v1/health/fix`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FixHealth {
    /// Deletes what is removable of this group; absent means of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupId>,
    /// Deletes these rules instead, whatever was found about them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<Vec<RuleId>>,
    /// Puts fewer rules in the place of those that they say as well, instead.
    #[serde(default)]
    pub merge: bool,
}

/// The answer of `POST /v1/health/fix`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FixedHealth {
    /// The revision after it.
    pub revision: Revision,
    /// The rules that are gone.
    pub deleted: Vec<RuleId>,
    /// The rules that came in their place, a line each.
    #[serde(default)]
    pub added: Vec<String>,
}

/// The answer of `POST /v1/diagnose/open`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenAnswer {
    /// What opens it; without rules when it was open already.
    pub plan: open::Plan,
    /// The ids of the rules that were added.
    pub added: Vec<RuleId>,
    /// The revision after it.
    pub revision: Revision,
}

/// The answer of `POST /v1/groups/ID/clone`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloneAnswer {
    /// The new group, and what does not carry over.
    pub plan: clone::Plan,
    /// Its id, once it is made.
    pub group: Option<GroupId>,
    /// The revision after it.
    pub revision: Revision,
}

/// The answer of `POST /v1/groups/ID/import`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportAnswer {
    /// What becomes of every rule.
    pub preview: transfer::Preview,
    /// The ids of the rules that were added.
    pub added: Vec<RuleId>,
    /// The revision after it.
    pub revision: Revision,
}

/// The answer of `POST /v1/groups/attach-by-tag`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachAnswer {
    /// What becomes of every instance and group with the same tag.
    pub plan: attach::Plan,
    /// How many instances joined a group.
    pub attached: usize,
    /// The revision after it.
    pub revision: Revision,
}

/// The request of `POST /v1/plan-check`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanCheck {
    /// One group; absent means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupId>,
    /// What is advised; absent parts are the cloud's advice.
    #[serde(default)]
    pub advice: planning::Advice,
}

/// The answer of `POST /v1/groups/ID/preset`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresetAnswer {
    /// The rules of the preset.
    pub plan: preset::Plan,
    /// The ids of its rules, those included that were there already.
    pub added: Vec<RuleId>,
    /// The revision after it.
    pub revision: Revision,
}

/// The body of every answer that is not a success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// The error.
    pub error: ErrorDetail,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorDetail {
    /// For programs.
    pub code: ErrorCode,
    /// For people: what is wrong, with the input in backticks, and what to do.
    pub message: String,
    /// What the cloud itself answers, of a request in a cloud's own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloud: Option<CloudFailure>,
}

/// The kinds of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorCode {
    /// 401: the token is missing or wrong.
    Unauthorized,
    /// 404: there is no such thing.
    NotFound,
    /// 400: the request cannot be understood.
    Invalid,
    /// 409: the request is understood and cannot be carried out.
    Refused,
    /// 504: it did not happen in time.
    Timeout,
    /// 503: the server has too much to do, or writes no more.
    Overloaded,
    /// 500: the server failed.
    Internal,
}

/// What a server tells the process that started it, over its control socket.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bootstrap {
    /// The key of the first ECS account.
    pub ecs: KeyTold,
    /// The key of the first EC2 account.
    pub ec2: KeyTold,
    /// The operator's token.
    pub token: String,
    /// Where the API listens; the port is the real one.
    pub listen: SocketAddr,
    /// The certificate to trust, if the server made its own.
    pub tls_ca_pem: Option<String>,
    /// Whether the API speaks TLS.
    pub tls: bool,
}

/// An access key, as whoever may know it is told.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyTold {
    /// The public half.
    pub access_key_id: String,
    /// The secret half.
    pub access_key_secret: String,
    /// The region that its clients should name.
    pub region: String,
}

impl fmt::Debug for KeyTold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { access_key_id, access_key_secret: _, region } = self;
        let mut shown = f.debug_struct("KeyTold");
        shown.field("access_key_id", access_key_id).field("region", region).finish_non_exhaustive()
    }
}

impl fmt::Debug for CreatedAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { account, dialect, access_key_id, access_key_secret: _, region } = self;
        let mut shown = f.debug_struct("CreatedAccount");
        shown.field("account", account).field("dialect", dialect).field("access_key_id", access_key_id);
        shown.field("region", region).finish_non_exhaustive()
    }
}

impl fmt::Debug for Bootstrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ecs, ec2, listen, tls, .. } = self;
        let mut shown = f.debug_struct("Bootstrap");
        shown.field("ecs", ecs).field("ec2", ec2).field("listen", listen).field("tls", tls);
        shown.finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown_by_debug() {
        let bootstrap = Bootstrap {
            ecs: KeyTold {
                access_key_id: "LTAI".to_owned(),
                access_key_secret: "hush".to_owned(),
                region: "cn-hangzhou".to_owned(),
            },
            ec2: KeyTold {
                access_key_id: "AKIA".to_owned(),
                access_key_secret: "hush".to_owned(),
                region: "us-east-1".to_owned(),
            },
            token: "hush".to_owned(),
            listen: "127.0.0.1:1".parse().unwrap(),
            tls_ca_pem: None,
            tls: false,
        };
        assert!(!format!("{bootstrap:?}").contains("hush"));
        let created = CreatedAccount {
            account: "1".into(),
            dialect: Dialect::Ecs,
            access_key_id: "LTAI".into(),
            access_key_secret: "hush".to_owned(),
            region: String::new(),
        };
        assert!(!format!("{created:?}").contains("hush"));
    }

    #[test]
    fn the_wire_is_what_the_contract_says() {
        let health =
            Health { status: HealthStatus::Ok, reason: None, committed: Revision(7), applied: Some(Revision(7)) };
        assert_eq!(serde_json::to_string(&health).unwrap(), r#"{"status":"ok","committed":7,"applied":7}"#);
        let error =
            ErrorBody { error: ErrorDetail { code: ErrorCode::NotFound, message: "no `x`".to_owned(), cloud: None } };
        assert_eq!(serde_json::to_string(&error).unwrap(), r#"{"error":{"code":"not-found","message":"no `x`"}}"#);
        let set: SetTreatment = serde_json::from_str(r#"{"eni":"eni-1","treatment":null}"#).unwrap();
        assert_eq!(set, SetTreatment { account: None, eni: Some("eni-1".into()), treatment: None });
    }
}
