//! The subresources that lead to kubelets, with kubelets that tell what they were asked.

use std::{io, sync::Arc};

use async_trait::async_trait;
use axum::{Router, extract::Request};
use http::StatusCode;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use k8s_openapi::api::core::v1::Node;
use orchestra_store::{
    MemoryStore,
    apiserver::{AggregatedApi, AggregatedResource, ApiServer, Network, Upstream},
};
use serde_json::json;

use crate::harness::{PODS, Server, failure};

const NODES: &str = "/api/v1/nodes";

/// A kubelet that answers with what it was asked, and refuses what it is told to.
fn kubelet() -> Router {
    Router::new().fallback(async |request: Request| {
        let asked = format!("{} {}", request.method(), request.uri());
        let code = ["400", "404", "500"].into_iter().find(|code| asked.contains(&format!("sinceSeconds={code}")));
        (code.map_or(StatusCode::OK, |code| code.parse().expect("a code")), asked)
    })
}

/// Kubelets at the other end of a connection in memory, of all nodes but `dead`.
struct Connections;

#[async_trait]
impl Network for Connections {
    async fn kubelet(&self, node: &Node) -> io::Result<Upstream> {
        if node.metadata.name.as_deref() == Some("dead") {
            return Err(io::Error::new(io::ErrorKind::ConnectionRefused, "connection refused"));
        }
        self.dial("", 0).await
    }

    async fn dial(&self, _host: &str, _port: u16) -> io::Result<Upstream> {
        let (near, far) = tokio::io::duplex(1024);
        let serving = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(far), TowerToHyperService::new(kubelet()));
        tokio::spawn(serving);
        Ok(Upstream::connected(near))
    }
}

/// The same in this process.
struct Routers;

#[async_trait]
impl Network for Routers {
    async fn kubelet(&self, _node: &Node) -> io::Result<Upstream> {
        Ok(Upstream::Router(kubelet()))
    }

