//! How a program begins and ends.

use std::{fmt::Display, process::ExitCode};

use tracing_subscriber::EnvFilter;

/// Runs `program`, and tells its error in one line on stderr. Logs go there too: what RUST_LOG says, or from `level` on.
pub async fn run<E: Display>(level: &str, program: impl Future<Output = Result<(), E>>) -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match program.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
