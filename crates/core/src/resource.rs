//! What can be tagged and put in a resource group: one name for things of several kinds.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    change::Change,
    flow_log::FlowLog,
    ids::{
        AccountId, EniId, FlowLogId, GroupId, InsightsAnalysisId, InsightsPathId, InstanceId, NetworkAclId,
        PeeringId, PortListId, PrefixListId, RuleId, SubnetId, VpcId,
    },
    insights::{InsightsAnalysis, InsightsPath},
    network_acl::NetworkAcl,
    peering::Peering,
    refusal::Kind,
    rule::Rule,
    tags::Tags,
    world::{Eni, Group, Instance, PortList, PrefixList, Subnet, Vpc, World},
};

/// A thing that has tags.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Resource {
    /// A VPC.
    Vpc(VpcId),
    /// A subnet.
    Subnet(SubnetId),
    /// An instance.
    Instance(InstanceId),
    /// An ENI.
    Eni(EniId),
    /// A group.
    Group(GroupId),
    /// A prefix list.
    PrefixList(PrefixListId),
    /// A port list.
    PortList(PortListId),
    /// A rule.
    Rule(RuleId),
    /// A peering connection.
    Peering(PeeringId),
    /// A path.
    InsightsPath(InsightsPathId),
    /// An analysis of a path.
    InsightsAnalysis(InsightsAnalysisId),
    /// A flow log.
    FlowLog(FlowLogId),
    /// A network ACL.
    NetworkAcl(NetworkAclId),
}

/// The kind of such a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResourceKind {
    /// VPCs.
    Vpc,
    /// Subnets.
    Subnet,
    /// Instances.
    Instance,
    /// ENIs.
    Eni,
    /// Groups.
    Group,
    /// Prefix lists.
    PrefixList,
    /// Port lists.
    PortList,
    /// Rules.
    Rule,
    /// Peering connections.
    Peering,
    /// Paths.
    InsightsPath,
    /// Analyses of paths.
    InsightsAnalysis,
    /// Flow logs.
    FlowLog,
    /// Network ACLs.
    NetworkAcl,
}

impl ResourceKind {
    /// Every kind.
    pub const ALL: [Self; 13] = [
        Self::Vpc,
        Self::Subnet,
        Self::Instance,
        Self::Eni,
        Self::Group,
        Self::PrefixList,
        Self::PortList,
        Self::Rule,
        Self::Peering,
        Self::InsightsPath,
        Self::InsightsAnalysis,
        Self::FlowLog,
        Self::NetworkAcl,
    ];

    /// The resource of this kind that an id names, whether it is there or not.
    #[must_use]
    pub fn named(self, id: &str) -> Resource {
        match self {
            Self::Vpc => Resource::Vpc(id.into()),
            Self::Subnet => Resource::Subnet(id.into()),
            Self::Instance => Resource::Instance(id.into()),
            Self::Eni => Resource::Eni(id.into()),
            Self::Group => Resource::Group(id.into()),
            Self::PrefixList => Resource::PrefixList(id.into()),
            Self::PortList => Resource::PortList(id.into()),
            Self::Rule => Resource::Rule(id.into()),
            Self::Peering => Resource::Peering(id.into()),
            Self::InsightsPath => Resource::InsightsPath(id.into()),
            Self::InsightsAnalysis => Resource::InsightsAnalysis(id.into()),
            Self::FlowLog => Resource::FlowLog(id.into()),
            Self::NetworkAcl => Resource::NetworkAcl(id.into()),
        }
    }

