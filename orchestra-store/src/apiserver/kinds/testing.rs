//! What the tests of kinds share.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::apiserver::{
    field::Errors,
    strategy::{RequestContext, UserInfo},
};

/// An object from its JSON, as a client would send it.
pub(super) fn object<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("an object of that kind")
}

/// A request at the beginning of time.
pub(super) fn context() -> RequestContext {
    RequestContext { namespace: None, now: jiff::Timestamp::UNIX_EPOCH, user: UserInfo::default(), dry_run: false }
}

/// Errors as clients read them.
pub(super) fn texts(errors: &Errors) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}
