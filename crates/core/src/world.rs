//! Everything that is declared, together: a snapshot and its indexes.
//!
//! A [`World`] is a value. Cloning one costs nothing that grows with its size (persistent maps), so a
//! reader holds a snapshot while the writer goes on, and a change that is refused half-way is dropped with
//! the copy it was tried on. It changes only through [`World::apply`]; the indexes below are derived in
//! the same place and can never disagree with the entities.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use imbl::{OrdMap, OrdSet};

pub use crate::entity::{
    AccessKey, Account, Dialect, Eni, Flavor, Group, InnerAccess, Instance, InstanceState, Launch, ListChange,
    PortEntry, PortList, PrefixEntry, PrefixList, PrefixListVersion, Revision, Subnet, SystemDisk, TimeoutChoice,
    Timeouts, Treatment, Vpc, VpcAttribute,
};
use crate::{
    binding::Binding,
    bypass::BypassSet,
    change::Change,
    diagnosis::Report,
    flow_log::FlowLog,
    ids::{
        AccountId, EniId, FlowLogId, GroupId, HostId, InsightsAnalysisId, InsightsPathId, InstanceId, KeyId,
        NetworkAclId, PeeringId, PortListId, PrefixListId, ReportId, RuleId, SubnetId, VpcId,
    },
    insights::{InsightsAnalysis, InsightsPath},
    invariant::Invariants,
    network_acl::NetworkAcl,
    peering::{Peering, Peerings},
    platform::Platform,
    rule::{Peer, Rule, Service},
    shadow::Shadows,
    snapshot::Snapshots,
    terminated::TerminatedInstances,
    token::Tokens,
    trial::Trials,
};

/// The groups of an ENI as a set: ENIs with the same set share one policy.
pub type GroupSet = Arc<[GroupId]>;

/// A snapshot of everything that is declared.
#[derive(Clone, Debug, Default)]
pub struct World {
    pub(crate) revision: Revision,
    pub(crate) bypass: Arc<BypassSet>,
    pub(crate) platform: Platform,
    pub(crate) accounts: OrdMap<AccountId, Arc<Account>>,
    pub(crate) keys: OrdMap<KeyId, Arc<AccessKey>>,
    pub(crate) vpcs: OrdMap<VpcId, Arc<Vpc>>,
    pub(crate) peerings: Peerings,
    pub(crate) network_acls: OrdMap<NetworkAclId, Arc<NetworkAcl>>,
    pub(crate) subnets: OrdMap<SubnetId, Arc<Subnet>>,
    pub(crate) instances: OrdMap<InstanceId, Arc<Instance>>,
    pub(crate) terminated: TerminatedInstances,
    pub(crate) enis: OrdMap<EniId, Arc<Eni>>,
    pub(crate) groups: OrdMap<GroupId, Arc<Group>>,
    pub(crate) prefix_lists: OrdMap<PrefixListId, Arc<PrefixList>>,
    pub(crate) port_lists: OrdMap<PortListId, Arc<PortList>>,
    pub(crate) tokens: Tokens,
    pub(crate) snapshots: Snapshots,
    pub(crate) reports: OrdMap<(AccountId, ReportId), Arc<Report>>,
    pub(crate) flow_logs: OrdMap<FlowLogId, Arc<FlowLog>>,
    pub(crate) insights_paths: OrdMap<InsightsPathId, Arc<InsightsPath>>,
    pub(crate) insights_analyses: OrdMap<InsightsAnalysisId, Arc<InsightsAnalysis>>,
    pub(crate) shadows: Shadows,
    pub(crate) invariants: Invariants,
    pub(crate) trials: Trials,
    pub(crate) prefix_list_versions: OrdMap<(PrefixListId, u64), Arc<PrefixListVersion>>,
    index: Index,
}

