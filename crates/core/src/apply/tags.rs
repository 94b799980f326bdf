//! Tags of resources that exist already.

use super::{Draft, missing, within};
use crate::{
    command::Outcome,
    ids::AccountId,
    refusal::{Counted, Refusal},
    resource::Resource,
    tags::{TagKeys, Tags},
};

impl Draft<'_> {
    pub(super) fn tag(
        &mut self,
        account: &AccountId,
        resources: &[Resource],
        tags: &Tags,
    ) -> Result<Outcome, Refusal> {
        let most = self.limits(account).tags;
        for resource in resources {
            let tags = self.tags_of(account, resource)?.with(tags);
            within(Counted::TagsAdded, most, tags.len())?;
            self.retag(resource, tags);
        }
        Ok(Outcome::Done)
    }

    pub(super) fn untag(
        &mut self,
        account: &AccountId,
        resources: &[Resource],
        keys: &TagKeys,
    ) -> Result<Outcome, Refusal> {
        for resource in resources {
            let tags = self.tags_of(account, resource)?.without(keys);
            self.retag(resource, tags);
        }
        Ok(Outcome::Done)
    }

    fn tags_of(&self, account: &AccountId, resource: &Resource) -> Result<Tags, Refusal> {
        let labels = self.world.labels(resource).filter(|labels| labels.account == account);
        labels.map(|labels| labels.tags.clone()).ok_or_else(|| missing(resource.kind(), resource.as_str()))
    }

    fn retag(&mut self, resource: &Resource, tags: Tags) {
        let Some(labels) = self.world.labels(resource).filter(|labels| *labels.tags != tags) else { return };
        let resource_group = labels.resource_group.to_owned();
        let change = self.world.relabelled(resource, tags, resource_group);
        change.into_iter().for_each(|change| self.put(change));
    }
}
