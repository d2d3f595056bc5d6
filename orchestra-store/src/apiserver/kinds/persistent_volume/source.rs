//! What a volume is made of. There should be one; the type allows all.

use k8s_openapi::api::core::v1::PersistentVolumeSpec;

use crate::apiserver::{
    field::{Error, Errors, Path},
    kinds::pod,
};

macro_rules! sources {
    ($spec:expr, $($field:ident $name:literal)*) => {
        [$(($spec.$field.is_some(), $name)),*].into_iter().filter(|(set, _)| *set).map(|(_, name)| name).collect()
    };
}

/// The names of the sources that are set, in the order in which Kubernetes checks them.
fn of(spec: &PersistentVolumeSpec) -> Vec<&'static str> {
    sources!(spec,
        host_path "hostPath" gce_persistent_disk "gcePersistentDisk" aws_elastic_block_store "awsElasticBlockStore"
        glusterfs "glusterfs" flocker "flocker" nfs "nfs" rbd "rbd" quobyte "quobyte" cephfs "cephFS" iscsi "iscsi"
        cinder "cinder" fc "fc" flex_volume "flexVolume" azure_file "azureFile" vsphere_volume "vsphereVolume"
        photon_persistent_disk "photonPersistentDisk" portworx_volume "portworxVolume" azure_disk "azureDisk"
        scale_io "scaleIO" local "local" storageos "storageos" csi "csi")
}

/// Fills in what the sources leave out.
pub(super) fn default(spec: &mut PersistentVolumeSpec) {
    let or = |field: &mut Option<String>, value: &str| {
        field.get_or_insert_with(|| value.to_owned());
    };
    if let Some(path) = &mut spec.host_path {
        path.type_.get_or_insert_default();
    }
    if let Some(iscsi) = &mut spec.iscsi {
        or(&mut iscsi.iscsi_interface, "default");
    }
    if let Some(rbd) = &mut spec.rbd {
        or(&mut rbd.pool, "rbd");
        or(&mut rbd.user, "admin");
        or(&mut rbd.keyring, "/etc/ceph/keyring");
    }
    if let Some(disk) = &mut spec.azure_disk {
        or(&mut disk.caching_mode, "ReadWrite");
        or(&mut disk.kind, "Shared");
        or(&mut disk.fs_type, "ext4");
        disk.read_only.get_or_insert(false);
    }
    if let Some(scale_io) = &mut spec.scale_io {
        or(&mut scale_io.storage_mode, "ThinProvisioned");
        or(&mut scale_io.fs_type, "xfs");
    }
}

/// Exactly one source, and that one right.
pub(super) fn validate(spec: &PersistentVolumeSpec, path: &Path) -> Errors {
    let sources = of(spec);
    let Some((first, others)) = sources.split_first() else {
        return vec![Error::required(path, "must specify a volume type")];
    };
    let mut errors = checked(spec, first, path);
    for other in others {
        errors.push(Error::forbidden(&path.child(other), "may not specify more than 1 volume type"));
    }
    errors
}

fn checked(spec: &PersistentVolumeSpec, source: &str, path: &Path) -> Errors {
    let mut errors = pod::storage(spec, source, path);
    let at = path.child(source);
    match source {
        "hostPath" => spec.host_path.iter().for_each(|host| pod::host_path(host, &at, &mut errors)),
        "nfs" => spec.nfs.iter().for_each(|share| pod::nfs(share, &at, &mut errors)),
        "local" => {
            let folder = spec.local.as_ref().map(|local| local.path.as_str()).unwrap_or_default();
            let field = at.child("path");
            if folder.is_empty() {
                errors.push(Error::required(&field, ""));
            }
            errors.extend(pod::no_backsteps(folder, &field));
            if spec.node_affinity.is_none() {
                errors.push(Error::required(&path.child("nodeAffinity"), "Local volume requires node affinity"));
            }
        }
        "csi" => {
            let Some(csi) = &spec.csi else { return errors };
            for (field, value) in [("driver", &csi.driver), ("volumeHandle", &csi.volume_handle)] {
                if value.is_empty() {
                    errors.push(Error::required(&at.child(field), ""));
                }
            }
        }
        _ => {}
    }
    errors
}
