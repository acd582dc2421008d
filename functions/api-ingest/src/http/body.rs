//! Bodies: what reads one is what describes it.

use super::describe::Described;
use super::faults::Faults;
use super::kind::{Kind, Place, kind};
use super::object::Object;
use http::HeaderValue;
use utoipa::ToSchema;

/// The body of a request, or an object in one. One that is described is declared with [`body!`].
pub trait Body {
    /// What it is read as.
    type Value;
    /// What is known beside the body.
    type Beside<'b>;

    /// Reads the members; faults are named in `f`. Where they are only described there is nothing `beside`, and no value.
    fn fields(f: &mut Object<'_>, beside: Option<Self::Beside<'_>>) -> Option<Self::Value>;
}

/// Reads `text`, the body of a request with this `Idempotency-Key`, and names every fault. Members that it does not have are
/// faults too.
pub fn read<B: Body>(
    text: &str,
    idempotency_key: Option<&HeaderValue>,
    beside: B::Beside<'_>,
) -> (Option<B::Value>, Faults) {
    let faults = Faults::default();
    let value = read_at::<B>(text, idempotency_key, Some(beside), &Place::new(String::new(), &faults));
    (value, faults)
}

fn read_at<B: Body>(
    text: &str,
    idempotency_key: Option<&HeaderValue>,
    beside: Option<B::Beside<'_>>,
    place: &Place<'_>,
) -> Option<B::Value> {
    let mut object = Object::read(text, &place.pointer, place.faults)?;
    object.idempotency_key = idempotency_key;
    let value = B::fields(&mut object, beside);
    object.finish();
    value
}

/// An object in a body.
pub fn nested<B: ToSchema + for<'b> Body<Beside<'b> = ()>>() -> impl Kind<Value = B::Value> {
    kind(|raw, place| read_at::<B>(raw, None, Some(()), place), Described::component::<B>)
}

/// A body in another that is taken or refused by itself: with its faults.
pub fn apart<B: ToSchema + for<'b> Body<Beside<'b> = ()>>() -> impl Kind<Value = (Option<B::Value>, Faults)> {
    kind(|raw, _| Some(read::<B>(raw, None, ())), Described::component::<B>)
}

/// Declares a type that stands for a body, by the function that reads it, what is known beside it and what it is read as. Its
/// schema is what the function asks for, described by the comment.
macro_rules! body {
    (
        $(#[doc = $line:literal])*
        $vis:vis struct $name:ident = $read:ident($beside:ty) -> $value:ty;
    ) => {
        $(#[doc = $line])*
        $vis struct $name;

        impl $crate::http::body::Body for $name {
            type Value = $value;
            type Beside<'b> = $beside;

            fn fields(f: &mut $crate::http::Object<'_>, beside: Option<Self::Beside<'_>>) -> Option<$value> {
                $read(f, beside)
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                $crate::http::Object::describe(|f| $read(f, None)).schema(&[$($line),*])
            }
        }

        impl utoipa::ToSchema for $name {
            fn schemas(found: &mut $crate::http::describe::Components) {
                found.extend($crate::http::Object::describe(|f| $read(f, None)).into_components());
            }
        }
    };
}

pub(crate) use body;
