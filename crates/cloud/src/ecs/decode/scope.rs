//! Reading parameters one by one: ids, numbers, words, and the region that the request is about.

use std::ops::RangeInclusive;

use sekimori_core::{
    command::Member,
    ids::{AccountId, GroupId, InstanceId, VpcId},
    refusal::{Kind, Refusal},
    resource::Resource,
    world::World,
};

use crate::{
    ecs::{
        Call,
        call::CLIENT_TOKEN_MAX,
        catalog::{Action, Version},
        errors::{Fault, Words},
        region::Region,
    },
    read::{self, Reader},
};

/// The longest id.
pub(super) const ID_MAX: usize = 100;
/// The longest JSON array of ids, and the longest list of ids.
pub(super) const IDS_MAX: usize = 100;

/// The name of the resource group that things are in which are in no other; answers leave it out, as the cloud's do.
const DEFAULT_RESOURCE_GROUP: &str = "rg-default";

/// A call with the world it is read in.
pub(super) struct Scope<'a> {
    pub(super) call: &'a Call,
    pub(super) world: &'a World,
    pub(super) account: &'a AccountId,
    /// The region that the request names.
    pub(super) region: Option<&'static Region>,
    reader: Reader<'a, Action, Version>,
}

impl<'a> Scope<'a> {
    /// Checks what every operation has: required parameters, region, client token.
    pub(super) fn new(call: &'a Call, world: &'a World, account: &'a AccountId) -> Result<Self, Fault> {
        let reader = Reader::new(call.params(), call.entry());
        let mut scope = Self { call, world, account, region: None, reader };
        scope.reader.check_required()?;
        if let Some(token) = call.client_token() {
            let is_token = token.len() <= CLIENT_TOKEN_MAX && token.bytes().all(|byte| byte.is_ascii_graphic());
            if !is_token {
                return Err(Fault::ClientToken);
            }
        }
        if let Some(id) = call.params().filled("RegionId") {
            scope.region = Some(Region::find(id).ok_or(Fault::Region)?);
        }
        Ok(scope)
    }

    /// The region, of an operation that cannot do without.
    pub(super) fn needs_region(&self) -> Result<&'static Region, Fault> {
        self.region.ok_or_else(|| missing("RegionId"))
    }

    /// A parameter that is there and not empty.
    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        self.reader.text(name)
    }

    /// The same, of one that the operation cannot do without.
    pub(super) fn required(&self, name: &str) -> Result<&'a str, Fault> {
        Ok(self.reader.required(name)?)
    }

    /// An id that is there.
    pub(super) fn id<T: From<&'a str>>(&self, name: &'static str) -> Result<Option<T>, Fault> {
        let Some(text) = self.text(name) else { return Ok(None) };
        if is_id(text) { Ok(Some(T::from(text))) } else { Err(Fault::MalformedId { name }) }
    }

    /// An id that must be there.
    pub(super) fn required_id<T: From<&'a str>>(&self, name: &'static str) -> Result<T, Fault> {
        self.id(name)?.ok_or_else(|| missing(name))
    }

    /// Ids of a numbered list.
    pub(super) fn id_list<T: From<&'a str>>(&self, name: &'static str) -> Result<Vec<T>, Fault> {
        let texts = self.reader.list(name);
        if texts.len() > IDS_MAX || !texts.iter().all(|text| is_id(text)) {
            return Err(Fault::MalformedId { name });
        }
        Ok(texts.into_iter().map(T::from).collect())
    }

    /// The filled texts of a numbered list.
    pub(super) fn texts(&self, name: &str) -> Vec<&'a str> {
        self.reader.list(name)
    }

    /// The owner's words, if they are given and as they must be.
    pub(super) fn words(&self, name: &str, fits: fn(&str) -> bool, fault: Words) -> Result<Option<String>, Fault> {
        let Some(text) = self.text(name) else { return Ok(None) };
        if fits(text) { Ok(Some(text.to_owned())) } else { Err(Fault::Words(fault)) }
    }

    /// Ids in a JSON array.
    pub(super) fn json_ids<T: for<'b> From<&'b str>>(&self, name: &'static str) -> Result<Option<Vec<T>>, Fault> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let texts: Vec<String> = serde_json::from_str(text).map_err(|_| Fault::MalformedId { name })?;
        if texts.len() > IDS_MAX || !texts.iter().all(|text| is_id(text)) {
            return Err(Fault::MalformedId { name });
        }
        Ok(Some(texts.iter().map(|text| T::from(text)).collect()))
    }

    /// `true` or `false`, in any case.
    pub(super) fn boolean(&self, name: &str) -> Result<Option<bool>, Fault> {
        Ok(self.reader.boolean(name)?)
    }

    /// A whole number in a range.
    pub(super) fn integer(&self, name: &str, range: RangeInclusive<u32>) -> Result<Option<u32>, Fault> {
        Ok(self.reader.integer(name, range)?)
    }

    /// A description: 2 to 256 characters, not the beginning of a web address.
    pub(super) fn description(&self, fault: Words) -> Result<String, Fault> {
        let text = self.text("Description").unwrap_or_default();
        if text.is_empty() || is_description(text) { Ok(text.to_owned()) } else { Err(Fault::Words(fault)) }
    }

    /// The resource group of something new; empty is the account's default one.
    pub(super) fn resource_group(&self) -> Result<String, Fault> {
        Ok(self.resource_group_filter()?.unwrap_or_default())
    }

    /// The resource group that something must be in.
    pub(super) fn resource_group_filter(&self) -> Result<Option<String>, Fault> {
        let id: Option<&str> = self.id("ResourceGroupId")?;
        Ok(id.map(|id| if id == DEFAULT_RESOURCE_GROUP { String::new() } else { id.to_owned() }))
    }

    /// The group that the operation is about, if it is in the request's region.
    pub(super) fn group(&self) -> Result<GroupId, Fault> {
        let id: GroupId = self.required_id("SecurityGroupId")?;
        let vpc = self.world.group(&id).map(|group| &group.vpc);
        self.check_region(vpc, Kind::Group, id.as_str())?;
        Ok(id)
    }

    /// The instance or interface that joins or leaves a group.
    pub(super) fn member(&self) -> Result<Member, Fault> {
        let instance: Option<InstanceId> = self.id("InstanceId")?;
        let eni = self.id("NetworkInterfaceId")?;
        match (instance, eni) {
            (Some(_), Some(_)) => Err(Fault::TwoMembers),
            (None, None) => Err(missing("InstanceId")),
            (Some(id), None) => {
                self.check_instance_region(&id)?;
                Ok(Member::Instance(id))
            }
            (None, Some(id)) => {
                self.needs_region()?;
                let vpc = self.world.eni(&id).map(|eni| &eni.vpc);
                self.check_region(vpc, Kind::Eni, id.as_str())?;
                Ok(Member::Eni(id))
            }
        }
    }

    /// Refuses an instance of another region.
    pub(super) fn check_instance_region(&self, id: &InstanceId) -> Result<(), Fault> {
        let vpc = self.world.instance(id).map(|instance| &instance.vpc);
        self.check_region(vpc, Kind::Instance, id.as_str())
    }

    /// Refuses a thing whose VPC is in another region. One that is not there at all is left to `core`.
    pub(super) fn check_region(&self, vpc: Option<&VpcId>, kind: Kind, id: &str) -> Result<(), Fault> {
        let vpc = vpc.and_then(|vpc| self.world.vpc(vpc));
        self.check_is_here(vpc.map(|vpc| vpc.region.as_str()), kind, id)
    }

    /// Refuses a resource of another region.
    pub(super) fn check_resource_region(&self, resource: &Resource) -> Result<(), Fault> {
        let region = self.world.labels(resource).map(|labels| labels.region);
        self.check_is_here(region, resource.kind(), resource.as_str())
    }

    fn check_is_here(&self, found: Option<&str>, kind: Kind, id: &str) -> Result<(), Fault> {
        match (found, self.region) {
            (Some(found), Some(wanted)) if found != wanted.id => {
                Err(Fault::Refused(Refusal::Missing { kind, id: id.to_owned() }))
            }
            (Some(_) | None, Some(_) | None) => Ok(()),
        }
    }
}

