//! Clusters from files.

use k8s_openapi::api::{
    apps::v1 as apps, core::v1 as core, policy::v1 as policy, resource::v1 as resource,
    scheduling::v1alpha2 as scheduling, storage::v1 as storage,
};
use orchestra_core::informer::Informed;
use serde::Serialize;
use serde_json::Value;

use super::TestCluster;

/// Adds an object of one kind.
type Add = fn(&mut TestCluster, Value) -> Result<(), serde_json::Error>;

/// The kinds that schedulers look at.
const KINDS: [(&str, Add); 19] = [
    ("Node", |cluster, object| serde_json::from_value::<core::Node>(object).map(|node| cluster.add_node(node))),
    ("Pod", |cluster, object| serde_json::from_value::<core::Pod>(object).map(|pod| cluster.add_pod(pod))),
    ("CSIDriver", add::<storage::CSIDriver>),
    ("CSINode", add::<storage::CSINode>),
    ("CSIStorageCapacity", add::<storage::CSIStorageCapacity>),
    ("DeviceClass", add::<resource::DeviceClass>),
    ("Namespace", add::<core::Namespace>),
    ("PersistentVolume", add::<core::PersistentVolume>),
    ("PersistentVolumeClaim", add::<core::PersistentVolumeClaim>),
    ("PodDisruptionBudget", add::<policy::PodDisruptionBudget>),
    ("PodGroup", add::<scheduling::PodGroup>),
    ("ReplicaSet", add::<apps::ReplicaSet>),
    ("ReplicationController", add::<core::ReplicationController>),
    ("ResourceClaim", add::<resource::ResourceClaim>),
    ("ResourceSlice", add::<resource::ResourceSlice>),
    ("Service", add::<core::Service>),
    ("StatefulSet", add::<apps::StatefulSet>),
    ("StorageClass", add::<storage::StorageClass>),
    ("VolumeAttachment", add::<storage::VolumeAttachment>),
];

fn add<K: Informed + Serialize>(cluster: &mut TestCluster, object: Value) -> Result<(), serde_json::Error> {
    cluster.add_object(serde_json::from_value::<K>(object)?);
    Ok(())
}

fn known() -> String {
    KINDS.map(|(kind, _)| kind).join(", ")
}

/// Why a file is no cluster.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// A document is not YAML.
    #[error("not YAML: {0}")]
    Yaml(String),
    /// A document is not of a kind that schedulers look at.
    #[error("document {document}: kind {kind:?} is none that schedulers look at: List, {}", known())]
    Kind {
        /// Which document, from 1.
        document: usize,
        /// What it says it is; empty if it does not say.
        kind: String,
    },
    /// An object has not the form of its kind.
    #[error("document {document}: {kind} {name:?} cannot be read: {error}")]
    Object {
        /// Which document, from 1.
        document: usize,
        /// The object's kind.
        kind: String,
        /// The object's name.
        name: String,
        /// What is wrong.
        error: serde_json::Error,
    },
}

impl TestCluster {
    /// Reads what `kubectl get nodes,pods -o yaml` prints (with `-A` for all namespaces; any kinds that schedulers look at), or documents of
    /// single objects; JSON is YAML.
    ///
    /// # Errors
    /// Text that is no YAML, a kind that schedulers do not look at, an object that has not the form of its kind.
    ///
    /// ```
    /// use orchestra_sched::testing::TestCluster;
    /// let cluster = TestCluster::from_yaml("
    /// apiVersion: v1
    /// kind: List
    /// items:
    /// - {apiVersion: v1, kind: Node, metadata: {name: n1}, status: {allocatable: {cpu: '4', pods: '110'}}}
    /// ---
    /// {apiVersion: v1, kind: Pod, metadata: {name: web, namespace: default}, spec: {nodeName: n1, containers: [{name: main}]}}
    /// ")?;
    /// assert_eq!(cluster.node_of("web"), Some("n1"));
    /// # Ok::<(), orchestra_sched::testing::FileError>(())
    /// ```
    pub fn from_yaml(text: &str) -> Result<Self, FileError> {
        // A cluster's file may be large; whoever gives it is trusted not to blow it up with aliases.
        let options = serde_saphyr::options! { legacy_octal_numbers: true, budget: None };
        let documents: Vec<Value> = serde_saphyr::from_multiple_with_options(text, options)
            .map_err(|error| FileError::Yaml(error.to_string()))?;
        let mut cluster = Self::new();
        for (index, document) in documents.into_iter().enumerate().filter(|(_, value)| !value.is_null()) {
            cluster.add_document(index + 1, document)?;
        }
        Ok(cluster)
    }

    /// Adds the object, or the objects of the list, that is document number `document`.
    pub(in crate::testing) fn add_document(&mut self, document: usize, mut object: Value) -> Result<(), FileError> {
        let kind = object["kind"].as_str().unwrap_or_default().to_owned();
        if let Some((_, add)) = KINDS.iter().find(|(known, _)| *known == kind) {
            let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            if object["apiVersion"].is_null()
                && let Some(fields) = object.as_object_mut()
            {
                // Items of lists need not say what the list says.
                fields.remove("kind");
            }
            return add(self, object).map_err(|error| FileError::Object { document, kind, name, error });
        }
        let Some(of) = kind.strip_suffix("List") else { return Err(FileError::Kind { document, kind }) };
        if let Value::Array(items) = object["items"].take() {
            for mut item in items {
                if let Some(fields) = item.as_object_mut() {
                    fields.entry("kind").or_insert_with(|| of.into());
                }
                self.add_document(document, item)?;
            }
        }
        Ok(())
    }
}
