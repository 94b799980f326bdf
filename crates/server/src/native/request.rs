//! A cloud's own request in the operator's hands: unsigned, decoded as the cloud decodes it, and not carried out.
//!
//! For whatever asks about a change before it is made: what it would open and close, what it would break. Errors are the cloud's
//! own, code and message ([`ApiError::of_cloud`]).

use std::{collections::BTreeSet, fmt::Write as _};

use serde_json::Value;

use sekimori_cloud::unsigned::{self, Asked, Unsigned};
use sekimori_core::{
    command::Command,
    ids::AccountId,
    refusal::Refusal,
    world::{Account, World},
};

use super::{ApiError, accounts::region_of};
use crate::{
    api::{CloudParameters, CloudRequest, ErrorCode},
    outside,
};

/// Accounts that are named when it is not clear which is meant.
const ACCOUNTS_NAMED_MAX: usize = 8;

/// A change that was asked for in a cloud's words.
pub(super) struct Wanted {
    /// What the writer would be given.
    pub(super) command: Command,
    /// Whether the request says by itself that nothing is to be changed (`DryRun`).
    pub(super) is_dry_run: bool,
    call: Unsigned,
}

impl Wanted {
    /// The name of the operation.
    pub(super) fn operation(&self) -> &'static str {
        self.call.operation()
    }

    /// What the cloud would answer if the command were refused.
    pub(super) fn refused(&self, refusal: Refusal) -> ApiError {
        ApiError::of_cloud(self.operation(), self.call.refused(refusal))
    }
}

/// Reads a request as a client would send it. The server's region is that of requests of EC2 that name none.
pub(super) fn wanted(world: &World, request: &CloudRequest, region: &str) -> Result<Wanted, ApiError> {
    let query = query_of(&request.parameters)?;
    let account = account_of(world, request, &query)?;
    let region = request.region.as_deref().unwrap_or_else(|| region_of(account.dialect, region));
    let request_id = outside::request_id().map_err(|error| ApiError::new(ErrorCode::Internal, error.to_string()))?;
    let refused = |failure| ApiError::of_cloud("the request", failure);
    let call = Unsigned::read(account.dialect, &query, region, &request_id).map_err(refused)?;
    match call.decode(world, &account.id).map_err(|failure| ApiError::of_cloud(call.operation(), failure))? {
        Asked::Change { command, is_dry_run } => Ok(Wanted { command: *command, is_dry_run, call }),
        Asked::Question => {
            let message =
                format!("`{}` is a question and changes nothing; give a request that does", call.operation());
            Err(ApiError::new(ErrorCode::Invalid, message))
        }
    }
}

/// Parameters as they stand in a query.
fn query_of(parameters: &CloudParameters) -> Result<String, ApiError> {
    let named = match parameters {
        CloudParameters::Query(text) => return Ok(text.trim_start_matches('?').to_owned()),
        CloudParameters::Named(named) => named,
    };
    let mut pairs: Vec<(&str, String)> = Vec::new();
    for (name, value) in named {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(truth) => truth.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => {
                let message = format!(
                    "parameter `{name}` is neither a text, a number nor a truth; write each part of a list under its own \
                     name, as in `Permissions.1.PortRange`"
                );
                return Err(ApiError::new(ErrorCode::Invalid, message));
            }
        };
        pairs.push((name, text));
    }
    Ok(unsigned::query_of(pairs.iter().map(|(name, text)| (*name, text.as_str()))))
}

/// Who asks: the account that is named, or the only one of the dialect that is given or told by the version, or of those the only one
/// that owns anything that the request names.
fn account_of<'a>(world: &'a World, request: &CloudRequest, query: &str) -> Result<&'a Account, ApiError> {
    let dialect = request.dialect.or(unsigned::dialect_of(query));
    let of_dialect: Vec<&Account> = world
        .accounts()
        .map(|account| &**account)
        .filter(|account| dialect.is_none_or(|dialect| account.dialect == dialect))
        .collect();
    let Some(name) = &request.account else {
        let named: Vec<String> = unsigned::values_of(query).collect();
        let owners: BTreeSet<&AccountId> = named.iter().flat_map(|name| owners(world, name)).collect();
        let owning: Vec<&Account> =
            of_dialect.iter().copied().filter(|account| owners.contains(&account.id)).collect();
        let meant = if owning.len() == 1 { &owning } else { &of_dialect };
        return only(meant, "which account asks is not clear; name it, or give the `Version` of its API");
    };
    if let Some(account) = world.account(&AccountId::from(name.as_str())) {
        return Ok(account);
    }
    let named: Vec<&Account> = of_dialect.iter().copied().filter(|account| account.name == *name).collect();
    if named.is_empty() {
        let message = format!("no account `{name}`; `sekimori account list` shows them");
        return Err(ApiError::new(ErrorCode::NotFound, message));
    }
    only(&named, &format!("several accounts are named `{name}`; give the number of one"))
}

