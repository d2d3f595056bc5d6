use std::any::Any;

use async_trait::async_trait;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};

use super::{Admission, Admitted, ApiError, Operation};
use crate::{apiserver::kinds::ingress::CLASS_ANNOTATION, cache::Freshness};

const CLASSES: (&str, &str, &str) = ("networking.k8s.io", "v1", "ingressclasses");
/// What marks the class of ingresses that name none.
const DEFAULT: &str = "ingressclass.kubernetes.io/is-default-class";

/// Gives ingresses that name no class the default one, if there is one.
pub(super) struct DefaultIngressClass;

#[async_trait]
impl Admission for DefaultIngressClass {
    async fn admit(&self, write: &mut Admitted<'_>) -> Result<(), ApiError> {
        if write.operation != Operation::Create {
            return Ok(());
        }
        let Some(object) = write.object.as_deref_mut() else { return Ok(()) };
        let Some(ingress) = (object as &mut dyn Any).downcast_mut::<Ingress>() else { return Ok(()) };
        let annotations = ingress.metadata.annotations.as_ref();
        let names_one = ingress.spec.as_ref().is_some_and(|spec| spec.ingress_class_name.is_some());
        if names_one || annotations.is_some_and(|annotations| annotations.contains_key(CLASS_ANNOTATION)) {
            return Ok(());
        }
        // Class and ingress often come from one file, one right after the other.
        let classes = write.reader.list(CLASSES, Freshness::Latest).await?;
        let classes = classes.iter().filter_map(|json| serde_json::from_slice::<IngressClass>(json).ok());
        if let Some(class) = newest(classes.filter(is_default)) {
            ingress.spec.get_or_insert_default().ingress_class_name = class.metadata.name;
        }
        Ok(())
    }
}

fn is_default(class: &IngressClass) -> bool {
    let mark = class.metadata.annotations.as_ref().and_then(|annotations| annotations.get(DEFAULT));
    mark.is_some_and(|mark| mark == "true")
}

/// The one that was made last; of those that were made at the same time the first by name.
fn newest(classes: impl Iterator<Item = IngressClass>) -> Option<IngressClass> {
    let created = |class: &IngressClass| class.metadata.creation_timestamp.as_ref().map(|time| time.0);
    classes.max_by(|a, b| created(a).cmp(&created(b)).then_with(|| b.metadata.name.cmp(&a.metadata.name)))
}
