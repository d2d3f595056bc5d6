//! Types made by kube's derive macro `CustomResource`, served as they are.

use std::sync::Arc;

use kube::{
    Api, CustomResource, ResourceExt,
    api::{Patch, PatchParams, PostParams},
};
use orchestra_store::{
    MemoryStore,
    apiserver::{ApiServer, custom_resource, kinds},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(group = "example.com", version = "v1", kind = "Website", namespaced, shortname = "web", category = "all")]
#[kube(status = "WebsiteStatus", derive = "PartialEq")]
struct WebsiteSpec {
    image: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct WebsiteStatus {
    ready: i32,
}

#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(group = "example.com", version = "v1", kind = "Zone", status = "WebsiteStatus", derive = "PartialEq")]
struct ZoneSpec {}

async fn server() -> ApiServer {
    let registry = kinds::table().with(custom_resource::<Website>()).with(custom_resource::<Zone>());
    let server = ApiServer::builder(Arc::new(MemoryStore::default())).registry(registry);
    server.start().await.expect("a server")
}

async fn get(server: &ApiServer, path: &str) -> Value {
    let request = http::Request::get(path).body(Vec::new()).expect("a request");
    server.client("default").request(request).await.expect("an answer")
}

fn website(image: &str, status: Option<WebsiteStatus>) -> Website {
    Website { status, ..Website::new("blog", WebsiteSpec { image: image.to_owned() }) }
}

#[tokio::test]
async fn the_status_changes_through_its_subresource_alone_and_the_generation_with_the_spec() {
    let websites = Api::<Website>::default_namespaced(server().await.client("default"));
    let claimed = Some(WebsiteStatus { ready: 9 });
    let created = websites.create(&PostParams::default(), &website("nginx", claimed.clone())).await.unwrap();
    assert_eq!((created.status, created.metadata.generation), (None, Some(1)));

    let patch = Patch::Merge(json!({"spec": {"image": "httpd"}, "status": {"ready": 9}}));
    let patched = websites.patch("blog", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!((&*patched.spec.image, patched.status, patched.metadata.generation), ("httpd", None, Some(2)));

    let patch =
        Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}, "spec": {"image": "other"}, "status": {"ready": 9}}));
    let patched = websites.patch_status("blog", &PatchParams::default(), &patch).await.unwrap();
    assert!(patched.labels().is_empty());
    assert_eq!((&*patched.spec.image, patched.status, patched.metadata.generation), ("httpd", claimed, Some(2)));
}

#[tokio::test]
async fn names_and_scope_are_those_of_the_macro() {
    let server = server().await;
    let list = get(&server, "/apis/example.com/v1").await;
    let rows: Vec<_> = list["resources"].as_array().unwrap().iter().filter(|row| row["kind"] != "Scale").collect();
    assert_eq!(rows[0]["name"], "websites");
    assert_eq!((&rows[0]["shortNames"], &rows[0]["categories"]), (&json!(["web"]), &json!(["all"])));
    assert_eq!((&rows[0]["namespaced"], &rows[1]["name"]), (&json!(true), &json!("websites/status")));
    assert_eq!((&rows[2]["name"], &rows[2]["namespaced"]), (&json!("zones"), &json!(false)));
    Api::<Zone>::all(server.client("default"))
        .create(&PostParams::default(), &Zone::new("a", ZoneSpec {}))
        .await
        .unwrap();
}

#[tokio::test]
async fn kubectl_learns_of_the_fields_and_how_to_patch_them() {
    let document = get(&server().await, "/openapi/v3/apis/example.com/v1").await;
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let website = &schemas["Website"];
    let properties: Vec<_> = website["properties"].as_object().unwrap().keys().collect();
    assert_eq!(properties, ["apiVersion", "kind", "metadata", "spec", "status"]);
    assert!(website["properties"]["metadata"].to_string().contains("ObjectMeta"), "{website}");
    let patch = &document["paths"]["/apis/example.com/v1/namespaces/{namespace}/websites/{name}"]["patch"];
    let types: Vec<_> = patch["requestBody"]["content"].as_object().unwrap().keys().collect();
    assert_eq!(types, ["application/json-patch+json", "application/merge-patch+json"]);
}

#[tokio::test]
async fn what_does_not_fit_the_type_is_refused() {
    let server = server().await;
    let create = async |spec: Value| {
        let object =
            json!({"apiVersion": "example.com/v1", "kind": "Website", "metadata": {"name": "a"}, "spec": spec});
        let url = "/apis/example.com/v1/namespaces/default/websites?fieldValidation=Strict";
        let request = http::Request::post(url).body(object.to_string().into_bytes()).unwrap();
        server.client("default").request::<Value>(request).await.map_err(|error| match error {
            kube::Error::Api(status) => status.message.clone(),
            other => panic!("{other}"),
        })
    };
    let refused = "Website in version \"v1\" cannot be handled as a Website: ";
    for (spec, why) in [
        (json!({}), "missing field `image`"),
        (
            json!({"image": 5}),
            "json: cannot unmarshal number into Go struct field WebsiteSpec.spec.image of type string",
        ),
        (json!({"image": "a", "imgae": "b"}), "strict decoding error: unknown field \"spec.imgae\""),
    ] {
        assert_eq!(create(spec).await, Err(format!("{refused}{why}")));
    }
    create(json!({"image": "a"})).await.unwrap();
}
