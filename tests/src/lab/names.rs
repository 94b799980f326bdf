//! A lab's things by the names that its text gave them, and the changes that tests make to them.

use std::{collections::BTreeMap, str::FromStr, sync::Arc};

use sekimori_core::{
    address::Cidr,
    change::Change,
    command::{
        Command, EniSpec, Member, NewAccount, NewGroup, NewInstances, NewRule, NewSubnet, NewVpc, Outcome,
        PortListEdit, PrefixListEdit, Revocation, TreatmentOf, VpcIpv6,
    },
    ids::{AccountId, GroupId, InstanceId, RuleId, SubnetId, VpcId},
    rule::{Direction, Rule},
    time::Timestamp,
    world::{Dialect, Eni, Flavor, InnerAccess, ListChange, PortEntry, PortList, PrefixEntry, PrefixList, Treatment},
};

use super::{
    Lab, fail,
    fixture::{RuleText, port_list_id, prefix_list_id, range},
    must,
};

/// Ids by name.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) accounts: BTreeMap<String, AccountId>,
    pub(super) vpcs: BTreeMap<String, (VpcId, SubnetId)>,
    pub(super) groups: BTreeMap<String, GroupId>,
    pub(super) instances: BTreeMap<String, InstanceId>,
    pub(super) labels: BTreeMap<(GroupId, RuleId), String>,
}

impl Names {
    /// The name of an id.
    pub(super) fn of<'a, T: PartialEq>(names: &'a BTreeMap<String, T>, id: &T) -> &'a str {
        names.iter().find(|(_, known)| *known == id).map_or("?", |(name, _)| name.as_str())
    }
}

impl Lab {
    /// Makes a VPC with one subnet: its IPv4 block is both's. Its IPv6 block is fd00::/56, or the next.
    pub fn add_vpc(&mut self, name: &str, cidr: &str) {
        let cidr = must("read a CIDR", cidr.parse());
        let ipv6 = must("write a block", format!("fd00:0:0:{:x}00::/56", self.names.vpcs.len()).parse());
        let (account, text) = (self.account.clone(), String::new);
        let new = NewVpc {
            resource_group: String::new(),
            tags: Default::default(),
            account: account.clone(),
            region: text(),
            name: name.to_owned(),
            description: text(),
            cidr,
            ipv6: VpcIpv6::Block(ipv6),
        };
        let outcome = self.run(&Command::CreateVpc(new));
        let Outcome::Vpc(vpc) = outcome else { fail(&format!("no VPC but {outcome:?}")) };
        let new = NewSubnet {
            tags: Default::default(),
            account,
            vpc: vpc.clone(),
            zone: text(),
            name: text(),
            description: text(),
            cidr,
            ipv6_index: Some(0),
        };
        let outcome = self.run(&Command::CreateSubnet(new));
        let Outcome::Subnet(subnet) = outcome else { fail(&format!("no subnet but {outcome:?}")) };
        self.names.vpcs.insert(name.to_owned(), (vpc, subnet));
    }

    /// Deletes a VPC with its subnet and groups; no instance may be in it.
    pub fn remove_vpc(&mut self, name: &str) {
        let account = self.account.clone();
        let Some((vpc, subnet)) = self.names.vpcs.remove(name) else { return };
        let groups: Vec<GroupId> =
            self.world().groups().filter(|one| one.vpc == vpc && !one.is_default).map(|one| one.id.clone()).collect();
        self.run(&Command::DeleteSubnet { account: account.clone(), subnet });
        for group in groups {
            self.run(&Command::DeleteGroup { account: account.clone(), group });
        }
        self.run(&Command::DeleteVpc { account, vpc });
    }

    fn vpc_or_main(&mut self, name: &str) -> (VpcId, SubnetId) {
        if name == "main" && !self.names.vpcs.contains_key(name) {
            self.add_vpc(name, "10.0.0.0/16");
        }
        let known = self.names.vpcs.get(name).cloned();
        known.unwrap_or_else(|| fail(&format!("no VPC `{name}`")))
    }

