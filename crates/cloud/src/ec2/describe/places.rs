//! Regions, zones, what an account may, and who it is.

use sekimori_core::{
    ids::AccountId,
    limits::{LimitMode, Limits},
    tags::Tags,
    world::Dialect,
};

use super::View;
use crate::{
    ec2::{
        errors::Fault,
        query::Named,
        region::{REGIONS, Region, Zone},
    },
    node::{Fields, list},
};

/// Every key belongs to its account itself: there are no users and no roles.
pub(super) fn caller(account: &AccountId) -> Fields {
    vec![
        ("Arn", format!("arn:aws:iam::{account}:root").into()),
        ("UserId", account.as_str().into()),
        ("Account", account.as_str().into()),
    ]
}

pub(super) fn regions(named: &Named) -> Result<Fields, Fault> {
    if let Some(name) = named.names.iter().find(|name| Region::find(name).is_none()) {
        return Err(Fault::Value(format!("Invalid region names: [{name}]")));
    }
    let values = |region: &Region, filter: &str| match filter {
        "region-name" => vec![region.name.to_owned()],
        "endpoint" => vec![region.endpoint()],
        "opt-in-status" => vec![opt_in(region).to_owned()],
        _ => Vec::new(),
    };
    let is_wanted = |region: &&Region| {
        (named.names.is_empty() || named.names.iter().any(|name| name == region.name))
            && named.filters.pass(&Tags::default(), |filter| values(region, filter))
    };
    let item = |region: &Region| -> Fields {
        vec![
            ("regionName", region.name.into()),
            ("regionEndpoint", region.endpoint().into()),
            ("optInStatus", opt_in(region).into()),
        ]
    };
    Ok(vec![("regionInfo", list("item", REGIONS.iter().filter(is_wanted).map(item)))])
}

pub(super) fn zones(named: &Named, view: &View<'_>) -> Result<Fields, Fault> {
    let region = view.region;
    let is_named = |zone: &Zone, name: &String| *name == zone.name || *name == zone.id;
    if let Some(name) = named.names.iter().find(|name| !region.zones().any(|zone| is_named(&zone, name))) {
        return Err(Fault::Value(format!("Invalid availability zone: [{name}]")));
    }
    let values = |zone: &Zone, filter: &str| match filter {
        "zone-name" => vec![zone.name.clone()],
        "zone-id" => vec![zone.id.clone()],
        "region-name" | "group-name" => vec![region.name.to_owned()],
        "state" => vec!["available".to_owned()],
        "opt-in-status" => vec!["opt-in-not-required".to_owned()],
        "zone-type" => vec!["availability-zone".to_owned()],
        _ => Vec::new(),
    };
    let is_wanted = |zone: &Zone| {
        (named.names.is_empty() || named.names.iter().any(|name| is_named(zone, name)))
            && named.filters.pass(&Tags::default(), |filter| values(zone, filter))
    };
    let item = |zone: Zone| -> Fields {
        vec![
            ("zoneName", zone.name.into()),
            ("zoneId", zone.id.into()),
            ("zoneState", "available".into()),
            ("regionName", region.name.into()),
            ("groupName", region.name.into()),
            ("networkBorderGroup", region.name.into()),
            ("optInStatus", "opt-in-not-required".into()),
            ("zoneType", "availability-zone".into()),
            ("messageSet", list::<&str>("item", [])),
        ]
    };
    Ok(vec![("availabilityZoneInfo", list("item", region.zones().filter(is_wanted).map(item)))])
}

/// What `DescribeAccountAttributes` answers. There is no default VPC.
pub(super) fn account_attributes(names: &[String]) -> Result<Fields, Fault> {
    let limits = Limits::of(LimitMode::Cloud, Dialect::Ec2);
    let known = [
        ("supported-platforms", "VPC".to_owned()),
        ("default-vpc", "none".to_owned()),
        ("max-instances", limits.instances_per_call.to_string()),
        ("vpc-max-security-groups-per-interface", limits.groups_per_eni.to_string()),
        ("max-elastic-ips", "0".to_owned()),
        ("vpc-max-elastic-ips", "0".to_owned()),
    ];
    if let Some(name) = names.iter().find(|name| !known.iter().any(|(own, _)| own == name)) {
        return Err(Fault::Value(format!(
            "Value ({name}) for parameter attributeName is invalid. Unknown attribute."
        )));
    }
    let wanted = known.into_iter().filter(|(own, _)| names.is_empty() || names.iter().any(|name| name == own));
    let item = |(name, value): (&'static str, String)| -> Fields {
        let value: Fields = vec![("attributeValue", value.into())];
        vec![("attributeName", name.into()), ("attributeValueSet", list("item", [value]))]
    };
    Ok(vec![("accountAttributeSet", list("item", wanted.map(item)))])
}

fn opt_in(region: &Region) -> &'static str {
    if region.is_opt_in { "opted-in" } else { "opt-in-not-required" }
}