    /// Everything of this kind that an account owns, by id.
    #[must_use]
    pub fn of(self, world: &World, account: &AccountId) -> Vec<Resource> {
        let mut all: Vec<Resource> = match self {
            Self::Vpc => world.vpcs().map(|one| Resource::Vpc(one.id.clone())).collect(),
            Self::Subnet => world.subnets().map(|one| Resource::Subnet(one.id.clone())).collect(),
            Self::Instance => world.instances().map(|one| Resource::Instance(one.id.clone())).collect(),
            Self::Eni => world.enis().map(|one| Resource::Eni(one.id.clone())).collect(),
            Self::Group => world.groups().map(|one| Resource::Group(one.id.clone())).collect(),
            Self::PrefixList => world.prefix_lists().map(|one| Resource::PrefixList(one.id.clone())).collect(),
            Self::PortList => world.port_lists().map(|one| Resource::PortList(one.id.clone())).collect(),
            Self::InsightsPath => world.insights_paths().map(|one| Resource::InsightsPath(one.id.clone())).collect(),
            Self::InsightsAnalysis => {
                world.insights_analyses().map(|one| Resource::InsightsAnalysis(one.id.clone())).collect()
            }
            Self::FlowLog => world.flow_logs().map(|one| Resource::FlowLog(one.id.clone())).collect(),
            Self::NetworkAcl => world.network_acls().map(|one| Resource::NetworkAcl(one.id.clone())).collect(),
            Self::Rule => {
                let own = world.groups().filter(|group| group.account == *account);
                own.flat_map(|group| group.rules.keys().cloned().map(Resource::Rule)).collect()
            }
            Self::Peering => world.peerings().iter().map(|one| Resource::Peering(one.id.clone())).collect(),
        };
        all.retain(|one| world.labels(one).is_some_and(|labels| labels.account == account));
        all
    }
}

/// What every such thing has.
#[derive(Clone, Copy, Debug)]
pub struct Labels<'a> {
    /// Its owner.
    pub account: &'a AccountId,
    /// The region it is in, in the owner's dialect.
    pub region: &'a str,
    /// Its resource group; empty is the account's default one.
    pub resource_group: &'a str,
    /// Its tags.
    pub tags: &'a Tags,
}

impl Resource {
    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Vpc(id) => id.as_str(),
            Self::Subnet(id) => id.as_str(),
            Self::Instance(id) => id.as_str(),
            Self::Eni(id) => id.as_str(),
            Self::Group(id) => id.as_str(),
            Self::PrefixList(id) => id.as_str(),
            Self::PortList(id) => id.as_str(),
            Self::Rule(id) => id.as_str(),
            Self::Peering(id) => id.as_str(),
            Self::InsightsPath(id) => id.as_str(),
            Self::InsightsAnalysis(id) => id.as_str(),
            Self::FlowLog(id) => id.as_str(),
            Self::NetworkAcl(id) => id.as_str(),
        }
    }

    /// The kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Vpc(_) => Kind::Vpc,
            Self::Subnet(_) => Kind::Subnet,
            Self::Instance(_) => Kind::Instance,
            Self::Eni(_) => Kind::Eni,
            Self::Group(_) => Kind::Group,
            Self::PrefixList(_) => Kind::PrefixList,
            Self::PortList(_) => Kind::PortList,
            Self::Rule(_) => Kind::Rule,
            Self::Peering(_) => Kind::Peering,
            Self::InsightsPath(_) => Kind::InsightsPath,
            Self::InsightsAnalysis(_) => Kind::InsightsAnalysis,
            Self::FlowLog(_) => Kind::FlowLog,
            Self::NetworkAcl(_) => Kind::NetworkAcl,
        }
    }
}

macro_rules! labels {
    ($found:expr, $one:ident, $region:expr) => {
        $found.map(|$one| Labels {
            account: &$one.account,
            region: $region,
            resource_group: &$one.resource_group,
            tags: &$one.tags,
        })
    };
}

/// The same of things that have no resource group: EC2 has none.
macro_rules! bare_labels {
    ($found:expr) => {
        $found.map(|one| Labels { account: &one.account, region: &one.region, resource_group: "", tags: &one.tags })
    };
}

macro_rules! relabelled {
    ($found:expr, $put:ident, $entity:ident, $tags:ident, $resource_group:ident) => {
        $found.map(|old| Change::$put(Arc::new($entity { $tags, $resource_group, ..$entity::clone(old) })))
    };
}

