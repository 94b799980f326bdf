//! Parameters of controls: lists of ports, of protocols and of groups, as the clouds write them.

use std::collections::BTreeMap;

use sekimori_core::{
    ids::GroupId,
    rule::{PortRange, Protocol},
};

use super::{
    ComplyError,
    control::{Control, Parameter},
};

/// Values in one list.
const VALUES_MAX: usize = 256;

/// What a parameter is a list of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `80,443,1020-1025`; may be empty.
    Ports,
    /// `tcp,udp` or `all`.
    Protocols,
    /// Ids of security groups.
    Groups,
}

/// Ports, as disjoint ranges in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PortSet(Vec<PortRange>);

impl PortSet {
    /// Some ports.
    pub(super) fn of(ports: &[u16]) -> Self {
        Self::from_ranges(ports.iter().copied().map(PortRange::one).collect())
    }

    fn from_ranges(mut ranges: Vec<PortRange>) -> Self {
        ranges.sort_unstable();
        let mut fewest: Vec<PortRange> = Vec::new();
        for range in ranges {
            let before = fewest.last_mut().filter(|before| u32::from(range.first()) <= u32::from(before.last()) + 1);
            match before {
                Some(before) => {
                    *before = PortRange::new(before.first(), before.last().max(range.last())).unwrap_or(range);
                }
                None => fewest.push(range),
            }
        }
        Self(fewest)
    }

    /// Reads `80,443,1020-1025`.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        let range = |word: &str| {
            let (first, last) = word.split_once('-').unwrap_or((word, word));
            let range = PortRange::new(first.trim().parse().ok()?, last.trim().parse().ok()?);
            range.filter(|range| word.contains('-') || range.first() == range.last())
        };
        let bad = |word: &str| format!("`{word}` is not a port or a range of them; write 443 or 1020-1025");
        let ranges = words.map(|word| range(word).ok_or_else(|| bad(word))).collect::<Result<_, _>>()?;
        Ok(Self::from_ranges(ranges))
    }

    /// The other ports.
    pub(super) fn others(&self) -> Self {
        let mut others = Vec::new();
        let mut next = Some(0_u16);
        for range in &self.0 {
            let gap = next.zip(range.first().checked_sub(1)).and_then(|(first, last)| PortRange::new(first, last));
            others.extend(gap);
            next = range.last().checked_add(1);
        }
        others.extend(next.and_then(|first| PortRange::new(first, u16::MAX)));
        Self(others)
    }

    /// The ports of a range that are in it.
    pub(super) fn within(&self, range: PortRange) -> impl Iterator<Item = PortRange> + use<'_> {
        self.0
            .iter()
            .filter_map(move |own| PortRange::new(own.first().max(range.first()), own.last().min(range.last())))
    }
}

/// The parameters that were given, by control and name.
#[derive(Debug, Default)]
pub(super) struct Parameters(BTreeMap<(&'static str, &'static str), String>);

