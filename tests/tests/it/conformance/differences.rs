//! What other services are known to do otherwise than AWS, and so than the embedded ones.

/// Cases that services fail, as they should not.
pub struct Difference {
    /// Whose fault it is.
    pub services: &'static str,
    /// What each case's complaint has to say, so that a case that fails for another reason is seen.
    pub seen: &'static str,
    /// What they do otherwise, and what AWS does.
    pub why: &'static str,
    /// The cases.
    pub cases: &'static [&'static str],
}

/// A case that no longer differs has to be struck out: the suite fails until it is.
pub const DIFFERENCES: &[Difference] = &[
    Difference {
        services: "moto",
        seen: "500",
        why: "Its PartiQL reads no parameter in INSERT and DELETE, one SET alone in UPDATE and no arithmetic, and ends in \
              an internal error: py_partiql_parser has a part of the language that AWS documents.",
        cases: &[
            "an_insert_goes_through_once",
            "a_claim_answers_the_claimed_item",
            "a_second_claim_is_shown_the_first",
            "a_claim_waits_for_the_instant",
            "a_claim_finds_nothing_to_claim",
            "a_settle_needs_its_claims_token",
            "a_step_of_a_free_activity_needs_it_as_it_was",
            "a_link_is_made_once_and_replaced_from_what_it_was",
            "a_link_makes_no_item",
            "a_removal_goes_through_once",
            "a_difference_sets_and_removes",
            "a_guarded_delete_spares_what_has_changed",
            "a_delete_may_find_nothing",
            "each_statement_of_a_batch_is_judged_alone",
            "a_transaction_of_statements_is_whole_or_nothing",
            "a_transaction_of_statements_names_its_duplicate",
            "a_delivery_costs_six_write_units",
        ],
    },
    Difference {
        services: "moto",
        seen: "\"no code\"",
        why: "The same internal error comes before the limits of a batch of statements would be looked at.",
        cases: &[
            "a_batch_has_twenty_five_statements",
            "a_batch_names_an_item_once",
            "a_batch_reads_or_writes",
        ],
    },
    Difference {
        services: "moto",
        seen: "ResourceNotFound",
        why: "It calls a SELECT that finds nothing a missing table; AWS answers without an item.",
        cases: &["a_read_tells_a_missing_item"],
    },
    Difference {
        services: "moto",
        seen: "left: \"ValidationException\"",
        why: "Its items end at 405,000 bytes, AWS's at 400 KiB (409,600).",
        cases: &["an_item_ends_at_400_kib"],
    },
    Difference {
        services: "moto",
        seen: "left: Some(",
        why: "It does not reckon capacity from sizes: a call has a fixed figure.",
        cases: &[
            "a_write_costs_a_unit_for_each_kib",
            "a_read_costs_a_unit_for_each_four_kib",
            "a_query_costs_a_unit_for_each_eight_kib_read",
        ],
    },
    Difference {
        services: "moto",
        seen: "right: 4.0",
        why: "It reports no capacity for a transaction.",
        cases: &["a_transaction_costs_twice"],
    },
    Difference {
        services: "moto",
        seen: "TransactionCanceledException",
        why: "It does not look at a transaction's token; AWS answers a repeated one as it did the first time, for ten minutes.",
        cases: &["a_repeated_transaction_is_one"],
    },
    Difference {
        services: "moto",
        seen: "left: (2, 0)",
        why: "It takes text with control characters; AWS takes what XML 1.0 allows.",
        cases: &["a_batch_tells_which_message_it_did_not_take"],
    },
    Difference {
        services: "moto",
        seen: "right: Err(\"DisabledException\")",
        why: "It uses disabled keys.",
        cases: &["a_disabled_key_neither_makes_nor_opens"],
    },
    Difference {
        services: "moto",
        seen: "left: \"AccessDeniedException\"",
        why: "It names another error for a Decrypt with the wrong key; AWS documents IncorrectKeyException.",
        cases: &["a_data_key_is_opened_by_no_other_key"],
    },
];
