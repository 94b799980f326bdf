//! Prefix lists and port lists: made, edited, named by rules, and deleted only when nothing names them.

use super::{Estate, from, port};
use crate::{
    address::Family,
    command::{Command, NewPortList, NewPrefixList, Outcome, PortListEdit, PrefixListEdit},
    ids::{GroupId, PortListId, PrefixListId},
    limits::LimitMode,
    rule::{Peer, PortRange, RuleSpec, Service},
    world::{Dialect, PortEntry, PrefixEntry},
};

fn prefix(cidr: &str, description: &str) -> PrefixEntry {
    PrefixEntry { cidr: cidr.parse().expect("a block"), description: description.to_owned() }
}

fn ports(first: u16, last: u16) -> PortEntry {
    PortEntry { ports: PortRange::new(first, last).expect("a range"), description: String::new() }
}

impl Estate {
    fn new_prefix_list(&self, entries_max: u32, entries: Vec<PrefixEntry>) -> Command {
        Command::CreatePrefixList(NewPrefixList {
            account: self.account.clone(),
            region: "r".into(),
            name: "offices".into(),
            description: String::new(),
            family: Family::V4,
            entries_max,
            entries,
            resource_group: String::new(),
            tags: Default::default(),
        })
    }

    fn prefix_list(&mut self, entries_max: u32, entries: Vec<PrefixEntry>) -> PrefixListId {
        let Outcome::PrefixList(id) = self.run(self.new_prefix_list(entries_max, entries)) else { panic!() };
        id
    }

    fn new_port_list(&self, entries_max: u32, entries: Vec<PortEntry>) -> Command {
        Command::CreatePortList(NewPortList {
            account: self.account.clone(),
            region: "r".into(),
            name: "web".into(),
            description: String::new(),
            entries_max,
            entries,
            resource_group: String::new(),
            tags: Default::default(),
        })
    }

    fn port_list(&mut self, entries_max: u32, entries: Vec<PortEntry>) -> PortListId {
        let Outcome::PortList(id) = self.run(self.new_port_list(entries_max, entries)) else { panic!() };
        id
    }

    fn edit(&self, list: &PrefixListId, add: Vec<PrefixEntry>, remove: &[&str]) -> Command {
        Command::EditPrefixList(PrefixListEdit {
            account: self.account.clone(),
            list: list.clone(),
            name: None,
            description: None,
            entries_max: None,
            add,
            remove: remove.iter().map(|cidr| cidr.parse().expect("a block")).collect(),
            at: None,
        })
    }

    fn entries(&self, list: &PrefixListId) -> Vec<String> {
        let list = self.state.world().prefix_list(list).expect("it exists");
        list.entries.iter().map(|entry| format!("{} {}", entry.cidr, entry.description)).collect()
    }
}

fn from_list(list: &PrefixListId) -> RuleSpec {
    port(443, Peer::PrefixList(list.clone()))
}

fn at_list(list: &PortListId) -> RuleSpec {
    RuleSpec { service: Service::PortList(list.clone()), ..port(1, from("10.0.0.0/8")) }
}

#[test]
fn entries_are_added_described_and_taken_out_in_one_edit() {
    let mut estate = Estate::new(Dialect::Ecs);
    let list = estate.prefix_list(3, vec![prefix("10.1.0.0/16", "a"), prefix("10.2.0.0/16", "")]);
    estate.run(estate.edit(&list, vec![prefix("10.1.0.0/16", "b"), prefix("10.3.0.0/16", "c")], &["10.2.0.0/16"]));
    assert_eq!(estate.entries(&list), ["10.1.0.0/16 b", "10.3.0.0/16 c"]);
    // What is not there is taken out already, and an edit without effect makes no revision.
    let before = estate.state.world().revision();
    let applied = super::apply(&estate.state, &estate.edit(&list, vec![], &["10.9.0.0/16"]), &mut estate.context);
    assert!(applied.expect("it is carried out").changes.is_empty());
    assert_eq!(estate.state.world().revision(), before);
}

