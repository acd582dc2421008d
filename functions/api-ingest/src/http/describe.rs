//! How members are described (OpenAPI 3.1): schemas as JSON, and the components that they refer to.

use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};

/// Components by their names.
pub type Components = Vec<(String, RefOr<Schema>)>;

/// The extension of a schema that is to stand in its place: utoipa's types cannot be read from JSON that holds every digit of
/// a number.
pub const WHOLE: &str = "x-whole";

/// The schema of a value.
#[derive(Default)]
pub struct Described {
    schema: Map<String, Value>,
    components: Components,
}

impl Described {
    /// Of a type that JSON has.
    pub fn of(kind: &str) -> Self {
        Self::default().with("type", kind)
    }

    /// Of a string that is one of `texts`.
    pub fn one_of<const N: usize>(texts: [&str; N]) -> Self {
        Self::of("string").with("pattern", format!("^({})$", texts.join("|")))
    }

    /// A reference to the component of `T`.
    pub fn component<T: ToSchema>() -> Self {
        let name = T::name().into_owned();
        let mut described = Self::default().with("$ref", format!("#/components/schemas/{name}"));
        described.components.push((name, T::schema()));
        T::schemas(&mut described.components);
        described
    }

    /// Of what has others of the kind `inner` as its `part`: a list's `items`, or an object's `additionalProperties`.
    pub fn around(kind: &str, part: &str, inner: Self) -> Self {
        Self { components: inner.components, ..Self::of(kind).with(part, inner.schema) }
    }

    /// The schema, of what refers to no component.
    pub fn into_schema(self) -> Value {
        self.schema.into()
    }

    /// With an attribute of the schema.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.schema.insert(name.to_owned(), value.into());
        self
    }
}

/// What the description says of a member beside its kind.
pub struct Doc {
    text: &'static str,
    attributes: Vec<(&'static str, Value)>,
    default: Option<Value>,
}

/// What a member means.
pub fn doc(text: &'static str) -> Doc {
    Doc { text, attributes: Vec::new(), default: None }
}

impl From<&'static str> for Doc {
    fn from(text: &'static str) -> Self {
        doc(text)
    }
}

impl Doc {
    /// With an example.
    pub fn example(self, example: impl Into<Value>) -> Self {
        self.with("example", example)
    }

    /// With an attribute of the schema.
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.attributes.push((name, value.into()));
        self
    }

    /// With what the member means if it is absent. Bodies are compared without a member that spells it out.
    pub fn default(self, default: impl Into<Value>) -> Self {
        Self { default: Some(default.into()), ..self }
    }

    /// What the member means if it is absent.
    pub fn into_default(self) -> Option<Value> {
        self.default
    }
}

/// The description of an object, gathered while its members are read.
#[derive(Default)]
pub struct Description {
    properties: Map<String, Value>,
    required: Vec<String>,
    components: Components,
}

impl Description {
    /// Adds a member.
    pub fn add(&mut self, name: &str, kind: Described, doc: Doc, is_required: bool) {
        let Described { mut schema, components } = kind;
        self.components.extend(components);
        schema.insert("description".to_owned(), doc.text.into());
        schema.extend(doc.attributes.into_iter().map(|(name, value)| (name.to_owned(), value)));
        schema.extend(doc.default.map(|default| ("default".to_owned(), default)));
        // `null` is as good as no member.
        if is_required {
            self.required.push(name.to_owned());
        } else if schema.contains_key("$ref") {
            schema = Map::from_iter([("oneOf".to_owned(), json!([schema, {"type": "null"}]))]);
        } else if let Some(kind) = schema.get_mut("type") {
            *kind = json!([kind, "null"]);
        }
        self.properties.insert(name.to_owned(), schema.into());
    }

    /// The schema of the object that `lines` describe: it has no other members.
    pub fn schema(self, lines: &[&str]) -> RefOr<Schema> {
        let text: Vec<&str> = lines.iter().map(|line| line.trim()).collect();
        let mut schema = json!({"type": "object", "description": text.join("\n"), "properties": self.properties, "additionalProperties": false});
        if !self.required.is_empty() {
            schema["required"] = self.required.into();
        }
        let whole = ExtensionsBuilder::new().add(WHOLE, schema).build();
        ObjectBuilder::new().extensions(Some(whole)).into()
    }

    /// The components to which members refer.
    pub fn into_components(self) -> Components {
        self.components
    }
}