    /// Makes another account, to which the VPC `main` is open.
    pub fn add_account(&mut self, name: &str) {
        let (vpc, _) = self.vpc_or_main("main");
        let dialect = self.world().dialect_of(&self.account);
        let (key, sealed_secret) = (format!("key-{name}").into(), String::new());
        let new = NewAccount { id: None, dialect, name: name.to_owned(), key, sealed_secret };
        let outcome = self.run(&Command::CreateAccount(new));
        let Outcome::Account(account) = outcome else { fail(&format!("no account but {outcome:?}")) };
        self.run(&Command::ShareVpc { vpc, with: account.clone(), is_shared: true });
        self.names.accounts.insert(name.to_owned(), account);
    }

    /// The account of a name; without one, the lab's own.
    #[must_use]
    pub fn account_named(&self, name: Option<&str>) -> AccountId {
        let Some(name) = name else { return self.account.clone() };
        let known = self.names.accounts.get(name).cloned();
        known.unwrap_or_else(|| fail(&format!("no account `{name}`")))
    }

    /// The account that owns a group.
    #[must_use]
    pub fn owner_of(&self, group: &str) -> AccountId {
        let found = self.world().group(&self.group_id(group)).map(|found| found.account.clone());
        found.unwrap_or_else(|| self.account.clone())
    }

    /// Makes a group; an isolated one has the inner access Drop.
    pub fn add_group(&mut self, vpc: &str, name: &str, flavor: Flavor, isolated: bool) {
        let account = self.account.clone();
        self.add_group_of(&account, vpc, name, flavor, isolated);
    }

    /// Makes a group of an account.
    pub fn add_group_of(&mut self, account: &AccountId, vpc: &str, name: &str, flavor: Flavor, isolated: bool) {
        let (vpc, _) = self.vpc_or_main(vpc);
        let new = NewGroup {
            account: account.clone(),
            vpc,
            flavor,
            name: name.to_owned(),
            description: String::new(),
            resource_group: String::new(),
            tags: Default::default(),
            managed_by: None,
        };
        let outcome = self.run(&Command::CreateGroup(new));
        let Outcome::Group(group) = outcome else { fail(&format!("no group but {outcome:?}")) };
        self.name_birth_rules(&group);
        self.names.groups.insert(name.to_owned(), group);
        if isolated {
            self.set_inner_access(name, InnerAccess::Drop);
        }
    }

    /// The rules that an EC2 group is created with are called `birth`.
    fn name_birth_rules(&mut self, group: &GroupId) {
        let rules = self.world().group(group).map(|found| found.rules.clone()).unwrap_or_default();
        for rule in rules.keys() {
            self.names.labels.insert((group.clone(), rule.clone()), "birth".to_owned());
        }
    }

    /// Sets what happens between the members of a group.
    pub fn set_inner_access(&mut self, group: &str, inner_access: InnerAccess) {
        let (account, group) = (self.owner_of(group), self.group_id(group));
        self.run(&Command::SetInnerAccess { account, group, inner_access });
    }

    /// Starts an instance.
    pub fn add_instance(&mut self, vpc: &str, name: &str, groups: &[&str]) {
        let account = self.account.clone();
        self.add_instance_of(&account, vpc, name, groups);
    }

    /// Starts an instance of an account.
    pub fn add_instance_of(&mut self, account: &AccountId, vpc: &str, name: &str, groups: &[&str]) {
        let (_, subnet) = self.vpc_or_main(vpc);
        let new = NewInstances {
            resource_group: String::new(),
            tags: Default::default(),
            account: account.clone(),
            primary: EniSpec::new(subnet, groups.iter().map(|group| self.group_id(group)).collect()).with_ipv6(1),
            secondary: Vec::new(),
            attached: Vec::new(),
            amount: 1,
            name: name.to_owned(),
            description: String::new(),
            image: String::new(),
            instance_type: String::new(),
            disk: Default::default(),
        };
        let outcome = self.run(&Command::RunInstances(Box::new(new)));
        let Outcome::Instances(made) = outcome else { fail(&format!("no instance but {outcome:?}")) };
        self.names.instances.extend(made.into_iter().map(|id| (name.to_owned(), id)));
    }

    /// Deletes an instance.
    pub fn remove_instance(&mut self, name: &str) {
        let account = self.eni(name).account.clone();
        let instances = self.names.instances.remove(name).into_iter().collect();
        self.run(&Command::DeleteInstances { account, instances, is_forced: true });
    }

