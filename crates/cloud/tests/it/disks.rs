//! Disks, as instances were asked to have them.

use crate::{ecs::check, estate::Estate};
use expect_test::expect;

/// An estate with an instance `$7` whose disk is described, and one `$8` whose disk is not.
fn with_disks() -> Estate {
    let mut estate = Estate::furnished();
    estate.call(
        "RunInstances&VSwitchId=$4&SecurityGroupId=$5&ImageId=aliyun_3&SystemDisk.Category=cloud_auto\
         &SystemDisk.Size=100&SystemDisk.PerformanceLevel=PL1&SystemDisk.DiskName=root&SystemDisk.Description=the%20root\
         &ResourceGroupId=rg-1&Tag.1.Key=env&Tag.1.Value=prod",
    );
    estate.call("RunInstances&VSwitchId=$4&SecurityGroupId=$5");
    estate
}

#[test]
fn a_system_disk_is_shown_as_it_was_asked_for() {
    let mut estate = with_disks();
    check(
        &mut estate,
        "DescribeDisks&InstanceId=$7",
        &expect![[
            r#"{"PageNumber":1,"PageSize":10,"TotalCount":1,"NextToken":"","Disks":{"Disk":[{"SerialNumber":"d-4l0494zgrizvolsa4ubh","DiskId":"d-4l0494zgrizvolsa4ubh","DiskName":"root","Description":"the root","Type":"system","Category":"cloud_auto","PerformanceLevel":"PL1","Size":100,"Status":"In_use","InstanceId":"$7","ImageId":"aliyun_3","Device":"/dev/xvda","Attachments":{"Attachment":[{"InstanceId":"$7","Device":"/dev/xvda","AttachedTime":"2018-12-12T07:28:38Z"}]},"RegionId":"cn-hangzhou","ZoneId":"cn-hangzhou-b","CreationTime":"2018-12-12T07:28:38Z","AttachedTime":"2018-12-12T07:28:38Z","ResourceGroupId":"rg-1","Tags":{"Tag":[{"TagKey":"env","TagValue":"prod"}]},"DetachedTime":"","ExpiredTime":"","SourceSnapshotId":"","AutoSnapshotPolicyId":"","KMSKeyId":"","ProductCode":"","Encrypted":false,"Portable":false,"DeleteAutoSnapshot":false,"EnableAutoSnapshot":false,"EnableAutomatedSnapshotPolicy":false,"DeleteWithInstance":true,"DiskChargeType":"PostPaid","MultiAttach":"Disabled","MountInstances":{"MountInstance":[]},"OperationLocks":{"OperationLock":[]}}]}}"#
        ]],
    );
    let plain = estate.call("DescribeDisks&InstanceId=$8");
    assert!(plain.contains(r#""Category":"cloud_essd""#) && plain.contains(r#""Size":40"#), "{plain}");
}

#[test]
fn disks_are_found_by_what_they_are_and_come_in_parts() {
    let mut estate = with_disks();
    let id = format!("d-{}", estate.id(7).trim_start_matches("i-"));
    for (filter, count) in [
        ("", 2),
        ("DiskType=all&Status=All&Category=all&DiskChargeType=PostPaid&MultiAttach=Disabled", 2),
        ("DiskType=system&Status=In_use&DeleteWithInstance=true&Encrypted=false&Portable=false", 2),
        ("EnableShared=false&EnableAutoSnapshot=false&DeleteAutoSnapshot=false", 2),
        ("EnableAutomatedSnapshotPolicy=false&ZoneId=cn-hangzhou-b", 2),
        (&format!("DiskIds=%5B%22{id}%22,%22d-none%22%5D"), 1),
        ("Category=cloud_auto&PerformanceLevel=PL1&DiskName=ro*&ResourceGroupId=rg-1&Tag.1.Key=env", 1),
        ("Tag.1.key=env&Tag.1.value=prod", 1),
        ("Tag.1.key=env&Tag.1.value=test", 0),
        ("DiskIds=%5B%5D", 0),
        ("DiskType=data", 0),
        ("Status=Available", 0),
        ("DiskChargeType=PrePaid", 0),
        ("MultiAttach=Enabled", 0),
        ("DeleteWithInstance=false", 0),
        ("Encrypted=true", 0),
        ("Portable=true", 0),
        ("EnableShared=true", 0),
        ("EnableAutoSnapshot=true", 0),
        ("DeleteAutoSnapshot=true", 0),
        ("EnableAutomatedSnapshotPolicy=true", 0),
        ("SnapshotId=s-1", 0),
        ("AutoSnapshotPolicyId=sp-1", 0),
        ("KMSKeyId=k-1", 0),
        ("LockReason=recycling", 0),
        ("ZoneId=cn-hangzhou-c", 0),
        ("RegionId=cn-beijing", 0),
        ("MaxResults=1", 1),
        ("PageSize=1&PageNumber=2", 1),
    ] {
        let found = estate.call(&format!("DescribeDisks&{filter}"));
        assert_eq!(found.matches("\"DiskId\"").count(), count, "{filter}: {found}");
    }
    for wrong in ["DiskIds=d-1", "PageSize=101", "MaxResults=501", "Encrypted=perhaps"] {
        let told = estate.call(&format!("DescribeDisks&{wrong}"));
        assert!(told.starts_with("400 InvalidParameter "), "{wrong}: {told}");
    }
}

#[test]
fn a_system_disk_that_cannot_be_starts_no_instance() {
    let mut estate = Estate::furnished();
    for wrong in
        ["Size=0", "Size=2049", "Size=big", "DiskName=1", "Description=x", "Category=%01", "PerformanceLevel=%01"]
    {
        let told = estate.call(&format!("RunInstances&VSwitchId=$4&SecurityGroupId=$5&SystemDisk.{wrong}"));
        assert!(told.starts_with("400 InvalidParameter "), "{wrong}: {told}");
    }
    assert!(!estate.call("DescribeDisks").contains("DiskId"));
}
