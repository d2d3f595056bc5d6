use std::time::Duration;

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Event, Pod},
    policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus},
};
use kube::{
    ResourceExt,
    api::{Patch, PatchParams},
};
use orchestra_core::{clock::Clock as _, condition};
use serde_json::{Value, json};

use crate::{objects::deployment, world::World};

/// A budget for the pods of the application `web`.
async fn budget(world: &World, name: &str, amount: Value) -> PodDisruptionBudget {
    let mut spec = json!({"selector": {"matchLabels": {"app": "web"}}});
    spec.as_object_mut().unwrap().extend(amount.as_object().unwrap().clone());
    world.create(json!({"metadata": {"name": name}, "spec": spec})).await
}

async fn status(world: &World, name: &str) -> PodDisruptionBudgetStatus {
    world.api::<PodDisruptionBudget>().get(name).await.unwrap().status.unwrap_or_default()
}

/// Waits until the budget says how many pods are healthy, should be, may go, and are expected.
async fn until(world: &World, name: &str, numbers: [i32; 4]) -> PodDisruptionBudgetStatus {
    let what = format!("{numbers:?}");
    world
        .until(&what, async || {
            let now = status(world, name).await;
            let found = [now.current_healthy, now.desired_healthy, now.disruptions_allowed, now.expected_pods];
            (found == numbers.map(Some)).then_some(now)
        })
        .await
}

/// Waits for an event with this reason, and gives its type and message.
async fn told(world: &World, reason: &str) -> (String, String) {
    world
        .until(reason, async || {
            let events = world.list::<Event>().await;
            let event = events.into_iter().find(|event| event.reason.as_deref() == Some(reason))?;
            Some((event.type_.unwrap(), event.message.unwrap()))
        })
        .await
}

fn condition_of(status: &PodDisruptionBudgetStatus) -> (&str, &str, &str) {
    let condition = condition::find(status.conditions.as_deref().unwrap(), "DisruptionAllowed").unwrap();
    (&condition.status, &condition.reason, &condition.message)
}

/// A pod of the application `web`, of this owner if there is one.
fn pod(name: &str, owner: Option<Value>) -> Value {
    let mut pod = deployment("a", 1)["spec"]["template"].clone();
    pod["metadata"]["name"] = json!(name);
    pod["metadata"]["ownerReferences"] = owner.into_iter().collect();
    pod
}

fn owner(api_version: &str, kind: &str, name: &str, uid: &str) -> Value {
    json!({"apiVersion": api_version, "kind": kind, "name": name, "uid": uid, "controller": true})
}

#[tokio::test(start_paused = true)]
async fn what_may_be_unavailable_is_counted_from_the_size_of_the_deployment() {
    let world = World::start().await;
    world.create::<Deployment>(deployment("a", 3)).await;
    budget(&world, "web", json!({"maxUnavailable": 1})).await;
    let none = until(&world, "web", [0, 2, 0, 3]).await;
    assert_eq!(condition_of(&none), ("False", "InsufficientPods", ""));
    world.rolled_out("web", 3).await;
    let one = until(&world, "web", [3, 2, 1, 3]).await;
    assert_eq!(condition_of(&one), ("True", "SufficientPods", ""));
    assert_eq!((one.observed_generation, one.disrupted_pods), (Some(1), None));

    // Before there are any more pods, and with none of them ready.
    world.patch::<Deployment>("web", json!({"spec": {"replicas": 5}})).await;
    until(&world, "web", [3, 4, 0, 5]).await;
    world.rolled_out("web", 5).await;
    world.patch::<PodDisruptionBudget>("web", json!({"spec": {"maxUnavailable": "50%"}})).await;
    let half = until(&world, "web", [5, 2, 3, 5]).await;
    assert_eq!(half.observed_generation, Some(2));

    let victim = world.list::<Pod>().await.pop().unwrap().name_any();
    let not_ready = json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}});
    world.api::<Pod>().patch_status(&victim, &PatchParams::default(), &Patch::Strategic(not_ready)).await.unwrap();
    until(&world, "web", [4, 2, 2, 5]).await;
}

