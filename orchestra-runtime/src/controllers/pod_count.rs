//! Numbers of pods that may be said as a share of all of them.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// The number that is meant where there are `total`.
pub(super) fn of(value: &IntOrString, total: i32, round_up: bool) -> i32 {
    match value {
        IntOrString::Int(amount) => *amount,
        IntOrString::String(text) => {
            // Validation lets only percentages through.
            let percent: i64 = text.strip_suffix('%').and_then(|number| number.parse().ok()).unwrap_or(0);
            let hundredths = percent.saturating_mul(i64::from(total));
            let amount = if round_up { hundredths.saturating_add(99) / 100 } else { hundredths / 100 };
            i32::try_from(amount).unwrap_or(i32::MAX)
        }
    }
}
