//! Reading parameters one by one: ids, numbers, words, and the region that the request is about.

use std::{net::Ipv6Addr, ops::RangeInclusive};

use sekimori_core::{
    ids::{AccountId, EniId, GroupId, InstanceId, PrefixListId, SubnetId, VpcId},
    refusal::Kind,
    world::{Instance, World},
};

use crate::{
    ec2::{
        Call,
        catalog::{Action, Version},
        errors::{Fault, IdKind},
        region::Region,
    },
    read::Reader,
};

/// Ids of one list.
const IDS_MAX: usize = 1_000;
/// Bytes of a name or description, of an image id or an instance type.
const WORDS_MAX: usize = 255;
/// Characters of an id behind its prefix.
const ID_TAIL_MAX: usize = 17;

/// A call with the world it is read in.
pub(super) struct Scope<'a> {
    pub(super) call: &'a Call,
    pub(super) world: &'a World,
    pub(super) account: &'a AccountId,
    /// The region that the request is about.
    pub(super) region: &'static Region,
    reader: Reader<'a, Action, Version>,
}

impl<'a> Scope<'a> {
    /// Checks what every operation has: its required parameters.
    pub(super) fn new(call: &'a Call, world: &'a World, account: &'a AccountId) -> Result<Self, Fault> {
        let reader = Reader::new(call.params(), call.entry());
        reader.check_required()?;
        Ok(Self { call, world, account, region: call.region(), reader })
    }

    /// A parameter that is there and not empty.
    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        self.reader.text(name)
    }

    /// The same, of one that the operation cannot do without.
    pub(super) fn required(&self, name: &str) -> Result<&'a str, Fault> {
        Ok(self.reader.required(name)?)
    }

    /// The filled texts of a numbered list.
    pub(super) fn list(&self, name: &str) -> Result<Vec<&'a str>, Fault> {
        let texts = self.reader.list(name);
        if texts.len() > IDS_MAX {
            return Err(Fault::Value(format!(
                "The parameter {name} has more than {IDS_MAX} values; send several requests."
            )));
        }
        Ok(texts)
    }

    /// `true` or `false`, in any case.
    pub(super) fn boolean(&self, name: &str) -> Result<Option<bool>, Fault> {
        Ok(self.reader.boolean(name)?)
    }

    /// A whole number in a range.
    pub(super) fn integer(&self, name: &str, range: RangeInclusive<u32>) -> Result<Option<u32>, Fault> {
        Ok(self.reader.integer(name, range)?)
    }

    /// The numbers of a list's items.
    pub(super) fn items(&self, list: &str) -> Vec<u32> {
        self.call.params().indices(list)
    }

    /// The ids of a list, each once, in the order of the request.
    pub(super) fn ids<T: From<&'a str> + PartialEq>(&self, name: &str, kind: IdKind) -> Result<Vec<T>, Fault> {
        let mut ids = Vec::new();
        for text in self.list(name)? {
            let id = read_id(text, kind)?;
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        Ok(ids)
    }

    /// The VPC that a required parameter names, if it is in the request's region.
    pub(super) fn vpc(&self, name: &str) -> Result<VpcId, Fault> {
        let vpc: VpcId = read_id(self.required(name)?, IdKind::Vpc)?;
        self.check_region(Some(&vpc), Kind::Vpc, vpc.as_str())?;
        Ok(vpc)
    }

    /// The subnet of an id, if it is in the request's region.
    pub(super) fn subnet(&self, text: &'a str) -> Result<SubnetId, Fault> {
        let subnet: SubnetId = read_id(text, IdKind::Subnet)?;
        let vpc = self.world.subnet(&subnet).map(|subnet| &subnet.vpc);
        self.check_region(vpc, Kind::Subnet, text)?;
        Ok(subnet)
    }

    /// The group of an id, if it is in the request's region.
    pub(super) fn group_of(&self, text: &'a str) -> Result<GroupId, Fault> {
        let group: GroupId = read_id(text, IdKind::Group)?;
        let vpc = self.world.group(&group).map(|group| &group.vpc);
        self.check_region(vpc, Kind::Group, text)?;
        Ok(group)
    }

    /// The group that the operation is about. Names are those of the default VPC's groups, and there is no default VPC.
    pub(super) fn group(&self) -> Result<GroupId, Fault> {
        match (self.text("GroupId"), self.text("GroupName")) {
            (Some(id), _) => self.group_of(id),
            (None, Some(name)) => Err(Fault::missing(Kind::Group, name)),
            (None, None) => Err(Fault::Missing { name: "groupName or groupId".to_owned() }),
        }
    }

    /// The instance of an id, if it is in the request's region.
    pub(super) fn check_instance(&self, id: &InstanceId) -> Result<(), Fault> {
        let vpc = self.world.instance(id).map(|instance| &instance.vpc);
        self.check_region(vpc, Kind::Instance, id.as_str())
    }

    /// The caller's instance of an id, if it is in the request's region.
    pub(super) fn own_instance(&self, id: &InstanceId) -> Result<&'a Instance, Fault> {
        self.check_instance(id)?;
        let own = self.world.instance(id).filter(|instance| instance.account == *self.account);
        own.map(|instance| &**instance).ok_or_else(|| Fault::missing(Kind::Instance, id.as_str()))
    }

    /// The interface of an id, if it is in the request's region.
    pub(super) fn interface(&self, text: &'a str) -> Result<EniId, Fault> {
        let eni: EniId = read_id(text, IdKind::Interface)?;
        self.check_region(self.world.eni(&eni).map(|eni| &eni.vpc), Kind::Eni, text)?;
        Ok(eni)
    }

    /// The prefix list of an id, if it is in the request's region.
    pub(super) fn prefix_list(&self, text: &'a str) -> Result<PrefixListId, Fault> {
        let list: PrefixListId = read_id(text, IdKind::PrefixList)?;
        match self.world.prefix_list(&list) {
            Some(known) if known.region != self.region.name => Err(Fault::missing(Kind::PrefixList, text)),
            Some(_) | None => Ok(list),
        }
    }

    /// Refuses a thing whose VPC is in another region. One that is not there at all is left to `core`.
    pub(super) fn check_region(&self, vpc: Option<&VpcId>, kind: Kind, id: &str) -> Result<(), Fault> {
        let vpc = vpc.and_then(|vpc| self.world.vpc(vpc));
        if vpc.is_none_or(|vpc| vpc.region == self.region.name) { Ok(()) } else { Err(Fault::missing(kind, id)) }
    }
}

