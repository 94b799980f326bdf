//! Commands on a small estate: what each changes, and what is refused with nothing changed.

mod associations;
mod bindings;
mod capacity;
mod ec2;
mod edits;
mod fields;
mod flow_logs;
mod insights;
mod interfaces;
mod lists;
mod peering;
mod reports;
mod shadow;
mod snapshots;
mod trials;
mod undo;

use expect_test::{Expect, expect};

use super::{State, apply};
use crate::{
    command::{
        Command, Context, EniSpec, Member, NewAccount, NewGroup, NewInstances, NewRule, NewSubnet, NewVpc, Outcome,
        Revocation, TreatmentOf, VpcIpv6,
    },
    ids::{AccountId, GroupId, HostId, IdSource, InstanceId, RuleId, SubnetId, VpcId},
    limits::{HOST_ENIS_MAX, LimitMode},
    rule::{Action, Direction, Peer, PortRange, Protocol, RuleSpec, Service},
    time::Timestamp,
    world::{Dialect, Flavor, InnerAccess, Treatment},
};

/// An account with a VPC 10.0.0.0/8, in EC2 10.1.0.0/16 (and an IPv6 block), a subnet 10.1.0.0/24 and two basic groups.
struct Estate {
    state: State,
    context: Context,
    account: AccountId,
    vpc: VpcId,
    subnet: SubnetId,
    a: GroupId,
    b: GroupId,
}

impl Estate {
    fn new(dialect: Dialect) -> Self {
        let context = Context {
            now: Timestamp(1_700_000_000),
            ids: IdSource::new(1),
            limits: LimitMode::Cloud,
            host: HostId::from("h"),
        };
        let mut estate = Self {
            state: State::default(),
            context,
            account: "1".into(),
            vpc: "".into(),
            subnet: "".into(),
            a: "".into(),
            b: "".into(),
        };
        let account = NewAccount {
            id: Some("1".into()),
            dialect,
            name: "one".into(),
            key: "k".into(),
            sealed_secret: "s".into(),
        };
        estate.run(Command::CreateAccount(account));
        let block = if dialect == Dialect::Ecs { "10.0.0.0/8" } else { "10.1.0.0/16" };
        let Outcome::Vpc(vpc) = estate.run(estate.new_vpc(block, VpcIpv6::Any)) else { panic!() };
        estate.vpc = vpc;
        let Outcome::Subnet(subnet) = estate.run(estate.new_subnet("10.1.0.0/24")) else { panic!() };
        estate.subnet = subnet;
        let flavor = if dialect == Dialect::Ecs { Flavor::EcsBasic } else { Flavor::Ec2 };
        estate.a = estate.group(flavor);
        estate.b = estate.group(flavor);
        estate
    }

    fn try_run(&mut self, command: Command) -> Result<Outcome, String> {
        let before = self.state.clone();
        let applied = apply(&self.state, &command, &mut self.context);
        let applied = applied.map_err(|refusal| {
            assert_eq!(self.state.world().to_changes(), before.world().to_changes());
            refusal.to_string()
        })?;
        let next = self.state.world().revision().next();
        self.state = applied.state.at(next);
        assert_eq!(self.state.ledger(), State::new(self.state.world().clone()).ledger());
        Ok(applied.outcome)
    }

    fn run(&mut self, command: Command) -> Outcome {
        self.try_run(command).expect("the command is carried out")
    }

    /// Expects a refusal, with ids in place of their random part.
    fn refused(&mut self, command: Command, expected: &Expect) {
        let message = self.try_run(command).expect_err("the command is refused");
        let names = [(&self.a.to_string(), "A"), (&self.b.to_string(), "B"), (&self.vpc.to_string(), "VPC")];
        let message = names.iter().fold(message, |text, (id, name)| text.replace(id.as_str(), name));
        expected.assert_eq(&message.replace(self.subnet.as_str(), "SUBNET"));
    }

    fn new_vpc(&self, cidr: &str, ipv6: VpcIpv6) -> Command {
        Command::CreateVpc(NewVpc {
            resource_group: String::new(),
            tags: Default::default(),
            account: self.account.clone(),
            region: "r".into(),
            name: String::new(),
            description: String::new(),
            cidr: cidr.parse().expect("a block"),
            ipv6,
        })
    }

