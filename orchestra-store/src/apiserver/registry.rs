//! The table of kinds: one [`Resource`] a row, found by group, version and plural.

use std::{collections::BTreeMap, fmt, sync::Arc};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use super::{aggregation::AggregatedApi, row::Kind, status::Details, verbs::Answers};

/// Kubernetes' own groups, in the order in which kube-apiserver lists them.
pub(super) const KUBERNETES_GROUPS: &[&str] = &[
    "",
    "apiregistration.k8s.io",
    "apps",
    "events.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "scheduling.k8s.io",
    "coordination.k8s.io",
    "node.k8s.io",
    "discovery.k8s.io",
    "resource.k8s.io",
    "flowcontrol.apiserver.k8s.io",
];

/// A part of an object with an endpoint of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subresource {
    /// `status`: get, update, patch.
    Status,
    /// `scale`: get, update, patch, as autoscaling/v1.
    Scale,
    /// `binding` of a pod: create.
    Binding,
    /// `eviction` of a pod: create, as policy/v1.
    Eviction,
    /// `log` of a pod: get.
    Log,
    /// `ephemeralcontainers` of a pod: get, update, patch.
    EphemeralContainers,
    /// `resize` of a pod: get, update, patch.
    Resize,
    /// `exec` of a pod: a command in a container, over an upgraded connection.
    Exec,
    /// `attach` of a pod: a container's own process, over an upgraded connection.
    Attach,
    /// `portforward` of a pod: connections to its ports, over an upgraded connection.
    PortForward,
    /// `proxy` of a pod, service or node, with all paths below it: HTTP to what listens there.
    Proxy,
    /// `finalize` of a namespace: update.
    Finalize,
    /// `token` of a service account: create, as authentication.k8s.io/v1.
    Token,
}

impl Subresource {
    const ALL: [Self; 13] = [
        Self::Status,
        Self::Scale,
        Self::Binding,
        Self::Eviction,
        Self::Log,
        Self::EphemeralContainers,
        Self::Resize,
        Self::Exec,
        Self::Attach,
        Self::PortForward,
        Self::Proxy,
        Self::Finalize,
        Self::Token,
    ];

    /// The name in paths.
    pub fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Scale => "scale",
            Self::Binding => "binding",
            Self::Eviction => "eviction",
            Self::Log => "log",
            Self::EphemeralContainers => "ephemeralcontainers",
            Self::Resize => "resize",
            Self::Exec => "exec",
            Self::Attach => "attach",
            Self::PortForward => "portforward",
            Self::Proxy => "proxy",
            Self::Finalize => "finalize",
            Self::Token => "token",
        }
    }

    /// The subresource of that name; a proxy's is followed by a path.
    pub fn named(name: &str) -> Option<Self> {
        if name.starts_with("proxy/") {
            return Some(Self::Proxy);
        }
        Self::ALL.into_iter().find(|subresource| subresource.name() == name)
    }

    /// Whether it leads out of the API server.
    pub(super) fn connects(self) -> bool {
        matches!(self, Self::Log | Self::Exec | Self::Attach | Self::PortForward | Self::Proxy)
    }
}

/// A row of the table.
#[derive(Clone)]
pub struct Resource {
    /// The API group; empty for the core group.
    pub group: String,
    /// The version: `v1`.
    pub version: String,
    /// The kind: `Pod`.
    pub kind: String,
    /// The plural, as in paths: `pods`.
    pub plural: String,
    /// The singular: `pod`.
    pub singular: String,
    /// Short names for kubectl: `po`.
    pub short_names: Vec<String>,
    /// The groups of kinds that it belongs to: `all`.
    pub categories: Vec<String>,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// The endpoints beside the object itself.
    pub subresources: Vec<Subresource>,
    /// Where objects are stored: `/registry/pods/`, `/registry/example.org/widgets/`.
    pub storage_prefix: String,
    /// How long an object lives; `None` for ever.
    pub time_to_live: Option<std::time::Duration>,
    /// Whether a DELETE that takes effect at once answers with the object instead of a Status.
    pub returns_deleted: bool,
    /// Whether creating through PUT is allowed (`AllowCreateOnUpdate`), as for leases and events.
    pub creates_on_update: bool,
    /// Whether an update may leave out the version that it is based on (`AllowUnconditionalUpdate`); not so for leases.
    pub unconditional_updates: bool,
    /// What to tell whoever uses this version of the kind, if it is deprecated.
    pub deprecation: Option<String>,
    /// What is particular to the kind.
    pub rules: Arc<dyn Kind>,
    /// Of kinds whose objects are questions: who answers them. Nothing is stored of these.
    pub(super) answers: Option<Arc<dyn Answers>>,
}

