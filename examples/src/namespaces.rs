//! Which namespaces to print.

use std::collections::BTreeSet;

use kube::api::DynamicObject;
use serde_json::json;

use crate::table::{Column, Table};

/// The namespaces whose objects are printed. If there are several, the first column tells them apart, as with `kubectl get -A`.
#[derive(Clone, Debug)]
pub struct Namespaces(BTreeSet<String>);

impl Namespaces {
    /// The namespaces in which `objects` are.
    pub fn of(objects: &[DynamicObject]) -> Self {
        Self(objects.iter().filter_map(|object| object.metadata.namespace.clone()).collect())
    }

    /// Whether `namespace` is one of them.
    pub fn has(&self, namespace: &str) -> bool {
        self.0.contains(namespace)
    }

    /// The name of the first column, if one is needed.
    pub fn column(&self) -> Option<&'static str> {
        (self.0.len() > 1).then_some("Namespace")
    }

    /// What `table` has of these namespaces, with the first column.
    pub fn of_table(&self, mut table: Table) -> Table {
        table.rows.retain(|row| self.has(row.namespace()));
        if let Some(name) = self.column() {
            let column = Column { name: name.to_owned(), priority: 0 };
            table.column_definitions.get_or_insert_default().insert(0, column);
            table.rows.iter_mut().for_each(|row| row.cells.insert(0, json!(row.namespace())));
        }
        table
    }
}
