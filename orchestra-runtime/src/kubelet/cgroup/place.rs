//! Where in the hierarchies the cgroups of pods are, as Kubernetes' driver `cgroupfs` has them.

use std::{
    fmt, io,
    path::{Component, Path, PathBuf},
};

use k8s_openapi::api::core::v1::Pod;

use crate::kubelet::container::{QosClass, qos_class};

/// What the names of pods' cgroups begin with.
const POD: &str = "pod";

/// A cgroup, by its path from the root of the hierarchies. It leads nowhere else.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::kubelet) struct Place(PathBuf);

impl Place {
    /// What `path` names, whether or not it begins at the root.
    pub(super) fn new(path: &str) -> io::Result<Self> {
        let relative = Path::new(path.trim_start_matches('/'));
        if relative.components().all(|part| matches!(part, Component::Normal(_))) {
            return Ok(Self(relative.to_owned()));
        }
        Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{path:?} is no path of a cgroup")))
    }

    pub(super) fn child(&self, name: &str) -> Self {
        Self(self.0.join(name))
    }

    /// Relative to the root of a hierarchy.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", self.0.display())
    }
}

/// The cgroups that hold those of pods.
#[derive(Clone, Debug)]
pub(in crate::kubelet) struct Places {
    /// All pods'. Those that are guaranteed what they use lie in it, beside the other classes'.
    pub(super) pods: Place,
    pub(super) burstable: Place,
    pub(super) best_effort: Place,
}

impl Places {
    /// Those below `root`.
    pub(in crate::kubelet) fn below(root: &str) -> io::Result<Self> {
        let pods = Place::new(root)?.child("kubepods");
        Ok(Self { burstable: pods.child("burstable"), best_effort: pods.child("besteffort"), pods })
    }

    /// The cgroup of a pod.
    pub(in crate::kubelet) fn of_pod(&self, pod: &Pod) -> io::Result<Place> {
        let name = name(pod.metadata.uid.as_deref().unwrap_or_default())?;
        let class = match qos_class(pod) {
            QosClass::Guaranteed => &self.pods,
            QosClass::Burstable => &self.burstable,
            QosClass::BestEffort => &self.best_effort,
        };
        Ok(class.child(&name))
    }

    /// Where the cgroup of the pod with this uid may be: its class is not always known.
    pub(super) fn of_uid(&self, uid: &str) -> io::Result<[Place; 3]> {
        let name = name(uid)?;
        Ok(self.all().map(|class| class.child(&name)))
    }

    /// Those in which cgroups of pods may be.
    pub(super) fn all(&self) -> [&Place; 3] {
        [&self.pods, &self.burstable, &self.best_effort]
    }
}

fn name(uid: &str) -> io::Result<String> {
    if uid.is_empty() || uid.contains('/') {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{uid:?} is no uid of a pod")));
    }
    Ok(format!("{POD}{uid}"))
}

/// The uid of the pod whose cgroup has this name.
pub(super) fn uid(name: &str) -> Option<&str> {
    name.strip_prefix(POD).filter(|uid| !uid.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_class_has_its_place() {
        let of = |root, resources| {
            let container = json!({ "name": "c", "resources": resources });
            let pod = json!({ "metadata": { "uid": "u" }, "spec": { "containers": [container] } });
            Places::below(root).unwrap().of_pod(&serde_json::from_value(pod).unwrap()).unwrap().to_string()
        };
        let all = json!({ "cpu": "1", "memory": "1Gi" });
        assert_eq!(of("/", json!({})), "/kubepods/besteffort/podu");
        assert_eq!(of("/x/", json!({ "requests": all })), "/x/kubepods/burstable/podu");
        assert_eq!(of("x/y", json!({ "requests": all, "limits": all })), "/x/y/kubepods/podu");
    }

    #[test]
    fn nothing_leads_out_of_the_hierarchies() {
        assert!(Places::below("/x/../..").is_err());
        let places = Places::below("/").unwrap();
        for uid in ["", "../../u", "a/b"] {
            let pod = serde_json::from_value(json!({ "metadata": { "uid": uid } })).unwrap();
            assert!(places.of_pod(&pod).is_err(), "{uid}");
        }
    }
}
