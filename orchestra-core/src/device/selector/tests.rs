use proptest::prelude::*;
use serde_json::json;

use super::*;

const DRIVER: &str = "dra.example.com";

fn device() -> Device {
    serde_json::from_value(json!({
        "name": "gpu-0",
        "allowMultipleAllocations": true,
        "attributes": {
            "model": { "string": "a100" },
            "index": { "int": 3 },
            "healthy": { "bool": true },
            "driverVersion": { "version": "1.2.3-rc.1+build" },
            "other.example.com/model": { "string": "b" },
        },
        "capacity": { "memory": { "value": "40Gi" }, "other.example.com/lanes": { "value": "16" } },
    }))
    .unwrap()
}

fn ask(expression: &str) -> Result<bool, String> {
    Selector::compile(expression).map_err(|error| error.to_string())?.matches(DRIVER, &device())
}

#[test]
fn attributes_and_capacity_are_found_by_domain_and_name() {
    for expression in [
        r#"device.driver == "dra.example.com""#,
        "device.allowMultipleAllocations",
        r#"device.attributes["dra.example.com"].model == "a100""#,
        r#"device.attributes["dra.example.com"].index > 2"#,
        r#"device.attributes["dra.example.com"].healthy"#,
        r#"device.attributes["other.example.com"].model == "b""#,
        r#"device.capacity["other.example.com"].lanes == quantity("16")"#,
        r#""dra.example.com" in device.attributes"#,
        r#"!("absent.example.com" in device.attributes)"#,
        r#"size(device.attributes) == 2"#,
    ] {
        assert_eq!(ask(expression), Ok(true), "{expression}");
    }
}

