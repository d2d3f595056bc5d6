//! The columns that nearly all tables have.

use crate::apiserver::strategy::Column;

/// What tables show of a field that may be absent.
pub(super) const UNSET: &str = "<unset>";

/// A column of text that is always shown.
pub(super) const fn text(name: &'static str, description: &'static str) -> Column {
    Column { name, kind: "string", format: "", description, priority: 0 }
}

/// The object's name.
pub(in crate::apiserver) const NAME: Column = Column {
    name: "Name",
    kind: "string",
    format: "name",
    description: "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a client to request the generation of an appropriate name automatically. Name is primarily intended for creation idempotence and configuration definition. Cannot be updated. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names",
    priority: 0,
};

/// How long ago the object was created.
pub(in crate::apiserver) const AGE: Column = Column {
    name: "Age",
    kind: "string",
    format: "",
    description: "CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed to be set in happens-before order across separate operations. Clients may not set this value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata",
    priority: 0,
};

/// The columns of kinds that have none of their own (`rest.NewDefaultTableConvertor`).
pub(in crate::apiserver) const DEFAULT: &[Column] = &[NAME, Column { name: "Created At", kind: "date", ..AGE }];

/// The names of the containers in a workload's template.
pub(super) const CONTAINERS: Column = Column {
    name: "Containers",
    kind: "string",
    format: "",
    description: "Names of each container in the template.",
    priority: 1,
};

/// The images of the containers in a workload's template.
pub(super) const IMAGES: Column = Column {
    name: "Images",
    kind: "string",
    format: "",
    description: "Images referenced by each container in the template.",
    priority: 1,
};

/// The first three items, and how many more there are, as tables show lists of ports and addresses.
pub(super) fn some_of(items: impl Iterator<Item = String>) -> String {
    const SHOWN: usize = 3;
    let items: Vec<String> = items.collect();
    let shown = items.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(",");
    if items.len() > SHOWN { format!("{shown} + {} more...", items.len() - SHOWN) } else { shown }
}
