//! Resource quantities (`100m`, `1.5Gi`, `3e2`), exact: no floating point.
//!
//! The rules are those of `k8s.io/apimachinery/pkg/api/resource`: values are kept to a precision of 10⁻⁹ (finer ones round
//! away from zero), their magnitude is capped at 2⁶³-1, and the canonical form is the one Kubernetes prints.

use std::{
    fmt,
    iter::Sum,
    ops::{Add, Neg, Sub},
    str::FromStr,
};

use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;

const NANOS: i128 = 1_000_000_000;
const MAX: i128 = i64::MAX as i128 * NANOS;

/// An exact amount of a resource.
///
/// ```
/// use orchestra_core::quantity::Quantity;
/// let cpu: Quantity = "1500m".parse()?;
/// assert_eq!(cpu.milli_value(), 1500);
/// assert_eq!((cpu + "0.5".parse()?).to_string(), "2");
/// assert_eq!("1024Mi".parse::<Quantity>()?.to_string(), "1Gi");
/// # Ok::<(), orchestra_core::quantity::ParseError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Quantity {
    nanos: i128,
    format: Format,
}

/// Which suffixes the canonical form uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Format {
    /// `Ki`, `Mi`, ...
    Binary,
    /// `m`, `k`, `M`, ...
    #[default]
    Decimal,
    /// `e3`, `e6`, ...
    Exponent,
}

/// Why a text is not a quantity, in Kubernetes' words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The text does not have the form of a number with a suffix.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Format,
    /// The suffix is not one of the known.
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

impl Quantity {
    /// A whole number, written with decimal suffixes.
    pub const fn from_value(value: i64) -> Self {
        Self { nanos: value as i128 * NANOS, format: Format::Decimal }
    }

    /// A number of thousandths, as CPU is counted.
    pub const fn from_milli(milli: i64) -> Self {
        Self { nanos: milli as i128 * (NANOS / 1000), format: Format::Decimal }
    }

    /// A whole number of bytes, written with binary suffixes.
    pub const fn from_bytes(bytes: i64) -> Self {
        Self { nanos: bytes as i128 * NANOS, format: Format::Binary }
    }

    /// The amount in whole units, rounded away from zero.
    pub fn value(self) -> i64 {
        self.scaled(NANOS)
    }

    /// The amount in thousandths, rounded away from zero.
    pub fn milli_value(self) -> i64 {
        self.scaled(NANOS / 1000)
    }

    /// Whether the amount is zero.
    pub fn is_zero(self) -> bool {
        self.nanos == 0
    }

    /// Whether the amount is below zero.
    pub fn is_negative(self) -> bool {
        self.nanos < 0
    }

    /// Whether the amount is a multiple of one.
    pub fn is_whole(self) -> bool {
        self.nanos % NANOS == 0
    }

    /// The amount as a floating-point number, which may be near it only.
    pub fn as_f64(self) -> f64 {
        self.nanos as f64 / NANOS as f64
    }

    fn scaled(self, unit: i128) -> i64 {
        let rounded = div_away_from_zero(self.nanos, unit);
        i64::try_from(rounded).unwrap_or(if rounded < 0 { i64::MIN } else { i64::MAX })
    }

    fn combine(self, other: Self, nanos: i128) -> Self {
        // As in Kubernetes a zero takes on the format of what is added to it.
        let format = if self.is_zero() { other.format } else { self.format };
        Self { nanos: nanos.clamp(-MAX, MAX), format }
    }
}

impl FromStr for Quantity {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (negative, unsigned) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(ParseError::Format);
        }
        let scale = Scale::parse(suffix)?;
        let magnitude = magnitude(whole, fraction, scale);
        Ok(Self { nanos: if negative { -magnitude } else { magnitude }, format: scale.format() })
    }
}

#[derive(Clone, Copy)]
enum Scale {
    /// Powers of 1024.
    Binary(u32),
    /// Powers of ten by suffix.
    Decimal(i32),
    /// Powers of ten by exponent.
    Exponent(i32),
}

