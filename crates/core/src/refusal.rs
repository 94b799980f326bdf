//! Why a command is refused, in neutral words. Each dialect maps this to its codes once, in one table.

mod kind;

use serde::{Deserialize, Serialize};

pub use self::kind::Kind;
use crate::{
    binding::BindingRefusal,
    ids::{
        AccountId, EniId, GroupId, HostId, InstanceId, NetworkAclId, PeeringId, PrefixListId, RuleId, SubnetId, VpcId,
    },
    invariant::{INVARIANT_NAME_CHARACTERS_MAX, Statement, Witness},
    rule::{Direction, Protocol, RuleSpec},
    shadow::ShadowProblem,
    trial::TrialRefusal,
    world::{InstanceState, Revision},
};

/// What is counted against a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Counted {
    /// Accounts on the server.
    Accounts,
    /// VPCs of an account in a region.
    Vpcs,
    /// Subnets of a VPC.
    Subnets,
    /// Groups of an account in a region.
    Groups,
    /// Groups of an ENI.
    GroupsOfEni,
    /// Rules over all groups of an ENI.
    RulesOfEni,
    /// Rules of a group in one direction.
    RulesOfGroup,
    /// Rules of a group that name a group.
    GroupPeerRules,
    /// Private addresses in a group.
    AddressesOfGroup,
    /// ENIs in a group.
    EnisOfGroup,
    /// Instances of one call.
    InstancesOfCall,
    /// Private addresses of an ENI.
    AddressesOfEni,
    /// Tags of a resource.
    Tags,
    /// Tags of a resource with those that it would be given.
    TagsAdded,
    /// Resource groups of an account.
    ResourceGroups,
    /// Commands that are carried out as one.
    CommandsTogether,
    /// VPCs on a host.
    HostVpcs,
    /// Groups on a host.
    HostGroups,
    /// ENIs on a host.
    HostEnis,
    /// Addresses known to a host.
    HostAddresses,
    /// Rules on a host.
    HostRules,
    /// Rules of all groups.
    Rules,
    /// Words of one policy.
    PolicyWords,
    /// Rules of one policy in one direction.
    PolicyRules,
    /// Words of all policies on a host.
    HostPolicyWords,
    /// Prefix lists of an account in a region.
    PrefixLists,
    /// Port lists of an account in a region.
    PortLists,
    /// Entries of a prefix list.
    EntriesOfPrefixList,
    /// Entries of a port list.
    EntriesOfPortList,
    /// Groups whose rules name one prefix list.
    GroupsOfPrefixList,
    /// ENIs of an instance.
    EnisOfInstance,
    /// Private IPv4 addresses of an ENI.
    Ipv4OfEni,
    /// IPv6 addresses of an ENI.
    Ipv6OfEni,
    /// Snapshot policies of an account.
    SnapshotPolicies,
    /// Groups that a snapshot policy is attached to.
    GroupsOfSnapshotPolicy,
    /// Secondary ENIs of an account in a region.
    SecondaryEnis,
    /// Active peering connections of a VPC.
    Peerings,
    /// Peering connections that an account has asked for and nobody has answered.
    PendingPeerings,
    /// Network ACLs of a VPC.
    NetworkAcls,
    /// Entries of a network ACL in one direction.
    AclEntries,
    /// VPCs that a group is associated with.
    VpcsOfGroup,
    /// Flow logs of an account.
    FlowLogs,
    /// Flow logs of a resource.
    FlowLogsOfResource,
    /// Paths of an account.
    InsightsPaths,
    /// Rules of all candidates, with those beside which they were set.
    ShadowRules,
    /// Invariants on the server.
    Invariants,
    /// Changes that wait to be confirmed.
    Trials,
    /// Facts that one of them changes.
    TrialFacts,
}

