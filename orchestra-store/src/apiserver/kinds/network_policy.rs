//! NetworkPolicies (`pkg/registry/networking/networkpolicy`, `pkg/apis/networking`). To enforce them is the network's part.

use jiff::Timestamp;
use k8s_openapi::{
    api::networking::v1::{IPBlock, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec},
    apimachinery::pkg::util::intstr::IntOrString,
};
use orchestra_core::{container_runtime::Cidr, selector::label::Selector};
use serde_json::{Value, json};

use super::column::{self, text};
use crate::apiserver::{
    age,
    field::{Error, Errors, Path, Shown},
    registry::Resource,
    row as new_row,
    strategy::{Column, RequestContext, Strategy},
    validation::{ip, label_selector, port},
};

const TYPES: [&str; 2] = ["Egress", "Ingress"];

/// The rules of network policies.
#[derive(Clone, Copy, Debug, Default)]
pub struct NetworkPolicies;

/// The row of network policies.
pub fn row() -> Resource {
    new_row(NetworkPolicies).short_names(&["netpol"])
}

impl Strategy for NetworkPolicies {
    type Object = NetworkPolicy;
    type Wire = NetworkPolicy;

    fn default(&self, policy: &mut NetworkPolicy) {
        let spec = policy.spec.get_or_insert_default();
        spec.pod_selector.get_or_insert_default();
        let ingress = spec.ingress.iter_mut().flatten().flat_map(|rule| rule.ports.iter_mut().flatten());
        let egress = spec.egress.iter_mut().flatten().flat_map(|rule| rule.ports.iter_mut().flatten());
        for port in ingress.chain(egress) {
            port.protocol.get_or_insert_with(|| "TCP".to_owned());
        }
        if spec.policy_types.as_ref().is_none_or(Vec::is_empty) {
            let limits_egress = spec.egress.as_ref().is_some_and(|rules| !rules.is_empty());
            let types = ["Ingress", "Egress"].into_iter().take(if limits_egress { 2 } else { 1 });
            spec.policy_types = Some(types.map(str::to_owned).collect());
        }
    }

    fn validate(&self, _ctx: &RequestContext, policy: &NetworkPolicy) -> Errors {
        policy.spec.as_ref().map(|spec| validate(spec, &Path::new("spec"))).unwrap_or_default()
    }

    fn changes_generation(&self, new: &NetworkPolicy, old: &NetworkPolicy) -> Option<bool> {
        Some(new.spec != old.spec)
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn cells(&self, policy: &NetworkPolicy, now: Timestamp) -> Vec<Value> {
        let selector = policy.spec.as_ref().and_then(|spec| spec.pod_selector.clone()).unwrap_or_default();
        let selector = match Selector::try_from(&selector) {
            Err(_) => "<error>".to_owned(),
            Ok(selector) if selector.is_everything() => "<none>".to_owned(),
            Ok(selector) => selector.to_string(),
        };
        let created = policy.metadata.creation_timestamp.as_ref();
        vec![json!(policy.metadata.name), json!(selector), json!(age::since(created, now))]
    }
}

fn validate(spec: &NetworkPolicySpec, path: &Path) -> Errors {
    let mut errors = Errors::new();
    if let Some(selector) = &spec.pod_selector {
        errors.extend(label_selector::validate(selector, &path.child("podSelector")));
    }
    for (index, rule) in spec.ingress.iter().flatten().enumerate() {
        let path = path.child("ingress").index(index);
        errors.extend(ports(rule.ports.as_deref(), &path.child("ports")));
        errors.extend(peers(rule.from.as_deref(), &path.child("from")));
    }
    for (index, rule) in spec.egress.iter().flatten().enumerate() {
        let path = path.child("egress").index(index);
        errors.extend(ports(rule.ports.as_deref(), &path.child("ports")));
        errors.extend(peers(rule.to.as_deref(), &path.child("to")));
    }
    let types = spec.policy_types.as_deref().unwrap_or_default();
    let path = path.child("policyTypes");
    if types.len() > TYPES.len() {
        errors.push(Error::invalid(&path, Shown::json(&types), "may not specify more than two policyTypes"));
        return errors;
    }
    let unknown = types.iter().enumerate().filter(|(_, kind)| !TYPES.contains(&kind.as_str()));
    errors.extend(unknown.map(|(index, kind)| Error::not_supported(&path.index(index), kind, &TYPES)));
    errors
}

fn ports(ports: Option<&[NetworkPolicyPort]>, path: &Path) -> Errors {
    let ports = ports.unwrap_or_default().iter().enumerate();
    ports.flat_map(|(index, each)| one_port(each, &path.index(index))).collect()
}

fn one_port(of: &NetworkPolicyPort, path: &Path) -> Errors {
    const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];
    let mut errors = Errors::new();
    if let Some(protocol) = of.protocol.as_deref().filter(|protocol| !PROTOCOLS.contains(protocol)) {
        errors.push(Error::not_supported(&path.child("protocol"), protocol, &PROTOCOLS));
    }
    let end = path.child("endPort");
    match (&of.port, of.end_port) {
        (None, Some(last)) => {
            errors.push(Error::invalid(&end, last, "may not be specified when `port` is not specified"));
        }
        (Some(IntOrString::String(_)), Some(last)) => {
            errors.push(Error::invalid(&end, last, "may not be specified when `port` is non-numeric"));
        }
        (Some(IntOrString::Int(first)), Some(last)) => {
            if last < *first {
                errors.push(Error::invalid(&end, *first, "must be greater than or equal to `port`"));
            }
            errors.extend(port::number(last).map(|error| Error::invalid(&end, last, error)));
        }
        (_, None) => {}
    }
    errors.extend(of.port.iter().flat_map(|of| port::number_or_name(of, &path.child("port"))));
    errors
}

