use super::Rejection;

/// How many pods of a group have to have a node for any of them to get one (KEP-4671).
///
/// ```
/// use orchestra_core::scheduler::{Quorum, Rejection};
/// let gang = Quorum::of(4, Rejection::new("waiting for three others").by("Gangs"));
/// assert_eq!((gang.minimum, Quorum::none().minimum), (4, 0));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Quorum {
    /// So many, those that have a node already counted in. Where one is enough, the pods of the group are decided about one by one.
    pub minimum: usize,
    /// What a pod is told that found a node when too few others did; by whom says who is asked when it is worth another attempt.
    pub unmet: Rejection,
}

impl Quorum {
    /// At least `minimum` pods, or none.
    pub fn of(minimum: usize, unmet: Rejection) -> Self {
        Self { minimum, unmet }
    }

    /// Each pod is on its own.
    pub fn none() -> Self {
        Self::of(0, Rejection::new(""))
    }
}
