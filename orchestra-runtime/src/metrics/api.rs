//! `metrics.k8s.io/v1beta1`: NodeMetrics and PodMetrics.

use std::{collections::BTreeMap, time::Duration};

use axum::{
    Router,
    extract::{Path, State},
    response::{IntoResponse, Response},
    routing::get,
};
use http::{StatusCode, Uri};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use orchestra_core::{ObjectKey, selector::label::Selector};
use orchestra_store::apiserver::AggregatedResource;
use serde_json::{Value, json};

use super::{View, samples::Rate};
use crate::json_answer::Json;

const VERSION: &str = "metrics.k8s.io/v1beta1";
const ROOT: &str = "/apis/metrics.k8s.io/v1beta1";

/// What discovery tells of the group.
pub(super) fn resources() -> Vec<AggregatedResource> {
    let resource = |plural, kind, namespaced| AggregatedResource { plural, kind, namespaced, verbs: &["get", "list"] };
    vec![resource("nodes", "NodeMetrics", false), resource("pods", "PodMetrics", true)]
}

pub(super) fn router(view: View) -> Router {
    Router::new()
        .route(&format!("{ROOT}/nodes"), get(list_nodes))
        .route(&format!("{ROOT}/nodes/{{name}}"), get(get_node))
        .route(&format!("{ROOT}/pods"), get(list_all_pods))
        .route(&format!("{ROOT}/namespaces/{{namespace}}/pods"), get(list_pods))
        .route(&format!("{ROOT}/namespaces/{{namespace}}/pods/{{name}}"), get(get_pod))
        .fallback(async || no_such_path())
        .with_state(view)
}

/// What a list is limited to.
#[derive(Default)]
struct Selection {
    labels: Selector,
    name: Option<String>,
}

impl Selection {
    fn parse(uri: &Uri) -> Result<Self, Failed> {
        let mut selection = Self::default();
        for (parameter, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
            match &*parameter {
                "labelSelector" => selection.labels = Selector::parse(&value).map_err(|error| refused(&error))?,
                "fieldSelector" if value.is_empty() => {}
                "fieldSelector" => {
                    let name = value.strip_prefix("metadata.name=");
                    let name = name.ok_or_else(|| refused(&"only metadata.name can be selected by"))?;
                    selection.name = Some(name.trim_start_matches('=').to_owned());
                }
                _ => {}
            }
        }
        Ok(selection)
    }

    fn takes(&self, metadata: &ObjectMeta) -> bool {
        let none = BTreeMap::new();
        self.labels.matches(metadata.labels.as_ref().unwrap_or(&none))
            && self.name.as_ref().is_none_or(|name| metadata.name.as_ref() == Some(name))
    }
}

async fn list_nodes(State(view): State<View>, uri: Uri) -> Result<Json, Failed> {
    let selection = Selection::parse(&uri)?;
    let nodes = view.nodes.list();
    let chosen = nodes.iter().filter(|node| selection.takes(&node.metadata));
    Ok(list("NodeMetricsList", chosen.filter_map(|node| view.node(&node.metadata)).collect()))
}

async fn get_node(State(view): State<View>, Path(name): Path<String>) -> Result<Json, Failed> {
    let node = view.nodes.get(&ObjectKey::cluster(&name));
    let found = node.and_then(|node| view.node(&node.metadata));
    found.map(Json).ok_or_else(|| not_found("nodemetrics", &name))
}

async fn list_all_pods(State(view): State<View>, uri: Uri) -> Result<Json, Failed> {
    view.list_pods(None, &Selection::parse(&uri)?)
}

async fn list_pods(State(view): State<View>, Path(namespace): Path<String>, uri: Uri) -> Result<Json, Failed> {
    view.list_pods(Some(&namespace), &Selection::parse(&uri)?)
}

async fn get_pod(State(view): State<View>, Path((namespace, name)): Path<(String, String)>) -> Result<Json, Failed> {
    let pod = view.pods.get(&ObjectKey::namespaced(&namespace, &name));
    let found = pod.and_then(|pod| view.pod(&pod.metadata));
    found.map(Json).ok_or_else(|| not_found("podmetrics", &format!("{namespace}/{name}")))
}

impl View {
    fn list_pods(&self, namespace: Option<&str>, selection: &Selection) -> Result<Json, Failed> {
        let pods = self.pods.list();
        let chosen = pods.iter().map(|pod| &pod.metadata).filter(|metadata| {
            namespace.is_none_or(|namespace| metadata.namespace.as_deref() == Some(namespace))
                && selection.takes(metadata)
        });
        Ok(list("PodMetricsList", chosen.filter_map(|metadata| self.pod(metadata)).collect()))
    }

    fn node(&self, metadata: &ObjectMeta) -> Option<Value> {
        let rate = self.samples.read().node(metadata.name.as_deref()?)?;
        let mut object = head("NodeMetrics", metadata, rate.at, rate.window);
        object["usage"] = usage(rate);
        Some(object)
    }

    fn pod(&self, metadata: &ObjectMeta) -> Option<Value> {
        let samples = self.samples.read();
        let rates = samples.pod(metadata.namespace.as_deref()?, metadata.name.as_deref()?)?;
        // What is as old as its oldest part.
        let oldest = rates.iter().map(|(_, rate)| rate).min_by_key(|rate| rate.at)?;
        let mut object = head("PodMetrics", metadata, oldest.at, oldest.window);
        object["containers"] =
            rates.iter().map(|(name, rate)| json!({ "name": name, "usage": usage(*rate) })).collect();
        Some(object)
    }
}

fn head(kind: &str, of: &ObjectMeta, at: Timestamp, window: Duration) -> Value {
    let metadata = ObjectMeta {
        name: of.name.clone(),
        namespace: of.namespace.clone(),
        labels: of.labels.clone(),
        creation_timestamp: Some(Time(at)),
        ..ObjectMeta::default()
    };
    let window = format!("{:.3}s", window.as_secs_f64());
    json!({ "kind": kind, "apiVersion": VERSION, "metadata": metadata, "timestamp": Time(at), "window": window })
}

fn usage(rate: Rate) -> Value {
    json!({ "cpu": format!("{}n", rate.cpu), "memory": format!("{}Ki", rate.memory.div_ceil(1024)) })
}

fn list(kind: &str, items: Vec<Value>) -> Json {
    Json(json!({ "kind": kind, "apiVersion": VERSION, "metadata": {}, "items": items }))
}

/// An error as a `metav1.Status`.
struct Failed {
    code: StatusCode,
    reason: &'static str,
    message: String,
    details: Value,
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let Self { code, reason, message, details } = self;
        let status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message, "reason": reason, "details": details, "code": code.as_u16(),
        });
        (code, Json(status)).into_response()
    }
}

fn no_such_path() -> Failed {
    let message = "the server could not find the requested resource".to_owned();
    Failed { code: StatusCode::NOT_FOUND, reason: "NotFound", message, details: json!({}) }
}

fn not_found(resource: &str, name: &str) -> Failed {
    let message = format!("{resource}.metrics.k8s.io {name:?} not found");
    let details = json!({ "name": name, "group": "metrics.k8s.io", "kind": resource });
    Failed { code: StatusCode::NOT_FOUND, reason: "NotFound", message, details }
}

fn refused(why: &dyn std::fmt::Display) -> Failed {
    Failed { code: StatusCode::BAD_REQUEST, reason: "BadRequest", message: why.to_string(), details: json!({}) }
}