#[tokio::test(start_paused = true)]
async fn what_must_be_available_is_a_share_of_the_owners_size_or_a_number_of_any_pods() {
    let world = World::start().await;
    world.create::<Deployment>(deployment("a", 3)).await;
    world.rolled_out("web", 3).await;
    budget(&world, "web", json!({"minAvailable": "50%"})).await;
    until(&world, "web", [3, 2, 1, 3]).await;

    world.create::<Pod>(pod("bare", None)).await;
    let (kind, message) = told(&world, "UnmanagedPods").await;
    assert_eq!(kind, "Warning");
    let selector =
        "&LabelSelector{MatchLabels:map[string]string{app: web,},MatchExpressions:[]LabelSelectorRequirement{},}";
    assert!(message.starts_with(&format!("Pods selected by this PodDisruptionBudget (selector: {selector}) were")));
    until(&world, "web", [3, 2, 1, 3]).await;

    world.patch::<PodDisruptionBudget>("web", json!({"spec": {"minAvailable": 1}})).await;
    world.play_kubelet().await;
    until(&world, "web", [4, 1, 3, 4]).await;
    world.patch::<PodDisruptionBudget>("web", json!({"spec": {"minAvailable": null}})).await;
    until(&world, "web", [4, 0, 0, 0]).await;
}

#[tokio::test(start_paused = true)]
async fn a_budget_without_pods_allows_nothing_and_says_so() {
    let world = World::start().await;
    budget(&world, "web", json!({"minAvailable": 0})).await;
    assert_eq!(told(&world, "NoPods").await, ("Normal".to_owned(), "No matching pods found".to_owned()));
    until(&world, "web", [0, 0, 0, 0]).await;
    world.create::<Pod>(pod("bare", None)).await;
    world.play_kubelet().await;
    until(&world, "web", [1, 0, 1, 1]).await;
}

#[tokio::test(start_paused = true)]
async fn the_size_of_any_owner_with_a_scale_counts() {
    let world = World::start().await;
    let mut four = deployment("a", 4);
    four["spec"]["selector"]["matchLabels"] = json!({"app": "other"});
    four["spec"]["template"]["metadata"]["labels"] = json!({"app": "other"});
    let deployment: Deployment = world.create(four).await;
    // Not by a replica set, so that nobody but the deployment's own scale tells.
    let owner = owner("apps/v1", "Deployment", "web", &deployment.uid().unwrap());
    world.create::<Pod>(pod("p", Some(owner))).await;
    budget(&world, "web", json!({"maxUnavailable": 1})).await;
    until(&world, "web", [0, 3, 0, 4]).await;
}

