//! Draws of what must be unique and was not asked for: names made of a prefix, and what a kind's rules assign.

use std::collections::BTreeSet;

use orchestra_core::store::{KeyRange, ListOptions};

use crate::apiserver::{ApiError, object::Object, registry::Resource, server::Shared, strategy::Claim};

/// How often is drawn again when what was drawn is taken.
pub(super) const DRAWS: usize = 8;

/// After so many draws of what was taken, what is taken is looked up. That costs time in proportion to it; until much of a range is taken
/// it is never needed.
const BLIND_DRAWS: usize = 3;

/// The draws for one write.
pub(super) struct Draws {
    /// The keys of what the client itself asks for.
    requested: BTreeSet<String>,
    taken: BTreeSet<String>,
    refused: usize,
}

impl Draws {
    /// For an object as the client wants it, before anything is assigned.
    pub(super) fn new(resource: &Resource, object: &dyn Object) -> Self {
        let requested = resource.rules.claims(object).into_iter().map(|claim| claim.key).collect();
        Self { requested, taken: BTreeSet::new(), refused: 0 }
    }

    /// Assigns what is missing.
    pub(super) fn assign(&self, shared: &Shared, resource: &Resource, object: &mut dyn Object) -> Result<(), ApiError> {
        let assigned = resource.rules.assign(object, &self.taken, &shared.generator);
        assigned.map_err(ApiError::internal)
    }

    /// Notes that somebody else has it; an error if there is no use in another draw.
    pub(super) async fn refused(
        &mut self,
        shared: &Shared,
        resource: &Resource,
        name: &str,
        claim: Claim,
    ) -> Result<(), ApiError> {
        self.refused += 1;
        if self.requested.contains(&claim.key) || self.refused >= DRAWS {
            return Err(ApiError::invalid(resource, name, &[claim.taken]));
        }
        self.taken.insert(claim.key);
        if self.refused == BLIND_DRAWS {
            for prefix in resource.rules.claim_prefixes() {
                let page = shared.store.list(&KeyRange::prefix(prefix), ListOptions::default()).await?;
                self.taken.extend(page.entries.into_iter().map(|entry| entry.key.to_string()));
            }
        }
        Ok(())
    }
}