/// Whose a thing is; a peering connection is of both ends.
fn owners<'a>(world: &'a World, name: &str) -> Vec<&'a AccountId> {
    let peering = world.peerings().get(&name.into());
    let ends = peering.into_iter().flat_map(|peering| [&peering.requester.account, &peering.accepter.account]);
    ends.chain(owner(world, name)).collect()
}

fn owner<'a>(world: &'a World, name: &str) -> Option<&'a AccountId> {
    let group = || world.group(&name.into()).map(|group| &group.account);
    let rule = || world.rule(&name.into()).map(|(group, _)| &group.account);
    let vpc = || world.vpc(&name.into()).map(|vpc| &vpc.account);
    let subnet = || world.subnet(&name.into()).map(|subnet| &subnet.account);
    let instance = || world.instance(&name.into()).map(|instance| &instance.account);
    let eni = || world.eni(&name.into()).map(|eni| &eni.account);
    let prefix_list = || world.prefix_list(&name.into()).map(|list| &list.account);
    let port_list = || world.port_list(&name.into()).map(|list| &list.account);
    let acl = || world.network_acl(&name.into()).map(|acl| &acl.account);
    let flow_log = || world.flow_log(&name.into()).map(|log| &log.account);
    let first = group().or_else(rule).or_else(vpc).or_else(subnet).or_else(instance);
    first.or_else(eni).or_else(prefix_list).or_else(port_list).or_else(acl).or_else(flow_log)
}

