//! Which interfaces an end means now, for every question and for invariants.

use std::{net::IpAddr, sync::Arc};

use sekimori_core::{
    end::{self, End, EndError},
    ids::InstanceId,
    tags::Tags,
    world::{Eni, World},
};

/// Interfaces among which those are that an end means.
pub(crate) fn candidates<'a>(world: &'a World, end: &End) -> Box<dyn Iterator<Item = &'a Arc<Eni>> + 'a> {
    match end {
        End::Internet => Box::new(std::iter::empty()),
        End::Instance(id) => Box::new(world.enis_of(id)),
        End::Eni(id) => Box::new(world.eni(id).into_iter()),
        End::Group(id) => Box::new(world.members(id)),
        End::Vpc(id) => Box::new(world.enis_in(id)),
        End::Block(_) | End::Name(_) | End::Tags(_) | End::Subnet(_) => Box::new(world.enis()),
    }
}

/// Whether an end means an interface at an address.
pub(crate) fn holds(world: &World, end: &End, eni: &Eni, own: IpAddr) -> bool {
    let instance = || eni.instance.as_ref().and_then(|id| world.instance(id));
    match end {
        End::Internet => false,
        End::Block(block) => block.contains(own),
        End::Instance(id) => eni.instance.as_ref() == Some(id),
        End::Eni(id) => eni.id == *id,
        End::Group(id) => eni.groups.contains(id),
        End::Vpc(id) => eni.vpc == *id,
        End::Subnet(id) => eni.subnet == *id,
        End::Name(name) => {
            let of_instance = || instance().and_then(|instance| world.name_of_instance(instance));
            world.name_of_eni(eni) == Some(name.as_str()) || of_instance() == Some(name.as_str())
        }
        End::Tags(asked) => {
            let has = |tags: &Tags, (key, value): &(String, Option<String>)| {
                tags.get(key).is_some_and(|own| value.as_ref().is_none_or(|value| value == own))
            };
            let of_instance = |tag| instance().is_some_and(|instance| has(&instance.tags, tag));
            asked.iter().all(|tag| has(&eni.tags, tag) || of_instance(tag))
        }
    }
}

/// The interfaces of which an end means an address.
pub(crate) fn interfaces<'a, 'b>(world: &'a World, end: &'b End) -> impl Iterator<Item = &'a Arc<Eni>> + use<'a, 'b> {
    candidates(world, end).filter(|eni| eni.addresses.iter().any(|own| holds(world, end, eni, *own)))
}

/// The interface of an id: its own, or that of an instance for its primary one.
pub(crate) fn of_id<'a>(world: &'a World, id: &str) -> Option<&'a Arc<Eni>> {
    world.eni(&id.into()).or_else(|| world.primary_eni(&id.into()))
}

/// The interface that an end means where it is one thing: that of the id, or the primary one of an instance, by its id or by a name that
/// no other has. None for what is several things, or nothing.
pub(crate) fn one<'a>(world: &'a World, end: &End) -> Option<&'a Arc<Eni>> {
    match end {
        End::Eni(id) => world.eni(id),
        End::Instance(id) => world.primary_eni(id),
        End::Name(name) => {
            let is_so_called = |id: &InstanceId| {
                let own = world.instance(id).and_then(|instance| world.name_of_instance(instance));
                own == Some(name.as_str())
            };
            let meant: Vec<&Arc<Eni>> = interfaces(world, end).collect();
            let (first, rest) = meant.split_first()?;
            let instance = first.instance.as_ref();
            match (rest, instance) {
                ([], _) => Some(first),
                (rest, Some(id)) => {
                    let is_alone = rest.iter().all(|eni| eni.instance.as_ref() == instance) && is_so_called(id);
                    world.primary_eni(id).filter(|_| is_alone)
                }
                (_, None) => None,
            }
        }
        End::Internet | End::Block(_) | End::Group(_) | End::Tags(_) | End::Vpc(_) | End::Subnet(_) => None,
    }
}

