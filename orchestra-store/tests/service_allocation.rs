//! The addresses and ports of services: each has its own, and gives it back.

#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use k8s_openapi::api::core::v1::{Event, Service, ServiceSpec};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use orchestra_core::{
    random::Generator,
    store::{
        KeyRange, KeyValue, ListOptions, Page, ReadAt, Revision, Store, StoreError, Transaction, WatchStream, Watcher,
    },
};
use orchestra_store::{
    MemoryStore,
    apiserver::{ApiServer, kinds::service::ServiceRanges},
};
use serde_json::{Value, json};

struct World {
    store: MemoryStore,
    services: Api<Service>,
}

impl World {
    async fn start(ranges: ServiceRanges) -> Self {
        let store = MemoryStore::default();
        let server = ApiServer::builder(Arc::new(store.clone())).generator(Generator::seeded(1));
        let server = server.service_ranges(ranges).start().await.unwrap();
        Self { store, services: Api::default_namespaced(server.client("default")) }
    }

    async fn create(&self, name: &str, mut spec: Value) -> Result<ServiceSpec, String> {
        spec["ports"] = spec.get("ports").cloned().unwrap_or_else(|| json!([{"port": 80}]));
        let service = serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec})).unwrap();
        told(self.services.create(&PostParams::default(), &service).await)
    }

    async fn patch(&self, name: &str, spec: Value) -> Result<ServiceSpec, String> {
        told(self.services.patch(name, &PatchParams::default(), &Patch::Merge(json!({"spec": spec}))).await)
    }

    async fn delete(&self, name: &str) {
        self.services.delete(name, &DeleteParams::default()).await.unwrap();
    }

    /// The claims below a prefix, without it.
    async fn claims(&self, prefix: &str) -> BTreeSet<String> {
        let page = self.store.list(&KeyRange::prefix(prefix), ListOptions::default()).await.unwrap();
        page.entries.iter().map(|entry| entry.key.trim_start_matches(prefix).to_owned()).collect()
    }
}

fn told(answer: Result<Service, kube::Error>) -> Result<ServiceSpec, String> {
    match answer {
        Ok(service) => Ok(service.spec.unwrap()),
        Err(kube::Error::Api(status)) => Err(status.message.clone()),
        Err(error) => panic!("{error}"),
    }
}

fn single(range: &str) -> ServiceRanges {
    ServiceRanges::single(range.parse().unwrap())
}

fn dual() -> ServiceRanges {
    ServiceRanges::dual("10.0.0.0/24".parse().unwrap(), "fd00::/112".parse().unwrap()).unwrap()
}

fn ips(spec: &ServiceSpec) -> Vec<&str> {
    spec.cluster_ips.iter().flatten().map(String::as_str).collect()
}

#[tokio::test]
async fn a_range_is_used_to_its_end_and_told_to_be_full() {
    let world = World::start(single("10.0.0.0/28")).await;
    // Fourteen addresses can be used, of which the Service `kubernetes` has one.
    let mut seen = BTreeSet::from(["10.0.0.1".to_owned()]);
    for i in 0..13 {
        let spec = world.create(&format!("s{i}"), json!({})).await.unwrap();
        assert!(seen.insert(spec.cluster_ip.unwrap()));
    }
    let full = world.create("more", json!({})).await.unwrap_err();
    assert_eq!(full, "Internal error occurred: failed to allocate a serviceIP: range is full");
    world.delete("s3").await;
    assert!(world.create("more", json!({})).await.is_ok(), "a deleted service gives its address back");
}

