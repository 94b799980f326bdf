//! Disks: the system disk of a new instance, kept as it was asked for, and what is asked about them.

use sekimori_core::{ids::InstanceId, limits::SYSTEM_DISK_GIB, world::SystemDisk};

use super::{
    instances::label,
    queries::{PAGING, Paging, is_set, is_true, page, pattern},
    scope::{Scope, invalid, is_description, is_name},
    tags,
};
use crate::ecs::{
    errors::Fault,
    query::{DiskQuery, Query},
};

const DISK_PAGING: Paging = Paging { size_max: 100, results_max: 500, ..PAGING };

/// The system disk of a new instance.
pub(super) fn system(scope: &Scope<'_>) -> Result<SystemDisk, Fault> {
    let default = SystemDisk::default();
    let category = label(scope, "SystemDisk.Category")?;
    Ok(SystemDisk {
        category: if category.is_empty() { default.category } else { category },
        performance_level: label(scope, "SystemDisk.PerformanceLevel")?,
        size_gib: scope.integer("SystemDisk.Size", SYSTEM_DISK_GIB)?.unwrap_or(default.size_gib),
        name: words(scope, "SystemDisk.DiskName", |text| is_name(text, &[]))?,
        description: words(scope, "SystemDisk.Description", is_description)?,
    })
}

fn words(scope: &Scope<'_>, name: &str, fits: impl Fn(&str) -> bool) -> Result<String, Fault> {
    let text = scope.text(name).unwrap_or_default();
    if text.is_empty() || fits(text) {
        return Ok(text.to_owned());
    }
    Err(invalid(name, "it is too short, too long, or has characters that it cannot have".to_owned()))
}

pub(super) fn disks(scope: &Scope<'_>) -> Result<Query, Fault> {
    let ids: Option<Vec<InstanceId>> = scope.json_ids("DiskIds")?;
    Ok(Query::Disks(Box::new(DiskQuery {
        region: scope.needs_region()?,
        ids: ids.map(|ids| ids.iter().map(ToString::to_string).collect()),
        instance: scope.id("InstanceId")?,
        zone: scope.text("ZoneId").map(str::to_owned),
        category: scope.text("Category").filter(|text| *text != "all").map(str::to_owned),
        performance_level: scope.text("PerformanceLevel").map(str::to_owned),
        name: scope.text("DiskName").map(pattern),
        resource_group: scope.resource_group_filter()?,
        tags: tags::filters(scope)?,
        is_empty: is_of_another_disk(scope)?,
        page: page(scope, &DISK_PAGING)?,
    })))
}

/// Whether a filter is set that no disk of here passes: each is an attached, unencrypted system disk that goes with
/// its instance, paid by use, without snapshots.
fn is_of_another_disk(scope: &Scope<'_>) -> Result<bool, Fault> {
    let is_other = |name: &str, own: &[&str]| {
        scope.text(name).is_some_and(|text| !own.iter().any(|own| own.eq_ignore_ascii_case(text)))
    };
    let never = ["Encrypted", "Portable", "EnableShared", "EnableAutoSnapshot", "DeleteAutoSnapshot"];
    let mut is_never = false;
    for name in never.into_iter().chain(["EnableAutomatedSnapshotPolicy"]) {
        is_never |= is_true(scope, name)?;
    }
    Ok(is_never
        || scope.boolean("DeleteWithInstance")? == Some(false)
        || is_other("DiskType", &["all", "system"])
        || is_other("Status", &["All", "In_use"])
        || is_other("DiskChargeType", &["PostPaid"])
        || is_other("MultiAttach", &["Disabled"])
        || is_set(scope, &["SnapshotId", "AutoSnapshotPolicyId", "KMSKeyId", "LockReason"]))
}
