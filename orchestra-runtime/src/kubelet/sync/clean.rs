//! What nobody needs any more.

use super::{Unanswered, Work};

impl Work<'_> {
    /// Removes containers that are too old to keep, and sandboxes in which nothing is of interest any more. Of each container the last one
    /// that ended is kept: people ask for its log.
    pub(super) async fn clean(&mut self) -> Result<(), Unanswered> {
        while let Some(id) = self.known.record.superseded.last().cloned() {
            let removed = self.context.runtime.remove_container(&id).await;
            removed.map_err(|error| self.unanswered(&error))?;
            self.known.record.superseded.pop();
        }
        for id in self.known.record.empty_sandboxes() {
            let removed = self.context.runtime.remove_pod_sandbox(&id).await;
            removed.map_err(|error| self.unanswered(&error))?;
            self.context.sandboxes.lock().remove(&id);
            self.known.record.former.retain(|former| *former != id);
        }
        Ok(())
    }

    /// Removes all that the pod has left, with what is in it.
    pub(super) async fn remove_all(&mut self) -> Result<(), Unanswered> {
        let current = self.known.record.sandbox.as_ref().map(|sandbox| sandbox.id.clone());
        for id in self.known.record.former.clone().into_iter().chain(current) {
            let removed = self.context.runtime.remove_pod_sandbox(&id).await;
            removed.map_err(|error| self.unanswered(&error))?;
            self.context.sandboxes.lock().remove(&id);
        }
        self.known.record.former.clear();
        self.known.record.sandbox = None;
        Ok(())
    }
}
