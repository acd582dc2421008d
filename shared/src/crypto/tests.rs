//! The envelope on an embedded KMS, reached by the real client.

use super::*;
use crate::clock::tests::SetClock;
use crate::entropy::OsEntropy;
use chrono::TimeDelta;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use winterbaume_core::MockAws;
use winterbaume_core::service::{MockRequest, MockResponse, MockService};
use winterbaume_kms::KmsService;

const PURPOSE: &str = "signing-secret";
const SECRET: &[u8] = b"whsec_top-secret";

/// The embedded KMS, with its calls counted.
struct CountedKms {
    kms: KmsService,
    calls: Arc<AtomicUsize>,
}

impl MockService for CountedKms {
    fn service_name(&self) -> &str {
        self.kms.service_name()
    }

    fn url_patterns(&self) -> Vec<&str> {
        self.kms.url_patterns()
    }

    fn handle(&self, request: MockRequest) -> Pin<Box<dyn Future<Output = MockResponse> + Send + '_>> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.kms.handle(request)
    }
}

struct Bench {
    kms: aws_sdk_kms::Client,
    key_id: String,
    calls: Arc<AtomicUsize>,
    clock: Arc<SetClock>,
    envelope: Envelope,
}

impl Bench {
    async fn new() -> Self {
        let calls = Arc::new(AtomicUsize::new(0));
        let service = CountedKms { kms: KmsService::new(), calls: calls.clone() };
        let config = MockAws::builder().with_service(service).build().sdk_config("eu-central-1").await;
        let kms = aws_sdk_kms::Client::new(&config);
        let made = kms.create_key().send().await.unwrap();
        let key_id = made.key_metadata.unwrap().key_id;
        let clock = Arc::new(SetClock::default());
        let envelope = Envelope::new(kms.clone(), &key_id, clock.clone(), Arc::new(OsEntropy));
        calls.store(0, Ordering::Relaxed);
        Self { kms, key_id, calls, clock, envelope }
    }

    /// Another process on the same KMS: nothing cached.
    fn restarted(&self) -> Envelope {
        Envelope::new(self.kms.clone(), &self.key_id, self.clock.clone(), Arc::new(OsEntropy))
    }

    fn calls(&self) -> usize {
        self.calls.swap(0, Ordering::Relaxed)
    }

    fn advance(&self, time: TimeDelta) {
        self.clock.advance(time);
    }

    async fn seal(&self) -> String {
        self.envelope.seal(&tenant("acme", "shop"), PURPOSE, SECRET).await.unwrap()
    }
}

fn tenant(company: &str, solution: &str) -> Tenant {
    Tenant { company: company.parse().unwrap(), solution: solution.parse().unwrap() }
}

async fn open(envelope: &Envelope, sealed: &str) -> Result<Vec<u8>, CryptoError> {
    envelope.open(&tenant("acme", "shop"), PURPOSE, sealed).await.map(|plain| plain.to_vec())
}

