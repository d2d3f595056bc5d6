use http::{Request, header};
use serde_json::json;

use crate::harness::{MERGE, Server};

const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
const ENDPOINTS: &str = "/api/v1/namespaces/default/endpoints";
const DEPRECATED: &str = "\"v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice\"";
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

#[tokio::test]
async fn every_answer_about_endpoints_says_that_they_are_deprecated() {
    let server = Server::start().await;
    let subsets = json!([{"addresses": [{"ip": "10.0.0.2"}, {"ip": "10.0.0.1"}], "ports": [{"port": 80}]}]);
    let created = server.post(ENDPOINTS, json!({"metadata": {"name": "web"}, "subsets": subsets}).to_string()).await;
    assert_eq!(created.warnings(), [DEPRECATED]);
    let first = &created.json()["subsets"][0];
    assert_eq!(first["addresses"], json!([{"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}]), "one form is stored");
    assert_eq!(first["ports"], json!([{"port": 80, "protocol": "TCP"}]));
    let one = format!("{ENDPOINTS}/web");
    assert_eq!(server.get(&one).await.warnings(), [DEPRECATED]);
    assert_eq!(server.get(ENDPOINTS).await.warnings(), [DEPRECATED]);
    let patched = server.with_body("PATCH", &one, MERGE, json!({"subsets": [{}]}).to_string()).await;
    assert_eq!((patched.code.as_u16(), patched.warnings()), (422, vec![DEPRECATED]));
    let table = server.accepting(ENDPOINTS, TABLE).await.json();
    assert_eq!(table["rows"][0]["cells"][1], "10.0.0.1:80,10.0.0.2:80");
    assert!(server.get(SLICES).await.warnings().is_empty());
}

#[tokio::test]
async fn empty_lists_of_slices_are_null() {
    let server = Server::start().await;
    let slice = json!({"metadata": {"name": "web"}, "addressType": "IPv4", "endpoints": [], "ports": []});
    let created = server.post(SLICES, slice.to_string()).await;
    let created = created.json();
    assert!(created["endpoints"].is_null() && created.as_object().unwrap().contains_key("endpoints"), "{created}");
    assert!(created["ports"].is_null() && created.as_object().unwrap().contains_key("ports"));
    assert_eq!(created["metadata"]["generation"], 1);
    let filled = json!({"endpoints": [{"addresses": ["10.0.0.1"]}], "ports": [{"port": 80}]});
    let filled = server.with_body("PATCH", &format!("{SLICES}/web"), MERGE, filled.to_string()).await.json();
    assert_eq!(filled["endpoints"], json!([{"addresses": ["10.0.0.1"], "conditions": {}}]));
    assert_eq!(filled["ports"], json!([{"name": "", "port": 80, "protocol": "TCP"}]));
    assert_eq!(filled["metadata"]["generation"], 2);
}

/// A field of bytes; all lengths here fit in one byte.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, u8::try_from(bytes.len()).expect("a short field")], bytes].concat()
}

#[tokio::test]
async fn typed_clients_send_slices_in_protobuf() {
    let server = Server::start().await;
    let metadata = field(1, b"web");
    let endpoint = [field(1, b"10.0.0.1"), field(2, &[1 << 3, 1]), field(6, b"n1")].concat();
    let port = [field(1, b"http"), field(2, b"TCP"), vec![3 << 3, 80]].concat();
    let slice = [field(1, &metadata), field(2, &endpoint), field(3, &port), field(4, b"IPv4")].concat();
    let type_meta = [field(1, b"discovery.k8s.io/v1"), field(2, b"EndpointSlice")].concat();
    let body = [b"k8s\0".to_vec(), field(1, &type_meta), field(2, &slice)].concat();
    let request = Request::post(SLICES).header(header::CONTENT_TYPE, "application/vnd.kubernetes.protobuf");
    let created = server.send(request.body(body.into()).unwrap()).await.json();
    let expected = json!([{"addresses": ["10.0.0.1"], "conditions": {"ready": true}, "nodeName": "n1"}]);
    assert_eq!((&created["endpoints"], &created["addressType"]), (&expected, &json!("IPv4")), "{created}");
    assert_eq!(created["ports"], json!([{"name": "http", "port": 80, "protocol": "TCP"}]));
}
