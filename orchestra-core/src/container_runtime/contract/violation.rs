use crate::container_runtime::RuntimeError;

/// A rule that a runtime broke.
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

    pub(super) fn found_by(self, check: &str) -> Self {
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

/// Returns a [`Violation`] unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err($crate::container_runtime::contract::Violation::new(format!($($message)+)));
        }
    };
}
pub(super) use ensure;

/// Returns a [`Violation`] unless the result is the error that the pattern describes.
macro_rules! ensure_error {
    ($result:expr, $pattern:pat, $($message:tt)+) => {
        match $result {
            Err($pattern) => {}
            Err(other) => {
                let message = format!("{}: wrong error: {other}", format!($($message)+));
                return Err($crate::container_runtime::contract::Violation::new(message))
            }
            Ok(_) => {
                let message = format!("{}: no error", format!($($message)+));
                return Err($crate::container_runtime::contract::Violation::new(message))
            }
        }
    };
}
pub(super) use ensure_error;
