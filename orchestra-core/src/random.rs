//! Randomness as a dependency: one seeded [`Generator`] for uids, name suffixes, tie-breaks and jitter.

use std::sync::Arc;

use parking_lot::Mutex;
use rand::{Rng, RngExt, SeedableRng, rngs::ChaCha8Rng};

/// The letters of generated names: those that cannot form words by accident, as in `k8s.io/apimachinery/pkg/util/rand`.
const NAME_ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// A source of randomness; clones share one sequence.
///
/// ```
/// use orchestra_core::random::Generator;
/// let (a, b) = (Generator::seeded(7), Generator::seeded(7));
/// assert_eq!(a.uid(), b.uid());
/// assert_eq!(a.name_suffix(5), b.name_suffix(5));
/// ```
#[derive(Clone, Debug)]
pub struct Generator {
    rng: Arc<Mutex<ChaCha8Rng>>,
}

impl Generator {
    /// The sequence that belongs to `seed`.
    pub fn seeded(seed: u64) -> Self {
        Self { rng: Arc::new(Mutex::new(ChaCha8Rng::seed_from_u64(seed))) }
    }

    /// A sequence that nobody can foresee, seeded by the operating system.
    pub fn from_entropy() -> Self {
        Self { rng: Arc::new(Mutex::new(rand::make_rng())) }
    }

    /// A random (version 4, RFC 9562) UUID in its usual text form.
    pub fn uid(&self) -> String {
        let mut bytes = [0; 16];
        self.rng.lock().fill_bytes(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
    }

    /// `length` letters for the end of a generated name; Kubernetes uses five.
    pub fn name_suffix(&self, length: usize) -> String {
        let mut rng = self.rng.lock();
        (0..length).map(|_| char::from(NAME_ALPHABET[rng.random_range(0..NAME_ALPHABET.len())])).collect()
    }

    /// A number in `0..bound`; zero if `bound` is zero.
    pub fn below(&self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.rng.lock().random_range(0..bound) }
    }

    /// A number in `0.0..1.0`, for jitter.
    pub fn fraction(&self) -> f64 {
        self.rng.lock().random()
    }

    /// An independent generator whose sequence is determined by this one's seed and state: one for each component, so
    /// that what one draws does not depend on how often another draws.
    pub fn fork(&self) -> Self {
        Self::seeded(self.rng.lock().next_u64())
    }
}

impl Default for Generator {
    fn default() -> Self {
        Self::from_entropy()
    }
}
