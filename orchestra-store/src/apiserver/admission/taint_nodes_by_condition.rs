use std::any::Any;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{Node, Taint};
use orchestra_core::well_known_taints::NOT_READY;

use super::{Admission, Admitted, ApiError, Operation};

const NO_SCHEDULE: &str = "NoSchedule";

/// Has every node begin as one that is not ready, so that no pod comes before its conditions were looked at. The node lifecycle
/// controller takes the taint away.
pub(super) struct TaintNodesByCondition;

#[async_trait]
impl Admission for TaintNodesByCondition {
    async fn admit(&self, write: &mut Admitted<'_>) -> Result<(), ApiError> {
        if write.operation != Operation::Create {
            return Ok(());
        }
        let Some(object) = write.object.as_deref_mut() else { return Ok(()) };
        let Some(node) = (object as &mut dyn Any).downcast_mut::<Node>() else { return Ok(()) };
        let taints = node.spec.get_or_insert_default().taints.get_or_insert_default();
        if !taints.iter().any(|taint| taint.key == NOT_READY && taint.effect == NO_SCHEDULE) {
            taints.push(Taint { key: NOT_READY.to_owned(), effect: NO_SCHEDULE.to_owned(), ..Taint::default() });
        }
        Ok(())
    }
}
