use k8s_openapi::api::core::v1::Volume;

/// The kind of a volume that this kubelet cannot set up, as the API names it.
pub(super) fn kind(volume: &Volume) -> &'static str {
    let kinds = [
        (volume.csi.is_some(), "csi"),
        (volume.nfs.is_some(), "nfs"),
        (volume.image.is_some(), "image"),
        (volume.iscsi.is_some(), "iscsi"),
        (volume.fc.is_some(), "fc"),
        (volume.rbd.is_some(), "rbd"),
        (volume.cephfs.is_some(), "cephfs"),
        (volume.cinder.is_some(), "cinder"),
        (volume.flex_volume.is_some(), "flexVolume"),
        (volume.flocker.is_some(), "flocker"),
        (volume.git_repo.is_some(), "gitRepo"),
        (volume.glusterfs.is_some(), "glusterfs"),
        (volume.quobyte.is_some(), "quobyte"),
        (volume.scale_io.is_some(), "scaleIO"),
        (volume.storageos.is_some(), "storageos"),
        (volume.vsphere_volume.is_some(), "vsphereVolume"),
        (volume.portworx_volume.is_some(), "portworxVolume"),
        (volume.photon_persistent_disk.is_some(), "photonPersistentDisk"),
        (volume.aws_elastic_block_store.is_some(), "awsElasticBlockStore"),
        (volume.gce_persistent_disk.is_some(), "gcePersistentDisk"),
        (volume.azure_disk.is_some(), "azureDisk"),
        (volume.azure_file.is_some(), "azureFile"),
    ];
    kinds.into_iter().find(|(is, _)| *is).map_or("unknown", |(_, kind)| kind)
}
