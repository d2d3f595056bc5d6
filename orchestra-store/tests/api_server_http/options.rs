//! Query parameters.

use http::header;

use crate::harness::{JSON, MAPS, MERGE, Server, failure};

/// The messages of requests that are refused.
async fn refused(server: &Server, cases: &[(&str, u16, &str)]) {
    for (query, code, message) in cases {
        assert_eq!(server.get(&format!("{MAPS}?{query}")).await.failure(), failure(*code, message), "{query}");
    }
}

#[tokio::test]
async fn numbers_are_read_as_go_reads_them() {
    let cases = [
        ("limit=", 400, "strconv.ParseInt: parsing \"\": invalid syntax"),
        ("limit=1.5", 400, "strconv.ParseInt: parsing \"1.5\": invalid syntax"),
        ("limit=99999999999999999999", 400, "strconv.ParseInt: parsing \"99999999999999999999\": value out of range"),
        (
            "resourceVersion=%2B5",
            400,
            "invalid resource version: resourceVersion: Invalid value: \"+5\": strconv.ParseUint: parsing \"+5\": invalid syntax",
        ),
        (
            "resourceVersion=99999999999999999999",
            400,
            "invalid resource version: resourceVersion: Invalid value: \"99999999999999999999\": strconv.ParseUint: parsing \"99999999999999999999\": value out of range",
        ),
    ];
    refused(&Server::start().await, &cases).await;
}

#[tokio::test]
async fn selectors_name_labels_that_objects_may_have() {
    let message = "unable to parse requirement: <nil>: Invalid value: \"-bad\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
    refused(&Server::start().await, &[("labelSelector=-bad", 400, message), ("labelSelector=!-bad", 400, message)])
        .await;
}

#[tokio::test]
async fn continue_tokens_are_checked() {
    let cases = [
        ("continue=%25%25", 400, "illegal base64 data at input byte 0"),
        // {}
        ("continue=e30", 400, "server does not recognize this encoded version "),
        // {"v":"meta.k8s.io/v1"}
        (
            "continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEifQ",
            400,
            "incorrect encoded start resourceVersion (version meta.k8s.io/v1)",
        ),
        // {"v":"meta.k8s.io/v1","rv":5,"start":"//../"}
        ("continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6NSwic3RhcnQiOiIvLi4vIn0", 400, "/../"),
        // {bad
        ("continue=e2JhZA", 400, "invalid character 'b' looking for beginning of object key string"),
    ];
    let prefix = "invalid continue token: continue key is not valid: ";
    let cases = cases.map(|(query, code, message)| (query, code, format!("{prefix}{message}")));
    let cases: Vec<_> = cases.iter().map(|(query, code, message)| (*query, *code, message.as_str())).collect();
    refused(&Server::start().await, &cases).await;
}

#[tokio::test]
async fn kinds_without_fields_of_their_own_are_selected_by_namespace() {
    let server = Server::start().await;
    for (field, found) in [("metadata.namespace=", 1), ("metadata.namespace=a", 0)] {
        let list = server
            .get(&format!(
                "/apis/scheduling.k8s.io/v1/priorityclasses?fieldSelector={field}%2Cmetadata.name=system-node-critical"
            ))
            .await;
        assert_eq!(list.json()["items"].as_array().map(Vec::len), Some(found), "{field}: {}", list.text());
    }
    let nodes = server.get("/api/v1/nodes?fieldSelector=metadata.namespace=").await;
    assert_eq!(nodes.failure(), failure(400, "field label not supported: metadata.namespace"));
}