    /// Adds a rule to a group.
    pub fn allow(&mut self, group: &str, text: &str) {
        let text: RuleText = must("read a rule", RuleText::from_str(text));
        let new = |spec| NewRule::new(spec, "");
        let rules = text.specs(self).into_iter().map(new).collect();
        let (account, group) = (self.owner_of(group), self.group_id(group));
        let outcome = self.run(&Command::Authorize { account, group: group.clone(), rules });
        let Outcome::Rules(made) = outcome else { fail(&format!("no rules but {outcome:?}")) };
        for rule in made {
            self.names.labels.insert((group.clone(), rule), text.label.clone());
        }
    }

    /// Takes the rules of a label from a group.
    pub fn revoke(&mut self, group: &str, label: &str) {
        let (account, group) = (self.owner_of(group), self.group_id(group));
        for direction in [Direction::Ingress, Direction::Egress] {
            let rules = self.labelled(&group, label, direction);
            if !rules.is_empty() {
                let rules = Revocation::Ids(rules);
                self.run(&Command::Revoke { account: account.clone(), group: group.clone(), direction, rules });
            }
        }
    }

    fn labelled(&self, group: &GroupId, label: &str, direction: Direction) -> Vec<RuleId> {
        let rules = self.world().group(group).map(|found| found.rules.clone()).unwrap_or_default();
        let is_meant = |rule: &&Arc<Rule>| {
            let known = self.names.labels.get(&(group.clone(), rule.id.clone()));
            rule.spec.direction == direction && known.is_some_and(|known| known == label)
        };
        rules.values().filter(is_meant).map(|rule| rule.id.clone()).collect()
    }

    /// Attaches a group to an instance's ENI.
    pub fn join(&mut self, instance: &str, group: &str) {
        let (account, member) = (self.owner_of(group), self.member(instance));
        let group = self.group_id(group);
        self.run(&Command::JoinGroup { account, group, member });
    }

    /// Detaches a group from an instance's ENI.
    pub fn leave(&mut self, instance: &str, group: &str) {
        let (account, member) = (self.owner_of(group), self.member(instance));
        let group = self.group_id(group);
        self.run(&Command::LeaveGroup { account, group, member });
    }

    fn member(&self, instance: &str) -> Member {
        Member::Eni(self.eni(instance).id.clone())
    }

    /// Sets how changes treat the live flows of an instance.
    pub fn treat(&mut self, instance: &str, treatment: Treatment) {
        let of = TreatmentOf::Eni(self.eni(instance).id.clone());
        self.run(&Command::SetTreatment { of, treatment: Some(treatment) });
    }

    /// Sets how changes treat the live flows of every ENI without a choice of its own.
    pub fn treat_account(&mut self, treatment: Treatment) {
        let of = TreatmentOf::Account(self.account.clone());
        self.run(&Command::SetTreatment { of, treatment: Some(treatment) });
    }

    /// Changes what no command changes about an ENI.
    pub fn edit_eni(&mut self, instance: &str, edit: impl FnOnce(&mut Eni)) {
        let mut eni = Eni::clone(&self.eni(instance));
        edit(&mut eni);
        self.change(vec![Change::PutEni(Arc::new(eni))]);
    }

    /// The fact that an ENI carries exactly these groups.
    #[must_use]
    pub fn regrouped(&self, instance: &str, groups: &[&str]) -> Change {
        let groups = groups.iter().map(|group| self.group_id(group)).collect();
        Change::PutEni(Arc::new(Eni { groups, ..Eni::clone(&self.eni(instance)) }))
    }

    /// The facts that a group has a rule.
    pub fn with_rule(&mut self, group: &str, text: &str) -> Vec<Change> {
        let text: RuleText = must("read a rule", RuleText::from_str(text));
        let group = self.group_id(group);
        let specs = text.specs(self);
        let make = |spec| {
            let id: RuleId = self.context.ids.fresh(Dialect::Ecs, "sgr", |_| false);
            self.names.labels.insert((group.clone(), id.clone()), text.label.clone());
            let rule =
                Rule { id, spec, description: String::new(), tags: Default::default(), created_at: Timestamp(0) };
            Change::PutRule { group: group.clone(), rule: Arc::new(rule) }
        };
        specs.into_iter().map(make).collect()
    }

    /// The facts that a group does not have the rules of a label.
    #[must_use]
    pub fn without_rule(&self, group: &str, label: &str) -> Vec<Change> {
        let group = self.group_id(group);
        let both = [Direction::Ingress, Direction::Egress];
        let rules = both.into_iter().flat_map(|direction| self.labelled(&group, label, direction));
        rules.map(|rule| Change::DeleteRule { group: group.clone(), rule }).collect()
    }

