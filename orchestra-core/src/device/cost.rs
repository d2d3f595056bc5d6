//! How much an expression may cost at most, and which names it means, before it is ever evaluated.
//!
//! The language has no loops but over what is there, so the number of steps has a bound that is known beforehand. Kubernetes' units differ a
//! little; the limit is the same, and what it is for, too: no expression keeps a server busy.

use std::collections::BTreeMap;

use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators};

/// `CELSelectorExpressionMaxCost` of the API.
pub(super) const MAX: u64 = 1_000_000;
/// `DeviceAttributeMaxValueLength`: no text of a device is longer, and no map has more entries.
const MAX_SIZE: u64 = 64;

/// What an expression comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Bound {
    /// Steps.
    cost: u64,
    /// Characters and entries of the result.
    size: u64,
}

/// The names that are known, with the sizes of their values.
#[derive(Clone, Default)]
struct Scope<'a>(BTreeMap<&'a str, u64>);

impl<'a> Scope<'a> {
    fn with(&self, name: &'a str, size: u64) -> Self {
        let mut scope = self.clone();
        scope.0.insert(name, size);
        scope
    }
}

/// A name that nobody knows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unknown<'a> {
    pub(super) id: u64,
    pub(super) name: &'a str,
}

/// The greatest cost of an expression about `device`.
pub(super) fn bound(expression: &IdedExpr) -> Result<u64, Unknown<'_>> {
    let scope = Scope::default().with("device", MAX_SIZE);
    let Bound { cost, size } = bound_in(expression, &scope)?;
    Ok(cost.max(size))
}

fn bound_in<'a>(node: &'a IdedExpr, scope: &Scope<'a>) -> Result<Bound, Unknown<'a>> {
    match &node.expr {
        Expr::Unspecified => Ok(Bound::default()),
        Expr::Literal(LiteralValue::String(text)) => Ok(Bound { cost: 0, size: text.inner().len() as u64 }),
        Expr::Literal(_) => Ok(Bound { cost: 0, size: 1 }),
        Expr::Ident(name) => match scope.0.get(name.as_str()) {
            Some(size) => Ok(Bound { cost: 1, size: *size }),
            None if is_type(name) => Ok(Bound { cost: 1, size: 1 }),
            None => Err(Unknown { id: node.id, name }),
        },
        Expr::Select(select) => {
            let operand = bound_in(&select.operand, scope)?;
            Ok(Bound { cost: operand.cost.saturating_add(1), size: operand.size.max(MAX_SIZE) })
        }
        Expr::List(list) => all(list.elements.iter(), scope),
        Expr::Map(map) => all(map.entries.iter().flat_map(|entry| parts(&entry.expr)), scope),
        Expr::Struct(object) => all(object.entries.iter().flat_map(|entry| parts(&entry.expr)), scope),
        Expr::Call(call) => bound_of_call(call, scope),
        Expr::Comprehension(comprehension) => bound_of_comprehension(comprehension, scope),
    }
}

fn parts(entry: &EntryExpr) -> Vec<&IdedExpr> {
    match entry {
        EntryExpr::StructField(field) => vec![&field.value],
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
    }
}

fn all<'a>(nodes: impl Iterator<Item = &'a IdedExpr>, scope: &Scope<'a>) -> Result<Bound, Unknown<'a>> {
    let mut sum = Bound { cost: 1, size: 0 };
    for node in nodes {
        let part = bound_in(node, scope)?;
        sum.cost = sum.cost.saturating_add(part.cost);
        sum.size = sum.size.saturating_add(part.size.max(1));
    }
    Ok(sum)
}

fn bound_of_call<'a>(call: &'a CallExpr, scope: &Scope<'a>) -> Result<Bound, Unknown<'a>> {
    let namespace =
        call.target.as_deref().filter(|target| matches!(&target.expr, Expr::Ident(name) if is_namespace(name)));
    let target = call.target.iter().map(|target| &**target).filter(|_| namespace.is_none());
    let mut cost: u64 = 1;
    let mut sizes: Vec<u64> = Vec::new();
    for operand in target.chain(&call.args) {
        let bound = bound_in(operand, scope)?;
        cost = cost.saturating_add(bound.cost);
        sizes.push(bound.size);
    }
    let sum = sizes.iter().fold(0_u64, |sum, size| sum.saturating_add(*size));
    let product = sizes.iter().fold(1_u64, |product, size| product.saturating_mul((*size).max(1)));
    let (steps, size) = match call.func_name.as_str() {
        operators::ADD => (sum, sum),
        operators::CONDITIONAL => (0, sizes.iter().skip(1).copied().max().unwrap_or(0)),
        operators::LOGICAL_AND | operators::LOGICAL_OR | operators::LOGICAL_NOT | operators::NOT_STRICTLY_FALSE => {
            (0, 1)
        }
        operators::EQUALS | operators::NOT_EQUALS | operators::IN | "contains" | "startsWith" | "endsWith" => (sum, 1),
        operators::INDEX => (1, sizes.first().copied().unwrap_or(0).max(MAX_SIZE)),
        // A pattern may be tried at each place; results may be longer than what they are made of.
        "matches" => (product, 1),
        "find" | "findAll" => (product, sum),
        "replace" | "join" | "format" => (product, product),
        _ => (sum, sum.max(MAX_SIZE)),
    };
    // One step for ten characters, as in cel-go.
    Ok(Bound { cost: cost.saturating_add(steps.div_ceil(10)), size })
}

fn bound_of_comprehension<'a>(it: &'a ComprehensionExpr, scope: &Scope<'a>) -> Result<Bound, Unknown<'a>> {
    let range = bound_in(&it.iter_range, scope)?;
    let begin = bound_in(&it.accu_init, scope)?;
    let times = range.size;
    let mut inner = scope.with(&it.iter_var, range.size.max(1));
    if let Some(second) = &it.iter_var2 {
        inner = inner.with(second, MAX_SIZE.max(range.size));
    }
    let step = bound_in(&it.loop_step, &inner.with(&it.accu_var, begin.size))?;
    let growth = step.size.saturating_sub(begin.size);
    let grown = begin.size.saturating_add(times.saturating_mul(growth));
    let condition = bound_in(&it.loop_cond, &inner.with(&it.accu_var, 1))?;
    let end = bound_in(&it.result, &scope.with(&it.accu_var, grown))?;
    let turn = condition.cost.saturating_add(step.cost).saturating_add(1);
    let cost = [begin.cost, times.saturating_mul(turn), end.cost].into_iter().fold(range.cost, u64::saturating_add);
    Ok(Bound { cost, size: end.size })
}

/// Names of types stand for themselves.
fn is_type(name: &str) -> bool {
    ["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint"].contains(&name)
}

/// What stands before the names of functions that belong together.
fn is_namespace(name: &str) -> bool {
    ["cel", "ip", "math", "strings"].contains(&name)
}