pub(super) fn missing(name: &str) -> Fault {
    read::missing(name).into()
}

pub(super) fn invalid(name: &str, reason: String) -> Fault {
    Fault::Invalid { name: name.to_owned(), reason }
}

/// Whether a text can be an id: at most 100 letters, digits, hyphens and underscores.
pub(super) fn is_id(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !text.is_empty() && text.len() <= ID_MAX && text.bytes().all(fits)
}

/// Whether a text can be a name: 2 to 128 characters, a letter first, then letters, digits and `:_.-`.
pub(super) fn is_name(text: &str, also: &[char]) -> bool {
    let fits = |c: char| c.is_alphanumeric() || matches!(c, ':' | '_' | '.' | '-') || also.contains(&c);
    (2..=128).contains(&text.chars().count())
        && text.starts_with(char::is_alphabetic)
        && text.chars().all(fits)
        && !is_web_address(text)
}

/// Whether a text can be the name of a VPC or vSwitch: at most 128 characters of any kind but control ones.
pub(super) fn is_network_name(text: &str) -> bool {
    (1..=128).contains(&text.chars().count()) && !text.contains(char::is_control) && !is_web_address(text)
}

/// Whether a text can be the description of a flow log: one character is enough.
pub(super) fn is_flow_log_description(text: &str) -> bool {
    (1..=256).contains(&text.chars().count()) && is_printable(text) && !is_web_address(text)
}

pub(super) fn is_description(text: &str) -> bool {
    (2..=256).contains(&text.chars().count()) && is_printable(text) && !is_web_address(text)
}

/// Whether a text has no control characters besides line breaks and tabs.
pub(super) fn is_printable(text: &str) -> bool {
    !text.contains(|c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
}

fn is_web_address(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_short_and_plain() {
        assert!(is_id("sg-bp1fg655nh68xyz9i") && is_id("A_b-9"));
        assert!(!is_id("") && !is_id("sg-*") && !is_id("sg-1 ") && !is_id("sg-é") && !is_id(&"a".repeat(101)));
    }

    #[test]
    fn names_begin_with_a_letter_of_any_script() {
        assert!(is_name("web-1:a_b.c", &[]) && is_name("東京", &[]) && is_name("web[1,3]", &['[', ']', ',']));
        for text in ["", "a", "1web", "-web", "web 1", "http://a", "https://a", "web[1]", &"a".repeat(129)] {
            assert!(!is_name(text, &[]), "{text}");
        }
    }
}
