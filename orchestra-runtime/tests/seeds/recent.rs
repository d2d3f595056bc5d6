//! What happened last, in short lines, for those who look into a failure.

use std::{collections::VecDeque, fmt};

use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet},
    core::v1::Pod,
};
use orchestra_core::store::Event;
use serde_json::Value;

use crate::state::{is_available, node_of, phase};

/// How many changes are remembered.
const REMEMBERED: usize = 150;

#[derive(Default)]
pub(crate) struct Recent {
    lines: VecDeque<String>,
}

impl Recent {
    pub(crate) fn note(&mut self, event: &Event, now: Timestamp) {
        let key = event.key().trim_start_matches("/registry/");
        let what = match event {
            Event::Put { current, .. } => describe(key, &current.value),
            Event::Delete { .. } => Some("gone".to_owned()),
        };
        let Some(what) = what else { return };
        if self.lines.len() == REMEMBERED {
            self.lines.pop_front();
        }
        self.lines.push_back(format!("{:5} {now:.3} {key} {what}", event.revision()));
    }
}

fn describe(key: &str, value: &[u8]) -> Option<String> {
    match key.split('/').next()? {
        "pods" => serde_json::from_slice(value).ok().map(|pod| describe_pod(&pod)),
        "replicasets" => serde_json::from_slice(value).ok().map(|set| describe_set(&set)),
        "deployments" => serde_json::from_slice(value).ok().map(|deployment| describe_deployment(&deployment)),
        _ => None,
    }
}

fn describe_pod(pod: &Pod) -> String {
    let ready = if is_available(pod, 0, Timestamp::MAX) { " ready" } else { "" };
    let ending = if pod.metadata.deletion_timestamp.is_some() { " is deleted" } else { "" };
    format!("{}{ready}{ending} on {}", phase(pod), node_of(pod).unwrap_or("no node"))
}

fn describe_set(set: &ReplicaSet) -> String {
    let replicas = set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(0);
    describe_scaled(set.metadata.generation, replicas, &set.status)
}

fn describe_deployment(deployment: &Deployment) -> String {
    let spec = deployment.spec.clone().unwrap_or_default();
    let image = spec.template.spec.and_then(|spec| spec.containers.into_iter().next()?.image).unwrap_or_default();
    let paused = if spec.paused == Some(true) { " paused" } else { "" };
    let scaled = describe_scaled(deployment.metadata.generation, spec.replicas.unwrap_or(0), &deployment.status);
    format!("{image}{paused} {scaled}")
}

fn describe_scaled(generation: Option<i64>, replicas: i32, status: &impl serde::Serialize) -> String {
    let status = serde_json::to_value(status).unwrap_or_default();
    let count = |name: &str| status.get(name).and_then(Value::as_i64).unwrap_or(0);
    let (observed, present, available) = (count("observedGeneration"), count("replicas"), count("availableReplicas"));
    let generation = generation.unwrap_or(0);
    format!("wants {replicas} has {present} available {available} (generation {generation}, observed {observed})")
}

impl fmt::Display for Recent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}
