//! What becomes of a plugin's panic: it costs one attempt, and the plugin is named.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

use futures::FutureExt;

/// What `call` returns, or what it said when it panicked. What it may have left half done is its plugin's own.
pub(crate) fn contained<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|panic| text(&*panic))
}

/// The same, of a future.
pub(crate) async fn contained_future<T>(future: impl Future<Output = T>) -> Result<T, String> {
    AssertUnwindSafe(future).catch_unwind().await.map_err(|panic| text(&*panic))
}

fn text(panic: &(dyn Any + Send)) -> String {
    let literal = panic.downcast_ref::<&str>().copied();
    let text = literal.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panicked: {}", text.unwrap_or("no message"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_error_that_says_what_it_said() {
        assert_eq!(contained(|| 1), Ok(1));
        assert_eq!(contained(|| -> i32 { panic!("at {}", 7) }), Err("panicked: at 7".to_owned()));
        assert_eq!(contained_future(async { panic!("late") }).await, Err::<(), _>("panicked: late".to_owned()));
    }
}
