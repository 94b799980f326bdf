//! Attributes of an instance or an interface, one by one.

use std::net::IpAddr;

use sekimori_core::{
    ids::{EniId, InstanceId},
    refusal::Kind,
};

use super::{View, instances::group_set, interfaces::attachment};
use crate::{
    ec2::errors::Fault,
    node::{Fields, Node, list},
};

/// What `DescribeInstanceAttribute` answers. Of what a network namespace does not have, only the id; an empty element
/// where EC2 has one when nothing is set, because clients look into it.
pub(super) fn of_instance(id: &InstanceId, name: &str, view: &View<'_>) -> Result<Fields, Fault> {
    let own = view.world.instance(id).filter(|instance| instance.account == *view.account);
    let instance = own.ok_or_else(|| Fault::missing(Kind::Instance, id.as_str()))?;
    let mut fields: Fields = vec![("instanceId", id.as_str().into())];
    let eni = view.world.primary_eni(id);
    match name {
        "groupSet" => fields.extend(eni.map(|eni| ("groupSet", group_set(&eni.groups, view)))),
        "sourceDestCheck" => fields.extend(eni.map(|eni| ("sourceDestCheck", value(eni.source_check.into())))),
        "instanceType" => fields.push(("instanceType", value(instance.instance_type.as_str().into()))),
        "instanceInitiatedShutdownBehavior" => {
            fields.push(("instanceInitiatedShutdownBehavior", value("stop".into())));
        }
        "disableApiStop" => fields.push(("disableApiStop", value(false.into()))),
        "disableApiTermination" => fields.push(("disableApiTermination", value(false.into()))),
        "ebsOptimized" => fields.push(("ebsOptimized", value(false.into()))),
        "enaSupport" => fields.push(("enaSupport", value(true.into()))),
        "blockDeviceMapping" => fields.push(("blockDeviceMapping", list::<&str>("item", []))),
        "productCodes" => fields.push(("productCodes", list::<&str>("item", []))),
        "kernel" => fields.push(("kernel", Node::Object(Vec::new()))),
        "ramdisk" => fields.push(("ramdisk", Node::Object(Vec::new()))),
        "userData" => fields.push(("userData", Node::Object(Vec::new()))),
        _ => {}
    }
    Ok(fields)
}

/// What `DescribeNetworkInterfaceAttribute` answers.
pub(super) fn of_interface(id: &EniId, name: &str, view: &View<'_>) -> Result<Fields, Fault> {
    let own = view.world.eni(id).filter(|eni| eni.account == *view.account);
    let eni = own.ok_or_else(|| Fault::missing(Kind::Eni, id.as_str()))?;
    let mut fields: Fields = vec![("networkInterfaceId", id.as_str().into())];
    match name {
        "groupSet" => fields.push(("groupSet", group_set(&eni.groups, view))),
        "description" => fields.push(("description", value(eni.description.as_str().into()))),
        "sourceDestCheck" => fields.push(("sourceDestCheck", value(eni.source_check.into()))),
        "attachment" => fields.extend(attachment(eni).map(|attachment| ("attachment", attachment.into()))),
        _ => {}
    }
    Ok(fields)
}

/// What assigning addresses answers.
pub(super) fn assigned(eni: &EniId, addresses: &[IpAddr]) -> Fields {
    let item = |address: &IpAddr| -> Fields { vec![("privateIpAddress", address.to_string().into())] };
    vec![
        ("networkInterfaceId", eni.as_str().into()),
        ("assignedPrivateIpAddressesSet", list("item", addresses.iter().map(item))),
        ("assignedIpv4PrefixSet", list::<&str>("item", [])),
    ]
}

pub(super) fn value(value: Node) -> Node {
    Node::Object(vec![("value", value)])
}