impl World {
    /// What a resource has, if it is there.
    #[must_use]
    pub fn labels(&self, resource: &Resource) -> Option<Labels<'_>> {
        match resource {
            Resource::Rule(id) => self.rule(id).map(|(group, rule)| Labels {
                account: &group.account,
                region: self.region_of(&group.vpc),
                resource_group: &group.resource_group,
                tags: &rule.tags,
            }),
            Resource::InsightsPath(id) => bare_labels!(self.insights_path(id)),
            Resource::InsightsAnalysis(id) => bare_labels!(self.insights_analysis(id)),
            Resource::FlowLog(id) => labels!(self.flow_log(id), one, &one.region),
            Resource::NetworkAcl(id) => self.network_acl(id).map(|one| Labels {
                account: &one.account,
                region: self.region_of(&one.vpc),
                resource_group: "",
                tags: &one.tags,
            }),
            Resource::Vpc(id) => labels!(self.vpc(id), one, &one.region),
            Resource::Subnet(id) => labels!(self.subnet(id), one, self.region_of(&one.vpc)),
            Resource::Instance(id) => labels!(self.instance(id), one, self.region_of(&one.vpc)),
            Resource::Eni(id) => labels!(self.eni(id), one, self.region_of(&one.vpc)),
            Resource::Group(id) => labels!(self.group(id), one, self.region_of(&one.vpc)),
            Resource::PrefixList(id) => labels!(self.prefix_list(id), one, &one.region),
            Resource::PortList(id) => labels!(self.port_list(id), one, &one.region),
            Resource::Peering(id) => self.peerings().get(id).map(|one| Labels {
                account: &one.requester.account,
                region: &one.region,
                resource_group: "",
                tags: &one.tags,
            }),
        }
    }

    /// The region of a VPC; empty for one that is not there.
    #[must_use]
    pub fn region_of(&self, vpc: &VpcId) -> &str {
        self.vpc(vpc).map_or("", |vpc| &vpc.region)
    }

    /// The change that gives a resource other tags and another resource group.
    #[must_use]
    pub(crate) fn relabelled(&self, resource: &Resource, tags: Tags, resource_group: String) -> Option<Change> {
        match resource {
            Resource::Vpc(id) => relabelled!(self.vpc(id), PutVpc, Vpc, tags, resource_group),
            Resource::Subnet(id) => relabelled!(self.subnet(id), PutSubnet, Subnet, tags, resource_group),
            Resource::Instance(id) => relabelled!(self.instance(id), PutInstance, Instance, tags, resource_group),
            Resource::Eni(id) => relabelled!(self.eni(id), PutEni, Eni, tags, resource_group),
            Resource::Group(id) => relabelled!(self.group(id), PutGroup, Group, tags, resource_group),
            Resource::PrefixList(id) => {
                relabelled!(self.prefix_list(id), PutPrefixList, PrefixList, tags, resource_group)
            }
            Resource::PortList(id) => relabelled!(self.port_list(id), PutPortList, PortList, tags, resource_group),
            // It is in no resource group.
            Resource::Peering(id) => {
                let old = self.peerings().get(id);
                old.map(|old| Change::PutPeering(Arc::new(Peering { tags, ..Peering::clone(old) })))
            }
            Resource::InsightsPath(id) => {
                let path = self.insights_path(id)?;
                Some(Change::PutInsightsPath(Arc::new(InsightsPath { tags, ..InsightsPath::clone(path) })))
            }
            Resource::InsightsAnalysis(id) => {
                let analysis = self.insights_analysis(id)?;
                Some(Change::PutInsightsAnalysis(Arc::new(InsightsAnalysis {
                    tags,
                    ..InsightsAnalysis::clone(analysis)
                })))
            }
            Resource::FlowLog(id) => relabelled!(self.flow_log(id), PutFlowLog, FlowLog, tags, resource_group),
            Resource::NetworkAcl(id) => {
                let acl = self.network_acl(id)?;
                Some(Change::PutNetworkAcl(Arc::new(NetworkAcl { tags, ..NetworkAcl::clone(acl) })))
            }
            // A rule is where its group is.
            Resource::Rule(id) => self.rule(id).map(|(group, old)| Change::PutRule {
                group: group.id.clone(),
                rule: Arc::new(Rule { tags, ..Rule::clone(old) }),
            }),
        }
    }
}
