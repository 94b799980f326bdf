//! Groups and who carries them.

use std::sync::Arc;

use super::{Draft, interface::check_unmanaged, lists::replace, missing, operator::check_unprotected, within};
use crate::{
    address::{Cidr, Family},
    change::Change,
    command::{Member, NewGroup, NewRule, Outcome},
    ids::{AccountId, GroupId, VpcId},
    limits::Limits,
    refusal::{Counted, Kind, Refusal},
    rule::{Action, Direction, Peer, PortRange, Protocol, RuleSpec, Service},
    world::{Dialect, Eni, Flavor, Group, InnerAccess, Referent, Subnet, Vpc},
};

/// What the cloud calls a group that it has made itself.
const DEFAULT_GROUP_NAME: &str = "default";
const DEFAULT_GROUP_DESCRIPTION: &str = "System created security group.";
/// What EC2 says about one (`spec/ec2.md` A1, 7).
const EC2_DEFAULT_GROUP_DESCRIPTION: &str = "default VPC security group";

impl Draft<'_> {
    pub(super) fn create_group(&mut self, new: &NewGroup) -> Result<Outcome, Refusal> {
        let vpc = self.open_vpc(&new.account, &new.vpc)?;
        let inner_access = match new.flavor {
            Flavor::EcsBasic => InnerAccess::Accept,
            Flavor::EcsEnterprise | Flavor::Ec2 => InnerAccess::Drop,
        };
        self.clone_group(new, inner_access, &rules_at_birth(new.flavor, &vpc))
    }

    /// Makes a group with these rules, and without those that its flavor is born with.
    pub(super) fn clone_group(
        &mut self,
        new: &NewGroup,
        inner_access: InnerAccess,
        rules: &[NewRule],
    ) -> Result<Outcome, Refusal> {
        self.make_group(new, (inner_access, false), rules).map(Outcome::Group)
    }

    fn make_group(
        &mut self,
        new: &NewGroup,
        (inner_access, is_default): (InnerAccess, bool),
        rules: &[NewRule],
    ) -> Result<GroupId, Refusal> {
        let NewGroup { account, vpc, flavor, name, description, resource_group, tags, managed_by } = new;
        let vpc = self.open_vpc(account, vpc)?;
        self.check_name_free(name, &vpc)?;
        let limits = self.limits(account);
        within(Counted::Groups, limits.groups, self.world.group_count(account) + 1)?;
        within(Counted::Tags, limits.tags, tags.len())?;
        self.check_resource_group(account, resource_group)?;
        let dialect = self.world.dialect_of(account);
        let id: GroupId = self.context.ids.fresh(dialect, "sg", |id| self.world.group(id).is_some());
        let group = Group {
            id: id.clone(),
            account: account.clone(),
            vpc: vpc.id.clone(),
            also_in: Vec::new(),
            flavor: *flavor,
            name: name.clone(),
            description: description.clone(),
            inner_access,
            resource_group: resource_group.clone(),
            tags: tags.clone(),
            is_default,
            managed_by: *managed_by,
            is_protected: false,
            created_at: self.context.now,
            rules: imbl::OrdMap::new(),
        };
        self.put(Change::PutGroup(Arc::new(group.clone())));
        for new in rules {
            self.check_spec(&group, &new.spec)?;
            self.add_rule(&group, new);
        }
        self.check_rule_limits(account, &id)?;
        Ok(id)
    }

    /// The groups of a new ENI: those that were named, else the default group of its VPC.
    pub(super) fn groups_or_default(
        &mut self,
        account: &AccountId,
        ids: &[GroupId],
        subnet: &Subnet,
    ) -> Result<Vec<GroupId>, Refusal> {
        let named = if ids.is_empty() { vec![self.default_group(account, &subnet.vpc)?] } else { ids.to_vec() };
        self.attachable(account, &named, (subnet.id.as_str(), &subnet.vpc))
    }

    /// Names of EC2 groups are unique in a VPC, whatever their case (`spec/ec2.md` B2), however they are made.
    fn check_name_free(&self, name: &str, vpc: &Vpc) -> Result<(), Refusal> {
        match self.world.group_named(&vpc.id, name) {
            Some(_) => Err(Refusal::GroupNameTaken { name: name.to_owned(), vpc: vpc.id.clone() }),
            None => Ok(()),
        }
    }

    /// The default group of a VPC, made if there is none: by ECS when it is first needed (`spec/ecs.md` A6), by EC2 with
    /// the VPC (`spec/ec2.md` A1, 7).
    pub(super) fn default_group(&mut self, account: &AccountId, vpc: &VpcId) -> Result<GroupId, Refusal> {
        let is_it = |group: &&Arc<Group>| group.is_default && group.vpc == *vpc && group.account == *account;
        if let Some(group) = self.world.groups().find(is_it) {
            return Ok(group.id.clone());
        }
        let (flavor, inner_access, description) = match self.world.dialect_of(account) {
            Dialect::Ecs => (Flavor::EcsBasic, InnerAccess::Accept, DEFAULT_GROUP_DESCRIPTION),
            Dialect::Ec2 => (Flavor::Ec2, InnerAccess::Drop, EC2_DEFAULT_GROUP_DESCRIPTION),
        };
        let new = NewGroup {
            account: account.clone(),
            vpc: vpc.clone(),
            flavor,
            name: DEFAULT_GROUP_NAME.to_owned(),
            description: description.to_owned(),
            resource_group: String::new(),
            tags: crate::tags::Tags::default(),
            managed_by: None,
        };
        let rules = match flavor {
            Flavor::EcsBasic | Flavor::EcsEnterprise => default_group_rules(),
            Flavor::Ec2 => rules_at_birth(flavor, &*self.open_vpc(account, vpc)?),
        };
        let id = self.make_group(&new, (inner_access, true), &rules)?;
        if let (Flavor::Ec2, Some(group)) = (flavor, self.world.group(&id).cloned()) {
            self.add_rule(&group, &everything_from(&group));
        }
        Ok(id)
    }

    pub(super) fn edit_group(
        &mut self,
        account: &AccountId,
        id: &GroupId,
        name: Option<&String>,
        description: Option<&String>,
    ) -> Result<Outcome, Refusal> {
        let old = self.own_group(account, id)?;
        let mut group = Group::clone(&old);
        replace(&mut group.name, name);
        replace(&mut group.description, description);
        self.put_header(&old, group);
        Ok(Outcome::Done)
    }

    pub(super) fn delete_group(&mut self, account: &AccountId, id: &GroupId) -> Result<Outcome, Refusal> {
        let group = self.own_group(account, id)?;
        check_unprotected(&group)?;
        if group.is_default && group.flavor == Flavor::Ec2 {
            return Err(Refusal::DefaultGroup { group: id.clone(), name: group.name.clone() });
        }
        self.check_unused(id)?;
        self.drop_group(&group);
        Ok(Outcome::Done)
    }

    pub(super) fn check_unused(&self, id: &GroupId) -> Result<(), Refusal> {
        let in_use = |by: &str| Refusal::InUse { kind: Kind::Group, id: id.to_string(), by: by.to_owned() };
        if let Some(member) = self.world.members(id).next() {
            return Err(in_use(member.instance.as_ref().map_or(member.id.as_str(), |instance| instance.as_str())));
        }
        if let Some(vpc) = self.world.group(id).and_then(|group| group.also_in.first()) {
            return Err(in_use(vpc.as_str()));
        }
        // A rule of a peered VPC's group does not hold it: it becomes stale (VPC peering guide, "stale security group rules").
        let own = self.world.group(id);
        let meets = |id: &GroupId| own.zip(self.world.group(id)).is_some_and(|(own, other)| own.meets(other));
        let mut referrers = self.world.referrers(&Referent::Group(id.clone()));
        let other = referrers.find(|(other, _)| other != id && meets(other));
        other.map_or(Ok(()), |(other, _)| Err(in_use(other.as_str())))
    }

    pub(super) fn drop_group(&mut self, group: &Group) {
        self.drop_snapshots(&group.id);
        self.drop_shadow(&group.id);
        for rule in group.rules.keys() {
            self.put(Change::DeleteRule { group: group.id.clone(), rule: rule.clone() });
        }
        self.put(Change::DeleteGroup(group.id.clone()));
    }

    pub(super) fn set_inner_access(
        &mut self,
        account: &AccountId,
        id: &GroupId,
        inner_access: InnerAccess,
    ) -> Result<Outcome, Refusal> {
        let group = self.own_group(account, id)?;
        if group.flavor != Flavor::EcsBasic {
            return Err(Refusal::InnerAccessFixed { group: id.clone() });
        }
        if group.inner_access != inner_access {
            let group = Group { inner_access, ..Group::clone(&group) };
            self.put(Change::PutGroup(Arc::new(group)));
        }
        Ok(Outcome::Done)
    }

    pub(super) fn join_group(
        &mut self,
        account: &AccountId,
        id: &GroupId,
        member: &Member,
    ) -> Result<Outcome, Refusal> {
        let group = self.own_group(account, id)?;
        let eni = self.member_eni(account, member)?;
        if eni.groups.contains(id) {
            return Err(Refusal::AlreadyMember { member: member.as_str().to_owned(), group: id.clone() });
        }
        if !group.is_for(&eni.vpc) {
            return Err(Refusal::VpcMismatch { one: member.as_str().to_owned(), other: id.to_string() });
        }
        self.check_flavor(&eni, &group)?;
        let limits = self.limits(account);
        within(Counted::GroupsOfEni, limits.groups_per_eni, eni.groups.len() + 1)?;
        let mut eni = Eni::clone(&eni);
        eni.groups.push(id.clone());
        self.check_rules_of(&limits, &eni.groups)?;
        self.put(Change::PutEni(Arc::new(eni)));
        self.check_group_sizes(account, std::slice::from_ref(id))?;
        Ok(Outcome::Done)
    }

    pub(super) fn leave_group(
        &mut self,
        account: &AccountId,
        id: &GroupId,
        member: &Member,
    ) -> Result<Outcome, Refusal> {
        self.own_group(account, id)?;
        let eni = self.member_eni(account, member)?;
        let (member, group) = (member.as_str().to_owned(), id.clone());
        if !eni.groups.contains(id) {
            return Err(Refusal::NotMember { member, group });
        }
        if eni.groups.len() == 1 {
            return Err(Refusal::LastGroup { member, group });
        }
        let mut eni = Eni::clone(&eni);
        eni.groups.retain(|other| other != id);
        self.put(Change::PutEni(Arc::new(eni)));
        Ok(Outcome::Done)
    }

    /// The groups that an ENI will carry, each once: owned, of its VPC, of one flavor, within limits. `bearer` is what
    /// a refusal names, with its VPC.
    pub(super) fn attachable(
        &self,
        account: &AccountId,
        ids: &[GroupId],
        (bearer, vpc): (&str, &VpcId),
    ) -> Result<Vec<GroupId>, Refusal> {
        let limits = self.limits(account);
        let mut chosen: Vec<GroupId> = Vec::new();
        let mut flavor = None;
        for id in ids {
            let group = self.own_group(account, id)?;
            if !group.is_for(vpc) {
                return Err(Refusal::VpcMismatch { one: bearer.to_owned(), other: id.to_string() });
            }
            if *flavor.get_or_insert(group.flavor) != group.flavor {
                return Err(Refusal::MixedFlavors { eni: bearer.to_owned(), group: id.clone() });
            }
            if !chosen.contains(id) {
                chosen.push(id.clone());
            }
        }
        within(Counted::GroupsOfEni, limits.groups_per_eni, chosen.len())?;
        if chosen.is_empty() {
            return Err(missing(Kind::Group, ""));
        }
        self.check_rules_of(&limits, &chosen)?;
        Ok(chosen)
    }

    pub(super) fn check_group_sizes(&self, account: &AccountId, groups: &[GroupId]) -> Result<(), Refusal> {
        let limits = self.limits(account);
        for group in groups.iter().filter_map(|id| self.world.group(id)) {
            let (enis_max, addresses_max) = limits.group_size(group.flavor);
            let (mut enis, mut addresses) = (0, 0);
            for member in self.world.members(&group.id) {
                enis += 1;
                addresses += member.addresses.len();
            }
            within(Counted::EnisOfGroup, enis_max, enis)?;
            within(Counted::AddressesOfGroup, addresses_max, addresses)?;
        }
        Ok(())
    }

    pub(super) fn check_rules_of(&self, limits: &Limits, groups: &[GroupId]) -> Result<(), Refusal> {
        let groups = groups.iter().filter_map(|id| self.world.group(id));
        let total: usize = groups.map(|group| self.weight_of(group)).sum();
        within(Counted::RulesOfEni, limits.rules_per_eni, total)
    }

    /// How many rules a group counts as: a rule that names a list counts as the list's capacity, one that
    /// names two as their product (`spec/ecs.md` A4).
    fn weight_of(&self, group: &Group) -> usize {
        group.rules.values().map(|rule| self.weight(&rule.spec)).sum()
    }

    /// What a rule counts for against the quota of one family: one that names a group counts in both
    /// (`spec/ec2.md` A4).
    pub(super) fn weight_in(&self, spec: &RuleSpec, family: Family) -> usize {
        let own = match &spec.peer {
            Peer::Cidr(cidr) => Some(cidr.family()),
            Peer::PrefixList(id) => self.world.prefix_list(id).map(|list| list.family),
            Peer::Group { .. } => None,
        };
        if own.is_none_or(|own| own == family) { self.weight(spec) } else { 0 }
    }

    fn weight(&self, spec: &RuleSpec) -> usize {
        let prefixes = match &spec.peer {
            Peer::PrefixList(id) => {
                self.world.prefix_list(id).map_or(1, |list| Limits::list_weight(list.entries_max))
            }
            Peer::Cidr(_) | Peer::Group { .. } => 1,
        };
        let ports = match &spec.service {
            Service::PortList(id) => self.world.port_list(id).map_or(1, |list| Limits::list_weight(list.entries_max)),
            Service::Any | Service::Ports(_) | Service::Icmp { .. } => 1,
        };
        (prefixes as usize).saturating_mul(ports as usize)
    }

    fn member_eni(&self, account: &AccountId, member: &Member) -> Result<Arc<Eni>, Refusal> {
        let (kind, eni) = match member {
            Member::Instance(id) => (Kind::Instance, self.world.primary_eni(id)),
            Member::Eni(id) => (Kind::Eni, self.world.eni(id)),
        };
        let owned = eni.filter(|eni| eni.account == *account).ok_or_else(|| missing(kind, member.as_str()))?;
        check_unmanaged(owned)?;
        Ok(Arc::clone(owned))
    }

    fn check_flavor(&self, eni: &Eni, group: &Group) -> Result<(), Refusal> {
        if self.world.flavor_of(eni).is_some_and(|flavor| flavor != group.flavor) {
            return Err(Refusal::MixedFlavors { eni: eni.id.to_string(), group: group.id.clone() });
        }
        Ok(())
    }
}

