//! Whatever is wrong with a manifest: one line that names file, document and, where one is known, field; nothing created.

use std::fs::create_dir;

use crate::program::Folder;

const TYPE: &str = "apiVersion: v1\nkind: ConfigMap\n";
const NAMED: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
const MEBIBYTE: usize = 1 << 20;

/// Runs each manifest, and compares what is said after `m.yaml: `.
async fn check(cases: impl IntoIterator<Item = (Vec<u8>, &str)>) {
    let folder = Folder::new();
    for (manifest, expected) in cases {
        folder.write("m.yaml", &manifest);
        let line = folder.fails("quickstart", "m.yaml").await;
        let said = line.strip_prefix("m.yaml: ").unwrap_or_else(|| panic!("{line}"));
        let shown: String = String::from_utf8_lossy(&manifest).chars().take(300).collect();
        assert_eq!(said, expected, "{shown}");
    }
}

fn after(start: &str, rest: &str) -> Vec<u8> {
    format!("{start}{rest}").into_bytes()
}

fn pod(spec: &str) -> Vec<u8> {
    format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: a}}\nspec: {spec}\n").into_bytes()
}

#[tokio::test]
async fn files_that_cannot_be_read() {
    let folder = Folder::new();
    create_dir(folder.path("folder")).unwrap();
    let line = folder.fails("quickstart", "missing.yaml").await;
    assert_eq!(line, "missing.yaml: cannot be read: No such file or directory (os error 2)");
    let line = folder.fails("quickstart", "folder").await;
    assert_eq!(line, "folder: cannot be read: Is a directory (os error 21)");
}

#[tokio::test]
async fn files_without_an_object() {
    check([
        (Vec::new(), "no objects found"),
        (b"# nothing\n---\n# here\n".to_vec(), "no objects found"),
        (b"apiVersion: v1\nkind: List\nitems: []\n".to_vec(), "no objects found"),
        (b"hello\n".to_vec(), "document 1: an object was expected"),
        (b"- apiVersion: v1\n  kind: ConfigMap\n".to_vec(), "document 1: an object was expected"),
        (b"apiVersion: v1\nkind: List\n".to_vec(), "document 1: items: a list was expected"),
    ])
    .await;
}

#[tokio::test]
async fn text_that_is_not_yaml() {
    let utf16: Vec<u8> = "\u{feff}kind: Pod\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    check([
        (b"kind: [\n".to_vec(), "document 1: cannot be read as YAML: line 1: unclosed bracket '['"),
        (b"{\"kind\": \"Pod\"".to_vec(), "document 1: cannot be read as YAML: line 1: unclosed bracket '{'"),
        (
            after(TYPE, "metadata:\n\tname: a\n"),
            "document 1: cannot be read as YAML: line 4: tabs disallowed within this context (block indentation)",
        ),
        (
            after(NAMED, "data: {a: b}\ndata: {a: c}\n"),
            "document 1: cannot be read as YAML: line 5: key \"data\" already set in map",
        ),
        (b"kind: \xff\n".to_vec(), "not UTF-8: invalid byte at offset 6"),
        (utf16, "not UTF-8: invalid byte at offset 0"),
    ])
    .await;
}

#[tokio::test]
async fn types_that_are_not_served() {
    check([
        (b"metadata: {name: a}\n".to_vec(), "document 1: apiVersion: Required value"),
        (b"apiVersion: v1\n".to_vec(), "document 1: kind: Required value"),
        (b"apiVersion: 1\nkind: Pod\n".to_vec(), "document 1: apiVersion: a string was expected"),
        (b"apiVersion: v1\nkind: Pdo\n".to_vec(), "document 1: no matches for kind \"Pdo\" in version \"v1\""),
        (
            b"apiVersion: apps/v9\nkind: Deployment\n".to_vec(),
            "document 1: no matches for kind \"Deployment\" in version \"apps/v9\"",
        ),
        (
            b"apiVersion: ../v1?a=b c\nkind: Pod\n".to_vec(),
            "document 1: no matches for kind \"Pod\" in version \"../v1?a=b c\"",
        ),
    ])
    .await;
}

