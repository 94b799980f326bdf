//! Small worlds written as text, for tests:
//!
//! ```text
//! sg web                                          a basic group sg-web of vpc-1
//! sg db enterprise                                or: ec2, drop (basic, inner access Drop)
//! sg far vpc-2 tag env=prod named prod-far-sg     in another VPC, with a tag and a name
//! web: in allow tcp 443 from 0.0.0.0/0 priority 5 rules are called r1, r2, … in the order of the lines
//! db: out deny tcp 25 to sg-web
//! eni a 10.0.0.1 fd00::1 in web db tag env=prod   eni-a of i-a
//! router nat 10.0.0.9 in web                      the same, and it may send for others: its source is not checked
//! ec2                                             the account speaks EC2
//! sg home ec2 default managed                     the default group of its VPC; one that a product manages
//! list office 192.0.2.0/24 198.51.100.0/24        prefix list pl-office, a peer like others
//! ```

use std::sync::Arc;

use sekimori_core::{
    change::Change,
    ids::GroupId,
    peering::{Peering, PeeringSide, PeeringStatus},
    rule::{Action, Direction, Peer, PortRange, Protocol, Rule, RuleSpec, Service},
    tags::Tags,
    time::Timestamp,
    world::{
        Account, Dialect, Eni, Flavor, Group, InnerAccess, Instance, InstanceState, PrefixEntry, PrefixList,
        Revision, Timeouts, Vpc, VpcAttribute, World,
    },
};

/// The account of every fixture.
pub(crate) const ACCOUNT: &str = "1";

/// The world of a text.
pub(crate) fn world(text: &str) -> World {
    let mut fixture = Fixture { world: World::default(), rules: 0 };
    fixture.put(Change::PutAccount(Arc::new(account())));
    for vpc in ["vpc-1", "vpc-2"] {
        fixture.put(Change::PutVpc(Arc::new(vpc_named(vpc))));
    }
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["sg", name, options @ ..] => fixture.group(name, options),
            ["eni", name, rest @ ..] => fixture.eni(name, rest, true),
            ["router", name, rest @ ..] => fixture.eni(name, rest, false),
            ["ec2"] => fixture.put(Change::PutAccount(Arc::new(Account { dialect: Dialect::Ec2, ..account() }))),
            ["list", name, blocks @ ..] => fixture.list(name, blocks),
            [group, rest @ ..] => fixture.rule(group.trim_end_matches(':'), rest),
            [] => {}
        }
    }
    fixture.world.at(Revision(7))
}

/// Two VPCs of a fixture that see each other.
pub(crate) fn peering(one: &str, other: &str) -> Peering {
    let side = |vpc: &str| PeeringSide::of(&vpc_named(vpc));
    Peering {
        id: "pcx-1".into(),
        region: String::new(),
        requester: side(one),
        accepter: side(other),
        status: PeeringStatus::Active,
        ended_by: None,
        why_failed: String::new(),
        tags: Tags::default(),
        created_at: Timestamp(0),
        changed_at: Timestamp(0),
    }
}

struct Fixture {
    world: World,
    rules: i64,
}

impl Fixture {
    fn put(&mut self, change: Change) {
        self.world.apply(&change);
    }

    fn group(&mut self, name: &str, options: &[&str]) {
        let mut group = group_named(name);
        let mut options = options.iter();
        while let Some(option) = options.next() {
            match *option {
                "enterprise" => group.flavor = Flavor::EcsEnterprise,
                "ec2" => group.flavor = Flavor::Ec2,
                "drop" => group.inner_access = InnerAccess::Drop,
                "default" => group.is_default = true,
                "managed" => group.managed_by = Some(1),
                "tag" => {
                    let (key, value) = options.next().unwrap().split_once('=').unwrap();
                    group.tags = group.tags.with(&Tags::read(Dialect::Ecs, [(key, value)]).unwrap());
                }
                "named" => group.name = (*options.next().unwrap()).to_owned(),
                vpc => group.vpc = vpc.into(),
            }
        }
        self.put(Change::PutGroup(Arc::new(group)));
    }

    fn list(&mut self, name: &str, blocks: &[&str]) {
        let entry = |block: &&str| PrefixEntry { cidr: block.parse().unwrap(), description: String::new() };
        let entries: Vec<PrefixEntry> = blocks.iter().map(entry).collect();
        self.put(Change::PutPrefixList(Arc::new(PrefixList {
            id: format!("pl-{name}").as_str().into(),
            account: ACCOUNT.into(),
            region: "cn-hangzhou".to_owned(),
            name: name.to_owned(),
            description: String::new(),
            family: entries[0].cidr.family(),
            entries_max: 10,
            entries,
            version: 1,
            last_change: Default::default(),
            resource_group: String::new(),
            tags: Default::default(),
            created_at: Timestamp(0),
        })));
    }

    fn rule(&mut self, group: &str, words: &[&str]) {
        self.rules += 1;
        let id = format!("r{}", self.rules).as_str().into();
        let rule = Rule {
            id,
            spec: spec(words),
            description: String::new(),
            tags: Default::default(),
            created_at: Timestamp(self.rules),
        };
        self.put(Change::PutRule { group: group_id(group), rule: Arc::new(rule) });
    }

