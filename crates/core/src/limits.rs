//! Every number that bounds something. Two kinds: what a cloud's quota says, and what this data plane holds.
//!
//! `sekimori up --limits cloud` enforces both, `--limits host` only the second. The sizes of the kernel's
//! maps are these constants; a test in the agent compares them with the compiled program.

use serde::{Deserialize, Serialize};

use crate::world::{Dialect, Flavor};

/// ENIs that one host enforces.
pub const HOST_ENIS_MAX: u32 = 16_384;
/// VPCs, all of which every host numbers.
pub const HOST_VPCS_MAX: u32 = 1_024;
/// Private addresses of all ENIs: every host can tell the groups of each, as they are its own ENIs' or their possible peers'.
pub const HOST_ADDRESSES_MAX: u32 = 131_072;
/// Groups, all of which every host numbers: any rule may come to name them.
pub const HOST_GROUPS_MAX: u32 = 65_536;
/// Rules with a counter on one host: those of the groups that its ENIs carry.
pub const HOST_RULES_MAX: u32 = 262_144;
/// Rules of all groups, on hosts or on none.
pub const RULES_MAX: u32 = 4 * HOST_RULES_MAX;
/// Flows of each IP version that one host tracks at a time, over all ENIs.
pub const HOST_FLOWS_MAX: u32 = 262_144;
/// Half-open flows of one ENI, both IP versions together: a sixteenth of a flow table.
pub const ENI_HALF_OPEN_MAX: u32 = 16_384;
/// Live flows that one host tells when it is asked for them; how many more there are is told as well.
pub const LIVE_FLOWS_TOLD_MAX: u32 = 16_384;
/// Kinds of live flows that one question names: interfaces, other ends, services.
pub const LIVE_FLOW_MATCHES_MAX: usize = 4_096;
/// Questions about live flows that one host has to answer at a time.
pub const LIVE_QUESTIONS_PER_HOST_MAX: usize = 16;
/// 64-bit words for all policies of one host: 128 MiB.
pub const HOST_POLICY_WORDS: u32 = 16 * 1024 * 1024;
/// Words that may be promised to policies. The rest is room to build new versions beside the old ones.
pub const HOST_POLICY_WORDS_PROMISED: u32 = HOST_POLICY_WORDS / 2;
/// 64-bit words that one policy may take, 24 MiB: enough for a million blocks of addresses in its prefix lists.
pub const POLICY_WORDS_MAX: u32 = HOST_POLICY_WORDS / 16 * 3;
/// Rules that decide at one ENI in one direction, with the hidden intra-group rules and the bypass set.
pub const POLICY_RULES_MAX: u32 = 16_384;
/// Pairs of deciders, live and candidate, that one host counts flows by (`core::shadow`).
pub const HOST_SHADOW_PAIRS_MAX: u32 = 32_768;
/// Witnesses that one host keeps of flows which a candidate would decide otherwise.
pub const HOST_SHADOW_WITNESSES_MAX: u32 = 4_096;
/// Groups of one ENI, whatever the quota.
pub const ENI_GROUPS_MAX: usize = 16;
/// Private addresses of one ENI.
pub const ENI_ADDRESSES_MAX: usize = 64;
/// ENIs of one instance, whatever the quota.
pub const INSTANCE_ENIS_MAX: u32 = 32;
/// Different flows that are held while files of records are read.
pub const RECORD_TUPLES_MAX: usize = 1_048_576;
/// Different uses of interfaces, as records show them, in one question.
pub const OBSERVED_MAX: usize = 65_536;
/// Bytes in the name of an interface (`IFNAMSIZ` less the final zero).
pub const INTERFACE_BYTES_MAX: usize = 15;
/// Bytes in the name or path of a network namespace.
pub const NETNS_BYTES_MAX: usize = 255;
/// Bytes in the words about who bound an ENI to an interface.
pub const HOLDER_BYTES_MAX: usize = 128;
/// Entries of the bypass set.
pub const BYPASS_ENTRIES_MAX: usize = 32;
/// Pieces that one exact set of packets may be cut into (`core::space`).
pub const SPACE_PIECES_MAX: usize = 16_384;
/// Resource groups of one account, besides the default one.
pub const RESOURCE_GROUPS_MAX: u32 = 100;
/// Entries that a prefix list may be made for in ECS (`spec/ecs.md` C).
pub const PREFIX_LIST_ENTRIES_MAX: u32 = 200;
/// The same in EC2, and whatever the quota (`spec/ec2.md` A4).
pub const HOST_PREFIX_LIST_ENTRIES_MAX: u32 = 1_000;
/// Paths of one account whose reachability is asked about.
pub const INSIGHTS_PATHS_PER_ACCOUNT_MAX: u32 = 1_000;
/// Analyses of one account; a newer one takes the place of the oldest.
pub const INSIGHTS_ANALYSES_PER_ACCOUNT_MAX: usize = 1_000;
/// Characters of the reason why an analysis has no answer.
pub const INSIGHTS_TEXT_CHARACTERS_MAX: usize = 1_024;
/// Flow logs of one VPC, subnet or ENI: EC2's quota, and as many in ECS as the cloud has for a region.
#[must_use]
pub fn flow_logs_per_resource_max(dialect: Dialect) -> u32 {
    match dialect {
        Dialect::Ecs => 10,
        Dialect::Ec2 => 2,
    }
}
/// Flow logs of one account, those of resources that are gone included.
pub const FLOW_LOGS_PER_ACCOUNT_MAX: u32 = 5_000;
/// VPCs, besides its own, whose interfaces may carry one group.
pub const VPCS_PER_GROUP_MAX: u32 = 50;
/// Versions of a prefix list, the current one included; the oldest go (`spec/ec2.md` A4).
pub const PREFIX_LIST_VERSIONS_MAX: usize = 1_000;
/// Entries that a port list may be made for (`spec/ecs.md` C).
pub const PORT_LIST_ENTRIES_MAX: u32 = 2_000;
/// Prefix lists, and port lists, of an account in a region, whatever the quota.
pub const HOST_LISTS_MAX: u32 = 4_096;
/// Commands that are carried out as one.
pub const COMMANDS_TOGETHER_MAX: u32 = 1_024;
/// Diagnostic reports of one account; a newer one takes the place of the oldest.
pub const REPORTS_PER_ACCOUNT_MAX: usize = 100;
/// Findings of one metric in a report.
pub const FINDINGS_MAX: usize = 50;
/// Characters of one finding.
pub const FINDING_CHARACTERS_MAX: usize = 1_024;
/// The smallest and largest system disk of an instance, in GiB.
pub const SYSTEM_DISK_GIB: std::ops::RangeInclusive<u32> = 1..=2_048;
/// Active peering connections of a VPC, whatever the quota: the most that Amazon grants.
pub const VPC_PEERINGS_MAX: u32 = 125;
/// Network ACLs of a VPC, whatever the quota: one for each subnet.
pub const HOST_NETWORK_ACLS_PER_VPC_MAX: u32 = 4_096;
/// Entries of a network ACL in one direction, whatever the quota.
pub const HOST_ACL_ENTRIES_MAX: u32 = 200;
/// Accounts on one server.
pub const ACCOUNTS_MAX: usize = 1_024;

