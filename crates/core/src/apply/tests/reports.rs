//! Diagnostic reports, and resource groups that go.

use super::*;
use crate::{
    command::NewReport,
    diagnosis::{Metric, MetricResult},
    ids::ReportId,
    limits::REPORTS_PER_ACCOUNT_MAX,
    resource::{Resource, ResourceKind},
};

impl Estate {
    pub(super) fn report(&self, instance: &InstanceId) -> Command {
        Command::CreateReport(NewReport {
            account: self.account.clone(),
            instance: instance.clone(),
            from: None,
            until: Some(Timestamp(7)),
            revision: self.state.world().revision(),
            results: vec![MetricResult::unknown(Metric::Outbound)],
        })
    }

    fn resource_group(&mut self) -> String {
        let new = Command::CreateResourceGroup { account: self.account.clone(), name: "billing".into() };
        let Outcome::ResourceGroup(id) = self.run(new) else { panic!() };
        id
    }

    fn put_in(&mut self, resource: Resource, group: &str) {
        let account = self.account.clone();
        self.run(Command::JoinResourceGroup { account, resource, resource_group: group.to_owned() });
    }
}

#[test]
fn an_account_has_its_newest_reports_and_they_outlive_the_instance() {
    let mut estate = Estate::new(Dialect::Ecs);
    let a = estate.a.clone();
    let instance = estate.instance(&[a]);
    let mut made: Vec<ReportId> = Vec::new();
    for _ in 0..REPORTS_PER_ACCOUNT_MAX + 2 {
        let Outcome::Report(id) = estate.run(estate.report(&instance)) else { panic!() };
        made.push(id);
    }
    let mut kept: Vec<ReportId> = made.split_off(2);
    kept.sort();
    let (account, world) = (estate.account.clone(), estate.state.world());
    let found: Vec<ReportId> = world.reports_of(&account).map(|report| report.id.clone()).collect();
    assert_eq!(found, kept);
    assert_eq!(world.reports_of(&"0".into()).chain(world.reports_of(&"2".into())).count(), 0);
    let report = world.report(&account, &kept[0]).expect("it is kept");
    assert_eq!((report.region.as_str(), report.until), ("r", Some(Timestamp(7))));
    let instances = vec![instance.clone()];
    estate.run(Command::DeleteInstances { account: account.clone(), instances, is_forced: true });
    assert!(estate.state.world().report(&account, &kept[0]).is_some());
    let told = estate.try_run(estate.report(&instance)).unwrap_err();
    assert!(told.contains("does not exist"), "{told}");
}

#[test]
fn the_report_of_a_command_is_found_under_a_token_too() {
    let estate = Estate::new(Dialect::Ecs);
    let mut plain = estate.report(&"i-1".into());
    assert!(plain.report_mut().is_some_and(|report| report.instance == "i-1".into()));
    let ticket = crate::token::Ticket { account: "1".into(), text: "t".into(), request: "r".into() };
    let mut once = Command::Once { ticket, command: Box::new(plain) };
    assert!(once.report_mut().is_some());
    assert!(estate.instances(&[], 1).report_mut().is_none());
}

#[test]
fn a_resource_group_goes_when_nothing_is_in_it() {
    let mut estate = Estate::new(Dialect::Ecs);
    let (a, vpc, subnet) = (estate.a.clone(), estate.vpc.clone(), estate.subnet.clone());
    let instance = estate.instance(std::slice::from_ref(&a));
    let eni = estate.state.world().primary_eni(&instance).expect("it has one").id.clone();
    let group = estate.resource_group();
    let account = estate.account.clone();
    let delete =
        |group: &str| Command::DeleteResourceGroup { account: account.clone(), resource_group: group.into() };
    let inside = [
        Resource::Vpc(vpc),
        Resource::Subnet(subnet),
        Resource::Instance(instance),
        Resource::Eni(eni),
        Resource::Group(a),
    ];
    for resource in inside {
        estate.put_in(resource.clone(), &group);
        let told = estate.try_run(delete(&group)).unwrap_err();
        assert_eq!(
            told,
            format!("resource group `{group}` is still used by `{}`; remove that first", resource.as_str())
        );
        estate.put_in(resource, "");
    }
    estate.run(delete(&group));
    for gone in [group.as_str(), "", "rg-default"] {
        let told = estate.try_run(delete(gone)).unwrap_err();
        assert!(told.contains("does not exist"), "{told}");
    }
    let kinds: std::collections::BTreeSet<String> =
        ResourceKind::ALL.into_iter().map(|kind| kind.named("x").kind().to_string()).collect();
    assert_eq!(kinds.len(), ResourceKind::ALL.len());
}
