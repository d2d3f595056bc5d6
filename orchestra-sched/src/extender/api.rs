//! What is sent to extenders, and what they answer (`k8s.io/kube-scheduler/extender/v1`).
//!
//! The fields are named as Go names them. In answers, as in Go, capital and small letters are the same, `null` is as good as nothing, and
//! what is not known does not matter.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{Node, Pod},
    apimachinery::pkg::apis::meta::v1::ListMeta,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

/// What filter and prioritize are asked about: nodes, or their names.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ExtenderArgs<'a> {
    pub(super) pod: &'a Pod,
    pub(super) nodes: Option<NodeList<'a>>,
    pub(super) node_names: Option<Vec<&'a str>>,
}

#[derive(Serialize)]
pub(super) struct NodeList<'a> {
    pub(super) metadata: ListMeta,
    pub(super) items: Vec<&'a Node>,
}

/// What preempt is asked about: victims by node, or their uids.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ExtenderPreemptionArgs<'a> {
    pub(super) pod: &'a Pod,
    pub(super) node_name_to_victims: Option<BTreeMap<&'a str, Victims<&'a Pod>>>,
    pub(super) node_name_to_meta_victims: Option<BTreeMap<&'a str, Victims<MetaPod>>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Victims<P> {
    pub(super) pods: Vec<P>,
    #[serde(rename = "NumPDBViolations")]
    pub(super) num_pdb_violations: usize,
}

#[derive(Serialize)]
pub(super) struct MetaPod {
    #[serde(rename = "UID")]
    pub(super) uid: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ExtenderBindingArgs<'a> {
    pub(super) pod_name: &'a str,
    pub(super) pod_namespace: &'a str,
    #[serde(rename = "PodUID")]
    pub(super) pod_uid: &'a str,
    pub(super) node: &'a str,
}

/// What filter answers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ExtenderFilterResult {
    pub(super) nodes: Option<Vec<String>>,
    pub(super) node_names: Option<Vec<String>>,
    pub(super) failed_nodes: BTreeMap<String, String>,
    pub(super) failed_and_unresolvable_nodes: BTreeMap<String, String>,
    pub(super) error: String,
}

impl TryFrom<Fields> for ExtenderFilterResult {
    type Error = serde_json::Error;

    fn try_from(fields: Fields) -> serde_json::Result<Self> {
        let nodes = fields.get::<Option<Named>>("nodes")?.map(|list| list.items);
        Ok(Self {
            nodes: nodes.map(|items| items.unwrap_or_default().into_iter().map(|node| node.metadata.name).collect()),
            node_names: fields.get("nodenames")?,
            failed_nodes: fields.get("failednodes")?,
            failed_and_unresolvable_nodes: fields.get("failedandunresolvablenodes")?,
            error: fields.get("error")?,
        })
    }
}

/// As much of a list of nodes as is looked at.
#[derive(Deserialize)]
struct Named {
    items: Option<Vec<NamedItem>>,
}

#[derive(Deserialize)]
struct NamedItem {
    metadata: NamedMeta,
}

#[derive(Deserialize)]
struct NamedMeta {
    name: String,
}

/// One of what prioritize answers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct HostPriority {
    pub(super) host: String,
    pub(super) score: i64,
}

impl TryFrom<Fields> for HostPriority {
    type Error = serde_json::Error;

    fn try_from(fields: Fields) -> serde_json::Result<Self> {
        Ok(Self { host: fields.get("host")?, score: fields.get("score")? })
    }
}

/// What preempt answers of a node: the uids of those who have to go, and how many of them budgets protect.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct MetaVictims {
    pub(super) uids: Vec<String>,
    pub(super) num_pdb_violations: i64,
}

impl TryFrom<Fields> for MetaVictims {
    type Error = serde_json::Error;

    fn try_from(fields: Fields) -> serde_json::Result<Self> {
        let pods: Vec<Fields> = fields.get("pods")?;
        Ok(Self {
            uids: pods.iter().map(|pod| pod.get("uid")).collect::<Result<_, _>>()?,
            num_pdb_violations: fields.get("numpdbviolations")?,
        })
    }
}

/// An answer's fields, by their names in small letters.
#[derive(Debug, Default)]
pub(super) struct Fields(BTreeMap<String, Box<RawValue>>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields: Option<BTreeMap<String, Box<RawValue>>> = Deserialize::deserialize(deserializer)?;
        Ok(Self(fields.unwrap_or_default().into_iter().map(|(name, value)| (name.to_lowercase(), value)).collect()))
    }
}

impl Fields {
    /// The field's value; what it is without one, if it is not there.
    pub(super) fn get<T: DeserializeOwned + Default>(&self, name: &str) -> serde_json::Result<T> {
        let value = self.0.get(name).map(|value| serde_json::from_str::<Option<T>>(value.get())).transpose()?;
        Ok(value.flatten().unwrap_or_default())
    }
}

/// The value at the beginning of an answer; as in Go, what stands behind it does not matter.
pub(super) fn first<T: DeserializeOwned>(body: &[u8]) -> serde_json::Result<T> {
    T::deserialize(&mut serde_json::Deserializer::from_slice(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filtered(body: &str) -> serde_json::Result<ExtenderFilterResult> {
        first::<Fields>(body.as_bytes())?.try_into()
    }

    #[test]
    fn capital_and_small_letters_are_the_same() {
        for body in [
            r#"{ "NodeNames": ["n1"], "FailedNodes": { "N2": "no" }, "Error": "", "Other": {} }"#,
            r#"{ "nodenames": ["n1"], "failednodes": { "N2": "no" }, "error": null }"#,
            r#"{ "nodeNames": ["n1"], "failedNodes": { "N2": "no" } } and so on"#,
        ] {
            let result = filtered(body).unwrap();
            assert_eq!(result.node_names, Some(vec!["n1".to_owned()]));
            assert_eq!(result.failed_nodes, BTreeMap::from([("N2".to_owned(), "no".to_owned())]));
        }
    }

    #[test]
    fn of_nodes_only_the_names_are_looked_at() {
        let result = filtered(r#"{ "nodes": { "items": [{ "metadata": { "name": "n1" }, "spec": 7 }] } }"#).unwrap();
        assert_eq!(result.nodes, Some(vec!["n1".to_owned()]));
        assert_eq!(filtered(r#"{ "nodes": { "items": null } }"#).unwrap().nodes, Some(Vec::new()));
        assert_eq!(filtered("null").unwrap(), ExtenderFilterResult::default());
    }

    #[test]
    fn what_is_of_another_type_is_an_error() {
        for body in ["", "[]", "7", r#"{ "nodeNames": "n1" }"#, r#"{ "nodes": [] }"#, r#"{ "failedNodes": ["n1"] }"#] {
            assert!(filtered(body).is_err(), "{body}");
        }
        let score = |body: &str| HostPriority::try_from(first::<Fields>(body.as_bytes()).unwrap());
        assert!(score(r#"{ "host": "n1", "score": 1.5 }"#).is_err());
        assert_eq!(score(r#"{ "Host": "n1" }"#).unwrap(), HostPriority { host: "n1".to_owned(), score: 0 });
    }
}
