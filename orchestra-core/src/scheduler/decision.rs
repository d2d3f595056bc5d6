use std::fmt;

use futures::future::BoxFuture;

use super::{Placement, ScheduleError};

/// What a [`Scheduler`](super::Scheduler) decides about a pod: at once, or when those have answered whom it asks.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use orchestra_core::scheduler::{Decision, Placement};
/// let (made, pending) = (Decision::Made(Ok(Placement::on("n1"))), Decision::pending(async { Ok(Placement::on("n1")) }));
/// assert_eq!(made.outcome().await, pending.outcome().await);
/// # }
/// ```
pub enum Decision<'a> {
    /// It is made.
    Made(Result<Placement, ScheduleError>),
    /// Others are asked first. Dropping the future ends that.
    Pending(BoxFuture<'a, Result<Placement, ScheduleError>>),
}

impl<'a> Decision<'a> {
    /// A decision that takes its time.
    pub fn pending(outcome: impl Future<Output = Result<Placement, ScheduleError>> + Send + 'a) -> Self {
        Self::Pending(Box::pin(outcome))
    }

    /// The decision, once it is made.
    pub async fn outcome(self) -> Result<Placement, ScheduleError> {
        match self {
            Self::Made(outcome) => outcome,
            Self::Pending(outcome) => outcome.await,
        }
    }
}

impl fmt::Debug for Decision<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Made(outcome) => f.debug_tuple("Made").field(outcome).finish(),
            Self::Pending(_) => f.write_str("Pending"),
        }
    }
}