/// What can be derived from the entities, kept because it is asked often.
#[derive(Clone, Debug, Default)]
struct Index {
    /// By VPC first: then a search compares numbers only.
    enis_by_address: OrdMap<VpcId, OrdMap<IpAddr, EniId>>,
    /// Addresses, each as often as VPCs see it.
    seen_addresses: usize,
    enis_by_group_set: OrdMap<GroupSet, OrdSet<EniId>>,
    group_sets_by_group: OrdMap<GroupId, OrdSet<GroupSet>>,
    enis_by_instance: OrdMap<(InstanceId, u8), EniId>,
    bound: OrdSet<EniId>,
    referrers: OrdMap<Referent, OrdSet<(GroupId, RuleId)>>,
    group_counts: OrdMap<AccountId, usize>,
    /// Of groups whose names are unique in their VPC, whatever their case: those of EC2.
    groups_by_name: OrdMap<(VpcId, String), GroupId>,
    /// Subnets whose network ACL denies something.
    guarded: OrdSet<SubnetId>,
    /// The number comes first so that a search seldom has to follow a pointer: see [`search_key`].
    groups_by_rule: OrdSet<(u64, RuleId, GroupId)>,
}

/// What a rule may name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Referent {
    /// A group as peer.
    Group(GroupId),
    /// A prefix list as peer.
    PrefixList(PrefixListId),
    /// A port list as service.
    PortList(PortListId),
}

/// The last eight bytes of a rule's id, which are random: a number that differs whenever two ids in practice do.
fn search_key(id: &RuleId) -> u64 {
    id.as_str().bytes().rev().take(8).fold(0, |key, byte| (key << 8) | u64::from(byte))
}

/// Where a group stands among those whose names are unique.
fn unique_name(group: &Group) -> Option<(VpcId, String)> {
    match group.flavor {
        Flavor::EcsBasic | Flavor::EcsEnterprise => None,
        Flavor::Ec2 => Some((group.vpc.clone(), group.name.to_lowercase())),
    }
}

/// What a rule names.
pub(crate) fn referents(rule: &Rule) -> impl Iterator<Item = Referent> {
    let peer = match &rule.spec.peer {
        Peer::Cidr(_) => None,
        Peer::PrefixList(id) => Some(Referent::PrefixList(id.clone())),
        Peer::Group { group, .. } => Some(Referent::Group(group.clone())),
    };
    let service = match &rule.spec.service {
        Service::Any | Service::Ports(_) | Service::Icmp { .. } => None,
        Service::PortList(id) => Some(Referent::PortList(id.clone())),
    };
    peer.into_iter().chain(service)
}

/// The sorted, repetition-free form of an ENI's groups.
#[must_use]
pub fn group_set(groups: &[GroupId]) -> GroupSet {
    let mut sorted = groups.to_vec();
    sorted.sort();
    sorted.dedup();
    Arc::from(sorted)
}