/// Which numbers `core::apply` enforces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LimitMode {
    /// The cloud's quotas.
    #[default]
    Cloud,
    /// Only what the data plane can hold.
    Host,
}

/// The quotas of one dialect (`spec/ecs.md` A7, `spec/ec2.md` A4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// VPCs of an account in a region.
    pub vpcs: u32,
    /// Subnets of a VPC.
    pub subnets_per_vpc: u32,
    /// Groups of an account in a region.
    pub groups: u32,
    /// Groups of an ENI.
    pub groups_per_eni: u32,
    /// Rules over all groups of an ENI, both directions.
    pub rules_per_eni: u32,
    /// Rules of a group in one direction.
    pub rules_per_group_direction: u32,
    /// Rules of a group in one direction that concern one family (EC2).
    pub rules_per_group_family: u32,
    /// Rules of a group whose peer is a group.
    pub group_peer_rules: u32,
    /// Private addresses in an `EcsBasic` group.
    pub addresses_per_basic_group: u32,
    /// ENIs in an `EcsEnterprise` or `Ec2` group.
    pub enis_per_group: u32,
    /// Instances started by one call.
    pub instances_per_call: u32,
    /// Tags of a resource.
    pub tags: u32,
    /// Prefix lists of an account in a region.
    pub prefix_lists: u32,
    /// Entries that a prefix list may be made for.
    pub prefix_list_entries: u32,
    /// Port lists of an account in a region.
    pub port_lists: u32,
    /// Groups whose rules name one prefix list.
    pub groups_per_prefix_list: u32,
    /// ENIs of an instance, the primary one included.
    pub enis_per_instance: u32,
    /// Private IPv4 addresses of an ENI, the primary one included.
    pub ipv4_per_eni: u32,
    /// IPv6 addresses of an ENI.
    pub ipv6_per_eni: u32,
    /// Secondary ENIs of an account in a region, attached or not.
    pub secondary_enis: u32,
    /// Active peering connections of a VPC (EC2).
    pub peerings_per_vpc: u32,
    /// Peering connections that an account has asked for and nobody has answered (EC2).
    pub pending_peerings: u32,
    /// Network ACLs of a VPC, the default one included (EC2).
    pub network_acls_per_vpc: u32,
    /// Entries of a network ACL in one direction (EC2).
    pub acl_entries: u32,
}

