//! Semantic versions, as attributes of devices and as a type of their selectors (`library.SemverLib` of Kubernetes' CEL environment).

use std::{any::Any, cmp::Ordering};

use cel::{
    DeclarationError, Env, ExecutionError,
    common::{
        types::{CelBool, CelInt, CelString, Type},
        value::{StaticVal, Val},
    },
};

static TYPE: Type = Type::new_unspecified_type("kubernetes.Semver");

/// Whether a text is a version as semver.org 2.0.0 has it.
pub fn is_version(text: &str) -> bool {
    semver::Version::parse(text).is_ok()
}

/// A version in an expression. Build metadata does not count when versions are compared.
#[derive(Clone, Debug)]
pub(super) struct Version(semver::Version);

impl Version {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        semver::Version::parse(text).map(Self).map_err(|error| error.to_string())
    }
}

impl Val for Version {
    fn get_type(&self) -> &Type {
        &TYPE
    }

    fn cel_type() -> &'static Type {
        &TYPE
    }

    fn equals(&self, other: &dyn Val) -> bool {
        other.downcast_ref::<Self>().is_some_and(|other| compare(self, other) == Ordering::Equal)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Version {}

fn compare(a: &Version, b: &Version) -> Ordering {
    a.0.cmp_precedence(&b.0)
}

/// Adds the functions of versions.
pub(super) fn library(env: &mut Env) -> Result<(), DeclarationError> {
    env.add_type(TYPE.to_owned())?;
    cel::add_overload!(env, fn semver: (CelString<'_>) -> Result<Version>)?;
    cel::add_overload!(env, fn semver_normalized: (CelString<'_>, CelBool) -> Result<Version>, name = "semver")?;
    cel::add_overload!(env, fn is_semver: (CelString<'_>) -> CelBool)?;
    cel::add_overload!(env, fn is_semver_normalized: (CelString<'_>, CelBool) -> CelBool, name = "isSemver")?;
    cel::add_member_overload!(env, fn major: (Version) -> CelInt)?;
    cel::add_member_overload!(env, fn minor: (Version) -> CelInt)?;
    cel::add_member_overload!(env, fn patch: (Version) -> CelInt)?;
    cel::add_member_overload!(env, fn is_less_than: (Version, Version) -> CelBool)?;
    cel::add_member_overload!(env, fn is_greater_than: (Version, Version) -> CelBool)?;
    cel::add_member_overload!(env, fn compare_to: (Version, Version) -> CelInt)
}

fn semver(text: &CelString<'_>) -> Result<Version, ExecutionError> {
    Version::parse(text.inner()).map_err(|why| ExecutionError::function_error("semver", why))
}

fn semver_normalized(text: &CelString<'_>, normalize: &CelBool) -> Result<Version, ExecutionError> {
    let normalized = if *normalize.inner() { normal_form(text.inner()) } else { text.inner().to_owned() };
    Version::parse(&normalized).map_err(|why| ExecutionError::function_error("semver", why))
}

/// The version that is meant by `v1.02`: without the `v`, of three numbers, which do not begin with zeros.
fn normal_form(text: &str) -> String {
    let text = text.strip_prefix('v').unwrap_or(text);
    let end = text.find(['-', '+']).unwrap_or(text.len());
    let (numbers, rest) = text.split_at(end);
    let plain = |number: &str| match number.trim_start_matches('0') {
        "" if !number.is_empty() => "0".to_owned(),
        plain => plain.to_owned(),
    };
    let mut numbers: Vec<String> = numbers.split('.').map(plain).collect();
    while numbers.len() < 3 {
        numbers.push("0".to_owned());
    }
    format!("{}{rest}", numbers.join("."))
}

fn is_semver(text: &CelString<'_>) -> CelBool {
    is_version(text.inner()).into()
}

fn is_semver_normalized(text: &CelString<'_>, normalize: &CelBool) -> CelBool {
    semver_normalized(text, normalize).is_ok().into()
}

fn number(number: u64) -> CelInt {
    i64::try_from(number).unwrap_or(i64::MAX).into()
}

fn major(version: &Version) -> CelInt {
    number(version.0.major)
}

fn minor(version: &Version) -> CelInt {
    number(version.0.minor)
}

fn patch(version: &Version) -> CelInt {
    number(version.0.patch)
}

fn is_less_than(a: &Version, b: &Version) -> CelBool {
    (compare(a, b) == Ordering::Less).into()
}

fn is_greater_than(a: &Version, b: &Version) -> CelBool {
    (compare(a, b) == Ordering::Greater).into()
}

fn compare_to(a: &Version, b: &Version) -> CelInt {
    (compare(a, b) as i64).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_brought_to_their_normal_form() {
        let cases = [("v1", "1.0.0"), ("1.02", "1.2.0"), ("1.0.00-rc.1", "1.0.0-rc.1"), ("v01.1.1+b", "1.1.1+b")];
        for (text, normal) in cases {
            assert_eq!(normal_form(text), normal, "{text}");
        }
    }
}
