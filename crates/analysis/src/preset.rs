//! Rules for common purposes, by name: what the clouds' documents recommend for a web server, a database, and so on.
//!
//! Only what is meant for everyone is opened to everyone without being asked: web servers and load balancers. For
//! all else, who may come in must be said.

use serde::{Deserialize, Serialize};

use sekimori_core::{
    address::{Cidr, Family},
    command::NewRule,
    ids::{AccountId, GroupId},
    rule::{Action, Direction, Peer, PortRange, Protocol, RuleSpec, Service},
    world::{Flavor, Group, Vpc, World},
};

use crate::text;

/// A preset.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// Its name.
    pub name: &'static str,
    /// What it is for.
    pub purpose: &'static str,
    /// Whom its rules are for.
    scope: Scope,
    services: &'static [Opened],
}

/// Whom a preset is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    /// Everyone, unless somebody is named.
    Everyone,
    /// Whoever is named.
    Named,
    /// The two ends of a load balancer, whose ports are named, too.
    Balancer,
    /// The instances behind a load balancer.
    Target,
}

/// A service that is opened.
#[derive(Clone, Copy, Debug)]
enum Opened {
    Tcp(u16),
    Udp(u16),
    Ping,
}

const fn preset(name: &'static str, purpose: &'static str, services: &'static [Opened]) -> Preset {
    Preset { name, purpose, scope: Scope::Named, services }
}

/// Every preset.
pub const PRESETS: [Preset; 15] = [
    Preset { scope: Scope::Everyone, ..preset("web", "HTTP and HTTPS", &[Opened::Tcp(80), Opened::Tcp(443)]) },
    preset("ssh", "logging in to Linux", &[Opened::Tcp(22)]),
    preset("rdp", "logging in to Windows", &[Opened::Tcp(3389)]),
    preset("ping", "echo requests", &[Opened::Ping]),
    preset("dns", "a name server", &[Opened::Tcp(53), Opened::Udp(53)]),
    preset("nfs", "a file server", &[Opened::Tcp(2049)]),
    preset("mysql", "MySQL, MariaDB, Aurora", &[Opened::Tcp(3306)]),
    preset("postgresql", "PostgreSQL", &[Opened::Tcp(5432)]),
    preset("sqlserver", "Microsoft SQL Server", &[Opened::Tcp(1433)]),
    preset("oracle", "Oracle Database", &[Opened::Tcp(1521)]),
    preset("redshift", "Redshift", &[Opened::Tcp(5439)]),
    preset("redis", "Redis", &[Opened::Tcp(6379)]),
    preset("mongodb", "MongoDB", &[Opened::Tcp(27017)]),
    Preset {
        scope: Scope::Balancer,
        ..preset("load-balancer", "a load balancer: its listener, and the way to its targets", &[])
    },
    Preset { scope: Scope::Target, ..preset("load-balancer-target", "what stands behind a load balancer", &[]) },
];

/// What is to be added.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The preset.
    pub preset: String,
    /// Who may come in: addresses, blocks, groups, prefix lists.
    #[serde(default)]
    pub from: Vec<String>,
    /// Everyone may come in.
    #[serde(default)]
    pub from_world: bool,
    /// The port that a load balancer listens on.
    #[serde(default)]
    pub listener_port: Option<u16>,
    /// The port of the instances behind it.
    #[serde(default)]
    pub target_port: Option<u16>,
    /// The port of their health check; the target port if absent.
    #[serde(default)]
    pub health_port: Option<u16>,
    /// The group of the instances behind it.
    #[serde(default)]
    pub targets: Option<GroupId>,
    /// A load balancer for the VPC, not for the internet.
    #[serde(default)]
    pub internal: bool,
    /// Shows what would be added.
    #[serde(default)]
    pub dry_run: bool,
}

/// What would be added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The group's owner.
    pub account: AccountId,
    /// The group.
    pub group: GroupId,
    /// The rules.
    pub rules: Vec<NewRule>,
    /// The rules in words.
    pub texts: Vec<String>,
}

/// Why nothing would be added.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PresetError {
    /// There is no such preset.
    #[error("`{0}` is not a preset; use one of {names}", names = names())]
    Unknown(String),
    /// Nothing has this name.
    #[error("no security group `{0}`; list them with DescribeSecurityGroups")]
    UnknownGroup(String),
    /// Nobody is named.
    #[error("preset `{0}` is not for everyone; say from whom (--from), or that everyone is meant (--from-world)")]
    Nobody(String),
    /// Something that is no peer.
    #[error("`{0}` is neither an address or block, nor a group, nor a prefix list")]
    BadPeer(String),
    /// Something that the preset needs.
    #[error("preset `{preset}` needs {what}")]
    Needs {
        /// The preset.
        preset: String,
        /// What it needs.
        what: &'static str,
    },
}

fn names() -> String {
    PRESETS.iter().map(|preset| preset.name).collect::<Vec<_>>().join(", ")
}