fn only<'a>(accounts: &[&'a Account], otherwise: &str) -> Result<&'a Account, ApiError> {
    if let [only] = accounts {
        return Ok(only);
    }
    let mut message = format!("{otherwise} (there are");
    for (place, account) in accounts.iter().take(ACCOUNTS_NAMED_MAX).enumerate() {
        let comma = if place == 0 { "" } else { "," };
        // Writing to a text does not fail.
        let _ = write!(message, "{comma} `{}` of {}", account.id, account.dialect);
    }
    if accounts.len() > ACCOUNTS_NAMED_MAX {
        let _ = write!(message, ", and {} more", accounts.len() - ACCOUNTS_NAMED_MAX);
    }
    let none = if accounts.is_empty() { " none" } else { "" };
    Err(ApiError::new(ErrorCode::Invalid, format!("{message}{none})")))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sekimori_core::{
        change::Change,
        peering::{Peering, PeeringSide, PeeringStatus},
        time::Timestamp,
    };

    use super::*;
    use crate::testing::{ACCOUNT, small_world};

    fn request(parameters: &str) -> CloudRequest {
        CloudRequest {
            parameters: CloudParameters::Query(parameters.to_owned()),
            dialect: None,
            account: None,
            region: None,
        }
    }

    fn refused(world: &World, request: &CloudRequest) -> (u16, Value) {
        let error = wanted(world, request, "cn-hangzhou").map(|_| ()).unwrap_err();
        error.told()
    }

    #[test]
    fn a_query_and_an_object_mean_the_same_command() {
        let (_, world) = small_world();
        let group = world.groups().next().unwrap().id.clone();
        let query = format!(
            "Action=AuthorizeSecurityGroup&RegionId=cn-hangzhou&SecurityGroupId={group}&Permissions.1.IpProtocol=TCP\
             &Permissions.1.PortRange=80%2F80&Permissions.1.SourceCidrIp=0.0.0.0%2F0"
        );
        let by_query = wanted(&world, &request(&query), "cn-hangzhou").unwrap();
        let named = serde_json::json!({
            "Action": "AuthorizeSecurityGroup", "Version": "2014-05-26", "RegionId": "cn-hangzhou",
            "SecurityGroupId": group, "Permissions.1.IpProtocol": "TCP", "Permissions.1.PortRange": "80/80",
            "Permissions.1.SourceCidrIp": "0.0.0.0/0", "Permissions.1.Priority": 1, "DryRun": true,
        });
        let named = serde_json::json!({ "parameters": named, "account": "default" });
        let by_name = wanted(&world, &serde_json::from_value(named).unwrap(), "cn-hangzhou").unwrap();
        assert_eq!(by_query.command, by_name.command);
        assert_eq!((by_query.is_dry_run, by_name.is_dry_run), (false, true));
        assert_eq!(by_query.operation(), "AuthorizeSecurityGroup");
        let Command::Authorize { account, rules, .. } = by_query.command else { panic!("another command") };
        assert_eq!((account.as_str(), rules.len()), (ACCOUNT, 1));
    }

    #[test]
    fn what_the_cloud_would_refuse_is_refused_with_its_own_code() {
        let (_, world) = small_world();
        let (status, body) = refused(&world, &request("Action=AuthorizeSecurityGroup&RegionId=cn-hangzhou"));
        assert_eq!(status, 400);
        assert_eq!(body["cloud"]["code"], "MissingParameter", "{body}");
        assert!(body["message"].as_str().unwrap().contains("SecurityGroupId"), "{body}");
        let (status, body) = refused(&world, &request("Action=Nothing"));
        assert_eq!((status, &body["cloud"]["code"]), (404, &"InvalidAction.NotFound".into()), "{body}");
        let group = world.groups().next().unwrap().id.clone();
        let deletes = format!("Action=DeleteSecurityGroup&RegionId=cn-hangzhou&SecurityGroupId={group}");
        let wanted = wanted(&world, &request(&deletes), "cn-hangzhou").unwrap();
        let refusal = Refusal::Managed { group };
        let (_, body) = wanted.refused(refusal).told();
        assert!(!body["cloud"]["code"].as_str().unwrap().is_empty(), "{body}");
    }

    #[test]
    fn who_asks_must_be_clear_and_questions_are_none() {
        let (_, mut world) = small_world();
        let other = Account { id: "2000000000000002".into(), ..Account::clone(world.accounts().next().unwrap()) };
        let only = world.clone();
        world.apply(&Change::PutAccount(Arc::new(other)));
        // Two accounts of the dialect: whose group is named, asks.
        let group = world.groups().next().unwrap().id.clone();
        let names =
            format!("Action=DeleteSecurityGroup&Version=2014-05-26&RegionId=cn-hangzhou&SecurityGroupId={group}");
        let Command::DeleteGroup { account, .. } = wanted(&world, &request(&names), "cn-hangzhou").unwrap().command
        else {
            panic!("another command")
        };
        assert_eq!(account.as_str(), ACCOUNT);
        // A peering connection is of both ends: of one account if they are, of nobody in particular if not.
        let side = PeeringSide::of(world.vpcs().next().unwrap());
        let beyond = PeeringSide { account: "2000000000000002".into(), ..side.clone() };
        for (accepter, is_clear) in [(side.clone(), true), (beyond, false)] {
            let peering = Peering {
                id: "pcx-1".into(),
                region: "cn-hangzhou".to_owned(),
                requester: side.clone(),
                accepter,
                status: PeeringStatus::Active,
                ended_by: None,
                why_failed: String::new(),
                tags: Default::default(),
                created_at: Timestamp(0),
                changed_at: Timestamp(0),
            };
            world.apply(&Change::PutPeering(Arc::new(peering)));
            let query = "Action=DeleteVpcPeerConnection&Version=2014-05-26&InstanceId=pcx-1";
            let meant = account_of(&world, &request(query), query);
            assert_eq!(meant.is_ok_and(|account| account.id.as_str() == ACCOUNT), is_clear);
        }
        let (_, body) = refused(&world, &request("Action=CreateVpc&Version=2014-05-26&RegionId=cn-hangzhou"));
        assert!(body["message"].as_str().unwrap().contains(", `2000000000000002` of ecs"), "{body}");
        let world = only;
        let (status, body) = refused(&world, &request("Action=DescribeSecurityGroups&RegionId=cn-hangzhou"));
        assert_eq!(status, 400);
        assert!(body["message"].as_str().unwrap().contains("is a question"), "{body}");
        let (_, body) = refused(&world, &request("Action=CreateVpc&Version=2016-11-15"));
        assert!(body["message"].as_str().unwrap().contains("which account asks is not clear"), "{body}");
        let stranger = CloudRequest { account: Some("nobody".to_owned()), ..request("Action=CreateVpc") };
        let (status, body) = refused(&world, &stranger);
        assert_eq!(status, 404, "{body}");
        let nested = serde_json::json!({ "parameters": { "Action": "CreateVpc", "Tag": [1] } });
        let (status, body) = refused(&world, &serde_json::from_value(nested).unwrap());
        assert_eq!(status, 400);
        assert!(body["message"].as_str().unwrap().contains("`Tag`"), "{body}");
    }
}
