//! The controllers that every cluster has, as kube-controller-manager runs them.
//!
//! ```text
//!   Deployment ──► ReplicaSet ──► Pod          deployment, replica_set
//!   owner gone ──► dependents go               garbage_collector
//!   Namespace deleted ──► its contents go      namespace
//!   Namespace created ──► ServiceAccount       service_account
//!   Namespace created ──► kube-root-ca.crt     root_ca_cert_publisher
//!   Node silent or ill ──► conditions, taints  node_lifecycle
//!   taint NoExecute ──► pods go                taint_eviction
//!   budget ──► how many pods may go            disruption
//!   Node gone ──► its pods go                  pod_gc
//!   Service, its pods ──► who is behind it     endpoint_slice, endpoints
//!   Endpoints by hand ──► EndpointSlice        endpoint_slice_mirroring
//!   claim ◄──► volume                          persistent_volume
//!   used claims and bound volumes stay         pvc_protection, pv_protection
//!   Pod ──► claims of devices, and back        resource_claim
//! ```

use std::sync::Arc;

use orchestra_core::controller::{Controller, ControllerContext};
use tokio::sync::watch;

mod api_error;
mod claim_users;
pub mod deployment;
pub mod disruption;
mod disruption_target;
pub mod endpoint_slice;
pub mod endpoint_slice_mirroring;
pub mod endpoints;
mod finalizer;
pub mod garbage_collector;
pub mod namespace;
pub mod node_lifecycle;
mod ownership;
pub mod persistent_volume;
mod pod_count;
pub mod pod_gc;
mod pod_state;
pub mod pv_protection;
pub mod pvc_protection;
pub mod replica_set;
pub mod resource_claim;
pub mod root_ca_cert_publisher;
mod served;
pub mod service_account;
mod service_pods;
pub mod taint_eviction;

pub use self::{
    deployment::DeploymentController,
    disruption::{DisruptionController, StaleDisruptionTargets},
    endpoint_slice::EndpointSliceController,
    endpoint_slice_mirroring::EndpointSliceMirroringController,
    endpoints::EndpointsController,
    garbage_collector::GarbageCollector,
    namespace::NamespaceController,
    node_lifecycle::NodeLifecycleController,
    persistent_volume::PersistentVolumeBinder,
    pod_gc::PodGc,
    pv_protection::VolumeProtection,
    pvc_protection::ClaimProtection,
    replica_set::ReplicaSetController,
    resource_claim::{ResourceClaimController, ResourceClaimRelease},
    root_ca_cert_publisher::RootCaCertPublisher,
    service_account::ServiceAccountController,
    taint_eviction::TaintEvictionController,
};

/// All of them. Call within a tokio runtime.
///
/// `kinds` tells when other kinds are served. Of a server in another process nobody can tell: give a receiver whose sender is gone.
pub fn all(context: &ControllerContext, kinds: watch::Receiver<()>) -> Vec<Arc<dyn Controller>> {
    vec![
        Arc::new(DeploymentController::new(context)),
        Arc::new(ReplicaSetController::new(context)),
        Arc::new(GarbageCollector::new(context, kinds)),
        Arc::new(NamespaceController::new(context)),
        Arc::new(ServiceAccountController::new(context)),
        // The API server speaks no TLS, so there is no certificate to know it by.
        Arc::new(RootCaCertPublisher::new(context, "")),
        Arc::new(NodeLifecycleController::new(context)),
        Arc::new(TaintEvictionController::new(context)),
        Arc::new(PodGc::new(context)),
        Arc::new(DisruptionController::new(context)),
        Arc::new(StaleDisruptionTargets::new(context)),
        Arc::new(EndpointSliceController::new(context)),
        Arc::new(EndpointSliceMirroringController::new(context)),
        Arc::new(EndpointsController::new(context)),
        Arc::new(PersistentVolumeBinder::new(context)),
        Arc::new(ClaimProtection::new(context)),
        Arc::new(VolumeProtection::new(context)),
        Arc::new(ResourceClaimController::new(context)),
        Arc::new(ResourceClaimRelease::new(context)),
    ]
}
