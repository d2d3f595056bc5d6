//! CEL expressions, each compiled once.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::api::resource::v1::{Device, DeviceSelector};
use orchestra_core::device::{Selector, SelectorError};
use parking_lot::Mutex;

/// How many are kept: there are few in a cluster.
const MOST: usize = 1000;

type Compiled = Arc<Result<Selector, SelectorError>>;

/// What was compiled before. That it is kept changes no answer, only how long it takes.
#[derive(Debug, Default)]
pub(super) struct Selectors {
    compiled: Mutex<BTreeMap<String, Compiled>>,
}

impl Selectors {
    fn compiled(&self, expression: &str) -> Compiled {
        if let Some(known) = self.compiled.lock().get(expression) {
            return Arc::clone(known);
        }
        let new = Arc::new(Selector::compile(expression));
        let mut compiled = self.compiled.lock();
        if compiled.len() >= MOST {
            compiled.clear();
        }
        compiled.insert(expression.to_owned(), Arc::clone(&new));
        new
    }

    /// Whether all of the selectors match. An error says which cannot tell; `owner` is whose they are.
    pub(super) fn match_all(
        &self,
        selectors: &[DeviceSelector],
        owner: &str,
        driver: &str,
        (id, device): (&str, &Device),
    ) -> Result<bool, String> {
        for (index, selector) in selectors.iter().enumerate() {
            let Some(cel) = &selector.cel else {
                return Err(format!("{owner}: selector #{index}: CEL expression empty (unsupported selector type?)"));
            };
            match &*self.compiled(&cel.expression) {
                Err(error) => return Err(format!("{owner}: selector #{index}: CEL compile error: {error}")),
                Ok(selector) => match selector.matches(driver, device) {
                    Ok(true) => {}
                    Ok(false) => return Ok(false),
                    Err(error) => {
                        return Err(format!("{owner}: selector #{index} on device {id}: CEL runtime error: {error}"));
                    }
                },
            }
        }
        Ok(true)
    }
}
