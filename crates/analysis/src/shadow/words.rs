//! One rule in words, as an operator writes it: `ingress allow tcp/443 from 10.0.0.0/8 priority 5`.

use sekimori_core::{
    address::Cidr,
    ids::GroupId,
    rule::{Action, Direction, Peer, PortRange, Protocol, RuleSpec, Service},
    world::{Flavor, Group, World},
};

/// Characters of one rule.
pub const RULE_CHARACTERS_MAX: usize = 256;
/// The form, for messages.
const FORM: &str = "write `ingress allow tcp/443 from 10.0.0.0/8`, with `priority 5`, `source-ports 1-1023` or `own 10.0.0.1` \
                    behind it if need be";

/// Reads a rule of a group.
///
/// # Errors
/// What cannot be understood, and how it is written.
pub(super) fn rule(world: &World, group: &Group, text: &str) -> Result<RuleSpec, String> {
    if text.chars().count() > RULE_CHARACTERS_MAX {
        return Err(format!("a rule of more than {RULE_CHARACTERS_MAX} characters; {FORM}"));
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    let [way, action, service, toward, peer, options @ ..] = words.as_slice() else {
        return Err(format!("`{text}` is not a rule; {FORM}"));
    };
    if matches!(*peer, "from" | "to") && !matches!(*toward, "from" | "to") {
        return Err(format!(
            "`{service} {toward}` is not a service; write `{service}/{toward}`, in one word; {FORM}"
        ));
    }
    let direction = match (*way, *toward) {
        ("ingress", "from") => Direction::Ingress,
        ("egress", "to") => Direction::Egress,
        _ => return Err(format!("`{way} … {toward}` is no direction; write `ingress … from` or `egress … to`")),
    };
    let action = match *action {
        "allow" => Action::Allow,
        "deny" if group.flavor != Flavor::Ec2 => Action::Deny,
        "deny" => return Err(format!("`{}` is an EC2 group, whose rules allow only; leave rules out", group.id)),
        other => return Err(format!("`{other}` is not an action; write allow or deny")),
    };
    let (protocol, service) = self::service(service)?;
    let peer = self::peer(world, peer)?;
    let (source_ports, local) = (None, None);
    let mut spec = RuleSpec { direction, action, priority: 1, protocol, service, source_ports, peer, local };
    for option in options.chunks(2) {
        set(&mut spec, group, option)?;
    }
    Ok(spec)
}

fn set(spec: &mut RuleSpec, group: &Group, option: &[&str]) -> Result<(), String> {
    match option {
        [word @ ("source-ports" | "own" | "priority"), ..] if group.flavor == Flavor::Ec2 => {
            let id = &group.id;
            return Err(format!("`{word}`: `{id}` is an EC2 group, whose rules have no such part; leave it out"));
        }
        ["priority", value] => {
            let wrong = || format!("`{value}` is not a priority; use 1 to 100");
            spec.priority = value.parse().ok().filter(|priority| (1..=100).contains(priority)).ok_or_else(wrong)?;
        }
        ["source-ports", value] if spec.protocol.has_ports() => spec.source_ports = Some(ports(value)?),
        ["own", value] => spec.local = Some(cidr(value)?),
        other => return Err(format!("`{}` does not fit this rule; {FORM}", other.join(" "))),
    }
    Ok(())
}

fn service(word: &str) -> Result<(Protocol, Service), String> {
    let (name, detail) = word.split_once('/').map_or((word, None), |(name, detail)| (name, Some(detail)));
    let protocol = match Protocol::of_name(name) {
        Some(protocol) => protocol,
        None => Protocol::Number(name.parse().map_err(|_| format!("`{name}` is not a protocol; {FORM}"))?),
    };
    let service = match (protocol, detail) {
        (Protocol::TCP | Protocol::UDP, None) => return Err(format!("`{word}` has no ports; write {word}/443")),
        (Protocol::TCP | Protocol::UDP, Some(list)) if list.starts_with("prl-") => Service::PortList(list.into()),
        (Protocol::TCP | Protocol::UDP, Some(range)) => Service::Ports(ports(range)?),
        (Protocol::ICMP | Protocol::ICMPV6, Some(detail)) => icmp(detail)?,
        (_, None) => Service::Any,
        (_, Some(_)) => {
            return Err(format!("`{word}`: only tcp, udp, icmp and icmpv6 have a part behind the stroke"));
        }
    };
    Ok((protocol, service))
}

fn ports(word: &str) -> Result<PortRange, String> {
    let (first, last) = word.split_once('-').unwrap_or((word, word));
    let range = first.parse().ok().zip(last.parse().ok()).and_then(|(first, last)| PortRange::new(first, last));
    range.ok_or_else(|| format!("`{word}` is not a range of ports; write 443 or 8000-8080"))
}

fn icmp(word: &str) -> Result<Service, String> {
    let (kind, code) = word.split_once('/').map_or((word, None), |(kind, code)| (kind, Some(code)));
    let wrong = |_| format!("`{word}` is not an ICMP type; write 8 or 3/4");
    Ok(Service::Icmp { kind: kind.parse().map_err(wrong)?, code: code.map(str::parse).transpose().map_err(wrong)? })
}

fn cidr(word: &str) -> Result<Cidr, String> {
    word.parse::<Cidr>().map(|cidr| cidr.canonical()).map_err(|error| error.to_string())
}

fn peer(world: &World, word: &str) -> Result<Peer, String> {
    if word.starts_with("pl-") {
        return Ok(Peer::PrefixList(word.into()));
    }
    if !word.starts_with("sg-") {
        return cidr(word).map(Peer::Cidr);
    }
    let group = GroupId::from(word);
    let account = world.group(&group).map(|group| group.account.clone());
    let account =
        account.ok_or_else(|| format!("no security group `{word}`; list them with DescribeSecurityGroups"))?;
    Ok(Peer::Group { group, account })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fixture, text};

    #[test]
    fn rules_are_read_as_they_are_shown() {
        let world = fixture::world("sg web\nsg cloud ec2");
        let read = |id: &str, text: &str| {
            let group = world.group(&id.into()).unwrap();
            rule(&world, group, text).map(|spec| text::spec(&world, group.flavor, &spec))
        };
        for (written, shown) in [
            ("ingress allow tcp/443 from 10.0.0.0/8", "allow tcp 443 from 10.0.0.0/8, priority 1"),
            ("egress deny udp/53-54 to fd00::/64 priority 7", "deny udp 53-54 to fd00::/64, priority 7"),
            ("ingress allow icmp/8/0 from sg-web", "allow icmp type 8 code 0 from group sg-web (web), priority 1"),
            (
                "ingress allow all from 0.0.0.0/0 own 10.0.0.1",
                "allow all from 0.0.0.0/0, own address in 10.0.0.1/32, priority 1",
            ),
            ("ingress allow 132 from 10.0.0.1", "allow 132 from 10.0.0.1/32, priority 1"),
        ] {
            assert_eq!(read("sg-web", written), Ok(shown.to_owned()), "{written}");
        }
        let refusal = read("sg-web", "ingress allow tcp 80 from 0.0.0.0/0").unwrap_err();
        assert!(refusal.starts_with("`tcp 80` is not a service; write `tcp/80`, in one word"), "{refusal}");
        for wrong in [
            "",
            "ingress allow tcp from 10.0.0.0/8",
            "ingress allow tcp/443 to 10.0.0.0/8",
            "ingress pass tcp/443 from 10.0.0.0/8",
            "ingress allow tcp/9-1 from 10.0.0.0/8",
            "ingress allow tcp/443 from nowhere",
            "ingress allow tcp/443 from sg-none",
            "ingress allow tcp/443 from 10.0.0.0/8 priority 101",
            "ingress allow icmp from 10.0.0.0/8 source-ports 1",
            "ingress allow gre/1 from 10.0.0.0/8",
        ] {
            assert!(read("sg-web", wrong).is_err(), "{wrong}");
        }
        assert!(read("sg-cloud", "ingress deny tcp/1 from 10.0.0.0/8").is_err());
        for part in ["priority 3", "source-ports 1-1023", "own 10.0.0.1"] {
            let refusal = read("sg-cloud", &format!("ingress allow tcp/1 from 10.0.0.0/8 {part}")).unwrap_err();
            assert!(refusal.contains("`sg-cloud` is an EC2 group"), "{refusal}");
        }
    }
}
