//! Answers: what the world looks like through the API, as trees for [`super::reply`].
//!
//! An account sees what it owns, in the region of its request, and nothing else.

mod associations;
mod attributes;
mod flow_logs;
mod groups;
mod insights;
mod instances;
mod interfaces;
mod listing;
mod network;
mod network_acls;
mod peerings;
mod places;
mod prefix_lists;
mod rules;
mod surroundings;
mod tags;
mod usage;

use sekimori_core::{
    command::Outcome,
    ids::{AccountId, SubnetId, VpcId},
    world::{Revision, World},
};

use super::{Call, catalog::Action, errors::Fault, query::Query, region::Region};
use crate::node::Fields;

/// What an answer is made from.
pub(super) struct View<'a> {
    pub(super) world: &'a World,
    pub(super) account: &'a AccountId,
    /// What the kernels enforce.
    pub(super) applied: Revision,
    pub(super) region: &'static Region,
}

impl<'a> View<'a> {
    /// Whether something of an account, in a VPC, is the caller's and in the region of the request.
    fn owns(&self, account: &AccountId, vpc: &VpcId) -> bool {
        account == self.account && self.world.vpc(vpc).is_some_and(|vpc| vpc.region == self.region.name)
    }

    /// The zone of a subnet.
    fn zone_of(&self, subnet: &SubnetId) -> &'a str {
        self.world.subnet(subnet).map_or("", |subnet| &subnet.zone)
    }
}

/// The answer to a question.
pub(super) fn answer(call: &Call, query: &Query, view: &View<'_>) -> Result<Fields, Fault> {
    match query {
        Query::Caller => Ok(places::caller(view.account)),
        Query::Regions(named) => places::regions(named),
        Query::Zones(named) => places::zones(named, view),
        Query::AccountAttributes(names) => places::account_attributes(names),
        Query::Vpcs(listing) => network::vpcs(call, listing, view),
        Query::Subnets(listing) => network::subnets(call, listing, view),
        Query::Groups(listing) => groups::groups(call, listing, view),
        Query::Rules(listing) => rules::rules(call, listing, view),
        Query::Instances(listing) => instances::instances(call, listing, view),
        Query::Interfaces(listing) => interfaces::interfaces(call, listing, view),
        Query::InstanceAttribute(id, name) => attributes::of_instance(id, name, view),
        Query::InterfaceAttribute(id, name) => attributes::of_interface(id, name, view),
        Query::Tags(listing) => Ok(tags::tags(call, listing, view)),
        Query::Peerings(listing) => peerings::peerings(call, listing, view),
        Query::StaleGroups(vpc, listing) => usage::stale(call, (vpc, listing), view),
        Query::References(groups) => usage::references(groups, view),
        Query::GroupsForVpc(vpc, listing) => usage::for_vpc(call, (vpc, listing), view),
        Query::GroupAssociations(listing) => Ok(associations::associations(call, listing, view)),
        Query::FlowLogs(listing) => flow_logs::flow_logs(call, listing, view),
        Query::InsightsPaths(listing) => insights::paths(call, listing, view),
        Query::InsightsAnalyses(query) => insights::analyses(call, query, view),
        Query::PrefixLists(listing) => prefix_lists::lists(call, listing, view),
        Query::ServiceLists(listing) => prefix_lists::service_lists(listing),
        Query::PrefixListEntries { list, version, page } => prefix_lists::entries(call, (list, *version), page, view),
        Query::PrefixListAssociations(list, page) => prefix_lists::associations(call, list, page, view),
        Query::VpcAttribute(vpc, attribute) => surroundings::vpc_attribute(vpc, *attribute, view),
        Query::ClassicLinks(listing) => surroundings::classic_links(call, listing, view),
        Query::ClassicLinkNames(listing) => surroundings::classic_link_names(call, listing, view),
        Query::RouteTables(listing) => surroundings::route_tables(call, listing, view),
        Query::NetworkAcls(listing) => network_acls::network_acls(call, listing, view),
        Query::Nothing(kind) => Ok(surroundings::nothing(*kind)),
    }
}

/// What a client is told about a command that was carried out.
pub(super) fn outcome(call: &Call, outcome: &Outcome, view: &View<'_>) -> Fields {
    match outcome {
        Outcome::Vpc(id) => network::created_vpc(id, view),
        Outcome::Subnet(id) => network::created_subnet(id, view),
        Outcome::Group(id) => groups::created(id, view),
        Outcome::Rules(ids) => rules::authorized(ids, view),
        Outcome::Revoked(revoked) => rules::revoked(call, revoked),
        Outcome::Eni(id) => interfaces::created(id, view),
        Outcome::NetworkAcl(id) => network_acls::created(call, id, view),
        Outcome::AclAssociation(id) => network_acls::associated(id),
        Outcome::Peering(id) => peerings::made(id, view),
        Outcome::Addresses { eni, addresses } => attributes::assigned(eni, addresses),
        Outcome::Done if call.action() == Action::AttachNetworkInterface => interfaces::attached(call),
        Outcome::Done if call.action() == Action::AssociateSecurityGroupVpc => associations::state(true),
        Outcome::Done if call.action() == Action::DisassociateSecurityGroupVpc => associations::state(false),
        Outcome::InsightsPath(id) => insights::created_path(id, view),
        Outcome::InsightsAnalysis(id) => insights::started(id, view),
        Outcome::Done if deletes_insights(call.action()) => insights::deleted(call),
        Outcome::FlowLogs { made, failed } => flow_logs::created(call, made, failed),
        Outcome::Done if call.action() == Action::ValidateSecurityGroupQuotasForInterface => {
            vec![("valid", true.into())]
        }
        Outcome::Done if call.action() == Action::DeleteFlowLogs => flow_logs::deleted(),
        Outcome::Done if is_about_list(call.action()) => {
            prefix_lists::changed(&call.params().filled("PrefixListId").unwrap_or_default().into(), view)
        }
        Outcome::PrefixList(id) => prefix_lists::changed(id, view),
        Outcome::DeletedPrefixList(list) => prefix_lists::deleted(list),
        Outcome::Instances(ids) => instances::started(ids, view),
        Outcome::Deleted(deleted) => instances::terminated(call, deleted),
        Outcome::Power(_) if call.action() == Action::RebootInstances => done(call),
        Outcome::Power(changes) => instances::switched(changes, view),
        Outcome::Done
        | Outcome::Account(_)
        | Outcome::ResourceGroup(_)
        | Outcome::Trial(..)
        | Outcome::RolledBack { .. }
        | Outcome::SnapshotPolicy(_)
        | Outcome::Report(_)
        | Outcome::PortList(_)
        | Outcome::Removed { .. } => done(call),
    }
}

fn is_about_list(action: Action) -> bool {
    matches!(action, Action::ModifyManagedPrefixList | Action::RestoreManagedPrefixListVersion)
}

fn deletes_insights(action: Action) -> bool {
    matches!(action, Action::DeleteNetworkInsightsPath | Action::DeleteNetworkInsightsAnalysis)
}

/// An operation that has nothing to tell says `true`.
fn done(call: &Call) -> Fields {
    let mut fields: Fields = vec![("return", true.into())];
    if call.action() == Action::DeleteSecurityGroup {
        fields.extend(call.params().filled("GroupId").map(|id| ("groupId", id.into())));
    }
    fields
}
