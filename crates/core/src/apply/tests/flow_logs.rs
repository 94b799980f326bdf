//! Flow logs: made for each resource by itself, bounded, and kept when their resource is gone.

use super::*;
use crate::{
    command::NewFlowLogs,
    flow_log::{FlowLogConfig, LogDestinationKind, LoggedTraffic},
    ids::FlowLogId,
    resource::Resource,
    tags::{TagKeys, Tags},
};

impl Estate {
    fn new_flow_logs(&self, resources: &[Resource], bucket: &str) -> Command {
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
        };
        let (account, region) = (self.account.clone(), "r".into());
        let tags = Tags::default();
        Command::CreateFlowLogs(NewFlowLogs { account, region, resources: resources.to_vec(), config, tags })
    }

    fn flow_logs(&mut self, resources: &[Resource], bucket: &str) -> (Vec<FlowLogId>, Vec<String>) {
        let command = self.new_flow_logs(resources, bucket);
        let Outcome::FlowLogs { made, failed } = self.run(command) else { panic!() };
        (made, failed.into_iter().map(|(resource, refusal)| format!("{resource}: {refusal}")).collect())
    }

    fn delete_flow_logs(&self, ids: &[FlowLogId]) -> Command {
        let (account, region) = (self.account.clone(), "r".into());
        Command::DeleteFlowLogs { account, region, flow_logs: ids.to_vec() }
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
