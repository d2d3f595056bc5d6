//! Checks of what a node says that it has, and where it is (`ValidateNodeResources`, `ValidateNodeUpdate`).

use k8s_openapi::{
    api::core::v1::{Node, NodeAddress},
    apimachinery::pkg::api::resource::Quantity as ApiQuantity,
};
use orchestra_core::quantity::Quantity;
use serde_json::json;

use crate::apiserver::{
    field::{Error, Errors, Path, Shown},
    kinds::pod,
};

/// What is wrong with the amounts of resources.
pub(super) fn validate(node: &Node) -> Errors {
    let Some(status) = &node.status else { return Errors::new() };
    let path = Path::new("status");
    let lists = [("capacity", &status.capacity), ("allocatable", &status.allocatable)];
    let amounts = lists.into_iter().flat_map(|(field, list)| list.iter().flatten().map(move |entry| (field, entry)));
    amounts.flat_map(|(field, (name, amount))| of(name, amount, &path.child(field).child(name))).collect()
}

fn of(name: &str, amount: &ApiQuantity, path: &Path) -> Errors {
    let mut errors = Errors::new();
    let Ok(parsed) = amount.0.parse::<Quantity>() else { return errors };
    if parsed.is_negative() {
        errors.push(Error::invalid(path, &amount.0, "must be greater than or equal to 0"));
    }
    if (name == "pods" || pod::is_extended(name)) && !parsed.is_whole() {
        errors.push(Error::invalid(path, &amount.0, "must be an integer"));
    }
    errors
}

/// What is wrong with the addresses: each is told once.
pub(super) fn addresses(node: &Node) -> Errors {
    let path = Path::new("status").child("addresses");
    let addresses = node.status.as_ref().and_then(|status| status.addresses.as_deref()).unwrap_or_default();
    let repeated = |index: &usize| addresses[..*index].contains(&addresses[*index]);
    let shown = |NodeAddress { type_, address }: &NodeAddress| {
        Shown::raw(format!(r#"{{"Type":{},"Address":{}}}"#, json!(type_), json!(address)))
    };
    let repeated = (0..addresses.len()).filter(repeated);
    repeated.map(|index| Error::duplicate(&path.index(index), shown(&addresses[index]))).collect()
}
