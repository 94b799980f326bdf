//! A real account's state, read from what the clouds' own tools describe: the replies of `aws ec2 describe-…` and of Alibaba Cloud's
//! `Describe…`, and files of exported rules. Every question can then be asked without a server, and without touching the account.
//!
//! What is described is taken as it is; names stay. What is not described but named by something is filled in as little as can be, and
//! every such gap is told as a note: an answer is as complete as its files.

mod build;
mod doc;
mod ec2;
mod ecs;
mod routes;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};
use serde_json::{Deserializer, Value};

use sekimori_core::{
    change::Change,
    ids::{
        AccountId, EniId, GroupId, InstanceId, NetworkAclId, PeeringId, PortListId, PrefixListId, SubnetId, VpcId,
    },
    network_acl::AclEntry,
    peering::Peering,
    rule::{Direction, Rule},
    tags::Tags,
    world::{Dialect, Eni, Group, Instance, PortEntry, PrefixEntry},
};

use self::{doc::Doc, routes::SeenRoutes};

/// Bytes of all files together.
pub const ACCOUNT_BYTES_MAX: usize = 512 * 1024 * 1024;
/// Files.
pub const ACCOUNT_FILES_MAX: usize = 10_000;

/// A file: what it is called, and what it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Its path. Where a reply does not say what it is about, the name without its extension does: `sg-….json`.
    pub name: String,
    /// Its text: a JSON document, several one after the other, or rules as CSV.
    pub text: String,
}

/// An account that was read.
#[derive(Clone, Debug)]
pub struct Account {
    /// What makes its world out of an empty one.
    pub changes: Vec<Change>,
    /// What was not described, or could not be taken over, and what is assumed in its place.
    pub notes: Vec<String>,
}

/// Why files are no account.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// Not JSON, or not CSV of rules.
    #[error("`{file}` cannot be read: {reason}")]
    Unreadable {
        /// Which file.
        file: String,
        /// Why.
        reason: String,
    },
    /// A value that means nothing.
    #[error("`{file}`: {reason}")]
    Wrong {
        /// Which file.
        file: String,
        /// What, where, and what it would have to be.
        reason: String,
    },
    /// A reply without a name, in a file that is not named after it.
    #[error("`{file}` does not say which {what} it is about; call the file after it: `{example}.json`")]
    Nameless {
        /// Which file.
        file: String,
        /// A prefix list, a port list, a group.
        what: &'static str,
        /// How a name looks.
        example: &'static str,
    },
    /// Too many files.
    #[error("{0} files are more than the {ACCOUNT_FILES_MAX} that are read")]
    TooMany(usize),
    /// Too much.
    #[error("the files have more than {ACCOUNT_BYTES_MAX} bytes; describe fewer regions")]
    TooLarge,
    /// None of them describes anything that is known here.
    #[error(
        "the files describe no security group and nothing else that is asked about; give what `aws ec2 describe-security-groups` or `aliyun ecs DescribeSecurityGroupAttribute` printed"
    )]
    Nothing,
}

/// Everything that files describe, before it is put together.
#[derive(Debug, Default)]
struct Described {
    vpcs: BTreeMap<VpcId, SeenVpc>,
    subnets: BTreeMap<SubnetId, SeenSubnet>,
    groups: BTreeMap<GroupId, Group>,
    /// Groups whose rules have been described, and by what: a reply with names of rules beats one without.
    rules: BTreeMap<GroupId, SeenRules>,
    prefix_lists: BTreeMap<PrefixListId, SeenList<PrefixEntry>>,
    port_lists: BTreeMap<PortListId, SeenList<PortEntry>>,
    instances: BTreeMap<InstanceId, Instance>,
    /// As interfaces describe themselves, and as their instances do; the first counts.
    enis: BTreeMap<EniId, Eni>,
    enis_of_instances: BTreeMap<EniId, Eni>,
    peerings: BTreeMap<PeeringId, Peering>,
    /// Further blocks of VPCs, as peering connections tell them.
    peer_blocks: BTreeMap<VpcId, Vec<IpNet>>,
    acls: BTreeMap<NetworkAclId, SeenAcl>,
    /// By vSwitch, the network ACL that it is said to have.
    acl_names: BTreeMap<SubnetId, NetworkAclId>,
    routes: SeenRoutes,
    dialects: BTreeMap<AccountId, Dialect>,
    /// By list of replies that come in pages: how many were there, and how many there are.
    pages: BTreeMap<String, (usize, usize)>,
    notes: BTreeSet<String>,
}

#[derive(Debug)]
struct SeenVpc {
    account: AccountId,
    region: String,
    name: String,
    cidr: Ipv4Net,
    ipv6: Option<Ipv6Net>,
    further: Vec<IpNet>,
    tags: Tags,
}

impl SeenVpc {
    /// One of which no more is known.
    fn bare(account: AccountId, cidr: Ipv4Net, further: Vec<IpNet>) -> Self {
        let (region, name, tags) = (String::new(), String::new(), Tags::default());
        Self { account, region, name, cidr, ipv6: None, further, tags }
    }
}

#[derive(Debug)]
struct SeenSubnet {
    account: AccountId,
    vpc: VpcId,
    zone: String,
    name: String,
    cidr: Ipv4Net,
    ipv6: Option<Ipv6Net>,
    tags: Tags,
}

#[derive(Debug, Default)]
struct SeenRules {
    are_named: bool,
    directions: BTreeMap<Direction, Vec<Rule>>,
}