#[tokio::test]
async fn options_of_watches_and_lists_exclude_each_other() {
    let lists = |what: &str| format!("ListOptions.meta.k8s.io \"\" is invalid: {what}");
    let server = Server::start().await;
    let cases = [
        ("sendInitialEvents=true", "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list"),
        (
            "watch=1&sendInitialEvents=true&resourceVersionMatch=Exact",
            "[resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan, resourceVersionMatch: Unsupported value: \"Exact\": supported values: \"NotOlderThan\"]",
        ),
        (
            "watch=1&resourceVersionMatch=NotOlderThan",
            "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        ),
    ];
    for (query, what) in cases {
        assert_eq!(server.get(&format!("{MAPS}?{query}")).await.failure(), failure(422, &lists(what)), "{query}");
    }
}

#[tokio::test]
async fn options_of_writes_are_checked() {
    let server = Server::start().await;
    let long = format!("fieldManager={}", "x".repeat(129));
    let cases = [
        ("dryRun=", "dryRun: Unsupported value: [\"\"]: supported values: \"All\""),
        (
            "fieldValidation=Foo",
            "fieldValidation: Unsupported value: \"Foo\": supported values: \"\", \"Ignore\", \"Strict\", \"Warn\"",
        ),
        (long.as_str(), "fieldManager: Too long: may not be more than 128 bytes"),
        ("fieldManager=a%0ab", "fieldManager: Invalid value: \"a\\nb\": invalid character U+000A (at position 1)"),
    ];
    for (query, what) in cases {
        let answer = server.with_body("POST", &format!("{MAPS}?{query}"), JSON, r#"{"metadata":{"name":"a"}}"#).await;
        let message = format!("CreateOptions.meta.k8s.io \"\" is invalid: {what}");
        assert_eq!(answer.failure(), failure(422, &message));
    }
    let forced = server.with_body("PATCH", &format!("{MAPS}/a?force=true"), MERGE, "{}").await;
    let message =
        "PatchOptions.meta.k8s.io \"\" is invalid: force: Forbidden: may not be specified for non-apply patch";
    assert_eq!(forced.failure(), failure(422, message));
}

#[tokio::test]
async fn options_of_deletions_are_in_the_body_or_in_the_query() {
    let server = Server::start().await;
    let path = format!("{MAPS}/a");
    let options = |what: &str| failure(422, &format!("DeleteOptions.meta.k8s.io \"\" is invalid: {what}"));
    let unsupported = "propagationPolicy: Unsupported value: \"x\": supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\"";
    let found = server.ask("DELETE", &format!("{path}?propagationPolicy=x")).await;
    assert_eq!(found.failure(), options(unsupported));
    let both =
        "propagationPolicy: Invalid value: \"Orphan\": orphanDependents and deletionPropagation cannot be both set";
    let found = server.ask("DELETE", &format!("{path}?orphanDependents=true&propagationPolicy=Orphan")).await;
    assert_eq!(found.failure(), options(both));
    // With a body, the query says nothing.
    let body = r#"{"kind":"DeleteOptions","apiVersion":"v1"}"#;
    let found = server.with_body("DELETE", &format!("{path}?propagationPolicy=x"), JSON, body).await;
    assert_eq!(found.failure(), failure(404, "configmaps \"a\" not found"));
    let bad = [
        (
            "garbage",
            "couldn't get version/kind; json parse error: invalid character 'g' looking for beginning of value (67617262616765)",
        ),
        (r#"{"kind":"Pod","apiVersion":"v1"}"#, "decoded object cannot be converted to DeleteOptions"),
        (
            r#"{"gracePeriodSeconds":"x"}"#,
            "json: cannot unmarshal string into Go struct field DeleteOptions.gracePeriodSeconds of type int64",
        ),
    ];
    for (body, message) in bad {
        assert_eq!(server.with_body("DELETE", &path, JSON, body).await.failure(), failure(400, message));
    }
}

#[tokio::test]
async fn a_version_that_has_not_come_is_worth_another_try() {
    let server = Server::start().await;
    let answer = server.get(&format!("{MAPS}?resourceVersion=999999")).await;
    assert_eq!((answer.code.as_u16(), answer.header(header::RETRY_AFTER)), (504, "1"));
}
