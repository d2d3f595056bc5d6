//! Clients in this process: the router itself, and a connection in memory where one is to be upgraded.

use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use axum::{Router, body::Body, response::Response, routing::future::RouteFuture};
use bytes::Bytes;
use futures::future::{BoxFuture, Either, FutureExt};
use http::{Request, StatusCode, header};
use hyper::{client::conn::http1 as client, server::conn::http1 as server, upgrade::OnUpgrade};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tower::Service;

/// Bytes on their way between the two ends of such a connection.
const BUFFER: usize = 64 << 10;

/// The server for a client in this process.
#[derive(Clone)]
pub(super) struct InProcess(pub(super) Router);

impl<B> Service<Request<B>> for InProcess
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Either<RouteFuture<Infallible>, BoxFuture<'static, Result<Response, Infallible>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<Request<B>>::poll_ready(&mut self.0, cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let upgrades = request.headers().contains_key(header::UPGRADE);
        if !upgrades || request.extensions().get::<OnUpgrade>().is_some() {
            return Either::Left(self.0.call(request));
        }
        let (router, request) = (self.0.clone(), request.map(Body::new));
        Either::Right(connected(router, request).map(Ok).boxed())
    }
}

/// Sends the request over a connection, which goes on for as long as either side wants it.
async fn connected(router: Router, request: Request<Body>) -> Response {
    let (near, far) = tokio::io::duplex(BUFFER);
    let serving = server::Builder::new().serve_connection(TokioIo::new(far), TowerToHyperService::new(router));
    tokio::spawn(serving.with_upgrades());
    let sent = async {
        let (mut sender, driver) = client::handshake(TokioIo::new(near)).await?;
        tokio::spawn(driver.with_upgrades());
        sender.send_request(request).await
    };
    match sent.await {
        Ok(answer) => answer.map(Body::new),
        Err(error) => {
            let mut answer = Response::new(Body::from(error.to_string()));
            *answer.status_mut() = StatusCode::BAD_GATEWAY;
            answer
        }
    }
}
