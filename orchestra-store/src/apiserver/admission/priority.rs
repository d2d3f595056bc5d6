use std::any::Any;

use async_trait::async_trait;
use k8s_openapi::api::{core::v1::Pod, scheduling::v1::PriorityClass};

use super::{Admission, Admitted, ApiError, Operation};

const CLASSES: (&str, &str, &str) = ("scheduling.k8s.io", "v1", "priorityclasses");

/// Resolves a pod's priority class to its number.
pub(super) struct Priority;

#[async_trait]
impl Admission for Priority {
    async fn admit(&self, write: &mut Admitted<'_>) -> Result<(), ApiError> {
        if write.operation != Operation::Create {
            return Ok(());
        }
        let Some(object) = write.object.as_deref_mut() else { return Ok(()) };
        let Some(pod) = (object as &mut dyn Any).downcast_mut::<Pod>() else { return Ok(()) };
        let Some(spec) = pod.spec.as_mut() else { return Ok(()) };
        let class = match spec.priority_class_name.as_deref().filter(|name| !name.is_empty()) {
            None => default_class(write.reader.list(CLASSES).await?),
            Some(name) => {
                let found = write.reader.get(CLASSES, None, name).await?;
                let class = found.and_then(|json| serde_json::from_slice::<PriorityClass>(&json).ok());
                let Some(class) = class else {
                    let why = format!("no PriorityClass with name {name} was found");
                    return Err(ApiError::forbidden(write.resource, write.name, &why));
                };
                Some(class)
            }
        };
        let priority = class.as_ref().map_or(0, value);
        if spec.priority.is_some_and(|asked| asked != priority) {
            let why = "the integer value of priority (".to_owned()
                + &spec.priority.unwrap_or(0).to_string()
                + &format!(
                    ") must not be provided in pod spec; priority admission controller computed {priority} from the given PriorityClass name"
                );
            return Err(ApiError::forbidden(write.resource, write.name, &why));
        }
        let preemption = class.as_ref().and_then(|class| class.preemption_policy.clone());
        if let Some(class) = class {
            spec.priority_class_name = class.metadata.name;
        }
        spec.priority = Some(priority);
        spec.preemption_policy =
            preemption.or(spec.preemption_policy.take()).or(Some("PreemptLowerPriority".to_owned()));
        Ok(())
    }
}

fn value(class: &PriorityClass) -> i32 {
    class.value.unwrap_or_default()
}

/// The class of pods that name none: of several global defaults the one with the lowest value.
fn default_class(classes: Vec<bytes::Bytes>) -> Option<PriorityClass> {
    let classes = classes.iter().filter_map(|json| serde_json::from_slice::<PriorityClass>(json).ok());
    classes.filter(|class| class.global_default == Some(true)).min_by_key(value)
}
