//! Regular expressions in selectors (`library.Regex` of Kubernetes' CEL environment), beside `matches` of the language itself.

use cel::{
    DeclarationError, Env, ExecutionError,
    common::{
        types::{CelInt, CelList, CelString},
        value::Val,
    },
};
use regex::{Regex, RegexBuilder};

/// The most bytes that a compiled expression may take.
const SIZE_LIMIT: usize = 1 << 20;

/// Adds the functions.
pub(super) fn library(env: &mut Env) -> Result<(), DeclarationError> {
    cel::add_member_overload!(env, fn find: (CelString<'_>, CelString<'_>) -> Result<CelString<'_>>)?;
    cel::add_member_overload!(env, fn find_all: (CelString<'_>, CelString<'_>) -> Result<CelList<'_>>)?;
    cel::add_member_overload!(env, fn find_some: (CelString<'_>, CelString<'_>, CelInt) -> Result<CelList<'_>>, name = "findAll")
}

fn regex(function: &str, pattern: &CelString<'_>) -> Result<Regex, ExecutionError> {
    let why = |error| ExecutionError::function_error(function, format!("Illegal regex: {error}"));
    RegexBuilder::new(pattern.inner()).size_limit(SIZE_LIMIT).build().map_err(why)
}

/// What matches first; nothing where nothing does.
fn find(text: &CelString<'_>, pattern: &CelString<'_>) -> Result<CelString<'static>, ExecutionError> {
    let found = regex("find", pattern)?.find(text.inner()).map_or("", |found| found.as_str()).to_owned();
    Ok(found.into())
}

fn find_all(text: &CelString<'_>, pattern: &CelString<'_>) -> Result<CelList<'static>, ExecutionError> {
    all(text, pattern, usize::MAX)
}

/// As many as that, or all where that is less than none.
fn find_some(text: &CelString<'_>, pattern: &CelString<'_>, most: &CelInt) -> Result<CelList<'static>, ExecutionError> {
    all(text, pattern, usize::try_from(*most.inner()).unwrap_or(usize::MAX))
}

fn all(text: &CelString<'_>, pattern: &CelString<'_>, most: usize) -> Result<CelList<'static>, ExecutionError> {
    let regex = regex("findAll", pattern)?;
    let found = regex.find_iter(text.inner()).take(most);
    let found = found.map(|found| Box::new(CelString::from(found.as_str().to_owned())) as Box<dyn Val>);
    Ok(found.collect::<Vec<_>>().into())
}
