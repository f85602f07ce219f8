//! Tokens around texts, and for empty contexts, for task files with the keys of lm-evaluation-harness 0.4.
//!
//! `marked_pairs.jsonl` has what `loglikelihood` and `tok_batch_encode` of its version 0.4.13 made of pairs, with tokenizers of
//! transformers 5.24: context, continuation, their tokens, and the tokens of the context alone as a prompt of a generation.

use assay::tokenizer::{Marks, TokenRequest, Tokenizer, encode_requests};
use assay::vocabulary::{AddBosToken, DocumentRequests, Gold, Request, TextBegin};
use serde_json::{Value, json};

use super::added::write;

fn document(context: &str, continuation: &str) -> DocumentRequests {
    let scored = Request::Loglikelihood { context: context.into(), continuation: continuation.into() };
    let written =
        Request::GenerateUntil { context: context.into(), until: Vec::new().into(), max_new_tokens: 1 };
    DocumentRequests {
        task: "t".into(),
        doc_id: 0,
        row: 0,
        gold: Gold::Index(0),
        requests: vec![scored, written],
        choices: Vec::new(),
        views: Vec::new(),
    }
}

fn load(post_processor: &Value, config: &Value) -> Tokenizer {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), post_processor, &json!({"tokenizer_config.json": config}));
    Tokenizer::from_file(&folder.path().join("tokenizer.json")).unwrap()
}

#[test]
fn pairs_have_the_tokens_of_the_harness() {
    let mut checked = 0;
    for line in include_str!("marked_pairs.jsonl").lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let tokenizer = load(&case["post_processor"], &case["tokenizer_config"]);
        assert!(tokenizer.encodes_parts());
        let add_bos_token = AddBosToken::of_word(case["add_bos_token"].as_str().unwrap()).unwrap();
        let marks = Marks::new(&tokenizer, TextBegin { add_bos_token, ..TextBegin::SINCE_0_4 }).unwrap();
        for pair in case["pairs"].as_array().unwrap() {
            let (context, continuation) = (pair[0].as_str().unwrap(), pair[1].as_str().unwrap());
            let requests = encode_requests(&tokenizer, &marks, &[document(context, continuation)]).unwrap();
            let [scored, written] = requests[0].as_slice() else { panic!("two requests") };
            let found = json!([context, continuation, scored.context().to_vec(), scored.continuation()]);
            assert_eq!(found, json!(pair.as_array().unwrap()[..4]), "{line}");
            if !pair[4].is_null() {
                assert_eq!(json!(written.context().to_vec()), pair[4], "{context:?} of {line}");
            }
            checked += 1;
        }
    }
    assert_eq!(checked, 320);
}

#[test]
fn before_0_4_there_were_no_tokens_around() {
    let mut cases =
        include_str!("marked_pairs.jsonl").lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let both =
        |case: &Value| ["<s>", "</s>"].iter().all(|token| case["post_processor"].to_string().contains(token));
    let case = cases.find(both).unwrap();
    let tokenizer = load(&case["post_processor"], &json!({"bos_token": "<s>", "eos_token": "</s>"}));
    let marks = Marks::new(&tokenizer, TextBegin::BEFORE_0_4).unwrap();
    assert!(!marks.add_before());
    let tokens = |context, continuation| {
        let requests = encode_requests(&tokenizer, &marks, &[document(context, continuation)]).unwrap();
        let [TokenRequest::Loglikelihood { context, continuation }, _] = &requests[0][..] else { panic!() };
        (context.to_vec(), continuation.clone())
    };
    assert_eq!(tokens("a", " b"), (vec![3], vec![6, 4]));
    // The end-of-text token, also before itself.
    assert_eq!(tokens("", "</s>a"), (vec![2], vec![2, 3]));
}

#[test]
fn what_the_tokenizer_lacks_is_said() {
    let always = TextBegin { add_bos_token: AddBosToken::Always, ..TextBegin::SINCE_0_4 };
    let error = |tokenizer: &Tokenizer, begin| Marks::new(tokenizer, begin).unwrap_err().to_string();
    let found = error(&load(&Value::Null, &json!({"eos_token": "</s>"})), always);
    assert!(
        found.ends_with("does not say which token begins a text, and one is to be put before each"),
        "{found}"
    );
    let none = Marks::new(&load(&Value::Null, &json!({})), TextBegin::SINCE_0_4).unwrap();
    let found = encode_requests(&load(&Value::Null, &json!({})), &none, &[document("", "a")]).unwrap_err();
    assert!(found.to_string().ends_with("does not say which token begins or ends a text"), "{found}");
}
