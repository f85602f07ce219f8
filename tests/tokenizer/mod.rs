//! Token ids, compared with those of the models' own tokenizer.json.

mod added;
mod hostile;
mod marked;
mod pairs;
mod real_prompts;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use assay::model::{GgufMetadata, GgufValue};
use assay::tokenizer::gguf::{GgufTokenizerError, from_metadata, gguf_marks, gguf_tokenizer};
use tokenizers::Tokenizer;

use crate::model::fixtures::{real_model, shared};

/// Texts on which tokenizers differ.
const TEXTS: [&str; 16] = [
    "",
    " ",
    "Hello world",
    " leading and trailing ",
    "two  spaces,   three, and a run:          end",
    "tabs\tand\t\ttabs\nlines\n\nblank\r\nreturn\n\n\n",
    "3.14159 12345678 1,000,000 ½ ² ٣٤ x86_64",
    "it's we'll I'VE don't 'tis",
    "naïve café — “quotes” … €5 ﬁ",
    "日本語のテキスト 中文 한국어 Ελληνικά Русский हिन्दी العربية",
    "emoji 👩‍👩‍👧‍👦 🇩🇪 🙂",
    "e\u{301} vs \u{e9}, zero\u{200b}width, \u{feff}bom",
    "fn main() { println!(\"{:?}\", x[0]); } // a->b != c",
    "▁underscore▁ and _ and <0x0A> and <unk",
    "a<s>b</s>c <|im_start|>user\nhi<|im_end|> <|endoftext|>",
    "\u{0}\u{1}\u{7f} control \u{10ffff}",
];

fn ids(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
    tokenizer.encode(text, false).unwrap().get_ids().to_vec()
}

