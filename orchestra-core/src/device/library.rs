//! What expressions about devices have beside the language itself: quantities (`library.Quantity` of Kubernetes' CEL environment) and
//! `cel.bind`.

use std::{any::Any, cmp::Ordering};

use cel::{
    DeclarationError, Env, ExecutionError,
    common::{
        ast::{ComprehensionExpr, Expr, IdedExpr, ListExpr, LiteralValue},
        types::{CelBool, CelDouble, CelInt, CelString, Type},
        value::{StaticVal, Val},
    },
    parser::Macro,
};

use crate::quantity::Quantity;

static TYPE: Type = Type::new_unspecified_type("kubernetes.Quantity");

/// A quantity in an expression.
#[derive(Clone, Copy, Debug)]
pub(super) struct Amount(pub(super) Quantity);

impl Val for Amount {
    fn get_type(&self) -> &Type {
        &TYPE
    }

    fn cel_type() -> &'static Type {
        &TYPE
    }

    fn equals(&self, other: &dyn Val) -> bool {
        other.downcast_ref::<Self>().is_some_and(|other| self.0 == other.0)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(*self)
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Amount {}

/// Adds the functions of quantities.
pub(super) fn quantities(env: &mut Env) -> Result<(), DeclarationError> {
    env.add_type(TYPE.to_owned())?;
    cel::add_overload!(env, fn quantity: (CelString<'_>) -> Result<Amount>)?;
    cel::add_overload!(env, fn is_quantity: (CelString<'_>) -> CelBool)?;
    cel::add_member_overload!(env, fn sign: (Amount) -> CelInt)?;
    cel::add_member_overload!(env, fn is_integer: (Amount) -> CelBool)?;
    cel::add_member_overload!(env, fn as_integer: (Amount) -> Result<CelInt>)?;
    cel::add_member_overload!(env, fn as_approximate_float: (Amount) -> CelDouble)?;
    cel::add_member_overload!(env, fn add: (Amount, Amount) -> Amount)?;
    cel::add_member_overload!(env, fn add_int: (Amount, CelInt) -> Amount, name = "add")?;
    cel::add_member_overload!(env, fn sub: (Amount, Amount) -> Amount)?;
    cel::add_member_overload!(env, fn sub_int: (Amount, CelInt) -> Amount, name = "sub")?;
    cel::add_member_overload!(env, fn is_less_than: (Amount, Amount) -> CelBool)?;
    cel::add_member_overload!(env, fn is_greater_than: (Amount, Amount) -> CelBool)?;
    cel::add_member_overload!(env, fn compare_to: (Amount, Amount) -> CelInt)
}

fn quantity(text: &CelString<'_>) -> Result<Amount, ExecutionError> {
    let parsed = text.inner().parse().map(Amount);
    parsed.map_err(|error| ExecutionError::function_error("quantity", error))
}

fn is_quantity(text: &CelString<'_>) -> CelBool {
    text.inner().parse::<Quantity>().is_ok().into()
}

fn sign(amount: &Amount) -> CelInt {
    (amount.0.cmp(&Quantity::default()) as i64).into()
}

fn is_integer(amount: &Amount) -> CelBool {
    whole(amount).is_some().into()
}

fn whole(amount: &Amount) -> Option<i64> {
    amount.0.is_whole().then(|| amount.0.value())
}

fn as_integer(amount: &Amount) -> Result<CelInt, ExecutionError> {
    let why = || ExecutionError::function_error("asInteger", "cannot convert value to integer");
    whole(amount).map(CelInt::from).ok_or_else(why)
}

fn as_approximate_float(amount: &Amount) -> CelDouble {
    amount.0.as_f64().into()
}

fn add(a: &Amount, b: &Amount) -> Amount {
    Amount(a.0 + b.0)
}

fn add_int(a: &Amount, b: &CelInt) -> Amount {
    Amount(a.0 + Quantity::from_value(*b.inner()))
}

fn sub(a: &Amount, b: &Amount) -> Amount {
    Amount(a.0 - b.0)
}

fn sub_int(a: &Amount, b: &CelInt) -> Amount {
    Amount(a.0 - Quantity::from_value(*b.inner()))
}

fn is_less_than(a: &Amount, b: &Amount) -> CelBool {
    (a.0 < b.0).into()
}

fn is_greater_than(a: &Amount, b: &Amount) -> CelBool {
    (a.0 > b.0).into()
}

fn compare_to(a: &Amount, b: &Amount) -> CelInt {
    let order: Ordering = a.0.cmp(&b.0);
    (order as i64).into()
}

/// `cel.bind(name, value, expression)`: the expression with the name for the value, as cel-go's `ext.Bindings` expands it.
pub(super) fn bind() -> Macro {
    Macro::receiver("bind", 3, |parser, target, args| {
        let is_namespace = target.as_ref().is_some_and(|it| matches!(&it.expr, Expr::Ident(name) if name == "cel"));
        let [name, ..] = args.as_slice() else { return Ok(None) };
        if !is_namespace {
            return Ok(None);
        }
        let Expr::Ident(name) = &name.expr else {
            return Err(parser.new_error(name.id, "cel.bind() variable names must be simple identifiers"));
        };
        let name = name.clone();
        let (Some(result), Some(value)) = (args.pop(), args.pop()) else { return Ok(None) };
        let mut next = |expr: Expr| -> IdedExpr { parser.next_expr(expr) };
        let nothing = next(Expr::List(ListExpr::new(Vec::new())));
        let stop = next(Expr::Literal(LiteralValue::Boolean(false.into())));
        let same = next(Expr::Ident(name.clone()));
        Ok(Some(next(Expr::Comprehension(Box::new(ComprehensionExpr {
            iter_range: nothing,
            iter_var: "#unused".to_owned(),
            iter_var2: None,
            accu_var: name,
            accu_init: value,
            loop_cond: stop,
            loop_step: same,
            result,
        })))))
    })
}
