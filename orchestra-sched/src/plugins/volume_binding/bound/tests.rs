use orchestra_core::informer::{Change, Informed};
use serde_json::{Value, json};

use super::{all_bound as are_bound, *};
use crate::cache::ClusterCache;

fn from<T: serde::de::DeserializeOwned>(value: Value) -> Arc<T> {
    Arc::new(serde_json::from_value(value).unwrap())
}

fn claim(spec: Value, annotations: Value) -> Arc<PersistentVolumeClaim> {
    let metadata = json!({ "name": "c", "namespace": "default", "uid": "c", "annotations": annotations });
    from(json!({ "metadata": metadata, "spec": spec }))
}

/// A volume that node `node` reaches, as its version `version`.
fn volume(version: &str, node: &str, owner: Value) -> Arc<PersistentVolume> {
    let field = json!({ "key": "metadata.name", "operator": "In", "values": [node] });
    let affinity = json!({ "required": { "nodeSelectorTerms": [{ "matchFields": [field] }] } });
    let metadata = json!({ "name": "v", "resourceVersion": version });
    from(json!({ "metadata": metadata, "spec": { "claimRef": owner, "nodeAffinity": affinity } }))
}

fn owner() -> Value {
    json!({ "name": "c", "namespace": "default", "uid": "c" })
}

fn key() -> ObjectKey {
    ObjectKey::namespaced("default", "c")
}

/// What is decided about claim `c` of a pod on `n1`: that it gets volume `v`.
fn bind() -> VolumeChoice {
    VolumeChoice::Bind { claim: key(), volume: "v".to_owned() }
}

fn provision() -> VolumeChoice {
    VolumeChoice::Provision { claim: key() }
}

fn placed(choice: &VolumeChoice) -> Placement {
    let mut placement = Placement::on("n1");
    placement.volumes.push(choice.clone());
    placement
}

/// The API server tells of `object`.
fn tell<K: Informed>(cache: &mut ClusterCache, object: Arc<K>) {
    cache.apply(&Change::Added(object).into());
}

fn all_bound(cache: &ClusterCache, placement: &Placement) -> Result<bool, String> {
    are_bound(&cache.snapshot(), placement)
}

fn cache() -> ClusterCache {
    let mut cache = ClusterCache::default();
    cache.set_node(from(json!({ "metadata": { "name": "n1" } })));
    cache
}

#[test]
fn what_is_assumed_is_not_told_of_yet_whoever_reserved_it() {
    let mut cache = cache();
    tell(&mut cache, claim(json!({}), json!({})));
    tell(&mut cache, volume("1", "n1", json!(null)));
    assert_eq!(all_bound(&cache, &placed(&bind())), Err("ClaimRef got reset for pv \"v\"".to_owned()));
    assert_eq!(cache.reserve(&placed(&bind())).len(), 1);
    assert!(cache.reserve(&placed(&bind())).is_empty(), "the second pod has nothing to write");
    assert_eq!(all_bound(&cache, &placed(&bind())), Ok(false));
    tell(&mut cache, volume("2", "n1", owner()));
    assert_eq!(all_bound(&cache, &placed(&bind())), Ok(false));
    tell(&mut cache, claim(json!({ "volumeName": "v" }), json!({ "pv.kubernetes.io/bind-completed": "yes" })));
    assert_eq!(all_bound(&cache, &placed(&bind())), Ok(true));
}

#[test]
fn a_node_is_asked_for_once_by_all_pods_of_a_claim() {
    let mut cache = cache();
    tell(&mut cache, claim(json!({}), json!({})));
    assert_eq!(all_bound(&cache, &placed(&provision())), Err("provisioning failed for PVC \"c\"".to_owned()));
    assert_eq!(cache.reserve(&placed(&provision())).len(), 1);
    assert!(cache.reserve(&placed(&provision())).is_empty(), "the second pod has nothing to write");
    assert_eq!(all_bound(&cache, &placed(&provision())), Ok(false));
}

#[test]
fn a_provisioned_volume_has_to_be_within_reach() {
    let mut cache = cache();
    let done = json!({ "pv.kubernetes.io/bind-completed": "yes", "volume.kubernetes.io/selected-node": "n1" });
    tell(&mut cache, claim(json!({ "volumeName": "v" }), done));
    assert_eq!(all_bound(&cache, &placed(&provision())), Ok(false), "the volume is not told of yet");
    tell(&mut cache, volume("1", "n1", owner()));
    assert_eq!(all_bound(&cache, &placed(&provision())), Ok(true));
    tell(&mut cache, volume("2", "n2", owner()));
    let why = "pv \"v\" node affinity doesn't match node \"n1\": no matching NodeSelectorTerms".to_owned();
    assert_eq!(all_bound(&cache, &placed(&provision())), Err(why));
}

#[test]
fn nothing_is_bound_to_a_node_that_is_gone() {
    let mut cache = cache();
    tell(&mut cache, claim(json!({}), json!({})));
    cache.reserve(&placed(&provision()));
    cache.remove_node("n1");
    let why = "failed to get node \"n1\": node \"n1\" not found".to_owned();
    assert_eq!(all_bound(&cache, &placed(&provision())), Err(why));
}
