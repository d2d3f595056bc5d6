//! What differs between kinds: [`Strategy`], the rules of one kind for the one generic resource.
//!
//! The order of a write is Kubernetes': decode, default, prepare, (mutating admission), validate, (validating admission),
//! commit. The source of each kind's rules is its package in `pkg/registry` and `pkg/apis` of Kubernetes 1.36.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::api::autoscaling::v1::Scale;
use orchestra_core::random::Generator;
use serde_json::Value;

use super::{
    field,
    object::{ApiObject, WireForm},
    registry::Subresource,
};

/// What a strategy may know of the request.
#[derive(Clone, Debug)]
pub struct RequestContext {
    /// The namespace of the request; `None` for a cluster-scoped resource.
    pub namespace: Option<String>,
    /// The time of the request.
    pub now: Timestamp,
    /// Who asks.
    pub user: UserInfo,
    /// Whether nothing will be stored (`dryRun=All`).
    pub dry_run: bool,
}

/// The user of a request, as an authenticator found it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserInfo {
    /// The name that identifies the user: `system:admin`, `system:serviceaccount:ns:name`.
    pub name: String,
    /// The user's uid, where it has one.
    pub uid: String,
    /// The groups the user belongs to.
    pub groups: Vec<String>,
    /// What else the authenticator tells: of a service account the pod that its token is bound to.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// A column of a kind's table (`metav1.TableColumnDefinition`), with the row's cells coming from [`Strategy::cells`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Column {
    /// The heading: `Name`, `Ready`.
    pub name: &'static str,
    /// `string`, `integer`, `number`, `boolean` or `date`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// `name` for the name column, else usually empty.
    pub format: &'static str,
    /// What the column tells.
    pub description: &'static str,
    /// `0` is always shown; greater ones only with `-o wide`.
    pub priority: i32,
}

/// Something that one object of the cluster may have at a time, as a key of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The store's key of the claim: `/registry/ipaddresses/10.96.0.1`.
    pub key: String,
    /// What to answer when somebody else has it and the client had asked for it.
    pub taken: field::Error,
    /// What it is about, for the events of the repair.
    pub subject: Subject,
}

/// What a [`Claim`] is about, as the repair's events tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// What the reasons of events begin with: `ClusterIP`, as in `ClusterIPNotAllocated`.
    pub kind: &'static str,
    /// What messages begin with: `Cluster IP [IPv4]: 10.96.0.1`.
    pub shown: String,
    /// What it must be in: `any configured Service CIDR`.
    pub range: String,
    /// Whether it is.
    pub in_range: bool,
}

