use serde_json::json;

use super::*;
use crate::apiserver::kinds::testing::{context, object, texts};

fn web(change: impl FnOnce(&mut serde_json::Value)) -> Deployment {
    let mut value = json!({
        "metadata": {"name": "web"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "nginx", "image": "nginx:1.27"}]}
            }
        }
    });
    change(&mut value["spec"]);
    let mut deployment = object(value);
    Deployments.default(&mut deployment);
    deployment
}

fn errors(change: impl FnOnce(&mut serde_json::Value)) -> Vec<String> {
    texts(&Deployments.validate(&context(), &web(change)))
}

#[test]
fn what_is_left_out_is_filled_in() {
    let spec = serde_json::to_value(web(|_| {})).unwrap()["spec"].clone();
    assert_eq!(spec["replicas"], 1);
    assert_eq!(
        spec["strategy"],
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}})
    );
    assert_eq!((&spec["revisionHistoryLimit"], &spec["progressDeadlineSeconds"]), (&json!(10), &json!(600)));
    assert_eq!(spec["template"]["spec"]["restartPolicy"], "Always");
    assert!(errors(|_| {}).is_empty());
}

#[test]
fn recreate_has_no_rolling_update() {
    let recreate = web(|spec| spec["strategy"] = json!({"type": "Recreate"}));
    assert_eq!(recreate.spec.unwrap().strategy.unwrap().rolling_update, None);
    assert_eq!(
        errors(|spec| spec["strategy"] = json!({"type": "Recreate", "rollingUpdate": {}})),
        ["spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'"]
    );
}

#[test]
fn the_selector_matches_the_template() {
    assert_eq!(
        errors(|spec| spec["selector"]["matchLabels"]["app"] = json!("other")),
        [r#"spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`"#]
    );
}

#[test]
fn an_empty_spec_lacks_selector_and_containers() {
    let found = errors(|spec| *spec = json!({}));
    assert_eq!(
        found[..2],
        [
            "spec.selector: Required value",
            "spec.template.metadata.labels: Invalid value: null: `selector` does not match template `labels`",
        ]
    );
}

#[test]
fn an_update_must_be_able_to_move() {
    let rolling = |unavailable: serde_json::Value, surge: serde_json::Value| {
        errors(|spec| {
            spec["strategy"] = json!({"rollingUpdate": {"maxUnavailable": unavailable, "maxSurge": surge}});
        })
    };
    let stuck = |value: &str| {
        format!("spec.strategy.rollingUpdate.maxUnavailable: Invalid value: {value}: may not be 0 when `maxSurge` is 0")
    };
    assert_eq!(rolling(json!(0), json!(0)), [stuck("0")]);
    assert_eq!(rolling(json!("0%"), json!(0)), [stuck("\"0%\"")]);
    assert_eq!(
        rolling(json!("101%"), json!(1)),
        [r#"spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "101%": must not be greater than 100%"#]
    );
    assert!(rolling(json!("some"), json!(1))[0].contains("a valid percent string must be a numeric string"));
    assert!(rolling(json!(1), json!("100%")).is_empty());
}

#[test]
fn the_deadline_is_longer_than_the_wait_for_readiness() {
    assert_eq!(
        errors(|spec| {
            spec["minReadySeconds"] = json!(10);
            spec["progressDeadlineSeconds"] = json!(10);
        }),
        ["spec.progressDeadlineSeconds: Invalid value: 10: must be greater than minReadySeconds"]
    );
}

#[test]
fn pods_of_a_deployment_always_restart() {
    assert_eq!(
        errors(|spec| spec["template"]["spec"]["restartPolicy"] = json!("Never")),
        [r#"spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always""#]
    );
}

#[test]
fn the_selector_is_immutable() {
    let new = web(|spec| {
        spec["selector"]["matchLabels"] = json!({"app": "new"});
        spec["template"]["metadata"]["labels"] = json!({"app": "new"});
    });
    assert_eq!(
        texts(&Deployments.validate_update(&context(), &new, &web(|_| {}))),
        [r#"spec.selector: Invalid value: {"matchLabels":{"app":"new"}}: field is immutable"#]
    );
}

#[test]
fn the_scale_tells_wish_state_and_selector() {
    let mut deployment = web(|_| {});
    Deployments.set_replicas(&mut deployment, 3);
    let scale = serde_json::to_value(Deployments.scale(&deployment).unwrap()).unwrap();
    assert_eq!(scale["spec"], json!({"replicas": 3}));
    assert_eq!(scale["status"], json!({"replicas": 0, "selector": "app=web"}));
    Deployments.set_replicas(&mut deployment, 0);
    assert_eq!(serde_json::to_value(Deployments.scale(&deployment).unwrap()).unwrap()["spec"], json!({}));
}

#[test]
fn spec_and_annotations_make_a_generation() {
    let old = web(|_| {});
    let mut new = old.clone();
    assert_eq!(Deployments.changes_generation(&new, &old), Some(false));
    new.metadata.annotations = Some([("a".to_owned(), "b".to_owned())].into());
    assert_eq!(Deployments.changes_generation(&new, &old), Some(true));
    assert_eq!(Deployments.changes_generation(&web(|spec| spec["paused"] = json!(true)), &old), Some(true));
}

#[test]
fn a_status_counts_within_bounds() {
    let old = web(|_| {});
    let mut new = old.clone();
    new.status = object(json!({"replicas": 1, "readyReplicas": 2, "availableReplicas": -1}));
    assert_eq!(
        texts(&Deployments.validate_status_update(&context(), &new, &old)),
        [
            "status.availableReplicas: Invalid value: -1: must be greater than or equal to 0",
            "status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas",
        ]
    );
}

#[test]
fn cells_of_a_fresh_deployment() {
    let cells = Deployments.cells(&web(|_| {}), Timestamp::UNIX_EPOCH);
    let expected = json!(["web", "0/1", 0, 0, "<unknown>", "nginx", "nginx:1.27", "app=web"]);
    assert_eq!(json!(cells), expected);
}