impl Parameters {
    /// Reads `NAME=VALUE` and `CONTROL.NAME=VALUE`. A name without its control counts for every control that has it.
    pub(super) fn read(texts: &[String], controls: &[&'static Control]) -> Result<Self, ComplyError> {
        let mut read = Self::default();
        for text in texts {
            read.add(text, controls).map_err(ComplyError::Parameter)?;
        }
        Ok(read)
    }

    fn add(&mut self, text: &str, controls: &[&'static Control]) -> Result<(), String> {
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| format!("`{text}` is not a parameter; write authorizedTcpPorts=80,443"))?;
        let (control, name) = match name.rsplit_once('.') {
            Some((control, name)) => (Some(control), name),
            None => (None, name),
        };
        let asked = controls.iter().filter(|one| control.is_none_or(|id| one.id.eq_ignore_ascii_case(id)));
        let mut is_known = false;
        for control in asked {
            for parameter in control.parameters.iter().filter(|own| own.name.eq_ignore_ascii_case(name)) {
                check(parameter, value).map_err(|reason| format!("parameter {}: {reason}", parameter.name))?;
                self.0.insert((control.id, parameter.name), value.to_owned());
                is_known = true;
            }
        }
        if is_known { Ok(()) } else { Err(unknown(text, controls)) }
    }

    /// What was given, or the default.
    pub(super) fn text(&self, control: &str, parameter: &Parameter) -> Option<String> {
        let given = self.0.iter().find(|((id, name), _)| *id == control && *name == parameter.name);
        given.map(|(_, value)| value.clone()).or_else(|| parameter.default.map(str::to_owned))
    }

    fn named(&self, control: &Control, name: &str) -> String {
        let parameter = control.parameters.iter().find(|own| own.name == name);
        parameter.and_then(|parameter| self.text(control.id, parameter)).unwrap_or_default()
    }

    /// A list of ports. It was read before, so that it can be read.
    pub(super) fn ports(&self, control: &Control, name: &str) -> PortSet {
        PortSet::read(&self.named(control, name)).unwrap_or_default()
    }

    /// A list of protocols, of those that have ports.
    pub(super) fn protocols(&self, control: &Control, name: &str) -> Vec<Protocol> {
        words(&self.named(control, name)).flat_map(|word| protocol(&word).unwrap_or_default()).collect()
    }

    /// A list of groups.
    pub(super) fn groups(&self, control: &Control, name: &str) -> Vec<GroupId> {
        words(&self.named(control, name)).map(GroupId::from).collect()
    }
}

fn words(text: &str) -> impl Iterator<Item = String> + use<'_> {
    text.split(',').map(|word| word.trim().to_owned()).filter(|word| !word.is_empty())
}

fn protocol(word: &str) -> Option<Vec<Protocol>> {
    match word.to_lowercase().as_str() {
        "tcp" => Some(vec![Protocol::TCP]),
        "udp" => Some(vec![Protocol::UDP]),
        "all" => Some(vec![Protocol::TCP, Protocol::UDP]),
        _ => None,
    }
}

fn check(parameter: &Parameter, value: &str) -> Result<(), String> {
    let count = words(value).count();
    if count > VALUES_MAX {
        return Err(format!("{count} values are too many; give at most {VALUES_MAX}"));
    }
    match parameter.kind {
        Kind::Ports => PortSet::read(value).map(drop),
        Kind::Protocols => {
            let bad = words(value).find(|word| protocol(word).is_none());
            bad.map_or(Ok(()), |word| Err(format!("`{word}` is not a protocol with ports; use tcp, udp or all")))
        }
        Kind::Groups if count == 0 => Err("no group is named; give ids with commas between them".to_owned()),
        Kind::Groups => Ok(()),
    }
}

fn unknown(text: &str, controls: &[&'static Control]) -> String {
    let names = controls
        .iter()
        .flat_map(|control| control.parameters.iter().map(|parameter| format!("{}.{}", control.id, parameter.name)));
    let known: Vec<String> = names.collect();
    if known.is_empty() {
        return format!("`{text}` names no parameter: the controls that were named have none");
    }
    format!("`{text}` names no parameter of the controls that were named; they have {}", known.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(set: &PortSet) -> Vec<String> {
        set.0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn ports_are_read_as_the_clouds_write_them() {
        let set = PortSet::read("443, 80,1020-1025,1026,1000-1021").unwrap();
        assert_eq!(told(&set), ["80", "443", "1000-1026"]);
        assert_eq!(told(&set.others()), ["0-79", "81-442", "444-999", "1027-65535"]);
        assert_eq!(told(&PortSet::read("").unwrap().others()), ["0-65535"]);
        assert_eq!(told(&PortSet::read("0-65535").unwrap().others()), Vec::<String>::new());
        assert_eq!(told(&PortSet::of(&[65535, 0]).others()), ["1-65534"]);
        for bad in ["x", "70000", "5-1", "1-", "-1", "22 23"] {
            assert!(PortSet::read(bad).unwrap_err().contains("is not a port"), "{bad}");
        }
    }

    #[test]
    fn ports_of_a_range_are_cut_out() {
        let set = PortSet::read("22,100-200").unwrap();
        let within: Vec<String> =
            set.within(PortRange::new(22, 150).unwrap()).map(|range| range.to_string()).collect();
        assert_eq!(within, ["22", "100-150"]);
        assert!(set.within(PortRange::one(80)).next().is_none());
    }
}
