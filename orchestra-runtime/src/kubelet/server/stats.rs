//! `/stats/summary` and `/metrics/resource`: what the node's pods use, as JSON and as Prometheus' text.
//!
//! The node's figures are the machine's, if the kubelet knows one, and else the sum of its containers'.

use std::{collections::BTreeMap, fmt::Write, sync::Arc};

use axum::{Extension, response::IntoResponse};
use http::header;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use orchestra_core::container_runtime::{
    Container, ContainerFilter, ContainerState, ContainerStats, RuntimeError, labels,
};
use serde_json::{Value, json};

use super::{Refusal, Server};
use crate::{json_answer::Json, kubelet::MachineError};

/// What a container that runs uses.
struct Used {
    container: Container,
    stats: ContainerStats,
}

/// What a pod's containers use.
struct PodUse {
    pod: Arc<Pod>,
    containers: Vec<Used>,
}

/// Usage at a moment.
#[derive(Clone, Copy)]
struct Total {
    at: Timestamp,
    cpu_nanos: u64,
    memory: u64,
}

impl Total {
    fn of<'a>(used: impl Iterator<Item = &'a Used>, now: Timestamp) -> Self {
        let none = Self { at: now, cpu_nanos: 0, memory: 0 };
        used.fold(none, |total, Used { stats, .. }| Self {
            at: total.at.max(stats.at),
            cpu_nanos: total.cpu_nanos.saturating_add(stats.cpu_usage_nanos),
            memory: total.memory.saturating_add(stats.memory_working_set),
        })
    }

    fn cpu(self) -> Value {
        json!({ "time": seconds(self.at), "usageCoreNanoSeconds": self.cpu_nanos })
    }

    fn memory(self) -> Value {
        json!({ "time": seconds(self.at), "workingSetBytes": self.memory })
    }
}

/// A time as Kubernetes writes them here.
fn seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

impl Server {
    /// What the pods that the kubelet knows use.
    async fn usage(&self) -> Result<Vec<PodUse>, RuntimeError> {
        let running = ContainerFilter { state: Some(ContainerState::Running), ..ContainerFilter::default() };
        let stats = self.runtime.container_stats(running.clone()).await?;
        let mut stats: BTreeMap<_, _> = stats.into_iter().map(|stats| (stats.container.clone(), stats)).collect();
        let mut by_pod = BTreeMap::<String, Vec<Used>>::new();
        for container in self.runtime.list_containers(running).await? {
            // One that ended or began meanwhile has none.
            let Some(stats) = stats.remove(&container.id) else { continue };
            let uid = container.labels.get(labels::POD_UID).cloned().unwrap_or_default();
            by_pod.entry(uid).or_default().push(Used { container, stats });
        }
        let with_pod = |pod: Arc<Pod>| {
            let containers = by_pod.remove(pod.metadata.uid.as_deref().unwrap_or_default())?;
            Some(PodUse { pod, containers })
        };
        Ok(self.served.pods.all().into_iter().filter_map(with_pod).collect())
    }

    /// What the node uses as a whole.
    fn node_total(&self, pods: &[PodUse], now: Timestamp) -> Result<Total, MachineError> {
        if let Some(machine) = &self.machine {
            return Ok(Total { at: now, cpu_nanos: machine.cpu_used()?, memory: machine.memory_used()? });
        }
        let containers = || pods.iter().flat_map(|pod| &pod.containers);
        let used = containers().map(|used| (used.container.id.clone(), used.stats.cpu_usage_nanos));
        let cpu_nanos = self.served.cpu.lock().add(used.collect());
        Ok(Total { cpu_nanos, ..Total::of(containers(), now) })
    }
}

pub(super) async fn summary(Extension(server): Extension<Arc<Server>>) -> Result<impl IntoResponse, Refusal> {
    let now = server.clock.now();
    let pods = server.usage().await.map_err(Refusal::internal)?;
    let total = server.node_total(&pods, now).map_err(Refusal::internal)?;
    let node = json!({ "nodeName": server.node, "cpu": total.cpu(), "memory": total.memory() });
    let pods: Vec<Value> = pods.iter().map(|pod| summary_of(pod, now)).collect();
    Ok(Json(json!({ "node": node, "pods": pods })))
}