#[test]
fn a_list_never_holds_more_than_it_was_made_for() {
    let mut estate = Estate::new(Dialect::Ecs);
    let refused = |result: Result<Outcome, String>| result.expect_err("refused");
    let list = estate.prefix_list(1, vec![prefix("10.1.0.0/16", "")]);
    let message = refused(estate.try_run(estate.edit(&list, vec![prefix("10.2.0.0/16", "")], &[])));
    assert_eq!(message, "at most 1 entries of this prefix list; this request would make it 2");
    estate.run(estate.edit(&list, vec![prefix("10.2.0.0/16", "")], &["10.1.0.0/16"]));
    let message = refused(estate.try_run(estate.new_prefix_list(201, vec![])));
    assert!(message.starts_with("at most 200 entries of this prefix list"), "{message}");
    let message = refused(estate.try_run(estate.new_port_list(1, vec![ports(1, 1), ports(2, 2)])));
    assert!(message.starts_with("at most 1 entries of this port list"), "{message}");
    let message = refused(estate.try_run(estate.new_port_list(2_001, vec![])));
    assert!(message.starts_with("at most 2000 entries of this port list"), "{message}");
}

#[test]
fn a_list_that_a_rule_names_stays() {
    let mut estate = Estate::new(Dialect::Ecs);
    let (a, account) = (estate.a.clone(), estate.account.clone());
    let (prefixes, numbers) = (estate.prefix_list(2, vec![]), estate.port_list(2, vec![]));
    estate.run(estate.authorize(&a, [from_list(&prefixes), at_list(&numbers)]));
    let delete = [
        Command::DeletePrefixList { account: account.clone(), list: prefixes },
        Command::DeletePortList { account: account.clone(), list: numbers },
    ];
    for command in &delete {
        let message = estate.try_run(command.clone()).expect_err("a rule names it");
        assert!(message.ends_with(&format!("is still used by `{a}`; remove that first")), "{message}");
    }
    estate.run(Command::DeleteGroup { account, group: a });
    delete.into_iter().for_each(|command| drop(estate.run(command)));
    assert_eq!(estate.state.world().prefix_lists().count() + estate.state.world().port_lists().count(), 0);
}

#[test]
fn a_rule_counts_as_what_its_lists_may_hold() {
    let mut estate = Estate::new(Dialect::Ecs);
    let (a, b) = (estate.a.clone(), estate.b.clone());
    let (prefixes, numbers) = (estate.prefix_list(20, vec![]), estate.port_list(50, vec![]));
    let both = RuleSpec { service: Service::PortList(numbers.clone()), ..from_list(&prefixes) };
    estate.run(estate.authorize(&a, [both.clone()]));
    let message = estate.try_run(estate.authorize(&a, [at_list(&numbers)])).expect_err("1,000 are taken");
    assert!(message.ends_with("this request would make it 1050"), "{message}");
    estate.context.limits = LimitMode::Host;
    estate.run(estate.authorize(&b, [both, at_list(&numbers)]));
}

#[test]
fn lists_belong_to_one_account_and_region() {
    let mut estate = Estate::new(Dialect::Ecs);
    let a = estate.a.clone();
    let elsewhere = NewPrefixList {
        account: estate.account.clone(),
        region: "another".into(),
        name: "far".into(),
        description: String::new(),
        family: Family::V4,
        entries_max: 1,
        entries: vec![],
        resource_group: String::new(),
        tags: Default::default(),
    };
    let Outcome::PrefixList(far) = estate.run(Command::CreatePrefixList(elsewhere.clone())) else { panic!() };
    let message = estate.try_run(estate.authorize(&a, [from_list(&far)])).expect_err("it is far");
    assert!(message.contains("does not exist in this account and region"), "{message}");
    let foreign = PrefixListEdit {
        account: "2".into(),
        list: far,
        name: Some("mine".into()),
        description: None,
        entries_max: None,
        add: vec![],
        remove: vec![],
        at: None,
    };
    estate.try_run(Command::EditPrefixList(foreign)).expect_err("it is another's");
    for _ in 0..99 {
        estate.run(Command::CreatePrefixList(elsewhere.clone()));
    }
    let message = estate.try_run(Command::CreatePrefixList(elsewhere)).expect_err("a hundred are there");
    assert!(message.starts_with("at most 100 prefix lists in this region"), "{message}");
    estate.prefix_list(1, vec![]);
}

