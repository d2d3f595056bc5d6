//! Probes over the network, of servers that were made by others: etcd, tonic's gRPC, OpenSSL.

use std::{fs, process::Command};

use serde_json::{Value, json};

use crate::{
    containerd::on_a_node,
    servers::{self, CERTIFICATE, HEALTH, HTTP2, HUNG, KEY, SICK, SILENT, WEB},
    world::World,
};

/// A container that does nothing, and is ready by what is asked of the pod's other containers.
fn asking(name: &str, probe: Value) -> Value {
    let mut readiness = json!({ "periodSeconds": 1, "failureThreshold": 1 });
    readiness.as_object_mut().unwrap().extend(probe.as_object().unwrap().clone());
    json!({ "name": name, "command": ["sleep", "1000"], "readinessProbe": readiness })
}

fn grpc(name: &str, port: u16, service: &str) -> Value {
    asking(name, json!({ "grpc": { "port": port, "service": service } }))
}

fn web(name: &str, scheme: &str, port: u16, path: &str) -> Value {
    asking(name, json!({ "httpGet": { "scheme": scheme, "port": port, "path": path }, "timeoutSeconds": 5 }))
}

fn is_ready(pod: &Value, container: &str) -> bool {
    let statuses = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
    statuses.into_iter().any(|status| status["name"] == container && status["ready"] == true)
}

/// Waits until these containers are ready and no others.
async fn until_ready(world: &World, pod: &str, ready: &[&str]) {
    let as_wanted = |pod: &Value| {
        let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
        containers
            .map(|container| container["name"].as_str().unwrap())
            .all(|name| is_ready(pod, name) == ready.contains(&name))
    };
    world.until("as ready as it should be", pod, as_wanted).await;
}

/// Starts a pod with the servers of this program and these containers.
async fn start(world: &World, name: &str, containers: &[Value]) -> String {
    let containers = [&[servers::container()], containers].concat();
    let spec = json!({
        "containers": containers,
        "volumes": servers::machine_files(),
        "terminationGracePeriodSeconds": 0,
    });
    world.add(name, spec).await;
    let pod = world.until("up", name, |pod| is_ready(pod, "servers")).await;
    pod["status"]["podIP"].as_str().unwrap().to_owned()
}

/// Waits until it is told of `asking`, in a pod beside the servers and `others`, why it is not ready; `{ip}` is for the pod's address. It has a
/// pod of its own, as a node does not tell all events of a pod to which much happens.
async fn fails(world: &World, others: Vec<Value>, asking: Value, said: impl Into<String>) {
    let said = said.into();
    let name = asking["name"].as_str().unwrap().to_owned();
    let ip = start(world, &name, &[others, vec![asking]].concat()).await;
    world.event(&format!("Unhealthy: Readiness probe failed: {}", said.replace("{ip}", &ip))).await;
    assert!(!is_ready(&world.pod(&name).await, &name));
    world.delete(&name).await;
}

fn etcd() -> Value {
    let words = "etcd --data-dir=/run/$HOSTNAME --listen-client-urls=http://0.0.0.0:2379";
    let script = format!("exec {words} --advertise-client-urls=http://127.0.0.1:2379 --logger=zap");
    servers::on_machine("etcd", &["sh", "-c", &script])
}

#[test]
fn services_are_asked_over_grpc_how_they_are() {
    on_a_node(async |node| {
        let world = World::start(&node).await;
        let mut hung = grpc("hung", HUNG, "");
        hung["readinessProbe"]["timeoutSeconds"] = json!(2);
        let old_web = json!({ "name": "old-web", "command": ["httpd", "-f", "-p", "80"] });
        let not_found = "error: health rpc probe failed: rpc error: code = NotFound desc =";
        let not_grpc = "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): unexpected \
                        HTTP status code received from server: 404 (Not Found); malformed header: missing HTTP \
                        content-type";
        let late = |port: u16| {
            format!("timeout: failed to connect service \"{{ip}}:{port}\" within 1s: context deadline exceeded")
        };
        let unregistered = format!("{not_found} service not registered");
        futures::join!(
            services_that_tell(&world),
            fails(&world, vec![], grpc("unknown", HEALTH, "nobody"), unregistered),
            fails(&world, vec![etcd()], grpc("unknown-etcd", 2379, "nobody"), format!("{not_found} unknown service")),
            fails(&world, vec![], hung, "timeout: health rpc did not complete within 2s"),
            fails(&world, vec![], grpc("web", WEB, ""), not_grpc),
            fails(&world, vec![old_web], grpc("asks-old-web", 80, ""), late(80)),
            fails(&world, vec![], grpc("silent", SILENT, ""), late(SILENT)),
        );
        world.shut_down().await;
    });
}

async fn services_that_tell(world: &World) {
    let containers = [etcd(), grpc("asks-etcd", 2379, ""), grpc("any", HEALTH, ""), grpc("orders", HEALTH, "orders")];
    start(world, "told", &containers).await;
    until_ready(world, "told", &["servers", "etcd", "asks-etcd", "any", "orders"]).await;
    fs::write(SICK, "").unwrap();
    until_ready(world, "told", &["servers", "etcd", "asks-etcd", "any"]).await;
    world.event("Unhealthy: Readiness probe failed: service unhealthy (responded with \"NOT_SERVING\")").await;
    fs::remove_file(SICK).unwrap();
    until_ready(world, "told", &["servers", "etcd", "asks-etcd", "any", "orders"]).await;
    world.delete("told").await;
}

