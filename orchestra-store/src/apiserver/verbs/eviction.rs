//! Eviction: a deletion of a pod that disruption budgets may refuse (`pkg/registry/core/pod/storage/eviction.go`).

use std::{any::Any, sync::Arc, time::Duration};

use bytes::Bytes;
use k8s_openapi::{
    api::{
        core::v1::Pod,
        policy::v1::{Eviction, PodDisruptionBudget, PodDisruptionBudgetStatus},
    },
    apimachinery::pkg::apis::meta::v1::{DeleteOptions, Time},
};
use orchestra_core::{
    condition,
    disruption_budget::{self, DISRUPTION_ALLOWED, SYNC_FAILED},
    store::KeyRange,
};

use super::{
    Answer, Call, Stored, body, delete,
    pods::done,
    update::{self, Part, Uid},
};
use crate::{
    apiserver::{
        ApiError, metadata,
        object::Object,
        registry::Resource,
        request::options::{self, Query, WriteOptions},
        server::Shared,
        status::Reason,
        strategy::RequestContext,
    },
    cache::Freshness,
};

const REFUSED: &str = "Cannot evict pod as it would violate the pod's disruption budget.";
/// The type of the cause that tells of a budget.
const CAUSE: &str = "DisruptionBudget";
/// When a client may ask again while the budget's controller has not caught up, in seconds.
const RETRY_AFTER: u32 = 10;
/// More evictions than this must not wait for the budget's controller to see them.
const MAX_DISRUPTED_PODS: usize = 2000;
/// How often is tried again when others write at the same time, and how long after.
const ATTEMPTS: usize = 20;
const PAUSE: Duration = Duration::from_millis(100);

/// Evicts the pod that the path names.
pub(super) async fn create(shared: &Shared, call: Call) -> Result<Answer, ApiError> {
    let mut dry_run = WriteOptions::parse(&call.query, "CreateOptions")?.dry_run;
    let eviction: Eviction = body::decode_other(&call, "Eviction")?;
    let name = eviction.metadata.name.as_deref().unwrap_or_default();
    if name != call.name() {
        return Err(ApiError::bad_request("name in URL does not match name in Eviction object"));
    }
    let options = eviction.delete_options.unwrap_or_default();
    let mut errors = Vec::new();
    dry_run |= options::dry_run(options.dry_run.iter().flatten().map(String::as_str), &mut errors);
    if !errors.is_empty() {
        return Err(ApiError::invalid_kind("meta.k8s.io", "DeleteOptions", "", &errors));
    }
    Evicting { shared, ctx: call.context(dry_run), call: &call, options }.run().await?;
    Ok(done())
}

struct Evicting<'a> {
    shared: &'a Shared,
    call: &'a Call,
    ctx: RequestContext,
    options: DeleteOptions,
}

