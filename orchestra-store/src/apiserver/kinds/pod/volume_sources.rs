//! Which sources a volume has. There should be one; the type allows all.

use k8s_openapi::api::core::v1::Volume;

macro_rules! sources {
    ($volume:expr, $($field:ident $name:literal)*) => {
        [$(($volume.$field.is_some(), $name)),*].into_iter().filter(|(set, _)| *set).map(|(_, name)| name).collect()
    };
}

/// The names of the sources that are set, in the order in which Kubernetes checks them.
pub(super) fn of(volume: &Volume) -> Vec<&'static str> {
    sources!(volume,
        empty_dir "emptyDir" host_path "hostPath" git_repo "gitRepo" gce_persistent_disk "gcePersistentDisk"
        aws_elastic_block_store "awsElasticBlockStore" secret "secret" nfs "nfs" iscsi "iscsi" glusterfs "glusterfs"
        flocker "flocker" persistent_volume_claim "persistentVolumeClaim" rbd "rbd" cinder "cinder" cephfs "cephFS"
        quobyte "quobyte" downward_api "downwardAPI" fc "fc" flex_volume "flexVolume" config_map "configMap"
        azure_file "azureFile" azure_disk "azureDisk" vsphere_volume "vsphereVolume" storageos "storageos"
        photon_persistent_disk "photonPersistentDisk" portworx_volume "portworxVolume" scale_io "scaleIO"
        projected "projected" csi "csi" ephemeral "ephemeral" image "image")
}