#[tokio::test]
async fn node_ports_are_found_when_most_are_taken() {
    let world = World::start(single("10.0.0.0/16")).await;
    let owner = Bytes::from_static(b"/registry/services/specs/default/other");
    for port in (30000..=32767).filter(|port| *port != 31234) {
        let put = Transaction::new().put(
            &*format!("/registry/nodeports/{port}"),
            owner.clone(),
            orchestra_core::store::Precondition::None,
        );
        world.store.commit(put).await.unwrap();
    }
    let spec = world.create("a", json!({"type": "NodePort"})).await.unwrap();
    assert_eq!(spec.ports.unwrap()[0].node_port, Some(31234));
    let full = world.create("b", json!({"type": "NodePort"})).await.unwrap_err();
    assert_eq!(full, "Internal error occurred: failed to allocate a nodePort: range is full");
    assert!(world.create("c", json!({})).await.is_ok());
    let full = world.patch("c", json!({"type": "NodePort"})).await.unwrap_err();
    assert_eq!(full, "Internal error occurred: failed to allocate a nodePort: range is full");
    world.delete("a").await;
    let changed = world.patch("c", json!({"type": "NodePort"})).await.unwrap();
    assert_eq!(changed.ports.unwrap()[0].node_port, Some(31234), "an update draws again what is taken");
}

#[tokio::test]
async fn what_is_asked_for_is_given_or_refused_in_kubernetes_words() {
    let world = World::start(single("10.0.0.0/16")).await;
    let spec = world
        .create("a", json!({"clusterIP": "10.0.9.9", "type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}]}))
        .await;
    assert_eq!(spec.unwrap().cluster_ip.as_deref(), Some("10.0.9.9"));
    let ip = world.create("b", json!({"clusterIP": "10.0.9.9"})).await.unwrap_err();
    assert_eq!(
        ip,
        "Service \"b\" is invalid: spec.clusterIPs: Invalid value: [\"10.0.9.9\"]: failed to allocate IP 10.0.9.9: provided IP is already allocated"
    );
    let port = json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}]});
    let taken = "spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated";
    assert_eq!(world.create("b", port.clone()).await.unwrap_err(), format!("Service \"b\" is invalid: {taken}"));
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let service: Service = serde_json::from_value(json!({"metadata": {"name": "b"}, "spec": port})).unwrap();
    let dry = told(world.services.create(&dry, &service).await).unwrap_err();
    assert_eq!(dry, format!("Service \"b\" is invalid: {taken}"), "a dry run tells it as well");
}

#[tokio::test]
async fn changes_of_the_type_take_and_give_back() {
    let world = World::start(single("10.0.0.0/16")).await;
    let before = (world.claims("/registry/ipaddresses/").await, world.claims("/registry/nodeports/").await);
    let balanced = json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local"});
    let spec = world.create("a", balanced).await.unwrap();
    assert!((30000..=32767).contains(&spec.health_check_node_port.unwrap()));
    assert_eq!(world.claims("/registry/nodeports/").await.len(), 2);
    world.patch("a", json!({"type": "ClusterIP", "externalTrafficPolicy": null})).await.unwrap();
    assert!(world.claims("/registry/nodeports/").await.is_empty());
    let external = json!({"type": "ExternalName", "externalName": "example.org", "ports": null});
    world.patch("a", external).await.unwrap();
    assert_eq!((world.claims("/registry/ipaddresses/").await, world.claims("/registry/nodeports/").await), before);
    let back =
        world.patch("a", json!({"type": "ClusterIP", "externalName": null, "ports": [{"port": 80}]})).await.unwrap();
    assert!(back.cluster_ip.is_some());
    world.delete("a").await;
    assert_eq!(world.claims("/registry/ipaddresses/").await, before.0);
}

#[tokio::test]
async fn a_service_of_both_families_has_an_address_of_each() {
    let world = World::start(dual()).await;
    let one = world.create("one", json!({})).await.unwrap();
    assert_eq!((ips(&one).len(), one.ip_families.as_deref()), (1, Some(&["IPv4".to_owned()][..])));
    let two = world.create("two", json!({"ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv6"]})).await.unwrap();
    assert_eq!(two.ip_families.as_deref(), Some(&["IPv6".to_owned(), "IPv4".to_owned()][..]));
    assert!(ips(&two)[0].starts_with("fd00::") && ips(&two)[1].starts_with("10.0.0."), "{two:?}");
    assert_eq!(two.cluster_ip.as_deref(), Some(ips(&two)[0]));
    let asked = world.create("asked", json!({"clusterIP": "fd00::99"})).await.unwrap();
    assert_eq!(asked.ip_families.as_deref(), Some(&["IPv6".to_owned()][..]), "the address tells the family");

    let upgraded = world.patch("one", json!({"ipFamilyPolicy": "PreferDualStack"})).await.unwrap();
    assert_eq!((ips(&upgraded).len(), ips(&upgraded)[0]), (2, ips(&one)[0]));
    let second = ips(&upgraded)[1].to_owned();
    assert!(world.claims("/registry/ipaddresses/").await.contains(&second));
    let kept = world.patch("one", json!({"clusterIPs": [ips(&one)[0]]})).await.unwrap_err();
    assert_eq!(
        kept,
        "Service \"one\" is invalid: spec.ipFamilyPolicy: Invalid value: \"PreferDualStack\": must be 'SingleStack' to release the secondary cluster IP"
    );
    let downgraded = world.patch("one", json!({"ipFamilyPolicy": "SingleStack"})).await.unwrap();
    assert_eq!(ips(&downgraded), ips(&one));
    assert!(!world.claims("/registry/ipaddresses/").await.contains(&second));
}

