//! Indexes that lag behind their table, as DynamoDB's global ones may.

use super::world::World;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use local::embedded::Answer;
use serde_json::{Value, json};

/// No index lags more.
const LAG_MAX: TimeDelta = rules::parent::INDEX_LAG;
/// One in so many changes of the table, and every read of an index, leaves a picture of it.
const CHANGES_A_PICTURE: usize = 6;

/// Pictures of the work table as it was.
#[derive(Debug, Default)]
pub struct IndexLag {
    pictures: Vec<(DateTime<Utc>, Vec<Value>)>,
    /// A picture is being taken: its own read is none of ours.
    busy: bool,
}

impl World {
    /// Answers a read of an index from an older picture, if chance will have it.
    pub async fn lagging(&mut self, target: &str, body: &Bytes) -> Option<Answer> {
        if self.faults.stale == 0 || self.index_lag.busy || !target.starts_with("DynamoDB") {
            return None;
        }
        if target != "DynamoDB_20120810.Query" {
            if self.dice.below(CHANGES_A_PICTURE) == 0
                && !target.ends_with("GetItem")
                && !target.ends_with("Scan")
            {
                self.take_picture().await;
            }
            return None;
        }
        let request: Value = serde_json::from_slice(body).ok()?;
        request["IndexName"].as_str()?;
        self.take_picture().await;
        if !self.dice.chance(self.faults.stale) || self.index_lag.pictures.is_empty() {
            return None;
        }
        let number = self.dice.below(self.index_lag.pictures.len());
        let (at, picture) = &self.index_lag.pictures[number];
        let rows = select(&request, picture)?;
        let line = format!("the index is as it was at {}", at.format("%H:%M:%S%.3f"));
        self.note(&line);
        let answer = json!({"Count": rows.len(), "ScannedCount": rows.len(), "Items": rows});
        Some(Answer { status: 200, body: answer.to_string().into(), query_error: None })
    }

    async fn take_picture(&mut self) {
        self.index_lag.busy = true;
        let picture = Box::pin(self.dump()).await;
        self.index_lag.busy = false;
        let now = self.time.now();
        self.index_lag.pictures.retain(|(at, _)| now - *at <= LAG_MAX);
        self.index_lag.pictures.push((now, picture));
    }
}

/// What a query of an index finds among `items`; `None` for a query of a kind that is not known here.
fn select(request: &Value, items: &[Value]) -> Option<Vec<Value>> {
    if !request["ExclusiveStartKey"].is_null() || request["Select"] == "COUNT" {
        return None;
    }
    let name = |placeholder: &str| -> Option<String> {
        match placeholder.strip_prefix('#') {
            Some(_) => request["ExpressionAttributeNames"][placeholder].as_str().map(str::to_owned),
            None => Some(placeholder.to_owned()),
        }
    };
    let value = |placeholder: &str| {
        request["ExpressionAttributeValues"][placeholder]["S"].as_str().map(str::to_owned)
    };
    let condition = request["KeyConditionExpression"].as_str()?;
    let words: Vec<&str> = condition.split_whitespace().collect();
    let (partition, sort, range) = match words.as_slice() {
        [p, "=", v] => (name(p)?, None, (value(v)?, None, None)),
        [p, "=", v, "AND", s, "BETWEEN", from, "AND", to] => {
            (name(p)?, Some(name(s)?), (value(v)?, Some((">=", value(from)?)), Some(("<=", value(to)?))))
        }
        [p, "=", v, "AND", s, operator, bound] => {
            (name(p)?, Some(name(s)?), (value(v)?, Some((*operator, value(bound)?)), None))
        }
        _ => return None,
    };
    let index_sort = match request["IndexName"].as_str()? {
        "due" => "ds",
        "done" => "fs",
        _ => "PK",
    };
    let sort = sort.unwrap_or_else(|| index_sort.to_owned());
    let holds = |text: &str, bound: &Option<(&str, String)>| match bound {
        None => true,
        Some((">", bound)) => text > bound.as_str(),
        Some((">=", bound)) => text >= bound.as_str(),
        Some(("<", bound)) => text < bound.as_str(),
        Some(("<=", bound)) => text <= bound.as_str(),
        Some(_) => false,
    };
    let (wanted, from, to) = range;
    let mut rows: Vec<&Value> = items
        .iter()
        .filter(|item| item[&partition]["S"] == wanted.as_str())
        .filter(|item| item[&sort]["S"].as_str().is_some_and(|text| holds(text, &from) && holds(text, &to)))
        .collect();
    rows.sort_by_key(|item| item[&sort]["S"].as_str().unwrap_or_default().to_owned());
    if request["ScanIndexForward"] == false {
        rows.reverse();
    }
    let limit = request["Limit"].as_u64().map_or(usize::MAX, |limit| limit as usize);
    let keys = ["PK", "SK", partition.as_str(), index_sort];
    let project = |item: &Value| {
        let fields = keys
            .iter()
            .filter(|key| !item[**key].is_null())
            .map(|key| ((*key).to_owned(), item[*key].clone()));
        Value::Object(fields.collect())
    };
    Some(rows.into_iter().take(limit).map(project).collect())
}
