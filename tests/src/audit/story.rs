//! The whole story of one subject, for whoever reads a finding.

use super::evidence::{Evidence, Subject};
use std::fmt::Write;

/// Everything in the evidence that names the subject, in order.
pub fn story(evidence: &Evidence, subject: &Subject) -> String {
    let mut lines: Vec<(chrono::DateTime<chrono::Utc>, String)> = Vec::new();
    let names = |text: &str| text.contains(&subject.id);
    for exchange in &evidence.exchanges {
        if names(&exchange.path) || names(&exchange.body.to_string()) {
            let status = exchange.status.map_or("no answer".to_owned(), |status| status.to_string());
            let body = if exchange.body.is_null() { String::new() } else { exchange.body.to_string() };
            let line = format!("{} {} {body}", exchange.method, exchange.path);
            lines.push((exchange.asked, format!("asked     {line}")));
            lines.push((
                exchange.answered,
                format!("answered  {status} {} {}", exchange.method, exchange.path),
            ));
        }
    }
    for arrival in &evidence.arrivals {
        if names(&arrival.url) || names(arrival.key()) || names(&arrival.body) {
            let answer = arrival.status.map_or("nothing".to_owned(), |status| status.to_string());
            let line = format!("{} {} [{}]", arrival.method, arrival.path(), arrival.key());
            lines.push((arrival.at, format!("arrived   {line}, answered {answer} by {}", arrival.until)));
        }
    }
    lines.sort_by_key(|(at, _)| *at);
    let mut text = String::new();
    for (at, line) in lines {
        let _ = writeln!(text, "{}  {line}", at.format("%d %H:%M:%S%.3f"));
    }
    for item in evidence.work.iter().filter(|item| names(&item["PK"].to_string())) {
        let _ = writeln!(text, "item  {item}");
    }
    text
}
