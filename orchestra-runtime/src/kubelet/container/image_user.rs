//! As whom an image's containers run, and whether a pod lets them.

use k8s_openapi::api::core::v1::{Container, Pod};
use orchestra_core::container_runtime::{Image, RunAs};

use super::{ConfigError, full_name, security::Effective};

/// As whom a container's processes run: as the pod or container says, or else as the image does. Kubernetes checks here that it is not
/// root, where that is forbidden (`verifyRunAsNonRoot`).
pub(super) fn run_as(
    pod: &Pod,
    container: &Container,
    effective: &Effective<'_>,
    image: &Image,
) -> Result<RunAs, ConfigError> {
    let named = Some(&image.username).filter(|name| !name.is_empty() && image.uid.is_none());
    // An image that says nothing is root's.
    let by_image = if named.is_some() { None } else { Some(image.uid.unwrap_or(0)) };
    if effective.run_as_non_root == Some(true) {
        let refuse = |why: &str| {
            let pod = full_name(pod);
            Err(ConfigError(format!("{why} (pod: {pod:?}, container: {})", container.name)))
        };
        match (effective.run_as_user, by_image, named) {
            (Some(0), ..) => return refuse("container's runAsUser breaks non-root policy"),
            (Some(_), ..) => {}
            (None, Some(0), _) => return refuse("container has runAsNonRoot and image will run as root"),
            (None, Some(_), _) => {}
            (None, None, name) => {
                let name = name.map(String::as_str).unwrap_or_default();
                return refuse(&format!(
                    "container has runAsNonRoot and image has non-numeric user ({name}), cannot verify user is non-root"
                ));
            }
        }
    }
    let username = if effective.run_as_user.is_none() { named.cloned().unwrap_or_default() } else { String::new() };
    Ok(RunAs {
        user: effective.run_as_user.or(by_image),
        username,
        group: effective.run_as_group,
        supplemental_groups: effective.supplemental_groups(),
    })
}

/// The user that a container is to run as, whatever its image says; nothing if only the image says.
pub(in crate::kubelet) fn run_as_user(pod: &Pod, container: &Container) -> Option<i64> {
    Effective::of(pod, container).run_as_user
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{
        super::testing::{container, pod},
        *,
    };

    fn of(of_pod: Value, of_container: Value, uid: Option<i64>, username: &str) -> Result<RunAs, String> {
        let pod = pod(json!({ "securityContext": of_pod }));
        let container = container(json!({ "securityContext": of_container }));
        let image = Image { uid, username: username.to_owned(), ..Image::default() };
        let effective = Effective::of(&pod, &container);
        run_as(&pod, &container, &effective, &image).map_err(|error| error.to_string())
    }

    #[test]
    fn the_container_counts_more_than_the_pod_and_both_more_than_the_image() {
        let groups = json!({ "runAsUser": 1, "runAsGroup": 2, "fsGroup": 3, "supplementalGroups": [4] });
        let run_as = of(groups, json!({ "runAsUser": 5 }), Some(6), "").unwrap();
        assert_eq!((run_as.user, run_as.group, run_as.supplemental_groups), (Some(5), Some(2), vec![3, 4]));
        assert_eq!(of(json!({}), json!({}), Some(6), "").unwrap().user, Some(6));
        assert_eq!(of(json!({}), json!({}), None, "").unwrap().user, Some(0));
        let named = of(json!({}), json!({}), None, "nginx").unwrap();
        assert_eq!((named.user, named.username.as_str()), (None, "nginx"));
        let numbered = of(json!({ "runAsUser": 1 }), json!({}), None, "nginx").unwrap();
        assert_eq!((numbered.user, numbered.username.as_str()), (Some(1), ""));
    }

    #[test]
    fn root_is_refused_where_it_is_forbidden() {
        let non_root = || json!({ "runAsNonRoot": true });
        let place = "(pod: \"p_ns(u)\", container: c)";
        for (of_container, uid, name, why) in [
            (json!({}), None, "", "container has runAsNonRoot and image will run as root"),
            (json!({}), Some(0), "", "container has runAsNonRoot and image will run as root"),
            (json!({ "runAsUser": 0 }), Some(7), "", "container's runAsUser breaks non-root policy"),
            (
                json!({}),
                None,
                "nginx",
                "container has runAsNonRoot and image has non-numeric user (nginx), cannot verify user is non-root",
            ),
        ] {
            assert_eq!(of(non_root(), of_container, uid, name), Err(format!("{why} {place}")));
        }
        assert!(of(non_root(), json!({}), Some(7), "").is_ok());
        assert!(of(non_root(), json!({ "runAsUser": 7 }), None, "").is_ok());
        assert!(of(non_root(), json!({ "runAsNonRoot": false }), None, "").is_ok());
    }
}
