//! Makes volumes what they are to be.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Volume};
use orchestra_core::{event_recorder::EventType::Warning, quantity::Quantity, work_queue::Backoff};

use super::{
    PodFolder, VolumeError, atomic, blocking,
    empty_dir::{self, Medium},
    host_path, local, ownership,
    plan::{Plan, Subject},
    token::Tokens,
};
use crate::kubelet::{
    Context,
    events::PodEvents,
    pod::{containers, init_containers},
};

/// The delays of Kubernetes between attempts: half a second, doubled up to 2 m 2 s.
const BACKOFF: Backoff = Backoff { base: Duration::from_millis(500), max: Duration::from_secs(122) };

/// Where a volume is on the node.
#[derive(Clone, Debug)]
pub(in crate::kubelet) struct Location {
    pub(super) path: PathBuf,
    /// Containers can only read it.
    pub(super) read_only: bool,
    /// What was made there.
    content: u64,
}

/// Where a pod's volumes are, by name.
pub(in crate::kubelet) type Places = Arc<BTreeMap<String, Location>>;

/// A pod's volumes, as far as this kubelet has set them up.
#[derive(Debug, Default)]
pub(in crate::kubelet) struct Volumes {
    places: Places,
    tokens: Tokens,
    /// How often in a row something could not be set up.
    failed: u32,
    /// What was told of it last.
    told: Vec<String>,
}

impl Volumes {
    /// Where they are.
    pub(in crate::kubelet) fn places(&self) -> Places {
        Arc::clone(&self.places)
    }

    /// When they are to be looked at again, if nothing happens before.
    pub(in crate::kubelet) fn renew_at(&self) -> Option<Timestamp> {
        self.tokens.renew_at()
    }

    /// Notes what came of setting up: when to try again, and whether it is to be told. What does not hold up the pod is told once.
    pub(in crate::kubelet) fn count(&mut self, failures: &[String], holds_up: bool) -> (Duration, bool) {
        if failures.is_empty() {
            (self.failed, self.told) = Default::default();
            return Default::default();
        }
        let delay = BACKOFF.delay(self.failed);
        let tell = holds_up || self.told != failures;
        (self.failed, self.told) = (self.failed.saturating_add(1), failures.to_vec());
        (delay, tell)
    }

    /// Sets up what the pod's containers mount, or brings it up to date. What cannot be is told, a message for each.
    pub(in crate::kubelet) async fn keep(&mut self, context: &Context, root: &Path, pod: &Pod) -> Vec<String> {
        let (uid, namespace) = (pod.metadata.uid.as_deref().unwrap_or_default(), pod.metadata.namespace.as_deref());
        let subject = Subject { context, pod, uid, namespace: namespace.unwrap_or("default") };
        let mut failures = Vec::new();
        for volume in mounted(pod) {
            if let Err(error) = self.keep_one(&subject, root, volume).await {
                failures.push(error.about(&volume.name));
            }
        }
        failures
    }

    async fn keep_one(&mut self, of: &Subject<'_>, root: &Path, volume: &Volume) -> Result<(), VolumeError> {
        // What a claim is bound to stays; and a claim that is being deleted is kept for the pods that have it.
        if is_claim(volume) && self.places.contains_key(&volume.name) {
            return Ok(());
        }
        let plan = of.plan(volume, &mut self.tokens).await?;
        let content = plan.digest();
        if self.places.get(&volume.name).is_some_and(|place| place.content == content) {
            return Ok(());
        }
        let read_only = plan.is_read_only();
        let (folder, name) = (PodFolder::of(root, of.uid)?, volume.name.clone());
        let (group, now) = (Group::of(of.pod), of.context.clock.now());
        let (path, told) = blocking(move || carry_out(&plan, &folder, &name, group, now)).await?;
        if let Some(message) = told {
            let events = PodEvents { recorder: &of.context.recorder, pod: of.pod };
            events.pod(Warning, "AlreadyMountedVolume", message);
        }
        Arc::make_mut(&mut self.places).insert(volume.name.clone(), Location { path, read_only, content });
        Ok(())
    }