/// Contexts and continuations of the reference requests, if present.
fn requests() -> Vec<String> {
    let Some(path) = shared("golden/full/requests.jsonl.gz") else { return Vec::new() };
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    fn strings(value: &serde_json::Value, found: &mut Vec<String>) {
        match value {
            serde_json::Value::String(text) => found.push(text.clone()),
            serde_json::Value::Array(values) => values.iter().for_each(|value| strings(value, found)),
            serde_json::Value::Object(map) => map.values().for_each(|value| strings(value, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    for line in text.lines() {
        strings(&serde_json::from_str(line).unwrap(), &mut found);
    }
    assert!(found.len() > 100);
    found
}

#[test]
fn smollm_ids_are_those_of_its_tokenizer_json() {
    let (Some(gguf), Some(json)) =
        (real_model("SmolLM2-135M-Instruct.Q4_1.gguf"), shared("tokenizers/smollm2/tokenizer.json"))
    else {
        return;
    };
    let from_gguf = gguf_tokenizer(&gguf).unwrap();
    let plain = Tokenizer::from_file(json).unwrap();
    for text in TEXTS.into_iter().map(str::to_owned).chain(requests()) {
        let found = ids(&from_gguf, &text);
        assert_eq!(found, ids(&plain, &text), "{text:?}");
        assert_eq!(from_gguf.decode(&found, true).unwrap(), plain.decode(&found, true).unwrap());
    }
}

/// The metadata a SentencePiece tokenizer.json would have in GGUF: scores in the order of its merges.
fn sentence_piece_metadata(json: &Path) -> GgufMetadata {
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    let vocab: BTreeMap<u64, &String> =
        json["model"]["vocab"].as_object().unwrap().iter().map(|(s, id)| (id.as_u64().unwrap(), s)).collect();
    let mut ranks = BTreeMap::new();
    for (rank, merge) in json["model"]["merges"].as_array().unwrap().iter().enumerate() {
        ranks.entry(merge.as_str().unwrap().replace(' ', "")).or_insert(rank);
    }
    let score = |piece: &String| -(ranks.get(piece).copied().unwrap_or(1_000_000) as f64);
    let kind = |id: u64| match id {
        0 => 2,
        1 | 2 => 3,
        3..259 => 6,
        _ => 1,
    };
    let strings = vocab.values().map(|piece| GgufValue::String(piece.to_string())).collect();
    let scores = vocab.values().map(|piece| GgufValue::Float(score(piece))).collect();
    let kinds = vocab.keys().map(|&id| GgufValue::Signed(kind(id))).collect();
    let values = [
        ("model", GgufValue::String("llama".to_owned())),
        ("tokens", GgufValue::Array(strings)),
        ("scores", GgufValue::Array(scores)),
        ("token_type", GgufValue::Array(kinds)),
        ("unknown_token_id", GgufValue::Unsigned(0)),
    ];
    let values = values.into_iter().map(|(key, value)| (format!("tokenizer.ggml.{key}"), value));
    GgufMetadata::from_values(Path::new("mistral.gguf"), values.collect())
}

#[test]
fn sentence_piece_ids_are_those_of_mistral() {
    let Some(json) = shared("tokenizers/mistral-7b-v0.1/tokenizer.json") else { return };
    let found = from_metadata(&sentence_piece_metadata(&json)).unwrap();
    let expected = Tokenizer::from_file(&json).unwrap();
    for text in TEXTS.into_iter().map(str::to_owned).chain(requests()) {
        let ids = ids(&found, &text);
        assert_eq!(ids, expected.encode(text.as_str(), false).unwrap().get_ids(), "{text:?}");
        assert_eq!(found.decode(&ids, true).unwrap(), expected.decode(&ids, true).unwrap());
    }
}

/// Metadata of a byte-level tokenizer of three pieces.
fn byte_level_metadata(change: impl FnOnce(&mut BTreeMap<String, GgufValue>)) -> GgufMetadata {
    let strings = |s: &[&str]| GgufValue::Array(s.iter().map(|s| GgufValue::String(s.to_string())).collect());
    let mut values = BTreeMap::from([
        ("tokenizer.ggml.model".to_owned(), GgufValue::String("gpt2".to_owned())),
        ("tokenizer.ggml.pre".to_owned(), GgufValue::String("gpt-2".to_owned())),
        ("tokenizer.ggml.tokens".to_owned(), strings(&["a", "b", "ab"])),
        ("tokenizer.ggml.merges".to_owned(), strings(&["a b"])),
        ("tokenizer.ggml.token_type".to_owned(), GgufValue::Array(vec![GgufValue::Signed(1); 3])),
    ]);
    change(&mut values);
    GgufMetadata::from_values(Path::new("tiny.gguf"), values)
}

#[test]
fn known_rules_build_and_others_are_errors() {
    for pre in ["gpt-2", "smollm", "llama-bpe", "qwen2"] {
        let metadata = byte_level_metadata(|values| {
            values.insert("tokenizer.ggml.pre".to_owned(), GgufValue::String(pre.to_owned()));
        });
        assert_eq!(ids(&from_metadata(&metadata).unwrap(), "abba"), [2, 1, 0], "{pre}");
    }
    let string = |s: &str| GgufValue::String(s.to_owned());
    let cases: [(&str, Option<GgufValue>, &str); 10] = [
        ("tokens", Some(GgufValue::Array(["a", "b", &"x".repeat(5000)].map(string).to_vec())), "5000 bytes"),
        (
            "merges",
            Some(GgufValue::Array(vec![string("a b"); (1 << 21) + 1])),
            "2097153 merges, expected 2097152",
        ),
        ("pre", Some(string("default")), "`tokenizer.ggml.pre` is \"default\""),
        ("pre", None, "`tokenizer.ggml.pre` is missing"),
        ("model", Some(string("bert")), "`tokenizer.ggml.model` is \"bert\""),
        ("tokens", None, "`tokenizer.ggml.tokens` is missing"),
        ("tokens", Some(GgufValue::Array(vec![string("a"); 3])), "\"a\" occurs twice"),
        ("token_type", Some(GgufValue::Array(Vec::new())), "0 token types for 3 tokens"),
        ("merges", Some(GgufValue::Array(vec![string("ab")])), "merge \"ab\""),
        ("merges", Some(GgufValue::Array(vec![string("a x")])), "`x`"),
    ];
    for (key, value, expected) in cases {
        let metadata = byte_level_metadata(|values| {
            let key = format!("tokenizer.ggml.{key}");
            match value {
                Some(value) => values.insert(key, value),
                None => values.remove(&key),
            };
        });
        let error: GgufTokenizerError = from_metadata(&metadata).unwrap_err();
        let message = error.to_string();
        assert!(message.contains(expected) && message.contains("tiny.gguf"), "{message}");
        assert!(miette::Diagnostic::help(&error).is_some());
    }
}

#[test]
fn what_a_file_says_of_the_beginning_of_texts() {
    let found = |values: &[(&str, GgufValue)]| {
        let metadata = byte_level_metadata(|all| {
            all.extend(values.iter().map(|(key, value)| (format!("tokenizer.ggml.{key}"), value.clone())));
        });
        gguf_marks(&metadata).map(|marks| (marks.begin, marks.before, marks.after))
    };
    let (bos, eos) = (("bos_token_id", GgufValue::Unsigned(1)), ("eos_token_id", GgufValue::Unsigned(2)));
    let add = |end, add| (if end { "add_eos_token" } else { "add_bos_token" }, GgufValue::Bool(add));
    let llama = ("model", GgufValue::String("llama".into()));
    assert_eq!(found(&[]).unwrap(), (None, vec![], vec![]));
    assert_eq!(found(&[bos.clone(), eos.clone()]).unwrap(), (Some(1), vec![], vec![]));
    assert_eq!(found(&[bos.clone(), add(false, true)]).unwrap(), (Some(1), vec![1], vec![]));
    // What transformers 5.24 takes where a SentencePiece vocabulary says nothing, as llama.cpp does.
    assert_eq!(found(&[bos.clone(), llama.clone()]).unwrap(), (Some(1), vec![1], vec![]));
    assert_eq!(found(&[bos.clone(), llama, add(false, false)]).unwrap(), (Some(1), vec![], vec![]));
    assert_eq!(found(&[bos, eos, add(true, true)]).unwrap(), (Some(1), vec![], vec![2]));
    let error = found(&[("bos_token_id", GgufValue::Unsigned(3))]).unwrap_err().to_string();
    assert!(error.contains("`tokenizer.ggml.bos_token_id` is 3, and there are 3 tokens"), "{error}");
}