    fn new_subnet(&self, cidr: &str) -> Command {
        Command::CreateSubnet(NewSubnet {
            tags: Default::default(),
            account: self.account.clone(),
            vpc: self.vpc.clone(),
            zone: "z".into(),
            name: String::new(),
            description: String::new(),
            cidr: cidr.parse().expect("a block"),
            ipv6_index: None,
        })
    }

    fn group(&mut self, flavor: Flavor) -> GroupId {
        let new = NewGroup {
            account: self.account.clone(),
            vpc: self.vpc.clone(),
            flavor,
            name: format!("g{}", self.state.world().groups().count()),
            description: String::new(),
            resource_group: String::new(),
            tags: Default::default(),
            managed_by: None,
        };
        let Outcome::Group(id) = self.run(Command::CreateGroup(new)) else { panic!() };
        id
    }

    fn instances(&self, groups: &[GroupId], amount: u32) -> Command {
        Command::RunInstances(Box::new(NewInstances {
            resource_group: String::new(),
            tags: Default::default(),
            account: self.account.clone(),
            primary: EniSpec::new(self.subnet.clone(), groups.to_vec()),
            secondary: Vec::new(),
            attached: Vec::new(),
            amount,
            name: String::new(),
            description: String::new(),
            image: "img".into(),
            instance_type: "t".into(),
            disk: Default::default(),
        }))
    }

    fn instance(&mut self, groups: &[GroupId]) -> InstanceId {
        let Outcome::Instances(ids) = self.run(self.instances(groups, 1)) else { panic!() };
        ids[0].clone()
    }

    fn authorize(&self, group: &GroupId, specs: impl IntoIterator<Item = RuleSpec>) -> Command {
        let rules = specs.into_iter().map(|spec| NewRule::new(spec, "")).collect();
        Command::Authorize { account: self.account.clone(), group: group.clone(), rules }
    }

    fn join(&self, instance: &InstanceId, group: &GroupId) -> Command {
        let member = Member::Instance(instance.clone());
        Command::JoinGroup { account: self.account.clone(), group: group.clone(), member }
    }

    fn leave(&self, instance: &InstanceId, group: &GroupId) -> Command {
        let member = Member::Instance(instance.clone());
        Command::LeaveGroup { account: self.account.clone(), group: group.clone(), member }
    }

    fn rules(&self, group: &GroupId) -> usize {
        self.state.world().group(group).map_or(0, |group| group.rules.len())
    }
}

fn port(port: u16, peer: Peer) -> RuleSpec {
    RuleSpec {
        direction: Direction::Ingress,
        action: Action::Allow,
        priority: 1,
        protocol: Protocol::TCP,
        service: Service::Ports(PortRange::one(port)),
        source_ports: None,
        peer,
        local: None,
    }
}

fn from(cidr: &str) -> Peer {
    Peer::Cidr(cidr.parse().expect("a block"))
}

fn group_peer(group: &GroupId) -> Peer {
    Peer::Group { group: group.clone(), account: "1".into() }
}

#[test]
fn a_rule_that_is_there_is_left_as_it_is() {
    let mut estate = Estate::new(Dialect::Ecs);
    let a = estate.a.clone();
    let first = estate.run(estate.authorize(&a, [port(22, from("10.0.0.0/8"))]));
    let again = estate.run(estate.authorize(&a, [port(22, from("10.0.0.0/8"))]));
    assert_eq!(first, again);
    assert_eq!(estate.rules(&a), 1);
    let lower = RuleSpec { priority: 2, ..port(22, from("10.0.0.0/8")) };
    estate.run(estate.authorize(&a, [lower]));
    assert_eq!(estate.rules(&a), 2, "another priority is another rule");
}

#[test]
fn revoking_what_is_not_there_changes_nothing_unless_it_was_named() {
    let mut estate = Estate::new(Dialect::Ecs);
    let (account, group) = (estate.account.clone(), estate.a.clone());
    let revoke = |rules| Command::Revoke {
        account: account.clone(),
        group: group.clone(),
        direction: Direction::Ingress,
        rules,
    };
    assert_eq!(estate.run(revoke(Revocation::Specs(vec![port(1, from("::/0"))]))), Outcome::Revoked(vec![]));
    estate.refused(
        revoke(Revocation::Ids(vec![RuleId::from("sgr-no")])),
        &expect!["`A` has no rule `sgr-no` in this direction; list the rules to find the id"],
    );
}

