//! The controls of VPCs, network ACLs and instances, one function each.

use sekimori_core::{
    address::{Cidr, Family},
    flow_log::{FlowLog, LoggedTraffic},
    network_acl::{AclEntry, NetworkAcl},
    resource::Resource,
    rule::{Action, Direction, Peer, PortRange, Protocol, Service},
    space::{Set, TooComplex, resolve::Reader},
    world::{Eni, Instance, Vpc, World},
};

use super::{
    Cause, Mode,
    control::{Ask, Judged, Verdict},
    exposure::{self, Part, Run},
    literal::world_family,
    semantic::{blamed, ports_of, public_peers, witness},
    world::{everyone_min, share},
};
use crate::text;

/// The ports of EC2.21.
const ADMIN: [u16; 2] = [22, 3389];

/// EC2.6. Whether what groups refuse is written down: by a flow log of the VPC; semantic also by those of its subnets and interfaces.
pub(super) fn flow_logs(ask: &Ask<'_>, vpc: &Vpc) -> Judged {
    if is_logged(ask.world, &Resource::Vpc(vpc.id.clone())) {
        return Ok(Verdict::Passed);
    }
    let unlogged = ask.world.enis_in(&vpc.id).filter(|eni| !is_eni_logged(ask.world, eni)).count();
    match (ask.mode, unlogged) {
        (Mode::Literal, _) => Ok(Verdict::Failed(vec![Cause::because("it has no flow log of refused traffic")])),
        (Mode::Semantic, 0) => Ok(Verdict::Passed),
        (Mode::Semantic, unlogged) => {
            let what = if unlogged == 1 { "interface" } else { "interfaces" };
            let text = format!(
                "no flow log of it, of a subnet or of an interface has the refused traffic of {unlogged} {what}"
            );
            Ok(Verdict::Failed(vec![Cause::because(text)]))
        }
    }
}

fn is_logged(world: &World, resource: &Resource) -> bool {
    let has_refused = |log: &FlowLog| match log.config.traffic {
        LoggedTraffic::Rejected | LoggedTraffic::All => true,
        LoggedTraffic::Accepted => false,
    };
    world.flow_logs().any(|log| log.resource == *resource && log.active_since.is_some() && has_refused(log))
}

fn is_eni_logged(world: &World, eni: &Eni) -> bool {
    is_logged(world, &Resource::Subnet(eni.subnet.clone())) || is_logged(world, &Resource::Eni(eni.id.clone()))
}

/// EC2.21.
pub(super) fn acl_admin_ports(ask: &Ask<'_>, acl: &NetworkAcl) -> Judged {
    match ask.mode {
        Mode::Literal => Ok(Verdict::of(literal_acl(acl, ask.world))),
        Mode::Semantic => Ok(Verdict::of(semantic_acl(acl, ask.world)?)),
    }
}

fn literal_acl(acl: &NetworkAcl, world: &World) -> Vec<Cause> {
    let mut causes = Vec::new();
    for entry in acl.entries_of(Direction::Ingress).filter(|entry| entry.spec.action == Action::Allow) {
        let Some(family) = world_family(&entry.spec.peer) else { continue };
        let is_masked = |port: u16| {
            let before = acl.entries_of(Direction::Ingress).filter(|other| other.number < entry.number);
            before
                .filter(|other| other.spec.action == Action::Deny)
                .any(|other| other.spec.peer == entry.spec.peer && covers(other, port))
        };
        let open = ADMIN.into_iter().filter(|port| covers(entry, *port) && !is_masked(*port));
        let opens: Vec<String> = open.map(|port| format!("tcp {port} from {}", Cidr::world(family))).collect();
        if !opens.is_empty() {
            causes.push(Cause { opens, ..entry_cause(world, entry) });
        }
    }
    causes
}

fn covers(entry: &AclEntry, port: u16) -> bool {
    let has_port = match &entry.spec.service {
        Service::Any => true,
        Service::Ports(range) => range.contains(port),
        Service::PortList(_) | Service::Icmp { .. } => false,
    };
    matches!(entry.spec.protocol, Protocol::Any | Protocol::TCP) && has_port
}

