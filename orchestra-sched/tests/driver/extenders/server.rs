//! An extender on loopback that answers as it is told to.

use std::{
    collections::VecDeque,
    convert::Infallible,
    fmt::Debug,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
    serve::Listener,
};
use futures::{StreamExt as _, stream};
use orchestra_sched::config::Extender;
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinHandle};

/// What an extender does with a question.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Json(Value),
    Code(u16),
    Text(&'static str),
    /// It never answers.
    Hang,
    /// It closes the connection in the middle of its answer.
    Close,
    /// Its answer has no end.
    Endless,
}

type Script = dyn Fn(&str, &Value) -> Answer + Send + Sync;

/// A server; it ends with this.
pub(super) struct Server {
    url: String,
    told: Arc<Told>,
    serving: JoinHandle<()>,
}

struct Told {
    script: Box<Script>,
    /// What comes before the script's answers.
    first: Mutex<VecDeque<Answer>>,
    asked: Mutex<Vec<(String, Value)>>,
}

impl Server {
    /// One that answers a verb and a question by `script`.
    pub(super) async fn start(script: impl Fn(&str, &Value) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self::on(listener, &format!("http://{address}"), script)
    }

    /// The same behind any listener.
    pub(super) fn on(
        listener: impl Listener<Addr: Debug>,
        origin: &str,
        script: impl Fn(&str, &Value) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let told = Arc::new(Told { script: Box::new(script), first: Mutex::default(), asked: Mutex::default() });
        let router = Router::new().route("/extender/{verb}", post(answer)).with_state(told.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url: format!("{origin}/extender"), told, serving }
    }

    /// Answers the next questions like this.
    pub(super) fn first(&self, answers: impl IntoIterator<Item = Answer>) {
        self.told.first.lock().unwrap().extend(answers);
    }

    /// How it is reached, with no verb yet.
    pub(super) fn config(&self) -> Extender {
        Extender { url_prefix: self.url.clone(), weight: 1, ..Extender::default() }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The questions with this verb.
    pub(super) fn asked(&self, verb: &str) -> Vec<Value> {
        let asked = self.told.asked.lock().unwrap();
        asked.iter().filter(|(other, _)| other == verb).map(|(_, question)| question.clone()).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(State(told): State<Arc<Told>>, Path(verb): Path<String>, question: Bytes) -> Response {
    let question: Value = serde_json::from_slice(&question).unwrap();
    let first = told.first.lock().unwrap().pop_front();
    let answer = first.unwrap_or_else(|| (told.script)(&verb, &question));
    told.asked.lock().unwrap().push((verb, question));
    match answer {
        Answer::Json(value) => value.to_string().into_response(),
        Answer::Code(code) => StatusCode::from_u16(code).unwrap().into_response(),
        Answer::Text(text) => text.into_response(),
        Answer::Hang => std::future::pending().await,
        Answer::Close => {
            let halves = stream::iter([Ok(Bytes::from("{ \"NodeNa")), Err(std::io::Error::other("closed"))]);
            Body::from_stream(halves).into_response()
        }
        Answer::Endless => {
            let blanks = stream::repeat_with(|| Ok::<_, Infallible>(Bytes::from(vec![b' '; 1 << 16])));
            Body::from_stream(blanks.boxed()).into_response()
        }
    }
}
