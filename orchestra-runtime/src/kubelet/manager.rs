//! Which pods the node has, and which of them to look at.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures::{
    StreamExt,
    future::BoxFuture,
    stream::{self, FuturesUnordered},
};
use k8s_openapi::api::core::v1::Pod;
use orchestra_core::{
    container_runtime::{ContainerEvent, ContainerEventKind, RuntimeError, RuntimeStream, SandboxId},
    event_recorder::EventType::{Normal, Warning},
    scheduler::Resources,
    work_queue::{Backoff, WorkQueue},
};
use orchestra_store::apiserver::kinds::pod::mirror::is_mirror;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tracing::{info, warn};

use super::{
    Context, PodSource, admission,
    adopt::{Adopted, adopt},
    events::PodEvents,
    held_pod::HeldPod,
    node::{
        EVICTED, critical,
        eviction::{self, Wish},
        shutdown,
    },
    pod::has_ended,
    probe::News,
    resize::{self, Pending},
    sandboxes,
    slot::{Ending, Known, Slot},
    source::{PodNews, uid_of},
    static_pods::{Folder, Look, Mirror, Move, Table, is_hash},
    sync::{Outcome, sync},
    sysctls, volume,
};

/// The delays between attempts while the API server or the runtime does not answer.
const BACKOFF: Backoff = Backoff { base: Duration::from_millis(100), max: Duration::from_secs(10) };
/// How many pods are worked on at once.
const CONCURRENCY: usize = 256;
/// When cgroups of orphaned pods are tried again that could not be removed: what was killed there is still ending.
const CGROUPS_RETRY: Duration = Duration::from_secs(10);

type Uid = Arc<str>;

/// The queue of pods to look at, by uid.
pub(super) fn queue() -> WorkQueue<Uid> {
    WorkQueue::new(BACKOFF)
}

/// Runs the node's pods until the future is dropped.
pub(super) async fn run(context: Arc<Context>, source: PodSource) {
    let (mut news, telling) = source.open(context.node.clone());
    let events = subscribe(&context).await;
    let adopted = Box::pin(adopt(&context, BACKOFF)).await;
    let folder = context.config.static_pods.clone().map(|path| Folder::new(path, &context.node));
    let mut manager = Manager {
        capacity: admission::capacity(&context.config.allocatable),
        slots: BTreeMap::new(),
        requests: BTreeMap::new(),
        queue: context.queue.clone(),
        adopted,
        static_pods: Table::default(),
        folder_is_read: false,
        deferred: BTreeSet::new(),
        synced: false,
        cgroups_due: None,
        context,
    };
    let mut looking = manager.look_at_folder(folder).await;
    let queue = manager.queue.clone();
    let mut events = events;
    let mut working: FuturesUnordered<BoxFuture<'static, (Uid, Outcome)>> = FuturesUnordered::new();
    let mut telling = std::pin::pin!(telling);
    let (tell, mut probed) = mpsc::unbounded_channel();
    let context = Arc::clone(&manager.context);
    // The receivers outlive these.
    let (tell_end, mut ended) = mpsc::unbounded_channel();
    let mut watching = Box::pin(sandboxes::watch(&context, move |sandbox| drop(tell_end.send(sandbox))));
    let mut probing = Box::pin(context.prober.run(&context, move |news| drop(tell.send(news))));
    let (wish, mut wishes) = mpsc::unbounded_channel();
    let mut evicting = Box::pin(eviction::run(&context, wish.clone()));
    let mut shutting_down = Box::pin(shutdown::run(&context, wish));
    loop {
        tokio::select! {
            biased;
            () = &mut telling => return,
            look = &mut looking => looking = manager.read_folder(look).await,
            Some(news) = news.recv() => manager.hear(news).await,
            event = events.next() => match event {
                Some(Ok(event)) => manager.container_event(&event),
                _ => {
                    warn!(node = %manager.context.node, "container events were lost, looking at all containers");
                    events = subscribe(&manager.context).await;
                    manager.look_at_all();
                }
            },
            Some(sandbox) = ended.recv() => manager.sandbox_ended(&sandbox),
            () = &mut watching => return,
            Some(news) = probed.recv() => manager.probed(news),
            () = &mut probing => return,
            Some(wish) = wishes.recv() => manager.grant(wish),
            () = &mut evicting => return,
            () = &mut shutting_down => return,
            () = due(manager.cgroups_due) => manager.remove_orphaned_cgroups().await,
            Some((uid, outcome)) = working.next() => manager.settle(uid, outcome),
            claim = queue.next(), if working.len() < CONCURRENCY => {
                let Some(claim) = claim else { return };
                let Some(slot) = manager.slots.get(&*claim).cloned() else { continue };
                let context = Arc::clone(&manager.context);
                working.push(Box::pin(async move {
                    let outcome = sync(&context, &slot).await;
                    (claim.clone(), outcome)
                }));
            }
        }
    }
}

