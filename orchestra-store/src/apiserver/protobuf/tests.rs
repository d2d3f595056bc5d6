use serde_json::json;

use super::*;

/// A field of bytes; all lengths in these tests fit in one byte.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2, u8::try_from(bytes.len()).unwrap()];
    field.extend(bytes);
    field
}

fn body(version: &str, kind: &str, object: &[u8]) -> Vec<u8> {
    let type_meta = [field(1, version.as_bytes()), field(2, kind.as_bytes())].concat();
    [MAGIC.to_vec(), field(1, &type_meta), field(2, object)].concat()
}

#[test]
fn a_namespace_as_kubectl_sends_it() {
    let metadata = [field(1, b"team"), field(2, b""), field(8, b"")].concat();
    let namespace = [field(1, &metadata), field(2, b""), field(3, &field(1, b""))].concat();
    let expected =
        json!({"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "team"}, "spec": {}, "status": {}});
    assert_eq!(Value::Object(object(&body("v1", "Namespace", &namespace)).unwrap()), expected);
}

#[test]
fn a_zero_is_kept_where_it_is_not_the_default() {
    let spec = [vec![0x08, 0], vec![0x28, 0]].concat();
    let object = object(&body("apps/v1", "Deployment", &field(2, &spec))).unwrap();
    assert_eq!(object["spec"], json!({"replicas": 0}));
}

#[test]
fn maps_bytes_and_inlined_messages_have_the_form_of_json() {
    let secret = field(2, &[field(1, b"k"), field(2, b"v")].concat());
    assert_eq!(object(&body("v1", "Secret", &secret)).unwrap()["data"], json!({"k": "dg=="}));
    let volume = [field(1, b"v"), field(2, &field(2, b""))].concat();
    let pod = field(2, &field(1, &volume));
    assert_eq!(object(&body("v1", "Pod", &pod)).unwrap()["spec"]["volumes"], json!([{"name": "v", "emptyDir": {}}]));
}

#[test]
fn what_else_is_known_of_a_user_is_a_map_of_lists() {
    let values = [field(1, b"v"), field(1, b"w")].concat();
    let extra = field(5, &[field(1, b"k"), field(2, &values)].concat());
    let review = body("authorization.k8s.io/v1", "SubjectAccessReview", &field(2, &[field(3, b"u"), extra].concat()));
    assert_eq!(object(&review).unwrap()["spec"], json!({"user": "u", "extra": {"k": ["v", "w"]}}));
}

#[test]
fn no_part_of_a_body_makes_it_panic() {
    let whole = body("v1", "ConfigMap", &field(2, &[field(1, b"k"), field(2, b"v")].concat()));
    for length in 0..whole.len() {
        let _ = object(&whole[..length]);
        let mut broken = whole.clone();
        broken[length] ^= 0xff;
        let _ = object(&broken);
    }
    assert_eq!(object(b"{}").unwrap_err(), ProtobufError::Prefix);
}

#[test]
fn every_type_of_the_table_is_known() {
    let scalars = [
        "int",
        "bool",
        "string",
        "bytes",
        "Quantity",
        "IntOrString",
        "Time",
        "MicroTime",
        "FieldsV1",
        "RawExtension",
        "ExtraValue",
    ];
    for (name, fields) in messages() {
        for field in fields {
            assert!(
                scalars.contains(&field.kind) || messages().contains_key(field.kind),
                "{name}.{}: {}",
                field.name,
                field.kind
            );
        }
    }
}