impl Evicting<'_> {
    async fn run(&self) -> Result<(), ApiError> {
        for _ in 0..ATTEMPTS {
            let pod = self.pod().await?;
            if !is_exempt(&pod) {
                return self.within_budget(&pod).await;
            }
            // One that begins may become ready, and its budget's concern, meanwhile.
            let pinned = (!is_ending(&pod)).then_some(&pod);
            match self.end(pinned).await {
                Err(error) if is_conflict(&error) && !self.names_version() => tokio::time::sleep(PAUSE).await,
                ended => return ended,
            }
        }
        Err(ApiError::modified(&self.call.resource, self.call.name()))
    }

    async fn pod(&self) -> Result<Pod, ApiError> {
        let resource = &self.call.resource;
        let stored = self.shared.stored(resource, &self.call.key()).await?;
        let object = stored.ok_or_else(|| ApiError::not_found(resource, self.call.name()))?.decode(resource)?;
        let pod = (&*object as &dyn Any).downcast_ref::<Pod>().cloned();
        pod.ok_or_else(|| ApiError::not_supported(resource, "evict"))
    }

    async fn within_budget(&self, pod: &Pod) -> Result<(), ApiError> {
        let Some(budgets) = self.shared.registry.find("policy", "v1", "poddisruptionbudgets") else {
            return self.end(None).await;
        };
        let found = self.budgets(&budgets, pod).await?;
        let budget = match found.as_slice() {
            [] => return self.end(None).await,
            [budget] => budget,
            _ => {
                let message =
                    "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
                return Err(ApiError::unclassified(500, message));
            }
        };
        let name = budget.metadata.name.as_deref().unwrap_or_default();
        if is_free_to_go(budget, pod) {
            // It counts for nothing as long as it does not become ready.
            return self.end(Some(pod)).await.map_err(|error| match is_conflict(&error) && !self.names_version() {
                true => not_processed_yet(name),
                false => error,
            });
        }
        match self.spend(&budgets, name).await {
            // A budget that is gone forbids nothing.
            Err(error) if error.reason() == Some(Reason::NotFound) => {}
            other => other?,
        }
        self.end(None).await
    }

    /// The budgets that are about the pod.
    async fn budgets(&self, budgets: &Resource, pod: &Pod) -> Result<Vec<PodDisruptionBudget>, ApiError> {
        let snapshot = self.shared.cache(budgets).read(Freshness::Latest).await?;
        let range = KeyRange::prefix(&budgets.prefix(self.call.namespace.as_deref()));
        let mut found = Vec::new();
        for entry in snapshot.range(&range) {
            let object = Stored::from(&**entry).decode(budgets)?;
            let budget = (&*object as &dyn Any).downcast_ref::<PodDisruptionBudget>();
            found.extend(budget.filter(|budget| disruption_budget::selects(budget, pod)).cloned());
        }
        Ok(found)
    }

    /// Takes a disruption from the budget's account, if it has one, as often as others write in between.
    async fn spend(&self, budgets: &Arc<Resource>, name: &str) -> Result<(), ApiError> {
        let call = Call {
            resource: Arc::clone(budgets),
            namespace: self.call.namespace.clone(),
            name: Some(name.to_owned()),
            query: Query::default(),
            accept: self.call.accept,
            content_type: None,
            body: Bytes::new(),
            user: self.call.user.clone(),
            now: self.call.now,
        };
        for _ in 0..ATTEMPTS {
            let mut spent = |current: &Stored| {
                let mut object = current.decode(budgets)?;
                match (&mut *object as &mut dyn Any).downcast_mut::<PodDisruptionBudget>() {
                    Some(budget) => spend(budgets, budget, self.call)?,
                    None => return Err(ApiError::not_supported(budgets, "spend")),
                }
                Ok((object, Vec::new()))
            };
            match update::change(self.shared, &call, &self.ctx, Part::Status, Uid::Field, &mut spent).await {
                Err(error) if is_conflict(&error) => tokio::time::sleep(PAUSE).await,
                other => return other.map(drop),
            }
        }
        let why = format!("couldn't update PodDisruptionBudget {name:?} due to conflicts");
        Err(ApiError::timeout(why, RETRY_AFTER))
    }

    /// Deletes the pod, which says why it goes; only as it was seen if it is `pinned`.
    async fn end(&self, pinned: Option<&Pod>) -> Result<(), ApiError> {
        let mut options = self.options.clone();
        if let Some(pod) = pinned.filter(|_| !self.names_version()) {
            let version = pod.metadata.resource_version.clone();
            options.preconditions.get_or_insert_default().resource_version = version;
        }
        let note = |object: &mut dyn Object| {
            if let Some(pod) = (object as &mut dyn Any).downcast_mut::<Pod>() {
                say_why(pod, self.call.now);
            }
        };
        delete::end_noting(self.shared, &self.call.resource, &self.ctx, self.call.name(), &options, &note)
            .await
            .map(drop)
    }

    /// Whether the client itself says which state of the pod it means.
    fn names_version(&self) -> bool {
        self.options.preconditions.as_ref().is_some_and(|wanted| wanted.resource_version.is_some())
    }
}

fn is_conflict(error: &ApiError) -> bool {
    error.reason() == Some(Reason::Conflict)
}

fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

/// Whether the pod serves nobody any more.
fn is_ending(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed") || pod.metadata.deletion_timestamp.is_some()
}

