//! Answers: what the world looks like through the API, as trees for [`super::encode`].
//!
//! An account sees what it owns, and nothing else.

mod disks;
mod flow_logs;
mod groups;
mod instances;
mod interfaces;
mod lists;
mod network;
mod page;
mod references;
mod reports;
mod rules;
mod tags;
mod types;

use sekimori_core::{
    command::Outcome,
    ids::{AccountId, VpcId},
    world::{Revision, World},
};

use super::{
    catalog::Action,
    encode::{Fields, Node, list},
    errors::Fault,
    query::{EndpointQuery, Query},
    region::{REGIONS, Region},
};

/// What an answer is made from.
pub(super) struct View<'a> {
    pub(super) world: &'a World,
    pub(super) account: &'a AccountId,
    /// What the kernels enforce.
    pub(super) applied: Revision,
}

impl<'a> View<'a> {
    /// The region of a VPC; empty for one that is not there.
    fn region_of(&self, vpc: &VpcId) -> &'a str {
        self.world.region_of(vpc)
    }

    /// Whether a VPC is in the region that was asked for, if one was.
    fn is_in(&self, vpc: &VpcId, region: Option<&Region>) -> bool {
        region.is_none_or(|region| self.region_of(vpc) == region.id)
    }
}

/// The answer to a question.
pub(super) fn answer(query: &Query, view: &View<'_>) -> Result<Fields, Fault> {
    match query {
        Query::Regions => Ok(vec![("Regions", list("Region", REGIONS.iter().map(region)))]),
        Query::Vpcs(query) => Ok(network::vpcs(query, view)),
        Query::VSwitches(query) => Ok(network::vswitches(query, view)),
        Query::Instances(query) => Ok(instances::instances(query, view)),
        Query::Groups(query) => Ok(groups::groups(query, view)),
        Query::Rules(query) => rules::rules(query, view),
        Query::Caller => Ok(caller(view.account)),
        Query::Endpoints(query) => Ok(endpoints(query)),
        Query::Tags(query) => Ok(tags::tag_resources(query, view)),
        Query::References(query) => references::references(query, view),
        Query::PrefixLists(query) => Ok(lists::prefix_lists(query, view)),
        Query::PrefixList(query) => lists::prefix_list(query, view),
        Query::PrefixListUsers(query) => lists::prefix_list_users(query, view),
        Query::PortLists(query) => Ok(lists::port_lists(query, view)),
        Query::PortList(query) => lists::port_list(query, view),
        Query::PortListUsers(query) => lists::port_list_users(query, view),
        Query::Interfaces(query) => Ok(interfaces::interfaces(query, view)),
        Query::Interface(id) => interfaces::interface(id, view),
        Query::Statuses(query) => Ok(instances::statuses(query, view)),
        Query::Instance(id) => instances::instance(id, view),
        Query::Zones(region) => Ok(types::zones(region)),
        Query::InstanceTypes(query) => Ok(types::instance_types(query)),
        Query::Vpc(id) => network::vpc(id, view),
        Query::VSwitch(id) => network::vswitch(id, view),
        Query::Disks(query) => Ok(disks::disks(query, view)),
        Query::Reports(query) => Ok(reports::reports(query, view)),
        Query::Report { region, id } => reports::report(id, region, view),
        Query::Metrics(query) => Ok(reports::metrics(query)),
        Query::MetricSets { wants_common, query } => Ok(reports::metric_sets(*wants_common, query)),
        Query::FlowLogs(query) => Ok(flow_logs::flow_logs(query, view)),
    }
}

/// What a client is told about a command that was carried out.
pub(super) fn outcome(action: Action, outcome: &Outcome, world: &World, applied: Revision) -> Fields {
    match outcome {
        Outcome::Vpc(id) => network::new_vpc(id),
        Outcome::Subnet(id) => vec![("VSwitchId", id.as_str().into())],
        Outcome::Instances(ids) => {
            vec![("InstanceIdSets", list("InstanceIdSet", ids.iter().map(|id| id.as_str())))]
        }
        Outcome::Group(id) => vec![("SecurityGroupId", id.as_str().into())],
        Outcome::FlowLogs { made, failed: _ } => flow_logs::created(made, world),
        Outcome::Done if flow_logs::changes(action) => flow_logs::done(),
        // The cloud does not name the rules that a call authorized or revoked.
        Outcome::Done
        | Outcome::Account(_)
        | Outcome::ResourceGroup(_)
        | Outcome::Rules(_)
        | Outcome::Revoked(_)
        | Outcome::Deleted(_)
        | Outcome::Removed { .. }
        | Outcome::DeletedPrefixList(_)
        | Outcome::Peering(_)
        | Outcome::NetworkAcl(_)
        | Outcome::AclAssociation(_)
        | Outcome::InsightsPath(_)
        | Outcome::InsightsAnalysis(_)
        | Outcome::Trial(..)
        | Outcome::RolledBack { .. }
        | Outcome::SnapshotPolicy(_) => Vec::new(),
        Outcome::PrefixList(id) => vec![("PrefixListId", id.as_str().into())],
        Outcome::PortList(id) => vec![("PortRangeListId", id.as_str().into())],
        Outcome::Eni(id) => interfaces::created(id, world, applied),
        Outcome::Addresses { eni, addresses } => interfaces::assigned(action, eni, addresses),
        Outcome::Power(changes) => instances::switched(action, changes, world, applied),
        Outcome::Report(id) => vec![("ReportId", id.as_str().into())],
    }
}

/// Every key belongs to its account itself: there are no RAM users and no roles.
fn caller(account: &AccountId) -> Fields {
    vec![
        ("IdentityType", "Account".into()),
        ("AccountId", account.as_str().into()),
        ("UserId", account.as_str().into()),
        ("PrincipalId", account.as_str().into()),
        ("RoleId", "".into()),
        ("Arn", format!("acs:ram::{account}:root").into()),
    ]
}

fn endpoints(query: &EndpointQuery) -> Fields {
    let EndpointQuery { region, service, kind, endpoint } = query;
    let endpoint = endpoint.iter().map(|endpoint| {
        vec![
            ("Id", region.as_str().into()),
            ("SerivceCode", service.as_str().into()),
            ("Type", kind.as_str().into()),
            ("Endpoint", endpoint.as_str().into()),
            ("Namespace", "".into()),
            ("Protocols", list("Protocols", ["HTTP", "HTTPS"])),
        ]
    });
    vec![("Success", true.into()), ("Endpoints", list("Endpoint", endpoint))]
}

fn region(region: &Region) -> Node {
    Node::Object(vec![
        ("RegionId", region.id.into()),
        ("LocalName", region.local_name.into()),
        ("RegionEndpoint", region.endpoint().into()),
        ("Status", "available".into()),
    ])
}
