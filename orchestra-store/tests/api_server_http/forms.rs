//! The forms of answers: which one a client accepts, and how it is written.

use std::io::Read;

use axum::body::Body;
use http::{Request, header};

use crate::harness::{MAPS, Server, failure};

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

#[tokio::test]
async fn the_best_form_is_given_that_the_client_accepts() {
    let server = Server::start().await;
    let yaml = server.accepting(MAPS, "application/json;q=0.5,application/yaml").await;
    assert_eq!(yaml.header(header::CONTENT_TYPE), "application/yaml");
    let beta = server.accepting(MAPS, "application/json;as=Table;v=v1beta1;g=meta.k8s.io").await.json();
    assert_eq!((&beta["kind"], &beta["apiVersion"]), (&"Table".into(), &"meta.k8s.io/v1beta1".into()));
}

#[tokio::test]
async fn what_cannot_be_given_is_not_acceptable() {
    let server = Server::start().await;
    let known = "application/json, application/yaml, application/vnd.kubernetes.protobuf";
    let metadata = |kind: &str| format!("application/json;as={kind};v=v1;g=meta.k8s.io");
    let cases = [
        (
            MAPS.to_owned(),
            "application/*".to_owned(),
            format!("406: Not Acceptable\n\nAvailable representations: {known}"),
        ),
        (
            MAPS.to_owned(),
            "application/json;as=Table;v=v2;g=meta.k8s.io".to_owned(),
            format!("only the following media types are accepted: {known}"),
        ),
        (
            MAPS.to_owned(),
            metadata("PartialObjectMetadata"),
            "you requested PartialObjectMetadata, but the requested object is a list (*core.ConfigMapList)".to_owned(),
        ),
        (
            format!("{MAPS}/a"),
            metadata("PartialObjectMetadataList"),
            "you requested PartialObjectMetadataList, but the requested object is not a list (*core.ConfigMap)"
                .to_owned(),
        ),
    ];
    for (path, accept, message) in cases {
        assert_eq!(server.accepting(&path, &accept).await.failure(), failure(406, &message));
    }
    let watch = server.accepting(&format!("{MAPS}?watch=1"), "application/yaml").await;
    let message = "only the following media types are accepted: application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch";
    assert_eq!(watch.code, 406);
    assert!(watch.text().contains(message), "{}", watch.text());
}

#[tokio::test]
async fn a_table_includes_what_there_is_to_include() {
    let server = Server::start().await;
    let answer = server.accepting(&format!("{MAPS}?includeObject=Foo"), TABLE).await;
    let message = "Unable to convert to Table as requested: includeObject: Invalid value: \"Foo\": must be 'Metadata', 'Object', 'None', or empty";
    assert_eq!(answer.failure(), failure(400, message));
}

#[tokio::test]
async fn people_get_json_on_many_lines() {
    let server = Server::start().await;
    let path = "/api/v1/namespaces/default";
    let request = |agent: &str, query: &str| {
        let request = Request::builder().uri(format!("{path}{query}")).header(header::USER_AGENT, agent);
        request.body(Body::empty()).expect("a request")
    };
    for (agent, query, is_pretty) in [
        ("curl/8", "", true),
        ("curl/8", "?pretty=false", false),
        ("kubectl/v1.36", "", false),
        ("kubectl/v1.36", "?pretty=true", true),
    ] {
        let text = server.send(request(agent, query)).await.text();
        assert_eq!(text.starts_with("{\n  \""), is_pretty, "{agent} {query}: {text}");
    }
}

#[tokio::test]
async fn long_answers_are_compressed_for_those_who_take_that() {
    let server = Server::start().await;
    for (name, size) in [("short", 1_000), ("long", 200_000)] {
        let body = format!(r#"{{"metadata":{{"name":"{name}"}},"data":{{"a":"{}"}}}}"#, "x".repeat(size));
        server.post(MAPS, body).await;
        let request = Request::builder().uri(format!("{MAPS}/{name}")).header(header::ACCEPT_ENCODING, "deflate, gzip");
        let answer = server.send(request.body(Body::empty()).expect("a request")).await;
        let compressed = answer.header(header::CONTENT_ENCODING) == "gzip";
        assert_eq!((compressed, answer.body.len() > 100_000), (size > 100_000, false), "{name}");
        assert_eq!(server.get(&format!("{MAPS}/{name}")).await.json()["metadata"]["name"], name);
    }
    let request = Request::builder().uri(format!("{MAPS}/long")).header(header::ACCEPT_ENCODING, "gzip");
    let answer = server.send(request.body(Body::empty()).expect("a request")).await;
    let mut text = String::new();
    flate2::read::GzDecoder::new(&answer.body[..]).read_to_string(&mut text).expect("gzip");
    assert!(text.contains(r#""name":"long""#) && text.len() > 200_000);
}