#[test]
fn the_groups_that_name_one_prefix_list_are_counted() {
    let mut estate = Estate::new(Dialect::Ecs);
    let list = estate.prefix_list(1, vec![]);
    let groups: Vec<GroupId> = (0..1_001).map(|_| estate.group(crate::world::Flavor::EcsBasic)).collect();
    for group in &groups[..1_000] {
        estate.run(estate.authorize(group, [from_list(&list)]));
    }
    let message = estate.try_run(estate.authorize(&groups[1_000], [from_list(&list)])).expect_err("a thousand do");
    assert!(message.starts_with("at most 1000 security groups whose rules name one prefix list"), "{message}");
    // A second rule of a group that names it already makes no difference.
    estate.run(estate.authorize(&groups[0], [RuleSpec { priority: 2, ..from_list(&list) }]));
}

#[test]
fn port_lists_are_edited_as_prefix_lists_are() {
    let mut estate = Estate::new(Dialect::Ecs);
    let list = estate.port_list(2, vec![ports(80, 80), ports(443, 443)]);
    let edit = |add: Vec<PortEntry>, remove: Vec<PortRange>| {
        Command::EditPortList(PortListEdit {
            account: "1".into(),
            list: list.clone(),
            name: Some("renamed".into()),
            description: None,
            add,
            remove,
        })
    };
    let message = estate.try_run(edit(vec![ports(1, 2)], vec![])).expect_err("it is full");
    assert!(message.starts_with("at most 2 entries of this port list"), "{message}");
    estate.run(edit(vec![ports(1, 2)], vec![PortRange::one(80)]));
    let found = estate.state.world().port_list(&list).expect("it exists");
    let shown: Vec<String> = found.entries.iter().map(|entry| entry.ports.to_string()).collect();
    assert_eq!((found.name.as_str(), shown), ("renamed", vec!["443".to_owned(), "1-2".to_owned()]));
}

/// A list of an EC2 account, at version 1.
fn versioned(entries_max: u32, entries: &[&str]) -> (Estate, PrefixListId) {
    let mut estate = Estate::new(Dialect::Ec2);
    let list = estate.prefix_list(entries_max, entries.iter().map(|cidr| prefix(cidr, "")).collect());
    (estate, list)
}

impl Estate {
    fn capacity(&self, list: &PrefixListId, entries_max: u32) -> Command {
        let Command::EditPrefixList(edit) = self.edit(list, vec![], &[]) else { panic!() };
        Command::EditPrefixList(PrefixListEdit { entries_max: Some(entries_max), ..edit })
    }

    fn restore(&self, list: &PrefixListId, version: u64, at: u64) -> Command {
        Command::RestorePrefixList { account: self.account.clone(), list: list.clone(), version, at }
    }

    fn versions(&self, list: &PrefixListId) -> (u64, Vec<u64>) {
        let world = self.state.world();
        let older = world.prefix_list_versions_of(list).map(|old| old.version).collect();
        (world.prefix_list(list).expect("it exists").version, older)
    }
}

