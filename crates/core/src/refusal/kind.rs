//! The kinds of things that a command may name.

use serde::{Deserialize, Serialize};

/// What kind of thing a name belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// An account.
    Account,
    /// A VPC.
    Vpc,
    /// A subnet.
    Subnet,
    /// An instance.
    Instance,
    /// An ENI.
    Eni,
    /// The group that a command is about.
    Group,
    /// A group that a rule names as peer.
    PeerGroup,
    /// A rule.
    Rule,
    /// A prefix list.
    PrefixList,
    /// A port list.
    PortList,
    /// A resource group.
    ResourceGroup,
    /// A snapshot policy.
    SnapshotPolicy,
    /// A snapshot of a group's rules.
    Snapshot,
    /// A peering connection.
    Peering,
    /// A flow log.
    FlowLog,
    /// A path whose reachability is asked about.
    InsightsPath,
    /// An analysis of a path.
    InsightsAnalysis,
    /// A network ACL.
    NetworkAcl,
    /// The association of a network ACL with a subnet.
    AclAssociation,
    /// An invariant.
    Invariant,
    /// A change on trial.
    Trial,
}

impl Kind {
    /// Where one was looked for, if not on the whole server.
    pub(super) fn place(self) -> &'static str {
        match self {
            Self::Account | Self::Invariant | Self::Trial => "",
            Self::Vpc
            | Self::Subnet
            | Self::Instance
            | Self::Eni
            | Self::Group
            | Self::PeerGroup
            | Self::Rule
            | Self::PrefixList
            | Self::PortList
            | Self::ResourceGroup
            | Self::SnapshotPolicy
            | Self::Snapshot
            | Self::Peering
            | Self::FlowLog
            | Self::InsightsPath
            | Self::InsightsAnalysis
            | Self::NetworkAcl
            | Self::AclAssociation => " in this account and region",
        }
    }

    /// What names one.
    pub(super) fn word(self) -> &'static str {
        if self == Self::Invariant { "name" } else { "id" }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Account => "account",
            Self::Vpc => "VPC",
            Self::Subnet => "subnet",
            Self::Instance => "instance",
            Self::Eni => "ENI",
            Self::Group => "security group",
            Self::PeerGroup => "peer security group",
            Self::Rule => "rule",
            Self::PrefixList => "prefix list",
            Self::PortList => "port list",
            Self::ResourceGroup => "resource group",
            Self::SnapshotPolicy => "snapshot policy",
            Self::Snapshot => "snapshot",
            Self::Peering => "VPC peering connection",
            Self::FlowLog => "flow log",
            Self::InsightsPath => "path",
            Self::InsightsAnalysis => "analysis of a path",
            Self::NetworkAcl => "network ACL",
            Self::AclAssociation => "network ACL association",
            Self::Invariant => "invariant",
            Self::Trial => "change on trial",
        })
    }
}