    /// The first folder that takes more than it may: what to tell of it.
    pub(in crate::kubelet) async fn overfull(&self, pod: &Pod) -> Option<String> {
        for (volume, limit) in limited(pod) {
            let Some(place) = self.places.get(&volume.name) else { continue };
            let path = place.path.clone();
            // What cannot be measured now is measured later.
            let used = blocking(move || Ok(empty_dir::usage(&path)?)).await.unwrap_or(0);
            if i64::try_from(used).unwrap_or(i64::MAX) > limit.value() {
                return Some(format!("Usage of EmptyDir volume {:?} exceeds the limit \"{limit}\". ", volume.name));
            }
        }
        None
    }
}

fn is_claim(volume: &Volume) -> bool {
    volume.persistent_volume_claim.is_some() || volume.ephemeral.is_some()
}

/// The volumes that containers mount: others are not set up.
fn mounted(pod: &Pod) -> impl Iterator<Item = &Volume> {
    let all = init_containers(pod).iter().chain(containers(pod));
    let mounts = all.flat_map(|container| container.volume_mounts.iter().flatten());
    let names: BTreeSet<&str> = mounts.map(|mount| mount.name.as_str()).collect();
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    volumes.filter(move |volume| names.contains(volume.name.as_str()))
}

/// The folders on disk that may only become so large.
fn limited(pod: &Pod) -> impl Iterator<Item = (&Volume, Quantity)> {
    mounted(pod).filter_map(|volume| {
        let source = volume.empty_dir.as_ref()?;
        let on_disk = source.medium.as_deref().is_none_or(str::is_empty);
        Some((volume, empty_dir::size_limit(source).filter(|_| on_disk)?))
    })
}

/// Whether some folder may only become so large, so that somebody must look.
pub(in crate::kubelet) fn is_limited(pod: &Pod) -> bool {
    limited(pod).next().is_some()
}

/// To whom volumes are given.
#[derive(Clone, Copy)]
pub(super) struct Group {
    pub(super) id: Option<u32>,
    /// Not again if the volume's root is the group's already.
    pub(super) only_on_mismatch: bool,
}

impl Group {
    fn of(pod: &Pod) -> Self {
        let context = pod.spec.as_ref().and_then(|spec| spec.security_context.as_ref());
        let policy = context.and_then(|context| context.fs_group_change_policy.as_deref());
        Self {
            id: context.and_then(|context| context.fs_group).and_then(|group| u32::try_from(group).ok()),
            only_on_mismatch: policy == Some("OnRootMismatch"),
        }
    }
}

/// Makes a volume and returns where it is, and what to tell of it.
fn carry_out(
    plan: &Plan,
    folder: &PodFolder,
    name: &str,
    group: Group,
    now: Timestamp,
) -> Result<(PathBuf, Option<String>), VolumeError> {
    match plan {
        Plan::Empty(medium) => {
            let path = folder.volume("empty-dir", name);
            let is_new = !path.exists();
            empty_dir::make(&path, *medium)?;
            if let Some(group) = group.id.filter(|_| is_new) {
                ownership::give(&path, group, false)?;
            }
            Ok((path, None))
        }
        Plan::Host { path, kind, name: persistent, .. } => {
            let checked = host_path::check(path, kind);
            checked.map_err(|error| error.named(persistent.as_deref().unwrap_or(name)))?;
            Ok((path.clone(), None))
        }
        Plan::Local { path, name, read_only } => {
            local::check(path, name)?;
            let told = local::set_up(path, name, *read_only, folder, group);
            Ok((path.clone(), told.map_err(|error| VolumeError::from(error).named(name))?))
        }
        Plan::Files { plugin, payload, in_memory } => {
            let path = folder.volume(plugin, name);
            let medium = if *in_memory { Medium::Memory(0) } else { Medium::Disk };
            empty_dir::make(&path, medium)?;
            atomic::write(&path, payload, group.id, now)?;
            Ok((path, None))
        }
    }
}