#[tokio::test]
async fn what_families_cannot_be_is_told() {
    let world = World::start(dual()).await;
    let policy = "spec.ipFamilyPolicy: Invalid value: \"SingleStack\"";
    let both = world.create("a", json!({"ipFamilies": ["IPv4", "IPv6"]})).await.unwrap_err();
    let detail = "must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified";
    assert_eq!(both, format!("Service \"a\" is invalid: {policy}: {detail}"));
    let mixed = world.create("a", json!({"clusterIP": "fd00::5", "ipFamilies": ["IPv4"]})).await.unwrap_err();
    let detail = "expected an IPv4 value as indicated by `ipFamilies[0]`";
    assert_eq!(mixed, format!("Service \"a\" is invalid: spec.clusterIPs[0]: Invalid value: \"fd00::5\": {detail}"));
    let single = World::start(single("10.0.0.0/24")).await;
    let six = single.create("a", json!({"ipFamilies": ["IPv6"]})).await.unwrap_err();
    assert_eq!(
        six,
        "Service \"a\" is invalid: spec.ipFamilies[0]: Invalid value: \"IPv6\": not configured on this cluster"
    );
    let prefers = single.create("a", json!({"ipFamilyPolicy": "PreferDualStack"})).await.unwrap();
    assert_eq!(ips(&prefers).len(), 1);
}

impl World {
    async fn put(&self, key: &str, value: impl Into<Bytes>) {
        let put = Transaction::new().put(key, value, orchestra_core::store::Precondition::None);
        self.store.commit(put).await.unwrap();
    }

    /// Another server over the same store, after it has looked over what is there.
    async fn restarted(&self) -> ApiServer {
        ApiServer::builder(Arc::new(self.store.clone())).service_ranges(single("10.0.0.0/16")).start().await.unwrap()
    }

    async fn owner(&self, claim: &str) -> Option<String> {
        let found = self.store.get(claim, ReadAt::Latest).await.unwrap()?;
        Some(String::from_utf8(found.value.to_vec()).unwrap())
    }
}