#[tokio::test(start_paused = true)]
async fn where_the_owners_size_is_not_known_nothing_may_go() {
    let world = World::start().await;
    let map: ConfigMap = world.create(json!({"metadata": {"name": "owner"}})).await;
    let uid = map.uid().unwrap();
    let cases = [
        (owner("v1", "ConfigMap", "owner", &uid), "configmaps does not implement the scale subresource"),
        (owner("v1", "Nothing", "owner", &uid), r#"no matches for kind "Nothing" in version "v1""#),
        (owner("no.such/v1", "Thing", "owner", &uid), r#"no matches for kind "Thing" in version "no.such/v1""#),
        (owner("apps/v1", "ReplicaSet", "gone", &uid), r#"found no controllers for pod "p3""#),
    ];
    for (index, (owner, why)) in cases.into_iter().enumerate() {
        let name = format!("p{index}");
        let mut pod = pod(&name, Some(owner));
        // The collector would take it before anybody looks.
        pod["metadata"]["finalizers"] = json!(["example.org/kept"]);
        pod["metadata"]["labels"] = json!({ "case": name });
        world.create::<Pod>(pod).await;
        let spec = json!({"maxUnavailable": 1, "selector": {"matchLabels": {"case": name}}});
        world.create::<PodDisruptionBudget>(json!({"metadata": {"name": name}, "spec": spec})).await;
        let failed = world.until("failure", async || {
            let status = status(&world, &name).await;
            let found = status.conditions.as_ref().is_some_and(|conditions| !conditions.is_empty());
            found.then_some(status)
        });
        let failed = failed.await;
        assert_eq!((condition_of(&failed), failed.disruptions_allowed), (("False", "SyncFailed", why), Some(0)));
    }
    let events = world.until("events", async || {
        let mut events = world.list::<Event>().await;
        events.retain(|event| event.reason.as_deref() == Some("CalculateExpectedPodCountFailed"));
        (events.len() == 4).then_some(events)
    });
    for event in events.await {
        let message = event.message.unwrap();
        assert!(message.starts_with("Failed to calculate the number of expected pods: "), "{message}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_was_evicted_counts_as_going_for_two_minutes() {
    let world = World::start().await;
    world.create::<Deployment>(deployment("a", 2)).await;
    world.rolled_out("web", 2).await;
    budget(&world, "web", json!({"maxUnavailable": 1})).await;
    until(&world, "web", [2, 1, 1, 2]).await;

    let victim = world.list::<Pod>().await.pop().unwrap().name_any();
    let now = world.server.clock.now().to_string();
    let evicted = json!({"status": {"disruptedPods": {&victim: now}}});
    let budgets = world.api::<PodDisruptionBudget>();
    budgets.patch_status("web", &PatchParams::default(), &Patch::Merge(evicted)).await.unwrap();
    let going = until(&world, "web", [1, 1, 0, 2]).await;
    assert!(going.disrupted_pods.unwrap().contains_key(&victim));
    tokio::time::sleep(Duration::from_secs(119)).await;
    assert!(status(&world, "web").await.disrupted_pods.is_some());
    let stays = until(&world, "web", [2, 1, 1, 2]).await;
    assert_eq!(stays.disrupted_pods, None);
    let (kind, message) = told(&world, "NotDeleted").await;
    assert_eq!(kind, "Warning");
    assert_eq!(message, "Pod was expected by PDB default/default to be deleted but it wasn't");
}

#[tokio::test(start_paused = true)]
async fn a_pod_of_several_budgets_is_told_of_and_all_are_kept() {
    let world = World::start().await;
    budget(&world, "one", json!({"minAvailable": 0})).await;
    budget(&world, "other", json!({"minAvailable": 1})).await;
    for name in ["one", "other"] {
        world.until(name, async || status(&world, name).await.observed_generation).await;
    }
    world.create::<Pod>(pod("p", None)).await;
    let (kind, message) = told(&world, "MultiplePodDisruptionBudgets").await;
    assert_eq!(kind, "Warning");
    assert!(message.starts_with(r#"Pod "default"/"p" matches multiple PodDisruptionBudgets.  Chose ""#), "{message}");
    world.play_kubelet().await;
    until(&world, "one", [1, 0, 1, 1]).await;
    until(&world, "other", [1, 1, 0, 1]).await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_about_to_go_for_two_minutes_is_so_no_more() {
    let world = World::start().await;
    let now = world.server.clock.now().to_string();
    for (name, reason) in [("stays", "EvictionByEvictionAPI"), ("kubelets", "TerminationByKubelet")] {
        world.create::<Pod>(pod(name, None)).await;
        let target = json!({"type": "DisruptionTarget", "status": "True", "reason": reason, "message": "m", "lastTransitionTime": now});
        let status = json!({"status": {"phase": "Running", "conditions": [target]}});
        world.api::<Pod>().patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
    }
    let target = async |name: &str| {
        let status = world.api::<Pod>().get(name).await.unwrap().status.unwrap();
        condition::find(&status.conditions.unwrap(), "DisruptionTarget").cloned().unwrap()
    };
    tokio::time::sleep(Duration::from_secs(119)).await;
    assert_eq!(target("stays").await.status, "True");
    let reset = async || Some(target("stays").await).filter(|target| target.status == "False");
    let reset = world.until("reset", reset).await;
    assert_eq!((reset.reason, reset.message), (None, None));
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(target("kubelets").await.status, "True");
}
