//! Whom an end of a question or of an invariant means, and how people write it: the one place that knows the grammar, and how ids and
//! names are looked up.
//!
//! ```text
//! end = "internet" | ADDRESS | BLOCK | "tag:" KEY ["=" VALUE] {"," KEY ["=" VALUE]} | "name:" NAME | KIND ":" ID | ID | NAME
//! ```
//!
//! An id or a name alone is for a world to tell ([`End::read`]). What is kept, in an invariant, needs none ([`FromStr`]): a group's name has
//! become its id then, and the name of instances or interfaces stands behind `name:`, so that it is whoever has it later as well.

use std::{collections::BTreeSet, fmt, net::IpAddr, str::FromStr, sync::Arc};

use crate::{
    address::Cidr,
    entity::{Dialect, Eni, Instance},
    ids::{AccountId, EniId, GroupId, InstanceId, SubnetId, VpcId},
    tags::Tags,
    world::World,
};

/// Tags that one end may ask for.
pub const END_TAGS_MAX: usize = 8;
/// Candidates that are named where a name means several things; the rest is counted.
pub const END_CANDIDATES_MAX: usize = 8;
/// The word for every address outside.
pub const INTERNET: &str = "internet";
/// The tag that EC2 shows as the name of what has it.
const NAME_TAG: &str = "Name";

/// Whom an end means.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// Every address outside.
    Internet,
    /// Whoever has an address in a block, inside and outside.
    Block(Cidr),
    /// The interfaces of an instance.
    Instance(InstanceId),
    /// An interface.
    Eni(EniId),
    /// The members of a group.
    Group(GroupId),
    /// The interfaces that have a name, themselves or with their instance.
    Name(String),
    /// The interfaces that have all of these tags, themselves or with their instance; `None` is any value.
    Tags(Vec<(String, Option<String>)>),
    /// The interfaces of a VPC.
    Vpc(VpcId),
    /// The interfaces of a subnet.
    Subnet(SubnetId),
}

/// Why a text is no end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndError {
    /// Nothing has this id or name.
    #[error(
        "no instance, interface, group, VPC or subnet has the id or the name `{0}`; DescribeInstances and DescribeSecurityGroups list what is \
         there, and an end can also be internet, an address or block, or tag:KEY=VALUE"
    )]
    Unknown(String),
    /// A name that several have.
    #[error("`{name}` is the name of {candidates}; {remedy}")]
    Ambiguous {
        /// The name.
        name: String,
        /// Who has it.
        candidates: String,
        /// What to write.
        remedy: String,
    },
    /// What needs a world to be read.
    #[error(
        "`{0}` is not an end; write internet, an address or block, tag:KEY=VALUE, name:NAME, or an instance, interface, group, VPC or subnet by \
         its id (i-…, eni-…, sg-…, vpc-…, vsw-… or subnet-…; else instance:ID, eni:ID, group:ID, vpc:ID, subnet:ID)"
    )]
    NotKept(String),
    /// An address with a prefix length that it cannot have.
    #[error(
        "`{0}` is no block of addresses; write an address and the number of its leading bits, 10.0.0.0/8 or fd00::/8"
    )]
    Block(String),
    /// A tag.
    #[error(
        "`{0}` is not a tag selector; write tag:KEY=VALUE or tag:KEY, and several with commas: tag:role=db,env=prod"
    )]
    Tag(String),
    /// Too many tags.
    #[error("`{0}` asks for more than {END_TAGS_MAX} tags; give the instances one tag for what is meant")]
    Tags(String),
}

/// An end as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// One that says by itself what it is.
    Said(End),
    /// An id or a name.
    Bare(String),
}

impl Word {
    /// Whether it is every address outside.
    #[must_use]
    pub fn is_internet(&self) -> bool {
        *self == Self::Said(End::Internet)
    }

