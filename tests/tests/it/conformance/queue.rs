//! SQS: batches, delays, visibility, long polls, the way to the dead letters.

use super::{Lab, cases, refusal};
use aws_sdk_sqs::operation::send_message_batch::SendMessageBatchOutput;
use aws_sdk_sqs::types::{
    DeleteMessageBatchRequestEntry, Message, MessageSystemAttributeName, QueueAttributeName,
    SendMessageBatchRequestEntry,
};
use std::collections::HashMap;

cases![
    a_batch_takes_ten_messages_with_groups,
    a_batch_ends_at_ten_messages_of_different_ids,
    a_batch_tells_which_message_it_did_not_take,
    a_delayed_message_is_held_back,
    a_delay_ends_at_fifteen_minutes,
    a_received_message_is_hidden_and_comes_again,
    a_message_can_be_given_back_at_once,
    a_deleted_message_does_not_come_again,
    a_message_received_too_often_becomes_a_dead_letter,
    a_long_poll_answers_when_a_message_comes,
    a_receive_brings_ten_messages_at_most,
    a_queue_that_is_not_there_is_named_so,
];

const VISIBILITY_SECONDS: i64 = 1;

/// A queue of the case's own.
async fn queue(lab: &Lab, name: &str, attributes: &[(QueueAttributeName, String)]) -> String {
    let visibility = (QueueAttributeName::VisibilityTimeout, VISIBILITY_SECONDS.to_string());
    let attributes: HashMap<_, _> = attributes.iter().cloned().chain([visibility]).collect();
    let call = lab.clients.sqs.create_queue().queue_name(format!("{}-{name}", lab.prefix));
    call.set_attributes(Some(attributes)).send().await.unwrap().queue_url.unwrap()
}

fn entry(id: usize, body: &str, delay: i32) -> SendMessageBatchRequestEntry {
    let entry = SendMessageBatchRequestEntry::builder().id(id.to_string()).message_body(body);
    entry.delay_seconds(delay).message_group_id("acme").build().unwrap()
}

async fn send(
    lab: &Lab,
    url: &str,
    entries: Vec<SendMessageBatchRequestEntry>,
) -> Result<SendMessageBatchOutput, String> {
    match lab.clients.sqs.send_message_batch().queue_url(url).set_entries(Some(entries)).send().await {
        Ok(sent) => Ok(sent),
        refused => Err(refusal(refused)),
    }
}

async fn send_one(lab: &Lab, url: &str, body: &str) {
    let sent = send(lab, url, vec![entry(0, body, 0)]).await.unwrap();
    assert!(sent.failed.is_empty(), "{sent:?}");
}

async fn receive(lab: &Lab, url: &str, wait: i32) -> Vec<Message> {
    let call =
        lab.clients.sqs.receive_message().queue_url(url).max_number_of_messages(10).wait_time_seconds(wait);
    let call = call.message_system_attribute_names(MessageSystemAttributeName::All);
    call.send().await.unwrap().messages.unwrap_or_default()
}

async fn bodies(lab: &Lab, url: &str) -> Vec<String> {
    let mut bodies: Vec<_> =
        receive(lab, url, 0).await.into_iter().filter_map(|message| message.body).collect();
    bodies.sort_unstable();
    bodies
}

fn attribute(message: &Message, name: MessageSystemAttributeName) -> Option<&str> {
    message.attributes.as_ref()?.get(&name).map(String::as_str)
}

async fn a_batch_takes_ten_messages_with_groups(lab: Lab) {
    let url = queue(&lab, "q", &[]).await;
    let sent = send(&lab, &url, (0..10).map(|id| entry(id, "{\"a\":\"ü\"}", 0)).collect()).await.unwrap();
    assert_eq!((sent.successful.len(), sent.failed.len()), (10, 0));
    let mut received = Vec::new();
    while received.len() < 10 {
        let more = receive(&lab, &url, 0).await;
        assert!(!more.is_empty(), "{} of 10 came", received.len());
        received.extend(more);
    }
    for message in &received {
        assert_eq!(message.body(), Some("{\"a\":\"ü\"}"));
        assert_eq!(attribute(message, MessageSystemAttributeName::MessageGroupId), Some("acme"));
        assert_eq!(attribute(message, MessageSystemAttributeName::ApproximateReceiveCount), Some("1"));
    }
}

async fn a_batch_ends_at_ten_messages_of_different_ids(lab: Lab) {
    let url = queue(&lab, "q", &[]).await;
    for (entries, code) in [
        ((0..11).map(|id| entry(id, "x", 0)).collect(), "TooManyEntriesInBatchRequest"),
        (Vec::new(), "EmptyBatchRequest"),
        (vec![entry(1, "x", 0), entry(1, "y", 0)], "BatchEntryIdsNotDistinct"),
    ] {
        let refused = send(&lab, &url, entries).await.err().unwrap_or_default();
        // The code of the query protocol or the JSON one's.
        assert_eq!(refused.trim_start_matches("AWS.SimpleQueueService."), code);
    }
}

