//! Disks: each instance shows the system disk that was asked for. Its files are those of its host.

use std::sync::Arc;

use sekimori_core::{
    ids::InstanceId,
    world::{Instance, SystemDisk},
};

use super::{
    View,
    instances::zone_of,
    page::{Order, part},
    tags,
};
use crate::{
    ecs::{
        encode::{Fields, list, number},
        query::DiskQuery,
    },
    time::to_seconds,
};

/// Where a system disk is in its instance.
const DEVICE: &str = "/dev/xvda";

/// What `DescribeDisks` answers.
pub(super) fn disks(query: &DiskQuery, view: &View<'_>) -> Fields {
    let all: Vec<&Arc<Instance>> = view.world.instances().filter(|instance| passes(query, view, instance)).collect();
    let (wanted, mut fields) = part(all, &query.page, Order::Ascending, |instance| disk_id(&instance.id));
    fields.push(("Disks", list("Disk", wanted.into_iter().map(|instance| disk_fields(instance, view)))));
    fields
}

fn passes(query: &DiskQuery, view: &View<'_>, instance: &Instance) -> bool {
    let SystemDisk { category, performance_level, name, .. } = &instance.disk;
    instance.account == *view.account
        && !query.is_empty
        && view.is_in(&instance.vpc, Some(query.region))
        && query.ids.as_ref().is_none_or(|ids| ids.contains(&disk_id(&instance.id)))
        && query.instance.as_ref().is_none_or(|wanted| *wanted == instance.id)
        && query.zone.as_ref().is_none_or(|zone| zone == zone_of(instance, view))
        && query.category.as_ref().is_none_or(|wanted| wanted == category)
        && query.performance_level.as_ref().is_none_or(|wanted| wanted == performance_level)
        && query.name.as_ref().is_none_or(|wanted| wanted.matches(name))
        && query.resource_group.as_ref().is_none_or(|wanted| *wanted == instance.resource_group)
        && instance.tags.pass(&query.tags)
}

/// `d-…` of `i-…`: an instance has one disk.
fn disk_id(instance: &InstanceId) -> String {
    let tail = instance.as_str().split_once('-').map_or(instance.as_str(), |(_, tail)| tail);
    format!("d-{tail}")
}

fn disk_fields(instance: &Instance, view: &View<'_>) -> Fields {
    let SystemDisk { category, performance_level, size_gib, name, description } = &instance.disk;
    let id = disk_id(&instance.id);
    let made = || to_seconds(instance.created_at);
    let attachment =
        vec![("InstanceId", instance.id.as_str().into()), ("Device", DEVICE.into()), ("AttachedTime", made().into())];
    let mut fields = vec![
        ("SerialNumber", id.as_str().into()),
        ("DiskId", id.into()),
        ("DiskName", name.as_str().into()),
        ("Description", description.as_str().into()),
        ("Type", "system".into()),
        ("Category", category.as_str().into()),
        ("PerformanceLevel", performance_level.as_str().into()),
        ("Size", number(*size_gib)),
        ("Status", "In_use".into()),
        ("InstanceId", instance.id.as_str().into()),
        ("ImageId", instance.image.as_str().into()),
        ("Device", DEVICE.into()),
        ("Attachments", list("Attachment", [attachment])),
        ("RegionId", view.region_of(&instance.vpc).into()),
        ("ZoneId", zone_of(instance, view).into()),
        ("CreationTime", made().into()),
        ("AttachedTime", made().into()),
        ("ResourceGroupId", instance.resource_group.as_str().into()),
        ("Tags", tags::node(&instance.tags)),
    ];
    fields.extend(what_no_disk_has());
    fields
}

fn what_no_disk_has() -> Fields {
    let empty =
        ["DetachedTime", "ExpiredTime", "SourceSnapshotId", "AutoSnapshotPolicyId", "KMSKeyId", "ProductCode"];
    let off = ["Encrypted", "Portable", "DeleteAutoSnapshot", "EnableAutoSnapshot", "EnableAutomatedSnapshotPolicy"];
    let mut fields: Fields = empty.map(|name| (name, "".into())).into();
    fields.extend(off.map(|name| (name, false.into())));
    fields.extend([
        ("DeleteWithInstance", true.into()),
        ("DiskChargeType", "PostPaid".into()),
        ("MultiAttach", "Disabled".into()),
        ("MountInstances", list::<&str>("MountInstance", [])),
        ("OperationLocks", list::<&str>("OperationLock", [])),
    ]);
    fields
}
