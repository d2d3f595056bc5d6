//! The table of Ingresses (`printIngress` of `pkg/printers/internalversion`).

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::networking::v1::{Ingress, IngressRule};
use serde_json::{Value, json};

use crate::apiserver::{
    age,
    kinds::column::{self, text},
    strategy::Column,
};

/// How many hosts are shown.
const SHOWN: usize = 3;

pub(super) fn cells(ingress: &Ingress, now: Timestamp) -> Vec<Value> {
    let spec = ingress.spec.clone().unwrap_or_default();
    let balancer = ingress.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let points = balancer.into_iter().flat_map(|balancer| balancer.ingress.iter().flatten());
    let filled = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let addresses: BTreeSet<String> =
        points.filter_map(|point| filled(&point.ip).or_else(|| filled(&point.hostname))).collect();
    vec![
        json!(ingress.metadata.name),
        json!(spec.ingress_class_name.as_deref().unwrap_or("<none>")),
        json!(hosts(spec.rules.as_deref().unwrap_or_default())),
        json!(addresses.into_iter().collect::<Vec<_>>().join(",")),
        json!(if spec.tls.is_some_and(|tls| !tls.is_empty()) { "80, 443" } else { "80" }),
        json!(age::since(ingress.metadata.creation_timestamp.as_ref(), now)),
    ]
}

fn hosts(rules: &[IngressRule]) -> String {
    let named: Vec<(usize, &str)> = rules
        .iter()
        .enumerate()
        .filter_map(|(index, rule)| Some((index, rule.host.as_deref().filter(|host| !host.is_empty())?)))
        .take(SHOWN)
        .collect();
    let shown = named.iter().map(|(_, host)| *host).collect::<Vec<_>>().join(",");
    // Kubernetes counts the rules after the last host shown, whether they have one or not.
    let is_full = named.len() == SHOWN && named.last().is_some_and(|(last, _)| last + 1 < rules.len());
    match (named.is_empty(), is_full) {
        (true, _) => "*".to_owned(),
        (false, true) => format!("{shown} + {} more...", rules.len() - SHOWN),
        (false, false) => shown,
    }
}

pub(super) const COLUMNS: &[Column] = &[
    column::NAME,
    text("Class", "The name of the IngressClass resource that should be used for additional configuration"),
    text("Hosts", "Hosts that incoming requests are matched against before the ingress rule"),
    text("Address", "Address is a list containing ingress points for the load-balancer"),
    text("Ports", "Ports of TLS configurations that open"),
    column::AGE,
];