    async fn dial(&self, _host: &str, _port: u16) -> io::Result<Upstream> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// A server with a pod `one` of one container and a pod `two` of two on the node `n1`, a pod `lost` on the node `dead`, and a pod `free`.
async fn started(network: impl Network) -> Server {
    let builder = ApiServer::builder(Arc::new(MemoryStore::default())).network(Arc::new(network));
    let server = Server::over(builder.start().await.expect("a server").router());
    for name in ["n1", "dead"] {
        let addresses = json!([{"type": "InternalIP", "address": "192.0.2.1"}]);
        let status = json!({"addresses": addresses, "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}}});
        let node = json!({"metadata": {"name": name}, "status": status});
        assert_eq!(server.post(NODES, node.to_string()).await.code, 201);
    }
    for (name, containers, node) in
        [("one", &["a"][..], "n1"), ("two", &["a", "b"], "n1"), ("lost", &["a"], "dead"), ("free", &["a"], "")]
    {
        let containers: Vec<_> = containers.iter().map(|name| json!({"name": name, "image": "x"})).collect();
        let mut spec = json!({"containers": containers, "initContainers": [{"name": "i", "image": "x"}]});
        if !node.is_empty() {
            spec["nodeName"] = node.into();
        }
        let pod = json!({"metadata": {"name": name}, "spec": spec});
        assert_eq!(server.post(PODS, pod.to_string()).await.code, 201);
    }
    server
}

#[tokio::test]
async fn logs_come_from_the_kubelet_whatever_the_way_to_it() {
    for server in [started(Connections).await, started(Routers).await] {
        let said =
            server.get(&format!("{PODS}/one/log?follow&tailLines=3&container=&insecureSkipTLSVerifyBackend=1")).await;
        assert_eq!(said.text(), "GET /containerLogs/default/one/a?follow=true&tailLines=3");
        let said = server.get(&format!("{PODS}/two/log?container=i&previous=true")).await;
        assert_eq!(said.text(), "GET /containerLogs/default/two/i?previous=true");
    }
}

#[tokio::test]
async fn what_a_kubelet_refuses_is_told_in_its_words() {
    let server = started(Connections).await;
    let ask = async |code| server.get(&format!("{PODS}/one/log?sinceSeconds={code}")).await.failure();
    let asked = "GET /containerLogs/default/one/a?sinceSeconds";
    assert_eq!(ask(400).await, failure(400, &format!("{asked}=400")));
    assert_eq!(ask(500).await, failure(500, &format!("Internal error occurred: {asked}=500")));
    let lost = "the server could not find the requested resource ( pods/log one)";
    assert_eq!(ask(404).await, failure(404, lost));
    let dead = server.get(&format!("{PODS}/lost/log")).await.failure();
    assert_eq!(dead, failure(500, "error dialing backend: connection refused"));
}

#[tokio::test]
async fn log_options_are_checked() {
    let server = started(Routers).await;
    for (query, message) in [
        ("tailLines=-1", "tailLines: Invalid value: -1: must be greater than or equal to 0"),
        ("limitBytes=0", "limitBytes: Invalid value: 0: must be greater than 0"),
        ("sinceSeconds=0", "sinceSeconds: Invalid value: 0: must be greater than 0"),
        ("stream=x", "stream: Unsupported value: \"x\": supported values: \"All\", \"Stderr\", \"Stdout\""),
    ] {
        let (code, said) = server.get(&format!("{PODS}/one/log?{query}")).await.failure();
        assert_eq!((code, said), failure(422, &format!("PodLogOptions \"one\" is invalid: {message}")));
    }
    for query in ["sinceSeconds=1&sinceTime=2026-01-01T00:00:00Z", "stream=Stdout&tailLines=1"] {
        assert_eq!(server.get(&format!("{PODS}/one/log?{query}")).await.code, 422, "{query}");
    }
    for query in ["tailLines=x", "sinceTime=now"] {
        assert_eq!(server.get(&format!("{PODS}/one/log?{query}")).await.code, 400, "{query}");
    }
}

#[tokio::test]
async fn a_container_and_a_node_are_needed() {
    let server = started(Routers).await;
    let many =
        "a container name must be specified for pod two, choose one of: [a b] or one of the init containers: [i]";
    for (path, message) in [
        ("two/log", many),
        ("two/exec?command=ls", many),
        ("one/log?container=b", "container b is not valid for pod one"),
        ("one/exec?command=ls&stdout=1", "Upgrade request required"),
        ("one/attach", "Upgrade request required"),
        ("one/portforward", "Upgrade request required"),
        ("free/exec", "pod free does not have a host assigned"),
        ("free/portforward", "pod free does not have a host assigned"),
        ("free/proxy", "address not allowed"),
        ("a:b:c:d/proxy", "invalid pod request \"a:b:c:d\""),
    ] {
        assert_eq!(server.get(&format!("{PODS}/{path}")).await.failure(), failure(400, message), "{path}");
    }
    assert_eq!(server.get(&format!("{PODS}/free/log")).await.code, 204);
    for path in ["exec", "log", "portforward", "proxy"] {
        let said = server.get(&format!("{PODS}/none/{path}")).await.failure();
        assert_eq!(said, failure(404, "pods \"none\" not found"), "{path}");
    }
    assert_eq!(server.ask("DELETE", &format!("{PODS}/one/log")).await.code, 405);
}

#[tokio::test]
async fn nodes_are_proxied_with_all_paths_and_methods() {
    for server in [started(Connections).await, started(Routers).await] {
        for (method, path, asked) in [
            ("GET", "n1/proxy", "GET /"),
            ("GET", "n1/proxy/stats/summary?x=1", "GET /stats/summary?x=1"),
            ("PUT", "n1:10250/proxy//a//b/", "PUT //a//b/"),
            ("DELETE", "http:n1:/proxy/a%2Fb", "DELETE /a%2Fb"),
        ] {
            assert_eq!(server.ask(method, &format!("{NODES}/{path}")).await.text(), asked);
        }
        assert_eq!(server.get(&format!("{NODES}/n2/proxy")).await.failure(), failure(404, "nodes \"n2\" not found"));
    }
}

#[tokio::test]
async fn another_port_of_a_node_is_dialled() {
    let server = started(Connections).await;
    assert_eq!(server.get(&format!("{NODES}/dead:80/proxy/a")).await.text(), "GET /a");
    let server = started(Routers).await;
    let (code, message) = server.get(&format!("{NODES}/n1:80/proxy/a")).await.failure();
    assert_eq!(code, 503);
    assert!(message.starts_with("error trying to reach service: "), "{message}");
}

#[tokio::test]
async fn services_are_proxied_to_one_of_their_endpoints() {
    let server = started(Connections).await;
    let ports = json!([{"name": "web", "port": 80}, {"name": "admin", "port": 81}]);
    for name in ["served", "alone"] {
        let service = json!({"metadata": {"name": name}, "spec": {"ports": ports}});
        assert_eq!(server.post("/api/v1/namespaces/default/services", service.to_string()).await.code, 201);
    }
    let endpoints = |name: &str, address: &str| {
        let subset = json!({"addresses": [{"ip": address}], "ports": [{"name": "web", "port": 8080}]});
        json!({"metadata": {"name": name}, "subsets": [subset]}).to_string()
    };
    let path = "/api/v1/namespaces/default/endpoints";
    assert_eq!(server.post(path, endpoints("served", "10.244.0.2")).await.code, 201);
    let ask = async |name: &str| server.get(&format!("/api/v1/namespaces/default/services/{name}/proxy/a?b=c")).await;
    for name in ["served:web", "served:80", "http:served:web"] {
        assert_eq!(ask(name).await.text(), "GET /a?b=c", "{name}");
    }
    for (name, message) in [
        ("served:82", "no service port 82 found for service \"served\""),
        ("served:admin", "no endpoints available for service \"served\""),
        ("served", "no endpoints available for service \"served\""),
    ] {
        assert_eq!(ask(name).await.failure(), failure(503, message), "{name}");
    }
    assert_eq!(ask("alone:web").await.failure(), failure(404, "endpoints \"alone\" not found"));
}

#[tokio::test]
async fn ephemeral_containers_are_added_at_their_own_subresource() {
    let server = started(Routers).await;
    let path = format!("{PODS}/one/ephemeralcontainers");
    let patch = json!({"spec": {"ephemeralContainers": [{"name": "debug", "image": "x", "targetContainerName": "a"}]}});
    let strategic = "application/strategic-merge-patch+json";
    let said = server.with_body("PATCH", &path, strategic, patch.to_string()).await;
    assert_eq!(said.json()["spec"]["ephemeralContainers"][0]["terminationMessagePolicy"], "File", "{}", said.text());
    assert_eq!(said.json()["metadata"]["generation"], 2);
    let removed = json!({"spec": {"ephemeralContainers": []}});
    let said = server.with_body("PATCH", &path, "application/merge-patch+json", removed.to_string()).await;
    let message = "Pod \"one\" is invalid: spec.ephemeralContainers: Forbidden: existing ephemeral containers \"debug\" may not be removed\n";
    assert_eq!(said.failure(), failure(422, message));
    assert_eq!(server.get(&path).await.json()["spec"]["ephemeralContainers"][0]["name"], "debug");
    assert_eq!(server.get(&format!("{PODS}/one/log?container=debug")).await.code, 200);
}

#[tokio::test]
async fn what_another_server_serves_is_shown_by_discovery_and_passed_on() {
    let server = ApiServer::builder(Arc::new(MemoryStore::default())).start().await.expect("a server");
    let resource = AggregatedResource { plural: "things", kind: "Thing", namespaced: true, verbs: &["get", "list"] };
    server.aggregate(AggregatedApi {
        group: "example.org".to_owned(),
        version: "v1".to_owned(),
        resources: vec![resource],
        router: kubelet(),
    });
    let server = Server::over(server.router());
    let groups = server.get("/apis").await.json();
    assert!(groups["groups"].as_array().is_some_and(|all| all.iter().any(|group| group["name"] == "example.org")));
    let listed = server.get("/apis/example.org/v1").await.json();
    assert_eq!(
        (&listed["groupVersion"], &listed["resources"][0]["name"]),
        (&json!("example.org/v1"), &json!("things"))
    );
    let path = "/apis/example.org/v1/namespaces/a/things?x=1";
    assert_eq!(server.get(path).await.text(), format!("GET {path}"));
}
