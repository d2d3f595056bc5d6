mod placement;

use std::{fmt::Display, sync::Arc};

use k8s_openapi::api::core::v1::{
    Container, ContainerPort, PersistentVolumeClaimVolumeSource, Pod, PodResourceClaim, PodSchedulingGroup, PodSpec,
    ResourceClaim, ResourceRequirements, Volume,
};
use orchestra_core::scheduler::PodInfo;

use super::words;

/// A pod in namespace `default` with one container that asks for nothing. Its uid is its namespace and name, unless that is changed.
///
/// ```
/// use orchestra_sched::testing::pod;
/// let web = pod("web").requests("500m", "1Gi").label("app", "web").tolerate("dedicated=gpu").prefer(10, "zone in (a,b)").info();
/// assert_eq!(web.requests().milli_cpu, 500);
/// ```
pub fn pod(name: impl Into<String>) -> PodBuilder {
    let mut pod = Pod::default();
    pod.metadata.name = Some(name.into());
    pod.metadata.namespace = Some("default".to_owned());
    let container = Container { name: "main".to_owned(), ..Container::default() };
    pod.spec = Some(PodSpec { containers: vec![container], ..PodSpec::default() });
    PodBuilder { pod }
}

/// Makes a pod; begun by [`pod`].
///
/// # Panics
/// Its methods panic, at the line that calls them, where a text cannot be read.
#[derive(Clone, Debug)]
pub struct PodBuilder {
    pod: Pod,
}

impl PodBuilder {
    /// The namespace that it is in.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.pod.metadata.namespace = Some(namespace.into());
        self
    }

    /// Sets a label.
    #[must_use]
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.pod.metadata.labels.get_or_insert_default().insert(key.into(), value.into());
        self
    }

    /// How much CPU and memory it asks for: `requests("500m", "1Gi")`.
    #[must_use]
    #[track_caller]
    pub fn requests(self, cpu: impl Display, memory: impl Display) -> Self {
        self.request("cpu", cpu).request("memory", memory)
    }

    /// How much CPU it asks for: `"500m"`, 2.
    #[must_use]
    #[track_caller]
    pub fn cpu(self, amount: impl Display) -> Self {
        self.request("cpu", amount)
    }

    /// How much memory it asks for: `"1Gi"`.
    #[must_use]
    #[track_caller]
    pub fn memory(self, amount: impl Display) -> Self {
        self.request("memory", amount)
    }

    /// How much of any resource it asks for: `request("nvidia.com/gpu", 1)`.
    #[must_use]
    #[track_caller]
    pub fn request(mut self, resource: &str, amount: impl Display) -> Self {
        let amount = words::quantity(amount);
        let resources: &mut ResourceRequirements = self.container().resources.get_or_insert_default();
        resources.requests.get_or_insert_default().insert(resource.to_owned(), amount);
        self
    }

    /// The image that its container runs.
    #[must_use]
    pub fn image(mut self, image: impl Into<String>) -> Self {
        self.container().image = Some(image.into());
        self
    }

    /// A TCP port of the node that it takes.
    #[must_use]
    pub fn host_port(mut self, port: i32) -> Self {
        let port = ContainerPort { container_port: port, host_port: Some(port), ..ContainerPort::default() };
        self.container().ports.get_or_insert_default().push(port);
        self
    }

    /// The claim of a volume that it uses.
    #[must_use]
    pub fn claim(mut self, name: &str) -> Self {
        let claim_name = name.to_owned();
        let claim = PersistentVolumeClaimVolumeSource { claim_name, read_only: None };
        let volume = Volume { name: name.to_owned(), persistent_volume_claim: Some(claim), ..Volume::default() };
        self.spec().volumes.get_or_insert_default().push(volume);
        self
    }

    /// The claim of devices that it uses.
    #[must_use]
    pub fn devices(mut self, claim: &str) -> Self {
        let name = claim.to_owned();
        let claim = PodResourceClaim {
            name: name.clone(),
            resource_claim_name: Some(name.clone()),
            resource_claim_template_name: None,
        };
        self.spec().resource_claims.get_or_insert_default().push(claim);
        let resources: &mut ResourceRequirements = self.container().resources.get_or_insert_default();
        resources.claims.get_or_insert_default().push(ResourceClaim { name, request: None });
        self
    }

    /// Its priority.
    #[must_use]
    pub fn priority(mut self, priority: i32) -> Self {
        self.spec().priority = Some(priority);
        self
    }

    /// The scheduler that it waits for (`schedulerName`).
    #[must_use]
    pub fn scheduler(mut self, name: impl Into<String>) -> Self {
        self.spec().scheduler_name = Some(name.into());
        self
    }

    /// The PodGroup that it is scheduled with (`schedulingGroup`).
    #[must_use]
    pub fn group(mut self, name: impl Into<String>) -> Self {
        self.spec().scheduling_group = Some(PodSchedulingGroup { pod_group_name: Some(name.into()) });
        self
    }

    /// The node that it runs on: it does not wait for one.
    #[must_use]
    pub fn on(mut self, node: impl Into<String>) -> Self {
        self.spec().node_name = Some(node.into());
        self
    }

    /// Changes whatever there is no method for.
    ///
    /// ```
    /// use orchestra_sched::testing::pod;
    /// let pod = pod("web").with(|pod| pod.metadata.uid = Some("u".to_owned())).build();
    /// assert_eq!(pod.metadata.uid.as_deref(), Some("u"));
    /// ```
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Pod)) -> Self {
        change(&mut self.pod);
        self
    }

    /// The API object.
    pub fn build(self) -> Pod {
        let mut pod = self.pod;
        let metadata = &mut pod.metadata;
        if metadata.uid.is_none() {
            let (namespace, name) = (metadata.namespace.as_deref(), metadata.name.as_deref());
            metadata.uid = Some(format!("{}/{}", namespace.unwrap_or_default(), name.unwrap_or_default()));
        }
        pod
    }

    /// The pod as schedulers see it.
    pub fn info(self) -> PodInfo {
        PodInfo::new(Arc::new(self.build()))
    }

    fn spec(&mut self) -> &mut PodSpec {
        self.pod.spec.get_or_insert_default()
    }

    fn container(&mut self) -> &mut Container {
        let containers = &mut self.spec().containers;
        if containers.is_empty() {
            containers.push(Container { name: "main".to_owned(), ..Container::default() });
        }
        &mut containers[0]
    }
}

impl From<PodBuilder> for Pod {
    fn from(builder: PodBuilder) -> Self {
        builder.build()
    }
}

impl From<PodBuilder> for PodInfo {
    fn from(builder: PodBuilder) -> Self {
        builder.info()
    }
}