    /// The end as it can be kept, where ids tell by their beginning what they are of.
    ///
    /// # Errors
    /// When it is a name, or an id that does not tell.
    pub fn kept(self) -> Result<End, EndError> {
        let word = match self {
            Self::Said(end) => return Ok(end),
            Self::Bare(word) => word,
        };
        let kind = word.split('-').next().unwrap_or_default();
        let of_kind = (word.len() > kind.len()).then(|| of_kind(kind, &word)).flatten();
        of_kind.ok_or(EndError::NotKept(word))
    }

    /// The end that is meant in a world: what has the id, or the name if nothing has such an id.
    ///
    /// # Errors
    /// When nothing has it, or several things have the name.
    pub fn read(self, world: &World) -> Result<End, EndError> {
        match self {
            Self::Said(end) if is_there(world, &end) => Ok(end),
            Self::Said(end) => Err(EndError::Unknown(end.to_string())),
            Self::Bare(word) => match by_id(world, &word) {
                Some(end) => Ok(end),
                None => by_name(world, word),
            },
        }
    }
}

impl FromStr for Word {
    type Err = EndError;

    fn from_str(word: &str) -> Result<Self, EndError> {
        if word == INTERNET {
            return Ok(Self::Said(End::Internet));
        }
        if let Ok(block) = word.parse::<Cidr>() {
            return Ok(Self::Said(End::Block(block)));
        }
        if word.split_once('/').is_some_and(|(address, _)| address.parse::<IpAddr>().is_ok()) {
            return Err(EndError::Block(word.to_owned()));
        }
        let said = match word.split_once(':') {
            Some(("tag", list)) => Some(tags(word, list)?),
            Some(("name", name)) if !name.is_empty() => Some(End::Name(name.to_owned())),
            Some((kind, id)) if !id.is_empty() => of_kind(kind, id),
            Some(_) | None => None,
        };
        Ok(said.map_or_else(|| Self::Bare(word.to_owned()), Self::Said))
    }
}

impl End {
    /// Whom people mean in a world.
    ///
    /// # Errors
    /// When it cannot be read, nothing is so called, or several things are.
    pub fn read(world: &World, text: &str) -> Result<Self, EndError> {
        text.parse::<Word>()?.read(world)
    }
}

impl FromStr for End {
    type Err = EndError;

    fn from_str(text: &str) -> Result<Self, EndError> {
        text.parse::<Word>()?.kept()
    }
}

/// What a word for a kind, or the beginning of an id, and an id mean.
fn of_kind(kind: &str, id: &str) -> Option<End> {
    match kind {
        "i" | "instance" => Some(End::Instance(id.into())),
        "eni" => Some(End::Eni(id.into())),
        "sg" | "group" => Some(End::Group(id.into())),
        "vpc" => Some(End::Vpc(id.into())),
        "vsw" | "subnet" => Some(End::Subnet(id.into())),
        _ => None,
    }
}

fn tags(word: &str, list: &str) -> Result<End, EndError> {
    let tag = |part: &str| {
        let (key, value) = part.split_once('=').map_or((part, None), |(key, value)| (key, Some(value.to_owned())));
        if key.is_empty() { Err(EndError::Tag(word.to_owned())) } else { Ok((key.to_owned(), value)) }
    };
    let mut tags = list.split(',').map(tag).collect::<Result<Vec<_>, _>>()?;
    tags.sort();
    tags.dedup();
    if tags.len() > END_TAGS_MAX { Err(EndError::Tags(word.to_owned())) } else { Ok(End::Tags(tags)) }
}

/// Whether what is named by its id is there; tags and names may be nobody's.
fn is_there(world: &World, end: &End) -> bool {
    match end {
        End::Internet | End::Block(_) | End::Name(_) | End::Tags(_) => true,
        End::Instance(id) => world.instance(id).is_some(),
        End::Eni(id) => world.eni(id).is_some(),
        End::Group(id) => world.group(id).is_some(),
        End::Vpc(id) => world.vpc(id).is_some(),
        End::Subnet(id) => world.subnet(id).is_some(),
    }
}

