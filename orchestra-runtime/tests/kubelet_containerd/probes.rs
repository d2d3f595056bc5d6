//! Probes and hooks of real containers.

use std::fs;

use serde_json::{Value, json};

use crate::{containerd::on_a_node, world::World};

fn merged(mut object: Value, more: Value) -> Value {
    object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    object
}

fn server() -> Value {
    let script = "mkdir /www; echo ok > /www/healthz; exec httpd -f -p 8080 -h /www";
    json!({ "command": ["sh", "-c", script], "ports": [{ "name": "web", "containerPort": 8080 }] })
}

#[test]
fn containers_are_probed_and_their_hooks_run() {
    on_a_node(async |node| {
        let world = World::start(&node).await;
        futures::join!(
            a_web_server_is_asked_over_http_and_tcp_and_by_commands(&world),
            what_does_not_listen_is_never_started(&world),
            hooks_that_fail_are_told_of(&world),
            containers_start_and_end_in_order(&world),
        );
        world.shut_down().await;
    });
}

async fn a_web_server_is_asked_over_http_and_tcp_and_by_commands(world: &World) {
    let probes = json!({
        "startupProbe": { "tcpSocket": { "port": "web" }, "periodSeconds": 1, "failureThreshold": 30 },
        "readinessProbe": { "httpGet": { "path": "/healthz", "port": "web" }, "periodSeconds": 1, "failureThreshold": 1 },
        "livenessProbe": {
            "exec": { "command": ["test", "!", "-e", "/dead"] },
            "periodSeconds": 1, "failureThreshold": 1, "timeoutSeconds": 10,
        },
    });
    let container = merged(server(), probes);
    world.add("web", json!({ "containers": [container], "terminationGracePeriodSeconds": 2 })).await;
    let web = world.ready("web").await;
    world.shell(&web, "rm /www/healthz").await;
    world.until_first("not ready", "web", |container| container["ready"] == false).await;
    world.event("Unhealthy: Readiness probe failed: HTTP probe failed with statuscode: 404").await;
    world.shell(&web, "echo ok > /www/healthz").await;
    world.ready("web").await;
    world.shell(&web, "touch /dead").await;
    let restarted = |container: &Value| container["restartCount"] == 1 && container["ready"] == true;
    let web = world.until_first("restarted", "web", restarted).await;
    // It took no notice of SIGTERM, as the first process of a namespace.
    assert_eq!(web["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"], 137);
    world.event("Unhealthy: Liveness probe failed: ").await;
    world.event("Killing: Container c0 failed liveness probe, will be restarted").await;
}

async fn what_does_not_listen_is_never_started(world: &World) {
    let startup = |probe: Value| merged(json!({ "periodSeconds": 1, "failureThreshold": 2 }), probe);
    let deaf = merged(
        server(),
        json!({ "name": "http", "startupProbe": startup(json!({ "httpGet": { "path": "/", "port": 81 } })) }),
    );
    let grpc = json!({
        "name": "grpc", "command": ["sleep", "1000"], "startupProbe": startup(json!({ "grpc": { "port": 82 } })),
    });
    world.add("deaf", json!({ "containers": [deaf, grpc], "terminationGracePeriodSeconds": 1 })).await;
    world.event("Killing: Container http failed startup probe, will be restarted").await;
    world.event("Killing: Container grpc failed startup probe, will be restarted").await;
    let ip = world.pod("deaf").await["status"]["podIP"].as_str().unwrap().to_owned();
    let refused = format!(
        "Unhealthy: Startup probe failed: Get \"http://{ip}:81/\": dial tcp {ip}:81: connect: connection refused"
    );
    world.event(&refused).await;
    let message = format!("Unhealthy: Startup probe failed: timeout: failed to connect service \"{ip}:82\" within 1s");
    world.event(&message).await;
    assert_eq!(world.pod("deaf").await["status"]["containerStatuses"][0]["started"], false);
}

async fn hooks_that_fail_are_told_of(world: &World) {
    let hook = |script: &str| json!({ "exec": { "command": ["sh", "-c", script] } });
    let container = json!({ "command": ["sleep", "1000"], "lifecycle": { "postStart": hook("echo secret; exit 3") } });
    world.add("hook", json!({ "containers": [container], "terminationGracePeriodSeconds": 1 })).await;
    world.event("FailedPostStartHook: PostStartHook failed").await;
    world.event("Killing: FailedPostStartHook").await;
    world.until_first("held off", "hook", |c| c["state"]["waiting"]["reason"] == "CrashLoopBackOff").await;
    world.delete("hook").await;
    let container = json!({ "command": ["sleep", "1000"], "lifecycle": { "preStop": hook("exit 4") } });
    world.add("hook", json!({ "containers": [container] })).await;
    world.ready("hook").await;
    // What has not ended within the grace period has not failed.
    world.begin_delete("hook", 20).await;
    world.gone("hook").await;
    world.event("FailedPreStopHook: PreStopHook failed").await;
    assert!(world.events().await.iter().all(|event| !event.contains("secret")));
}

/// Containers that write what they do into one file.
async fn containers_start_and_end_in_order(world: &World) {
    fs::create_dir_all("/run/shared").unwrap();
    let say = |what: &str| format!("echo {what} >> /shared/said");
    let mounts = json!([{ "name": "shared", "mountPath": "/shared" }]);
    let container = |name: &str, script: String, more: Value| {
        let container = json!({ "name": name, "command": ["sh", "-c", script], "volumeMounts": mounts });
        merged(container, more)
    };
    let until_told = |name: &str| {
        let (starts, ends) = (say(&format!("{name} starts")), say(&format!("{name} ends")));
        format!("{starts}; touch /ready; trap '{ends}; exit 0' TERM; while :; do sleep 2147483647 & wait; done")
    };
    let hook = |what: &str| json!({ "exec": { "command": ["sh", "-c", say(what)] } });
    let ready = json!({
        "restartPolicy": "Always",
        "startupProbe": { "exec": { "command": ["test", "-e", "/ready"] }, "periodSeconds": 1, "timeoutSeconds": 10 },
    });
    let hooks = json!({ "lifecycle": { "postStart": hook("hook starts"), "preStop": hook("hook ends") } });
    let spec = json!({
        "initContainers": [
            container("first", say("first"), json!({})), container("a", until_told("a"), ready.clone()),
            container("second", say("second"), json!({})), container("b", until_told("b"), ready),
        ],
        "containers": [container("main", until_told("main"), hooks)],
        "volumes": [{ "name": "shared", "hostPath": { "path": "/run/shared" } }],
        "terminationGracePeriodSeconds": 20,
    });
    world.add("order", spec).await;
    let pod = world.ready("order").await;
    let states = pod["status"]["initContainerStatuses"].as_array().unwrap();
    let reasons: Vec<_> = states.iter().map(|status| status["state"]["terminated"]["reason"].clone()).collect();
    assert_eq!(reasons, [json!("Completed"), Value::Null, json!("Completed"), Value::Null]);
    assert!(states.iter().all(|status| status["ready"] == true && status["restartCount"] == 0));
    world.begin_delete("order", 20).await;
    world.gone("order").await;
    let said = fs::read_to_string("/run/shared/said").unwrap();
    let said: Vec<&str> = said.lines().collect();
    assert_eq!(said[..4], ["first", "a starts", "second", "b starts"]);
    // A hook runs beside what its container does.
    let mut begun = said[4..6].to_vec();
    begun.sort();
    assert_eq!(begun, ["hook starts", "main starts"]);
    assert_eq!(said[6..], ["hook ends", "main ends", "b ends", "a ends"]);
}