async fn a_batch_tells_which_message_it_did_not_take(lab: Lab) {
    let url = queue(&lab, "q", &[]).await;
    let sent = send(&lab, &url, vec![entry(0, "good", 0), entry(1, "bad\u{0}", 0)]).await.unwrap();
    assert_eq!((sent.successful.len(), sent.failed.len()), (1, 1), "{sent:?}");
    assert_eq!((sent.failed[0].id.as_str(), sent.failed[0].sender_fault), ("1", true));
    assert_eq!(bodies(&lab, &url).await, ["good"]);
}

async fn a_delayed_message_is_held_back(lab: Lab) {
    let url = queue(&lab, "q", &[]).await;
    send(&lab, &url, vec![entry(0, "now", 0), entry(1, "later", 2)]).await.unwrap();
    assert_eq!(bodies(&lab, &url).await, ["now"]);
    lab.pass(2).await;
    assert!(bodies(&lab, &url).await.contains(&"later".to_owned()));
}

async fn a_delay_ends_at_fifteen_minutes(lab: Lab) {
    let url = queue(&lab, "q", &[]).await;
    let taken = async |delay| match send(&lab, &url, vec![entry(0, "x", delay)]).await {
        Ok(sent) => sent.failed.is_empty(),
        Err(_) => false,
    };
    assert!(taken(900).await);
    assert!(!taken(901).await);
}

async fn a_received_message_is_hidden_and_comes_again(lab: Lab) {
    let url = queue(&lab, "q", &[]).await;
    send_one(&lab, &url, "x").await;
    assert_eq!(bodies(&lab, &url).await, ["x"]);
    assert!(bodies(&lab, &url).await.is_empty());
    lab.pass(VISIBILITY_SECONDS).await;
    let again = receive(&lab, &url, 0).await;
    assert_eq!(again.len(), 1);
    assert_eq!(attribute(&again[0], MessageSystemAttributeName::ApproximateReceiveCount), Some("2"));
}

async fn a_message_can_be_given_back_at_once(lab: Lab) {
    let url = queue(&lab, "q", &[]).await;
    send_one(&lab, &url, "x").await;
    let receipt = receive(&lab, &url, 0).await.remove(0).receipt_handle.unwrap();
    let call = lab.clients.sqs.change_message_visibility().queue_url(&url).receipt_handle(receipt);
    call.visibility_timeout(0).send().await.unwrap();
    assert_eq!(bodies(&lab, &url).await, ["x"]);
}

async fn a_deleted_message_does_not_come_again(lab: Lab) {
    let url = queue(&lab, "q", &[]).await;
    send_one(&lab, &url, "x").await;
    let receipt = receive(&lab, &url, 0).await.remove(0).receipt_handle.unwrap();
    let entry = DeleteMessageBatchRequestEntry::builder().id("0").receipt_handle(receipt).build().unwrap();
    let deleted = lab.clients.sqs.delete_message_batch().queue_url(&url).entries(entry).send().await.unwrap();
    assert_eq!((deleted.successful.len(), deleted.failed.len()), (1, 0));
    lab.pass(VISIBILITY_SECONDS).await;
    assert!(bodies(&lab, &url).await.is_empty());
}

async fn a_message_received_too_often_becomes_a_dead_letter(lab: Lab) {
    let dead = queue(&lab, "dead", &[]).await;
    let call = lab.clients.sqs.get_queue_attributes().queue_url(&dead);
    let described = call.attribute_names(QueueAttributeName::QueueArn).send().await.unwrap();
    let arn = &described.attributes.unwrap()[&QueueAttributeName::QueueArn];
    let policy = format!(r#"{{"deadLetterTargetArn":"{arn}","maxReceiveCount":"2"}}"#);
    let url = queue(&lab, "q", &[(QueueAttributeName::RedrivePolicy, policy)]).await;
    send_one(&lab, &url, "poison").await;
    for _ in 0..2 {
        assert_eq!(bodies(&lab, &url).await, ["poison"]);
        assert!(bodies(&lab, &dead).await.is_empty());
        lab.pass(VISIBILITY_SECONDS).await;
    }
    assert!(bodies(&lab, &url).await.is_empty());
    assert_eq!(bodies(&lab, &dead).await, ["poison"]);
}

async fn a_long_poll_answers_when_a_message_comes(lab: Lab) {
    let url = queue(&lab, "q", &[]).await;
    // The poll is first: it is sent when the two are first asked, in this order.
    let (received, ()) = tokio::join!(biased; receive(&lab, &url, 20), send_one(&lab, &url, "x"));
    assert_eq!(received.len(), 1);
}

async fn a_receive_brings_ten_messages_at_most(lab: Lab) {
    let url = queue(&lab, "q", &[]).await;
    for _ in 0..2 {
        send(&lab, &url, (0..10).map(|id| entry(id, "x", 0)).collect()).await.unwrap();
    }
    assert!((1..=10).contains(&receive(&lab, &url, 0).await.len()));
    let call = lab.clients.sqs.receive_message().queue_url(&url).max_number_of_messages(11);
    assert_ne!(refusal(call.send().await), "accepted");
}

async fn a_queue_that_is_not_there_is_named_so(lab: Lab) {
    let url = queue(&lab, "q", &[]).await;
    let call = lab.clients.sqs.send_message().queue_url(format!("{url}-gone")).message_body("x");
    let refused = call.send().await.unwrap_err().into_service_error();
    assert!(refused.is_queue_does_not_exist(), "{refused:?}");
}
