use std::any::Any;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{Pod, Toleration};
use orchestra_core::well_known_taints::{NOT_READY, UNREACHABLE};

use super::{Admission, Admitted, ApiError};

/// How long pods stay on a node that does not answer.
const SECONDS: i64 = 300;

/// Lets every pod tolerate a node that is not ready or unreachable for five minutes, unless it says otherwise.
pub(super) struct DefaultTolerationSeconds;

#[async_trait]
impl Admission for DefaultTolerationSeconds {
    async fn admit(&self, write: &mut Admitted<'_>) -> Result<(), ApiError> {
        let Some(object) = write.object.as_deref_mut() else { return Ok(()) };
        let Some(pod) = (object as &mut dyn Any).downcast_mut::<Pod>() else { return Ok(()) };
        let Some(spec) = pod.spec.as_mut() else { return Ok(()) };
        for key in [NOT_READY, UNREACHABLE] {
            let tolerated = spec.tolerations.iter().flatten().any(|toleration| {
                toleration.key.as_deref().is_none_or(|other| other.is_empty() || other == key)
                    && toleration.effect.as_deref().is_none_or(|effect| effect.is_empty() || effect == "NoExecute")
            });
            if !tolerated {
                spec.tolerations.get_or_insert_default().push(Toleration {
                    key: Some(key.to_owned()),
                    operator: Some("Exists".to_owned()),
                    effect: Some("NoExecute".to_owned()),
                    toleration_seconds: Some(SECONDS),
                    ..Toleration::default()
                });
            }
        }
        Ok(())
    }
}