#[test]
fn each_edit_of_entries_is_a_version_and_older_ones_come_back_as_new_ones() {
    let (mut estate, list) = versioned(3, &["10.1.0.0/16"]);
    estate.run(estate.edit(&list, vec![prefix("10.2.0.0/16", "two")], &[]));
    estate.run(estate.edit(&list, vec![], &["10.1.0.0/16"]));
    assert_eq!(estate.versions(&list), (3, vec![1, 2]));
    // Another name or capacity is no version, and neither is an edit that leaves the entries as they are.
    estate.run(estate.capacity(&list, 2));
    estate.run(estate.edit(&list, vec![prefix("10.2.0.0/16", "two")], &["10.9.0.0/16"]));
    assert_eq!(estate.versions(&list), (3, vec![1, 2]));
    estate.run(estate.restore(&list, 2, 3));
    assert_eq!(
        (estate.versions(&list), estate.entries(&list)),
        ((4, vec![1, 2, 3]), vec!["10.1.0.0/16 ".to_owned(), "10.2.0.0/16 two".to_owned()])
    );
    let refused = estate.try_run(estate.restore(&list, 1, 3)).expect_err("it is at 4");
    assert!(refused.contains("is at version 4, not at 3"), "{refused}");
    let refused = estate.try_run(estate.restore(&list, 9, 4)).expect_err("there is no 9");
    assert!(refused.contains("has no version 9; it is at 4"), "{refused}");
    let refused = estate.try_run(estate.capacity(&list, 1)).expect_err("it has two");
    assert_eq!(refused, "at most 1 entries of this prefix list; this request would make it 2");
    let (account, id) = (estate.account.clone(), list.clone());
    let Outcome::DeletedPrefixList(was) = estate.run(Command::DeletePrefixList { account, list: id }) else {
        panic!()
    };
    assert_eq!((was.version, estate.state.world().prefix_list_versions_of(&list).count()), (4, 0));
}

#[test]
fn a_list_keeps_a_thousand_versions_and_drops_the_oldest() {
    let (mut estate, list) = versioned(2, &["10.1.0.0/16"]);
    for number in 2..=1_003_u32 {
        let words = prefix("10.1.0.0/16", &number.to_string());
        estate.run(estate.edit(&list, vec![words], &[]));
    }
    let (current, older) = estate.versions(&list);
    assert_eq!((current, older.len(), older.first(), older.last()), (1_003, 999, Some(&4), Some(&1_002)));
    let before = estate.state.world().clone();
    let mut again = crate::world::World::default();
    before.to_changes().iter().for_each(|change| again.apply(change));
    assert_eq!(again.to_changes(), before.to_changes(), "a store gives every version back");
}

#[test]
fn a_list_of_ecs_keeps_no_versions() {
    let mut estate = Estate::new(Dialect::Ecs);
    let list = estate.prefix_list(3, vec![prefix("10.1.0.0/16", "")]);
    estate.run(estate.edit(&list, vec![prefix("10.2.0.0/16", "")], &[]));
    assert_eq!(estate.versions(&list), (2, vec![]));
}

#[test]
fn a_larger_capacity_must_fit_into_every_group_that_names_the_list() {
    let (mut estate, list) = versioned(20, &[]);
    let (a, b) = (estate.a.clone(), estate.b.clone());
    estate.run(estate.authorize(&a, [from_list(&list)]));
    estate.run(estate.authorize(&b, [from_list(&list), port(80, Peer::PrefixList(list.clone()))]));
    estate.run(estate.capacity(&list, 30));
    let refused = estate.try_run(estate.capacity(&list, 31)).expect_err("twice 31 is more than 60");
    assert_eq!(refused, "at most 60 rules in one direction of a security group; this request would make it 62");
    // The other family has room of its own, and smaller is always possible.
    estate.run(estate.authorize(&b, (0..60).map(|number| port(1, from(&format!("fd00:{number}::/32"))))));
    estate.run(estate.capacity(&list, 1));
    let refused = estate.try_run(estate.new_prefix_list(1_001, vec![])).expect_err("a thousand are the most");
    assert!(refused.starts_with("at most 1000 entries of this prefix list"), "{refused}");
}