    /// The fact that a prefix list holds these blocks, all of one family.
    #[must_use]
    pub fn prefix_list(&self, name: &str, cidrs: &[&str]) -> Change {
        let cidrs: Vec<Cidr> = cidrs.iter().map(|cidr| must("read a CIDR", cidr.parse())).collect();
        let entry = |cidr: &Cidr| PrefixEntry { cidr: cidr.canonical(), description: String::new() };
        Change::PutPrefixList(Arc::new(PrefixList {
            resource_group: String::new(),
            tags: Default::default(),
            id: prefix_list_id(name),
            account: self.account.clone(),
            region: String::new(),
            name: name.to_owned(),
            description: String::new(),
            family: cidrs.first().unwrap_or(&Cidr::WORLD_V4).family(),
            entries_max: 8,
            entries: cidrs.iter().map(entry).collect(),
            version: 1,
            last_change: ListChange::Created,
            created_at: Timestamp(0),
        }))
    }

    /// The fact that a port list holds these ranges.
    #[must_use]
    pub fn port_list(&self, name: &str, ranges: &[&str]) -> Change {
        let entry = |word: &&str| PortEntry { ports: must("read a range", range(word)), description: String::new() };
        Change::PutPortList(Arc::new(PortList {
            resource_group: String::new(),
            tags: Default::default(),
            id: port_list_id(name),
            account: self.account.clone(),
            region: String::new(),
            name: name.to_owned(),
            description: String::new(),
            entries_max: 8,
            entries: ranges.iter().map(entry).collect(),
            created_at: Timestamp(0),
        }))
    }

    /// Adds blocks to a prefix list and takes blocks out, as a client does.
    pub fn edit_prefixes(&mut self, name: &str, add: &[&str], remove: &[&str]) {
        let cidr = |text: &&str| -> Cidr { must("read a CIDR", text.parse()) };
        let entry = |text: &&str| PrefixEntry { cidr: cidr(text).canonical(), description: String::new() };
        self.run(&Command::EditPrefixList(PrefixListEdit {
            account: self.account.clone(),
            list: prefix_list_id(name),
            name: None,
            description: None,
            entries_max: None,
            add: add.iter().map(entry).collect(),
            remove: remove.iter().map(|text| cidr(text).canonical()).collect(),
            at: None,
        }));
    }

    /// Adds ranges to a port list and takes ranges out, as a client does.
    pub fn edit_ports(&mut self, name: &str, add: &[&str], remove: &[&str]) {
        let ports = |word: &&str| must("read a range", range(word));
        let entry = |word: &&str| PortEntry { ports: ports(word), description: String::new() };
        self.run(&Command::EditPortList(PortListEdit {
            account: self.account.clone(),
            list: port_list_id(name),
            name: None,
            description: None,
            add: add.iter().map(entry).collect(),
            remove: remove.iter().map(ports).collect(),
        }));
    }

    /// The id of a group.
    #[must_use]
    pub fn group_id(&self, name: &str) -> GroupId {
        let known = self.names.groups.get(name).cloned();
        known.unwrap_or_else(|| fail(&format!("no group `{name}`")))
    }

    /// The VPC of a name.
    #[must_use]
    pub fn vpc_id(&self, name: &str) -> VpcId {
        let known = self.names.vpcs.get(name).map(|(vpc, _)| vpc.clone());
        known.unwrap_or_else(|| fail(&format!("no VPC `{name}`")))
    }

    /// The id of an instance.
    #[must_use]
    pub fn instance_id(&self, name: &str) -> InstanceId {
        let known = self.names.instances.get(name).cloned();
        known.unwrap_or_else(|| fail(&format!("no instance `{name}`")))
    }

    /// The primary ENI of an instance, or with `#1` its ENI at that place.
    #[must_use]
    pub fn eni(&self, name: &str) -> Arc<Eni> {
        let (instance, place) = name.split_once('#').unwrap_or((name, "0"));
        let enis = self.world().enis_of(&self.instance_id(instance));
        let eni = enis.into_iter().find(|eni| eni.device_index.to_string() == place).cloned();
        eni.unwrap_or_else(|| fail(&format!("there is no ENI `{name}`")))
    }
}