impl std::fmt::Display for Counted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Accounts => "accounts on this server",
            Self::Vpcs => "VPCs in this region",
            Self::Subnets => "subnets in this VPC",
            Self::Groups => "security groups in this region",
            Self::GroupsOfEni => "security groups of one network interface",
            Self::RulesOfEni => "rules over all security groups of one network interface",
            Self::RulesOfGroup => "rules in one direction of a security group",
            Self::GroupPeerRules => "rules of a security group that name a security group",
            Self::AddressesOfGroup => "private addresses in a security group",
            Self::EnisOfGroup => "network interfaces in a security group",
            Self::InstancesOfCall => "instances in one call",
            Self::AddressesOfEni => "private addresses of one network interface",
            Self::Tags | Self::TagsAdded => "tags of one resource",
            Self::ResourceGroups => "resource groups of one account",
            Self::CommandsTogether => "commands carried out as one",
            Self::HostVpcs => "VPCs on one host",
            Self::HostGroups => "security groups on one host",
            Self::HostEnis => "network interfaces on one host",
            Self::HostAddresses => "private addresses known to one host",
            Self::HostRules => "rules on one host",
            Self::Rules => "rules on this server",
            Self::PolicyWords => "words of one policy in the data plane",
            Self::PolicyRules => "rules of one policy in the data plane",
            Self::HostPolicyWords => "words of all policies in the data plane of one host",
            Self::PrefixLists => "prefix lists in this region",
            Self::PortLists => "port lists in this region",
            Self::EntriesOfPrefixList => "entries of this prefix list",
            Self::EntriesOfPortList => "entries of this port list",
            Self::GroupsOfPrefixList => "security groups whose rules name one prefix list",
            Self::EnisOfInstance => "network interfaces of one instance",
            Self::Ipv4OfEni => "private IPv4 addresses of one network interface",
            Self::Ipv6OfEni => "IPv6 addresses of one network interface",
            Self::SnapshotPolicies => "snapshot policies of one account",
            Self::GroupsOfSnapshotPolicy => "security groups of one snapshot policy",
            Self::SecondaryEnis => "secondary network interfaces in this region",
            Self::Peerings => "active peering connections of one VPC",
            Self::NetworkAcls => "network ACLs of one VPC",
            Self::AclEntries => "entries of one direction of one network ACL",
            Self::PendingPeerings => "peering connections that wait to be accepted",
            Self::FlowLogs => "flow logs of one account",
            Self::FlowLogsOfResource => "flow logs of one VPC, subnet or network interface",
            Self::InsightsPaths => "paths of one account",
            Self::ShadowRules => "rules of all shadows and of the groups beside them",
            Self::VpcsOfGroup => "VPCs that one security group is associated with",
            Self::Invariants => "invariants on this server",
            Self::Trials => "changes that wait to be confirmed",
            Self::TrialFacts => "facts changed by one change that can be undone",
        })
    }
}

