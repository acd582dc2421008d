use crate::clock::LocalClock;
use crate::embedded::{Counts, Embedded};
use aws_sdk_sqs::types::{
    DeleteMessageBatchRequestEntry, Message, MessageAttributeValue, MessageSystemAttributeName,
    QueueAttributeName, SendMessageBatchRequestEntry,
};
use chrono::TimeDelta;
use futures::FutureExt;
use shared::clock::Clock;
use shared::context::Clients;
use std::sync::Arc;

struct Bench {
    clock: Arc<LocalClock>,
    embedded: Embedded,
    url: String,
}

impl Bench {
    async fn new() -> Self {
        let clock = Arc::new(LocalClock::frozen(rules::time::from_millis(1_800_000_000_000).unwrap()));
        let embedded = Embedded::start_in_memory(clock.clone()).await.unwrap();
        let sqs = &embedded.clients().sqs;
        let dead = sqs.create_queue().queue_name("dead").send().await.unwrap();
        assert_eq!(dead.queue_url(), Some("http://127.0.0.1:4566/123456789012/dead"));
        let redrive =
            r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:123456789012:dead","maxReceiveCount":"2"}"#;
        let created = sqs
            .create_queue()
            .queue_name("q")
            .attributes(QueueAttributeName::RedrivePolicy, redrive)
            .attributes(QueueAttributeName::VisibilityTimeout, "30")
            .send()
            .await
            .unwrap();
        Self { clock, url: created.queue_url.unwrap(), embedded }
    }

    fn clients(&self) -> &Clients {
        self.embedded.clients()
    }

    async fn send(&self, body: &str, group: Option<&str>, delay: i32) {
        let request =
            self.clients().sqs.send_message().queue_url(&self.url).message_body(body).delay_seconds(delay);
        request.set_message_group_id(group.map(str::to_owned)).send().await.unwrap();
    }

    async fn receive(&self, max: i32) -> Vec<Message> {
        let request = self.clients().sqs.receive_message().queue_url(&self.url).max_number_of_messages(max);
        request
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .send()
            .await
            .unwrap()
            .messages
            .unwrap_or_default()
    }

    async fn bodies(&self, max: i32) -> Vec<String> {
        self.receive(max).await.into_iter().filter_map(|message| message.body).collect()
    }

    fn counts(&self, queue: &str) -> (usize, usize, usize) {
        let Counts { visible, in_flight, delayed, .. } = self.embedded.mount().queue_counts(queue).unwrap();
        (visible, in_flight, delayed)
    }

    fn pass(&self, seconds: i64) {
        self.clock.advance_to(self.clock.now() + TimeDelta::seconds(seconds));
    }
}

#[tokio::test]
async fn a_delayed_message_comes_when_the_clock_says_so() {
    let bench = Bench::new().await;
    bench.send("later", None, 900).await;
    assert_eq!(bench.counts("q"), (0, 0, 1));
    assert_eq!(bench.embedded.mount().next_visible("q"), Some(bench.clock.now() + TimeDelta::seconds(900)));
    bench.pass(899);
    assert!(bench.receive(1).await.is_empty());
    bench.pass(1);
    assert_eq!(bench.counts("q"), (1, 0, 0));
    assert_eq!(bench.bodies(1).await, ["later"]);
    assert_eq!(bench.counts("q"), (0, 1, 0));
}

#[tokio::test]
async fn a_quiet_group_is_not_held_up_by_a_noisy_one() {
    let bench = Bench::new().await;
    for n in 0..40 {
        bench.send(&format!("noisy {n}"), Some("noisy"), 0).await;
    }
    bench.send("quiet", Some("quiet"), 0).await;
    assert_eq!(bench.bodies(3).await, ["noisy 0", "quiet", "noisy 1"]);
}

#[tokio::test]
async fn a_message_received_too_often_goes_to_the_dead_letter_queue() {
    let bench = Bench::new().await;
    bench.send("poison", Some("group"), 0).await;
    for count in ["1", "2"] {
        let received = bench.receive(1).await;
        let attributes = received[0].attributes.as_ref().unwrap();
        assert_eq!(attributes[&MessageSystemAttributeName::ApproximateReceiveCount], count);
        assert_eq!(attributes[&MessageSystemAttributeName::MessageGroupId], "group");
        bench.pass(30);
    }
    assert_eq!(bench.counts("dead"), (0, 0, 0));
    assert!(bench.receive(1).await.is_empty());
    assert_eq!((bench.counts("q"), bench.counts("dead")), ((0, 0, 0), (1, 0, 0)));

    let sqs = &bench.clients().sqs;
    let dead = "http://anywhere/123456789012/dead";
    let sources = sqs.list_dead_letter_source_queues().queue_url(dead).send().await.unwrap();
    assert_eq!(sources.queue_urls(), std::slice::from_ref(&bench.url));
    let arn = "arn:aws:sqs:us-east-1:123456789012:dead";
    sqs.start_message_move_task().source_arn(arn).send().await.unwrap();
    assert_eq!((bench.counts("q"), bench.counts("dead")), ((1, 0, 0), (0, 0, 0)));
}

