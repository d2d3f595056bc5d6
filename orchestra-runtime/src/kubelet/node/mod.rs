//! The node's own object: registration, heartbeats, and conditions.

pub(super) mod collect;
mod conditions;
pub(super) mod critical;
pub(super) mod eviction;
mod images;
mod machine;
mod pressure;
mod resources;
pub(super) mod shutdown;
mod signals;
mod threshold;

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::{
    api::{
        coordination::v1::{Lease, LeaseSpec},
        core::v1::{
            ContainerImage, DaemonEndpoint, Node, NodeAddress, NodeCondition, NodeDaemonEndpoints, NodeStatus,
            NodeSystemInfo, ObjectReference,
        },
    },
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference},
    },
};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use orchestra_core::{
    container_runtime::{ContainerRuntime, RuntimeCondition, RuntimeStatus, RuntimeVersion},
    event_recorder::EventType,
    random::Generator,
    work_queue::Backoff,
};
use serde_json::json;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

pub(super) use self::{conditions::lack_of_network, eviction::EVICTED, pressure::Pressure, resources::resources};
use self::{
    conditions::{RUNTIME_DOWN, conditions_at, conditions_of, is_change, news},
    critical::SYSTEM_CRITICAL,
    images::listed,
};
pub use self::{
    machine::{Machine, MachineError},
    shutdown::NodeShutdown,
    threshold::{EvictionThresholds, ThresholdError},
};
use super::Context;

/// Whose version the node reports: the one that this kubelet behaves like.
const KUBELET_VERSION: &str = "v1.36.2";
const LEASE_NAMESPACE: &str = "kube-node-lease";
const LEASE_SECONDS: i32 = 40;
/// Kubernetes' periods: a quarter of the lease's duration, and `nodeStatusReportFrequency`.
const HEARTBEAT: Duration = Duration::from_secs(10);
const STATUS_PERIOD: Duration = Duration::from_secs(300);
const BACKOFF: Backoff = Backoff { base: Duration::from_millis(100), max: Duration::from_secs(7) };

/// The runtime's version, as soon as it answers.
pub(super) async fn runtime_version(runtime: &dyn ContainerRuntime) -> RuntimeVersion {
    BACKOFF
        .retry(|| runtime.version(), |error| warn!(%error, "the container runtime does not answer, trying again"))
        .await
}

/// Registers the node and keeps it alive until the future is dropped.
pub(super) async fn keep(context: &Context, version: &RuntimeVersion, generator: &Generator) {
    let mut info = system_info(version, generator);
    if let Some(machine) = &context.config.machine {
        machine.describe(&mut info);
    }
    let keeper = Keeper { context, info };
    keeper.event("Starting", "Starting kubelet.");
    let mut uid = Some(Box::pin(keeper.registered()).await);
    let (mut reported, mut told) = (Instant::now(), false);
    // Most of the time it sleeps: what it does in between is boxed, lest each node's task take its room for ever.
    loop {
        if let Some(uid) = &uid {
            Box::pin(keeper.renew_lease(uid)).await;
        }
        tokio::select! {
            () = sleep(HEARTBEAT) => {}
            // Others are to know at once.
            () = context.shutdown.begun(), if !told => told = true,
        }
        match Box::pin(keeper.report(&mut reported)).await {
            Ok(found) => uid = found,
            Err(error) => warn!(node = %context.node, %error, "node status not written"),
        }
    }
}

struct Keeper<'a> {
    context: &'a Context,
    info: NodeSystemInfo,
}