fn peers(peers: Option<&[NetworkPolicyPeer]>, path: &Path) -> Errors {
    let peers = peers.unwrap_or_default().iter().enumerate();
    peers.flat_map(|(index, each)| peer(each, &path.index(index))).collect()
}

fn peer(peer: &NetworkPolicyPeer, path: &Path) -> Errors {
    let mut errors = Errors::new();
    let selectors = [("podSelector", &peer.pod_selector), ("namespaceSelector", &peer.namespace_selector)];
    let mut selects = false;
    for (field, selector) in selectors.into_iter().filter_map(|(field, selector)| Some((field, selector.as_ref()?))) {
        selects = true;
        errors.extend(label_selector::validate(selector, &path.child(field)));
    }
    match (&peer.ip_block, selects) {
        (None, true) => {}
        (None, false) => errors.push(Error::required(path, "must specify a peer")),
        (Some(block), _) => {
            errors.extend(ip_block(block, &path.child("ipBlock")));
            if selects {
                errors.push(Error::forbidden(path, "may not specify both ipBlock and another peer"));
            }
        }
    }
    errors
}

fn ip_block(block: &IPBlock, path: &Path) -> Errors {
    let whole = path.child("cidr");
    if block.cidr.is_empty() {
        return vec![Error::required(&whole, "")];
    }
    let mut errors: Errors = ip::range_error(&whole, &block.cidr).into_iter().collect();
    let Some(range) = parsed(&block.cidr) else { return errors };
    for (index, text) in block.except.iter().flatten().enumerate() {
        let path = path.child("except").index(index);
        errors.extend(ip::range_error(&path, text));
        let Some(part) = parsed(text) else { continue };
        if !range.contains(part.first()) || range.prefix() >= part.prefix() {
            errors.push(Error::invalid(&path, text, "must be a strict subset of `cidr`"));
        }
    }
    errors
}

fn parsed(text: &str) -> Option<Cidr> {
    let (address, prefix) = text.split_once('/')?;
    Cidr::new(address.parse().ok()?, prefix.parse().ok()?)
}

const COLUMNS: &[Column] = &[
    column::NAME,
    text(
        "Pod-Selector",
        "podSelector selects the pods to which this NetworkPolicy object applies. The array of rules is applied to any pods selected by this field. An empty selector matches all pods in the policy's namespace. Multiple network policies can select the same set of pods. In this case, the ingress rules for each are combined additively. This field is optional. If it is not specified, it defaults to an empty selector.",
    ),
    column::AGE,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apiserver::kinds::testing::{context, object, texts};

    fn policy(spec: Value) -> NetworkPolicy {
        let mut policy = object(json!({ "spec": spec }));
        NetworkPolicies.default(&mut policy);
        policy
    }

    fn errors(spec: Value) -> Vec<String> {
        texts(&NetworkPolicies.validate(&context(), &policy(spec)))
    }

    #[test]
    fn a_policy_limits_what_it_has_rules_for() {
        let types = |spec: Value| policy(spec).spec.unwrap().policy_types.unwrap();
        assert_eq!(types(json!({})), ["Ingress"]);
        assert_eq!(types(json!({"egress": [{"ports": [{"port": 53}]}]})), ["Ingress", "Egress"]);
        assert_eq!(types(json!({"policyTypes": ["Egress"]})), ["Egress"]);
        let spec = serde_json::to_value(policy(json!({"egress": [{"ports": [{"port": 53}]}]})).spec).unwrap();
        assert_eq!(spec["egress"][0]["ports"], json!([{"port": 53, "protocol": "TCP"}]));
        assert_eq!(spec["podSelector"], json!({}));
        assert_eq!(NetworkPolicies.cells(&policy(json!({})), Timestamp::UNIX_EPOCH)[1], "<none>");
    }

    #[test]
    fn peers_are_pods_or_addresses() {
        let peer = |peer: Value| errors(json!({"ingress": [{"from": [peer]}]}));
        let path = "spec.ingress[0].from[0]";
        assert!(peer(json!({"podSelector": {}, "namespaceSelector": {}})).is_empty());
        assert_eq!(peer(json!({})), [format!("{path}: Required value: must specify a peer")]);
        let block = json!({"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16", "10.0.0.0/8", "192.0.2.0/24"]});
        let outside = |index: usize, text: &str| {
            format!(r#"{path}.ipBlock.except[{index}]: Invalid value: "{text}": must be a strict subset of `cidr`"#)
        };
        assert_eq!(
            peer(json!({"podSelector": {}, "ipBlock": block})),
            [
                outside(1, "10.0.0.0/8"),
                outside(2, "192.0.2.0/24"),
                format!("{path}: Forbidden: may not specify both ipBlock and another peer"),
            ]
        );
    }

    #[test]
    fn ranges_of_ports_begin_with_a_number() {
        let port = |port: Value| errors(json!({"ingress": [{"ports": [port]}]}));
        let path = "spec.ingress[0].ports[0]";
        assert!(port(json!({"port": 80, "endPort": 90})).is_empty());
        assert_eq!(
            port(json!({"port": "http", "endPort": 90, "protocol": "ICMP"})),
            [
                format!(r#"{path}.protocol: Unsupported value: "ICMP": supported values: "TCP", "UDP", "SCTP""#),
                format!("{path}.endPort: Invalid value: 90: may not be specified when `port` is non-numeric"),
            ]
        );
        assert_eq!(
            port(json!({"port": 80, "endPort": 79})),
            [format!("{path}.endPort: Invalid value: 80: must be greater than or equal to `port`")]
        );
    }
}