#[tokio::test]
async fn only_the_latest_receipt_deletes() {
    let bench = Bench::new().await;
    bench.send("twice", None, 0).await;
    let first = bench.receive(1).await.remove(0).receipt_handle.unwrap();
    bench.pass(30);
    let second = bench.receive(1).await.remove(0).receipt_handle.unwrap();
    let sqs = &bench.clients().sqs;
    for (receipt, left) in [(first, 1), (second.clone(), 0), (second, 0)] {
        sqs.delete_message().queue_url(&bench.url).receipt_handle(receipt).send().await.unwrap();
        assert_eq!(bench.counts("q").1, left);
    }
    let nonsense = sqs.delete_message().queue_url(&bench.url).receipt_handle("nonsense").send().await;
    assert!(nonsense.unwrap_err().into_service_error().is_receipt_handle_is_invalid());
}

#[tokio::test]
async fn visibility_can_be_ended_and_prolonged() {
    let bench = Bench::new().await;
    bench.send("m", None, 0).await;
    let sqs = &bench.clients().sqs;
    let receipt = bench.receive(1).await.remove(0).receipt_handle.unwrap();
    let change = |seconds| {
        sqs.change_message_visibility()
            .queue_url(&bench.url)
            .receipt_handle(&receipt)
            .visibility_timeout(seconds)
    };
    change(100).send().await.unwrap();
    bench.pass(99);
    assert_eq!(bench.counts("q"), (0, 1, 0));
    change(0).send().await.unwrap();
    assert_eq!(bench.counts("q"), (1, 0, 0));
    assert!(change(5).send().await.unwrap_err().into_service_error().is_message_not_inflight());
    let zero = sqs.receive_message().queue_url(&bench.url).visibility_timeout(0).max_number_of_messages(10);
    assert_eq!(zero.send().await.unwrap().messages().len(), 1);
    assert_eq!(bench.counts("q"), (1, 0, 0));
}

#[tokio::test]
async fn a_long_poll_wakes_on_a_send_and_when_a_delay_ends() {
    let bench = Bench::new().await;
    let poll = || {
        let request = bench.clients().sqs.receive_message().queue_url(&bench.url).wait_time_seconds(20);
        let request = request.send().map(|answer| answer.unwrap().messages.unwrap_or_default().len());
        tokio::spawn(request)
    };
    let waiting = poll();
    tokio::task::yield_now().await;
    bench.send("now", None, 0).await;
    assert_eq!(waiting.await.unwrap(), 1);

    let waiting = poll();
    bench.send("soon", None, 5).await;
    tokio::task::yield_now().await;
    bench.pass(5);
    assert_eq!(waiting.await.unwrap(), 1);
}

#[tokio::test]
async fn batches_are_judged_entry_by_entry() {
    let bench = Bench::new().await;
    let sqs = &bench.clients().sqs;
    let entry = |id: &str, body: &str, delay| {
        SendMessageBatchRequestEntry::builder()
            .id(id)
            .message_body(body)
            .delay_seconds(delay)
            .build()
            .unwrap()
    };
    let sent = sqs.send_message_batch().queue_url(&bench.url);
    let sent = sent.entries(entry("a", "x", 0)).entries(entry("b", "y", 901)).send().await.unwrap();
    assert_eq!((sent.successful()[0].id(), sent.failed()[0].id()), ("a", "b"));

    let receipt = bench.receive(1).await.remove(0).receipt_handle.unwrap();
    let delete = |id: &str, receipt: &str| {
        DeleteMessageBatchRequestEntry::builder().id(id).receipt_handle(receipt).build().unwrap()
    };
    let deleted = sqs.delete_message_batch().queue_url(&bench.url);
    let deleted = deleted.entries(delete("a", &receipt)).entries(delete("b", "?")).send().await.unwrap();
    assert_eq!((deleted.successful().len(), deleted.failed()[0].code()), (1, "ReceiptHandleIsInvalid"));

    let eleven = (0..11).map(|n| entry(&n.to_string(), "x", 0)).collect();
    let eleven = sqs.send_message_batch().queue_url(&bench.url).set_entries(Some(eleven)).send().await;
    assert!(eleven.unwrap_err().into_service_error().is_too_many_entries_in_batch_request());
    let twice = sqs
        .send_message_batch()
        .queue_url(&bench.url)
        .entries(entry("a", "x", 0))
        .entries(entry("a", "x", 0));
    assert!(twice.send().await.unwrap_err().into_service_error().is_batch_entry_ids_not_distinct());
    let large = "x".repeat(600_000);
    let large = sqs
        .send_message_batch()
        .queue_url(&bench.url)
        .entries(entry("a", &large, 0))
        .entries(entry("b", &large, 0));
    assert!(large.send().await.unwrap_err().into_service_error().is_batch_request_too_long());
}