#[test]
fn what_a_rule_may_name() {
    let mut estate = Estate::new(Dialect::Ecs);
    let (a, b) = (estate.a.clone(), estate.b.clone());
    let enterprise = estate.group(Flavor::EcsEnterprise);
    estate.run(estate.authorize(&a, [port(1, group_peer(&b))]));
    estate.refused(
        estate.authorize(&a, [port(1, group_peer(&a))]),
        &expect!["a rule of `A` must not name `A` itself as ingress peer"],
    );
    let message = estate.try_run(estate.authorize(&a, [port(1, group_peer(&enterprise))])).expect_err("refused");
    assert!(message.ends_with("is an enterprise group and cannot be a peer; use its addresses"), "{message}");
    let message = estate.try_run(estate.authorize(&enterprise, [port(1, group_peer(&a))])).expect_err("refused");
    assert!(message.ends_with("cannot name a group as peer; use addresses"), "{message}");
    let list = RuleSpec { service: Service::PortList("prl-no".into()), ..port(1, from("::/0")) };
    estate.refused(
        estate.authorize(&a, [list]),
        &expect!["port list `prl-no` does not exist in this account and region; check the id"],
    );
}

#[test]
fn all_rules_of_a_request_or_none() {
    let mut estate = Estate::new(Dialect::Ecs);
    let a = estate.a.clone();
    let specs = [port(1, from("10.0.0.0/8")), port(2, group_peer(&GroupId::from("sg-no")))];
    estate.refused(
        estate.authorize(&a, specs),
        &expect!["peer security group `sg-no` does not exist in this account and region; check the id"],
    );
    assert_eq!(estate.rules(&a), 0);
}

#[test]
fn quotas_of_rules() {
    let mut estate = Estate::new(Dialect::Ecs);
    let (a, b) = (estate.a.clone(), estate.b.clone());
    let some = |range: std::ops::Range<u16>| range.map(|number| port(number, from("10.0.0.0/8")));
    estate.run(estate.authorize(&a, some(0..600)));
    estate.run(estate.authorize(&b, some(0..400)));
    estate.instance(&[a.clone(), b.clone()]);
    estate.refused(
        estate.authorize(&b, some(400..401)),
        &expect![
            "at most 1000 rules over all security groups of one network interface; this request would make it 1001"
        ],
    );
    let peers = (0..21).map(|number| port(number, group_peer(&b)));
    let message = estate.try_run(estate.authorize(&a, peers)).expect_err("refused");
    assert!(message.starts_with("at most 20 rules of a security group that name a security group"), "{message}");
}

#[test]
fn joining_and_leaving() {
    let mut estate = Estate::new(Dialect::Ecs);
    let (a, b) = (estate.a.clone(), estate.b.clone());
    let enterprise = estate.group(Flavor::EcsEnterprise);
    let web = estate.instance(std::slice::from_ref(&a));
    let message = estate.try_run(estate.leave(&web, &a)).expect_err("refused");
    assert!(message.ends_with("join another first"), "{message}");
    estate.run(estate.join(&web, &b));
    let message = estate.try_run(estate.join(&web, &b)).expect_err("refused");
    assert!(message.contains("is already in"), "{message}");
    let message = estate.try_run(estate.join(&web, &enterprise)).expect_err("refused");
    assert!(message.ends_with("all groups of an interface must be of one type"), "{message}");
    estate.run(estate.leave(&web, &a));
    let message = estate.try_run(estate.leave(&web, &a)).expect_err("refused");
    assert!(message.contains("is not in"), "{message}");
}

#[test]
fn a_group_that_is_used_stays() {
    let mut estate = Estate::new(Dialect::Ecs);
    let (account, a, b) = (estate.account.clone(), estate.a.clone(), estate.b.clone());
    let delete = |group: &GroupId| Command::DeleteGroup { account: account.clone(), group: group.clone() };
    estate.run(estate.authorize(&a, [port(1, group_peer(&b))]));
    estate.refused(delete(&b), &expect!["security group `B` is still used by `A`; remove that first"]);
    estate.run(delete(&a));
    estate.run(delete(&b));
    assert_eq!(estate.state.world().groups().count(), 0);
}

