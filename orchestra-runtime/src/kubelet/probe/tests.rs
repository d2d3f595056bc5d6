//! Probes over the network, asked of servers on the loopback device.

use std::{convert::Infallible, net::Ipv4Addr, time::Duration};

use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use k8s_openapi::api::core::v1::Container;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{Address, check::Answer, grpc, http as over_http, tcp};

/// A server that answers all with `answer`, and its port.
async fn serve<B>(answer: impl Fn(Request<Incoming>) -> Response<B> + Clone + Send + 'static) -> u16
where
    B: hyper::body::Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = answer.clone();
            let service = hyper::service::service_fn(move |request| {
                let answered = answer(request);
                async move { Ok::<_, Infallible>(answered) }
            });
            tokio::spawn(async move {
                let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    port
}

/// A port on which nobody listens.
async fn closed() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap().port()
}

fn here() -> Address {
    Address(Some(Ipv4Addr::LOCALHOST.into()))
}

async fn get(port: u16, path: &str) -> Answer {
    let action = serde_json::from_value(json!({ "port": port, "path": path })).unwrap();
    over_http::probe(&action, &Container::default(), &here(), Duration::from_secs(5)).await
}

fn page(status: u16, location: Option<&str>, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::builder().status(status);
    if let Some(location) = location {
        response = response.header("location", location);
    }
    response.body(text.into()).unwrap()
}

#[tokio::test]
async fn an_answers_code_says_whether_a_container_passes() {
    let port = serve(|request| match request.uri().path() {
        "/moved" => page(302, Some("/ok"), String::new()),
        "/away" => page(302, Some("http://elsewhere.test/"), "gone".to_owned()),
        "/round" => page(302, Some("/round"), String::new()),
        "/agent" if request.headers()["user-agent"] != "kube-probe/1.36" => page(400, None, String::new()),
        "/host" if request.headers()["host"].to_str().is_ok_and(|host| !host.starts_with("127.0.0.1:")) => {
            page(400, None, String::new())
        }
        "/broken" => page(500, None, "x".repeat(100_000)),
        _ => page(200, None, "x".repeat(100_000)),
    })
    .await;
    for path in ["/ok?x=1", "/moved", "/agent", "/host"] {
        assert_eq!(get(port, path).await, Answer::Success, "{path}");
    }
    let failure = |text: &str| Answer::Failure(text.to_owned());
    assert_eq!(get(port, "/broken").await, failure("HTTP probe failed with statuscode: 500"));
    let warning = "Probe terminated redirects, Response body: gone";
    assert_eq!(get(port, "/away").await, Answer::Warning(warning.to_owned()));
    assert_eq!(get(port, "/round").await, failure("Get \"/round\": stopped after 10 redirects"));
}

#[tokio::test]
async fn what_does_not_listen_does_not_pass() {
    let port = closed().await;
    let dial = format!("dial tcp 127.0.0.1:{port}: connect: connection refused");
    assert_eq!(get(port, "/x").await, Answer::Failure(format!("Get \"http://127.0.0.1:{port}/x\": {dial}")));
    let action = serde_json::from_value(json!({ "port": port })).unwrap();
    let answer = tcp::probe(&action, &Container::default(), &here(), Duration::from_secs(5)).await;
    assert_eq!(answer, Answer::Failure(dial));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let action = serde_json::from_value(json!({ "port": listener.local_addr().unwrap().port() })).unwrap();
    let answer = tcp::probe(&action, &Container::default(), &here(), Duration::from_secs(5)).await;
    assert_eq!(answer, Answer::Success);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_answer_in_time_does_not_pass() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let Answer::Failure(text) = get(port, "/").await else { panic!("it answers") };
    assert!(text.ends_with("(Client.Timeout exceeded while awaiting headers)"), "{text}");
}

#[tokio::test]
async fn a_probe_without_a_port_says_nothing_of_the_container() {
    let action = serde_json::from_value(json!({ "port": "web" })).unwrap();
    let answer = over_http::probe(&action, &Container::default(), &here(), Duration::from_secs(1)).await;
    assert_eq!(answer, Answer::Errored("strconv.Atoi: parsing \"web\": invalid syntax".to_owned()));
}

/// A gRPC answer: a message in a frame, and trailers.
fn grpc_answer(
    message: &[u8],
    status: &str,
) -> Response<impl hyper::body::Body<Data = Bytes, Error = Infallible> + use<>> {
    let mut frame = vec![0, 0, 0, 0, u8::try_from(message.len()).unwrap()];
    frame.extend_from_slice(message);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", status.parse().unwrap());
    let frames = [Ok(Frame::data(Bytes::from(frame))), Ok(Frame::trailers(trailers))];
    Response::builder()
        .header("content-type", "application/grpc")
        .body(StreamBody::new(futures::stream::iter(frames)))
        .unwrap()
}

#[tokio::test]
async fn a_service_says_over_grpc_how_it_is() {
    let action =
        |port: u16, service: Value| serde_json::from_value(json!({ "port": port, "service": service })).unwrap();
    let ask = async |message: &'static [u8], status: &'static str| {
        let port = serve(move |request| {
            assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
            grpc_answer(message, status).map(BodyExt::boxed_unsync)
        })
        .await;
        grpc::probe(&action(port, json!("db")), &here(), Duration::from_secs(5)).await
    };
    assert_eq!(ask(&[8, 1], "0").await, Answer::Success);
    let unhealthy = "service unhealthy (responded with \"NOT_SERVING\")";
    assert_eq!(ask(&[8, 2], "0").await, Answer::Failure(unhealthy.to_owned()));
    let Answer::Failure(text) = ask(&[], "12").await else { panic!("it passes") };
    assert!(text.starts_with("error: this server does not implement the grpc health protocol"), "{text}");
    let port = closed().await;
    let answer = grpc::probe(&action(port, Value::Null), &here(), Duration::from_secs(1)).await;
    let words = format!("timeout: failed to connect service \"127.0.0.1:{port}\" within 1s: context deadline exceeded");
    assert_eq!(answer, Answer::Failure(words));
}
