//! Lists: selectors, pages, versions.

use k8s_openapi::{
    api::core::v1::{ConfigMap, Pod, Secret},
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use kube::{
    Api, ResourceExt,
    api::{ListParams, ObjectList, PostParams, VersionMatch},
    core::{Expression, Selector, SelectorExt},
};
use serde_json::json;

use crate::world::{World, of};

fn names<K: kube::Resource + Clone>(list: &ObjectList<K>) -> Vec<String> {
    list.items.iter().map(ResourceExt::name_any).collect()
}

#[tokio::test]
async fn selectors_choose_by_labels() {
    let world = World::start().await;
    let maps = world.api::<ConfigMap>();
    for (name, labels) in
        [("a", json!({"app": "web", "tier": "1"})), ("b", json!({"app": "web"})), ("c", json!({"app": "db"}))]
    {
        let map = of(json!({"metadata": {"name": name, "labels": labels}}));
        maps.create(&PostParams::default(), &map).await.unwrap();
    }
    let web = || Expression::Equal("app".into(), "web".into());
    let both = LabelSelector {
        match_expressions: Some(of(json!([{"key": "tier", "operator": "DoesNotExist"}]))),
        match_labels: Some([("app".to_owned(), "web".to_owned())].into()),
    };
    let cases: [(Selector, &[&str]); 7] = [
        (web().into(), &["a", "b"]),
        ([web(), Expression::Exists("tier".into())].into_iter().collect(), &["a"]),
        ([web(), Expression::DoesNotExist("tier".into())].into_iter().collect(), &["b"]),
        (Expression::In("app".into(), ["db".into(), "x".into()].into()).into(), &["c"]),
        (
            [Expression::Exists("app".into()), Expression::NotIn("app".into(), ["web".into()].into())]
                .into_iter()
                .collect(),
            &["c"],
        ),
        (
            [Expression::Exists("app".into()), Expression::NotEqual("tier".into(), "1".into())].into_iter().collect(),
            &["b", "c"],
        ),
        (both.try_into().unwrap(), &["b"]),
    ];
    for (selector, expected) in cases {
        let found = maps.list(&ListParams::default().labels_from(&selector)).await.unwrap();
        assert_eq!(names(&found), expected, "{selector}");
        assert!(found.items.iter().all(|map| selector.matches(map.labels())), "{selector}");
    }
    world.end().await;
}

#[tokio::test]
async fn selectors_choose_by_fields() {
    let world = World::start().await;
    world.pod("one").await;
    world.pod("two").await;
    let pods = world.api::<Pod>();
    for (fields, expected) in [
        ("metadata.name=one", &["one"][..]),
        ("spec.nodeName=n1,metadata.name!=one", &["two"]),
        ("status.phase!=Running", &[]),
        ("spec.restartPolicy=Always,spec.schedulerName=default-scheduler", &["one", "two"]),
    ] {
        assert_eq!(names(&pods.list(&ListParams::default().fields(fields)).await.unwrap()), expected, "{fields}");
    }
    let secrets = Api::<Secret>::all(world.client.clone());
    assert!(secrets.list(&ListParams::default().fields("type=Opaque")).await.unwrap().items.is_empty());
    world.end().await;
}

#[tokio::test]
async fn pages_show_one_state_until_the_list_ends() {
    let world = World::start().await;
    for name in ["a", "b", "c", "d", "e"] {
        world.config_map(name).await;
    }
    let maps = world.api::<ConfigMap>();
    let mut params = ListParams::default().labels("name").limit(2);
    let (mut found, mut version) = (Vec::new(), None);
    loop {
        let page = maps.list_metadata(&params).await.unwrap();
        assert!(page.items.len() <= 2);
        assert_eq!(version.get_or_insert(page.metadata.resource_version.clone()), &page.metadata.resource_version);
        found.extend(names(&page));
        // What is deleted meanwhile is shown still.
        maps.delete("e", &Default::default()).await.ok();
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => break,
        }
    }
    assert_eq!(found, ["a", "b", "c", "d", "e"]);
    world.end().await;
}

#[tokio::test]
async fn lists_are_of_the_version_that_is_asked_for() {
    let world = World::start().await;
    let maps = world.api::<ConfigMap>();
    let first = world.config_map("a").await.resource_version().unwrap();
    world.config_map("b").await;
    let labelled = || ListParams::default().labels("name");
    let exact = labelled().at(&first).matching(VersionMatch::Exact);
    assert_eq!(names(&maps.list(&exact).await.unwrap()), ["a"]);
    let newer = labelled().at(&first).matching(VersionMatch::NotOlderThan);
    assert_eq!(names(&maps.list(&newer).await.unwrap()), ["a", "b"]);
    assert_eq!(names(&maps.list(&labelled().match_any()).await.unwrap()), ["a", "b"]);
    let got = maps.get_with("a", &kube::api::GetParams::at(&first)).await.unwrap();
    assert_eq!(got.resource_version().unwrap(), first);
    let refused = maps.list(&labelled().matching(VersionMatch::Exact)).await;
    assert!(refused.is_err());
    world.end().await;
}