#[test]
fn addresses_are_unique_and_run_out() {
    let mut estate = Estate::new(Dialect::Ecs);
    let a = estate.a.clone();
    let Outcome::Subnet(small) = estate.run(estate.new_subnet("10.2.0.0/29")) else { panic!() };
    estate.subnet = small;
    // Eight addresses, less the first and the last three (`spec/ecs.md`): four, less none.
    estate.run(estate.instances(std::slice::from_ref(&a), 4));
    estate.refused(
        estate.instances(&[a], 1),
        &expect!["subnet `SUBNET` has no free private address; use a larger or another subnet"],
    );
    let addresses: std::collections::BTreeSet<_> =
        estate.state.world().enis().flat_map(|eni| eni.addresses.clone()).collect();
    assert_eq!(addresses.len(), 4);
}

#[test]
fn blocks_that_cannot_be_used() {
    let mut estate = Estate::new(Dialect::Ecs);
    estate.refused(
        estate.new_vpc("100.64.0.0/16", VpcIpv6::Off),
        &expect![
            "block `100.64.0.0/16` cannot be used: it is reserved; use a block of 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16"
        ],
    );
    estate.refused(
        estate.new_subnet("10.1.0.0/25"),
        &expect!["block `10.1.0.0/25` overlaps `SUBNET`; choose a free block"],
    );
    estate.refused(
        estate.new_subnet("192.168.0.0/24"),
        &expect!["block `192.168.0.0/24` cannot be used: it is not within 10.0.0.0/8 of its VPC"],
    );
}

#[test]
fn nothing_that_holds_something_is_deleted() {
    let mut estate = Estate::new(Dialect::Ecs);
    let (account, vpc, subnet, a) =
        (estate.account.clone(), estate.vpc.clone(), estate.subnet.clone(), estate.a.clone());
    let web = estate.instance(&[a]);
    let message = estate
        .try_run(Command::DeleteSubnet { account: account.clone(), subnet: subnet.clone() })
        .expect_err("an instance is in it");
    assert_eq!(message, format!("subnet `{subnet}` is still used by `{web}`; remove that first"));
    estate.refused(
        Command::DeleteVpc { account, vpc },
        &expect!["VPC `VPC` is still used by `SUBNET`; remove that first"],
    );
}

#[test]
fn another_account_sees_nothing() {
    let mut estate = Estate::new(Dialect::Ecs);
    let group = estate.a.clone();
    let stranger = AccountId::from("2");
    estate.refused(
        Command::DeleteGroup { account: stranger, group },
        &expect!["security group `A` does not exist in this account and region; check the id"],
    );
}

#[test]
fn an_ec2_group_is_born_with_open_egress_in_both_families() {
    let estate = Estate::new(Dialect::Ec2);
    let group = estate.state.world().group(&estate.a).expect("it exists");
    let peers: std::collections::BTreeSet<String> =
        group.rules.values().map(|rule| format!("{} {:?}", rule.spec.direction, rule.spec.peer)).collect();
    let expected = ["egress Cidr(0.0.0.0/0)", "egress Cidr(::/0)"].map(str::to_owned);
    assert_eq!(peers, expected.into_iter().collect());
    let both = group.rules.values().map(|rule| rule.id.as_str().len()).collect::<Vec<_>>();
    assert_eq!(both, [21, 21], "17 hex digits after `sgr-`");
}

#[test]
fn inner_access_is_fixed_where_the_cloud_fixes_it() {
    let mut estate = Estate::new(Dialect::Ecs);
    let account = estate.account.clone();
    let set =
        |group: GroupId| Command::SetInnerAccess { account: account.clone(), group, inner_access: InnerAccess::Drop };
    estate.run(set(estate.a.clone()));
    let enterprise = estate.group(Flavor::EcsEnterprise);
    let message = estate.try_run(set(enterprise)).expect_err("refused");
    assert!(message.ends_with("is always Drop"), "{message}");
}

#[test]
fn an_override_is_the_enis_then_the_accounts_then_the_flavors() {
    let mut estate = Estate::new(Dialect::Ecs);
    let a = estate.a.clone();
    let web = estate.instance(&[a]);
    let eni = estate.state.world().primary_eni(&web).expect("it has one").id.clone();
    let treatment = |estate: &Estate| {
        let world = estate.state.world();
        world.treatment_of(world.eni(&eni).expect("it exists"))
    };
    assert_eq!(treatment(&estate), Treatment::Reevaluate);
    let account = TreatmentOf::Account(estate.account.clone());
    estate.run(Command::SetTreatment { of: account, treatment: Some(Treatment::Keep) });
    assert_eq!(treatment(&estate), Treatment::Keep);
    estate.run(Command::SetTreatment { of: TreatmentOf::Eni(eni.clone()), treatment: Some(Treatment::Reset) });
    assert_eq!(treatment(&estate), Treatment::Reset);
}