/// Waits until then; for ever if there is no such time.
async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

async fn subscribe(context: &Context) -> RuntimeStream<ContainerEvent> {
    let attempt = || async {
        match context.runtime.events().await {
            Err(RuntimeError::Unsupported(what)) => {
                warn!(node = %context.node, what, "exits of containers will go unnoticed");
                Ok(stream::pending().boxed())
            }
            other => other,
        }
    };
    BACKOFF.retry(attempt, |error| warn!(node = %context.node, %error, "no container events, trying again")).await
}

fn is_over(pod: &Pod) -> bool {
    pod.status.as_ref().is_some_and(has_ended)
}

struct Manager {
    context: Arc<Context>,
    capacity: Resources,
    slots: BTreeMap<Uid, Arc<Slot>>,
    /// What the pods that the node took reserve.
    requests: BTreeMap<Uid, Resources>,
    queue: WorkQueue<Uid>,
    adopted: BTreeMap<Uid, Adopted>,
    static_pods: Table,
    /// Whether the folder of static pods was read, if not all files in it.
    folder_is_read: bool,
    /// The pods whose resizes wait for room.
    deferred: BTreeSet<Uid>,
    synced: bool,
    /// When to remove the cgroups of orphaned pods once more.
    cgroups_due: Option<Instant>,
}

impl Manager {
    async fn hear(&mut self, news: PodNews) {
        match news {
            PodNews::Is(pod) => self.pod(pod),
            PodNews::Gone(uid) => {
                let shown = self.static_pods.mirror_gone(&uid);
                shown.into_iter().for_each(|moved| self.take(moved));
                self.release(&uid);
                if let Some(slot) = self.slots.get(&uid) {
                    slot.inbox.lock().gone = true;
                    slot.changed.notify_one();
                    self.queue.add(uid);
                }
            }
            PodNews::Synced if self.synced => {}
            PodNews::Synced => {
                self.synced = true;
                self.clear_orphans().await;
            }
        }
    }

    fn pod(&mut self, mut held: HeldPod) {
        let pod = held.wake();
        if is_mirror(&pod.metadata) {
            let shown = self.static_pods.mirror(pod);
            shown.into_iter().for_each(|moved| self.take(moved));
        } else {
            self.take_held(held, Mirror::Itself);
        }
    }

