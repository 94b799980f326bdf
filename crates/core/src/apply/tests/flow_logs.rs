//! Flow logs: made for each resource by itself, bounded, changed, turned on and off, and kept when their resource is gone.

use super::*;
use crate::{
    command::{FlowLogCommand, FlowLogEdit, NewFlowLogs},
    flow_log::{FlowLog, FlowLogConfig, LogDestinationKind, LoggedAddresses, LoggedTraffic},
    ids::FlowLogId,
    resource::Resource,
    tags::{TagKeys, Tags},
};

impl Estate {
    pub(super) fn new_flow_logs(&self, resources: &[Resource], bucket: &str) -> Command {
        let config = FlowLogConfig {
            traffic: LoggedTraffic::All,
            destination_kind: LogDestinationKind::S3,
            destination: format!("arn:aws:s3:::{bucket}"),
            log_group: String::new(),
            role: String::new(),
            cross_account_role: String::new(),
            format: "${version}".into(),
            interval_s: 60,
            files: None,
            addresses: LoggedAddresses::Both,
            paths: Vec::new(),
        };
        let new = NewFlowLogs {
            resources: resources.to_vec(),
            name: "flows".into(),
            description: String::new(),
            resource_group: String::new(),
            config,
            tags: Tags::default(),
            is_all_or_none: false,
        };
        self.of_flow_logs(FlowLogCommand::Create(Box::new(new)))
    }

    pub(super) fn flow_logs(&mut self, resources: &[Resource], bucket: &str) -> (Vec<FlowLogId>, Vec<String>) {
        let command = self.new_flow_logs(resources, bucket);
        let Outcome::FlowLogs { made, failed } = self.run(command) else { panic!() };
        (made, failed.into_iter().map(|(resource, refusal)| format!("{resource}: {refusal}")).collect())
    }

    pub(super) fn delete_flow_logs(&self, ids: &[FlowLogId]) -> Command {
        self.of_flow_logs(FlowLogCommand::Delete { flow_logs: ids.to_vec() })
    }

    fn of_flow_logs(&self, command: FlowLogCommand) -> Command {
        Command::FlowLogs { account: self.account.clone(), region: "r".into(), command }
    }
}

#[test]
fn a_resource_that_cannot_have_one_says_why_and_the_others_get_theirs() {
    let mut estate = Estate::new(Dialect::Ec2);
    let (vpc, subnet) = (Resource::Vpc(estate.vpc.clone()), Resource::Subnet(estate.subnet.clone()));
    let (made, failed) = estate.flow_logs(std::slice::from_ref(&vpc), "one");
    assert_eq!((made.len(), failed.len()), (1, 0));
    let all = [vpc.clone(), subnet, Resource::Vpc("vpc-none".into())];
    let (made, failed) = estate.flow_logs(&all, "one");
    assert_eq!((made.len(), failed.len()), (1, 2), "{failed:?}");
    assert!(failed[0].ends_with("to the same destination already; keep that one"), "{failed:?}");
    assert!(failed[1].starts_with("vpc-none: VPC `vpc-none` does not exist"), "{failed:?}");
    assert_eq!(estate.flow_logs(std::slice::from_ref(&vpc), "two").0.len(), 1);
    let (made, failed) = estate.flow_logs(&[vpc], "three");
    assert!(made.is_empty() && failed[0].contains("at most 2 flow logs of one VPC"), "{failed:?}");
}

