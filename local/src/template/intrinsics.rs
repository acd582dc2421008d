//! CloudFormation's functions (`!Ref`, `!GetAtt`, `!Sub`, `!If` …), short and long.

use super::{STACK, Template};
use crate::embedded::{ACCOUNT, REGION};
use serde_json::Value as Json;
use serde_yaml_ng::Value;
use std::collections::BTreeMap;

/// Functions inside functions inside functions: deeper than any template goes.
const DEPTH_MAX: usize = 32;

/// What references can refer to: parameters, and resources that exist by now.
pub struct Scope<'a> {
    template: &'a Template,
    parameters: &'a BTreeMap<String, String>,
    /// What `!Ref` gives, by resource.
    refs: BTreeMap<String, String>,
    /// What `!GetAtt` gives, by `resource.attribute`.
    attributes: BTreeMap<String, String>,
}

impl<'a> Scope<'a> {
    /// A scope without resources; `parameters` go before the template's defaults.
    pub fn new(template: &'a Template, parameters: &'a BTreeMap<String, String>) -> Self {
        Self { template, parameters, refs: BTreeMap::new(), attributes: BTreeMap::new() }
    }

    /// Adds a resource that exists now.
    pub fn add(&mut self, id: &str, reference: &str, attributes: &[(&str, &str)]) {
        self.refs.insert(id.to_owned(), reference.to_owned());
        for (name, value) in attributes {
            self.attributes.insert(format!("{id}.{name}"), (*value).to_owned());
        }
    }

    /// The value with every function in it replaced by what it stands for.
    ///
    /// # Errors
    /// A function or a reference that is not known here, ready to show.
    pub fn resolve(&self, value: &Value) -> Result<Json, String> {
        Ok(self.at(value, 0)?.unwrap_or(Json::Null))
    }

    /// A value that is to be one word or number, as text.
    pub fn text(&self, value: &Value) -> Result<String, String> {
        as_text(&self.resolve(value)?)
    }

    /// Whether the condition of this name holds.
    pub fn condition(&self, name: &str) -> Result<bool, String> {
        let condition =
            self.template.conditions.get(name).ok_or_else(|| format!("no condition is called {name}"))?;
        truth(&self.resolve(condition)?)
    }

    /// `None` is `AWS::NoValue`, which takes away whatever it stands in.
    fn at(&self, value: &Value, depth: usize) -> Result<Option<Json>, String> {
        if depth > DEPTH_MAX {
            return Err("it is nested too deeply".to_owned());
        }
        match value {
            Value::Tagged(tagged) => {
                let tag = tagged.tag.to_string();
                self.call(tag.trim_start_matches('!'), &tagged.value, depth + 1)
            }
            Value::Mapping(map) => {
                if let Some((Value::String(name), argument)) = map.iter().next().filter(|_| map.len() == 1) {
                    if name == "Ref" || name == "Condition" {
                        return self.call(name, argument, depth + 1);
                    }
                    if let Some(name) = name.strip_prefix("Fn::") {
                        return self.call(name, argument, depth + 1);
                    }
                }
                let mut resolved = serde_json::Map::new();
                for (key, value) in map {
                    let key = key.as_str().ok_or("a key is no text")?;
                    if let Some(value) = self.at(value, depth + 1)? {
                        resolved.insert(key.to_owned(), value);
                    }
                }
                Ok(Some(Json::Object(resolved)))
            }
            Value::Sequence(items) => {
                let items = items.iter().filter_map(|item| self.at(item, depth + 1).transpose());
                items.collect::<Result<Vec<_>, _>>().map(|items| Some(Json::Array(items)))
            }
            plain => serde_json::to_value(plain).map(Some).map_err(|error| error.to_string()),
        }
    }

