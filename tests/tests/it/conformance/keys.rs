//! KMS: data keys and their encryption contexts.

use super::{Lab, cases, refusal};
use aws_sdk_kms::operation::generate_data_key::GenerateDataKeyOutput;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::DataKeySpec;
use std::collections::HashMap;

cases![
    a_data_key_opens_under_its_context,
    a_data_key_stays_closed_under_another_context,
    a_damaged_data_key_stays_closed,
    a_data_key_is_opened_by_no_other_key,
    a_disabled_key_neither_makes_nor_opens,
    an_unknown_key_is_not_found,
];

const CONTEXT: [(&str, &str); 3] =
    [("company", "acme"), ("solution", "a,b=c"), ("purpose", "signing-secret")];

fn context(pairs: &[(&str, &str)]) -> Option<HashMap<String, String>> {
    Some(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
}

async fn generate(lab: &Lab, key: &str) -> Result<GenerateDataKeyOutput, String> {
    let call = lab.clients.kms.generate_data_key().key_id(key).key_spec(DataKeySpec::Aes256);
    match call.set_encryption_context(context(&CONTEXT)).send().await {
        Ok(made) => Ok(made),
        refused => Err(refusal(refused)),
    }
}

/// Names no key, as the code does not: the ciphertext says which.
async fn decrypt(lab: &Lab, wrapped: Blob, pairs: &[(&str, &str)]) -> Result<Blob, String> {
    match lab
        .clients
        .kms
        .decrypt()
        .ciphertext_blob(wrapped)
        .set_encryption_context(context(pairs))
        .send()
        .await
    {
        Ok(opened) => Ok(opened.plaintext.unwrap()),
        refused => Err(refusal(refused)),
    }
}

async fn own_key(lab: &Lab) -> String {
    lab.clients.kms.create_key().send().await.unwrap().key_metadata.unwrap().key_id
}

async fn a_data_key_opens_under_its_context(lab: Lab) {
    let made = generate(&lab, &lab.settings.kms_key_id).await.unwrap();
    let (plain, wrapped) = (made.plaintext.unwrap(), made.ciphertext_blob.unwrap());
    assert_eq!(plain.as_ref().len(), 32);
    let reordered = [CONTEXT[2], CONTEXT[0], CONTEXT[1]];
    assert_eq!(decrypt(&lab, wrapped.clone(), &CONTEXT).await, Ok(plain.clone()));
    assert_eq!(decrypt(&lab, wrapped, &reordered).await, Ok(plain.clone()));
    let another = generate(&lab, &lab.settings.kms_key_id).await.unwrap();
    assert_ne!(another.plaintext.unwrap(), plain);
}

async fn a_data_key_stays_closed_under_another_context(lab: Lab) {
    let wrapped = generate(&lab, &lab.settings.kms_key_id).await.unwrap().ciphertext_blob.unwrap();
    let others: [&[(&str, &str)]; 5] = [
        &[],
        &CONTEXT[..2],
        &[("company", "acme"), ("solution", "a"), ("b", "c"), ("purpose", "signing-secret")],
        &[("company", "Acme"), CONTEXT[1], CONTEXT[2]],
        &[CONTEXT[0], CONTEXT[1], CONTEXT[2], ("more", "")],
    ];
    for other in others {
        let refused = decrypt(&lab, wrapped.clone(), other).await;
        assert_eq!(refused, Err("InvalidCiphertextException".to_owned()), "{other:?}");
    }
}

async fn a_damaged_data_key_stays_closed(lab: Lab) {
    let wrapped =
        generate(&lab, &lab.settings.kms_key_id).await.unwrap().ciphertext_blob.unwrap().into_inner();
    let mut damaged = wrapped.clone();
    *damaged.last_mut().unwrap() ^= 1;
    for bytes in [damaged, wrapped[..wrapped.len() / 2].to_vec()] {
        let refused = decrypt(&lab, Blob::new(bytes), &CONTEXT).await;
        assert_eq!(refused, Err("InvalidCiphertextException".to_owned()));
    }
}

async fn a_data_key_is_opened_by_no_other_key(lab: Lab) {
    let wrapped = generate(&lab, &own_key(&lab).await).await.unwrap().ciphertext_blob.unwrap();
    let call = lab.clients.kms.decrypt().key_id(own_key(&lab).await).ciphertext_blob(wrapped);
    let refused = call.set_encryption_context(context(&CONTEXT)).send().await;
    assert_eq!(refusal(refused), "IncorrectKeyException");
}

async fn a_disabled_key_neither_makes_nor_opens(lab: Lab) {
    let key = own_key(&lab).await;
    let made = generate(&lab, &key).await.unwrap();
    let wrapped = made.ciphertext_blob.unwrap();
    lab.clients.kms.disable_key().key_id(&key).send().await.unwrap();
    assert_eq!(decrypt(&lab, wrapped.clone(), &CONTEXT).await, Err("DisabledException".to_owned()));
    assert_eq!(generate(&lab, &key).await.err(), Some("DisabledException".to_owned()));
    lab.clients.kms.enable_key().key_id(&key).send().await.unwrap();
    assert_eq!(decrypt(&lab, wrapped, &CONTEXT).await, Ok(made.plaintext.unwrap()));
}

async fn an_unknown_key_is_not_found(lab: Lab) {
    for key in ["alias/nobody", "00000000-0000-0000-0000-000000000000"] {
        assert_eq!(generate(&lab, key).await.err(), Some("NotFoundException".to_owned()), "{key}");
    }
}
