//! Deletes what belonged to objects that are gone.

mod collect;
mod graph;
mod monitors;

use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet},
    core::v1::Pod,
};
use kube::{Client, Resource};
use orchestra_core::{
    ObjectKey,
    controller::{Action, Controller, ControllerContext, ReconcileError, Watch},
    informer::{Change, Informer, Reflected},
};
use parking_lot::Mutex;
use tokio::sync::watch;

use self::{
    collect::AbsentOwners,
    graph::Node,
    monitors::{Kind, Known, Monitors},
};
use crate::lean_pod::LeanPod;

/// Deletes dependents whose owners are all gone; holds back owners that are deleted in the foreground until their dependents are gone;
/// makes orphans of the dependents of owners that are deleted so.
///
/// Objects of all kinds take part. Kinds that appear later do so at once where somebody tells of them, else within the 30 s after which
/// kube-controller-manager looks for new ones. What the graph of owners suggests is checked against the server before anything is deleted.
pub struct GarbageCollector {
    client: Client,
    deployments: Informer<Deployment>,
    sets: Informer<ReplicaSet>,
    pods: Informer<LeanPod>,
    known: Arc<Mutex<Known>>,
    absent: AbsentOwners,
    kinds: watch::Receiver<()>,
}

impl GarbageCollector {
    /// A collector for all kinds; `kinds` tells when others are served, as [`Registry::changes`] does. Call within a tokio runtime.
    ///
    /// [`Registry::changes`]: orchestra_store::apiserver::registry::Registry::changes
    pub fn new(context: &ControllerContext, kinds: watch::Receiver<()>) -> Self {
        Self {
            client: context.client.clone(),
            deployments: context.informers.informer::<Deployment>(),
            sets: context.informers.informer::<ReplicaSet>(),
            pods: context.informers.informer::<LeanPod>(),
            known: Arc::default(),
            absent: AbsentOwners::default(),
            kinds,
        }
    }

    /// Feeds the graph from an informer that is there anyway: the kinds that change most need no watch of their own.
    fn informed<K: Reflected + Resource<DynamicType = ()>>(&self, informer: &Informer<K>) -> Watch {
        let known = Arc::clone(&self.known);
        let kind = Arc::new(kind_of::<K>());
        Watch::mapped(informer, move |change| {
            let meta = change.object().meta();
            let Some(uid) = meta.uid.as_deref() else { return Vec::new() };
            let graph = &mut known.lock().graph;
            let look = match change {
                Change::Deleted(_) => graph.remove(uid),
                Change::Added(_) | Change::Updated { .. } => graph.observe(uid, Node::new(&kind, meta)),
            };
            look.into_iter().map(|uid| ObjectKey::cluster(&uid)).collect()
        })
    }
}

fn kind_of<K: Resource<DynamicType = ()>>() -> Kind {
    (K::group(&()).into_owned(), K::kind(&()).into_owned())
}

#[async_trait]
impl Controller for GarbageCollector {
    fn name(&self) -> &str {
        "garbagecollector"
    }

    fn watches(&self) -> Vec<Watch> {
        let kinds = self.kinds.clone();
        let monitors = Monitors {
            client: self.client.clone(),
            known: Arc::clone(&self.known),
            informed: Arc::new([kind_of::<Deployment>(), kind_of::<ReplicaSet>(), kind_of::<Pod>()].into()),
        };
        vec![
            self.informed(&self.deployments),
            self.informed(&self.sets),
            self.informed(&self.pods),
            Watch::source(|queue, stop| monitors.run(kinds, queue, stop)),
        ]
    }

    /// The key's name is a uid.
    async fn reconcile(&self, key: &ObjectKey) -> Result<Action, ReconcileError> {
        self.collect(key.name()).await
    }

    fn workers(&self) -> usize {
        20
    }
}