macro_rules! entity_access {
    ($($(#[$doc:meta])* $one:ident, $all:ident: $id:ty => $entity:ty;)*) => {
        $(
            $(#[$doc])*
            #[must_use]
            pub fn $one(&self, id: &$id) -> Option<&Arc<$entity>> {
                self.$all.get(id)
            }

            /// All of them, by id.
            pub fn $all(&self) -> impl DoubleEndedIterator<Item = &Arc<$entity>> {
                self.$all.values()
            }
        )*
    };
}

impl World {
    entity_access! {
        /// One account.
        account, accounts: AccountId => Account;
        /// One access key.
        key, keys: KeyId => AccessKey;
        /// One VPC.
        vpc, vpcs: VpcId => Vpc;
        /// One network ACL.
        network_acl, network_acls: NetworkAclId => NetworkAcl;
        /// One subnet.
        subnet, subnets: SubnetId => Subnet;
        /// One instance.
        instance, instances: InstanceId => Instance;
        /// One ENI.
        eni, enis: EniId => Eni;
        /// One group.
        group, groups: GroupId => Group;
        /// One prefix list.
        prefix_list, prefix_lists: PrefixListId => PrefixList;
        /// One port list.
        port_list, port_lists: PortListId => PortList;
        /// One flow log.
        flow_log, flow_logs: FlowLogId => FlowLog;
        /// One path whose reachability is asked about.
        insights_path, insights_paths: InsightsPathId => InsightsPath;
        /// One analysis of a path.
        insights_analysis, insights_analyses: InsightsAnalysisId => InsightsAnalysis;
    }

    /// The revision of this snapshot.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The traffic that no rule judges.
    #[must_use]
    pub fn bypass(&self) -> &BypassSet {
        &self.bypass
    }

    /// The platform policies that come before every rule.
    #[must_use]
    pub fn platform(&self) -> Platform {
        self.platform
    }

    /// The same entities at another revision.
    #[must_use]
    pub fn at(mut self, revision: Revision) -> Self {
        self.revision = revision;
        self
    }

    /// Whether the network ACL of a subnet denies something.
    #[must_use]
    pub fn is_guarded(&self, subnet: &SubnetId) -> bool {
        self.index.guarded.contains(subnet)
    }

    /// The subnets of ENIs that have exactly this group set, and whose network ACL denies something.
    #[must_use]
    pub fn guarded_subnets_of(&self, set: &GroupSet) -> BTreeSet<&SubnetId> {
        if self.index.guarded.is_empty() {
            return BTreeSet::new();
        }
        let enis = self.enis_with(set).filter_map(|id| self.enis.get(id));
        enis.map(|eni| &eni.subnet).filter(|subnet| self.is_guarded(subnet)).collect()
    }

    /// The ENI that has a private address in a VPC.
    #[must_use]
    pub fn eni_at(&self, vpc: &VpcId, address: IpAddr) -> Option<&Arc<Eni>> {
        let id = self.index.enis_by_address.get(vpc)?.get(&address)?;
        self.enis.get(id)
    }

    /// How many ENIs there are.
    #[must_use]
    pub fn eni_count(&self) -> usize {
        self.enis.len()
    }

    /// How many private addresses the ENIs have, each counted once in every VPC that sees it: its own, and those
    /// that are peered with that.
    #[must_use]
    pub fn address_count(&self) -> usize {
        self.index.seen_addresses
    }

    /// The ENIs of a VPC that have an address.
    pub fn enis_in(&self, vpc: &VpcId) -> impl Iterator<Item = &Arc<Eni>> + use<'_> {
        self.addresses_in(vpc).filter(|(address, eni)| eni.addresses.first() == Some(address)).map(|(_, eni)| eni)
    }

    /// The private addresses of a VPC that ENIs have, in order, from one on.
    pub fn addresses_from(&self, vpc: &VpcId, first: IpAddr) -> impl Iterator<Item = IpAddr> + use<'_> {
        let known = self.index.enis_by_address.get(vpc).into_iter();
        known.flat_map(move |of| of.range(first..)).map(|(address, _)| *address)
    }

    fn addresses_in(&self, vpc: &VpcId) -> impl Iterator<Item = (IpAddr, &Arc<Eni>)> + use<'_> {
        let known = self.index.enis_by_address.get(vpc).into_iter().flatten();
        known.filter_map(|(address, id)| Some((*address, self.enis.get(id)?)))
    }

    /// The ENIs of an instance, the primary first.
    pub fn enis_of(&self, instance: &InstanceId) -> impl Iterator<Item = &Arc<Eni>> + use<'_> {
        let from = (instance.clone(), 0);
        let to = (instance.clone(), u8::MAX);
        self.index.enis_by_instance.range(from..=to).filter_map(|(_, id)| self.enis.get(id))
    }

    /// The primary ENI of an instance.
    #[must_use]
    pub fn primary_eni(&self, instance: &InstanceId) -> Option<&Arc<Eni>> {
        self.enis_of(instance).next()
    }

    /// How many groups an account owns.
    #[must_use]
    pub fn group_count(&self, account: &AccountId) -> usize {
        self.index.group_counts.get(account).copied().unwrap_or_default()
    }

    /// The EC2 group of a VPC with a name, whatever its case (`spec/ec2.md` B2).
    #[must_use]
    pub fn group_named(&self, vpc: &VpcId, name: &str) -> Option<&GroupId> {
        self.index.groups_by_name.get(&(vpc.clone(), name.to_lowercase()))
    }

    /// The distinct group sets that hold a group: one for each policy that the group is part of.
    pub fn group_sets_with(&self, group: &GroupId) -> impl Iterator<Item = &GroupSet> + use<'_> {
        self.index.group_sets_by_group.get(group).into_iter().flatten()
    }

    /// The VPCs whose ENIs may carry every group of a set: one, but for groups that are associated with others.
    #[must_use]
    pub fn vpcs_of(&self, set: &[GroupId]) -> Vec<&VpcId> {
        let mut groups = set.iter().filter_map(|id| self.groups.get(id));
        let Some(first) = groups.next() else { return Vec::new() };
        let others: Vec<&Arc<Group>> = groups.collect();
        first.vpcs().filter(|vpc| others.iter().all(|group| group.is_for(vpc))).collect()
    }

    /// Every distinct group set that some ENI has.
    pub fn group_sets(&self) -> impl Iterator<Item = &GroupSet> {
        self.index.enis_by_group_set.keys()
    }

    /// The ENIs that have exactly this group set.
    pub fn enis_with(&self, set: &GroupSet) -> impl Iterator<Item = &EniId> + use<'_> {
        self.index.enis_by_group_set.get(set).into_iter().flatten()
    }

    /// The ENIs that carry a group.
    pub fn members(&self, group: &GroupId) -> impl Iterator<Item = &Arc<Eni>> + use<'_> {
        self.group_sets_with(group).flat_map(|set| self.enis_with(set)).filter_map(|id| self.enis.get(id))
    }

    /// The rules that name a group, prefix list or port list, as (group, rule).
    pub fn referrers(&self, referent: &Referent) -> impl Iterator<Item = &(GroupId, RuleId)> + use<'_> {
        self.index.referrers.get(referent).into_iter().flatten()
    }

    /// A rule by its id alone, with its group.
    #[must_use]
    pub fn rule(&self, id: &RuleId) -> Option<(&Arc<Group>, &Arc<Rule>)> {
        let first = (search_key(id), id.clone(), GroupId::from(""));
        let (_, _, group) = self.index.groups_by_rule.range(first..).next().filter(|(_, rule, _)| rule == id)?;
        let group = self.groups.get(group)?;
        Some((group, group.rules.get(id)?))
    }

    /// How a change treats live flows at an ENI: its own choice, else its account's, else its flavor's.
    #[must_use]
    pub fn treatment_of(&self, eni: &Eni) -> Treatment {
        let account = self.accounts.get(&eni.account).and_then(|account| account.treatment);
        let by_flavor = || match self.flavor_of(eni) {
            Some(Flavor::EcsBasic | Flavor::EcsEnterprise) | None => Treatment::Reevaluate,
            Some(Flavor::Ec2) => Treatment::Keep,
        };
        eni.treatment.or(account).unwrap_or_else(by_flavor)
    }

    /// Whether an ENI is bound to an interface of a host or, if to none, attached to an instance there.
    #[must_use]
    pub fn is_on(&self, eni: &Eni, host: &HostId) -> bool {
        self.home_of(eni) == Some(host)
    }

    /// The host that enforces an ENI; `None` for one that is free.
    #[must_use]
    pub fn home_of<'a>(&'a self, eni: &'a Eni) -> Option<&'a HostId> {
        if let Some(binding) = &eni.binding {
            return Some(&binding.host);
        }
        let instance = eni.instance.as_ref().and_then(|id| self.instances.get(id));
        instance.map(|instance| &instance.host)
    }

    /// The stopped instance with which an ENI has lost its interface; one that others make stays.
    #[must_use]
    pub fn stopped_with(&self, eni: &Eni) -> Option<&Arc<Instance>> {
        let instance = eni.instance.as_ref().filter(|_| eni.binding.is_none()).and_then(|id| self.instances.get(id));
        instance.filter(|instance| instance.state == InstanceState::Stopped)
    }

    /// ENIs that are bound to an interface, with it.
    pub fn bound(&self) -> impl Iterator<Item = (&Arc<Eni>, &Binding)> {
        self.index
            .bound
            .iter()
            .filter_map(|id| self.enis.get(id))
            .filter_map(|eni| Some((eni, eni.binding.as_ref()?)))
    }

    /// The flavor of an ENI's groups.
    #[must_use]
    pub fn flavor_of(&self, eni: &Eni) -> Option<Flavor> {
        eni.groups.first().and_then(|id| self.groups.get(id)).map(|group| group.flavor)
    }

    /// The dialect of an account; `Ecs` for one that is not in this snapshot.
    #[must_use]
    pub fn dialect_of(&self, account: &AccountId) -> Dialect {
        self.accounts.get(account).map_or(Dialect::Ecs, |account| account.dialect)
    }

    /// What was done under clients' tokens.
    #[must_use]
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// Terminated instances that are still shown.
    #[must_use]
    pub fn terminated(&self) -> &TerminatedInstances {
        &self.terminated
    }

    /// Snapshots of group rules, and the policies that they are taken by.
    #[must_use]
    pub fn snapshots(&self) -> &Snapshots {
        &self.snapshots
    }

    /// A version of a prefix list that is not its current one any more.
    #[must_use]
    pub fn prefix_list_version(&self, list: &PrefixListId, version: u64) -> Option<&Arc<PrefixListVersion>> {
        self.prefix_list_versions.get(&(list.clone(), version))
    }

    /// The older versions of a prefix list, the oldest first.
    pub fn prefix_list_versions_of(
        &self,
        list: &PrefixListId,
    ) -> impl Iterator<Item = &Arc<PrefixListVersion>> + use<'_> {
        let every = (list.clone(), 0)..=(list.clone(), u64::MAX);
        self.prefix_list_versions.range(every).map(|(_, version)| version)
    }

    /// Makes one change. Indexes follow.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::PutBypass(set) => self.bypass = Arc::clone(set),
            Change::PutPlatform(platform) => self.platform = *platform,
            Change::PutAccount(account) => drop(self.accounts.insert(account.id.clone(), Arc::clone(account))),
            Change::PutKey(key) => drop(self.keys.insert(key.id.clone(), Arc::clone(key))),
            Change::DeleteKey(id) => drop(self.keys.remove(id)),
            Change::PutVpc(vpc) => drop(self.vpcs.insert(vpc.id.clone(), Arc::clone(vpc))),
            Change::DeleteVpc(id) => drop(self.vpcs.remove(id)),
            Change::PutSubnet(subnet) => {
                self.subnets.insert(subnet.id.clone(), Arc::clone(subnet));
                self.note_guard(subnet);
            }
            Change::DeleteSubnet(id) => {
                self.subnets.remove(id);
                self.index.guarded.remove(id);
            }
            Change::PutInstance(instance) => {
                self.instances.insert(instance.id.clone(), Arc::clone(instance));
            }
            Change::DeleteInstance(id) => drop(self.instances.remove(id)),
            Change::PutTerminated(gone) => self.terminated.put(gone),
            Change::DeleteTerminated(id) => self.terminated.delete(id),
            Change::PutEni(eni) => self.put_eni(eni),
            Change::DeleteEni(id) => self.delete_eni(id),
            Change::PutGroup(group) => self.put_group(group),
            Change::DeleteGroup(id) => self.delete_group(id),
            Change::PutRule { group, rule } => self.put_rule(group, rule),
            Change::DeleteRule { group, rule } => self.delete_rule(group, rule),
            Change::PutPrefixList(list) => drop(self.prefix_lists.insert(list.id.clone(), Arc::clone(list))),
            Change::DeletePrefixList(id) => drop(self.prefix_lists.remove(id)),
            Change::PutPortList(list) => drop(self.port_lists.insert(list.id.clone(), Arc::clone(list))),
            Change::DeletePortList(id) => drop(self.port_lists.remove(id)),
            Change::PutToken(token) => self.tokens.put(token),
            Change::DeleteToken { account, text } => self.tokens.delete(account, text),
            Change::PutSnapshotPolicy(policy) => self.snapshots.put_policy(policy),
            Change::DeleteSnapshotPolicy(id) => self.snapshots.delete_policy(id),
            Change::PutSnapshot(snapshot) => self.snapshots.put(snapshot),
            Change::DeleteSnapshot(id) => self.snapshots.delete(id),
            Change::PutReport(report) => {
                self.reports.insert((report.account.clone(), report.id.clone()), Arc::clone(report));
            }
            Change::DeleteReport { account, id } => drop(self.reports.remove(&(account.clone(), id.clone()))),
            Change::PutFlowLog(log) => drop(self.flow_logs.insert(log.id.clone(), Arc::clone(log))),
            Change::DeleteFlowLog(id) => drop(self.flow_logs.remove(id)),
            Change::PutInsightsPath(path) => drop(self.insights_paths.insert(path.id.clone(), Arc::clone(path))),
            Change::DeleteInsightsPath(id) => drop(self.insights_paths.remove(id)),
            Change::PutInsightsAnalysis(analysis) => {
                self.insights_analyses.insert(analysis.id.clone(), Arc::clone(analysis));
            }
            Change::DeleteInsightsAnalysis(id) => drop(self.insights_analyses.remove(id)),
            Change::PutPrefixListVersion(old) => {
                self.prefix_list_versions.insert((old.list.clone(), old.version), Arc::clone(old));
            }
            Change::DeletePrefixListVersion { list, version } => {
                self.prefix_list_versions.remove(&(list.clone(), *version));
            }
            Change::PutPeering(peering) => self.put_peering(peering),
            Change::DeletePeering(id) => self.delete_peering(id),
            Change::PutNetworkAcl(acl) => self.put_network_acl(acl),
            Change::DeleteNetworkAcl(id) => drop(self.network_acls.remove(id)),
            Change::PutShadow(shadow) => self.shadows.put(shadow),
            Change::DeleteShadow(group) => self.shadows.delete(group),
            Change::PutInvariant(invariant) => self.invariants.put(invariant),
            Change::DeleteInvariant(name) => self.invariants.delete(name),
            Change::PutTrial(trial) => self.trials.put(trial),
            Change::DeleteTrial(id) => self.trials.delete(id),
        }
    }

    fn put_network_acl(&mut self, acl: &Arc<NetworkAcl>) {
        self.network_acls.insert(acl.id.clone(), Arc::clone(acl));
        let behind = self.subnets.values().filter(|subnet| subnet.has_acl(&acl.id));
        let subnets: Vec<Arc<Subnet>> = behind.cloned().collect();
        subnets.iter().for_each(|subnet| self.note_guard(subnet));
    }

    /// Notes whether the ACL of a subnet denies anything.
    fn note_guard(&mut self, subnet: &Subnet) {
        let acl = subnet.acl.as_ref().and_then(|own| self.network_acls.get(&own.acl));
        if acl.is_some_and(|acl| !acl.allows_all(subnet)) {
            self.index.guarded.insert(subnet.id.clone());
        } else {
            self.index.guarded.remove(&subnet.id);
        }
    }

    fn put_peering(&mut self, peering: &Arc<Peering>) {
        self.delete_peering(&peering.id);
        self.peerings.put(peering);
        self.index.seen_addresses += self.addresses_shared_by(peering);
    }

    fn delete_peering(&mut self, id: &PeeringId) {
        let Some(old) = self.peerings.get(id).cloned() else { return };
        self.index.seen_addresses -= self.addresses_shared_by(&old);
        self.peerings.delete(id);
    }

    /// The addresses that a connection shows to its other end.
    fn addresses_shared_by(&self, peering: &Peering) -> usize {
        let sides = [&peering.requester.vpc, &peering.accepter.vpc].into_iter().filter(|_| peering.is_active());
        sides.map(|vpc| self.addresses_in(vpc).count()).sum()
    }

    fn put_eni(&mut self, eni: &Arc<Eni>) {
        if let Some(old) = self.enis.insert(eni.id.clone(), Arc::clone(eni)) {
            self.forget_eni(&old);
        }
        if !eni.addresses.is_empty() {
            let of_vpc = self.index.enis_by_address.entry(eni.vpc.clone()).or_default();
            of_vpc.extend(eni.addresses.iter().map(|address| (*address, eni.id.clone())));
        }
        self.index.seen_addresses += eni.addresses.len() * (1 + self.peerings.count(&eni.vpc));
        if let Some(instance) = &eni.instance {
            self.index.enis_by_instance.insert((instance.clone(), eni.device_index), eni.id.clone());
        }
        if eni.binding.is_some() {
            self.index.bound.insert(eni.id.clone());
        }
        let set = group_set(&eni.groups);
        if let Some(alike) = self.index.enis_by_group_set.get_mut(&set) {
            alike.insert(eni.id.clone());
            return;
        }
        for group in set.iter() {
            let sets = self.index.group_sets_by_group.entry(group.clone()).or_default();
            sets.insert(Arc::clone(&set));
        }
        self.index.enis_by_group_set.insert(set, OrdSet::unit(eni.id.clone()));
    }

    fn delete_eni(&mut self, id: &EniId) {
        if let Some(old) = self.enis.remove(id) {
            self.forget_eni(&old);
        }
    }

    fn forget_eni(&mut self, eni: &Eni) {
        if let Some(of_vpc) = self.index.enis_by_address.get_mut(&eni.vpc) {
            eni.addresses.iter().for_each(|address| drop(of_vpc.remove(address)));
            if of_vpc.is_empty() {
                self.index.enis_by_address.remove(&eni.vpc);
            }
        }
        self.index.seen_addresses -= eni.addresses.len() * (1 + self.peerings.count(&eni.vpc));
        if let Some(instance) = &eni.instance {
            self.index.enis_by_instance.remove(&(instance.clone(), eni.device_index));
        }
        self.index.bound.remove(&eni.id);
        let set = group_set(&eni.groups);
        remove_from(&mut self.index.enis_by_group_set, &set, &eni.id);
        if self.index.enis_by_group_set.contains_key(&set) {
            return;
        }
        for group in set.iter() {
            remove_from(&mut self.index.group_sets_by_group, group, &set);
        }
    }

    fn put_group(&mut self, group: &Arc<Group>) {
        let old = self.groups.get(&group.id).cloned();
        match &old {
            Some(old) => self.forget_name(old),
            None => *self.index.group_counts.entry(group.account.clone()).or_default() += 1,
        }
        if let Some(name) = unique_name(group) {
            self.index.groups_by_name.insert(name, group.id.clone());
        }
        let rules = old.map(|old| old.rules.clone()).unwrap_or_default();
        let mut group = Group::clone(group);
        group.rules = rules;
        self.groups.insert(group.id.clone(), Arc::new(group));
    }

    fn delete_group(&mut self, id: &GroupId) {
        let Some(group) = self.groups.remove(id) else { return };
        if let Some(count) = self.index.group_counts.get_mut(&group.account) {
            *count -= 1;
        }
        self.forget_name(&group);
        for rule in group.rules.values() {
            self.forget_rule(id, rule);
        }
    }

    fn forget_name(&mut self, group: &Group) {
        if let Some(name) = unique_name(group) {
            self.index.groups_by_name.remove(&name);
        }
    }

    fn put_rule(&mut self, group: &GroupId, rule: &Arc<Rule>) {
        let Some(owner) = self.groups.get_mut(group) else { return };
        if let Some(old) = Arc::make_mut(owner).rules.insert(rule.id.clone(), Arc::clone(rule)) {
            self.forget_rule(group, &old);
        }
        self.index.groups_by_rule.insert((search_key(&rule.id), rule.id.clone(), group.clone()));
        for referent in referents(rule) {
            let referrers = self.index.referrers.entry(referent).or_default();
            referrers.insert((group.clone(), rule.id.clone()));
        }
    }

    fn delete_rule(&mut self, group: &GroupId, rule: &RuleId) {
        let Some(owner) = self.groups.get_mut(group) else { return };
        if let Some(old) = Arc::make_mut(owner).rules.remove(rule) {
            self.forget_rule(group, &old);
        }
    }

    fn forget_rule(&mut self, group: &GroupId, rule: &Rule) {
        self.index.groups_by_rule.remove(&(search_key(&rule.id), rule.id.clone(), group.clone()));
        for referent in referents(rule) {
            remove_from(&mut self.index.referrers, &referent, &(group.clone(), rule.id.clone()));
        }
    }
}

/// Takes a member out of one set of a map, and the set with its last member.
pub(crate) fn remove_from<K: Ord + Clone, V: Ord + Clone>(map: &mut OrdMap<K, OrdSet<V>>, key: &K, member: &V) {
    let Some(set) = map.get_mut(key) else { return };
    set.remove(member);
    if set.is_empty() {
        map.remove(key);
    }
}
