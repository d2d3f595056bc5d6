use k8s_openapi::api::core::v1::{PodSpec, Volume};

use crate::apiserver::field::Path;

/// What is odd about the volumes of the spec at `path`: kinds of them that are going away, or gone.
pub(super) fn volumes(spec: &PodSpec, path: &Path, warnings: &mut Vec<String>) {
    for (i, volume) in spec.volumes.iter().flatten().enumerate() {
        let path = path.child("volumes").index(i);
        let old = old_kinds(volume).into_iter().filter(|(_, used, _)| *used);
        warnings.extend(old.map(|(name, _, why)| format!("{}: deprecated in {why}", path.child(name))));
    }
}

fn old_kinds(volume: &Volume) -> [(&'static str, bool, &'static str); 9] {
    let gone = "v1.22, non-functional in v1.25+";
    [
        ("photonPersistentDisk", volume.photon_persistent_disk.is_some(), "v1.11, non-functional in v1.16+"),
        ("gitRepo", volume.git_repo.is_some(), "v1.11"),
        ("scaleIO", volume.scale_io.is_some(), "v1.16, non-functional in v1.22+"),
        ("flocker", volume.flocker.is_some(), gone),
        ("storageOS", volume.storageos.is_some(), gone),
        ("quobyte", volume.quobyte.is_some(), gone),
        ("glusterfs", volume.glusterfs.is_some(), "v1.25, non-functional in v1.26+"),
        ("cephfs", volume.cephfs.is_some(), "v1.28, non-functional in v1.31+"),
        ("rbd", volume.rbd.is_some(), "v1.28, non-functional in v1.31+"),
    ]
}
