//! What can be asked of prefix lists and port lists. Plain data; [`crate::apply`] gives it its meaning.

use serde::{Deserialize, Serialize};

use crate::{
    address::{Cidr, Family},
    ids::{AccountId, PortListId, PrefixListId},
    rule::PortRange,
    tags::Tags,
    world::{PortEntry, PrefixEntry},
};

/// A prefix list to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewPrefixList {
    /// The owner.
    pub account: AccountId,
    /// The region whose groups may name it.
    pub region: String,
    /// The owner's name for it.
    pub name: String,
    /// The owner's words about it; may be empty.
    pub description: String,
    /// The family of every entry.
    pub family: Family,
    /// How many entries it may ever hold.
    pub entries_max: u32,
    /// Its first entries, no block twice.
    pub entries: Vec<PrefixEntry>,
    /// ECS resource group; empty is the account's default one.
    pub resource_group: String,
    /// Tags.
    pub tags: Tags,
}

/// A port list to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewPortList {
    /// The owner.
    pub account: AccountId,
    /// The region whose groups may name it.
    pub region: String,
    /// The owner's name for it.
    pub name: String,
    /// The owner's words about it; may be empty.
    pub description: String,
    /// How many entries it may ever hold.
    pub entries_max: u32,
    /// Its first entries, no range twice.
    pub entries: Vec<PortEntry>,
    /// ECS resource group; empty is the account's default one.
    pub resource_group: String,
    /// Tags.
    pub tags: Tags,
}

/// A change of a prefix list. What is `None` stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrefixListEdit {
    /// The owner.
    pub account: AccountId,
    /// The list.
    pub list: PrefixListId,
    /// A new name.
    pub name: Option<String>,
    /// New words about it.
    pub description: Option<String>,
    /// How many entries it may hold from now on.
    pub entries_max: Option<u32>,
    /// Entries to be added. One whose block is there already changes its words only.
    pub add: Vec<PrefixEntry>,
    /// Blocks to be taken out; one that is not there is no error.
    pub remove: Vec<Cidr>,
    /// Only while it is at this version.
    pub at: Option<u64>,
}

/// A change of a port list. What is `None` stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortListEdit {
    /// The owner.
    pub account: AccountId,
    /// The list.
    pub list: PortListId,
    /// A new name.
    pub name: Option<String>,
    /// New words about it.
    pub description: Option<String>,
    /// Entries to be added. One whose range is there already changes its words only.
    pub add: Vec<PortEntry>,
    /// Ranges to be taken out; one that is not there is no error.
    pub remove: Vec<PortRange>,
}