impl Scale {
    fn parse(suffix: &str) -> Result<Self, ParseError> {
        Ok(match suffix {
            "" => Self::Decimal(0),
            "n" => Self::Decimal(-9),
            "u" => Self::Decimal(-6),
            "m" => Self::Decimal(-3),
            "k" => Self::Decimal(3),
            "M" => Self::Decimal(6),
            "G" => Self::Decimal(9),
            "T" => Self::Decimal(12),
            "P" => Self::Decimal(15),
            "E" => Self::Decimal(18),
            "Ki" => Self::Binary(1),
            "Mi" => Self::Binary(2),
            "Gi" => Self::Binary(3),
            "Ti" => Self::Binary(4),
            "Pi" => Self::Binary(5),
            "Ei" => Self::Binary(6),
            _ => Self::Exponent(parse_exponent(suffix)?),
        })
    }

    fn format(self) -> Format {
        match self {
            Self::Binary(_) => Format::Binary,
            Self::Decimal(_) => Format::Decimal,
            Self::Exponent(_) => Format::Exponent,
        }
    }
}

fn parse_exponent(suffix: &str) -> Result<i32, ParseError> {
    let letters = suffix.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-'));
    if !letters.chars().all(|c| "eEinumkKMGTP".contains(c)) {
        return Err(ParseError::Format);
    }
    let digits = suffix.strip_prefix(['e', 'E']).ok_or(ParseError::Suffix)?;
    digits.parse().map_err(|_| ParseError::Suffix)
}

/// The absolute value in nanos, rounded up and capped.
fn magnitude(whole: &str, fraction: &str, scale: Scale) -> i128 {
    // digits * 10^exponent * factor
    let (mut exponent, factor) = match scale {
        Scale::Binary(power) => (0, 1_i128 << (10 * power)),
        Scale::Decimal(exponent) | Scale::Exponent(exponent) => (i64::from(exponent), 1),
    };
    let mut digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).map(|b| b - b'0').collect();
    exponent += 9 - i64::try_from(fraction.len()).unwrap_or(i64::MAX);
    while digits.last() == Some(&0) {
        digits.pop();
        exponent += 1;
    }
    let significant = digits.iter().skip_while(|d| **d == 0).copied();
    let mut value: i128 = 0;
    let mut truncated = false;
    for digit in significant {
        // Beyond 25 digits a value is either over the cap or its tail is below the precision.
        match value.checked_mul(10).filter(|v| *v < i128::MAX / (1 << 61)) {
            Some(v) => value = v + i128::from(digit),
            None => {
                exponent += 1;
                truncated |= digit != 0;
            }
        }
    }
    value = value.saturating_mul(factor);
    if value == 0 {
        return 0;
    }
    while exponent > 0 && value < MAX {
        value *= 10;
        exponent -= 1;
    }
    if exponent < 0 {
        let divisor = u32::try_from(-exponent).ok().and_then(|e| 10_i128.checked_pow(e));
        let round_up = |quotient: i128, rest: bool| quotient + i128::from(rest || truncated);
        value = divisor.map_or(1, |d| round_up(value / d, value % d != 0));
    }
    value.min(MAX)
}

fn div_away_from_zero(value: i128, unit: i128) -> i128 {
    let quotient = value / unit;
    if value % unit == 0 { quotient } else { quotient + value.signum() }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanos == 0 {
            return f.write_str("0");
        }
        let small = self.nanos.abs() < 1024 * NANOS;
        match self.format {
            Format::Binary if !small => {
                let (mut value, mut power) = (div_away_from_zero(self.nanos, NANOS), 0);
                while value % 1024 == 0 && power < 6 {
                    value /= 1024;
                    power += 1;
                }
                write!(f, "{value}{}", ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"][power])
            }
            Format::Exponent => {
                let (value, exponent) = thousands(self.nanos);
                if exponent == 0 { write!(f, "{value}") } else { write!(f, "{value}e{exponent}") }
            }
            Format::Binary | Format::Decimal => {
                let (value, exponent) = thousands(self.nanos);
                let suffix = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
                // `thousands` gives exponents from -9 to 18 only, in steps of three.
                let index = usize::try_from((exponent + 9) / 3).unwrap_or_default();
                write!(f, "{value}{}", suffix.get(index).copied().unwrap_or_default())
            }
        }
    }
}

/// The value without the thousands that divide it, and their exponent of ten: at most 18, the suffix `E`.
fn thousands(nanos: i128) -> (i128, i32) {
    let (mut value, mut exponent) = (nanos, -9);
    while value % 1000 == 0 && exponent < 18 {
        value /= 1000;
        exponent += 3;
    }
    (value, exponent)
}