#[tokio::test]
async fn what_the_services_say_is_restored_at_the_start() {
    let world = World::start(single("10.0.0.0/16")).await;
    world
        .create("a", json!({"clusterIP": "10.0.9.9", "type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}]}))
        .await
        .unwrap();
    let (ip, port) = ("/registry/ipaddresses/10.0.9.9", "/registry/nodeports/30080");
    let lost = Transaction::new().delete(ip, orchestra_core::store::Precondition::Exists);
    world.store.commit(lost).await.unwrap();
    world.put(port, "/registry/services/specs/default/stranger").await;
    world.put("/registry/ipaddresses/10.0.1.1", "/registry/services/specs/default/gone").await;
    world.restarted().await;
    let owner = Some("/registry/services/specs/default/a".to_owned());
    assert_eq!((world.owner(ip).await, world.owner(port).await), (owner.clone(), owner));
    assert_eq!(world.owner("/registry/ipaddresses/10.0.1.1").await, None, "what nobody says to have is free");
}

#[tokio::test]
async fn what_cannot_be_repaired_is_told_by_events() {
    let world = World::start(single("10.0.0.0/16")).await;
    world.create("a", json!({"clusterIP": "10.0.9.9"})).await.unwrap();
    let key = "/registry/services/specs/default/";
    let stored = world.store.get(&format!("{key}a"), ReadAt::Latest).await.unwrap().unwrap();
    let stored = String::from_utf8(stored.value.to_vec()).unwrap();
    world.put(&format!("{key}b"), stored.replace("\"name\":\"a\"", "\"name\":\"b\"")).await;
    world
        .put(&format!("{key}c"), stored.replace("\"name\":\"a\"", "\"name\":\"c\"").replace("10.0.9.9", "192.0.2.9"))
        .await;
    let server = world.restarted().await;
    let events: Api<Event> = Api::default_namespaced(server.client("default"));
    let told = async || -> BTreeSet<(String, String, String)> {
        let events = events.list(&Default::default()).await.unwrap().items.into_iter();
        let text = |text: Option<String>| text.unwrap_or_default();
        events.map(|event| (text(event.involved_object.name), text(event.reason), text(event.message))).collect()
    };
    let all = async {
        loop {
            let found = told().await;
            if found.len() >= 2 {
                return found;
            }
            tokio::task::yield_now().await;
        }
    };
    let found = tokio::time::timeout(Duration::from_secs(60), all).await.unwrap();
    let event = |name: &str, reason: &str, message: &str| (name.to_owned(), reason.to_owned(), message.to_owned());
    let again = "please recreate service";
    let outside = format!("Cluster IP [IPv4]: 192.0.2.9 is not within any configured Service CIDR; {again}");
    let twice = format!("Cluster IP [IPv4]: 10.0.9.9 was assigned to multiple services; {again}");
    assert!(found.contains(&event("b", "ClusterIPAlreadyAllocated", &twice)), "{found:?}");
    assert!(found.contains(&event("c", "ClusterIPOutOfRange", &outside)), "{found:?}");
    assert_eq!(world.owner("/registry/ipaddresses/10.0.9.9").await, Some(format!("{key}a")), "the older one keeps it");
}

/// A memory store that counts how many entries were listed.
struct Counting {
    inner: MemoryStore,
    listed: Arc<AtomicUsize>,
}

#[async_trait]
impl Watcher for Counting {
    async fn watch(&self, range: KeyRange, after: Revision) -> Result<WatchStream, StoreError> {
        self.inner.watch(range, after).await
    }
}

#[async_trait]
impl Store for Counting {
    async fn get(&self, key: &str, at: ReadAt) -> Result<Option<KeyValue>, StoreError> {
        self.inner.get(key, at).await
    }
    async fn list(&self, range: &KeyRange, options: ListOptions) -> Result<Page, StoreError> {
        let page = self.inner.list(range, options).await?;
        self.listed.fetch_add(page.entries.len(), Ordering::Relaxed);
        Ok(page)
    }
    async fn commit(&self, transaction: Transaction) -> Result<Revision, StoreError> {
        self.inner.commit(transaction).await
    }
    async fn revision(&self) -> Result<Revision, StoreError> {
        self.inner.revision().await
    }
    async fn compact(&self, revision: Revision) -> Result<(), StoreError> {
        self.inner.compact(revision).await
    }
}

#[tokio::test]
async fn no_creation_looks_at_the_other_services() {
    let listed = Arc::new(AtomicUsize::new(0));
    let store = Counting { inner: MemoryStore::default(), listed: Arc::clone(&listed) };
    let server = ApiServer::builder(Arc::new(store)).generator(Generator::seeded(1)).start().await.unwrap();
    let services: Api<Service> = Api::default_namespaced(server.client("default"));
    let before = listed.load(Ordering::Relaxed);
    for i in 0..2_000 {
        let spec = json!({"type": if i % 4 == 0 { "NodePort" } else { "ClusterIP" }, "ports": [{"port": 80}]});
        let service = serde_json::from_value(json!({"metadata": {"name": format!("s{i}")}, "spec": spec})).unwrap();
        services.create(&PostParams::default(), &service).await.unwrap();
    }
    let grew = listed.load(Ordering::Relaxed) - before;
    assert!(grew < 20_000, "{grew} entries were listed");
}
