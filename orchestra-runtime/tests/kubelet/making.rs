//! What the runtime is asked for: environment, users, and what is missing.

use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use kube::{Api, api::PostParams};
use orchestra_runtime::container::ImageScript;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::node::{Node, SECOND, Seen, started};

async fn create<K>(node: &Node, object: Value)
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + Serialize
        + DeserializeOwned,
{
    let api = Api::<K>::default_namespaced(node.server.client());
    api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
}

fn with_container(parts: Value) -> Value {
    let mut container = json!({ "name": "c", "image": "nginx" });
    container.as_object_mut().unwrap().extend(parts.as_object().unwrap().clone());
    json!({ "containers": [container] })
}

#[tokio::test(start_paused = true)]
async fn a_container_gets_its_environment_command_and_limits() {
    let node = started(&[]).await;
    create::<ConfigMap>(&node, json!({ "metadata": { "name": "config" }, "data": { "color": "red" } })).await;
    create::<Secret>(&node, json!({ "metadata": { "name": "key" }, "stringData": { "key": "k" } })).await;
    let ports = json!([{ "port": 5432 }]);
    create::<Service>(&node, json!({ "metadata": { "name": "db" }, "spec": { "ports": ports } })).await;
    let spec = with_container(json!({
        "envFrom": [{ "configMapRef": { "name": "config" } }],
        "env": [
            { "name": "IP", "valueFrom": { "fieldRef": { "fieldPath": "status.podIP" } } },
            { "name": "KEY", "valueFrom": { "secretKeyRef": { "name": "key", "key": "key" } } },
            { "name": "CPUS", "valueFrom": { "resourceFieldRef": { "resource": "limits.cpu" } } },
            { "name": "BOTH", "value": "$(color)-$(KEY)" },
        ],
        "command": ["/bin/$(color)"], "args": ["$$(color)", "$(IP)"],
        "resources": { "requests": { "cpu": "500m", "memory": "4Gi" } },
    }));
    // The kubelet hears of services by a watch.
    node.server
        .until("service", async || {
            node.add_pod("probe", "nginx", json!({})).await;
            node.until("running", "probe", Seen::is_running).await;
            let told = node.runtime.container_config("probe", "c").unwrap().env;
            node.delete_pod("probe", 0).await;
            node.until_gone("probe").await;
            told.iter().any(|(name, _)| name == "DB_SERVICE_HOST").then_some(())
        })
        .await;
    node.add_pod("a", "nginx", spec).await;
    node.until("running", "a", Seen::is_running).await;
    let config = node.runtime.container_config("a", "c").unwrap();
    let ip = node.status("a").await["podIP"].as_str().unwrap().to_owned();
    let own = config.env.iter().filter(|(name, _)| !name.starts_with("DB_") && !name.starts_with("KUBERNETES_"));
    let own: Vec<String> = own.map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(own, ["BOTH=red-k", "CPUS=4", &format!("IP={ip}"), "KEY=k", "color=red"]);
    assert!(config.env.contains(&("DB_SERVICE_PORT".to_owned(), "5432".to_owned())), "{:?}", config.env);
    assert_eq!((config.command, config.args), (vec!["/bin/red".to_owned()], vec!["$(color)".to_owned(), ip]));
    // Half of the node's memory.
    assert_eq!((config.resources.cpu_shares, config.resources.oom_score_adj), (512, 500));
    assert_eq!(node.runtime.sandbox_config("a").unwrap().hostname, "a");
}

#[tokio::test(start_paused = true)]
async fn a_container_waits_for_what_it_refers_to() {
    let node = started(&[]).await;
    let env = json!([{ "name": "A", "valueFrom": { "configMapKeyRef": { "name": "late", "key": "a" } } }]);
    node.add_pod("a", "nginx", with_container(json!({ "env": env }))).await;
    node.until("refused", "a", |pod| pod.waiting() == "CreateContainerConfigError").await;
    let status = node.status("a").await;
    let message = &status["containerStatuses"][0]["state"]["waiting"]["message"];
    assert_eq!((message.as_str(), status["phase"].as_str()), (Some("configmap \"late\" not found"), Some("Pending")));
    create::<ConfigMap>(&node, json!({ "metadata": { "name": "late" }, "data": { "b": "1" } })).await;
    let told = |pod: &Seen| pod.0.to_string().contains("couldn't find key a in ConfigMap default/late");
    node.until("another refusal", "a", told).await;
    let patch = json!({ "data": { "a": "2" } });
    let maps = Api::<ConfigMap>::default_namespaced(node.server.client());
    maps.patch("late", &Default::default(), &kube::api::Patch::Merge(patch)).await.unwrap();
    let begun = node.until("running", "a", Seen::is_ready).await;
    assert!(begun <= SECOND * 31, "{begun:?}");
    let config = node.runtime.container_config("a", "c").unwrap();
    assert!(config.env.contains(&("A".to_owned(), "2".to_owned())));
    let events = node.events().await;
    let refused = "Warning Failed spec.containers{c}: Error: configmap \"late\" not found";
    assert!(events.iter().any(|event| event == refused), "{events:?}");
    assert_eq!(node.pod("a").await.unwrap().restarts(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_image_of_root_is_refused_where_root_is_forbidden() {
    let root = ImageScript { user: 0, ..ImageScript::default() };
    let node = started(&[("root", root)]).await;
    let spec = json!({ "securityContext": { "runAsNonRoot": true } });
    node.add_pod("a", "root", spec.clone()).await;
    node.until("refused", "a", |pod| pod.waiting() == "CreateContainerConfigError").await;
    let status = node.status("a").await.to_string();
    assert!(status.contains("container has runAsNonRoot and image will run as root (pod: "), "{status}");
    node.add_pod("b", "other", spec).await;
    node.until("running", "b", Seen::is_ready).await;
    let security = node.runtime.container_config("b", "c").unwrap().security;
    assert_eq!(security.run_as.user, Some(65_532));
}
