//! Where in the hierarchies the cgroups of pods are, as Kubernetes' drivers have them.

use std::{
    fmt, io,
    path::{Component, Path, PathBuf},
};

use k8s_openapi::api::core::v1::Pod;
use orchestra_core::container_runtime::CgroupDriver;

use crate::kubelet::container::{QosClass, qos_class};

/// What the names of pods' cgroups begin with.
const POD: &str = "pod";
/// What the names of systemd's cgroups end with.
const SLICE: &str = ".slice";

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

    /// The slice of `name` in this one, or in the root. The name of a slice says in which others it lies: `a-b.slice` in `a.slice`.
    fn slice(&self, name: &str) -> Self {
        let outer = self.0.file_name().unwrap_or_default().to_string_lossy();
        let name = name.replace('-', "_");
        self.child(&match outer.strip_suffix(SLICE) {
            Some(outer) => format!("{outer}-{name}{SLICE}"),
            None => format!("{name}{SLICE}"),
        })
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
    driver: CgroupDriver,
    /// All pods'. Those that are guaranteed what they use lie in it, beside the other classes'.
    pub(super) pods: Place,
    pub(super) burstable: Place,
    pub(super) best_effort: Place,
}

impl Places {
    /// Those below `root`, by the names that the driver gives them.
    pub(in crate::kubelet) fn below(root: &str, driver: CgroupDriver) -> io::Result<Self> {
        let root = match driver {
            CgroupDriver::Cgroupfs => Place::new(root)?,
            CgroupDriver::Systemd => slices(root)?,
        };
        let pods = child(driver, &root, "kubepods");
        let class = |name| child(driver, &pods, name);
        Ok(Self { burstable: class("burstable"), best_effort: class("besteffort"), pods, driver })
    }

    /// The cgroup of a pod.
    pub(in crate::kubelet) fn of_pod(&self, pod: &Pod) -> io::Result<Place> {
        let name = name(pod.metadata.uid.as_deref().unwrap_or_default())?;
        let class = match qos_class(pod) {
            QosClass::Guaranteed => &self.pods,
            QosClass::Burstable => &self.burstable,
            QosClass::BestEffort => &self.best_effort,
        };
        Ok(child(self.driver, class, &name))
    }

    /// Where the cgroup of the pod with this uid may be: its class is not always known.
    pub(super) fn of_uid(&self, uid: &str) -> io::Result<[Place; 3]> {
        let name = name(uid)?;
        Ok(self.all().map(|class| child(self.driver, class, &name)))
    }

    /// The uid of the pod whose cgroup has this name.
    pub(super) fn uid(&self, name: &str) -> Option<String> {
        let name = match self.driver {
            CgroupDriver::Cgroupfs => name.to_owned(),
            CgroupDriver::Systemd => name.strip_suffix(SLICE)?.rsplit('-').next()?.replace('_', "-"),
        };
        name.strip_prefix(POD).filter(|uid| !uid.is_empty()).map(str::to_owned)
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

fn child(driver: CgroupDriver, outer: &Place, name: &str) -> Place {
    match driver {
        CgroupDriver::Cgroupfs => outer.child(name),
        CgroupDriver::Systemd => outer.slice(name),
    }
}

/// The slice that is for the cgroup `path`. A name with a low line could not be told from one with a hyphen.
fn slices(path: &str) -> io::Result<Place> {
    let root = Place::new("")?;
    let path = Place::new(path)?;
    let mut names = path.0.iter().map(|name| name.to_string_lossy());
    names.try_fold(root, |outer, name| match name.contains('_') || name.ends_with(SLICE) {
        true => Err(io::Error::new(io::ErrorKind::InvalidInput, format!("no slice can be for the cgroup {name:?}"))),
        false => Ok(outer.slice(&name)),
    })
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
            Places::below(root, CgroupDriver::Cgroupfs)
                .unwrap()
                .of_pod(&serde_json::from_value(pod).unwrap())
                .unwrap()
                .to_string()
        };
        let all = json!({ "cpu": "1", "memory": "1Gi" });
        assert_eq!(of("/", json!({})), "/kubepods/besteffort/podu");
        assert_eq!(of("/x/", json!({ "requests": all })), "/x/kubepods/burstable/podu");
        assert_eq!(of("x/y", json!({ "requests": all, "limits": all })), "/x/y/kubepods/podu");
    }

    #[test]
    fn slices_are_named_after_those_that_they_lie_in() {
        let places = |root| Places::below(root, CgroupDriver::Systemd);
        let pod =
            serde_json::from_value(json!({ "metadata": { "uid": "1-2" }, "spec": { "containers": [] } })).unwrap();
        let of = |root| places(root).unwrap().of_pod(&pod).unwrap().to_string();
        let below = "kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod1_2.slice";
        assert_eq!(of("/"), format!("/{below}"));
        let below = "x_1.slice/x_1-y.slice/x_1-y-kubepods.slice/x_1-y-kubepods-besteffort.slice";
        assert_eq!(of("/x-1/y"), format!("/{below}/x_1-y-kubepods-besteffort-pod1_2.slice"));
        assert!(places("a_b").is_err() && places("a.slice").is_err());
        let uid = |name| places("/").unwrap().uid(name);
        assert_eq!(uid("kubepods-besteffort-pod1_2.slice").as_deref(), Some("1-2"));
        assert_eq!(uid("kubepods-pod3.slice").as_deref(), Some("3"));
        assert!(uid("kubepods-besteffort.slice").is_none() && uid("cri-containerd-pod1.scope").is_none());
    }

    #[test]
    fn nothing_leads_out_of_the_hierarchies() {
        assert!(Places::below("/x/../..", CgroupDriver::Cgroupfs).is_err());
        let places = Places::below("/", CgroupDriver::Cgroupfs).unwrap();
        for uid in ["", "../../u", "a/b"] {
            let pod = serde_json::from_value(json!({ "metadata": { "uid": uid } })).unwrap();
            assert!(places.of_pod(&pod).is_err(), "{uid}");
        }
    }
}
