//! Bodies of the wrong form.

use crate::harness::{JSON, MAPS, MERGE, Server, failure};

const JSON_PATCH: &str = "application/json-patch+json";

#[tokio::test]
async fn what_is_not_json_is_described_in_gos_words() {
    let server = Server::start().await;
    let cases = [
        (r#"{"metadata":{"name":"a"}} x"#, "invalid character 'x' after top-level value"),
        (r#"{"metadata":{},}"#, "invalid character '}' looking for beginning of object key string"),
        (r#"{'metadata':{}}"#, "invalid character '\\'' looking for beginning of object key string"),
    ];
    for (body, what) in cases {
        let message = format!(
            "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: {what} ({body})"
        );
        assert_eq!(server.post(MAPS, body).await.failure(), failure(400, &message));
    }
}

#[tokio::test]
async fn no_body_is_too_deep_to_be_answered() {
    let server = Server::start().await;
    for open in ["[", "{\"a\":"] {
        let (code, _) = server.post(MAPS, open.repeat(200_000)).await.failure();
        assert_eq!(code, 400);
        let (code, _) = server.with_body("PATCH", &format!("{MAPS}/a"), MERGE, open.repeat(200_000)).await.failure();
        assert!(matches!(code, 400 | 404), "{code}");
    }
}

#[tokio::test]
async fn a_content_type_is_read_without_regard_to_case() {
    let server = Server::start().await;
    for (i, content_type) in ["APPLICATION/JSON", "application/json; charset=utf-8"].into_iter().enumerate() {
        let body = format!(r#"{{"metadata":{{"name":"m{i}"}}}}"#);
        assert_eq!(server.with_body("POST", MAPS, content_type, body).await.code, 201, "{content_type}");
    }
    for content_type in [";", "text/plain", "application/json,application/yaml", "garbage"] {
        let (code, message) = server.with_body("POST", MAPS, content_type, "{}").await.failure();
        assert_eq!(code, 415, "{content_type}");
        assert!(message.starts_with("the body of the request was in an unknown format"), "{message}");
    }
}

#[tokio::test]
async fn only_the_first_document_of_a_yaml_body_counts() {
    let server = Server::start().await;
    let body = "metadata: {name: a}\n---\nmetadata: {name: b}\n";
    let created = server.with_body("POST", MAPS, "application/yaml", body).await;
    assert_eq!(created.json()["metadata"]["name"], "a");
}

#[tokio::test]
async fn patches_of_the_wrong_form_are_refused() {
    let server = Server::start().await;
    server.post(MAPS, r#"{"metadata":{"name":"a"},"data":{"k":"v"}}"#).await;
    let many = format!("[{}]", vec![r#"{"op":"add","path":"/data/d","value":"1"}"#; 10_001].join(","));
    let cases = [
        (MERGE, "{bad", 400, "error decoding patch: invalid character 'b' looking for beginning of object key string"),
        (MERGE, "null", 400, "Invalid JSON Patch"),
        (
            JSON_PATCH,
            many.as_str(),
            413,
            "Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001",
        ),
        (
            "application/strategic-merge-patch+json",
            r#"{"data":{"k":5}}"#,
            422,
            " \"\" is invalid: patch: Invalid value: \"map[data:map[k:5]]\": json: cannot unmarshal number into Go struct field ConfigMap.data of type string",
        ),
        ("application/json", "{}", 415, "415: Unsupported Media Type"),
        ("application/apply-patch+yaml", "{}", 501, "server-side apply is not supported by this server"),
    ];
    for (content_type, body, code, message) in cases {
        let answer = server.with_body("PATCH", &format!("{MAPS}/a"), content_type, body.to_owned()).await;
        assert_eq!(answer.failure(), failure(code, message));
    }
    let mistyped = server.with_body("PATCH", &format!("{MAPS}/a"), MERGE, r#"{"data":{"k":5}}"#).await;
    let (code, message) = mistyped.failure();
    assert_eq!(code, 422);
    assert!(
        message.starts_with(" \"\" is invalid: patch: Invalid value: \"{\\\"apiVersion\\\":\\\"v1\\\""),
        "{message}"
    );
    let absent = server.with_body("PATCH", &format!("{MAPS}/none"), "application/apply-patch+yaml", "{}").await;
    assert_eq!(absent.code, 501);
    assert_eq!(server.with_body("POST", MAPS, JSON, "{}").await.code, 422);
}
