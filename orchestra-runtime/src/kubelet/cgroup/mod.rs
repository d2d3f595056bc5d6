//! The cgroups of pods (`pkg/kubelet/cm` of Kubernetes 1.36 with `--cgroups-per-qos`).
//!
//! ```text
//!   ROOT/kubepods                what the node has
//!    ├── podUID                  Guaranteed
//!    ├── burstable               as much as its pods ask for
//!    │    └── podUID
//!    └── besteffort              least
//!         └── podUID ◄── limits ◄── the pod
//!              └── the runtime's: one for each container
//! ```
//! With the driver `systemd` each is a slice: `kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podUID.slice`. Of memory nothing is set
//! aside for containers (`MemoryQoS`, which is off by default).
//!
//! A pod's are made before its sandbox and removed when it has ended. A kubelet that starts finds what there is, and leaves it there when it
//! stops: pods run on.

mod classes;
mod driver;
mod hierarchies;
mod limits;
mod mounts;
mod place;
mod sum;
mod systemd;
pub(super) mod unified;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
};

use k8s_openapi::api::core::v1::Pod;
use orchestra_core::{
    container_runtime::{ContainerRuntime, RuntimeError},
    scheduler::Resources,
    work_queue::Backoff,
};
use parking_lot::Mutex;
use tokio::{sync::Notify, task::spawn_blocking};
use tracing::warn;

pub(super) use self::{classes::keep, limits::Limits, sum::at_most};
use self::{
    driver::Driver,
    hierarchies::{CgroupError, Hierarchies, each},
    limits::burstable,
    place::Places,
};
use super::node_config::CgroupSettings;

/// The cgroups that a kubelet keeps.
#[derive(Clone)]
pub(super) struct Cgroups(Arc<Inner>);

struct Inner {
    driver: Driver,
    places: Places,
    /// How many processes a pod may have.
    pod_processes: Option<u64>,
    /// What each pod of the class `Burstable` asks for, in thousandths of a processor.
    burstable: Mutex<BTreeMap<Arc<str>, i64>>,
    /// Told when that is another sum.
    changed: Notify,
}

/// What is known of a pod's cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PodCgroup {
    /// It was granted this.
    Granted(Limits),
    /// There is none: it was removed, or the pod was begun by a kubelet that made none.
    None,
}

/// Why there are no cgroups.
#[derive(Debug, thiserror::Error)]
enum BeginError {
    #[error("no hierarchy of cgroups with the controllers cpu and memory is mounted")]
    NotMounted,
    #[error("{0}")]
    Runtime(#[from] RuntimeError),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Cgroup(#[from] CgroupError),
}

impl Cgroups {
    /// Those that settings tell of, made as soon as that can be done, in the way that the runtime makes its own if it says (KEP-4033).
    pub(super) async fn begin(settings: &CgroupSettings, runtime: &dyn ContainerRuntime, backoff: Backoff) -> Self {
        let attempt = || async {
            let driver = runtime.cgroup_driver().await?.unwrap_or(settings.driver);
            let settings = CgroupSettings { driver, ..settings.clone() };
            blocking(move || Self::make(&settings)).await
        };
        backoff.retry(attempt, |error| warn!(%error, "cgroups of pods cannot be made, trying again")).await
    }

    fn make(settings: &CgroupSettings) -> Result<Self, BeginError> {
        let mountinfo = std::fs::read_to_string("/proc/self/mountinfo")?;
        let hierarchies = mounts::hierarchies(&mountinfo).ok_or(BeginError::NotMounted)?;
        Self::within(hierarchies, settings)
    }

    fn within(hierarchies: Hierarchies, settings: &CgroupSettings) -> Result<Self, BeginError> {
        let places = Places::below(&settings.root, settings.driver)?;
        let driver = Driver::new(hierarchies, settings.driver)?;
        for class in places.all() {
            driver.make(class)?;
        }
        driver.set(&places.best_effort, &Limits::of_class(0))?;
        let inner = Inner {
            driver,
            places,
            pod_processes: settings.pod_processes,
            burstable: Mutex::default(),
            changed: Notify::new(),
        };
        Ok(Self(Arc::new(inner)))
    }

    /// What a pod is to be granted.
    pub(super) fn limits(&self, pod: &Pod) -> Limits {
        Limits::of_pod(pod, self.0.pod_processes)
    }

    /// Where a pod's containers have theirs, by its path from the root of the hierarchies.
    pub(super) fn parent(&self, pod: &Pod) -> io::Result<String> {
        Ok(self.0.places.of_pod(pod)?.to_string())
    }

    /// Makes a pod's cgroup, if it is not there, and grants it this.
    pub(super) async fn make_pod(&self, pod: &Pod, limits: Limits) -> io::Result<PodCgroup> {
        let place = self.0.places.of_pod(pod)?;
        self.work(move |inner| {
            inner.driver.make(&place)?;
            inner.driver.set(&place, &limits)?;
            Ok(PodCgroup::Granted(limits))
        })
        .await
    }

    /// Grants a pod this if it has a cgroup.
    pub(super) async fn grant(&self, pod: &Pod, limits: Limits) -> io::Result<PodCgroup> {
        let place = self.0.places.of_pod(pod)?;
        self.work(move |inner| match inner.driver.set(&place, &limits) {
            Err(error) if error.is_absent() => Ok(PodCgroup::None),
            other => other.map(|()| PodCgroup::Granted(limits)),
        })
        .await
    }

    /// The bytes of memory that a pod has.
    pub(super) async fn memory_usage(&self, pod: &Pod) -> io::Result<u64> {
        let place = self.0.places.of_pod(pod)?;
        self.work(move |inner| inner.driver.memory_usage(&place)).await
    }

    /// Removes a pod's cgroup, in whichever class it is.
    pub(super) async fn remove_pod(&self, uid: &str) -> io::Result<()> {
        let places = self.0.places.of_uid(uid)?;
        self.work(move |inner| each(places.as_slice(), |place| inner.driver.remove(place))).await
    }

    /// Removes the cgroups of pods that are not `known`.
    pub(super) async fn remove_orphans(&self, known: BTreeSet<String>) -> io::Result<()> {
        self.work(move |inner| {
            let mut result = Ok(());
            for class in inner.places.all() {
                let names = inner.driver.children(class);
                let orphans =
                    names.iter().filter(|name| inner.places.uid(name).is_some_and(|uid| !known.contains(&uid)));
                for name in orphans {
                    result = result.and(inner.driver.remove(&class.child(name)));
                }
            }
            result
        })
        .await
    }

    /// Notes what a pod asks for.
    pub(super) fn note(&self, uid: &Arc<str>, pod: &Pod, requests: &Resources) {
        match burstable(pod, requests) {
            Some(milli_cpu) => drop(self.0.burstable.lock().insert(Arc::clone(uid), milli_cpu)),
            None => drop(self.0.burstable.lock().remove(uid)),
        }
        self.0.changed.notify_one();
    }

    /// A pod asks for nothing any more.
    pub(super) fn forget(&self, uid: &str) {
        self.0.burstable.lock().remove(uid);
        self.0.changed.notify_one();
    }

    /// Does what may take the kernel a moment, without holding up others.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, CgroupError> + Send + 'static,
    ) -> io::Result<T> {
        let inner = Arc::clone(&self.0);
        blocking(move || work(&inner).map_err(io::Error::other)).await
    }
}

async fn blocking<T: Send + 'static, E: From<io::Error> + Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error).into()))
}

#[cfg(test)]
mod tests;
