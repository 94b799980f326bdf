//! Paths and their analyses: bounded, owned, and a path stays while it has an analysis.

use super::*;
use crate::{
    command::{NewInsightsAnalysis, NewInsightsPath},
    ids::{InsightsAnalysisId, InsightsPathId},
    insights::{PathFinding, PathProtocol, PathQuestion},
    limits::{INSIGHTS_ANALYSES_PER_ACCOUNT_MAX, INSIGHTS_TEXT_CHARACTERS_MAX},
};

impl Estate {
    fn path(&mut self) -> InsightsPathId {
        let question = PathQuestion {
            from: "eni-1".into(),
            to: Some("eni-2".into()),
            protocol: PathProtocol::Tcp,
            source_address: None,
            destination_address: None,
            destination_port: Some(443),
            at_source: None,
            at_destination: None,
        };
        let (account, region) = (self.account.clone(), "r".into());
        let new = NewInsightsPath { account, region, question, tags: Default::default() };
        let Outcome::InsightsPath(id) = self.run(Command::CreateInsightsPath(Box::new(new))) else { panic!() };
        id
    }

    fn new_analysis(&self, path: &InsightsPathId) -> Command {
        Command::CreateInsightsAnalysis(Box::new(NewInsightsAnalysis {
            account: self.account.clone(),
            path: path.clone(),
            revision: self.state.world().revision(),
            finding: PathFinding::default(),
            tags: Default::default(),
        }))
    }

    fn analysis(&mut self, path: &InsightsPathId) -> InsightsAnalysisId {
        let Outcome::InsightsAnalysis(id) = self.run(self.new_analysis(path)) else { panic!() };
        id
    }
}

#[test]
fn a_path_stays_while_an_analysis_is_of_it() {
    let mut estate = Estate::new(Dialect::Ec2);
    let (path, account) = (estate.path(), estate.account.clone());
    let analysis = estate.analysis(&path);
    let mut again = crate::world::World::default();
    estate.state.world().to_changes().iter().for_each(|change| again.apply(change));
    assert_eq!(again.to_changes(), estate.state.world().to_changes());
    let delete = Command::DeleteInsightsPath { account: account.clone(), path: path.clone() };
    let refused = estate.try_run(delete.clone()).expect_err("it has an analysis");
    assert!(refused.ends_with(&format!("is still used by `{analysis}`; remove that first")), "{refused}");
    let foreign = Command::DeleteInsightsAnalysis { account: "2".into(), analysis: analysis.clone() };
    estate.try_run(foreign).expect_err("it is another's");
    estate.run(Command::DeleteInsightsAnalysis { account, analysis });
    estate.run(delete);
    estate.try_run(estate.new_analysis(&path)).expect_err("the path is gone");
}

#[test]
fn a_newer_analysis_takes_the_place_of_the_oldest() {
    let mut estate = Estate::new(Dialect::Ec2);
    let path = estate.path();
    let first = estate.analysis(&path);
    for _ in 0..INSIGHTS_ANALYSES_PER_ACCOUNT_MAX {
        estate.context.now.0 += 1;
        estate.analysis(&path);
    }
    let world = estate.state.world();
    assert_eq!(world.insights_analyses().count(), INSIGHTS_ANALYSES_PER_ACCOUNT_MAX);
    assert!(world.insights_analysis(&first).is_none());
    let long = PathFinding::failed(&"x".repeat(INSIGHTS_TEXT_CHARACTERS_MAX + 1));
    assert_eq!(long.failure.len(), INSIGHTS_TEXT_CHARACTERS_MAX);
}