    fn call(&self, function: &str, argument: &Value, depth: usize) -> Result<Option<Json>, String> {
        let arguments = || -> Result<Vec<Json>, String> {
            match self.at(argument, depth)? {
                Some(Json::Array(items)) => Ok(items),
                _ => Err(format!("!{function} takes a list")),
            }
        };
        let value = match function {
            "Ref" => {
                let name = argument.as_str().ok_or("!Ref takes a name")?;
                if name == "AWS::NoValue" {
                    return Ok(None);
                }
                {
                    let text = self.reference(name)?;
                    match self.template.parameters.get(name) {
                        Some(parameter) if parameter.is_list() => {
                            text.split(',').map(|item| Json::from(item.trim())).collect()
                        }
                        _ => Json::from(text),
                    }
                }
            }
            "GetAtt" => match argument {
                Value::String(path) => Json::from(self.attribute(path)?),
                _ => {
                    let path = arguments()?.iter().map(as_text).collect::<Result<Vec<_>, _>>()?.join(".");
                    Json::from(self.attribute(&path)?)
                }
            },
            "Sub" => match argument {
                Value::String(text) => Json::from(self.substitute(text, &Json::Null)?),
                _ => {
                    let arguments = arguments()?;
                    let text = arguments.first().and_then(Json::as_str).ok_or("!Sub takes a text")?;
                    Json::from(self.substitute(text, arguments.get(1).unwrap_or(&Json::Null))?)
                }
            },
            "If" => {
                let Value::Sequence(items) = argument else { return Err("!If takes a list".to_owned()) };
                let [Value::String(name), then, otherwise] = items.as_slice() else {
                    return Err("!If takes a condition and two values".to_owned());
                };
                return self.at(if self.condition(name)? { then } else { otherwise }, depth);
            }
            "Condition" => Json::from(self.condition(argument.as_str().ok_or("!Condition takes a name")?)?),
            "Equals" => match arguments()?.as_slice() {
                [left, right] => Json::from(as_text(left)? == as_text(right)?),
                _ => return Err("!Equals takes two values".to_owned()),
            },
            "Not" => Json::from(!truth(arguments()?.first().unwrap_or(&Json::Null))?),
            "And" => Json::from(truths(&arguments()?)?.into_iter().all(|holds| holds)),
            "Or" => Json::from(truths(&arguments()?)?.into_iter().any(|holds| holds)),
            "Join" => match arguments()?.as_slice() {
                [Json::String(separator), Json::Array(items)] => {
                    Json::from(items.iter().map(as_text).collect::<Result<Vec<_>, _>>()?.join(separator))
                }
                _ => return Err("!Join takes a separator and a list".to_owned()),
            },
            _ => return Err(format!("local mode does not know !{function}")),
        };
        Ok(Some(value))
    }

    fn reference(&self, name: &str) -> Result<String, String> {
        let pseudo = match name {
            "AWS::Region" => Some(REGION),
            "AWS::AccountId" => Some(ACCOUNT),
            "AWS::StackName" => Some(STACK),
            "AWS::Partition" => Some("aws"),
            "AWS::URLSuffix" => Some("amazonaws.com"),
            _ => None,
        };
        let known = pseudo.or(self.refs.get(name).map(String::as_str));
        if let Some(known) = known.or(self.parameters.get(name).map(String::as_str)) {
            return Ok(known.to_owned());
        }
        let parameter = self.template.parameters.get(name);
        let parameter =
            parameter.ok_or_else(|| format!("!Ref {name} refers to nothing that local mode knows"))?;
        let default =
            parameter.default.as_ref().ok_or_else(|| format!("the parameter {name} has no value"))?;
        self.text(default)
    }

    fn attribute(&self, path: &str) -> Result<String, String> {
        let known = self.attributes.get(path).cloned();
        known.ok_or_else(|| format!("!GetAtt {path} refers to nothing that local mode knows"))
    }

    /// `${Name}` is a reference, `${Name.Attribute}` an attribute, `${!Name}` itself.
    fn substitute(&self, text: &str, own: &Json) -> Result<String, String> {
        let mut result = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) = after.split_once('}').ok_or("!Sub has a ${ without its }")?;
            result.push_str(before);
            match name.strip_prefix('!') {
                Some(literal) => result.push_str(&format!("${{{literal}}}")),
                None if own.get(name).is_some() => result.push_str(&as_text(&own[name])?),
                None if name.contains('.') => result.push_str(&self.attribute(name)?),
                None => result.push_str(&self.reference(name)?),
            }
            rest = after;
        }
        result.push_str(rest);
        Ok(result)
    }
}

/// CloudFormation treats words, numbers and booleans alike, as text.
pub fn as_text(value: &Json) -> Result<String, String> {
    match value {
        Json::String(text) => Ok(text.clone()),
        Json::Number(_) | Json::Bool(_) => Ok(value.to_string()),
        _ => Err("a text was expected".to_owned()),
    }
}

fn truth(value: &Json) -> Result<bool, String> {
    match as_text(value)?.as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        other => Err(format!("'{other}' is neither true nor false")),
    }
}

fn truths(values: &[Json]) -> Result<Vec<bool>, String> {
    values.iter().map(truth).collect()
}
