//! CEL selectors of devices (`k8s.io/dynamic-resource-allocation/cel`).

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, LazyLock},
    thread,
};

use cel::{
    Context, DeclarationError, Env, ExecutionError, Program, Value,
    common::{
        types::{CelBool, CelInt, CelMap, CelString},
        value::Val,
    },
    extensions,
};
use k8s_openapi::api::resource::v1::{Device, DeviceAttribute};

use super::{
    address,
    cost::{self, Unknown},
    domains::Domains,
    library::{self, Amount},
    nesting, pattern,
    version::{self, Version},
};

/// What is wrong with an expression before it is asked about any device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// It is no expression, or means what is not there. The text is the compiler's.
    #[error("compilation failed: {0}")]
    Compilation(String),
    /// To evaluate it might take too long.
    #[error("too complex, exceeds cost limit")]
    TooComplex,
}

/// An expression that says of each device whether it is meant.
///
/// Expressions know `device.driver`, `device.allowMultipleAllocations`, and `device.attributes` and `device.capacity` by domain and name;
/// a domain that a device does not know has no names. They may use the standard functions and macros, `cel.bind`, the strings extension, and
/// quantities (`quantity`, `isQuantity`, `compareTo`...), semantic versions (`semver`, `isLessThan`...), regular expressions (`find`,
/// `findAll`) and addresses (`ip`, `cidr`, `containsIP`...) as in Kubernetes. There is no type check beforehand: what does not fit together
/// shows when a device is asked about. The libraries of URLs and formats are not there.
#[derive(Debug)]
pub struct Selector {
    program: Program,
}

/// The language, with the functions that Kubernetes gives it.
static LANGUAGE: LazyLock<Result<Arc<Env>, DeclarationError>> = LazyLock::new(|| {
    let mut env = Env::stdlib();
    env.add_macro(library::bind())?;
    env.add_extension(extensions::strings)?;
    library::quantities(&mut env)?;
    version::library(&mut env)?;
    pattern::library(&mut env)?;
    address::library(&mut env)?;
    Ok(Arc::new(env))
});

fn language() -> Result<&'static Arc<Env>, String> {
    LANGUAGE.as_ref().map_err(|error| format!("unexpected error loading CEL environment: {error}"))
}

impl Selector {
    /// Reads an expression.
    ///
    /// # Errors
    /// What is wrong with it, in Kubernetes' words as far as those are not its compiler's own.
    pub fn compile(expression: &str) -> Result<Self, SelectorError> {
        let language = language().map_err(SelectorError::Compilation)?;
        if nesting::is_too_deep(expression) {
            let why = format!("expression recursion limit exceeded: {}", nesting::MAX);
            return Err(SelectorError::Compilation(why));
        }
        let program = parse(language, expression).map_err(SelectorError::Compilation)?;
        match cost::bound(program.expression()) {
            Ok(most) if most > cost::MAX => return Err(SelectorError::TooComplex),
            Ok(_) => {}
            Err(unknown) => return Err(SelectorError::Compilation(undeclared(&unknown, &program, expression))),
        }
        Ok(Self { program })
    }

    /// Whether the device of `driver` is meant.
    ///
    /// # Errors
    /// Why the expression has no answer for the device, such as that it lacks an attribute.
    pub fn matches(&self, driver: &str, device: &Device) -> Result<bool, String> {
        let mut context = Context::with_env(Arc::clone(language()?));
        context.add_variable_as_val("device", Box::new(view(driver, device)?));
        let result = catch_unwind(AssertUnwindSafe(|| self.program.execute(&context)));
        match result.map_err(|_| "the expression cannot be evaluated".to_owned())? {
            Ok(Value::Bool(matches)) => Ok(matches),
            Ok(other) => {
                let (found, want) = (other.type_of(), "bool");
                Err(format!(
                    "CEL result of type {found} could not be converted to {want}: type conversion error from '{found}' to '{want}'"
                ))
            }
            Err(error) => Err(words(&error)),
        }
    }
}

