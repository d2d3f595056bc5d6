//! Disks that pods name themselves, which one node can have mounted once only.

use k8s_openapi::api::core::v1::Volume;

/// Whether two pods of a node may conflict about such a volume.
pub(super) fn is_exclusive(volume: &Volume) -> bool {
    volume.gce_persistent_disk.is_some()
        || volume.aws_elastic_block_store.is_some()
        || volume.iscsi.is_some()
        || volume.rbd.is_some()
}

/// Whether both are the same disk and one node cannot mount it for both. All but EBS disks can be mounted by any number of pods that only
/// read.
pub(super) fn conflict(a: &Volume, b: &Volume) -> bool {
    let both_read = |a: Option<bool>, b: Option<bool>| a.unwrap_or(false) && b.unwrap_or(false);
    let gce = a.gce_persistent_disk.as_ref().zip(b.gce_persistent_disk.as_ref());
    let ebs = a.aws_elastic_block_store.as_ref().zip(b.aws_elastic_block_store.as_ref());
    let iscsi = a.iscsi.as_ref().zip(b.iscsi.as_ref());
    let rbd = a.rbd.as_ref().zip(b.rbd.as_ref());
    gce.is_some_and(|(a, b)| a.pd_name == b.pd_name && !both_read(a.read_only, b.read_only))
        || ebs.is_some_and(|(a, b)| a.volume_id == b.volume_id)
        || iscsi.is_some_and(|(a, b)| a.iqn == b.iqn && !both_read(a.read_only, b.read_only))
        || rbd.is_some_and(|(a, b)| {
            a.monitors.iter().any(|monitor| b.monitors.contains(monitor))
                && pool(a.pool.as_deref()) == pool(b.pool.as_deref())
                && a.image == b.image
                && !both_read(a.read_only, b.read_only)
        })
}

/// The API server fills the pool in.
fn pool(name: Option<&str>) -> &str {
    name.unwrap_or("rbd")
}