/// What OpenSSL's server answers, as files.
fn write_pages() {
    fs::create_dir_all("/run/pages").unwrap();
    for (page, head, body) in [
        ("ok", "200 OK", "fine"),
        ("moved", "302 Found\r\nLocation: ok", ""),
        ("away", "301 Moved Permanently\r\nLocation: https://elsewhere.test/", "gone"),
        ("round", "302 Found\r\nLocation: /round", ""),
        ("sick", "503 Service Unavailable", ""),
    ] {
        fs::write(format!("/run/pages/{page}"), format!("HTTP/1.0 {head}\r\n\r\n{body}")).unwrap();
    }
}

/// Certificates that nobody has signed: one as they are made today, and one of X.509's first version.
fn make_certificates() {
    let made = |line: &str| {
        let output = Command::new("openssl").args(line.split(' ')).output().expect("openssl must be installed");
        output.status.success().then_some(()).ok_or_else(|| String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (name, key) = ("-subj /CN=nobody -days 2", "-newkey rsa:2048 -noenc");
    made(&format!("req -x509 {key} {name} -keyout {KEY} -out {CERTIFICATE}")).unwrap();
    // Without extensions, which no configuration asks for. OpenSSL has to be told since 3.2, and has nobody tell it before.
    fs::write("/run/openssl.cnf", "").unwrap();
    let old = format!("{key} {name} -config /run/openssl.cnf -keyout /run/old-key.pem -out /run/old.pem");
    made(&format!("req -x509v1 {old}")).or_else(|_| made(&format!("req -x509 {old}"))).unwrap();
    let output = Command::new("openssl").args(["x509", "-in", "/run/old.pem", "-noout", "-text"]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("Version: 1 "), "a certificate without extensions");
}

/// OpenSSL's server with these options, in a container.
fn openssl(name: &str, port: u16, options: &str) -> Value {
    let script = format!("cd /run/pages && exec openssl s_server -HTTP -accept {port} {options}");
    servers::on_machine(name, &["sh", "-c", &script])
}

#[test]
fn servers_that_nobody_vouches_for_are_asked_over_https() {
    on_a_node(async |node| {
        write_pages();
        make_certificates();
        let world = World::start(&node).await;
        let today = format!("-cert {CERTIFICATE} -key {KEY}");
        let (tls, strict) = (openssl("tls", 8443, &today), format!("{today} -Verify 1 -verify_return_error"));
        let malformed = "Get \"http://{ip}:5004/\": net/http: HTTP/1.x transport connection broken: malformed HTTP \
                         response \"\\x15\\x03";
        futures::join!(
            servers_that_answer(&world, &today),
            a_hook_does_without_tls_if_it_must(&world),
            fails(
                &world,
                vec![tls.clone()],
                web("sick", "HTTPS", 8443, "/sick"),
                "HTTP probe failed with statuscode: 503"
            ),
            fails(
                &world,
                vec![tls.clone()],
                web("round", "HTTPS", 8443, "/round"),
                "Get \"/round\": stopped after 10 redirects",
            ),
            fails(&world, vec![tls], web("secured", "HTTP", 8443, "/ok"), "Get \"http://{ip}:8443/ok\": EOF"),
            fails(&world, vec![], web("alert", "HTTP", HTTP2, "/"), malformed),
            fails(
                &world,
                vec![openssl("strict", 8443, &strict)],
                web("unknown", "HTTPS", 8443, "/ok"),
                "Get \"https://{ip}:8443/ok\": remote error: tls: certificate required",
            ),
            fails(
                &world,
                vec![],
                web("plain", "HTTPS", WEB, "/"),
                format!("Get \"https://{{ip}}:{WEB}/\": http: server gave HTTP response to HTTPS client"),
            ),
        );
        world.shut_down().await;
    });
}

async fn servers_that_answer(world: &World, today: &str) {
    let containers = [
        openssl("tls", 8443, today),
        openssl("tls12", 8444, "-cert /run/old.pem -key /run/old-key.pem -tls1_2"),
        web("ok", "HTTPS", 8443, "/moved"),
        web("old", "HTTPS", 8444, "/ok"),
        web("http2", "HTTPS", HTTP2, "/"),
    ];
    start(world, "answers", &containers).await;
    until_ready(world, "answers", &["servers", "tls", "tls12", "ok", "old", "http2"]).await;
    let warned = |events: Vec<String>| events.into_iter().filter(|event| event.starts_with("ProbeWarning")).count();
    assert_eq!(warned(world.events().await), 0, "a redirect to the same host is followed");
    start(world, "led-away", &[openssl("tls", 8443, today), web("away", "HTTPS", 8443, "/away")]).await;
    until_ready(world, "led-away", &["servers", "tls", "away"]).await;
    world.event("ProbeWarning: Readiness probe warning: Probe terminated redirects, Response body: gone").await;
    world.delete("answers").await;
    world.delete("led-away").await;
}

async fn a_hook_does_without_tls_if_it_must(world: &World) {
    let mut server = servers::container();
    let hook = json!({ "httpGet": { "scheme": "HTTPS", "port": WEB, "path": "/" } });
    server["lifecycle"] = json!({ "preStop": hook });
    let spec = json!({ "containers": [server], "volumes": servers::machine_files() });
    world.add("hooked", spec).await;
    let ip = world.ready("hooked").await["status"]["podIP"].as_str().unwrap().to_owned();
    world.delete("hooked").await;
    let expected = format!("request to HTTPS lifecycle hook {ip}:{WEB} got HTTP response, retry with HTTP succeeded");
    world.event(&format!("LifecycleHTTPFallback: {expected}")).await;
}