/// Whether no budget is asked: the pod serves nobody, any more or yet.
fn is_exempt(pod: &Pod) -> bool {
    is_ending(pod) || phase(pod) == "Pending"
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref());
    condition::is_true(conditions.unwrap_or_default(), "Ready")
}

/// Whether the pod may go without a disruption: one that is not healthy, if the budget has no use for it or says so (KEP-3017).
fn is_free_to_go(budget: &PodDisruptionBudget, pod: &Pod) -> bool {
    let policy = budget.spec.as_ref().and_then(|spec| spec.unhealthy_pod_eviction_policy.as_deref());
    let status = budget.status.as_ref();
    let count = |number: fn(&PodDisruptionBudgetStatus) -> Option<i32>| status.and_then(number).unwrap_or(0);
    let (current, desired) = (count(|status| status.current_healthy), count(|status| status.desired_healthy));
    !is_ready(pod) && (policy == Some("AlwaysAllow") || (desired > 0 && current >= desired))
}

/// Takes a disruption from the budget's account, and notes for which pod.
fn spend(resource: &Resource, budget: &mut PodDisruptionBudget, call: &Call) -> Result<(), ApiError> {
    let name = budget.metadata.name.clone().unwrap_or_default();
    let generation = budget.metadata.generation.unwrap_or(0);
    let status = budget.status.get_or_insert_default();
    let allowed = status.disruptions_allowed.unwrap_or(0);
    let forbidden = |why| {
        let named = Resource { plural: "poddisruptionbudget".to_owned(), ..resource.clone() };
        Err(ApiError::forbidden(&named, &name, why))
    };
    if status.observed_generation.unwrap_or(0) < generation {
        return Err(not_processed_yet(&name));
    }
    if allowed < 0 {
        return forbidden("pdb disruptions allowed is negative");
    }
    let disrupted = status.disrupted_pods.get_or_insert_default();
    if disrupted.len() > MAX_DISRUPTED_PODS {
        return forbidden("DisruptedPods map too big - too many evictions not confirmed by PDB controller");
    }
    if allowed == 0 {
        return Err(ApiError::too_many_requests(REFUSED, None).with_cause(CAUSE, why_none(&name, status), ""));
    }
    // Its controller takes the pod for gone from now on.
    disrupted.insert(call.name().to_owned(), Time(metadata::whole_seconds(call.now)));
    status.disruptions_allowed = Some(allowed - 1);
    if allowed == 1 {
        disruption_budget::update_condition(status, call.now);
    }
    Ok(())
}

fn not_processed_yet(budget: &str) -> ApiError {
    let message = format!("The disruption budget {budget} is still being processed by the server.");
    ApiError::too_many_requests(REFUSED, Some(RETRY_AFTER)).with_cause(CAUSE, message, "")
}

/// Why the budget lets no pod go.
fn why_none(name: &str, status: &PodDisruptionBudgetStatus) -> String {
    let (current, desired) = (status.current_healthy.unwrap_or(0), status.desired_healthy.unwrap_or(0));
    let condition = condition::find(status.conditions.as_deref().unwrap_or_default(), DISRUPTION_ALLOWED);
    let denied = condition.filter(|condition| condition.status == "False" && !condition.message.is_empty());
    let does_not = format!("The disruption budget {name} does not allow evicting pods currently");
    match denied {
        // Its numbers are not to be trusted then.
        Some(denied) if denied.reason == SYNC_FAILED => {
            format!("{does_not} because it failed sync: {}", denied.message)
        }
        _ if current <= desired => {
            format!("The disruption budget {name} needs {desired} healthy pods and has {current} currently")
        }
        Some(denied) => format!("{does_not} ({}): {}", denied.reason, denied.message),
        None => does_not,
    }
}

/// Says in the pod why it goes (KEP-3329).
fn say_why(pod: &mut Pod, now: jiff::Timestamp) {
    let (reason, message) = ("EvictionByEvictionAPI", "Eviction API: evicting");
    let why = condition::disruption_target(pod, reason, message, metadata::whole_seconds(now));
    condition::set(pod.status.get_or_insert_default().conditions.get_or_insert_default(), why);
}