/// Says which rules a preset adds to a group.
///
/// # Errors
/// Names what is missing or cannot be read.
pub fn plan(world: &World, id: &GroupId, request: &Request) -> Result<Plan, PresetError> {
    let group = world.group(id).ok_or_else(|| PresetError::UnknownGroup(id.to_string()))?;
    let preset = PRESETS.iter().find(|preset| preset.name == request.preset);
    let preset = preset.ok_or_else(|| PresetError::Unknown(request.preset.clone()))?;
    let builder = Builder { world, group, vpc: world.vpc(&group.vpc).map(|vpc| &**vpc), request };
    let rules = builder.rules(preset)?;
    let texts = rules.iter().map(|rule| text::spec(world, group.flavor, &rule.spec)).collect();
    Ok(Plan { account: group.account.clone(), group: id.clone(), rules, texts })
}

struct Builder<'a> {
    world: &'a World,
    group: &'a Group,
    vpc: Option<&'a Vpc>,
    request: &'a Request,
}

impl Builder<'_> {
    fn rules(&self, preset: &Preset) -> Result<Vec<NewRule>, PresetError> {
        match preset.scope {
            Scope::Everyone | Scope::Named => {
                let peers = self.peers(preset.scope == Scope::Everyone)?;
                Ok(self.all(Direction::Ingress, preset.services, &peers))
            }
            Scope::Balancer => self.balancer(),
            Scope::Target => {
                let ports = self.target_ports()?;
                let peers = self.peers(false)?;
                Ok(self.all(Direction::Ingress, &ports, &peers))
            }
        }
    }

    /// In at the listener's port, out to the targets' ports.
    fn balancer(&self) -> Result<Vec<NewRule>, PresetError> {
        let listener =
            self.request.listener_port.ok_or_else(|| self.needs("the listener's port (--listener-port)"))?;
        let targets = self.request.targets.clone().ok_or_else(|| self.needs("the targets' group (--targets)"))?;
        let peers = if self.request.internal { self.own_blocks() } else { self.peers(true)? };
        let mut rules = self.all(Direction::Ingress, &[Opened::Tcp(listener)], &peers);
        rules.extend(self.all(Direction::Egress, &self.target_ports()?, &[self.group_peer(&targets)]));
        Ok(rules)
    }

    fn target_ports(&self) -> Result<Vec<Opened>, PresetError> {
        let target = self.request.target_port.ok_or_else(|| self.needs("the targets' port (--target-port)"))?;
        let health = self.request.health_port.filter(|health| *health != target);
        Ok([Some(target), health].into_iter().flatten().map(Opened::Tcp).collect())
    }

    fn needs(&self, what: &'static str) -> PresetError {
        PresetError::Needs { preset: self.request.preset.clone(), what }
    }

    /// Who is named, or everyone.
    fn peers(&self, for_everyone: bool) -> Result<Vec<Peer>, PresetError> {
        let Request { preset, from, from_world, .. } = self.request;
        if *from_world || (for_everyone && from.is_empty()) {
            let v6 = self.vpc.and_then(|vpc| vpc.ipv6).map(|_| Cidr::WORLD_V6);
            return Ok([Some(Cidr::WORLD_V4), v6].into_iter().flatten().map(Peer::Cidr).collect());
        }
        if from.is_empty() {
            return Err(PresetError::Nobody(preset.clone()));
        }
        from.iter().map(|text| self.peer(text)).collect()
    }

    fn peer(&self, text: &str) -> Result<Peer, PresetError> {
        if text.starts_with("sg-") {
            return Ok(self.group_peer(&text.into()));
        }
        if text.starts_with("pl-") {
            return Ok(Peer::PrefixList(text.into()));
        }
        text.parse().map(Peer::Cidr).map_err(|_| PresetError::BadPeer(text.to_owned()))
    }

    fn group_peer(&self, id: &GroupId) -> Peer {
        let owner = self.world.group(id).map_or(&self.group.account, |group| &group.account);
        Peer::Group { group: id.clone(), account: owner.clone() }
    }

    fn own_blocks(&self) -> Vec<Peer> {
        let Some(vpc) = self.vpc else { return Vec::new() };
        let v6 = vpc.ipv6.map(|net| Cidr::from(ipnet::IpNet::V6(net)));
        [Some(Cidr::from(ipnet::IpNet::V4(vpc.cidr))), v6].into_iter().flatten().map(Peer::Cidr).collect()
    }

    fn all(&self, direction: Direction, services: &[Opened], peers: &[Peer]) -> Vec<NewRule> {
        let both = services.iter().flat_map(|service| peers.iter().map(move |peer| (service, peer)));
        both.flat_map(|(service, peer)| self.of(direction, *service, peer)).collect()
    }

    fn of(&self, direction: Direction, opened: Opened, peer: &Peer) -> Vec<NewRule> {
        let rule = |protocol, service| {
            let spec = RuleSpec {
                direction,
                action: Action::Allow,
                priority: 1,
                protocol,
                service,
                source_ports: None,
                peer: peer.clone(),
                local: None,
            };
            NewRule::new(spec, format!("preset {}", self.request.preset))
        };
        match opened {
            Opened::Tcp(port) => vec![rule(Protocol::TCP, Service::Ports(PortRange::one(port)))],
            Opened::Udp(port) => vec![rule(Protocol::UDP, Service::Ports(PortRange::one(port)))],
            Opened::Ping => {
                let of = |family, protocol, kind| {
                    family_fits(self.world, peer, family).then(|| rule(protocol, self.echo(kind)))
                };
                let both = [of(Family::V4, Protocol::ICMP, 8), of(Family::V6, Protocol::ICMPV6, 128)];
                both.into_iter().flatten().collect()
            }
        }
    }

    /// ECS rules know no types of ICMP.
    fn echo(&self, kind: u8) -> Service {
        match self.group.flavor {
            Flavor::EcsBasic | Flavor::EcsEnterprise => Service::Any,
            Flavor::Ec2 => Service::Icmp { kind, code: None },
        }
    }
}