    fn eni(&mut self, name: &str, rest: &[&str], source_check: bool) {
        let at = rest.iter().position(|word| *word == "in").unwrap();
        let addresses = rest[..at].iter().map(|address| address.parse().unwrap()).collect();
        let end = rest.iter().position(|word| *word == "tag").unwrap_or(rest.len());
        let groups: Vec<GroupId> = rest[at + 1..end].iter().map(|group| group_id(group)).collect();
        let pairs = rest[end..].iter().filter(|word| **word != "tag").map(|pair| pair.split_once('=').unwrap());
        let tags = Tags::read(Dialect::Ecs, pairs).unwrap();
        let vpc = self.world.group(&groups[0]).unwrap().vpc.clone();
        let instance = Instance {
            resource_group: String::new(),
            tags,
            id: format!("i-{name}").as_str().into(),
            account: ACCOUNT.into(),
            vpc: vpc.clone(),
            subnet: "vsw-1".into(),
            host: "local".into(),
            name: name.to_owned(),
            description: String::new(),
            image: String::new(),
            instance_type: String::new(),
            disk: Default::default(),
            created_at: Timestamp(0),
            state: InstanceState::Running,
            state_since: Revision(1),
            launch: None,
        };
        let eni = Eni {
            resource_group: String::new(),
            tags: Default::default(),
            id: format!("eni-{name}").as_str().into(),
            account: ACCOUNT.into(),
            vpc,
            subnet: "vsw-1".into(),
            instance: Some(instance.id.clone()),
            device_index: 0,
            mac: "02:00:00:00:00:01".parse().unwrap(),
            addresses,
            groups,
            treatment: None,
            timeouts: Timeouts::of(Dialect::Ecs),
            source_check,
            created_at: Timestamp(0),
            name: String::new(),
            description: String::new(),
            delete_on_release: true,
            managed_by: None,
            moved_in: Revision(0),
            binding: None,
        };
        self.put(Change::PutInstance(Arc::new(instance)));
        self.put(Change::PutEni(Arc::new(eni)));
    }
}

fn group_id(name: &str) -> GroupId {
    format!("sg-{name}").as_str().into()
}

fn spec(words: &[&str]) -> RuleSpec {
    let [direction, action, protocol, rest @ ..] = words else { panic!("not a rule: {words:?}") };
    let at = rest.iter().position(|word| matches!(*word, "from" | "to")).unwrap();
    let option = |name| rest.iter().position(|word| *word == name).map(|index| rest[index + 1]);
    let peer = rest[at + 1];
    RuleSpec {
        direction: if *direction == "in" { Direction::Ingress } else { Direction::Egress },
        action: if *action == "allow" { Action::Allow } else { Action::Deny },
        priority: option("priority").map_or(1, |priority| priority.parse().unwrap()),
        protocol: Protocol::of_name(protocol).unwrap_or_else(|| Protocol::Number(protocol.parse().unwrap())),
        service: rest[..at].first().map_or(Service::Any, |ports| Service::Ports(range(ports))),
        source_ports: option("source").map(range),
        peer: if peer.starts_with("sg-") {
            Peer::Group { group: peer.into(), account: ACCOUNT.into() }
        } else if peer.starts_with("pl-") {
            Peer::PrefixList(peer.into())
        } else {
            Peer::Cidr(peer.parse().unwrap())
        },
        local: option("at").map(|cidr| cidr.parse().unwrap()),
    }
}

fn range(text: &str) -> PortRange {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    PortRange::new(first.parse().unwrap(), last.parse().unwrap()).unwrap()
}

fn account() -> Account {
    Account {
        id: ACCOUNT.into(),
        dialect: Dialect::Ecs,
        name: "default".to_owned(),
        treatment: None,
        resource_groups: Default::default(),
        created_at: Timestamp(0),
    }
}

fn vpc_named(id: &str) -> Vpc {
    Vpc {
        resource_group: String::new(),
        tags: Default::default(),
        id: id.into(),
        account: ACCOUNT.into(),
        region: if id == "vpc-1" { "cn-hangzhou" } else { "cn-beijing" }.to_owned(),
        name: String::new(),
        description: String::new(),
        cidr: "10.0.0.0/8".parse().unwrap(),
        ipv6: None,
        further: Vec::new(),
        ways: None,
        shared_with: Vec::new(),
        attributes: VpcAttribute::of_new(),
        created_at: Timestamp(0),
    }
}

fn group_named(name: &str) -> Group {
    Group {
        id: group_id(name),
        account: ACCOUNT.into(),
        vpc: "vpc-1".into(),
        also_in: Vec::new(),
        flavor: Flavor::EcsBasic,
        name: name.to_owned(),
        description: String::new(),
        inner_access: InnerAccess::Accept,
        resource_group: String::new(),
        tags: Default::default(),
        managed_by: None,
        is_protected: false,
        is_default: false,
        created_at: Timestamp(0),
        rules: Default::default(),
    }
}
