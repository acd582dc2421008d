//! The tables: CloudFormation's properties as requests of the DynamoDB client.

use super::intrinsics::Scope;
use super::{Resource, STACK};
use aws_sdk_dynamodb::operation::create_table::builders::CreateTableInputBuilder;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, Projection,
};
use serde::Deserialize;

/// A table as the template describes it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Table {
    #[serde(default)]
    pub table_name: String,
    attribute_definitions: Vec<Attribute>,
    pub key_schema: Vec<Key>,
    #[serde(default)]
    pub global_secondary_indexes: Vec<Index>,
    pub time_to_live_specification: Option<TimeToLive>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Attribute {
    attribute_name: String,
    attribute_type: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Key {
    pub attribute_name: String,
    pub key_type: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Index {
    pub index_name: String,
    pub key_schema: Vec<Key>,
    projection: IndexProjection,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct IndexProjection {
    projection_type: String,
    #[serde(default)]
    non_key_attributes: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TimeToLive {
    pub attribute_name: String,
    pub enabled: bool,
}

impl Table {
    /// Reads the properties that concern local mode.
    pub fn read(scope: &Scope<'_>, id: &str, resource: &Resource) -> Result<Self, String> {
        const USED: &[&str] = &[
            "TableName",
            "AttributeDefinitions",
            "KeySchema",
            "GlobalSecondaryIndexes",
            "TimeToLiveSpecification",
        ];
        let mut used = serde_json::Map::new();
        for name in USED {
            if let Some(value) = resource.property(name) {
                let value = scope.resolve(value).map_err(|fault| format!("{name}: {fault}"))?;
                used.insert((*name).to_owned(), value);
            }
        }
        let mut table: Self = serde_json::from_value(used.into()).map_err(|error| error.to_string())?;
        if table.table_name.is_empty() {
            table.table_name = format!("{STACK}-{id}");
        }
        Ok(table)
    }

    /// The request that creates the table.
    pub fn creation(&self) -> Result<CreateTableInputBuilder, String> {
        let mut request = aws_sdk_dynamodb::operation::create_table::CreateTableInput::builder()
            .table_name(&self.table_name)
            .billing_mode(BillingMode::PayPerRequest)
            .set_key_schema(Some(keys(&self.key_schema)?));
        for attribute in &self.attribute_definitions {
            let attribute = AttributeDefinition::builder()
                .attribute_name(&attribute.attribute_name)
                .attribute_type(attribute.attribute_type.as_str().into());
            request = request.attribute_definitions(attribute.build().map_err(|error| error.to_string())?);
        }
        for index in &self.global_secondary_indexes {
            let attributes = &index.projection.non_key_attributes;
            let projection = Projection::builder()
                .projection_type(index.projection.projection_type.as_str().into())
                .set_non_key_attributes((!attributes.is_empty()).then(|| attributes.clone()));
            let index = GlobalSecondaryIndex::builder()
                .index_name(&index.index_name)
                .set_key_schema(Some(keys(&index.key_schema)?))
                .projection(projection.build());
            request = request.global_secondary_indexes(index.build().map_err(|error| error.to_string())?);
        }
        Ok(request)
    }

    /// The table's keys and its indexes' keys, for comparing with what there is.
    pub fn shape(&self) -> Vec<String> {
        let line = |keys: &[Key]| {
            let keys: Vec<_> =
                keys.iter().map(|key| format!("{}={}", key.key_type, key.attribute_name)).collect();
            keys.join(",")
        };
        let mut shape = vec![line(&self.key_schema)];
        shape.extend(self.global_secondary_indexes.iter().map(|index| {
            format!("{}: {} {}", index.index_name, line(&index.key_schema), index.projection.projection_type)
        }));
        shape[1..].sort();
        shape
    }
}

fn keys(keys: &[Key]) -> Result<Vec<KeySchemaElement>, String> {
    let element = |key: &Key| {
        let element = KeySchemaElement::builder()
            .attribute_name(&key.attribute_name)
            .key_type(key.key_type.as_str().into());
        element.build().map_err(|error| error.to_string())
    };
    keys.iter().map(element).collect()
}
