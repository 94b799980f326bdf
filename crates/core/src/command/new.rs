//! Things to be made: accounts, networks, instances, groups and reports. Plain data; [`crate::apply`] gives it its meaning.

use serde::{Deserialize, Serialize};

use super::EniSpec;
use crate::{
    diagnosis::MetricResult,
    ids::{AccountId, EniId, InstanceId, KeyId, VpcId},
    tags::Tags,
    time::Timestamp,
    world::{Dialect, Flavor, Revision, SystemDisk},
};

/// An account to be made, with its first access key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewAccount {
    /// Its number; `None` makes one in the dialect's shape.
    pub id: Option<AccountId>,
    /// Its dialect.
    pub dialect: Dialect,
    /// A name for people.
    pub name: String,
    /// The key's public half.
    pub key: KeyId,
    /// The key's secret, sealed.
    pub sealed_secret: String,
}

/// Instances to be started, each with a primary ENI and perhaps more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewInstances {
    /// The owner.
    pub account: AccountId,
    /// The primary ENI of each. A primary address is for a single instance.
    pub primary: EniSpec,
    /// Further ENIs that are made for each.
    pub secondary: Vec<EniSpec>,
    /// Further ENIs that exist, for a single instance.
    pub attached: Vec<EniId>,
    /// How many.
    pub amount: u32,
    /// The owner's name for them.
    pub name: String,
    /// The owner's words about them.
    pub description: String,
    /// Image id, kept as given.
    pub image: String,
    /// Instance type, kept as given.
    pub instance_type: String,
    /// The system disk of each, kept as given.
    pub disk: SystemDisk,
    /// ECS resource group; empty is the account's default one.
    pub resource_group: String,
    /// Tags of the instances.
    pub tags: Tags,
}

/// A diagnostic report to be kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewReport {
    /// The owner.
    pub account: AccountId,
    /// The instance that was looked at.
    pub instance: InstanceId,
    /// The beginning of the time that the owner asks about.
    pub from: Option<Timestamp>,
    /// The end of it.
    pub until: Option<Timestamp>,
    /// The world that was looked at.
    pub revision: Revision,
    /// What was found. Empty in a request: whoever carries it out looks first.
    pub results: Vec<MetricResult>,
}

/// A group to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewGroup {
    /// The owner.
    pub account: AccountId,
    /// The VPC whose ENIs may carry it.
    pub vpc: VpcId,
    /// Its kind.
    pub flavor: Flavor,
    /// The owner's name for it.
    pub name: String,
    /// The owner's words about it.
    pub description: String,
    /// ECS resource group; empty is the account's default one.
    pub resource_group: String,
    /// Tags.
    pub tags: Tags,
    /// The cloud product that manages it.
    pub managed_by: Option<u64>,
}