#[derive(Debug)]
struct SeenList<Entry> {
    account: AccountId,
    region: String,
    name: String,
    entries: Option<Vec<Entry>>,
}

#[derive(Debug)]
struct SeenAcl {
    account: AccountId,
    vpc: VpcId,
    is_default: bool,
    entries: Vec<AclEntry>,
    subnets: Vec<SubnetId>,
}

/// Reads an account.
///
/// # Errors
/// When a file is too large, cannot be read, or holds a value that means nothing; nothing is left out in silence.
pub fn read(files: &[File]) -> Result<Account, AccountError> {
    if files.len() > ACCOUNT_FILES_MAX {
        return Err(AccountError::TooMany(files.len()));
    }
    if files.iter().map(|file| file.text.len()).sum::<usize>() > ACCOUNT_BYTES_MAX {
        return Err(AccountError::TooLarge);
    }
    let mut described = Described::default();
    for file in files {
        read_file(&mut described, file)?;
    }
    if described.is_empty() {
        return Err(AccountError::Nothing);
    }
    Ok(build::account(described))
}

/// The lists of replies, the name of what is inside where they are nested (Alibaba's are), and how an item of each is taken in.
type Lists = [(&'static str, &'static str, fn(&mut Described, Doc<'_>) -> Result<(), AccountError>)];

/// Takes in the lists of a reply. Whether it has any of these.
fn read_lists(described: &mut Described, doc: Doc<'_>, lists: &Lists) -> Result<bool, AccountError> {
    let mut is_known = false;
    for (name, inner, read) in lists {
        let is_there = if inner.is_empty() { doc.has_array(name) } else { doc.has_nested(name, inner) };
        if is_there {
            is_known = true;
            let items = doc.items(name, inner);
            described.count(name, items.len(), doc.number("TotalCount"));
            items.into_iter().try_for_each(|item| read(described, item))?;
        }
    }
    Ok(is_known)
}

fn read_file(described: &mut Described, file: &File) -> Result<(), AccountError> {
    let text = file.text.trim_start_matches('\u{feff}').trim_start();
    if text.is_empty() {
        described.notes.insert(format!("`{}` is empty", file.name));
        return Ok(());
    }
    if !text.starts_with(['[', '{']) {
        return ecs::rules_file(described, file);
    }
    for value in Deserializer::from_str(text).into_iter::<Value>() {
        let unreadable = |error: serde_json::Error| AccountError::Unreadable {
            file: file.name.clone(),
            reason: format!("{error}; it must be JSON, as `--output json` prints it"),
        };
        let value = value.map_err(unreadable)?;
        read_document(described, &file.name, &value)?;
    }
    Ok(())
}

/// One document: a reply of either cloud, or an array of exported rules.
fn read_document(described: &mut Described, file: &str, value: &Value) -> Result<(), AccountError> {
    let doc = Doc::new(file, value);
    if value.is_array() {
        return ecs::rules_array(described, doc);
    }
    let is_known = ec2::read(described, doc)? | ecs::read(described, doc)? | routes::read(described, doc)?;
    if is_known && doc.text("NextToken").is_some() {
        described.note(format!("`{}` is one page of several: it ends with a NextToken", doc.file));
    }
    if !is_known {
        let names: Vec<&str> = value.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        described.notes.insert(format!("`{file}`: nothing is made of `{}`", names.join("`, `")));
    }
    Ok(())
}

impl Described {
    fn is_empty(&self) -> bool {
        let Self { vpcs, groups, rules, instances, enis, prefix_lists, port_lists, .. } = self;
        vpcs.is_empty()
            && groups.is_empty()
            && rules.is_empty()
            && instances.is_empty()
            && enis.is_empty()
            && prefix_lists.is_empty()
            && port_lists.is_empty()
    }

    fn note(&mut self, note: impl Into<String>) {
        self.notes.insert(note.into());
    }

    /// A page of a list.
    fn count(&mut self, list: &str, items: usize, total: Option<i64>) {
        let Some(total) = total.and_then(|total| usize::try_from(total).ok()) else { return };
        let (seen, all) = self.pages.entry(list.to_owned()).or_default();
        *seen += items;
        *all = total.max(*all);
    }

    /// An account that owns something of a dialect.
    fn owner(&mut self, id: Option<&str>, dialect: Dialect) -> AccountId {
        let unnamed = match dialect {
            Dialect::Ec2 => UNNAMED_EC2,
            Dialect::Ecs => UNNAMED_ECS,
        };
        let id = AccountId::from(id.unwrap_or(unnamed));
        self.dialects.entry(id.clone()).or_insert(dialect);
        id
    }

    /// Takes in rules of a group in one direction. Those with names of their own stay when others come.
    fn add_rules(&mut self, group: &GroupId, are_named: bool, rules: BTreeMap<Direction, Vec<Rule>>) {
        let seen = self.rules.entry(group.clone()).or_default();
        if seen.are_named && !are_named {
            return;
        }
        if are_named && !seen.are_named {
            *seen = SeenRules { are_named, directions: BTreeMap::new() };
        }
        for (direction, rules) in rules {
            let known = seen.directions.entry(direction).or_default();
            known.extend(rules);
        }
    }
}

/// Who owns what no reply says the owner of.
const UNNAMED_EC2: &str = "000000000000";
const UNNAMED_ECS: &str = "0000000000000000";