#[test]
fn they_are_deleted_all_or_none_tagged_and_given_back_by_a_store() {
    let mut estate = Estate::new(Dialect::Ec2);
    let (made, _) = estate.flow_logs(&[Resource::Subnet(estate.subnet.clone())], "one");
    let resources = vec![Resource::FlowLog(made[0].clone())];
    let account = estate.account.clone();
    let tags = Tags::read(Dialect::Ec2, [("env", "test")]).expect("a tag");
    estate.run(Command::Tag { account: account.clone(), resources: resources.clone(), tags });
    let tags = |estate: &Estate| estate.state.world().flow_log(&made[0]).expect("it exists").tags.clone();
    assert_eq!(tags(&estate).get("env"), Some("test"));
    let mut again = crate::world::World::default();
    estate.state.world().to_changes().iter().for_each(|change| again.apply(change));
    assert_eq!(again.to_changes(), estate.state.world().to_changes());
    estate.run(Command::Untag { account: account.clone(), resources, keys: TagKeys::All });
    let (subnet, both) = (estate.subnet.clone(), [made[0].clone(), "fl-none".into()]);
    estate.run(Command::DeleteSubnet { account, subnet });
    estate.try_run(estate.delete_flow_logs(&both)).expect_err("one is not there");
    assert!(estate.state.world().flow_log(&made[0]).is_some());
    estate.run(estate.delete_flow_logs(&made));
    assert_eq!(estate.state.world().flow_logs().count(), 0);
}

#[test]
fn one_is_turned_off_and_on_and_keeps_what_it_says() {
    let mut estate = Estate::new(Dialect::Ecs);
    let (made, _) = estate.flow_logs(&[Resource::Vpc(estate.vpc.clone())], "one");
    let flow_log = made[0].clone();
    let set = |is_active| FlowLogCommand::SetActive { flow_log: flow_log.clone(), is_active };
    let log = |estate: &Estate| (**estate.state.world().flow_log(&flow_log).expect("it exists")).clone();
    let first = log(&estate);
    assert_eq!(first.active_since, Some(first.created_at));
    // What is so already changes nothing: it is active since then.
    estate.context.now = Timestamp(first.created_at.0 + 60);
    estate.run(estate.of_flow_logs(set(true)));
    assert_eq!(log(&estate), first);
    for _ in 0..2 {
        estate.run(estate.of_flow_logs(set(false)));
        assert_eq!(log(&estate), FlowLog { active_since: None, ..first.clone() });
    }
    let edit = FlowLogEdit { name: Some("quiet".into()), interval_s: Some(600), ..FlowLogEdit::default() };
    estate.run(estate.of_flow_logs(FlowLogCommand::Edit { flow_log: flow_log.clone(), edit }));
    let edited = log(&estate);
    assert_eq!((edited.name.as_str(), edited.config.interval_s, edited.active_since), ("quiet", 600, None));
    assert_eq!((&edited.config.format, &edited.resource), (&first.config.format, &first.resource));
    estate.context.now = Timestamp(first.created_at.0 + 120);
    estate.run(estate.of_flow_logs(set(true)));
    assert_eq!(log(&estate).active_since, Some(Timestamp(first.created_at.0 + 120)));
    let account = estate.account.clone();
    let elsewhere = |command| Command::FlowLogs { account: account.clone(), region: "other".into(), command };
    for command in [set(false), FlowLogCommand::Delete { flow_logs: vec![flow_log.clone()] }] {
        let refusal = estate.try_run(elsewhere(command)).expect_err("it is in another region");
        assert!(refusal.starts_with(&format!("flow log `{flow_log}` does not exist")), "{refusal}");
    }
}

#[test]
fn one_that_cannot_be_made_is_a_reason_for_none_if_all_are_wanted() {
    let mut estate = Estate::new(Dialect::Ecs);
    let all = [Resource::Vpc(estate.vpc.clone()), Resource::Vpc("vpc-none".into())];
    let Command::FlowLogs { command: FlowLogCommand::Create(mut new), .. } = estate.new_flow_logs(&all, "one") else {
        panic!()
    };
    new.is_all_or_none = true;
    estate.try_run(estate.of_flow_logs(FlowLogCommand::Create(new.clone()))).expect_err("one is not there");
    assert_eq!(estate.state.world().flow_logs().count(), 0);
    new.resources.truncate(1);
    new.resource_group = "rg-none".into();
    estate.try_run(estate.of_flow_logs(FlowLogCommand::Create(new))).expect_err("there is no such resource group");
    for store in 0..10 {
        assert_eq!(estate.flow_logs(&all[..1], &format!("store-{store}")).0.len(), 1);
    }
    let (_, failed) = estate.flow_logs(&all[..1], "store-10");
    assert!(failed[0].contains("at most 10 flow logs of one VPC"), "{failed:?}");
}
