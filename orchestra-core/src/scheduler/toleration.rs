use k8s_openapi::api::core::v1::Toleration;

use super::{Effect, Taint};

/// Whether `toleration` covers `taint`. No effect stands for all effects, and no key (with the operator `Exists`) for all keys.
pub fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let effect = toleration.effect.as_deref().filter(|effect| !effect.is_empty());
    if effect.is_some_and(|effect| Effect::parse(effect) != Some(taint.effect)) {
        return false;
    }
    let key = toleration.key.as_deref().filter(|key| !key.is_empty());
    if key.is_some_and(|key| key != taint.key) {
        return false;
    }
    match toleration.operator.as_deref() {
        Some("Exists") => true,
        None | Some("" | "Equal") => key.is_some() && toleration.value.as_deref().unwrap_or_default() == taint.value,
        Some(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toleration(key: &str, operator: &str, value: &str, effect: &str) -> Toleration {
        Toleration {
            key: Some(key.to_owned()),
            operator: Some(operator.to_owned()),
            value: Some(value.to_owned()),
            effect: Some(effect.to_owned()),
            toleration_seconds: None,
        }
    }

    #[test]
    fn tolerations_match_as_the_api_documents() {
        let taint = Taint { key: "gpu".into(), value: "a100".into(), effect: Effect::NoSchedule };
        for (key, operator, value, effect, expected) in [
            ("gpu", "Equal", "a100", "NoSchedule", true),
            ("gpu", "", "a100", "NoSchedule", true),
            ("gpu", "Equal", "a100", "", true),
            ("gpu", "Exists", "", "NoSchedule", true),
            ("", "Exists", "", "", true),
            ("gpu", "Equal", "h100", "NoSchedule", false),
            ("gpu", "Equal", "a100", "NoExecute", false),
            ("cpu", "Exists", "", "NoSchedule", false),
            ("", "Equal", "a100", "NoSchedule", false),
            ("gpu", "Near", "a100", "NoSchedule", false),
        ] {
            let case = toleration(key, operator, value, effect);
            assert_eq!(tolerates(&case, &taint), expected, "{case:?}");
        }
    }
}