#[test]
fn what_a_device_does_not_have_can_be_asked_about() {
    assert_eq!(ask(r#"has(device.attributes["dra.example.com"].nothing)"#), Ok(false));
    assert_eq!(ask(r#"has(device.attributes["nowhere"].nothing)"#), Ok(false));
    let error = ask(r#"device.attributes["dra.example.com"].nothing == 1"#);
    assert_eq!(error, Err("no such key: nothing".to_owned()));
    assert_eq!(ask(r#"device.attributes["nowhere"].nothing"#), Err("no such key: nothing".to_owned()));
}

#[test]
fn regular_expressions_find() {
    for expression in [
        r#""abc 123".find("[0-9]+") == "123""#,
        r#""abc".find("[0-9]+") == """#,
        r#""123 abc 456".findAll("[0-9]+") == ["123", "456"]"#,
        r#""123 abc 456".findAll("[0-9]+", 1) == ["123"]"#,
        r#""123 abc 456".findAll("[0-9]+", 0) == []"#,
        r#""123 abc 456".findAll("[0-9]+", -1) == ["123", "456"]"#,
        r#"int(device.attributes["dra.example.com"].model.find("[0-9]+")) == 100"#,
    ] {
        assert_eq!(ask(expression), Ok(true), "{expression}");
    }
    let error = ask(r#""a".find("(") == "a""#).unwrap_err();
    assert!(error.starts_with("Illegal regex"), "{error}");
    let error = ask(r#""a".find("(((a{1000}){1000}){1000})") == "a""#).unwrap_err();
    assert!(error.starts_with("Illegal regex"), "{error}");
}

#[test]
fn addresses_are_asked_what_they_are() {
    for expression in [
        r#"isIP("192.168.0.1") && isIP("::1") && !isIP("192.168.0.1.0") && !isIP("1.2.3.04")"#,
        r#"!isIP("::ffff:1.2.3.4") && !isIP("fe80::1%eth0") && !isIP("")"#,
        r#"ip("192.168.0.1").family() == 4 && ip("::1").family() == 6"#,
        r#"ip("2001:db8::abcd") == ip("2001:DB8:0:0::ABCD") && ip("::1") != ip("::2")"#,
        r#"string(ip("2001:DB8::ABCD")) == "2001:db8::abcd""#,
        r#"ip.isCanonical("2001:db8::abcd") && !ip.isCanonical("2001:DB8::ABCD")"#,
        r#"cel.bind(ip, ip("::1"), ip.isLoopback() && ip.family() == 6)"#,
        r#"ip("0.0.0.0").isUnspecified() && ip("::").isUnspecified() && !ip("::1").isUnspecified()"#,
        r#"ip("127.0.0.1").isLoopback() && ip("::1").isLoopback() && !ip("10.0.0.1").isLoopback()"#,
        r#"ip("224.0.0.1").isLinkLocalMulticast() && ip("ff02::1").isLinkLocalMulticast()"#,
        r#"!ip("224.0.1.1").isLinkLocalMulticast() && !ip("fd00::1").isLinkLocalMulticast()"#,
        r#"ip("169.254.169.254").isLinkLocalUnicast() && ip("fe80::1").isLinkLocalUnicast()"#,
        r#"!ip("192.168.0.1").isLinkLocalUnicast()"#,
        r#"ip("192.168.0.1").isGlobalUnicast() && ip("2001:db8::abcd").isGlobalUnicast()"#,
        r#"!ip("255.255.255.255").isGlobalUnicast() && !ip("ff00::1").isGlobalUnicast()"#,
    ] {
        assert_eq!(ask(expression), Ok(true), "{expression}");
    }
    let error = ask(r#"ip("here").family() == 4"#).unwrap_err();
    assert!(error.starts_with(r#"IP Address "here" parse error during conversion from string"#), "{error}");
}

#[test]
fn ranges_are_asked_what_they_contain() {
    for expression in [
        r#"isCIDR("192.168.0.0/16") && isCIDR("::1/128") && !isCIDR("192.168.0.0/33") && !isCIDR("10.0.0.0/08")"#,
        r#"!isCIDR("192.168.0.1") && !isCIDR("::ffff:1.2.3.4/100") && !isCIDR("10.0.0.0/+8")"#,
        r#"cidr("192.168.0.0/24").containsIP("192.168.0.1")"#,
        r#"!cidr("192.168.0.0/24").containsIP(ip("192.168.1.1"))"#,
        r#"cidr("192.168.0.0/16").containsCIDR("192.168.10.0/24")"#,
        r#"!cidr("192.168.0.0/24").containsCIDR(cidr("192.168.0.0/16"))"#,
        r#"!cidr("::/0").containsIP("1.2.3.4")"#,
        r#"cidr("192.168.0.1/24").ip() == ip("192.168.0.1")"#,
        r#"cidr("192.168.0.1/24").masked() == cidr("192.168.0.0/24")"#,
        r#"cidr("192.168.0.1/24") != cidr("192.168.0.0/24")"#,
        r#"cidr("192.168.0.0/24").prefixLength() == 24"#,
        r#"string(cidr("192.168.0.1/24")) == "192.168.0.1/24""#,
    ] {
        assert_eq!(ask(expression), Ok(true), "{expression}");
    }
    let error = ask(r#"cidr("10.0.0.0").prefixLength() == 8"#).unwrap_err();
    assert!(error.starts_with(r#"network address "10.0.0.0" parse error"#), "{error}");
}

#[test]
fn quantities_are_compared_and_reckoned_with() {
    let memory = r#"device.capacity["dra.example.com"].memory"#;
    for expression in [
        "MEMORY.compareTo(quantity('40Gi')) == 0",
        "MEMORY.isGreaterThan(quantity('39Gi'))",
        "MEMORY.isLessThan(quantity('41Gi'))",
        "MEMORY.add(quantity('1Gi')).compareTo(quantity('41Gi')) == 0",
        "MEMORY.sub(1).isLessThan(MEMORY)",
        "MEMORY.isInteger() && MEMORY.asInteger() == 42949672960",
        "MEMORY.sign() == 1",
        "quantity('1500m').asApproximateFloat() == 1.5",
        "isQuantity('1Gi') && !isQuantity('1Zz')",
    ] {
        assert_eq!(ask(&expression.replace("MEMORY", memory)), Ok(true), "{expression}");
    }
    assert_eq!(ask("quantity('500m').asInteger() == 0"), Err("cannot convert value to integer".to_owned()));
}

#[test]
fn versions_are_compared_as_semver_has_it() {
    let version = r#"device.attributes["dra.example.com"].driverVersion"#;
    for expression in [
        "VERSION.isLessThan(semver('1.2.3'))",
        "VERSION.isGreaterThan(semver('1.2.3-beta'))",
        "VERSION.compareTo(semver('1.2.3-rc.1')) == 0",
        "VERSION == semver('1.2.3-rc.1+other')",
        "VERSION.major() == 1 && VERSION.minor() == 2 && VERSION.patch() == 3",
        "semver('v1.02', true) == semver('1.2.0')",
        "isSemver('1.0.0') && !isSemver('v1')",
    ] {
        assert_eq!(ask(&expression.replace("VERSION", version)), Ok(true), "{expression}");
    }
}

#[test]
fn values_can_be_named_and_texts_changed() {
    assert_eq!(ask(r#"cel.bind(dra, device.attributes["dra.example.com"], dra.healthy && dra.index == 3)"#), Ok(true));
    assert_eq!(ask(r#"device.attributes["dra.example.com"].model.upperAscii() == "A100""#), Ok(true));
    assert_eq!(ask(r#"device.attributes["dra.example.com"].model.matches("^a[0-9]+$")"#), Ok(true));
    assert_eq!(ask(r#"device.attributes.exists(domain, domain.startsWith("other."))"#), Ok(true));
}

#[test]
fn what_is_no_answer_is_an_error() {
    let error = ask(r#"device.driver"#).unwrap_err();
    assert!(error.starts_with("CEL result of type string could not be converted to bool"), "{error}");
    assert_eq!(ask("device.driver + 1 == device.driver"), Err("no such overload".to_owned()));
    assert_eq!(ask("1 / 0 == 1"), Err("division by zero".to_owned()));
}

#[test]
fn what_is_no_expression_is_refused_with_the_place() {
    let error = Selector::compile("device.driver ==").unwrap_err().to_string();
    assert!(error.starts_with("compilation failed: ERROR: <input>:1:"), "{error}");
    let error = Selector::compile("true &&\n  noSuchVar").unwrap_err().to_string();
    let expected = "compilation failed: ERROR: <input>:2:3: undeclared reference to 'noSuchVar' (in container '')\n |   noSuchVar\n | ..^";
    assert_eq!(error, expected);
}

#[test]
fn what_might_take_too_long_is_refused() {
    let list = format!("[{}]", ["1"; 60].join(","));
    let nested = |depth: usize| {
        let open: String = (0..depth).map(|level| format!("{list}.all(x{level}, ")).collect();
        format!("{open}true{}", ")".repeat(depth))
    };
    assert!(Selector::compile(&nested(2)).is_ok());
    assert_eq!(Selector::compile(&nested(5)).unwrap_err(), SelectorError::TooComplex);
    let doubled: String = (0..10).map(|level| format!("cel.bind(x{}, x{level} + x{level}, ", level + 1)).collect();
    let doubled = format!("cel.bind(x0, '{}', {doubled}x10 == ''{}", "text".repeat(2000), ")".repeat(11));
    assert_eq!(Selector::compile(&doubled).unwrap_err(), SelectorError::TooComplex);
}

#[test]
fn what_nests_too_deep_is_refused_and_what_just_does_not_is_evaluated() {
    let deep = |levels: usize| format!("{}true{}", "(".repeat(levels), ")".repeat(levels));
    let expected = "compilation failed: expression recursion limit exceeded: 32";
    assert_eq!(Selector::compile(&deep(5000)).unwrap_err().to_string(), expected);
    assert_eq!(ask(&deep(nesting::MAX)), Ok(true));
    assert_eq!(ask(&format!("{}true", "!".repeat(nesting::MAX))), Ok(true));
    assert_eq!(ask(&format!("1{} > 0", " + 1".repeat(nesting::MAX - 1))), Ok(true));
    let (open, close) = ("[1].all(x, ".repeat(nesting::MAX / 3), ")".repeat(nesting::MAX / 3));
    assert_eq!(ask(&format!("{open}true{close}")), Ok(true));
}

proptest! {
    #[test]
    fn no_text_is_the_end_of_the_process(text in r#"[-a-z0-9_."'\[\](){}!&|=<>+*/?:, \n]{0,60}"#) {
        if let Ok(selector) = Selector::compile(&text) {
            let _ = selector.matches(DRIVER, &device());
        }
    }
}
