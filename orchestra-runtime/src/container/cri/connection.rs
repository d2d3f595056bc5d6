//! The connection with the runtime: made at the first call, and again after it broke.

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
    time::Duration,
};

use hyper_util::rt::TokioIo;
use k8s_cri::v1::{image_service_client::ImageServiceClient, runtime_service_client::RuntimeServiceClient};
use tokio::{net::UnixStream, time::timeout};
use tonic::{
    Response, Status,
    transport::{Channel, Endpoint, Uri},
};
use tower::service_fn;

/// The largest answer that is read, as the kubelet's.
const MESSAGE_LIMIT: usize = 16 * 1024 * 1024;

pub(super) struct Connection {
    socket: PathBuf,
    channel: OnceLock<Channel>,
}

impl Connection {
    pub(super) fn new(socket: PathBuf) -> Self {
        let path = socket.to_str().and_then(|path| path.strip_prefix("unix://")).map(PathBuf::from);
        Self { socket: path.unwrap_or(socket), channel: OnceLock::new() }
    }

    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    pub(super) fn runtime(&self) -> RuntimeServiceClient<Channel> {
        RuntimeServiceClient::new(self.channel()).max_decoding_message_size(MESSAGE_LIMIT)
    }

    pub(super) fn images(&self) -> ImageServiceClient<Channel> {
        ImageServiceClient::new(self.channel()).max_decoding_message_size(MESSAGE_LIMIT)
    }

    /// Not made before a call needs it, as it takes a tokio runtime to make it.
    fn channel(&self) -> Channel {
        let channel = self.channel.get_or_init(|| {
            let socket = self.socket.clone();
            let connect = service_fn(move |_: Uri| {
                let socket = socket.clone();
                async move { UnixStream::connect(socket).await.map(TokioIo::new) }
            });
            Endpoint::from_static("http://localhost").connect_with_connector_lazy(connect)
        });
        channel.clone()
    }
}

/// Waits for the answer to a call, at most so long.
pub(super) async fn within<T>(
    deadline: Duration,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, Status> {
    match timeout(deadline, call).await {
        Ok(answer) => answer.map(Response::into_inner),
        Err(_) => Err(Status::deadline_exceeded(format!("no answer after {deadline:?}"))),
    }
}
