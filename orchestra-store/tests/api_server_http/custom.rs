//! Kinds that are not Kubernetes' own.

use std::{borrow::Cow, sync::Arc};

use k8s_openapi::{NamespaceResourceScope, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::Resource;
use orchestra_core::store::{KeyRange, ListOptions, Store};
use orchestra_store::{
    MemoryStore,
    apiserver::{
        ApiServer, row,
        strategy::{Column, Strategy},
    },
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::harness::Server;

/// A widget of the group `red.example.org` or `blue.example.org`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Widget<const RED: bool> {
    api_version: String,
    kind: String,
    metadata: ObjectMeta,
    size: u32,
}

impl<const RED: bool> Resource for Widget<RED> {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "Widget".into()
    }

    fn group((): &()) -> Cow<'_, str> {
        if RED { "red.example.org".into() } else { "blue.example.org".into() }
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "widgets".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl<const RED: bool> JsonSchema for Widget<RED> {
    fn schema_name() -> Cow<'static, str> {
        "Widget".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "object"})
    }
}

struct Widgets<const RED: bool>;

impl<const RED: bool> Strategy for Widgets<RED> {
    type Object = Widget<RED>;
    type Wire = Widget<RED>;

    fn columns(&self) -> &'static [Column] {
        &[]
    }

    fn cells(&self, _: &Widget<RED>, _: jiff::Timestamp) -> Vec<Value> {
        Vec::new()
    }
}

#[tokio::test]
async fn kinds_of_one_name_in_two_groups_are_stored_apart() {
    let store = Arc::new(MemoryStore::default());
    let server = ApiServer::builder(Arc::clone(&store) as Arc<dyn Store>).start().await.expect("a server");
    server.registry().insert(row(Widgets::<true>));
    server.registry().insert(row(Widgets::<false>));
    let server = Server::over(server.router());
    for (group, size) in [("blue.example.org", 1), ("red.example.org", 2)] {
        let path = format!("/apis/{group}/v1/namespaces/default/widgets");
        let version = format!("{group}/v1");
        let widget =
            serde_json::json!({"apiVersion": version, "kind": "Widget", "metadata": {"name": "w"}, "size": size});
        assert_eq!(server.post(&path, widget.to_string()).await.code, 201);
        assert_eq!(server.get(&format!("{path}/w")).await.json()["size"], size);
    }
    let stored = store.list(&KeyRange::prefix("/registry/red.example.org/"), ListOptions::default()).await;
    let keys: Vec<String> = stored.expect("a list").entries.iter().map(|entry| entry.key.to_string()).collect();
    assert_eq!(keys, ["/registry/red.example.org/widgets/default/w"]);
}