impl Keeper<'_> {
    fn api(&self) -> Api<Node> {
        Api::all(self.context.client.clone())
    }

    fn event(&self, reason: &str, message: &str) {
        event(self.context, EventType::Normal, reason, message);
    }

    /// Tells of what became of the node's conditions.
    fn tell(&self, old: &[NodeCondition], now: &[NodeCondition]) {
        for news in news(old, now) {
            self.event(&news, &format!("Node {} status is now: {news}", self.context.node));
        }
    }

    fn conditions(&self, runtime: &RuntimeStatus, old: &[NodeCondition]) -> Vec<NodeCondition> {
        let (lacks, stops) = (self.context.pressure.lacks(), self.context.shutdown.is_begun());
        conditions_at(runtime, &lacks, stops, old, self.context.clock.now())
    }

    async fn runtime_status(&self) -> RuntimeStatus {
        self.context.runtime.status().await.unwrap_or_else(|error| {
            let mut status = RuntimeStatus::ready();
            // Kubernetes' words, and what the runtime's way says.
            status.runtime = RuntimeCondition { message: format!("{RUNTIME_DOWN}: {error}"), ..Default::default() };
            status
        })
    }

    /// Writes the status if the API server has another, whoever wrote that, or if it was not written for long. Returns the node's uid: one
    /// that was deleted stays so until a kubelet starts, as in Kubernetes.
    async fn report(&self, reported: &mut Instant) -> Result<Option<String>, kube::Error> {
        let Some(node) = self.api().get_opt(&self.context.node).await? else { return Ok(None) };
        let old = conditions_of(&node);
        let now = self.conditions(&self.runtime_status().await, &old);
        let images = self.images().await;
        // None are as good as no list.
        let seen = node.status.and_then(|status| status.images).unwrap_or_default();
        let other_images = images.as_ref().is_some_and(|images| *images != seen);
        if is_change(&old, &now) || other_images || reported.elapsed() >= STATUS_PERIOD {
            self.write_status(&now, images).await?;
            self.tell(&old, &now);
            *reported = Instant::now();
        }
        Ok(node.metadata.uid)
    }

    /// The images that a real node has, if the runtime tells.
    async fn images(&self) -> Option<Vec<ContainerImage>> {
        self.context.config.machine.as_ref()?;
        let images = self.context.runtime.list_images().await;
        images.map(listed).inspect_err(|error| warn!(node = %self.context.node, %error, "images not listed")).ok()
    }

    /// The node's uid, once the API server has it.
    async fn registered(&self) -> String {
        let node = &self.context.node;
        let failed = |error: &_| warn!(%node, %error, "node not registered, trying again");
        let registered = BACKOFF.retry(|| self.register(), failed).await;
        info!(%node, "node registered");
        registered
    }

    async fn register(&self) -> Result<String, kube::Error> {
        let context = self.context;
        let runtime = self.runtime_status().await;
        let fresh = self.conditions(&runtime, &[]);
        let images = self.images().await;
        let node = Node {
            metadata: ObjectMeta {
                name: Some(context.node.clone()),
                labels: Some(context.config.labels.clone()),
                annotations: Some(BTreeMap::from([(
                    "volumes.kubernetes.io/controller-managed-attach-detach".to_owned(),
                    "true".to_owned(),
                )])),
                ..ObjectMeta::default()
            },
            status: Some(self.status(fresh.clone(), images.clone())),
            ..Node::default()
        };
        let node = match self.api().create(&PostParams::default(), &node).await {
            Ok(node) => node,
            Err(kube::Error::Api(error)) if error.code == 409 => {
                let labels = json!({ "metadata": { "labels": context.config.labels } });
                let node = self.api().patch(&context.node, &PatchParams::default(), &Patch::Merge(labels)).await?;
                let now = self.conditions(&runtime, &conditions_of(&node));
                self.write_status(&now, images).await?;
                // For this kubelet they are new.
                self.tell(&[], &now);
                return Ok(node.metadata.uid.unwrap_or_default());
            }
            Err(error) => return Err(error),
        };
        // A server may take no status at creation.
        if conditions_of(&node).is_empty() {
            self.write_status(&fresh, images).await?;
        }
        self.tell(&[], &fresh);
        Ok(node.metadata.uid.unwrap_or_default())
    }

    fn status(&self, conditions: Vec<NodeCondition>, images: Option<Vec<ContainerImage>>) -> NodeStatus {
        let config = &self.context.config;
        let amounts = |amounts: &BTreeMap<String, String>| {
            Some(amounts.iter().map(|(name, amount)| (name.clone(), Quantity(amount.clone()))).collect())
        };
        let address = |kind: &str, address: String| NodeAddress { type_: kind.to_owned(), address };
        NodeStatus {
            addresses: Some(vec![
                address("InternalIP", config.address.to_string()),
                address("Hostname", self.context.node.clone()),
            ]),
            allocatable: amounts(&config.allocatable),
            capacity: amounts(&config.capacity),
            conditions: Some(conditions),
            daemon_endpoints: Some(NodeDaemonEndpoints {
                kubelet_endpoint: Some(DaemonEndpoint { port: self.context.port.into() }),
            }),
            images,
            node_info: Some(self.info.clone()),
            ..NodeStatus::default()
        }
    }

    async fn write_status(
        &self,
        conditions: &[NodeCondition],
        images: Option<Vec<ContainerImage>>,
    ) -> Result<(), kube::Error> {
        // Conditions and addresses are merged by type, so what others report stays.
        let patch = json!({ "status": self.status(conditions.to_vec(), images) });
        let name = &self.context.node;
        self.api().patch_status(name, &PatchParams::default(), &Patch::Strategic(patch)).await.map(drop)
    }

    async fn renew_lease(&self, node_uid: &str) {
        for attempt in 0..5 {
            match self.try_renew_lease(node_uid).await {
                Ok(()) => return,
                Err(error) => {
                    warn!(node = %self.context.node, %error, "lease not renewed");
                    sleep(BACKOFF.delay(attempt)).await;
                }
            }
        }
    }

    async fn try_renew_lease(&self, node_uid: &str) -> Result<(), kube::Error> {
        let name = &self.context.node;
        let api = Api::<Lease>::namespaced(self.context.client.clone(), LEASE_NAMESPACE);
        let spec = LeaseSpec {
            holder_identity: Some(name.clone()),
            lease_duration_seconds: Some(LEASE_SECONDS),
            renew_time: Some(MicroTime(self.context.clock.now())),
            ..LeaseSpec::default()
        };
        let patch = json!({ "spec": spec });
        match api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await {
            Err(kube::Error::Api(error)) if error.code == 404 => {}
            other => return other.map(drop),
        }
        let owner = OwnerReference {
            api_version: "v1".to_owned(),
            kind: "Node".to_owned(),
            name: name.clone(),
            uid: node_uid.to_owned(),
            ..OwnerReference::default()
        };
        let metadata = ObjectMeta {
            name: Some(name.clone()),
            namespace: Some(LEASE_NAMESPACE.to_owned()),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        };
        api.create(&PostParams::default(), &Lease { metadata, spec: Some(spec) }).await.map(drop)
    }
}

/// Records an event about the node, if it is to tell of itself.
pub(super) fn event(context: &Context, kind: EventType, reason: &str, message: &str) {
    if context.config.events {
        let node = ObjectReference {
            kind: Some("Node".to_owned()),
            name: Some(context.node.clone()),
            // Kubernetes puts the name here.
            uid: Some(context.node.clone()),
            ..ObjectReference::default()
        };
        context.recorder.event_about(node, kind, reason, message);
    }
}

fn system_info(version: &RuntimeVersion, generator: &Generator) -> NodeSystemInfo {
    let machine = generator.uid();
    NodeSystemInfo {
        architecture: match std::env::consts::ARCH {
            "x86_64" => "amd64".to_owned(),
            "aarch64" => "arm64".to_owned(),
            other => other.to_owned(),
        },
        boot_id: generator.uid(),
        container_runtime_version: format!("{}://{}", version.name, version.version),
        kernel_version: "unknown".to_owned(),
        kubelet_version: KUBELET_VERSION.to_owned(),
        machine_id: machine.replace('-', ""),
        operating_system: "linux".to_owned(),
        os_image: "orchestra".to_owned(),
        system_uuid: machine,
        ..NodeSystemInfo::default()
    }
}
