//! `/run`: a command without input, and all that it wrote in one answer.

use std::sync::Arc;

use axum::{Extension, extract::Path};
use http::Uri;

use super::{Refusal, Server, pods, query::Query};

pub(super) async fn serve(
    Extension(server): Extension<Arc<Server>>,
    Path((namespace, pod, container)): Path<(String, String, String)>,
    uri: Uri,
) -> Result<Vec<u8>, Refusal> {
    let pod = server.served.pods.find(&namespace, &pod)?;
    let id = pods::running(&*server.runtime, &pod, &container).await?;
    let query = Query::of(&uri);
    let command = query.get("cmd").unwrap_or_default().split(' ').map(str::to_owned).collect();
    let mut output = server.runtime.exec_sync(&id, command, None).await.map_err(Refusal::internal)?;
    output.stdout.append(&mut output.stderr);
    match output.exit_code {
        0 => Ok(output.stdout),
        code => {
            let said = String::from_utf8_lossy(&output.stdout);
            Err(Refusal::internal(format!("command terminated with exit code {code}: {said}")))
        }
    }
}