fn retext(sealed: &str, change: impl FnOnce(&mut Vec<u8>)) -> String {
    use base64::Engine;
    let mut bytes = layout::decode(sealed).unwrap();
    change(&mut bytes);
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[tokio::test]
async fn what_is_sealed_opens_also_in_another_process() {
    let bench = Bench::new().await;
    let sealed = bench.seal().await;
    assert_eq!(open(&bench.envelope, &sealed).await.unwrap(), SECRET);
    assert_eq!(open(&bench.restarted(), &sealed).await.unwrap(), SECRET);
    let again = bench.seal().await;
    assert_ne!(again, sealed, "each has a nonce of its own");
    let empty = bench.envelope.seal(&tenant("acme", "shop"), PURPOSE, b"").await.unwrap();
    assert_eq!(open(&bench.envelope, &empty).await.unwrap(), b"");
}

#[tokio::test]
async fn a_moved_ciphertext_does_not_open() {
    let bench = Bench::new().await;
    let sealed = bench.seal().await;
    // Also where the right key is in the cache already.
    open(&bench.envelope, &sealed).await.unwrap();
    for (company, solution, purpose) in [
        ("acme", "shop", "credentials"),
        ("acme", "shop2", PURPOSE),
        ("acme2", "shop", PURPOSE),
        ("shop", "acme", PURPOSE),
    ] {
        for envelope in [&bench.envelope, &bench.restarted()] {
            let opened = envelope.open(&tenant(company, solution), purpose, &sealed).await;
            assert_eq!(opened, Err(CryptoError::Mismatch), "{company}/{solution} {purpose}");
        }
    }
}

#[tokio::test]
async fn every_changed_byte_and_every_truncation_is_noticed() {
    let bench = Bench::new().await;
    let sealed = bench.seal().await;
    open(&bench.envelope, &sealed).await.unwrap();
    let length = layout::decode(&sealed).unwrap().len();
    for at in 0..length {
        let changed = retext(&sealed, |bytes| bytes[at] ^= 1);
        let expect = match at {
            0 => vec![CryptoError::Version(3)],
            // A wrapped key of another length may be longer than all there is.
            5 | 6 => vec![CryptoError::Malformed, CryptoError::Mismatch],
            _ => vec![CryptoError::Mismatch],
        };
        let error = open(&bench.envelope, &changed).await.unwrap_err();
        assert!(expect.contains(&error), "byte {at}: {error}");
        let cut = retext(&sealed, |bytes| bytes.truncate(at));
        let error = open(&bench.envelope, &cut).await.unwrap_err();
        assert!(matches!(error, CryptoError::Malformed | CryptoError::Mismatch), "cut at {at}: {error}");
    }
}

#[tokio::test]
async fn what_is_no_ciphertext_is_told_apart() {
    let bench = Bench::new().await;
    let sealed = bench.seal().await;
    let other_version = retext(&sealed, |bytes| bytes[0] = 3);
    assert_eq!(open(&bench.envelope, &other_version).await, Err(CryptoError::Version(3)));
    for text in ["", "plain text", "AQ==", "AQAA", "AgAA"] {
        assert_eq!(open(&bench.envelope, text).await, Err(CryptoError::Malformed), "{text}");
    }
    let long = vec![0; PLAINTEXT_MAX_BYTES + 1];
    let refused = bench.envelope.seal(&tenant("acme", "shop"), PURPOSE, &long).await;
    assert_eq!(refused, Err(CryptoError::TooLong));
}

/// What version 1 of the layout was: no fingerprint.
async fn sealed_in_version_1(bench: &Bench) -> String {
    let tenant = tenant("acme", "shop");
    let header = Header::V1;
    let made = bench.kms.generate_data_key().key_id(&bench.key_id).key_spec(DataKeySpec::Aes256);
    let made = made.set_encryption_context(Some(encryption_context(&tenant, PURPOSE))).send().await.unwrap();
    let key = data_key(made.plaintext, made.ciphertext_blob.unwrap().into_inner()).unwrap();
    let aad = layout::context(header, &tenant, PURPOSE);
    let ciphertext = key.cipher.encrypt(&Nonce::from([7; 12]), Payload { msg: SECRET, aad: &aad }).unwrap();
    Parts { header, wrapped: &key.wrapped, nonce: [7; 12], ciphertext: &ciphertext }.encode().unwrap()
}

#[tokio::test]
async fn what_was_sealed_in_an_earlier_way_opens_and_is_told_apart() {
    let bench = Bench::new().await;
    let old = sealed_in_version_1(&bench).await;
    assert_eq!(open(&bench.envelope, &old).await.unwrap(), SECRET);
    assert!(!bench.envelope.is_current(&old));
    // As version 2 it would be another ciphertext, and not one of ours.
    let raised = retext(&old, |bytes| bytes.splice(0..1, [2, 0, 0, 0, 0]).for_each(drop));
    assert_eq!(open(&bench.envelope, &raised).await, Err(CryptoError::Mismatch));

    let new = bench.seal().await;
    assert!(bench.envelope.is_current(&new) && bench.restarted().is_current(&new));
    // Under another KMS key it is not current any more, and still opens.
    let key_id = bench.kms.create_key().send().await.unwrap().key_metadata.unwrap().key_id;
    let moved = Envelope::new(bench.kms.clone(), &key_id, bench.clock.clone(), Arc::new(OsEntropy));
    assert!(!moved.is_current(&new));
    assert_eq!(open(&moved, &new).await.unwrap(), SECRET);
    let resealed = moved.seal(&tenant("acme", "shop"), PURPOSE, SECRET).await.unwrap();
    assert!(moved.is_current(&resealed));
    assert_eq!(open(&bench.envelope, &resealed).await.unwrap(), SECRET, "also where the old key is in use");
}

#[tokio::test]
async fn a_key_that_cannot_be_used_says_so() {
    let bench = Bench::new().await;
    let sealed = bench.seal().await;
    bench.kms.disable_key().key_id(&bench.key_id).send().await.unwrap();
    let restarted = bench.restarted();
    assert_eq!(open(&restarted, &sealed).await, Err(CryptoError::KeyDisabled));
    let refused = restarted.seal(&tenant("acme", "shop"), PURPOSE, SECRET).await;
    assert_eq!(refused, Err(CryptoError::KeyDisabled));
    assert_eq!(CryptoError::KeyDisabled.to_string(), "the KMS key is disabled or pending deletion");
    // A failure is not kept: as soon as the key is usable again, so is the envelope.
    bench.kms.enable_key().key_id(&bench.key_id).send().await.unwrap();
    assert_eq!(open(&restarted, &sealed).await.unwrap(), SECRET);

    let keyless = Envelope::new(bench.kms, "alias/none", bench.clock, Arc::new(OsEntropy));
    let refused = keyless.seal(&tenant("acme", "shop"), PURPOSE, SECRET).await;
    assert_eq!(refused, Err(CryptoError::KeyMissing));
}

#[tokio::test]
async fn a_thousand_seals_and_opens_are_two_calls_of_kms() {
    let bench = Bench::new().await;
    let mut sealed = Vec::new();
    for _ in 0..1_000 {
        sealed.push(bench.seal().await);
    }
    assert_eq!(bench.calls(), 1);
    let opened = sealed.iter().map(|sealed| open(&bench.envelope, sealed));
    for plain in futures::future::join_all(opened).await {
        assert_eq!(plain.unwrap(), SECRET);
    }
    assert_eq!(bench.calls(), 1, "all at once, too");
}

#[tokio::test]
async fn keys_are_forgotten_after_five_minutes() {
    let bench = Bench::new().await;
    let sealed = bench.seal().await;
    open(&bench.envelope, &sealed).await.unwrap();
    bench.calls();
    bench.advance(keys::KEY_AGE_MAX - TimeDelta::milliseconds(1));
    open(&bench.envelope, &sealed).await.unwrap();
    bench.seal().await;
    assert_eq!(bench.calls(), 0);
    bench.advance(TimeDelta::milliseconds(1));
    open(&bench.envelope, &sealed).await.unwrap();
    bench.seal().await;
    assert_eq!(bench.calls(), 2);
}

#[tokio::test]
async fn keys_in_hand_are_few() {
    let bench = Bench::new().await;
    let first = bench.seal().await;
    open(&bench.envelope, &first).await.unwrap();
    for number in 0..keys::KEYS_MAX {
        bench.advance(TimeDelta::milliseconds(1));
        let purpose = format!("purpose-{number}");
        let sealed = bench.envelope.seal(&tenant("acme", "shop"), &purpose, SECRET).await.unwrap();
        bench.envelope.open(&tenant("acme", "shop"), &purpose, &sealed).await.unwrap();
    }
    bench.calls();
    open(&bench.envelope, &first).await.unwrap();
    assert_eq!(bench.calls(), 1, "the oldest had to go");
}
