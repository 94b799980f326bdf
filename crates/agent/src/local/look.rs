//! A look for what somebody took away, in turns. Between two of them anything may change, so it only suspects: what is really
//! missing is said by [`LocalCompute::check`], which looks at everything at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound::{Excluded, Unbounded},
};

use sekimori_core::ids::{InstanceId, VpcId};

use super::{LocalCompute, drift::lost_of, router::Listing};

/// Instances that are looked up in one step.
const INSTANCES_PER_STEP: usize = 32;

/// Where a look is.
#[derive(Debug, Default)]
pub struct LocalLook {
    stage: Stage,
    links: BTreeMap<VpcId, BTreeSet<String>>,
}

#[derive(Debug, Default)]
enum Stage {
    /// At the first router.
    #[default]
    Begun,
    /// At the first router after one of them.
    Router(VpcId),
    /// In the middle of the list of a router's links.
    Listing(VpcId, Listing),
    /// At the first instance, or the first after one of them.
    Instances(Option<InstanceId>),
    Over,
}

/// What a step of a look has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looked {
    /// There is more to look at.
    Some,
    /// Everything is there.
    All,
    /// Something seems to be missing.
    Suspicious,
}

impl LocalCompute {
    /// Goes on with a look: at one router, at some of its links, at some instances, or at the peerings.
    pub fn look(&self, look: &mut LocalLook) -> Looked {
        let next = match std::mem::take(&mut look.stage) {
            Stage::Begun => self.look_at_router(None),
            Stage::Router(last) => self.look_at_router(Some(&last)),
            Stage::Listing(vpc, listing) => self.list(vpc, listing, look),
            Stage::Instances(last) => self.look_at_instances(last.as_ref(), &look.links),
            Stage::Over => return Looked::All,
        };
        match next {
            Some(Stage::Over) => Looked::All,
            Some(stage) => {
                look.stage = stage;
                Looked::Some
            }
            None => Looked::Suspicious,
        }
    }

    fn look_at_router(&self, last: Option<&VpcId>) -> Option<Stage> {
        let later = (last.map_or(Unbounded, Excluded), Unbounded);
        let Some((vpc, router)) = self.routers.range::<VpcId, _>(later).next() else {
            return Some(Stage::Instances(None));
        };
        router.lost(vpc).is_empty().then(|| Stage::Listing(vpc.clone(), Listing::default()))
    }

    fn list(&self, vpc: VpcId, mut listing: Listing, look: &mut LocalLook) -> Option<Stage> {
        let Some(router) = self.routers.get(&vpc) else { return Some(Stage::Router(vpc)) };
        match router.list(&mut listing) {
            Ok(false) => Some(Stage::Listing(vpc, listing)),
            Ok(true) if router.lost_uplink(&vpc, &listing.names).is_some() => None,
            Ok(true) => {
                look.links.insert(vpc.clone(), listing.names);
                Some(Stage::Router(vpc))
            }
            Err(error) => {
                tracing::warn!(%vpc, %error, "cannot list the links of a router");
                Some(Stage::Router(vpc))
            }
        }
    }

    fn look_at_instances(
        &self,
        last: Option<&InstanceId>,
        links: &BTreeMap<VpcId, BTreeSet<String>>,
    ) -> Option<Stage> {
        let later = (last.map_or(Unbounded, Excluded), Unbounded);
        let mut last = None;
        for (id, placed) in self.placed.range::<InstanceId, _>(later).take(INSTANCES_PER_STEP) {
            if !lost_of(id, placed, links.get(&placed.vpc)).is_empty() {
                return None;
            }
            last = Some(id.clone());
        }
        match last {
            Some(_) => Some(Stage::Instances(last)),
            None => self.lost_peerings(links).is_empty().then_some(Stage::Over),
        }
    }
}