#[tokio::test]
async fn the_limits_are_those_of_aws() {
    let bench = Bench::new().await;
    let sqs = &bench.clients().sqs;
    let send = || sqs.send_message().queue_url(&bench.url);
    let receive = || sqs.receive_message().queue_url(&bench.url);
    assert!(send().message_body("x").delay_seconds(901).send().await.is_err());
    assert!(send().message_body("x".repeat(1_048_577)).send().await.is_err());
    assert!(send().message_body("x").message_group_id("g".repeat(129)).send().await.is_err());
    let control = send().message_body("\u{1}").send().await;
    assert!(control.unwrap_err().into_service_error().is_invalid_message_contents());
    assert!(receive().max_number_of_messages(11).send().await.is_err());
    assert!(receive().max_number_of_messages(0).send().await.is_err());
    assert!(receive().visibility_timeout(43_201).send().await.is_err());
    assert!(receive().wait_time_seconds(21).send().await.is_err());
    let nowhere = sqs
        .send_message()
        .queue_url("http://127.0.0.1:4566/123456789012/none")
        .message_body("x")
        .send()
        .await;
    assert!(nowhere.unwrap_err().into_service_error().is_queue_does_not_exist());
    assert!(sqs.create_queue().queue_name("a.fifo").send().await.is_err());
    let other = sqs
        .create_queue()
        .queue_name("q")
        .attributes(QueueAttributeName::VisibilityTimeout, "31")
        .send()
        .await;
    assert!(other.unwrap_err().into_service_error().is_queue_name_exists());
    assert!(sqs.create_queue().queue_name("q").send().await.is_ok());
}

#[tokio::test]
async fn attributes_arrive_as_they_were_sent() {
    let bench = Bench::new().await;
    let sqs = &bench.clients().sqs;
    let text = MessageAttributeValue::builder().data_type("String").string_value("value").build().unwrap();
    let binary = MessageAttributeValue::builder()
        .data_type("Binary")
        .binary_value(b"\0\xff".as_slice().into())
        .build()
        .unwrap();
    let sent = sqs.send_message().queue_url(&bench.url).message_body("hello");
    let sent =
        sent.message_attributes("text", text).message_attributes("bytes", binary).send().await.unwrap();
    assert_eq!(sent.md5_of_message_body(), Some("5d41402abc4b2a76b9719d911017c592"));
    assert!(sent.md5_of_message_attributes().is_some());
    let received =
        sqs.receive_message().queue_url(&bench.url).message_attribute_names("All").send().await.unwrap();
    let message = &received.messages()[0];
    assert_eq!(message.md5_of_message_attributes(), sent.md5_of_message_attributes());
    let attributes = message.message_attributes.as_ref().unwrap();
    assert_eq!(attributes["bytes"].binary_value().unwrap().as_ref(), b"\0\xff");
    assert!(message.attributes.is_none());
}

#[tokio::test]
async fn messages_past_their_retention_are_gone() {
    let bench = Bench::new().await;
    bench.send("old", None, 0).await;
    bench.pass(345_601);
    assert_eq!(bench.counts("q"), (0, 0, 0));
    assert!(bench.receive(10).await.is_empty());
}

#[tokio::test]
async fn a_queue_describes_itself() {
    let bench = Bench::new().await;
    let sqs = &bench.clients().sqs;
    bench.send("m", None, 0).await;
    let described = sqs.get_queue_attributes().queue_url(&bench.url).attribute_names(QueueAttributeName::All);
    let all = described.send().await.unwrap().attributes.unwrap();
    assert_eq!(all[&QueueAttributeName::ApproximateNumberOfMessages], "1");
    assert_eq!(all[&QueueAttributeName::VisibilityTimeout], "30");
    assert!(all[&QueueAttributeName::RedrivePolicy].contains("maxReceiveCount"));
    sqs.tag_queue().queue_url(&bench.url).tags("team", "x").send().await.unwrap();
    let tags = sqs.list_queue_tags().queue_url(&bench.url).send().await.unwrap();
    assert_eq!(tags.tags().unwrap()["team"], "x");
    sqs.purge_queue().queue_url(&bench.url).send().await.unwrap();
    assert_eq!(bench.counts("q"), (0, 0, 0));
    let queues = sqs.list_queues().queue_name_prefix("de").send().await.unwrap();
    assert_eq!(queues.queue_urls().len(), 1);
    sqs.delete_queue().queue_url(&bench.url).send().await.unwrap();
    assert!(bench.embedded.mount().queue_counts("q").is_none());
}
