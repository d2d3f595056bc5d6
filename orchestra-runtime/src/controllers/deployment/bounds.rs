//! How far a rolling update may go over and under the wanted number of pods.

use k8s_openapi::{api::apps::v1::Deployment, apimachinery::pkg::util::intstr::IntOrString};

use crate::controllers::pod_count;

/// The wanted number of pods and the bounds around it while rolling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) replicas: i32,
    pub(super) max_surge: i32,
    pub(super) max_unavailable: i32,
    /// Whether pods are replaced step by step, and not all at once.
    pub(super) rolling: bool,
}

impl Bounds {
    /// The bounds of a deployment; only a rolling update has room.
    pub(super) fn of(deployment: &Deployment) -> Self {
        let spec = deployment.spec.as_ref();
        let replicas = spec.and_then(|spec| spec.replicas).unwrap_or(1);
        let strategy = spec.and_then(|spec| spec.strategy.as_ref());
        if strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("Recreate") {
            return Self { replicas, max_surge: 0, max_unavailable: 0, rolling: false };
        }
        let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
        let surge = rolling.and_then(|rolling| rolling.max_surge.as_ref());
        let unavailable = rolling.and_then(|rolling| rolling.max_unavailable.as_ref());
        let (max_surge, max_unavailable) = resolve(surge, unavailable, replicas);
        Self { replicas, max_surge, max_unavailable, rolling: true }
    }

    /// At most so many pods.
    pub(super) fn most(&self) -> i32 {
        self.replicas.saturating_add(self.max_surge)
    }

    /// At least so many available pods.
    pub(super) fn least(&self) -> i32 {
        self.replicas - self.max_unavailable
    }
}

/// Surge is rounded up and unavailable down; if both come out as none, nothing could ever move, so one may be unavailable.
fn resolve(surge: Option<&IntOrString>, unavailable: Option<&IntOrString>, replicas: i32) -> (i32, i32) {
    let default = IntOrString::String("25%".to_owned());
    let surge = pod_count::of(surge.unwrap_or(&default), replicas, true);
    let unavailable = pod_count::of(unavailable.unwrap_or(&default), replicas, false);
    let unavailable = if surge == 0 && unavailable == 0 { 1 } else { unavailable };
    (surge, unavailable.min(replicas))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(surge: &str, unavailable: &str, replicas: i32) -> (i32, i32) {
        let value = |text: &str| match text.parse() {
            Ok(number) => IntOrString::Int(number),
            Err(_) => IntOrString::String(text.to_owned()),
        };
        resolve(Some(&value(surge)), Some(&value(unavailable)), replicas)
    }

    #[test]
    fn surge_rounds_up_and_unavailable_down() {
        assert_eq!(resolved("25%", "25%", 2), (1, 0));
        assert_eq!(resolved("25%", "25%", 10), (3, 2));
        assert_eq!(resolved("100%", "50%", 3), (3, 1));
        assert_eq!(resolve(None, None, 4), (1, 1));
    }

    #[test]
    fn something_may_always_move() {
        assert_eq!(resolved("0", "0%", 5), (0, 1));
        assert_eq!(resolved("0%", "10%", 5), (0, 1));
    }

    #[test]
    fn no_more_than_all_can_be_unavailable() {
        assert_eq!(resolved("1", "5", 3), (1, 3));
        assert_eq!(resolved("25%", "25%", 0), (0, 0));
    }
}