/// Why an end is not one interface.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotOne {
    /// It is no end.
    #[error(transparent)]
    End(#[from] EndError),
    /// It means no interface.
    #[error("no interface is meant by `{0}`; name an instance that has one, or an interface")]
    Nobody(String),
    /// It means several.
    #[error("`{end}` means {interfaces}, and one is asked about; name it by its id")]
    Several {
        /// The end.
        end: String,
        /// The interfaces.
        interfaces: String,
    },
}

/// The interface that people mean by an end: by an id, by a name, or by whatever else only one interface has.
///
/// # Errors
/// When it means none, or several.
pub(crate) fn only<'a>(world: &'a World, text: &str) -> Result<&'a Arc<Eni>, NotOne> {
    let end = End::read(world, text)?;
    if let Some(eni) = one(world, &end) {
        return Ok(eni);
    }
    let meant: Vec<&Arc<Eni>> = interfaces(world, &end).collect();
    match meant.as_slice() {
        [] => Err(NotOne::Nobody(text.to_owned())),
        [eni] => Ok(eni),
        several => {
            let interface = |eni: &&Arc<Eni>| match &eni.instance {
                Some(instance) => format!("interface {} of {instance}", eni.id),
                None => format!("interface {}", eni.id),
            };
            let interfaces = end::listed(several.iter().map(interface).collect());
            Err(NotOne::Several { end: text.to_owned(), interfaces })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use sekimori_core::{invariant::Written, limits::LimitMode};

    use super::*;
    use crate::{fixture, who, why};

    /// Two web servers of one group and tag, a database, and names that say one thing each, but for `both`.
    const ESTATE: &str = "
        sg web named web-sg
        sg db named db-sg
        sg x named both
        db: in allow tcp 5432 from sg-web
        eni w1 10.1.0.2 in web tag role=web
        eni w2 10.1.0.3 in web tag role=web
        eni d1 10.1.0.10 in db tag role=db
        eni both 10.1.0.20 in x";

    /// The interfaces that `why`, `who` and an invariant take an end for.
    fn taken(world: &World, text: &str) -> [Result<BTreeSet<String>, String>; 3] {
        let question = why::Question {
            from: text.to_owned(),
            to: "i-d1".to_owned(),
            service: "tcp/5432".to_owned(),
            ..why::Question::default()
        };
        let of_why = why::explain(world, &question, why::Goal::Allow, LimitMode::Cloud);
        let of_why = of_why.map(|answer| match answer.answers.as_slice() {
            [] => BTreeSet::from([answer.report.from.instance.unwrap().to_string()]),
            several => several.iter().flat_map(|answer| answer.from.clone()).collect(),
        });
        let question = who::Question { from: Some(text.to_owned()), to: Some("i-d1".to_owned()), vpc: None };
        let of_who = who::ask(world, &question);
        let of_who = of_who.map(|report| report.inside.into_iter().flat_map(|reach| reach.from.instances).collect());
        let statement = format!("{text} may reach i-d1 tcp/5432").parse::<Written>();
        let of_invariant = statement.and_then(|written| written.read(world)).map(|statement| {
            let meant = interfaces(world, &statement.from).map(|eni| eni.instance.clone().unwrap().to_string());
            meant.collect()
        });
        [
            of_why.map_err(|error| error.to_string()),
            of_who.map_err(|error| error.to_string()),
            of_invariant.map_err(|error| error.to_string()),
        ]
    }

    #[test]
    fn an_end_is_the_same_to_every_question_however_it_is_written() {
        let world = fixture::world(ESTATE);
        let one: &[&str] = &["i-w1", "instance:i-w1", "w1", "name:w1", "eni-w1", "10.1.0.2"];
        let two: &[&str] = &["sg-web", "group:sg-web", "web-sg", "tag:role=web"];
        for (ways, meant) in [(one, &["i-w1"] as &[&str]), (two, &["i-w1", "i-w2"])] {
            let meant: BTreeSet<String> = meant.iter().map(|id| (*id).to_owned()).collect();
            for way in ways {
                assert_eq!(taken(&world, way), [Ok(meant.clone()), Ok(meant.clone()), Ok(meant.clone())], "{way}");
            }
        }
        // `who` tells those that reach; the others ask about all.
        for (way, reaching) in [("tag:role", 2), ("vpc-1", 2)] {
            let [of_why, of_who, of_invariant] = taken(&world, way);
            assert_eq!(of_why.as_ref().map(|found| found.contains("i-w2")), Ok(true), "{way}");
            assert_eq!(of_who.map(|found| found.len()), Ok(reaching), "{way}");
            assert!(of_invariant.unwrap().is_superset(&of_why.unwrap()), "{way}");
        }
    }

    #[test]
    fn what_means_nothing_or_several_things_is_refused_alike() {
        let world = fixture::world(ESTATE);
        for (text, said) in [
            ("both", "`both` is the name of group sg-x and instance i-both; name one of them by its id"),
            ("i-w9", "no instance, interface, group, VPC or subnet has the id or the name `i-w9`; DescribeInstances"),
            ("sg-web,sg-db", "no instance, interface, group, VPC or subnet has the id or the name `sg-web,sg-db`"),
            ("tag:=web", "`tag:=web` is not a tag selector; write tag:KEY=VALUE"),
            ("name:", "no instance, interface, group, VPC or subnet has the id or the name `name:`"),
        ] {
            for answer in taken(&world, text) {
                let error = answer.unwrap_err();
                assert!(error.starts_with(said), "{text}: {error}");
            }
        }
        // A tag or a name that nobody has yet is something to assert about, and nothing to ask about.
        for text in ["tag:role=wbe", "name:w9"] {
            let [of_why, of_who, of_invariant] = taken(&world, text);
            let said = format!("no interface is meant by `{text}`");
            assert!(of_why.unwrap_err().starts_with(&said) && of_who.unwrap_err().starts_with(&said));
            assert_eq!(of_invariant, Ok(BTreeSet::new()));
        }
    }

    #[test]
    fn an_instance_with_several_interfaces_is_its_primary_one_to_why_by_name_too() {
        let mut world = fixture::world(ESTATE);
        let second = Eni {
            id: "eni-w1b".into(),
            device_index: 1,
            addresses: vec!["10.1.0.4".parse().unwrap()],
            ..Eni::clone(world.eni(&"eni-w1".into()).unwrap())
        };
        world.apply(&sekimori_core::change::Change::PutEni(Arc::new(second)));
        for (text, primary, all) in
            [("i-w1", true, 2), ("w1", true, 2), ("eni-w1b", false, 1), ("tag:role=web", false, 3)]
        {
            let end = End::read(&world, text).unwrap();
            assert_eq!(one(&world, &end).is_some_and(|eni| eni.id.as_str() == "eni-w1"), primary, "{text}");
            assert_eq!(interfaces(&world, &end).count(), all, "{text}");
        }
        assert_eq!(End::read(&world, "eni-w1c"), Err(EndError::Unknown("eni-w1c".to_owned())));
    }

    #[test]
    fn what_asks_about_one_interface_takes_whatever_means_one() {
        let world = fixture::world(ESTATE);
        let id = |text: &str| only(&world, text).map(|eni| eni.id.to_string()).map_err(|error| error.to_string());
        for text in ["i-d1", "eni-d1", "d1", "name:d1", "10.1.0.10", "10.1.0.8/29", "tag:role=db", "sg-db", "db-sg"] {
            assert_eq!(id(text), Ok("eni-d1".to_owned()), "{text}");
        }
        for (text, said) in [
            (
                "tag:role=web",
                "`tag:role=web` means interface eni-w1 of i-w1 and interface eni-w2 of i-w2, and one is asked about; name it by its id",
            ),
            ("internet", "no interface is meant by `internet`; name an instance that has one, or an interface"),
            ("192.0.2.1", "no interface is meant by `192.0.2.1`; name an instance that has one, or an interface"),
            (
                "both",
                "`both` is the name of group sg-x and instance i-both; name one of them by its id, or write name:both for every instance and interface that has it",
            ),
        ] {
            assert_eq!(id(text), Err(said.to_owned()), "{text}");
        }
        assert!(id("i-w9").is_err_and(|said| said.starts_with("no instance, interface, group")));
    }
}
