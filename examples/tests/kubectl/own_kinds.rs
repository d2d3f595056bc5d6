//! A kind of one's own, made by kube's derive macro.

use kube::CustomResource;
use orchestra_runtime::Cluster;
use orchestra_store::apiserver::{custom_resource, kinds};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::harness::{Kubectl, holds};

#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(group = "example.com", version = "v1", kind = "Website", namespaced, shortname = "web")]
#[kube(status = "WebsiteStatus", derive = "PartialEq")]
struct WebsiteSpec {
    /// What serves it.
    image: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct WebsiteStatus {
    ready: i32,
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_explained_applied_changed_and_shown() {
    let registry = kinds::table().with(custom_resource::<Website>());
    let Some(kubectl) = Kubectl::with(Cluster::builder().registry(registry)).await else { return };
    let explained = kubectl.run("explain website.spec").await;
    assert!(holds(&explained, &["image", "<string> -required-", "What serves it."]), "{explained}");

    let website = |spec: &str| {
        kubectl
            .manifest(&format!("apiVersion: example.com/v1\nkind: Website\nmetadata: {{name: blog}}\nspec: {spec}\n"))
    };
    for (spec, done) in [("{image: a}", "created"), ("{image: b}", "configured"), ("{image: b}", "unchanged")] {
        let said = kubectl.run(&format!("apply -f {}", website(spec))).await;
        assert_eq!(said, format!("website.example.com/blog {done}\n"));
    }
    let said = kubectl.fails(&format!("apply -f {}", website("{image: b, imgae: c}"))).await;
    assert!(said.contains("unknown field \"spec.imgae\""), "{said}");

    kubectl.run("patch web blog --subresource=status --type=merge -p {\"status\":{\"ready\":3}}").await;
    assert_eq!(kubectl.run("get web blog -o jsonpath={.spec.image}{.status.ready}{.metadata.generation}").await, "b32");
    assert!(holds(&kubectl.run("get web").await, &["NAME", "AGE", "blog"]));
    assert!(kubectl.run("delete web blog").await.starts_with("website.example.com \"blog\" deleted"));
    kubectl.end().await;
}