/// Why a command changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// The name is not known, or not to this account.
    #[error("{kind} `{id}` does not exist{}; check the {}", kind.place(), kind.word())]
    Missing {
        /// What was looked for.
        kind: Kind,
        /// The name that was given.
        id: String,
    },
    /// Something else still needs it.
    #[error("{kind} `{id}` is still used by `{by}`; remove that first")]
    InUse {
        /// What should go.
        kind: Kind,
        /// Its name.
        id: String,
        /// One thing that uses it.
        by: String,
    },
    /// The name is already taken.
    #[error("{kind} `{id}` exists already; choose another id")]
    Exists {
        /// What should be made.
        kind: Kind,
        /// Its name.
        id: String,
    },
    /// A number would be passed.
    #[error("at most {limit} {counted}; this request would make it {wanted}")]
    Limit {
        /// What is counted.
        counted: Counted,
        /// The most there may be.
        limit: u64,
        /// What the command would have made of it.
        wanted: u64,
    },
    /// A number would be passed on a host.
    #[error("at most {limit} {counted}; this request would make it {wanted} on host `{host}`")]
    HostLimit {
        /// The host.
        host: HostId,
        /// What is counted.
        counted: Counted,
        /// The most.
        limit: u64,
        /// What it would be.
        wanted: u64,
    },
    /// The group is in another VPC than the interface or peer.
    #[error("`{one}` and `{other}` are not in the same VPC; use two of one VPC")]
    VpcMismatch {
        /// One side.
        one: String,
        /// The other side.
        other: String,
    },
    /// An ENI would have groups of two flavors.
    #[error("`{eni}` has groups of another type than `{group}`; all groups of an interface must be of one type")]
    MixedFlavors {
        /// The interface.
        eni: String,
        /// The group that does not fit.
        group: GroupId,
    },
    /// It is in the group already.
    #[error("`{member}` is already in `{group}`")]
    AlreadyMember {
        /// The instance or interface.
        member: String,
        /// The group.
        group: GroupId,
    },
    /// It is not in the group.
    #[error("`{member}` is not in `{group}`")]
    NotMember {
        /// The instance or interface.
        member: String,
        /// The group.
        group: GroupId,
    },
    /// It would be left without a group.
    #[error("`{group}` is the only security group of `{member}`; join another first")]
    LastGroup {
        /// The instance or interface.
        member: String,
        /// Its last group.
        group: GroupId,
    },
    /// A rule names its own group where the dialect forbids it.
    #[error("a rule of `{group}` must not name `{group}` itself as {direction} peer")]
    SelfReference {
        /// The group.
        group: GroupId,
        /// The rule's direction.
        direction: Direction,
    },
    /// A rule names an enterprise group.
    #[error("`{group}` is an enterprise group and cannot be a peer; use its addresses")]
    EnterprisePeer {
        /// The named group.
        group: GroupId,
    },
    /// A rule of an enterprise group names a group.
    #[error("rules of enterprise group `{group}` cannot name a group as peer; use addresses")]
    EnterpriseRule {
        /// The group whose rule it is.
        group: GroupId,
    },
    /// The intra-group policy of an enterprise group is fixed.
    #[error("the intra-group policy of enterprise group `{group}` is always Drop")]
    InnerAccessFixed {
        /// The group.
        group: GroupId,
    },
    /// Prefix list and five-tuple address are of two families.
    #[error("the family of prefix list `{list}` differs from that of `{cidr}`; use one family in a rule")]
    PrefixListFamily {
        /// The list.
        list: String,
        /// The other address of the rule.
        cidr: String,
    },
    /// A rule id that the group does not have.
    #[error("`{group}` has no rule `{rule}` in this direction; list the rules to find the id")]
    RuleMissing {
        /// The group.
        group: GroupId,
        /// The rule.
        rule: RuleId,
    },
    /// An address block that cannot be used here.
    #[error("block `{cidr}` cannot be used: {reason}")]
    BadCidr {
        /// The block.
        cidr: String,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// An address block that overlaps another.
    #[error("block `{cidr}` overlaps `{other}`; choose a free block")]
    Overlap {
        /// The block.
        cidr: String,
        /// What it overlaps.
        other: String,
    },
    /// The two VPCs are peered, or about to be.
    #[error("the two VPCs have peering connection `{peering}` already; use that one, or delete it first")]
    PeeringExists {
        /// The connection.
        peering: PeeringId,
    },
    /// Another account has to accept or refuse.
    #[error("peering connection `{peering}` is answered by the owner of the accepter VPC; use a key of that account")]
    NotAccepter {
        /// The connection.
        peering: PeeringId,
    },
    /// It does not stand where it would have to.
    #[error("peering connection `{peering}` is {status}; this is possible only before that")]
    PeeringState {
        /// The connection.
        peering: PeeringId,
        /// Where it stands.
        status: String,
    },
    /// The network ACL has an entry of this number already.
    #[error("network ACL `{acl}` has {direction} entry {number} already; replace it, or choose another number")]
    AclEntryExists {
        /// The ACL.
        acl: NetworkAclId,
        /// The direction.
        direction: Direction,
        /// The number.
        number: u16,
    },
    /// The network ACL has no entry of this number.
    #[error("network ACL `{acl}` has no {direction} entry {number}; list the entries to see their numbers")]
    NoAclEntry {
        /// The ACL.
        acl: NetworkAclId,
        /// The direction.
        direction: Direction,
        /// The number.
        number: u16,
    },
    /// The default ACL goes with its VPC.
    #[error("network ACL `{acl}` is the default one of its VPC; edit its entries instead")]
    DefaultAcl {
        /// The ACL.
        acl: NetworkAclId,
    },
    /// The network ACL and the subnet are in two VPCs.
    #[error("network ACL `{acl}` and subnet `{subnet}` are in different VPCs; use an ACL of the subnet's VPC")]
    AclVpc {
        /// The ACL.
        acl: NetworkAclId,
        /// The subnet.
        subnet: SubnetId,
    },
    /// A subnet has no free address.
    #[error("subnet `{subnet}` has no free private address; use a larger or another subnet")]
    SubnetFull {
        /// The subnet.
        subnet: String,
    },
    /// A requested address that cannot be had.
    #[error("address `{address}` cannot be used in subnet `{subnet}`: {reason}")]
    BadAddress {
        /// The address.
        address: String,
        /// The subnet.
        subnet: String,
        /// What is wrong.
        reason: String,
    },
    /// The VPC's owner and the other account speak different APIs.
    #[error("account `{account}` has another dialect than the owner of `{vpc}`; share it with one of the same")]
    OtherDialect {
        /// The account.
        account: AccountId,
        /// The VPC.
        vpc: VpcId,
    },
    /// A cloud product manages the group.
    #[error("security group `{group}` is managed by a cloud product; look at it, and change another")]
    Managed {
        /// The group.
        group: GroupId,
    },
    /// The group is under deletion protection.
    #[error("security group `{group}` is protected from deletion; take the protection off first")]
    Protected {
        /// The group.
        group: GroupId,
    },
    /// No rule says this.
    #[error("`{group}` has no rule that says this; list the rules to see what they say")]
    NoSuchRule {
        /// The group.
        group: GroupId,
    },
    /// A rule would have a peer of another kind or family.
    #[error("the peer of rule `{rule}` cannot become one of another kind or family; add a rule and revoke this one")]
    PeerKindFixed {
        /// The rule.
        rule: RuleId,
    },
    /// A rule would change between ports and a port list.
    #[error("rule `{rule}` cannot change between ports and a port list; add a rule and revoke this one")]
    PortsKindFixed {
        /// The rule.
        rule: RuleId,
    },
    /// A rule would say what another says already.
    #[error("rule `{other}` of `{group}` says the same already; revoke one of the two")]
    SameRule {
        /// The group.
        group: GroupId,
        /// The other rule.
        other: RuleId,
    },
    /// A rule would have ports, and a protocol without.
    #[error("rule `{rule}` would have ports and protocol {protocol}; give protocol and ports that fit")]
    PortsWithoutProtocol {
        /// The rule.
        rule: RuleId,
        /// Its protocol after the change.
        protocol: Protocol,
    },
    /// A rule would have a protocol and addresses of two families.
    #[error("rule `{rule}` would have a protocol and an address of two families; give ones that fit")]
    RuleFamily {
        /// The rule.
        rule: RuleId,
    },
    /// The world has changed since the command was made up.
    #[error("the world is at revision {found}, not at {expected} any more; look again, then decide")]
    Outdated {
        /// The revision that was looked at.
        expected: Revision,
        /// The newest one.
        found: Revision,
    },
    /// IPv6 is not enabled there.
    #[error("{kind} `{id}` has no IPv6 block; enable IPv6 first")]
    NoIpv6 {
        /// VPC or subnet.
        kind: Kind,
        /// Its name.
        id: String,
    },
    /// A client token that was used for something else.
    #[error("client token `{token}` was used for another request; use a new token, or send the same request")]
    TokenReused {
        /// The token.
        token: String,
    },
    /// Another ENI has the requested address.
    #[error("address `{address}` of subnet `{subnet}` is another interface's; choose a free one")]
    AddressTaken {
        /// The address.
        address: String,
        /// The subnet.
        subnet: String,
    },
    /// An address that the ENI does not have beside its primary one.
    #[error("`{eni}` has no secondary address `{address}`; describe the interface to see its addresses")]
    AddressNotAssigned {
        /// The ENI.
        eni: EniId,
        /// The address.
        address: String,
    },
    /// The ENI is attached.
    #[error("`{eni}` is attached to `{instance}`; detach it first")]
    EniAttached {
        /// The ENI.
        eni: EniId,
        /// Its instance.
        instance: InstanceId,
    },
    /// The ENI is not attached to that instance.
    #[error("`{eni}` is not attached to `{instance}`; describe the interface to see its instance")]
    EniNotAttached {
        /// The ENI.
        eni: EniId,
        /// The instance.
        instance: InstanceId,
    },
    /// The primary ENI lives and goes with its instance.
    #[error("`{eni}` is the primary interface of `{instance}`; change the instance instead")]
    PrimaryEni {
        /// The ENI.
        eni: EniId,
        /// Its instance.
        instance: InstanceId,
    },
    /// Interface and instance are in two zones.
    #[error("`{eni}` is in zone `{zone}` and `{instance}` is in another; use an interface of the instance's zone")]
    ZoneMismatch {
        /// The ENI.
        eni: EniId,
        /// Its zone.
        zone: String,
        /// The instance.
        instance: InstanceId,
    },
    /// A rule that an EC2 group has already.
    #[error("`{group}` has a rule that says this already; leave it, or revoke it first")]
    RuleExists {
        /// The group.
        group: GroupId,
        /// What both say.
        spec: Box<RuleSpec>,
    },
    /// The default group of a VPC lives and goes with it.
    #[error("`{group}` is the default security group of its VPC; it goes with the VPC")]
    DefaultGroup {
        /// The group.
        group: GroupId,
        /// Its name.
        name: String,
    },
    /// Another group of the VPC has the name.
    #[error("`{vpc}` has a security group of the name `{name}` already; choose another name")]
    GroupNameTaken {
        /// The name.
        name: String,
        /// The VPC.
        vpc: VpcId,
    },
    /// The instance is not in the state that the command needs.
    #[error("`{instance}` is {state}, which this cannot be done in; start or stop it first")]
    InstanceState {
        /// The instance.
        instance: InstanceId,
        /// Its state.
        state: InstanceState,
    },
    /// The prefix list has changed since the command was made up.
    #[error("prefix list `{list}` is at version {found}, not at {expected}; look at its entries again, then decide")]
    ListOutdated {
        /// The list.
        list: PrefixListId,
        /// The version that was looked at.
        expected: u64,
        /// The current one.
        found: u64,
    },
    /// A version that the prefix list has not, or no longer.
    #[error("prefix list `{list}` has no version {version}; it is at {current}")]
    NoListVersion {
        /// The list.
        list: PrefixListId,
        /// The version.
        version: u64,
        /// The current one.
        current: u64,
    },
    /// A flow log that says the same about the same traffic.
    #[error("`{resource}` has a flow log of the same traffic to the same destination already; keep that one")]
    FlowLogExists {
        /// Whose traffic.
        resource: String,
    },
    /// The VPC is the group's own.
    #[error("`{vpc}` is the VPC of `{group}` itself; name another one")]
    OwnVpc {
        /// The group.
        group: GroupId,
        /// The VPC.
        vpc: VpcId,
    },
    /// The group is not associated with the VPC.
    #[error("`{group}` is not associated with `{vpc}`; describe its associations to see with which it is")]
    NotAssociated {
        /// The group.
        group: GroupId,
        /// The VPC.
        vpc: VpcId,
    },
    /// A cloud product manages the ENI.
    #[error("interface `{eni}` is managed by a cloud product; look at it, and change another")]
    ManagedEni {
        /// The ENI.
        eni: EniId,
    },
    /// An ENI cannot be bound to an interface, or let go.
    #[error(transparent)]
    Binding(#[from] BindingRefusal),
    /// The candidate of a group is not there, or not as it was looked at.
    #[error("{}", problem.of(group))]
    Shadow {
        /// The group.
        group: GroupId,
        /// What is wrong.
        problem: ShadowProblem,
    },
    /// A change on trial is not begun, or not confirmed.
    #[error(transparent)]
    Trial(#[from] TrialRefusal),
    /// A name that no invariant may have.
    #[error(
        "`{name}` cannot be the name of an invariant; use 1 to {INVARIANT_NAME_CHARACTERS_MAX} letters, digits, -, _ and ."
    )]
    InvariantName {
        /// The name.
        name: String,
    },
    /// The change would violate an invariant that holds.
    #[error(
        "invariant `{name}` ({statement}) forbids this: {witness}; change something else, or ask the operator to \
         change the invariant"
    )]
    Invariant {
        /// Its name.
        name: String,
        /// What it says.
        statement: Box<Statement>,
        /// What shows it.
        witness: Box<Witness>,
    },
    /// An invariant is to be enforced that does not hold.
    #[error(
        "invariant `{name}` ({statement}) does not hold now: {witness}; mend that first, or let it warn only (`sekimori \
         invariant add --warn`)"
    )]
    InvariantBroken {
        /// Its name.
        name: String,
        /// What it says.
        statement: Box<Statement>,
        /// What shows it.
        witness: Box<Witness>,
    },
}
