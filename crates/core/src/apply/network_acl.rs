//! Network ACLs: made empty, which denies everything; filled entry by entry; given to subnets.

use std::sync::Arc;

use super::{Draft, missing, within};
use crate::{
    address::Family,
    change::Change,
    command::{AclCommand, Outcome},
    ids::{AccountId, AclAssociationId, NetworkAclId, VpcId},
    network_acl::{AclAssociation, AclEntry, DEFAULT_ENTRIES, NetworkAcl},
    refusal::{Counted, Kind, Refusal},
    rule::Direction,
    tags::Tags,
    world::{Subnet, Vpc},
};

impl Draft<'_> {
    pub(super) fn run_acl(&mut self, account: &AccountId, command: &AclCommand) -> Result<Outcome, Refusal> {
        match command {
            AclCommand::Create { vpc, tags } => self.create_network_acl(account, vpc, tags),
            AclCommand::Delete { acl } => self.delete_network_acl(account, acl),
            AclCommand::PutEntry { acl, entry, is_new } => self.put_acl_entry(account, acl, entry, *is_new),
            AclCommand::DeleteEntry { acl, direction, number } => {
                self.delete_acl_entry(account, acl, *direction, *number)
            }
            AclCommand::Associate { association, acl } => self.replace_acl_association(account, association, acl),
        }
    }

    fn create_network_acl(&mut self, account: &AccountId, vpc: &VpcId, tags: &Tags) -> Result<Outcome, Refusal> {
        within(Counted::Tags, self.limits(account).tags, tags.len())?;
        let vpc = self.own_vpc(account, vpc)?;
        let others = self.world.network_acls().filter(|acl| acl.vpc == vpc.id).count();
        within(Counted::NetworkAcls, self.limits(account).network_acls_per_vpc, others + 1)?;
        Ok(Outcome::NetworkAcl(self.put_new_acl(&vpc, Vec::new(), tags.clone())))
    }

    /// The ACL that is made with a VPC: it allows everything.
    pub(super) fn default_acl(&mut self, vpc: &Vpc) {
        let families = [Some(Family::V4), vpc.ipv6.map(|_| Family::V6)].into_iter().flatten();
        let entries = families.flat_map(NetworkAcl::default_entries).collect();
        self.put_new_acl(vpc, entries, Tags::default());
    }

    /// The association of a new subnet with its VPC's default ACL.
    pub(super) fn default_association(&mut self, vpc: &Vpc) -> Option<AclAssociation> {
        let acl = self.world.default_acl(&vpc.id)?.id.clone();
        Some(AclAssociation { id: self.fresh_association(&vpc.account), acl })
    }

    fn delete_network_acl(&mut self, account: &AccountId, id: &NetworkAclId) -> Result<Outcome, Refusal> {
        let acl = self.own_acl(account, id)?;
        if acl.is_default {
            return Err(Refusal::DefaultAcl { acl: id.clone() });
        }
        if let Some(subnet) = self.world.subnets().find(|subnet| subnet.has_acl(id)) {
            return Err(Refusal::InUse { kind: Kind::NetworkAcl, id: id.to_string(), by: subnet.id.to_string() });
        }
        self.put(Change::DeleteNetworkAcl(id.clone()));
        Ok(Outcome::Done)
    }

    fn put_acl_entry(
        &mut self,
        account: &AccountId,
        id: &NetworkAclId,
        entry: &AclEntry,
        is_new: bool,
    ) -> Result<Outcome, Refusal> {
        let mut acl = NetworkAcl::clone(&*self.own_acl(account, id)?);
        let (direction, number) = entry.place();
        match (acl.entry(direction, number), is_new) {
            (Some(_), true) => return Err(Refusal::AclEntryExists { acl: id.clone(), direction, number }),
            (None, false) => return Err(Refusal::NoAclEntry { acl: id.clone(), direction, number }),
            (Some(same), false) if same == entry => return Ok(Outcome::Done),
            (Some(_), false) | (None, true) => acl.put(entry.clone()),
        }
        within(Counted::AclEntries, self.limits(account).acl_entries, acl.entries_of(direction).count())?;
        self.put(Change::PutNetworkAcl(Arc::new(acl)));
        Ok(Outcome::Done)
    }

    fn delete_acl_entry(
        &mut self,
        account: &AccountId,
        id: &NetworkAclId,
        direction: Direction,
        number: u16,
    ) -> Result<Outcome, Refusal> {
        let mut acl = NetworkAcl::clone(&*self.own_acl(account, id)?);
        if acl.entry(direction, number).is_none() {
            return Err(Refusal::NoAclEntry { acl: id.clone(), direction, number });
        }
        acl.remove(direction, number);
        self.put(Change::PutNetworkAcl(Arc::new(acl)));
        Ok(Outcome::Done)
    }

    /// Gives the subnet of an association another ACL of its VPC. The association gets a new name.
    fn replace_acl_association(
        &mut self,
        account: &AccountId,
        association: &AclAssociationId,
        acl: &NetworkAclId,
    ) -> Result<Outcome, Refusal> {
        let is_it = |subnet: &&Arc<Subnet>| subnet.acl.as_ref().is_some_and(|own| own.id == *association);
        let subnet = self.world.subnets().filter(|subnet| subnet.account == *account).find(is_it).cloned();
        let subnet = subnet.ok_or_else(|| missing(Kind::AclAssociation, association))?;
        let acl = self.own_acl(account, acl)?;
        if acl.vpc != subnet.vpc {
            return Err(Refusal::AclVpc { acl: acl.id.clone(), subnet: subnet.id.clone() });
        }
        let id = self.fresh_association(account);
        let mut subnet = Subnet::clone(&subnet);
        subnet.acl = Some(AclAssociation { id: id.clone(), acl: acl.id.clone() });
        self.put(Change::PutSubnet(Arc::new(subnet)));
        Ok(Outcome::AclAssociation(id))
    }

    fn put_new_acl(&mut self, vpc: &Vpc, entries: Vec<AclEntry>, tags: Tags) -> NetworkAclId {
        let dialect = self.world.dialect_of(&vpc.account);
        let id: NetworkAclId = self.context.ids.fresh(dialect, "acl", |id| self.world.network_acl(id).is_some());
        let mut acl = NetworkAcl {
            id: id.clone(),
            account: vpc.account.clone(),
            vpc: vpc.id.clone(),
            is_default: self.world.default_acl(&vpc.id).is_none(),
            entries: Vec::with_capacity(DEFAULT_ENTRIES.len()),
            tags,
            created_at: self.context.now,
        };
        entries.into_iter().for_each(|entry| acl.put(entry));
        self.put(Change::PutNetworkAcl(Arc::new(acl)));
        id
    }

    fn fresh_association(&mut self, account: &AccountId) -> AclAssociationId {
        let dialect = self.world.dialect_of(account);
        let subnets = || self.world.subnets().filter_map(|subnet| subnet.acl.as_ref());
        self.context.ids.fresh(dialect, "aclassoc", |id| subnets().any(|known| known.id == *id))
    }

    fn own_acl(&self, account: &AccountId, id: &NetworkAclId) -> Result<Arc<NetworkAcl>, Refusal> {
        let acl = self.world.network_acl(id).filter(|acl| acl.account == *account);
        acl.cloned().ok_or_else(|| missing(Kind::NetworkAcl, id))
    }
}