fn summary_of(PodUse { pod, containers }: &PodUse, now: Timestamp) -> Value {
    let total = Total::of(containers.iter(), now);
    let metadata = &pod.metadata;
    let each = containers.iter().map(|used| {
        let total = Total::of(std::iter::once(used), used.stats.at);
        json!({
            "name": used.container.metadata.name,
            "startTime": seconds(used.container.created_at),
            "cpu": total.cpu(),
            "memory": total.memory(),
            "rootfs": { "time": seconds(total.at), "usedBytes": used.stats.writable_layer_bytes },
        })
    });
    json!({
        "podRef": { "name": metadata.name, "namespace": metadata.namespace, "uid": metadata.uid },
        "startTime": pod.status.as_ref().and_then(|status| status.start_time.as_ref()),
        "containers": each.collect::<Vec<_>>(),
        "cpu": total.cpu(),
        "memory": total.memory(),
    })
}

pub(super) async fn resource(Extension(server): Extension<Arc<Server>>) -> Result<impl IntoResponse, Refusal> {
    let now = server.clock.now();
    let pods = server.usage().await.map_err(Refusal::internal)?;
    let mut text = String::new();
    let labels = |PodUse { pod, .. }: &PodUse| {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        format!("namespace=\"{}\",pod=\"{}\"", text(&pod.metadata.namespace), text(&pod.metadata.name))
    };
    let containers = || {
        pods.iter().flat_map(|pod| {
            let labels = labels(pod);
            pod.containers.iter().map(move |used| {
                let labels = format!("container=\"{}\",{labels}", used.container.metadata.name);
                (labels, Total::of(std::iter::once(used), used.stats.at), used.container.created_at)
            })
        })
    };
    let cpu = |total: Total| total.cpu_nanos as f64 / 1e9;
    family(
        &mut text,
        (
            "container_cpu_usage_seconds_total",
            "counter",
            "Cumulative cpu time consumed by the container in core-seconds",
        ),
        containers().map(|(labels, total, _)| (labels, cpu(total), Some(total.at))),
    );
    family(
        &mut text,
        ("container_memory_working_set_bytes", "gauge", "Current working set of the container in bytes"),
        containers().map(|(labels, total, _)| (labels, total.memory as f64, Some(total.at))),
    );
    family(
        &mut text,
        ("container_start_time_seconds", "gauge", "Start time of the container since unix epoch in seconds"),
        containers().map(|(labels, _, created)| (labels, created.as_millisecond() as f64 / 1e3, None)),
    );
    let node = server.node_total(&pods, now).map_err(Refusal::internal)?;
    family(
        &mut text,
        ("node_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed by the node in core-seconds"),
        std::iter::once((String::new(), cpu(node), Some(node.at))),
    );
    family(
        &mut text,
        ("node_memory_working_set_bytes", "gauge", "Current working set of the node in bytes"),
        std::iter::once((String::new(), node.memory as f64, Some(node.at))),
    );
    let totals = || pods.iter().map(|pod| (labels(pod), Total::of(pod.containers.iter(), now)));
    family(
        &mut text,
        ("pod_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed by the pod in core-seconds"),
        totals().map(|(labels, total)| (labels, cpu(total), Some(total.at))),
    );
    family(
        &mut text,
        ("pod_memory_working_set_bytes", "gauge", "Current working set of the pod in bytes"),
        totals().map(|(labels, total)| (labels, total.memory as f64, Some(total.at))),
    );
    family(
        &mut text,
        ("resource_scrape_error", "gauge", "1 if there was an error while getting container metrics, 0 otherwise"),
        std::iter::once((String::new(), 0.0, None)),
    );
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text))
}

/// Writes the samples of one metric: labels, value, time.
fn family(
    text: &mut String,
    (name, kind, help): (&str, &str, &str),
    samples: impl Iterator<Item = (String, f64, Option<Timestamp>)>,
) {
    // Writing to a String cannot fail.
    let _ = write!(text, "# HELP {name} [STABLE] {help}\n# TYPE {name} {kind}\n");
    for (labels, value, at) in samples {
        let labels = if labels.is_empty() { labels } else { format!("{{{labels}}}") };
        let at = at.map(|at| format!(" {}", at.as_millisecond())).unwrap_or_default();
        let _ = writeln!(text, "{name}{labels} {value}{at}");
    }
}