#[tokio::test]
async fn fields_that_are_unknown_or_of_the_wrong_type() {
    check([
        (
            pod("{containers: [{name: a, image: b, prots: []}]}"),
            "document 1: Pod in version \"v1\" cannot be handled as a Pod: \
             strict decoding error: unknown field \"spec.containers[0].prots\"",
        ),
        (
            pod("{containers: [{name: a, image: b, ports: [{containerPort: http}]}]}"),
            "document 1: Pod in version \"v1\" cannot be handled as a Pod: json: cannot unmarshal string into \
             Go struct field ContainerPort.spec.containers.ports.containerPort of type int32",
        ),
        (
            after(NAMED, "data: {a: yes}\n"),
            "document 1: ConfigMap in version \"v1\" cannot be handled as a ConfigMap: \
             json: cannot unmarshal bool into Go struct field ConfigMap.data of type string",
        ),
        (
            after(TYPE, "metadata: {name: 5}\n"),
            "document 1: ConfigMap in version \"v1\" cannot be handled as a ConfigMap: \
             json: cannot unmarshal number into Go struct field ObjectMeta.metadata.name of type string",
        ),
    ])
    .await;
}

#[tokio::test]
async fn values_that_are_invalid() {
    let deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec:\n  selector: {matchLabels: {a: b}}\n  \
                      template: {metadata: {labels: {a: c}}, spec: {containers: [{name: a, image: b}]}}\n";
    check([
        (
            deployment.into(),
            "document 1: Deployment.apps \"a\" is invalid: spec.template.metadata.labels: Invalid value: \
             {\"a\":\"c\"}: `selector` does not match template `labels`",
        ),
        (
            TYPE.into(),
            "document 1: ConfigMap \"\" is invalid: metadata.name: Required value: name or generateName is required",
        ),
        (
            after(TYPE, "metadata: {}\n"),
            "document 1: ConfigMap \"\" is invalid: metadata.name: Required value: name or generateName is required",
        ),
        (after(TYPE, "metadata: {name: a, namespace: nowhere}\n"), "document 1: namespaces \"nowhere\" not found"),
        (
            after(TYPE, "metadata: {name: a, namespace: a/b?c}\n"),
            "document 1: metadata.namespace: Invalid value: \"a/b?c\": a lowercase RFC 1123 label must consist of lower case \
             alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or \
             '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
        ),
    ])
    .await;
}

#[tokio::test]
async fn what_is_too_large() {
    let bomb = (1..10).fold("x0: &x0 [x]\n".to_owned(), |text, i| {
        text + &format!("x{i}: &x{i} [{}]\n", vec![format!("*x{}", i - 1); 10].join(","))
    });
    let nested = |depth: usize| format!("data: {}{}\n", "[".repeat(depth), "]".repeat(depth));
    let text = |length: usize| format!("data: {{a: {}}}\n", "x".repeat(length));
    check([
        (
            after(NAMED, &bomb),
            "document 1: cannot be read as YAML: line 10: too many values, counting what aliases stand for",
        ),
        (after(NAMED, &nested(100)), "document 1: cannot be read as YAML: line 4: nested 65 deep or deeper"),
        (after(NAMED, &nested(100_000)), "document 1: cannot be read as YAML: line 4: recursion limit exceeded"),
        (after(NAMED, &text(5 * MEBIBYTE)), "document 1: Request entity too large: limit is 3145728"),
        (
            after(NAMED, &text(2 * MEBIBYTE)),
            "document 1: ConfigMap \"a\" is invalid: []: Too long: may not be more than 1048576 bytes",
        ),
    ])
    .await;
}

#[tokio::test]
async fn all_documents_are_read_before_the_first_is_created() {
    check([
        (after(NAMED, "---\nkind: [\n"), "document 2: cannot be read as YAML: line 5: unclosed bracket '['"),
        (after(NAMED, "---\r\n# none\r\n---\r\nkind: Pod\r\n"), "document 3: apiVersion: Required value"),
        (
            b"\xef\xbb\xbf---\napiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Pod}, {kind: Pod}]\n"
                .to_vec(),
            "document 1: items[1].apiVersion: Required value",
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_document_that_the_server_refuses_is_numbered() {
    let folder = Folder::new();
    folder.write("m.yaml", after(NAMED, "---\napiVersion: v1\nkind: Secret\nmetadata: {name: b}\ndta: {}\n"));
    let output = folder.run("quickstart", "m.yaml").await;
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "configmap/a created\n");
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "m.yaml: document 2: Secret in version \"v1\" cannot be handled as a Secret: \
         strict decoding error: unknown field \"dta\"\n"
    );
}
