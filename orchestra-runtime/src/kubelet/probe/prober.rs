use std::{sync::Arc, time::Duration};

use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use k8s_openapi::api::core::v1::Pod;
use orchestra_core::{container_runtime::ContainerId, event_recorder::EventType::Warning, random::Generator};
use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

use super::{
    Address, Wanted,
    check::{Answer, check},
    plan::{Key, Plan, Target},
};
use crate::kubelet::{
    Context,
    events::PodEvents,
    pod::health::{ProbeKind, Verdict},
};

/// Nothing is due for so long.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// Runs the probes of a node's pods: one future, whatever their number.
pub(in crate::kubelet) struct Prober {
    plan: Mutex<Plan>,
    changed: Notify,
}

/// What a probe came to.
#[derive(Debug)]
pub(in crate::kubelet) struct News {
    pub(in crate::kubelet) uid: Arc<str>,
    pub(in crate::kubelet) container: ContainerId,
    pub(in crate::kubelet) kind: ProbeKind,
    pub(in crate::kubelet) verdict: Verdict,
}

type Run = BoxFuture<'static, (Key, Target, Instant, Answer)>;

impl Prober {
    pub(in crate::kubelet) fn new(generator: Generator) -> Self {
        Self { plan: Mutex::new(Plan::new(generator)), changed: Notify::new() }
    }

    /// Runs exactly these probes of the pod from now on.
    pub(in crate::kubelet) fn follow(&self, uid: &Arc<str>, pod: &Arc<Pod>, address: &Address, wanted: Vec<Wanted>) {
        let mut plan = self.plan.lock();
        if wanted.is_empty() && plan.is_empty() {
            return;
        }
        let before = plan.next();
        plan.follow(uid, pod, address, wanted, Instant::now());
        if plan.next() != before {
            self.changed.notify_one();
        }
    }

    /// Runs what is due, and tells what it comes to, until the future is dropped.
    pub(in crate::kubelet) async fn run(&self, context: &Arc<Context>, tell: impl Fn(News)) {
        let mut running = FuturesUnordered::<Run>::new();
        loop {
            let now = Instant::now();
            while let Some((key, target)) = self.plan.lock().take_due(now) {
                running.push(Box::pin(run_one(Arc::clone(context), key, target, now)));
            }
            let next = self.plan.lock().next();
            tokio::select! {
                biased;
                Some((key, target, begun, answer)) = running.next() => {
                    if let Some(news) = self.settle(context, key, &target, begun, &answer) {
                        tell(news);
                    }
                }
                () = self.changed.notified() => {}
                () = tokio::time::sleep_until(next.unwrap_or_else(|| Instant::now() + NEVER)), if next.is_some() => {}
            }
        }
    }

    fn settle(&self, context: &Context, key: Key, target: &Target, begun: Instant, answer: &Answer) -> Option<News> {
        let verdict = {
            let mut plan = self.plan.lock();
            if !plan.has(&key) {
                return None;
            }
            plan.settle(&key, answer, begun, Instant::now())
        };
        if let Some((reason, message)) = answer.event(key.kind)
            && let Some(container) = target.container()
        {
            let events = PodEvents { recorder: &context.recorder, pod: &target.pod };
            events.container(container, Warning, reason, message);
        }
        Some(News { uid: key.uid, container: key.container, kind: key.kind, verdict: verdict? })
    }
}

async fn run_one(context: Arc<Context>, key: Key, target: Target, begun: Instant) -> (Key, Target, Instant, Answer) {
    let answer = check(&*context.runtime, &key.container, key.kind, &target).await;
    (key, target, begun, answer)
}
