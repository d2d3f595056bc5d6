//! Volumes of clouds from before there were CSI drivers, as the drivers that took them over know them (KEP-625, `csi-translation-lib`).

use k8s_openapi::api::core::v1::{PersistentVolume, Volume};

const EBS: &str = "ebs.csi.aws.com";
const GCE: &str = "pd.csi.storage.gke.io";
const AZURE_DISK: &str = "disk.csi.azure.com";
const CINDER: &str = "cinder.csi.openstack.org";
const PORTWORX: &str = "pxd.portworx.com";

/// The driver that provisions what this provisioner of old did; `None` if it is no such.
pub(super) fn driver_for(provisioner: &str) -> Option<&'static str> {
    match provisioner {
        "kubernetes.io/aws-ebs" => Some(EBS),
        "kubernetes.io/gce-pd" => Some(GCE),
        "kubernetes.io/azure-disk" => Some(AZURE_DISK),
        "kubernetes.io/cinder" => Some(CINDER),
        "kubernetes.io/portworx-volume" => Some(PORTWORX),
        _ => None,
    }
}

/// The driver and what it calls the disk that a pod names itself; `None` if no driver took it over.
pub(super) fn of_pod_volume(volume: &Volume) -> Option<(&'static str, String)> {
    if let Some(disk) = &volume.aws_elastic_block_store {
        return Some((EBS, ebs_id(&disk.volume_id)?));
    }
    if let Some(disk) = &volume.gce_persistent_disk {
        return Some((GCE, gce_id(&disk.pd_name, "")?));
    }
    let azure = volume.azure_disk.as_ref().map(|disk| (AZURE_DISK, disk.disk_uri.clone()));
    let cinder = volume.cinder.as_ref().map(|disk| (CINDER, disk.volume_id.clone()));
    let portworx = volume.portworx_volume.as_ref().map(|disk| (PORTWORX, disk.volume_id.clone()));
    azure.or(cinder).or(portworx)
}

/// The same of a persistent volume.
pub(super) fn of_persistent_volume(volume: &PersistentVolume) -> Option<(&'static str, String)> {
    let spec = volume.spec.as_ref()?;
    if let Some(disk) = &spec.aws_elastic_block_store {
        return Some((EBS, ebs_id(&disk.volume_id)?));
    }
    if let Some(disk) = &spec.gce_persistent_disk {
        let label = |name: &str| volume.metadata.labels.as_ref().and_then(|labels| labels.get(name));
        let zones = label("topology.kubernetes.io/zone").or_else(|| label("failure-domain.beta.kubernetes.io/zone"));
        return Some((GCE, gce_id(&disk.pd_name, zones.map_or("", String::as_str))?));
    }
    let azure = spec.azure_disk.as_ref().map(|disk| (AZURE_DISK, disk.disk_uri.clone()));
    let cinder = spec.cinder.as_ref().map(|disk| (CINDER, disk.volume_id.clone()));
    let portworx = spec.portworx_volume.as_ref().map(|disk| (PORTWORX, disk.volume_id.clone()));
    azure.or(cinder).or(portworx)
}

/// `vol-1` as it stands, or of `aws://zone/vol-1` the end.
fn ebs_id(id: &str) -> Option<String> {
    let last = id.rsplit('/').next().unwrap_or(id);
    (last.starts_with("vol-") && (last == id || id.starts_with("aws://"))).then(|| last.to_owned())
}

/// A disk is in a zone, or in the region of its zones.
fn gce_id(name: &str, zones: &str) -> Option<String> {
    let mut zones = zones.split("__");
    let first = zones.next().unwrap_or_default();
    let mut others = zones.peekable();
    let place = if others.peek().is_some() {
        let region = |zone: &str| zone.rsplit_once('-').map(|(region, _)| region.to_owned());
        let of_first = region(first)?;
        if others.any(|zone| region(zone).as_ref() != Some(&of_first)) {
            return None;
        }
        format!("regions/{of_first}")
    } else {
        format!("zones/{}", if first.is_empty() { "UNSPECIFIED" } else { first })
    };
    Some(format!("projects/UNSPECIFIED/{place}/disks/{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_have_the_names_that_their_drivers_give_them() {
        for (id, expected) in [
            ("vol-1", Some("vol-1")),
            ("aws://us-east-1a/vol-1", Some("vol-1")),
            ("aws:///vol-1", Some("vol-1")),
            ("disk-1", None),
            ("gs://a/vol-1", None),
        ] {
            assert_eq!(ebs_id(id).as_deref(), expected, "{id}");
        }
        for (zones, expected) in [
            ("", Some("projects/UNSPECIFIED/zones/UNSPECIFIED/disks/d")),
            ("europe-west1-b", Some("projects/UNSPECIFIED/zones/europe-west1-b/disks/d")),
            ("europe-west1-b__europe-west1-c", Some("projects/UNSPECIFIED/regions/europe-west1/disks/d")),
            ("europe-west1-b__us-east1-c", None),
        ] {
            assert_eq!(gce_id("d", zones).as_deref(), expected, "{zones}");
        }
    }
}