impl Add for Quantity {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.combine(other, self.nanos + other.nanos)
    }
}

impl Sub for Quantity {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self.combine(other, self.nanos - other.nanos)
    }
}

impl Neg for Quantity {
    type Output = Self;

    fn neg(self) -> Self {
        Self { nanos: -self.nanos, format: self.format }
    }
}

impl Sum for Quantity {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::default(), Add::add)
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl TryFrom<&ApiQuantity> for Quantity {
    type Error = ParseError;

    fn try_from(quantity: &ApiQuantity) -> Result<Self, ParseError> {
        quantity.0.parse()
    }
}

impl From<Quantity> for ApiQuantity {
    fn from(quantity: Quantity) -> Self {
        Self(quantity.to_string())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn canonical(text: &str) -> String {
        text.parse::<Quantity>().unwrap().to_string()
    }

    #[test]
    fn the_canonical_form_has_the_largest_suffix_without_a_fraction() {
        for (text, expected) in [
            ("0", "0"),
            ("0Ki", "0"),
            ("1000", "1k"),
            ("1.5", "1500m"),
            ("0.1", "100m"),
            ("1024", "1024"),
            ("1024Ki", "1Mi"),
            ("1.5Gi", "1536Mi"),
            ("100Ki", "100Ki"),
            ("0.5Ki", "512"),
            ("1e3", "1e3"),
            ("12e3", "12e3"),
            ("1E3", "1e3"),
            ("1E", "1E"),
            ("1Ei", "1Ei"),
            ("-1500m", "-1500m"),
            ("+5", "5"),
            (".5", "500m"),
            ("5.", "5"),
            ("1n", "1n"),
            ("0.1n", "1n"),
            ("123456789k", "123456789k"),
        ] {
            assert_eq!(canonical(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_a_quantity_is_refused() {
        for text in ["", "abc", "1.2.3", "-", ".", "1 ", " 1", "1x", "é", "1é"] {
            assert_eq!(text.parse::<Quantity>(), Err(ParseError::Format), "{text:?}");
        }
        for text in ["1Mm", "1K", "1e", "1i", "1ee3", "1e3.5x"] {
            assert!(text.parse::<Quantity>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn values_round_away_from_zero() {
        assert_eq!("1m".parse::<Quantity>().unwrap().value(), 1);
        assert_eq!("-1m".parse::<Quantity>().unwrap().value(), -1);
        assert_eq!("1u".parse::<Quantity>().unwrap().milli_value(), 1);
    }

    #[test]
    fn huge_values_are_capped() {
        for text in ["9223372036854775808", "1e100", "99999999999999999999999999999999999999999999999999Ei"] {
            assert_eq!(text.parse::<Quantity>().unwrap().value(), i64::MAX, "{text}");
        }
        assert_eq!("1e-100".parse::<Quantity>().unwrap().to_string(), "1e-9");
    }

    proptest! {
        #[test]
        fn any_text_parses_or_fails_without_panic(text in ".*") {
            let _ = text.parse::<Quantity>();
        }

        #[test]
        fn any_number_with_a_suffix_parses(text in "[+-]?[0-9]{1,60}(\\.[0-9]{0,60})?(n|u|m||k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][+-]?[0-9]{1,3})") {
            prop_assert!(text.parse::<Quantity>().is_ok());
        }

        #[test]
        fn the_canonical_form_is_the_same_amount(nanos in any::<i64>(), binary in any::<bool>()) {
            let format = if binary && nanos.unsigned_abs() < 9_000_000 { Format::Binary } else { Format::Decimal };
            let nanos = if format == Format::Binary { i128::from(nanos) * NANOS } else { i128::from(nanos) };
            let quantity = Quantity { nanos, format };
            prop_assert_eq!(quantity.to_string().parse::<Quantity>().unwrap(), quantity);
        }

        #[test]
        fn milli_values_survive_a_round_trip(milli in any::<i32>()) {
            let text = Quantity::from_milli(i64::from(milli)).to_string();
            prop_assert_eq!(text.parse::<Quantity>().unwrap().milli_value(), i64::from(milli));
        }
    }
}