/// The rules that a group is created with: EC2 groups may send anywhere (`spec/ec2.md` A1, 6).
fn rules_at_birth(flavor: Flavor, vpc: &Vpc) -> Vec<NewRule> {
    match flavor {
        Flavor::EcsBasic | Flavor::EcsEnterprise => Vec::new(),
        Flavor::Ec2 => {
            let worlds = [Some(Cidr::WORLD_V4), vpc.ipv6.map(|_| Cidr::WORLD_V6)];
            worlds.into_iter().flatten().map(egress_everything).collect()
        }
    }
}

/// ICMP, SSH and RDP from anywhere, as the cloud's console makes it.
fn default_group_rules() -> Vec<NewRule> {
    let services = [
        (Protocol::ICMP, Service::Any),
        (Protocol::TCP, Service::Ports(PortRange::one(22))),
        (Protocol::TCP, Service::Ports(PortRange::one(3389))),
    ];
    let spec = |(protocol, service)| RuleSpec {
        direction: Direction::Ingress,
        action: Action::Allow,
        priority: 100,
        protocol,
        service,
        source_ports: None,
        peer: Peer::Cidr(Cidr::WORLD_V4),
        local: None,
    };
    services.into_iter().map(|service| NewRule::new(spec(service), DEFAULT_GROUP_DESCRIPTION)).collect()
}

/// What the members of an EC2 default group may send each other.
fn everything_from(group: &Group) -> NewRule {
    let peer = Peer::Group { group: group.id.clone(), account: group.account.clone() };
    everything(Direction::Ingress, peer)
}

fn egress_everything(cidr: Cidr) -> NewRule {
    everything(Direction::Egress, Peer::Cidr(cidr))
}

fn everything(direction: Direction, peer: Peer) -> NewRule {
    NewRule::new(RuleSpec::plain(direction, Action::Allow, (Protocol::Any, Service::Any), peer), "")
}