fn family_fits(world: &World, peer: &Peer, family: Family) -> bool {
    match peer {
        Peer::Cidr(cidr) => cidr.family() == family,
        Peer::PrefixList(id) => world.prefix_list(id).is_none_or(|list| list.family == family),
        Peer::Group { .. } => true,
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::fixture;

    fn check(request: &Request, expected: Expect) {
        let world = fixture::world("sg web\nsg lb\nsg ops");
        let shown = match plan(&world, &"sg-web".into(), request) {
            Ok(plan) => plan.texts.join("\n"),
            Err(error) => format!("error: {error}"),
        };
        expected.assert_eq(&shown);
    }

    fn of(preset: &str, from: &[&str]) -> Request {
        let from = from.iter().map(|text| (*text).to_owned()).collect();
        Request { preset: preset.to_owned(), from, ..Request::default() }
    }

    #[test]
    fn web_is_for_everyone_and_the_rest_for_whom_is_named() {
        check(
            &of("web", &[]),
            expect![[r#"
            allow tcp 80 from 0.0.0.0/0, priority 1
            allow tcp 443 from 0.0.0.0/0, priority 1"#]],
        );
        check(
            &of("postgresql", &["sg-ops", "10.0.0.0/24"]),
            expect![[r#"
            allow tcp 5432 from group sg-ops (ops), priority 1
            allow tcp 5432 from 10.0.0.0/24, priority 1"#]],
        );
        check(
            &of("ping", &["10.0.0.7", "fd00::7", "sg-ops"]),
            expect![[r#"
            allow icmp from 10.0.0.7, priority 1
            allow icmpv6 from fd00::7, priority 1
            allow icmp from group sg-ops (ops), priority 1
            allow icmpv6 from group sg-ops (ops), priority 1"#]],
        );
        check(
            &of("dns", &["10.0.0.0/8"]),
            expect![[r#"
            allow tcp 53 from 10.0.0.0/8, priority 1
            allow udp 53 from 10.0.0.0/8, priority 1"#]],
        );
        check(&Request { from_world: true, ..of("ssh", &[]) }, expect!["allow tcp 22 from 0.0.0.0/0, priority 1"]);
    }

    #[test]
    fn a_load_balancer_has_two_sides() {
        let ports = Request { target_port: Some(8080), health_port: Some(8081), ..Request::default() };
        let balancer = Request {
            preset: "load-balancer".to_owned(),
            listener_port: Some(443),
            targets: Some("sg-ops".into()),
            ..ports.clone()
        };
        check(
            &balancer,
            expect![[r#"
            allow tcp 443 from 0.0.0.0/0, priority 1
            allow tcp 8080 to group sg-ops (ops), priority 1
            allow tcp 8081 to group sg-ops (ops), priority 1"#]],
        );
        check(
            &Request { internal: true, ..balancer },
            expect![[r#"
            allow tcp 443 from 10.0.0.0/8, priority 1
            allow tcp 8080 to group sg-ops (ops), priority 1
            allow tcp 8081 to group sg-ops (ops), priority 1"#]],
        );
        let target = Request { preset: "load-balancer-target".to_owned(), from: vec!["sg-lb".to_owned()], ..ports };
        check(
            &target,
            expect![[r#"
            allow tcp 8080 from group sg-lb (lb), priority 1
            allow tcp 8081 from group sg-lb (lb), priority 1"#]],
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        check(
            &of("ssh", &[]),
            expect![
                "error: preset `ssh` is not for everyone; say from whom (--from), or that everyone is meant (--from-world)"
            ],
        );
        check(
            &of("telnet", &[]),
            expect![
                "error: `telnet` is not a preset; use one of web, ssh, rdp, ping, dns, nfs, mysql, postgresql, sqlserver, oracle, redshift, redis, mongodb, load-balancer, load-balancer-target"
            ],
        );
        check(
            &of("nfs", &["everyone"]),
            expect!["error: `everyone` is neither an address or block, nor a group, nor a prefix list"],
        );
        check(
            &of("load-balancer", &[]),
            expect!["error: preset `load-balancer` needs the listener's port (--listener-port)"],
        );
    }
}