impl Resource {
    /// `v1`, `apps/v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// The resource as errors name it: `pods`, `deployments.apps`.
    pub fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// The kind as errors name it: `Pod`, `Deployment.apps`.
    pub fn qualified_kind(&self) -> String {
        if self.group.is_empty() { self.kind.clone() } else { format!("{}.{}", self.kind, self.group) }
    }

    /// The Go package of Kubernetes' type, as some errors name it.
    pub(super) fn go_package(&self) -> &str {
        match self.group.split('.').next() {
            None | Some("" | "events") => "core",
            Some(name) => name,
        }
    }

    /// The details of a status about the object `name`.
    pub fn details(&self, name: &str) -> Details {
        Details { name: name.to_owned(), group: self.group.clone(), kind: self.plural.clone(), ..Details::default() }
    }

    /// As [`details`](Self::details), with the kind instead of the plural.
    pub fn kind_details(&self, name: &str) -> Details {
        Details { name: name.to_owned(), group: self.group.clone(), kind: self.kind.clone(), ..Details::default() }
    }

    /// The store's key of an object.
    pub fn key(&self, namespace: Option<&str>, name: &str) -> String {
        match namespace {
            Some(namespace) => format!("{}{namespace}/{name}", self.storage_prefix),
            None => format!("{}{name}", self.storage_prefix),
        }
    }

    /// What the keys of a namespace's objects (or of all objects) begin with.
    pub fn prefix(&self, namespace: Option<&str>) -> String {
        match namespace {
            Some(namespace) => format!("{}{namespace}/", self.storage_prefix),
            None => self.storage_prefix.clone(),
        }
    }

    /// Whether there is a DELETE of many objects at once; namespaces go one by one.
    pub fn deletes_collections(&self) -> bool {
        !(self.group.is_empty() && self.plural == "namespaces")
    }

    /// Whether the subresource is there.
    pub fn has(&self, subresource: Subresource) -> bool {
        self.subresources.contains(&subresource)
    }
}

impl fmt::Debug for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Resource({})", self.qualified())
    }
}

type Rows = BTreeMap<(String, String, String), Arc<Resource>>;

/// The kinds that a server serves. Clones share it; rows may be added while the server runs.
#[derive(Clone, Default)]
pub struct Registry {
    rows: Arc<RwLock<Arc<Rows>>>,
    /// What other servers serve.
    aggregated: Arc<RwLock<Vec<Arc<AggregatedApi>>>>,
    /// What was made of the rows for clients, until the rows change.
    documents: Arc<Mutex<BTreeMap<String, Bytes>>>,
    changes: watch::Sender<()>,
}

impl Registry {
    /// A table without rows.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a row, or replaces the one of the same group, version and plural.
    pub fn insert(&self, resource: Resource) {
        let key = (resource.group.clone(), resource.version.clone(), resource.plural.clone());
        Arc::make_mut(&mut self.rows.write()).insert(key, Arc::new(resource));
        // After the rows: whoever makes a document of the old rows holds this lock meanwhile.
        self.documents.lock().clear();
        self.changes.send_replace(());
    }

    /// Adds a version of a group that another server serves, or replaces it.
    pub fn aggregate(&self, api: AggregatedApi) {
        let mut all = self.aggregated.write();
        all.retain(|other| (&other.group, &other.version) != (&api.group, &api.version));
        all.push(Arc::new(api));
        drop(all);
        self.documents.lock().clear();
        self.changes.send_replace(());
    }

    /// What other servers serve.
    pub fn aggregated(&self) -> Vec<Arc<AggregatedApi>> {
        self.aggregated.read().clone()
    }

    /// Told whenever the rows have changed: discovery shows the new ones by then.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// The document of that name, made of the rows at the first call after they changed.
    pub(super) fn document(&self, name: &str, make: impl FnOnce() -> Option<Bytes>) -> Option<Bytes> {
        let mut documents = self.documents.lock();
        if let Some(document) = documents.get(name) {
            return Some(document.clone());
        }
        let document = make()?;
        documents.insert(name.to_owned(), document.clone());
        Some(document)
    }

    /// Adds a row.
    #[must_use]
    pub fn with(self, resource: Resource) -> Self {
        self.insert(resource);
        self
    }

    /// The row of a group, version and plural.
    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Resource>> {
        // A lookup by borrowed parts would need an own key type for one scan of a short table.
        let rows = Arc::clone(&self.rows.read());
        rows.values().find(|r| r.plural == plural && r.group == group && r.version == version).cloned()
    }

    /// The row of a kind.
    pub fn find_kind(&self, group: &str, version: &str, kind: &str) -> Option<Arc<Resource>> {
        let rows = Arc::clone(&self.rows.read());
        rows.values().find(|r| r.kind == kind && r.group == group && r.version == version).cloned()
    }

    /// All rows, ordered by group, version and plural.
    pub fn rows(&self) -> Vec<Arc<Resource>> {
        self.rows.read().values().cloned().collect()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.rows()).finish()
    }
}