/// The rules of one kind. All methods are pure: no I/O, no clock but `ctx.now`.
///
/// The generic resource itself takes care of metadata (names, uid, timestamps, generation, finalizers, labels' and
/// annotations' syntax), so a strategy deals with what is particular to its kind. A kind without particular rules is
/// `impl Strategy for ConfigMaps { type Object = ConfigMap; ... }` with the columns alone.
pub trait Strategy: Send + Sync + 'static {
    /// The Rust type that is stored.
    type Object: ApiObject;

    /// The Rust type that clients see; the same, unless several versions or groups share one stored object.
    type Wire: WireForm<Self::Object> + schemars::JsonSchema;

    /// What is wrong with a name, or (`is_prefix`) with a prefix that a suffix is added to. The default is a DNS subdomain
    /// (RFC 1123) of at most 253 characters.
    fn validate_name(&self, name: &str, is_prefix: bool) -> Option<String> {
        super::validation::name::subdomain(name, is_prefix)
    }

    /// Fills in what the client left out. Must be idempotent: it runs on every object that comes from a client.
    fn default(&self, _object: &mut Self::Object) {}

    /// Drops what a client may not set at creation (status), and sets what the server decides.
    fn prepare_for_create(&self, _ctx: &RequestContext, _object: &mut Self::Object) {}

    /// Puts back from `old` what an update through the main resource may not change (status).
    fn prepare_for_update(&self, _ctx: &RequestContext, _new: &mut Self::Object, _old: &Self::Object) {}

    /// Checks a new object.
    fn validate(&self, _ctx: &RequestContext, _object: &Self::Object) -> field::Errors {
        Vec::new()
    }

    /// Checks a change; the default is to check the new state alone.
    fn validate_update(&self, ctx: &RequestContext, new: &Self::Object, _old: &Self::Object) -> field::Errors {
        self.validate(ctx, new)
    }

    /// Fills in what must be unique in the cluster and was not asked for: a Service's cluster IP. Called before
    /// [`claims`](Self::claims), and again on the unassigned object when a claim was taken; `taken` are keys of claims that are known to
    /// be. An error says that there are no more.
    fn assign(
        &self,
        _object: &mut Self::Object,
        _taken: &BTreeSet<String>,
        _generator: &Generator,
    ) -> Result<(), String> {
        Ok(())
    }

    /// What the keys of [`claims`](Self::claims) begin with; no other kind has claims below these.
    fn claim_prefixes(&self) -> &'static [&'static str] {
        &[]
    }

    /// What the object has that no other may have. Claims are made and released in the same transaction as the object.
    fn claims(&self, _object: &Self::Object) -> Vec<Claim> {
        Vec::new()
    }

    /// Notes in the object that its deletion has begun: a Namespace's phase.
    fn begin_deletion(&self, _object: &mut Self::Object) {}

    /// Whether the change is one of desired state, so that `metadata.generation` grows by one. `None`: the kind has no
    /// generation.
    fn changes_generation(&self, _new: &Self::Object, _old: &Self::Object) -> Option<bool> {
        None
    }

    /// For the `status` subresource: puts back from `old` all that a status update may not change (spec, labels...).
    fn prepare_for_status_update(&self, _ctx: &RequestContext, _new: &mut Self::Object, _old: &Self::Object) {}

    /// For the `status` subresource: checks the change.
    fn validate_status_update(&self, _ctx: &RequestContext, _new: &Self::Object, _old: &Self::Object) -> field::Errors {
        Vec::new()
    }

    /// For the `finalize` subresource: puts back from `old` all but the finalizers beside `metadata.finalizers`.
    fn prepare_for_finalize(&self, new: &mut Self::Object, old: &Self::Object) {
        new.clone_from(old);
    }

    /// For subresources that change a part of the object by rules of their own (a pod's `ephemeralcontainers`): puts back from `old` all
    /// that is of no such part.
    fn prepare_for_part_update(
        &self,
        _part: Subresource,
        _ctx: &RequestContext,
        new: &mut Self::Object,
        old: &Self::Object,
    ) {
        new.clone_from(old);
    }

    /// For the same: checks the change.
    fn validate_part_update(
        &self,
        _part: Subresource,
        _ctx: &RequestContext,
        _new: &Self::Object,
        _old: &Self::Object,
    ) -> field::Errors {
        Vec::new()
    }

    /// For the `scale` subresource: the object seen as a Scale (metadata is filled in by the caller).
    fn scale(&self, _object: &Self::Object) -> Option<Scale> {
        None
    }

    /// For the `scale` subresource: sets the replicas.
    fn set_replicas(&self, _object: &mut Self::Object, _replicas: i32) {}

    /// Puts the checked object into the one of several equal forms that is stored, before every create and update.
    fn canonicalize(&self, _object: &mut Self::Object) {}

    /// Warnings for the client (`Warning:` headers), for instance of deprecated fields. `old` is what an update replaces.
    fn warnings(&self, _ctx: &RequestContext, _new: &Self::Object, _old: Option<&Self::Object>) -> Vec<String> {
        Vec::new()
    }

    /// The grace period of a deletion in seconds, or `None` if the kind is deleted at once. `requested` is what the client
    /// asked for. Pods have one: their `spec.terminationGracePeriodSeconds`, zero when not bound to a node.
    fn grace_period(&self, _object: &Self::Object, _requested: Option<i64>) -> Option<i64> {
        None
    }

    /// The finalizers beside `metadata.finalizers` that hold a deletion: a Namespace's `spec.finalizers`.
    fn holds_deletion(&self, _object: &Self::Object) -> bool {
        false
    }

    /// Selectable fields beside `metadata.name` and `metadata.namespace`, with an entry for each of
    /// [`selectable_fields`](Self::selectable_fields), in that order. Rows that share their objects have the same, under names of their
    /// own.
    fn fields(&self, _object: &Self::Object) -> Vec<String> {
        Vec::new()
    }

    /// The names of the selectable fields.
    fn selectable_fields(&self) -> &'static [&'static str] {
        &[]
    }

    /// The columns of the kind's table; the first is the name.
    fn columns(&self) -> &'static [Column];

    /// An object's cells, one for each column.
    fn cells(&self, object: &Self::Object, now: Timestamp) -> Vec<Value>;
}
