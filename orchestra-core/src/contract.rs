//! What the contract suites of traits have in common: how a rule that an implementation broke is told.

use crate::{container_runtime::RuntimeError, store::StoreError};

/// A rule that an implementation broke.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{check}: {message}")]
pub struct Violation {
    check: String,
    message: String,
}

impl Violation {
    /// A violation that `message` describes: what was expected and what came.
    pub fn new(message: impl Into<String>) -> Self {
        Self { check: String::new(), message: message.into() }
    }

    /// The same, found by the check of that name.
    #[must_use]
    pub fn found_by(self, check: &str) -> Self {
        Self { check: check.to_owned(), ..self }
    }

    /// The name of the check that found it.
    pub fn check(&self) -> &str {
        &self.check
    }

    /// What was expected and what came instead.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl From<RuntimeError> for Violation {
    fn from(error: RuntimeError) -> Self {
        Self::new(format!("unexpected error: {error}"))
    }
}

impl From<StoreError> for Violation {
    fn from(error: StoreError) -> Self {
        Self::new(format!("unexpected error: {error}"))
    }
}

/// Returns a [`Violation`] unless the condition holds.
#[doc(hidden)]
#[macro_export]
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err($crate::contract::Violation::new(format!($($message)+)));
        }
    };
}

/// Returns a [`Violation`] unless the result is the error that the pattern describes.
#[doc(hidden)]
#[macro_export]
macro_rules! ensure_error {
    ($result:expr, $pattern:pat, $($message:tt)+) => {
        match $result {
            Err($pattern) => {}
            Err(other) => {
                let message = format!("{}: wrong error: {other}", format!($($message)+));
                return Err($crate::contract::Violation::new(message))
            }
            Ok(_) => {
                let message = format!("{}: no error", format!($($message)+));
                return Err($crate::contract::Violation::new(message))
            }
        }
    };
}

#[doc(hidden)]
pub use crate::{ensure, ensure_error};
