//! Changes on trial of things that somebody else changes meanwhile: what the trial changed goes back, everything else stays.

use super::*;
use crate::{
    bypass::BypassSet,
    command::{AclCommand, EniPatch, TrialCommand},
    ids::EniId,
    network_acl::AclEntry,
    platform::PlatformPolicy,
    resource::Resource,
    tags::{TagKeys, Tags},
};

impl Estate {
    fn tag(&mut self, resource: Resource) {
        let tags = Tags::read(self.state.world().dialect_of(&self.account), [("note", "x")]).expect("tags");
        self.run(Command::Tag { account: self.account.clone(), resources: vec![resource], tags });
    }

    fn untag(&self, resource: Resource) -> Command {
        Command::Untag { account: self.account.clone(), resources: vec![resource], keys: TagKeys::All }
    }

    fn rolled_back(&mut self, id: String) -> (usize, Vec<String>) {
        self.undone(TrialCommand::RollBack { id })
    }

    fn regrouped(&self, eni: &EniId, groups: &[&GroupId]) -> Command {
        let groups = Some(groups.iter().map(|&group| group.clone()).collect());
        self.modify(eni, EniPatch { groups, ..EniPatch::default() })
    }

    fn inner(&self, inner_access: InnerAccess) -> Command {
        Command::SetInnerAccess { account: self.account.clone(), group: self.a.clone(), inner_access }
    }
}

#[test]
fn a_tag_keeps_nothing_that_is_on_trial() {
    let mut estate = Estate::new(Dialect::Ec2);
    let (a, b, eni) = (estate.a.clone(), estate.b.clone(), estate.free());
    estate.run(estate.regrouped(&eni, &[&a]));
    let trial = estate.begin(60, vec![estate.regrouped(&eni, &[&b])]);
    estate.tag(Resource::Eni(eni.clone()));
    assert_eq!(estate.rolled_back(trial), (1, vec![]));
    assert_eq!((estate.eni(&eni).groups, estate.eni(&eni).tags.get("note")), (vec![a.clone()], Some("x")));

    let check = |source_check| EniPatch { source_check: Some(source_check), ..EniPatch::default() };
    let trial = estate.begin(60, vec![estate.modify(&eni, check(false))]);
    estate.run(estate.untag(Resource::Eni(eni.clone())));
    assert_eq!(estate.rolled_back(trial), (1, vec![]));
    assert!(estate.eni(&eni).source_check && estate.eni(&eni).tags.is_empty());

    // A rule and a group that were made on trial go, whatever they are called by now.
    let made = estate.authorize(&a, [port(22, from("0.0.0.0/0"))]);
    let before = estate.rules(&a);
    let trial = estate.begin(60, vec![made]);
    let rules = estate.state.world().group(&a).unwrap().rules.clone();
    let rule = rules.values().find(|rule| rule.spec.direction == Direction::Ingress).unwrap().id.clone();
    estate.tag(Resource::Rule(rule));
    assert_eq!((estate.rolled_back(trial), estate.rules(&a)), ((1, vec![]), before));
}

#[test]
fn what_somebody_else_has_changed_of_the_same_stays_and_is_told() {
    let mut estate = Estate::new(Dialect::Ec2);
    let (a, b, eni) = (estate.a.clone(), estate.b.clone(), estate.free());
    estate.run(estate.regrouped(&eni, &[&a]));
    let off = EniPatch { source_check: Some(false), ..EniPatch::default() };
    let trial = estate.begin(60, vec![estate.regrouped(&eni, &[&b]), estate.modify(&eni, off)]);
    estate.run(estate.regrouped(&eni, &[&a, &b]));
    assert_eq!(estate.rolled_back(trial), (1, vec![format!("eni/{eni}: what was changed since: groups")]));
    assert_eq!((estate.eni(&eni).groups, estate.eni(&eni).source_check), (vec![a.clone(), b.clone()], true));
    let trial = estate.begin(60, vec![estate.regrouped(&eni, &[&b])]);
    estate.run(estate.regrouped(&eni, &[&b, &a]));
    assert_eq!(estate.rolled_back(trial), (0, vec![format!("eni/{eni}: it was changed since")]));
    let trial = estate.begin(60, vec![estate.regrouped(&eni, &[&b])]);
    estate.run(estate.regrouped(&eni, &[&b, &a]));
    assert_eq!(estate.rolled_back(trial), (1, vec![]), "somebody has put it back already");
}

#[test]
fn settings_are_put_back_one_by_one() {
    let mut estate = Estate::new(Dialect::Ecs);
    let set = |policy| Command::SetPlatform { policy, is_on: true };
    let trial = estate.begin(60, vec![set(PlatformPolicy::Mail)]);
    estate.run(set(PlatformPolicy::CloudServices));
    assert_eq!(estate.rolled_back(trial), (1, vec![]));
    let on = PlatformPolicy::ALL.map(|policy| estate.state.world().platform().has(policy));
    assert_eq!(on, [false, true, true]);

    let bypass =
        |items: &[&str]| Command::SetBypass { bypass: BypassSet::from_items(items.iter().copied()).unwrap() };
    let before = estate.state.world().bypass().clone();
    let trial = estate.begin(60, vec![bypass(&["none"])]);
    let trap = "udp/162@198.51.100.1";
    let Ok(listed) = BypassSet::from_items([trap]) else { panic!() };
    estate.run(bypass(&[trap]));
    assert_eq!(estate.rolled_back(trial), (1, vec![]));
    let now = estate.state.world().bypass().entries().to_vec();
    let all: Vec<_> = listed.entries().iter().chain(before.entries()).cloned().collect();
    assert_eq!(now, all, "what was there is back, and what somebody has added stays");

    let of = TreatmentOf::Account(estate.account.clone());
    let trial = estate.begin(60, vec![Command::SetTreatment { of, treatment: Some(Treatment::Reset) }]);
    estate.run(Command::CreateResourceGroup { account: estate.account.clone(), name: "shop".to_owned() });
    assert_eq!(estate.rolled_back(trial), (1, vec![]));
    let account = estate.state.world().account(&estate.account).unwrap();
    assert_eq!((account.treatment, account.resource_groups.len()), (None, 1));
    estate.run(estate.inner(InnerAccess::Drop));
    let trial = estate.begin(60, vec![estate.inner(InnerAccess::Accept)]);
    estate.tag(Resource::Group(estate.a.clone()));
    assert_eq!(estate.rolled_back(trial), (1, vec![]));
    assert_eq!(estate.state.world().group(&estate.a).unwrap().inner_access, InnerAccess::Drop);
}

#[test]
fn entries_of_a_network_acl_are_put_back_one_by_one() {
    let mut estate = Estate::new(Dialect::Ec2);
    let acl = estate.state.world().default_acl(&estate.vpc).expect("it has one").clone();
    let put = |number| {
        let entry = AclEntry { number, spec: port(22, from("0.0.0.0/0")) };
        let (acl, account) = (acl.id.clone(), acl.account.clone());
        Command::NetworkAcl { account, command: AclCommand::PutEntry { acl, entry, is_new: true } }
    };
    let trial = estate.begin(60, vec![put(50)]);
    estate.run(put(40));
    assert_eq!(estate.rolled_back(trial), (1, vec![]));
    let now = estate.state.world().network_acl(&acl.id).unwrap();
    let numbers = |entries: &[AclEntry]| entries.iter().map(AclEntry::place).collect::<Vec<_>>();
    let mut expected = numbers(&acl.entries);
    expected.push((Direction::Ingress, 40));
    expected.sort();
    assert_eq!(numbers(&now.entries), expected);
}
