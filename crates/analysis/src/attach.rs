//! Attach by tag: instances that have a tag join the groups that have the same one (`spec/ecs.md` E).
//!
//! Every joining is tried on a copy of the world, one after the other, so that what is refused says why: another
//! VPC, another type of group, a quota.

use serde::{Deserialize, Serialize};

use sekimori_core::{
    command::{Command, Member},
    ids::{AccountId, GroupId, InstanceId},
    limits::LimitMode,
    world::{Group, Instance, World},
};

use crate::{
    effective::{GroupName, group_name},
    trial::Trial,
};

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The tag's key.
    pub key: String,
    /// Its value; `None` is every value, each for itself.
    #[serde(default)]
    pub value: Option<String>,
    /// One account only.
    #[serde(default)]
    pub account: Option<AccountId>,
    /// Attaches; else shows what would be attached.
    #[serde(default)]
    pub apply: bool,
}

/// What would happen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// An instance and a group with the same tag, in order.
    pub pairs: Vec<Pair>,
    /// Instances with the tag that no group of their account has.
    pub without_group: Vec<InstanceId>,
}

/// An instance and a group with the same tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// The instance.
    pub instance: InstanceId,
    /// Its name.
    pub instance_name: String,
    /// The group.
    pub group: GroupName,
    /// The value that both have.
    pub value: String,
    /// What becomes of it.
    pub verdict: Verdict,
    /// Why it is refused; else empty.
    pub reason: String,
}

/// What becomes of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The instance joins.
    Join,
    /// It is in the group already.
    Member,
    /// It cannot join.
    Refuse,
}

impl Plan {
    /// How many pairs have a verdict.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        self.pairs.iter().filter(|pair| pair.verdict == verdict).count()
    }

    /// The commands that attach what can be attached.
    #[must_use]
    pub fn commands(&self, world: &World) -> Vec<Command> {
        let joining = self.pairs.iter().filter(|pair| pair.verdict == Verdict::Join);
        joining.filter_map(|pair| Some(join(world.group(&pair.group.id)?, &pair.instance))).collect()
    }
}

/// Says which instances would join which groups.
#[must_use]
pub fn plan(world: &World, limits: LimitMode, request: &Request) -> Plan {
    let mut trial = Trial::of(world, limits);
    let mut plan = Plan { pairs: Vec::new(), without_group: Vec::new() };
    for (instance, value) in tagged(world, request) {
        let groups: Vec<&Group> = groups_with(world, instance, &request.key, value).collect();
        if groups.is_empty() {
            plan.without_group.push(instance.id.clone());
        }
        plan.pairs.extend(groups.into_iter().map(|group| pair(world, &mut trial, instance, (group, value))));
    }
    plan
}

/// The instances that have the tag, with its value.
fn tagged<'a>(world: &'a World, request: &'a Request) -> impl Iterator<Item = (&'a Instance, &'a str)> {
    let of_account =
        |instance: &&Instance| request.account.as_ref().is_none_or(|account| instance.account == *account);
    let instances = world.instances().map(|instance| &**instance).filter(of_account);
    let valued = instances.filter_map(|instance| Some((instance, instance.tags.get(&request.key)?)));
    valued.filter(|(_, value)| request.value.as_ref().is_none_or(|wanted| wanted == value))
}

fn groups_with<'a>(
    world: &'a World,
    instance: &'a Instance,
    key: &'a str,
    value: &'a str,
) -> impl Iterator<Item = &'a Group> {
    let groups = world.groups().map(|group| &**group).filter(|group| group.account == instance.account);
    groups.filter(move |group| group.tags.get(key) == Some(value))
}

fn pair(world: &World, trial: &mut Trial, instance: &Instance, of: (&Group, &str)) -> Pair {
    let (group, value) = of;
    let is_member = world.primary_eni(&instance.id).is_some_and(|eni| eni.groups.contains(&group.id));
    let tried = if is_member { Ok(false) } else { trial.run(&join(group, &instance.id)) };
    let (verdict, reason) = match tried {
        Ok(true) => (Verdict::Join, String::new()),
        Ok(false) => (Verdict::Member, String::new()),
        Err(reason) => (Verdict::Refuse, reason),
    };
    Pair {
        instance: instance.id.clone(),
        instance_name: instance.name.clone(),
        group: group_name(world, &group.id),
        value: value.to_owned(),
        verdict,
        reason,
    }
}

fn join(group: &Group, instance: &InstanceId) -> Command {
    let (account, id): (AccountId, GroupId) = (group.account.clone(), group.id.clone());
    Command::JoinGroup { account, group: id, member: Member::Instance(instance.clone()) }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::fixture;

    #[test]
    fn instances_join_the_groups_with_the_same_tag_where_they_can() {
        let world = fixture::world(
            "sg base
             sg web tag app=web
             sg far vpc-2 tag app=web
             sg hard enterprise tag app=db
             eni a 10.0.0.1 in base tag app=web
             eni b 10.0.0.2 in web tag app=web
             eni c 10.0.0.3 in base tag app=db
             eni d 10.0.0.4 in base tag app=mail
             eni e 10.0.0.5 in base",
        );
        let request = Request { key: "app".to_owned(), value: None, account: None, apply: false };
        let plan = plan(&world, LimitMode::Cloud, &request);
        let shown = |pair: &Pair| format!("{} {} {:?} {}", pair.instance, pair.group.id, pair.verdict, pair.reason);
        let lines: Vec<String> = plan.pairs.iter().map(shown).collect();
        expect![[r#"
            i-a sg-far Refuse `i-a` and `sg-far` are not in the same VPC; use two of one VPC
            i-a sg-web Join 
            i-b sg-far Refuse `i-b` and `sg-far` are not in the same VPC; use two of one VPC
            i-b sg-web Member 
            i-c sg-hard Refuse `eni-c` has groups of another type than `sg-hard`; all groups of an interface must be of one type"#]].assert_eq(&lines.join("\n"));
        assert_eq!(plan.without_group, [InstanceId::from("i-d")]);
        assert_eq!((plan.commands(&world).len(), plan.count(Verdict::Refuse)), (1, 3));
    }
}
