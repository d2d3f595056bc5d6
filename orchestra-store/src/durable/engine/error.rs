use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// What the engine said.
#[derive(Debug, thiserror::Error)]
pub(in crate::durable) enum EngineError {
    #[error("{0}")]
    Io(io::Error),
    #[error("{0}")]
    Corrupt(String),
}

impl EngineError {
    /// Whether there is no room on the disk, so that the same may go well later.
    pub(in crate::durable) fn is_full(&self) -> bool {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        matches!(self, Self::Io(error) if matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge))
    }
}

impl<E: Into<redb::Error>> From<E> for EngineError {
    fn from(error: E) -> Self {
        use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
        match error.into() {
            // A file that is too short, or not the engine's.
            redb::Error::Io(error) if matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof) => {
                Self::Corrupt(error.to_string())
            }
            redb::Error::Io(error) => Self::Io(error),
            redb::Error::PreviousIo => Self::Io(io::Error::other("a former operation failed")),
            error => Self::Corrupt(error.to_string()),
        }
    }
}

/// A panic of the engine is an error: it panics on some of the damage that a file can have.
pub(super) fn guarded<T>(operation: impl FnOnce() -> Result<T, EngineError>) -> Result<T, EngineError> {
    catch_unwind(AssertUnwindSafe(operation)).unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        Err(EngineError::Corrupt(format!("the engine panicked: {}", words.unwrap_or("without a word"))))
    })
}