fn by_id(world: &World, id: &str) -> Option<End> {
    let ends = [
        End::Eni(id.into()),
        End::Instance(id.into()),
        End::Group(id.into()),
        End::Vpc(id.into()),
        End::Subnet(id.into()),
    ];
    ends.into_iter().find(|end| is_there(world, end))
}

fn by_name(world: &World, name: String) -> Result<End, EndError> {
    let is_called = |own: Option<&str>| !name.is_empty() && own == Some(name.as_str());
    let groups: Vec<&GroupId> =
        world.groups().filter(|group| is_called(Some(&group.name))).map(|group| &group.id).collect();
    let instances = world.instances().filter(|instance| is_called(world.name_of_instance(instance)));
    let instances: BTreeSet<&InstanceId> = instances.map(|instance| &instance.id).collect();
    // An interface that is called like its instance is no other thing.
    let is_with = |eni: &Arc<Eni>| eni.instance.as_ref().is_some_and(|instance| instances.contains(instance));
    let enis = world.enis().filter(|eni| is_called(world.name_of_eni(eni)) && !is_with(eni));
    let enis: Vec<&EniId> = enis.map(|eni| &eni.id).collect();
    match (groups.as_slice(), instances.is_empty(), enis.is_empty()) {
        ([], true, true) => Err(EndError::Unknown(name)),
        ([group], true, true) => Ok(End::Group(GroupId::clone(group))),
        ([], false, true) | ([], true, false) => Ok(End::Name(name)),
        ([..], has_no_instances, has_no_enis) => {
            let groups = groups.iter().map(|id| format!("group {id}"));
            let instances = instances.iter().map(|id| format!("instance {id}"));
            let enis = enis.iter().map(|id| format!("interface {id}"));
            let candidates = listed(groups.chain(instances).chain(enis).collect());
            let remedy = "name one of them by its id".to_owned();
            let remedy = match has_no_instances && has_no_enis {
                true => remedy,
                false => format!("{remedy}, or write name:{name} for every instance and interface that has it"),
            };
            Err(EndError::Ambiguous { name, candidates, remedy })
        }
    }
}

/// `a, b and c`, or `a, b and 3 more`.
#[must_use]
pub fn listed(mut all: Vec<String>) -> String {
    let more = all.len().saturating_sub(END_CANDIDATES_MAX);
    all.truncate(END_CANDIDATES_MAX);
    let last = if more > 0 { Some(format!("{more} more")) } else { all.pop() };
    let last = last.unwrap_or_default();
    if all.is_empty() { last } else { format!("{} and {last}", all.join(", ")) }
}

impl World {
    /// What people call an instance: its name in ECS, its tag `Name` in EC2.
    #[must_use]
    pub fn name_of_instance<'a>(&self, instance: &'a Instance) -> Option<&'a str> {
        self.name_in(&instance.account, &instance.name, &instance.tags)
    }

    /// What people call an interface.
    #[must_use]
    pub fn name_of_eni<'a>(&self, eni: &'a Eni) -> Option<&'a str> {
        self.name_in(&eni.account, &eni.name, &eni.tags)
    }

    fn name_in<'a>(&self, account: &AccountId, name: &'a str, tags: &'a Tags) -> Option<&'a str> {
        let name = match self.dialect_of(account) {
            Dialect::Ecs => Some(name),
            Dialect::Ec2 => tags.get(NAME_TAG),
        };
        name.filter(|name| !name.is_empty())
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Internet => f.write_str(INTERNET),
            Self::Block(block) => write!(f, "{block}"),
            Self::Instance(id) => by_prefix(f, ("i-", "instance"), id.as_str()),
            Self::Eni(id) => by_prefix(f, ("eni-", "eni"), id.as_str()),
            Self::Group(id) => by_prefix(f, ("sg-", "group"), id.as_str()),
            Self::Vpc(id) => by_prefix(f, ("vpc-", "vpc"), id.as_str()),
            Self::Subnet(id) if id.as_str().starts_with("vsw-") => f.write_str(id.as_str()),
            Self::Subnet(id) => by_prefix(f, ("subnet-", "subnet"), id.as_str()),
            Self::Name(name) => write!(f, "name:{name}"),
            Self::Tags(tags) => {
                f.write_str("tag:")?;
                for (index, (key, value)) in tags.iter().enumerate() {
                    let comma = if index == 0 { "" } else { "," };
                    match value {
                        Some(value) => write!(f, "{comma}{key}={value}")?,
                        None => write!(f, "{comma}{key}")?,
                    }
                }
                Ok(())
            }
        }
    }
}

