use tokio::net::TcpListener;

use crate::program::Folder;

const SHOP: &str = "apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: nginx}]}}
";
const PAYMENTS: &str = "---
apiVersion: v1
kind: Pod
metadata: {name: payments}
spec: {containers: [{name: payments, image: payments}]}
";
const GIANT: &str = "---
apiVersion: v1
kind: Pod
metadata: {name: giant}
spec: {containers: [{name: giant, image: giant, resources: {requests: {cpu: 1000}}}]}
";

async fn printed(manifest: &str) -> String {
    printed_over("memory", manifest).await
}

async fn printed_over(store: &str, manifest: &str) -> String {
    let folder = Folder::new();
    folder.write("m.yaml", manifest);
    let output = folder.run("quickstart", &format!("m.yaml --store {store}")).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The words of the line that begins with `start`.
fn words<'a>(printed: &'a str, start: &str) -> Vec<&'a str> {
    let line = printed.lines().find(|line| line.starts_with(start));
    line.unwrap_or_else(|| panic!("no line with {start:?} in\n{printed}")).split_whitespace().collect()
}

#[tokio::test]
async fn the_namespace_that_the_manifest_creates_is_shown() {
    assert_shows_the_shop(&printed(SHOP).await);
}

#[tokio::test]
async fn it_is_the_same_with_the_state_in_a_folder() {
    assert_shows_the_shop(&printed_over("durable:data", SHOP).await);
}

#[cfg(feature = "etcd")]
#[tokio::test]
async fn it_is_the_same_with_the_state_in_etcd() {
    let folder = Folder::new();
    let etcd = orchestra_examples::etcd::Etcd::start(&folder.path("etcd"), &[]).await.unwrap();
    assert_shows_the_shop(&printed_over(&format!("etcd:{}", etcd.url()), SHOP).await);
}

fn assert_shows_the_shop(printed: &str) {
    assert!(printed.starts_with("namespace/shop created\ndeployment.apps/web created\n"), "{printed}");
    assert_eq!(printed.lines().filter(|line| line.contains(" Normal ")).count(), 13, "{printed}");
    assert_eq!(words(printed, "web ")[..4], ["web", "2/2", "2", "2"]);
    let events: Vec<Vec<&str>> = printed.lines().map(|line| line.split_whitespace().collect()).collect();
    for scheduled in events.iter().filter(|event| event.get(2) == Some(&"Scheduled")) {
        let of_pod = events.iter().filter(|event| event.get(3) == Some(&scheduled[3]));
        let reasons: Vec<&str> = of_pod.map(|event| event[2]).collect();
        assert_eq!(reasons, ["Scheduled", "Pulling", "Pulled", "Created", "Started"], "{printed}");
    }
}

#[tokio::test]
async fn several_namespaces_have_a_column() {
    let printed = printed(&format!("{SHOP}{PAYMENTS}")).await;
    assert_eq!(words(&printed, "NAMESPACE   NAME ")[..3], ["NAMESPACE", "NAME", "READY"]);
    assert_eq!(words(&printed, "shop        web ")[..3], ["shop", "web", "2/2"]);
    assert_eq!(words(&printed, "default     payments ")[..4], ["default", "payments", "1/1", "Running"]);
    assert_eq!(printed.lines().filter(|line| line.contains(" Normal ")).count(), 18, "{printed}");
}

#[tokio::test]
async fn json_and_what_other_editors_write_are_manifests() {
    let map = "apiVersion: v1\r\nkind: ConfigMap\r\nmetadata: {name: a}\r\n";
    for manifest in [
        map.to_owned(),
        format!("\u{feff}{map}"),
        format!("{map}---\r\n\r\n---\r\n"),
        r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}"#.to_owned(),
        "{\n\t\"kind\": \"ConfigMap\",\n\t\"apiVersion\": \"v1\",\n\t\"metadata\": {\"name\": \"a\"}\n}\n".to_owned(),
    ] {
        assert_eq!(printed(&manifest).await, "configmap/a created\n");
    }
}

#[tokio::test]
async fn a_pod_that_cannot_run_is_an_end_and_named() {
    let folder = Folder::new();
    folder.write("m.yaml", format!("{SHOP}{GIANT}"));
    let output = folder.run("quickstart", "m.yaml").await;
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said, "pod/giant in namespace default: 0 of 1 pods are ready\n");
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.contains("FailedScheduling"), "{printed}");
    assert_eq!(words(&printed, "shop        web ")[2], "2/2");
}

#[tokio::test]
async fn the_api_is_served_before_pods_run_and_until_a_signal() {
    for signal in ["INT", "TERM"] {
        let folder = Folder::new();
        let mut program = folder.start("quickstart", "--serve --listen 127.0.0.1:0");
        let address = program.address().await;
        while program.line().await != "deployment.apps/nginx created" {}
        tokio::net::TcpStream::connect(address).await.unwrap();
        program.signal(signal).await;
        assert_eq!(program.exit_code().await, Some(0), "{signal}");
    }
}

#[tokio::test]
async fn a_taken_address_is_told_before_anything_is_created() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let line = Folder::new().fails("quickstart", &format!("--serve --listen {address}")).await;
    assert_eq!(line, format!("cannot listen on {address}: Address already in use (os error 98)"));
}