#[test]
fn a_policy_that_does_not_fit_is_refused() {
    let mut estate = Estate::new(Dialect::Ecs);
    estate.context.limits = LimitMode::Host;
    let a = estate.a.clone();
    estate.instance(std::slice::from_ref(&a));
    // Port ranges inside each other: every class holds half of the rules, the worst that intervals can do.
    let nested = (0..11_000_u16).map(|step| RuleSpec {
        service: Service::Ports(PortRange::new(step, u16::MAX - step).expect("a range")),
        ..port(1, from("10.0.0.0/8"))
    });
    let message = estate.try_run(estate.authorize(&a, nested)).expect_err("refused");
    assert!(message.contains("words of one policy in the data plane"), "{message}");
    assert_eq!(estate.rules(&a), 0);
}

#[test]
fn a_host_that_is_full_takes_no_more_and_another_does() {
    let mut estate = Estate::new(Dialect::Ecs);
    estate.context.limits = LimitMode::Host;
    let a = estate.a.clone();
    let mut left = HOST_ENIS_MAX;
    while left > 0 {
        let cidr = format!("10.{}.0.0/20", 2 + left / 1_000);
        let Outcome::Subnet(subnet) = estate.run(estate.new_subnet(&cidr)) else { panic!() };
        estate.subnet = subnet;
        let amount = left.min(1_000);
        estate.run(estate.instances(std::slice::from_ref(&a), amount));
        left -= amount;
    }
    let one = estate.instances(&[a], 1);
    estate.refused(
        one.clone(),
        &expect!["at most 16384 network interfaces on one host; this request would make it 16385 on host `h`"],
    );
    estate.context.host = HostId::from("another");
    estate.run(one);
}

#[test]
fn replaying_the_changes_of_a_world_gives_it_back() {
    let mut estate = Estate::new(Dialect::Ecs);
    let (a, b) = (estate.a.clone(), estate.b.clone());
    estate.run(estate.authorize(&a, [port(1, group_peer(&b)), port(2, from("10.0.0.1"))]));
    let instance = estate.instance(&[a, b]);
    estate.run(estate.report(&instance));
    let facts = estate.state.world().to_changes();
    let json = serde_json::to_string(&facts).expect("facts are JSON");
    let mut again = crate::world::World::default();
    let read: Vec<crate::change::Change> = serde_json::from_str(&json).expect("JSON is facts");
    read.iter().for_each(|fact| again.apply(fact));
    assert_eq!(again.to_changes(), facts);
    let mut rows: Vec<String> = facts.iter().map(|fact| fact.row().to_key()).collect();
    let in_order = rows.clone();
    rows.sort();
    assert_eq!(rows, in_order, "a store that reads its rows by key reads what is named before what names it");
}

#[test]
fn commands_together_are_all_carried_out_or_none() {
    let mut estate = Estate::new(Dialect::Ecs);
    let (account, a, b) = (estate.account.clone(), estate.a.clone(), estate.b.clone());
    let drop_inner = |group: &GroupId| Command::SetInnerAccess {
        account: account.clone(),
        group: group.clone(),
        inner_access: InnerAccess::Drop,
    };
    let at = estate.state.world().revision();
    let together = |at, commands| Command::Together { at, commands };
    let failing = together(None, vec![drop_inner(&a), drop_inner(&"sg-0".into())]);
    assert!(estate.try_run(failing).unwrap_err().contains("`sg-0`"));
    estate.run(together(Some(at), vec![drop_inner(&a), drop_inner(&b)]));
    let group = |id| estate.state.world().group(id).unwrap().inner_access;
    assert_eq!((group(&a), group(&b)), (InnerAccess::Drop, InnerAccess::Drop));
    let late = estate.try_run(together(Some(at), vec![])).unwrap_err();
    assert!(late.contains("look again"), "{late}");
    let many = vec![drop_inner(&a); crate::limits::COMMANDS_TOGETHER_MAX as usize + 1];
    assert!(estate.try_run(together(None, many)).unwrap_err().contains("carried out as one"));
}