    /// Reads the folder of static pods for the first time, if there is one; what is returned reads it again.
    async fn look_at_folder(&mut self, folder: Option<Folder>) -> BoxFuture<'static, Look> {
        let now = self.context.clock.now();
        let Some(folder) = folder else {
            self.static_pods.read(Vec::new(), true, now);
            self.folder_is_read = true;
            return Box::pin(std::future::pending());
        };
        let look = folder.look(now).await;
        self.read_folder(look).await
    }

    async fn read_folder(&mut self, Look { folder, pods, is_all }: Look) -> BoxFuture<'static, Look> {
        let clock = Arc::clone(&self.context.clock);
        // What is not known to be gone runs on.
        if let Some(pods) = pods {
            let before = (self.folder_is_read, self.static_pods.is_complete());
            for moved in self.static_pods.read(pods, is_all, clock.now()) {
                self.take(moved);
            }
            self.folder_is_read = true;
            if before != (true, self.static_pods.is_complete()) {
                self.clear_orphans().await;
            }
        }
        Box::pin(folder.look_again(move || clock.now()))
    }

    /// Ends what is left of pods that are no more, once all that say which there are have said so: the API server and the folder.
    async fn clear_orphans(&mut self) {
        if self.synced && self.folder_is_read {
            self.stop_orphans();
            self.remove_orphaned_files().await;
            self.remove_orphaned_cgroups().await;
        }
    }

    fn take(&mut self, Move { pod, mirror }: Move) {
        self.take_held(pod.into(), mirror);
    }

    fn take_held(&mut self, mut held: HeldPod, mirror: Mirror) {
        let pod = held.wake();
        let packed = held.packed();
        let uid = packed.uid().cloned().unwrap_or_default();
        if mirror != Mirror::Orphan {
            self.context.pods.set(Arc::clone(&uid), packed);
        }
        let ended = is_over(&pod);
        if ended {
            self.release(&uid);
        }
        if let Some(slot) = self.slots.get(&uid).cloned() {
            let held = self.resize(&uid, &slot, held);
            let mut inbox = slot.inbox.lock();
            (inbox.pod, inbox.mirror) = (held, mirror);
            slot.changed.notify_one();
        } else {
            let granted = resize::granted(&pod).filter(|_| !ended);
            let asked = granted.as_ref().map(|_| (held.clone(), mirror.clone()));
            if let Some(granted) = granted {
                held = resize::with(&pod, &granted).into();
            }
            let pod = held.wake();
            let record = self.adopted.remove(&uid).map(|adopted| adopted.record);
            let is_new = record.is_none() && !ended && pod.metadata.deletion_timestamp.is_none();
            let mut known = Known { record: record.unwrap_or_default(), ..Known::default() };
            if !ended {
                known.record.adopt(&pod, &self.context.runtime_name, self.context.clock.now());
            }
            let takes_room = !ended && mirror != Mirror::Orphan;
            let slot = Slot::new(held, mirror, known);
            if takes_room {
                slot.inbox.lock().rejected = self.reserve(&uid, &pod, is_new).map(Box::new);
            }
            self.slots.insert(Arc::clone(&uid), Arc::new(slot));
            // What it asks for beyond what it had is judged as if it were asked for now.
            asked.into_iter().for_each(|(held, mirror)| self.take_held(held, mirror));
        }
        self.queue.add(uid);
    }

    /// Gives back what the pod had of the node.
    fn release(&mut self, uid: &Uid) {
        self.deferred.remove(uid);
        if self.requests.remove(uid).is_some() {
            self.context.cgroups.iter().for_each(|cgroups| cgroups.forget(uid));
            self.retry_deferred();
        }
    }

    /// Looks whether there is room now for those who wait for it.
    fn retry_deferred(&mut self) {
        for uid in self.deferred.clone() {
            if let Some(pod) = self.context.pods.get(&uid) {
                self.take_held(HeldPod::told(pod, None), Mirror::Itself);
            }
        }
    }

    /// The pod with what the node grants it: what it asks for now, if there is room for that.
    fn resize(&mut self, uid: &Uid, slot: &Slot, held: HeldPod) -> HeldPod {
        let before = slot.inbox.lock().pod.clone();
        let pod = held.get();
        let is_leaving = is_over(&pod) || pod.metadata.deletion_timestamp.is_some();
        if is_leaving || held.has_spec_of(&before) || resize::is_same(&before.get(), &pod) {
            self.deferred.remove(uid);
            slot.inbox.lock().resize_pending = None;
            return held;
        }
        let before = before.get();
        let requests = resize::requests(&pod);
        let mut used = Resources::default();
        let others = self.requests.iter().filter(|(other, _)| *other != uid);
        let pods = others.map(|(_, requests)| used.add(requests)).count();
        let pods = i64::try_from(pods).unwrap_or(i64::MAX);
        if let Some(pending) = resize::judge(&pod, &requests, &used, pods, &self.capacity) {
            self.put_off(uid, slot, &pod, pending);
            return resize::with(&pod, &resize::amounts(&before)).into();
        }
        self.deferred.remove(uid);
        self.grant_requests(uid, &pod, requests);
        {
            let mut inbox = slot.inbox.lock();
            inbox.resize_pending = None;
            inbox.resized.get_or_insert_with(|| Box::new(resize::amounts(&before)));
        }
        let events = PodEvents { recorder: &self.context.recorder, pod: &pod };
        events.pod(Normal, "ResizeStarted", format!("Pod resize started: {}", resize::details(&pod, None)));
        // It may have become less.
        self.retry_deferred();
        held
    }

    /// Notes that the node does not grant what the pod asks for, and tells so once.
    fn put_off(&mut self, uid: &Uid, slot: &Slot, pod: &Pod, pending: Pending) {
        let is_deferred = pending.reason == "Deferred";
        match is_deferred {
            true => drop(self.deferred.insert(Arc::clone(uid))),
            false => drop(self.deferred.remove(uid)),
        }
        let message = format!("Pod resize {}: {}", pending.reason, resize::details(pod, Some(&pending.message)));
        let pending = Arc::new(pending);
        let before = slot.inbox.lock().resize_pending.replace(Arc::clone(&pending));
        let is_new =
            before.is_none_or(|before| (before.reason, before.generation) != (pending.reason, pending.generation));
        if is_new {
            let events = PodEvents { recorder: &self.context.recorder, pod };
            events.pod(Warning, if is_deferred { "ResizeDeferred" } else { "ResizeInfeasible" }, message);
        }
    }

    /// Reserves what the pod asks for, or says why it cannot.
    fn reserve(&mut self, uid: &Uid, pod: &Arc<Pod>, is_new: bool) -> Option<(String, String)> {
        let requests = resize::requests(pod);
        // A pod that was started before stays, as in Kubernetes.
        let started = pod.status.as_ref().is_some_and(|status| status.start_time.is_some());
        if is_new && !started {
            let mut used = Resources::default();
            self.requests.values().for_each(|requests| used.add(requests));
            let pods = i64::try_from(self.requests.len()).unwrap_or(i64::MAX);
            let config = &self.context.config;
            let refusal = shutdown::refusal(&self.context);
            let refusal = refusal.or_else(|| critical::refusal(pod, &self.context.pressure.lacks()));
            let refusal = refusal.or_else(|| sysctls::refusal(pod, &config.unsafe_sysctls));
            let refusal = refusal.or_else(|| admission::lack_of_room(&requests, &used, pods, &self.capacity));
            if let Some((reason, message)) = refusal {
                let events = PodEvents { recorder: &self.context.recorder, pod };
                events.pod(Warning, &reason, message.clone());
                return Some((reason, format!("Pod was rejected: {message}")));
            }
        }
        self.grant_requests(uid, pod, requests);
        None
    }

    /// Notes what a pod has of the node.
    fn grant_requests(&mut self, uid: &Uid, pod: &Pod, requests: Resources) {
        self.context.cgroups.iter().for_each(|cgroups| cgroups.note(uid, pod, &requests));
        self.requests.insert(Arc::clone(uid), requests);
    }

    /// Stops and takes away what runs for pods that were deleted while no kubelet ran, as if they were deleted now.
    /// While a file was never read, each static pod that runs may be its.
    fn stop_orphans(&mut self) {
        let may_be_known = !self.static_pods.is_complete();
        let (kept, orphans) =
            std::mem::take(&mut self.adopted).into_iter().partition(|(uid, _)| may_be_known && is_hash(uid));
        self.adopted = kept;
        for (uid, adopted) in orphans {
            info!(node = %self.context.node, %uid, "stopping what runs for a pod that is gone");
            let (pod, record) = adopted.orphaned(self.context.clock.now());
            let slot = Slot::new(Arc::new(pod).into(), Mirror::Itself, Known { record, ..Known::default() });
            self.slots.insert(Arc::clone(&uid), Arc::new(slot));
            self.queue.add(uid);
        }
    }

    /// Takes away the files of pods that are neither here nor in the API server.
    async fn remove_orphaned_files(&self) {
        let config = &self.context.config;
        let Some(root) = config.root.clone() else { return };
        let known = self.known_uids();
        let removed = volume::remove_orphans(root, config.pod_logs.clone(), move |uid| known.contains(uid)).await;
        if let Err(error) = removed {
            warn!(node = %self.context.node, %error, "files of orphaned pods stay");
        }
    }

    /// Takes away the cgroups of such pods.
    async fn remove_orphaned_cgroups(&mut self) {
        self.cgroups_due = None;
        let Some(cgroups) = &self.context.cgroups else { return };
        if let Err(error) = cgroups.remove_orphans(self.known_uids()).await {
            warn!(node = %self.context.node, %error, "cgroups of orphaned pods stay, trying again");
            self.cgroups_due = Instant::now().checked_add(CGROUPS_RETRY);
        }
    }

    /// The pods that are here or in the API server, and those of which something is to be removed or may turn out to be no orphan.
    fn known_uids(&self) -> BTreeSet<String> {
        let sandboxes = self.context.sandboxes.lock();
        let known = self.slots.keys().chain(self.adopted.keys()).chain(sandboxes.values());
        known.map(|uid| uid.to_string()).collect()
    }

    fn container_event(&self, event: &ContainerEvent) {
        if matches!(event.kind, ContainerEventKind::Created | ContainerEventKind::Started) {
            return; // the kubelet's own doing
        }
        if let Some((uid, slot)) = self.of_sandbox(&event.sandbox) {
            slot.inbox.lock().dirty.insert(event.container.clone());
            self.queue.add(uid);
        }
    }

    /// The pod that a sandbox is for.
    fn of_sandbox(&self, sandbox: &SandboxId) -> Option<(Uid, &Slot)> {
        let uid = self.context.sandboxes.lock().get(sandbox).cloned()?;
        let slot = self.slots.get(&uid)?;
        Some((uid, slot))
    }

    fn sandbox_ended(&self, sandbox: &SandboxId) {
        if let Some((uid, slot)) = self.of_sandbox(sandbox) {
            slot.inbox.lock().all_dirty = true;
            self.queue.add(uid);
        }
    }

    fn probed(&self, news: News) {
        if let Some(slot) = self.slots.get(&news.uid) {
            let uid = Arc::clone(&news.uid);
            slot.inbox.lock().probed.push(news);
            slot.changed.notify_one();
            self.queue.add(uid);
        }
    }

    /// Does what eviction wants.
    fn grant(&mut self, wish: Wish) {
        match wish {
            Wish::Pods(answer) => {
                let pods = self.slots.values().map(|slot| slot.inbox.lock().pod.get());
                // Nobody waits for it once the kubelet stops.
                let _ = answer.send(pods.filter(|pod| !is_over(pod)).collect());
            }
            Wish::End { pod, reason, message, grace } => {
                let uid = uid_of(&pod);
                let Some(slot) = self.slots.get(&uid) else { return };
                if reason == EVICTED {
                    let events = PodEvents { recorder: &self.context.recorder, pod: &pod };
                    events.pod(Warning, EVICTED, message.clone());
                }
                slot.inbox.lock().ended = Some(Box::new(Ending { reason, message, grace }));
                slot.changed.notify_one();
                self.queue.add(uid);
            }
        }
    }

    fn look_at_all(&self) {
        for (uid, slot) in &self.slots {
            slot.inbox.lock().all_dirty = true;
            self.queue.add(Arc::clone(uid));
        }
    }

    fn settle(&mut self, uid: Uid, outcome: Outcome) {
        if matches!(outcome, Outcome::Idle | Outcome::At(_))
            && let Some(slot) = self.slots.get(&uid)
        {
            slot.inbox.lock().pod.rest();
        }
        match outcome {
            Outcome::Retry => return self.queue.retry(uid),
            Outcome::Idle => {}
            Outcome::At(at) => {
                let delay = at.duration_since(self.context.clock.now());
                // Never zero, lest a clock that stands still keeps it busy.
                let delay = Duration::try_from(delay).unwrap_or_default().max(Duration::from_millis(1));
                self.queue.add_after(Arc::clone(&uid), delay);
            }
            Outcome::Over => {
                self.context.pods.remove(&uid);
                self.slots.remove(&uid);
                self.release(&uid);
                let next = self.static_pods.over(&uid);
                next.into_iter().for_each(|moved| self.take(moved));
            }
        }
        self.queue.forget(&uid);
    }
}