impl Limits {
    /// The numbers that hold for a dialect in a mode.
    #[must_use]
    pub fn of(mode: LimitMode, dialect: Dialect) -> Self {
        match (mode, dialect) {
            (LimitMode::Cloud, Dialect::Ecs) => Self::ECS,
            (LimitMode::Cloud, Dialect::Ec2) => Self::EC2,
            (LimitMode::Host, Dialect::Ecs | Dialect::Ec2) => Self::HOST,
        }
    }

    const ECS: Self = Self {
        vpcs: HOST_VPCS_MAX,
        subnets_per_vpc: 150,
        groups: 20_000,
        groups_per_eni: 10,
        rules_per_eni: 1_000,
        rules_per_group_direction: 1_000,
        rules_per_group_family: u32::MAX,
        group_peer_rules: 20,
        addresses_per_basic_group: 6_000,
        enis_per_group: 65_536,
        instances_per_call: 100,
        tags: 20,
        prefix_lists: 100,
        prefix_list_entries: PREFIX_LIST_ENTRIES_MAX,
        port_lists: 100,
        groups_per_prefix_list: 1_000,
        enis_per_instance: 8,
        ipv4_per_eni: 50,
        ipv6_per_eni: 10,
        secondary_enis: 5_000,
        peerings_per_vpc: 50,
        pending_peerings: 25,
        network_acls_per_vpc: 200,
        acl_entries: 20,
    };

    const EC2: Self = Self {
        vpcs: HOST_VPCS_MAX,
        subnets_per_vpc: 200,
        groups: 2_500,
        groups_per_eni: 5,
        rules_per_eni: 1_000,
        rules_per_group_direction: 120,
        rules_per_group_family: 60,
        group_peer_rules: 120,
        addresses_per_basic_group: u32::MAX,
        enis_per_group: u32::MAX,
        instances_per_call: 100,
        tags: 50,
        prefix_lists: 100,
        prefix_list_entries: HOST_PREFIX_LIST_ENTRIES_MAX,
        port_lists: HOST_LISTS_MAX,
        groups_per_prefix_list: HOST_GROUPS_MAX,
        enis_per_instance: 15,
        ipv4_per_eni: 50,
        ipv6_per_eni: 50,
        secondary_enis: 5_000,
        peerings_per_vpc: 50,
        pending_peerings: 25,
        network_acls_per_vpc: 200,
        acl_entries: 20,
    };

    const HOST: Self = Self {
        vpcs: HOST_VPCS_MAX,
        subnets_per_vpc: 4_096,
        groups: HOST_GROUPS_MAX,
        groups_per_eni: ENI_GROUPS_MAX as u32,
        // Entries of lists count as rules, though only their words are held.
        rules_per_eni: POLICY_WORDS_MAX,
        rules_per_group_direction: POLICY_RULES_MAX - 64,
        rules_per_group_family: u32::MAX,
        group_peer_rules: POLICY_RULES_MAX - 64,
        addresses_per_basic_group: HOST_ADDRESSES_MAX,
        enis_per_group: HOST_ADDRESSES_MAX,
        instances_per_call: 1_000,
        tags: 50,
        prefix_lists: HOST_LISTS_MAX,
        prefix_list_entries: HOST_PREFIX_LIST_ENTRIES_MAX,
        port_lists: HOST_LISTS_MAX,
        groups_per_prefix_list: HOST_GROUPS_MAX,
        enis_per_instance: INSTANCE_ENIS_MAX,
        ipv4_per_eni: ENI_ADDRESSES_MAX as u32,
        ipv6_per_eni: ENI_ADDRESSES_MAX as u32,
        secondary_enis: HOST_ADDRESSES_MAX,
        peerings_per_vpc: VPC_PEERINGS_MAX,
        pending_peerings: VPC_PEERINGS_MAX,
        network_acls_per_vpc: HOST_NETWORK_ACLS_PER_VPC_MAX,
        acl_entries: HOST_ACL_ENTRIES_MAX,
    };

    /// How many rules one rule that names a list counts as: EC2 and ECS count the list's capacity.
    #[must_use]
    pub fn list_weight(entries_max: u32) -> u32 {
        entries_max.max(1)
    }

    /// The most ENIs, or addresses, that a group of this flavor may have: (ENIs, addresses).
    #[must_use]
    pub fn group_size(&self, flavor: Flavor) -> (u32, u32) {
        match flavor {
            Flavor::EcsBasic => (u32::MAX, self.addresses_per_basic_group),
            Flavor::EcsEnterprise | Flavor::Ec2 => (self.enis_per_group, u32::MAX),
        }
    }
}
