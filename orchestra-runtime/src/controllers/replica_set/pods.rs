//! Creates what is missing and deletes what is too much.

use std::sync::Arc;

use futures::future::join_all;
use k8s_openapi::{
    api::{apps::v1::ReplicaSet, core::v1::Pod},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api,
    api::{DeleteParams, PostParams, Preconditions},
};
use orchestra_core::{ObjectKey, controller::controller_of, event_recorder::EventType};

use super::{ReplicaSetController, ranking, status::Failure};
use crate::controllers::{
    api_error,
    ownership::{self, controlled_by},
};
use crate::lean_pod::LeanPod;

/// At most so many pods are created or deleted at a time for one replica set, as in Kubernetes.
const BURST: usize = 500;

/// The sizes of the batches in which `count` writes are made: doubling, so that what always fails fails once instead of often.
fn slow_start(count: usize) -> impl Iterator<Item = usize> {
    let mut left = count;
    let mut batch = 1;
    std::iter::from_fn(move || {
        let size = batch.min(left);
        left -= size;
        batch *= 2;
        (size > 0).then_some(size)
    })
}

/// The pod that `set` makes.
fn new_pod(set: &ReplicaSet) -> Pod {
    let template = set.spec.as_ref().and_then(|spec| spec.template.clone()).unwrap_or_default();
    let meta = template.metadata.unwrap_or_default();
    Pod {
        metadata: ObjectMeta {
            generate_name: Some(format!("{}-", set.metadata.name.as_deref().unwrap_or_default())),
            namespace: set.metadata.namespace.clone(),
            labels: meta.labels,
            annotations: meta.annotations,
            finalizers: meta.finalizers,
            owner_references: Some(vec![ownership::controller_reference(set)]),
            ..ObjectMeta::default()
        },
        spec: template.spec,
        status: None,
    }
}

impl ReplicaSetController {
    /// Makes the number of `active` pods right.
    pub(super) async fn manage(&self, set: &ReplicaSet, active: &[Arc<LeanPod>]) -> Result<(), Failure> {
        let wanted = usize::try_from(set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)).unwrap_or(0);
        let api = Api::<Pod>::namespaced(self.client.clone(), set.metadata.namespace.as_deref().unwrap_or_default());
        if active.len() < wanted {
            self.create(set, &api, (wanted - active.len()).min(BURST)).await
        } else if active.len() > wanted {
            self.delete(set, &api, active, (active.len() - wanted).min(BURST)).await
        } else {
            Ok(())
        }
    }

    async fn create(&self, set: &ReplicaSet, api: &Api<Pod>, count: usize) -> Result<(), Failure> {
        let uid = set.metadata.uid.as_deref().unwrap_or_default();
        let pod = new_pod(set);
        self.expectations.expect_creations(uid, count);
        let mut left = count;
        for size in slow_start(count) {
            let created = join_all((0..size).map(|_| self.create_one(set, api, &pod))).await;
            left -= size;
            if let Some(error) = created.into_iter().find_map(Result::err) {
                (0..left).for_each(|_| self.expectations.created(uid));
                return Err(Failure { reason: "FailedCreate", message: api_error::message(&error) });
            }
        }
        Ok(())
    }

    async fn create_one(&self, set: &ReplicaSet, api: &Api<Pod>, pod: &Pod) -> Result<(), kube::Error> {
        match api.create(&PostParams::default(), pod).await {
            Ok(pod) => {
                let name = pod.metadata.name.unwrap_or_default();
                self.recorder.event(set, EventType::Normal, "SuccessfulCreate", format!("Created pod: {name}"));
                Ok(())
            }
            Err(error) => {
                let owner = set.metadata.uid.as_deref().unwrap_or_default();
                if api_error::is_ambiguous(&error) {
                    self.expectations.doubt(owner);
                }
                self.expectations.created(owner);
                if api_error::is_namespace_terminating(&error) {
                    return Ok(());
                }
                let message = format!("Error creating: {}", api_error::message(&error));
                self.recorder.event(set, EventType::Warning, "FailedCreate", message);
                Err(error)
            }
        }
    }

    async fn delete(
        &self,
        set: &ReplicaSet,
        api: &Api<Pod>,
        active: &[Arc<LeanPod>],
        count: usize,
    ) -> Result<(), Failure> {
        let uid = set.metadata.uid.as_deref().unwrap_or_default();
        let min_ready = set.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or(0);
        let chosen = ranking::choose(active, &self.related_pods(set), count, min_ready, self.clock.now());
        self.expectations.expect_deletions(uid, chosen.iter().map(|pod| ObjectKey::of(&**pod)));
        let deleted = join_all(chosen.iter().map(|pod| self.delete_one(set, api, pod))).await;
        match deleted.into_iter().find_map(Result::err) {
            Some(error) => Err(Failure { reason: "FailedDelete", message: api_error::message(&error) }),
            None => Ok(()),
        }
    }

    async fn delete_one(&self, set: &ReplicaSet, api: &Api<Pod>, pod: &Pod) -> Result<(), kube::Error> {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let same = Preconditions { uid: pod.metadata.uid.clone(), resource_version: None };
        match api.delete(name, &DeleteParams::default().preconditions(same)).await {
            Ok(_) => {
                self.recorder.event(set, EventType::Normal, "SuccessfulDelete", format!("Deleted pod: {name}"));
                Ok(())
            }
            Err(error) => {
                let owner = set.metadata.uid.as_deref().unwrap_or_default();
                if api_error::is_ambiguous(&error) {
                    self.expectations.doubt(owner);
                }
                self.expectations.deleted(owner, &ObjectKey::of(pod));
                // It is gone already, whether or not another one has its name.
                if api_error::is_not_found(&error) || api_error::is_conflict(&error) {
                    return Ok(());
                }
                let message = format!("Error deleting: {}", api_error::message(&error));
                self.recorder.event(set, EventType::Warning, "FailedDelete", message);
                Err(error)
            }
        }
    }

    /// The pods of all replica sets of the same owner.
    fn related_pods(&self, set: &ReplicaSet) -> Vec<Arc<LeanPod>> {
        let pods = |set: &ReplicaSet| controlled_by(&self.pods, set.metadata.uid.as_deref().unwrap_or_default());
        match controller_of(set) {
            Some(owner) => controlled_by(&self.sets, &owner.uid).iter().flat_map(|set| pods(set)).collect(),
            None => pods(set),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn batches_double() {
        assert_eq!(slow_start(10).collect::<Vec<_>>(), [1, 2, 4, 3]);
        assert_eq!(slow_start(1).collect::<Vec<_>>(), [1]);
        assert_eq!(slow_start(0).count(), 0);
    }

    #[test]
    fn a_pod_has_the_templates_metadata_and_its_owner() {
        let set: ReplicaSet = serde_json::from_value(json!({
            "metadata": {"name": "web", "namespace": "default", "uid": "u"},
            "spec": {"selector": {}, "template": {
                "metadata": {"labels": {"app": "web"}, "annotations": {"a": "b"}},
                "spec": {"containers": [{"name": "c"}]},
            }},
        }))
        .unwrap();
        let pod = serde_json::to_value(new_pod(&set)).unwrap();
        assert_eq!(
            pod["metadata"],
            json!({
                "generateName": "web-", "namespace": "default", "labels": {"app": "web"}, "annotations": {"a": "b"},
                "ownerReferences": [{
                    "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "u",
                    "controller": true, "blockOwnerDeletion": true,
                }],
            })
        );
        assert_eq!(pod["spec"]["containers"][0]["name"], "c");
    }
}
