//! Who may do what: [`Authorizer`] judges the requests of those whom the server knows.

mod request;

use async_trait::async_trait;
use k8s_openapi::api::authorization::v1::{NonResourceRule, ResourceRule, SubjectRulesReviewStatus};

pub(super) use self::request::{allow, check};
use super::{server::Shared, strategy::UserInfo};

/// The group of those who may do everything, whatever an authorizer says (`user.SystemPrivilegedGroup`).
const ADMINISTRATORS: &str = "system:masters";

/// What somebody wants to do (`authorizer.Attributes`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// Who.
    pub user: UserInfo,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete` or `deletecollection` of objects; of a path the method in small letters.
    pub verb: String,
    /// With what.
    pub target: Target,
}

/// What somebody wants to do something with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Objects of the API.
    Resource(ResourceTarget),
    /// A path that leads to no objects: `/metrics`.
    Path(String),
}

/// Objects that somebody wants to do something with. What is empty means all: all namespaces, or the whole cluster; all names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourceTarget {
    /// The API group; that of the core is empty.
    pub group: String,
    /// The version: `v1`; `*` if that does not matter.
    pub version: String,
    /// The plural: `pods`.
    pub resource: String,
    /// What follows the object's name: `log`.
    pub subresource: String,
    /// The namespace.
    pub namespace: String,
    /// The object's name.
    pub name: String,
}

/// What an authorizer makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is allowed.
    Allow,
    /// It is forbidden.
    Deny,
    /// Nobody has allowed it, which comes to the same here.
    NoOpinion,
}

/// A decision, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The decision.
    pub decision: Decision,
    /// Why, in words for people; may be empty.
    pub reason: String,
    /// What went wrong, if the decision was made without knowing all.
    pub error: Option<String>,
}

impl Verdict {
    /// It is allowed.
    pub fn allow(reason: impl Into<String>) -> Self {
        Self { decision: Decision::Allow, reason: reason.into(), error: None }
    }

    /// It is forbidden.
    pub fn deny(reason: impl Into<String>) -> Self {
        Self { decision: Decision::Deny, reason: reason.into(), error: None }
    }

    /// Nobody has allowed it.
    pub fn no_opinion(reason: impl Into<String>) -> Self {
        Self { decision: Decision::NoOpinion, reason: reason.into(), error: None }
    }

    /// Whether it is allowed.
    pub fn is_allowed(&self) -> bool {
        self.decision == Decision::Allow
    }
}

/// Judges requests: see [`ApiServerBuilder::authorizer`](super::ApiServerBuilder::authorizer).
///
/// ```
/// use async_trait::async_trait;
/// use orchestra_store::apiserver::authorization::{Attributes, Authorizer, Verdict};
///
/// /// Everybody may look, and nobody else than administrators may touch.
/// struct LookOnly;
///
/// #[async_trait]
/// impl Authorizer for LookOnly {
///     async fn authorize(&self, asked: &Attributes) -> Verdict {
///         match asked.verb.as_str() {
///             "get" | "list" | "watch" => Verdict::allow("looking is free"),
///             _ => Verdict::no_opinion(""),
///         }
///     }
/// }
/// ```
#[async_trait]
pub trait Authorizer: Send + Sync + 'static {
    /// Whether this may be done.
    async fn authorize(&self, asked: &Attributes) -> Verdict;

    /// What a user may do in a namespace, for those who ask by a SelfSubjectRulesReview; the default knows no rules, and says so.
    async fn rules(&self, _user: &UserInfo, _namespace: &str) -> SubjectRulesReviewStatus {
        SubjectRulesReviewStatus {
            incomplete: true,
            evaluation_error: Some("the authorizer does not support user rule resolution".to_owned()),
            ..SubjectRulesReviewStatus::default()
        }
    }
}

/// Everybody may do everything (`--authorization-mode=AlwaysAllow`).
#[derive(Clone, Copy, Debug, Default)]
pub struct AlwaysAllow;

#[async_trait]
impl Authorizer for AlwaysAllow {
    async fn authorize(&self, _asked: &Attributes) -> Verdict {
        Verdict::allow("")
    }

    async fn rules(&self, _user: &UserInfo, _namespace: &str) -> SubjectRulesReviewStatus {
        let all = || vec!["*".to_owned()];
        SubjectRulesReviewStatus {
            resource_rules: vec![ResourceRule {
                verbs: all(),
                api_groups: Some(all()),
                resources: Some(all()),
                resource_names: None,
            }],
            non_resource_rules: vec![NonResourceRule { verbs: all(), non_resource_urls: Some(all()) }],
            ..SubjectRulesReviewStatus::default()
        }
    }
}

fn is_administrator(user: &UserInfo) -> bool {
    user.groups.iter().any(|group| group == ADMINISTRATORS)
}

/// What the server says to this.
pub(super) async fn authorize(shared: &Shared, asked: &Attributes) -> Verdict {
    match is_administrator(&asked.user) {
        true => Verdict::allow(""),
        false => shared.authorizer.authorize(asked).await,
    }
}

/// What the server lets a user do in a namespace.
pub(super) async fn rules(shared: &Shared, user: &UserInfo, namespace: &str) -> SubjectRulesReviewStatus {
    match is_administrator(user) {
        true => AlwaysAllow.rules(user, namespace).await,
        false => shared.authorizer.rules(user, namespace).await,
    }
}
