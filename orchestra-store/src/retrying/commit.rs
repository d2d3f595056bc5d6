use orchestra_core::store::{Revision, Store, StoreError, Transaction};

use super::{
    RetryingStore,
    anchor::{Anchor, checks, is_added},
    patience::Patience,
};

impl RetryingStore {
    /// Commits `transaction`, at most once.
    pub(super) async fn commit_once(&self, transaction: Transaction) -> Result<Revision, StoreError> {
        match Anchor::of(&transaction) {
            Some(anchor) => self.commit_anchored(&transaction, &anchor).await,
            None => self.commit_unanchored(&transaction).await,
        }
    }

    /// Commits a transaction that could be done twice; other writes between the reads and the commits have it begin anew.
    async fn commit_unanchored(&self, transaction: &Transaction) -> Result<Revision, StoreError> {
        loop {
            let Some(anchored) = self.anchored(transaction).await? else {
                // It is the store that says which precondition is the first to fail.
                let checks = checks(transaction);
                self.retry(|| self.inner.commit(checks.clone())).await?;
                continue;
            };
            let result = match Anchor::of(&anchored) {
                Some(anchor) => self.commit_anchored(&anchored, &anchor).await,
                None => self.retry(|| self.inner.commit(anchored.clone())).await,
            };
            match result {
                Err(conflict) if is_added(&conflict, transaction) => {}
                result => return result,
            }
        }
    }

    async fn commit_anchored(&self, transaction: &Transaction, anchor: &Anchor) -> Result<Revision, StoreError> {
        let before = match self.seen() {
            // A creation is looked for from here on; of a change the version before it is known.
            0 if anchor.base.is_none() => self.revision().await?,
            seen => seen,
        };
        match self.inner.commit(transaction.clone()).await {
            Err(failure @ (StoreError::Unavailable(_) | StoreError::OutcomeUnknown(_))) => {
                self.settle(transaction, anchor, before, failure).await
            }
            answer => answer,
        }
    }

    /// Goes on after `failure` of the first attempt, before which the store was at revision `before` or later.
    async fn settle(
        &self,
        transaction: &Transaction,
        anchor: &Anchor,
        before: Revision,
        mut failure: StoreError,
    ) -> Result<Revision, StoreError> {
        let mut patience = self.patience();
        let mut may_be_done = false;
        let first = failure.clone();
        loop {
            may_be_done |= matches!(failure, StoreError::OutcomeUnknown(_));
            if !patience.wait().await {
                return Err(if may_be_done { unknown(&first, &failure) } else { failure });
            }
            let answer = if may_be_done {
                self.find_or_commit(transaction, anchor, before, &patience).await
            } else {
                self.inner.commit(transaction.clone()).await
            };
            match answer {
                Err(error @ (StoreError::Unavailable(_) | StoreError::OutcomeUnknown(_))) => failure = error,
                answer @ (Ok(_) | Err(StoreError::Conflict { .. } | StoreError::InvalidArgument(_))) => return answer,
                Err(error) => return Err(if may_be_done { unknown(&first, &error) } else { error }),
            }
        }
    }

    /// One more attempt, unless an earlier one is found to be done.
    async fn find_or_commit(
        &self,
        transaction: &Transaction,
        anchor: &Anchor,
        before: Revision,
        patience: &Patience,
    ) -> Result<Revision, StoreError> {
        if let Some(revision) = self.find(transaction, anchor, before, patience).await? {
            return Ok(revision);
        }
        match self.inner.commit(transaction.clone()).await {
            // An earlier attempt may have come through after it was looked for, and be what this one conflicts with.
            conflict @ Err(StoreError::Conflict { .. }) => {
                self.find(transaction, anchor, before, patience).await?.map_or(conflict, Ok)
            }
            answer => answer,
        }
    }
}

/// What began with `first` and could not be found out for `last`.
fn unknown(first: &StoreError, last: &StoreError) -> StoreError {
    let why = match first {
        StoreError::OutcomeUnknown(why) => why.clone(),
        other => other.to_string(),
    };
    match first == last {
        true => StoreError::OutcomeUnknown(why),
        false => StoreError::OutcomeUnknown(format!("{why}; it could not be found out: {last}")),
    }
}