fn entry_cause(world: &World, entry: &AclEntry) -> Cause {
    let said = text::spec(world, sekimori_core::world::Flavor::Ec2, &entry.spec);
    let text = format!("entry {}: {said}", entry.number);
    Cause { entry: Some(entry.number), ..Cause::because(text) }
}

fn semantic_acl(acl: &NetworkAcl, world: &World) -> Result<Vec<Cause>, TooComplex> {
    let parts = acl_parts(world, acl, Direction::Ingress)?;
    let (numbers, parts): (Vec<u16>, Vec<Part>) = parts.into_iter().unzip();
    let own: Vec<&Part> = parts.iter().collect();
    let mut causes: Vec<Cause> = Vec::new();
    for run in exposure::everyone(&own, Direction::Ingress)?.iter().filter(|run| run.protocol == 6) {
        for port in ADMIN.into_iter().filter(|port| run.ports.contains(*port)) {
            let run = Run { ports: PortRange::one(port), ..run.clone() };
            let wrong = run.packets(Direction::Ingress)?;
            let opens = format!("{} from {}", ports_of(6, run.ports), share(run.family, run.peers));
            let measure = |parts: &[&Part]| public_peers(parts, &wrong, Direction::Ingress);
            for part in blamed((&own, &[]), everyone_min(run.family), &measure)? {
                let number =
                    parts.iter().zip(&numbers).find(|(one, _)| std::ptr::eq(*one, part)).map(|(_, number)| *number);
                let entry = number.and_then(|number| acl.entry(Direction::Ingress, number));
                let Some(entry) = entry else { continue };
                add(&mut causes, entry_cause(world, entry), opens.clone(), &part.packets.intersection(&wrong)?);
            }
        }
    }
    Ok(causes)
}

fn add(causes: &mut Vec<Cause>, cause: Cause, opens: String, packets: &Set) {
    let witness = packets.witness().map(|packet| witness(&packet));
    match causes.iter_mut().find(|known| known.entry == cause.entry) {
        Some(known) => known.opens.push(opens),
        None => causes.push(Cause { opens: vec![opens], witness, ..cause }),
    }
}

/// What each entry of a network ACL lets pass by itself, with its number.
pub(super) fn acl_parts(
    world: &World,
    acl: &NetworkAcl,
    direction: Direction,
) -> Result<Vec<(u16, Part)>, TooComplex> {
    let reader = Reader::new(world, &acl.vpc, acl.entries_of(direction).map(|entry| &entry.spec));
    let mut left = Set::everything(direction);
    let mut parts = Vec::new();
    for entry in acl.entries_of(direction) {
        let matched = reader.rule(&entry.spec)?;
        match entry.spec.action {
            Action::Deny => left = left.difference(&matched)?,
            Action::Allow => {
                let packets = left.intersection(&matched)?;
                parts.push((entry.number, Part { decider: None, packets }));
            }
        }
    }
    Ok(parts)
}

/// `ecs-instance-attached-security-group`. The service is content with one interface; semantic, each must carry one of the groups.
pub(super) fn attached_groups(ask: &Ask<'_>, instance: &Instance) -> Judged {
    let listed = ask.parameters.groups(ask.control, "securityGroupIds");
    let carries = |eni: &Eni| eni.groups.iter().any(|group| listed.contains(group));
    let mut enis = ask.world.enis_of(&instance.id).peekable();
    if enis.peek().is_none() {
        return Ok(Verdict::NotApplicable);
    }
    let causes: Vec<Cause> = match ask.mode {
        Mode::Literal if enis.any(|eni| carries(eni)) => Vec::new(),
        Mode::Literal => vec![Cause::because("it carries none of the groups")],
        Mode::Semantic => {
            let bare = enis.filter(|eni| !carries(eni));
            bare.map(|eni| Cause::because(format!("its interface {} carries none of the groups", eni.id))).collect()
        }
    };
    Ok(Verdict::of(causes))
}

/// Whether an entry is for everyone of a family, by its text.
pub(super) fn entry_family(entry: &AclEntry) -> Option<Family> {
    match &entry.spec.peer {
        Peer::Cidr(cidr) => Some(cidr.family()),
        Peer::PrefixList(_) | Peer::Group { .. } => None,
    }
}