/// The id alone where its beginning tells what it is of.
fn by_prefix(f: &mut fmt::Formatter<'_>, (prefix, kind): (&str, &str), id: &str) -> fmt::Result {
    if id.starts_with(prefix) && !id.contains(':') { f.write_str(id) } else { write!(f, "{kind}:{id}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        change::Change,
        entity::{Account, Flavor, Group, InnerAccess, InstanceState, Timeouts},
        time::Timestamp,
        world::Revision,
    };

    /// Two accounts, one of each dialect, with the ids of ECS and EC2.
    fn world() -> World {
        let mut world = World::default();
        for (id, dialect) in [("1", Dialect::Ecs), ("2", Dialect::Ec2)] {
            let account = Account {
                id: id.into(),
                dialect,
                name: String::new(),
                treatment: None,
                resource_groups: Default::default(),
                created_at: Timestamp(0),
            };
            world.apply(&Change::PutAccount(account.into()));
        }
        world
    }

    fn put_group(world: &mut World, id: &str, name: &str) {
        let group = Group {
            id: id.into(),
            account: "1".into(),
            vpc: "vpc-1".into(),
            also_in: Vec::new(),
            flavor: Flavor::EcsBasic,
            name: name.to_owned(),
            description: String::new(),
            inner_access: InnerAccess::Accept,
            resource_group: String::new(),
            tags: Tags::default(),
            managed_by: None,
            is_protected: false,
            is_default: false,
            created_at: Timestamp(0),
            rules: Default::default(),
        };
        world.apply(&Change::PutGroup(group.into()));
    }

    /// An instance with an interface; each with a name and a tag `Name`.
    fn put_instance(world: &mut World, (id, account): (&str, &str), of_instance: [&str; 2], of_eni: [&str; 2]) {
        let named = |tag: &str| if tag.is_empty() { Tags::default() } else { Tags::one(NAME_TAG, tag) };
        let [(name, tag), (eni_name, eni_tag)] =
            [of_instance, of_eni].map(|[name, tag]| (name.to_owned(), named(tag)));
        let instance = Instance {
            id: format!("i-{id}").as_str().into(),
            account: account.into(),
            vpc: "vpc-1".into(),
            subnet: "vsw-1".into(),
            host: "local".into(),
            name,
            description: String::new(),
            image: String::new(),
            instance_type: String::new(),
            disk: Default::default(),
            resource_group: String::new(),
            tags: tag,
            created_at: Timestamp(0),
            state: InstanceState::Running,
            state_since: Revision(1),
            launch: None,
        };
        let eni = Eni {
            id: format!("eni-{id}").as_str().into(),
            account: account.into(),
            vpc: "vpc-1".into(),
            subnet: "vsw-1".into(),
            instance: Some(instance.id.clone()),
            device_index: 0,
            mac: "02:00:00:00:00:01".parse().unwrap(),
            addresses: Vec::new(),
            groups: vec!["sg-1".into()],
            treatment: None,
            timeouts: Timeouts::of(Dialect::Ecs),
            source_check: true,
            resource_group: String::new(),
            tags: eni_tag,
            created_at: Timestamp(0),
            name: eni_name,
            description: String::new(),
            delete_on_release: true,
            managed_by: None,
            moved_in: Revision(0),
            binding: None,
        };
        world.apply(&Change::PutInstance(instance.into()));
        world.apply(&Change::PutEni(eni.into()));
    }

    #[test]
    fn what_says_what_it_is_needs_no_world_and_is_written_again() {
        for text in [
            "internet",
            "10.0.0.7",
            "2001:db8::/32",
            "tag:role=db",
            "tag:env,role=db",
            "name:web",
            "name:a:b c",
            "i-1",
            "eni-1",
            "sg-1",
            "vpc-1",
            "vsw-1",
            "subnet-1",
            "group:mine",
            "instance:sg-1",
        ] {
            assert_eq!(text.parse::<End>().map(|end| end.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "web", "sg", "name:", "group:", "team:web", "300.0.0.1"] {
            assert_eq!(text.parse::<End>(), Err(EndError::NotKept(text.to_owned())));
            assert_eq!(End::read(&world(), text), Err(EndError::Unknown(text.to_owned())));
        }
        for text in ["tag:", "tag:=db", "tag:a=1,,b"] {
            assert_eq!(End::read(&world(), text), Err(EndError::Tag(text.to_owned())));
            assert_eq!(End::read(&world(), "10.0.0.0/33"), Err(EndError::Block("10.0.0.0/33".to_owned())));
        }
    }

    #[test]
    fn an_id_goes_before_a_name_and_a_name_is_what_the_dialect_calls_so() {
        let mut world = world();
        put_group(&mut world, "sg-1", "web-sg");
        put_group(&mut world, "odd", "team:web");
        put_group(&mut world, "sg-3", "sg-1");
        put_instance(&mut world, ("ecs", "1"), ["web", "not-this"], ["uplink", ""]);
        put_instance(&mut world, ("ec2", "2"), ["not-this", "db 1"], ["", "db 1"]);
        let read = |text: &str| End::read(&world, text);
        assert_eq!(read("sg-1"), Ok(End::Group("sg-1".into())));
        assert_eq!(read("odd"), Ok(End::Group("odd".into())));
        assert_eq!(read("group:odd"), Ok(End::Group("odd".into())));
        assert_eq!(read("web-sg"), Ok(End::Group("sg-1".into())));
        assert_eq!(read("team:web"), Ok(End::Group("odd".into())));
        assert_eq!(read("i-ecs"), Ok(End::Instance("i-ecs".into())));
        for name in ["web", "uplink", "db 1"] {
            assert_eq!(read(name), Ok(End::Name(name.to_owned())));
        }
        for text in ["not-this", "sg-9", "group:sg-9", "vpc-1"] {
            let error = read(text).unwrap_err();
            assert!(matches!(error, EndError::Unknown(_)), "{error}");
        }
        assert_eq!(read("tag:nobody=has"), Ok(End::Tags(vec![("nobody".to_owned(), Some("has".to_owned()))])));
    }

    #[test]
    fn a_name_of_several_things_names_them_all_as_far_as_they_are_told() {
        let mut world = world();
        put_group(&mut world, "sg-1", "web");
        put_instance(&mut world, ("a", "1"), ["web", ""], ["", ""]);
        put_instance(&mut world, ("b", "1"), ["other", ""], ["web", ""]);
        let said = |world: &World, name: &str| End::read(world, name).unwrap_err().to_string();
        assert_eq!(
            said(&world, "web"),
            "`web` is the name of group sg-1, instance i-a and interface eni-b; name one of them by its id, or write name:web for every \
             instance and interface that has it"
        );
        // Several instances are one kind, and so a set; several groups are not.
        put_instance(&mut world, ("c", "1"), ["pool", ""], ["pool", ""]);
        put_instance(&mut world, ("d", "2"), ["", "pool"], ["", ""]);
        assert_eq!(End::read(&world, "pool"), Ok(End::Name("pool".to_owned())));
        for number in 10..20 {
            put_group(&mut world, &format!("sg-{number}"), "default");
        }
        let eight = (10..18).map(|number| format!("group sg-{number}")).collect::<Vec<_>>().join(", ");
        assert_eq!(
            said(&world, "default"),
            format!("`default` is the name of {eight} and 2 more; name one of them by its id")
        );
    }
}
