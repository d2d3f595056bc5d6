//! Paths, methods and names.

use std::sync::Arc;

use http::header;
use orchestra_core::random::Generator;
use orchestra_store::{FaultyStore, MemoryStore, apiserver::ApiServer};

use crate::harness::{MAPS, PODS, Server, failure};

const NO_RESOURCE: &str = "the server could not find the requested resource";
const NO_METHOD: &str = "the server does not allow this method on the requested resource";

#[tokio::test]
async fn where_no_api_is_the_answer_is_text() {
    let server = Server::start().await;
    for path in ["/nosuch", "/apis/nosuch.io/v1", "//api/v1/pods", "/healthz/nosuch", "/openapi/v3/apis/nosuch/v1"] {
        let answer = server.get(path).await;
        assert_eq!((answer.code.as_u16(), answer.text().as_str()), (404, "404 page not found\n"), "{path}");
        assert_eq!(answer.header(header::CONTENT_TYPE), "text/plain; charset=utf-8");
    }
}

#[tokio::test]
async fn below_an_api_the_answer_is_a_status() {
    let server = Server::start().await;
    let paths = ["/api/v2", "/api/v1/nosuch", "/apis/apps/v2", "/api/v1/pods/x", "/api/v1/namespaces/default/nodes"];
    for path in paths {
        assert_eq!(server.get(path).await.failure(), failure(404, NO_RESOURCE), "{path}");
    }
}

#[tokio::test]
async fn a_path_is_decoded_before_it_is_split() {
    let server = Server::start().await;
    assert_eq!(server.get(&format!("{PODS}%2Fa")).await.failure(), failure(404, "pods \"a\" not found"));
    assert_eq!(server.get(&format!("{PODS}/a%2Fb")).await.failure(), failure(404, NO_RESOURCE));
    let answer = server.get(&format!("{PODS}/%zz")).await;
    assert_eq!((answer.code.as_u16(), answer.text().as_str()), (400, "400 Bad Request"));
    assert_eq!(server.get(&format!("{PODS}/%ff")).await.code, 404);
}

#[tokio::test]
async fn a_name_is_a_part_of_a_path() {
    let server = Server::start().await;
    let dots = server.get(&format!("{PODS}/%2e%2e")).await;
    assert_eq!(dots.failure(), failure(400, "Name parameter invalid: \"..\": may not be '..'"));
    let percent = server.ask("DELETE", &format!("{PODS}/%25")).await;
    assert_eq!(percent.failure(), failure(400, "Name parameter invalid: \"%\": may not contain '%'"));
}

#[tokio::test]
async fn an_empty_namespace_is_all_namespaces_for_lists_alone() {
    let server = Server::start().await;
    let list = server.get("/api/v1/namespaces//services").await.json();
    assert_eq!(list["items"][0]["metadata"]["name"], "kubernetes");
    let refused = failure(400, "Namespace parameter required.");
    assert_eq!(server.get("/api/v1/namespaces//services/kubernetes").await.failure(), refused);
    assert_eq!(server.ask("DELETE", "/api/v1/namespaces//services").await.failure(), refused);
}

#[tokio::test]
async fn methods_that_a_path_does_not_have_are_refused() {
    let server = Server::start().await;
    let cases = [
        ("OPTIONS", MAPS),
        ("PUT", MAPS),
        ("POST", "/api/v1/namespaces/default"),
        ("POST", "/api/v1/pods"),
        ("POST", "/api/v1/watch/namespaces/default/configmaps"),
        ("POST", "/api"),
        ("DELETE", "/apis/apps/v1"),
        ("DELETE", "/version"),
        ("GET", "/api/v1/namespaces/default/bindings"),
    ];
    for (method, path) in cases {
        assert_eq!(server.ask(method, path).await.failure(), failure(405, NO_METHOD), "{method} {path}");
    }
    assert_eq!(server.ask("HEAD", MAPS).await.code, 405);
    assert_eq!(server.ask("HEAD", "/healthz").await.code, 200);
}

#[tokio::test]
async fn nothing_is_deleted_across_namespaces_and_no_namespaces_at_once() {
    let server = Server::start().await;
    for path in ["/api/v1/pods", "/api/v1/services", "/api/v1/namespaces"] {
        assert_eq!(server.ask("DELETE", path).await.failure(), failure(405, NO_METHOD), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_is_as_well_as_its_store() {
    let line = Arc::new(FaultyStore::new(Arc::new(MemoryStore::default()), Generator::seeded(1)));
    let server = Server::over(ApiServer::builder(line.clone()).start().await.expect("a server").router());
    assert_eq!(server.get("/healthz").await.text(), "ok");
    assert_eq!(server.get("/livez?verbose").await.text(), "[+]ping ok\n[+]log ok\n[+]etcd ok\nlivez check passed\n");
    assert_eq!(server.get("/readyz/etcd").await.text(), "ok");
    assert_eq!(server.get("/readyz/moon").await.code, 404);
    let without = server.get("/livez?verbose&exclude=sun&exclude=log&exclude=moon").await.text();
    let warning = "warn: some health checks cannot be excluded: no matches for \"moon\",\"sun\"\n";
    assert_eq!(without, format!("[+]ping ok\n[+]log excluded: ok\n[+]etcd ok\n{warning}livez check passed\n"));
    line.cut();
    let told = server.get("/healthz").await;
    assert_eq!(
        (told.code.as_u16(), &*told.text()),
        (500, "[+]ping ok\n[+]log ok\n[-]etcd failed: reason withheld\nhealthz check failed\n")
    );
    assert_eq!(server.get("/readyz?exclude=etcd").await.text(), "ok");
    assert_eq!(server.get("/livez/ping").await.text(), "ok");
    let told = server.get("/livez/etcd").await;
    assert_eq!(told.code, 500);
    assert!(told.text().starts_with("internal server error: "), "{}", told.text());
    line.mend();
    assert_eq!(server.get("/readyz").await.text(), "ok");
}