/// The parser takes more than 100 KiB of stack a level where nothing is optimised, so it has a stack of its own.
const PARSER_STACK: usize = 32 * 1024 * 1024;

fn parse(language: &Env, expression: &str) -> Result<Program, String> {
    thread::scope(|scope| {
        let parser = || language.compile(expression).map_err(|errors| errors.to_string());
        let running = thread::Builder::new().stack_size(PARSER_STACK).spawn_scoped(scope, parser);
        let running = running.map_err(|error| format!("the parser cannot be started: {error}"))?;
        // The parser is not ours: should it fail on some text, that text is no expression.
        running.join().unwrap_or_else(|_| Err("the expression cannot be read".to_owned()))
    })
}

/// A device as expressions see it.
fn view(driver: &str, device: &Device) -> Result<CelMap<'static>, String> {
    let mut attributes: Vec<(String, Box<dyn Val>)> = Vec::new();
    for (name, attribute) in device.attributes.iter().flatten() {
        let value = value(attribute).map_err(|why| format!("attribute {name}: {why}"))?;
        attributes.push((name.clone(), value));
    }
    let mut capacity: Vec<(String, Box<dyn Val>)> = Vec::new();
    for (name, amount) in device.capacity.iter().flatten() {
        let amount = (&amount.value).try_into().map_err(|why| format!("capacity {name}: {why}"))?;
        capacity.push((name.clone(), Box::new(Amount(amount))));
    }
    let shared = device.allow_multiple_allocations.unwrap_or(false);
    let fields: [(&str, Box<dyn Val>); 4] = [
        ("driver", Box::new(CelString::from(driver.to_owned()))),
        ("allowMultipleAllocations", Box::new(CelBool::from(shared))),
        ("attributes", Box::new(Domains::new(driver, attributes.into_iter()))),
        ("capacity", Box::new(Domains::new(driver, capacity.into_iter()))),
    ];
    let fields: HashMap<_, _> = fields.into_iter().map(|(name, value)| (name.into(), value)).collect();
    Ok(CelMap::from(fields))
}

fn value(attribute: &DeviceAttribute) -> Result<Box<dyn Val>, String> {
    if let Some(number) = attribute.int {
        return Ok(Box::new(CelInt::from(number)));
    }
    if let Some(truth) = attribute.bool {
        return Ok(Box::new(CelBool::from(truth)));
    }
    if let Some(text) = &attribute.string {
        return Ok(Box::new(CelString::from(text.clone())));
    }
    if let Some(text) = &attribute.version {
        return Ok(Box::new(Version::parse(text).map_err(|why| format!("parse semantic version: {why}"))?));
    }
    Err("unsupported attribute value".to_owned())
}

/// An error of the interpreter in the words of cel-go.
fn words(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(key) => format!("no such key: {key}"),
        ExecutionError::NoSuchOverload(_) | ExecutionError::UnsupportedBinaryOperator(..) => {
            "no such overload".to_owned()
        }
        ExecutionError::DivisionByZero(_) => "division by zero".to_owned(),
        ExecutionError::RemainderByZero(_) => "modulus by zero".to_owned(),
        ExecutionError::FunctionError { message, .. } => message.clone(),
        ExecutionError::UndeclaredReference(name) => format!("no such overload: {name}"),
        other => other.to_string(),
    }
}

/// The compiler's words about a name that nobody knows, with the place.
fn undeclared(unknown: &Unknown<'_>, program: &Program, expression: &str) -> String {
    let start = program.source_info().offset_for(unknown.id).map_or(0, |(start, _)| start as usize);
    let before: String = expression.chars().take(start).collect();
    let line_number = before.matches('\n').count();
    let column = before.chars().rev().take_while(|c| *c != '\n').count();
    let line = expression.lines().nth(line_number).unwrap_or_default();
    let message = format!("undeclared reference to '{}' (in container '')", unknown.name);
    format!("ERROR: <input>:{}:{}: {message}\n | {line}\n | {}^", line_number + 1, column + 1, ".".repeat(column))
}

#[cfg(test)]
mod tests;
