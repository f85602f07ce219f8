//! Requests are encoded part by part; the plain way encodes context and continuation as a whole.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use assay::python::text::rstrip;
use assay::tokenizer::{Marks, Tokenizer, encode_requests};
use assay::vocabulary::{DocumentRequests, Gold, Request, TextBegin};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::material::shared;

fn document(context: &str, continuations: &[String]) -> DocumentRequests {
    let context: Arc<str> = context.into();
    let request =
        |text: &String| Request::Loglikelihood { context: context.clone(), continuation: text.clone() };
    let text =
        Request::GenerateUntil { context: context.clone(), until: Vec::new().into(), max_new_tokens: 1 };
    DocumentRequests {
        task: "t".into(),
        doc_id: 0,
        row: 0,
        gold: Gold::Index(0),
        requests: continuations.iter().map(request).chain([text]).collect(),
        choices: Vec::new(),
        views: Vec::new(),
    }
}

fn before_0_4(tokenizer: &Tokenizer) -> Marks {
    Marks::new(tokenizer, TextBegin::BEFORE_0_4).unwrap()
}

/// `encode(context + continuation)[len(encode(context)):]`, with the context's trailing white space moved.
fn plain(tokenizer: &Tokenizer, context: &str, continuation: &str) -> (Vec<u32>, Vec<u32>) {
    let head = tokenizer.encode(rstrip(context)).unwrap();
    let whole = tokenizer.encode(&format!("{context}{continuation}")).unwrap();
    let rest = whole[head.len().min(whole.len())..].to_vec();
    (head, rest)
}

/// The word-splitting patterns of Llama 3 and of Qwen2, from their tokenizer.json.
const LATER_WORDS: [&str; 2] = [
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
];

/// A tokenizer of each kind that encodes part by part, as far as available. Where a model's own is missing,
/// its rules are applied to another vocabulary.
pub fn tokenizers() -> &'static [Tokenizer] {
    static TOKENIZERS: LazyLock<Vec<Tokenizer>> = LazyLock::new(|| {
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("sample_model/tokenizer.json");
        let mut found = vec![Tokenizer::from_file(&own).unwrap()];
        if let Some(file) = shared("tokenizers/mistral-7b-v0.1/tokenizer.json") {
            found.push(Tokenizer::from_file(&file).unwrap());
            for (scheme, split) in [("first", false), ("always", true)] {
                found.push(changed(&file, |json| {
                    json["normalizer"] = Value::Null;
                    json["pre_tokenizer"] =
                        json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": split});
                }));
            }
        }
        if let Some(file) = shared("tokenizers/smollm2/tokenizer.json") {
            found.push(Tokenizer::from_file(&file).unwrap());
            for (words, normalizer) in LATER_WORDS.into_iter().zip([Value::Null, json!({"type": "NFC"})]) {
                found.push(changed(&file, |json| {
                    json["model"]["ignore_merges"] = normalizer.is_null().into();
                    json["normalizer"] = normalizer.clone();
                    // Pieces as in their vocabularies: a line feed after a full stop or a colon.
                    let pieces = [".", ":"].into_iter().zip(49_152..);
                    for (mark, id) in pieces {
                        json["model"]["vocab"][format!("{mark}Ċ")] = id.into();
                        json["model"]["merges"].as_array_mut().unwrap().push(json!([mark, "Ċ"]));
                    }
                    json["pre_tokenizer"] = json!({"type": "Sequence", "pretokenizers": [
                        {"type": "Split", "pattern": {"Regex": words}, "behavior": "Isolated", "invert": false},
                        {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false},
                    ]});
                }));
            }
        }
        found
    });
    assert!(TOKENIZERS.iter().all(Tokenizer::encodes_parts));
    &TOKENIZERS
}

/// The tokenizer in `file` with other rules.
fn changed(file: &Path, change: impl Fn(&mut Value)) -> Tokenizer {
    let mut json: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    change(&mut json);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.json");
    std::fs::write(&path, json.to_string()).unwrap();
    Tokenizer::from_file(&path).unwrap()
}

/// Checks that requests that continue `context`, and one that generates after it, have the tokens of the
/// plain way.
pub fn assert_same(tokenizer: &Tokenizer, context: &str, continuations: &[String]) {
    // An empty context becomes the end-of-text token, which has its own test.
    if tokenizer.encode(rstrip(context)).unwrap().is_empty() {
        return;
    }
    let requests =
        encode_requests(tokenizer, &before_0_4(tokenizer), &[document(context, continuations)]).unwrap();
    let (written, scored) = requests[0].split_last().unwrap();
    let rules = (tokenizer.path.display(), tokenizer.fingerprint.to_string());
    assert_eq!(written.context().to_vec(), tokenizer.encode(context).unwrap(), "{rules:?}: {context:?}");
    assert_eq!(scored.len(), continuations.len());
    for (continuation, request) in continuations.iter().zip(scored) {
        let (head, rest) = plain(tokenizer, context, continuation);
        assert_eq!(request.context().to_vec(), head, "{rules:?}: context {context:?}");
        assert_eq!(request.continuation(), rest, "{rules:?}: {context:?} and {continuation:?}");
    }
}

/// Pieces at whose joints tokenizers differ.
pub const PIECES: [&str; 43] = [
    "a",
    "The",
    " ",
    "  ",
    "\n",
    "\n\n",
    "\t",
    "\r\n",
    "\r",
    "Answer",
    ":",
    ".",
    "?!",
    "12",
    "3",
    "é",
    "日本",
    "▁",
    "▁▁",
    " ▁",
    "</s>",
    "<s>",
    "<unk>",
    "<|im_end|>",
    "<|endoftext|>",
    "<|endof",
    "</",
    "s>",
    "'s",
    "'LL",
    "_",
    "\u{a0}",
    "\u{2028}",
    "\u{3000}",
    "\u{85}",
    "<0x0A>",
    "e\u{301}",
    "\u{301}",
    "🙂",
    "\u{1f}",
    "\u{0}",
    "\u{2000}",
    "\u{212b}",
];

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(&PIECES[..]), 0..14).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_cut_changes_no_token(context in text(), continuations in prop::collection::vec(text(), 1..4)) {
        for tokenizer in tokenizers() {
            assert_same(tokenizer, &context, &continuations);
        }
    }
}

#[test]
fn an_empty_context_is_the_end_of_text() {
    for tokenizer in tokenizers() {
        let Some(end) = tokenizer.end_of_text else { continue };
        let requests =
            encode_requests(tokenizer, &before_0_4(tokenizer), &[document("", &["Paris".to_string()])])
                .unwrap();
        assert_eq!(requests[0][0].context().to_vec(), [end]);
        assert_eq!(requests[0][0].continuation(), tokenizer.encode("Paris").unwrap());
    }
}