/// An id of a kind: its prefix, and at most 17 letters and digits.
pub(super) fn read_id<'a, T: From<&'a str>>(text: &'a str, kind: IdKind) -> Result<T, Fault> {
    let tail = text.strip_prefix(kind.prefix()).and_then(|rest| rest.strip_prefix('-'));
    let fits =
        |tail: &str| (1..=ID_TAIL_MAX).contains(&tail.len()) && tail.bytes().all(|b| b.is_ascii_alphanumeric());
    if tail.is_some_and(fits) { Ok(T::from(text)) } else { Err(Fault::MalformedId { kind, id: text.to_owned() }) }
}

/// A name or description: bounded, and without control characters.
pub(super) fn words(text: &str, what: &str) -> Result<String, Fault> {
    if text.len() <= WORDS_MAX && !text.contains(char::is_control) {
        return Ok(text.to_owned());
    }
    Err(Fault::Value(format!("{what} has at most {WORDS_MAX} bytes and no control characters.")))
}

/// An IPv6 address.
pub(super) fn ipv6(text: &str) -> Result<Ipv6Addr, Fault> {
    text.parse().map_err(|_| Fault::Value(format!("Invalid value '{text}' for IPv6 address.")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_the_prefix_of_their_kind() {
        let read = |text, kind| read_id::<String>(text, kind).is_ok();
        assert!(read("sg-0123456789abcdef0", IdKind::Group) && read("sg-51530134", IdKind::Group));
        for text in ["sg", "sg-", "web", "sgr-0123", "sg-0123456789abcdef01", "sg-a b", "sg-東"] {
            assert!(!read(text, IdKind::Group), "{text}");
        }
        assert!(!read("sg-01", IdKind::Rule));
    }
}
