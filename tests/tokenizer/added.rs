//! Added tokens that stand beside `tokenizer.json` alone. `added_tokens.jsonl` has a line a case: its name, the files, and what
//! transformers 5.24 made of [`TEXT`] with them (ids, text without special tokens, ids of the tokens that begin and end a text).
//! The class's defaults are those beside a `config.json`.

use std::path::Path;

use assay::tokenizer::Tokenizer;
use serde_json::{Value, json};

const TEXT: &str = "a <x> b</s>c <b> a";

/// A byte-level tokenizer of twelve tokens.
pub fn tokenizer_json(post_processor: &Value) -> Value {
    let pieces = ["<unk>", "<s>", "</s>", "a", "b", "c", "Ġ", "Ġa", "<", ">", "|", "x"];
    let vocab: serde_json::Map<String, Value> =
        pieces.iter().zip(0..).map(|(p, id)| (p.to_string(), json!(id))).collect();
    let added = |(content, id): (&&str, usize)| json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true});
    let bytes =
        json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": pieces[..3].iter().zip(0..).map(added).collect::<Vec<_>>(),
        "normalizer": null,
        "pre_tokenizer": bytes,
        "post_processor": post_processor,
        "decoder": bytes,
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null, "end_of_word_suffix": null,
            "fuse_unk": false, "byte_fallback": false, "ignore_merges": false, "vocab": vocab, "merges": [["Ġ", "a"]],
        },
    })
}

/// Writes the tokenizer and the files beside it into a folder.
pub fn write(folder: &Path, post_processor: &Value, files: &Value) {
    std::fs::write(folder.join("tokenizer.json"), tokenizer_json(post_processor).to_string()).unwrap();
    for (name, content) in files.as_object().unwrap() {
        std::fs::write(folder.join(name), content.to_string()).unwrap();
    }
}

fn load(files: &Value) -> Result<Tokenizer, String> {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &Value::Null, files);
    Tokenizer::from_file(&folder.path().join("tokenizer.json")).map_err(|error| error.to_string())
}

#[test]
fn tokens_beside_the_tokenizer_are_those_of_transformers() {
    let plain = load(&json!({})).unwrap().fingerprint;
    for line in include_str!("added_tokens.jsonl").lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let tokenizer = load(&case[1]).unwrap();
        let ids = tokenizer.encode(TEXT).unwrap();
        let found =
            json!([ids, tokenizer.decode(&ids).unwrap(), tokenizer.beginning_of_text, tokenizer.end_of_text]);
        assert_eq!(found, json!([case[2], case[3], case[4], case[5]]), "{}", case[0]);
        assert_eq!(tokenizer.contradictions, [""; 0], "{}", case[0]);
        // The hash tells tokenizers with other tokens apart, and leaves alone what changes none.
        let changes = case[1].to_string().contains("<x>") || case[1].to_string().contains("lstrip\":true");
        assert_eq!(tokenizer.fingerprint != plain, changes || case[0] == "extra", "{}", case[0]);
    }
}

#[test]
fn ids_that_the_files_give_otherwise_are_said() {
    let token = |content: &str| json!({"content": content, "special": true, "normalized": false});
    let decoder = |id: &str, content: &str| {
        let files = json!({"tokenizer_config.json": {"added_tokens_decoder": {id: token(content)}}});
        load(&files).unwrap().contradictions
    };
    assert_eq!(decoder("12", "<x>"), [""; 0]);
    for (id, content, found) in [("14", "<x>", 12), ("5", "<x>", 12), ("4", "</s>", 2)] {
        let said = decoder(id, content);
        assert!(said[0].ends_with(&format!("{content:?} the id {id}, and here it has {found}")), "{said:?}");
    }
}

#[test]
fn a_damaged_file_beside_the_tokenizer_is_an_error() {
    for (name, content) in [
        ("tokenizer_config.json", json!([])),
        ("tokenizer_config.json", json!({"added_tokens_decoder": []})),
        ("tokenizer_config.json", json!({"added_tokens_decoder": {"x": "<x>"}})),
        ("tokenizer_config.json", json!({"added_tokens_decoder": {"12": 3}})),
        ("tokenizer_config.json", json!({"eos_token": 3})),
        ("special_tokens_map.json", json!(3)),
        ("added_tokens.json", json!({"<x>": -1})),
    ] {
        let Err(error) = load(&json!({name: content})) else { panic!("{name}: {content}") };
        assert!(error.contains(".json:"), "{error}");
    }
}

#[test]
fn a_list_of_pieces_is_the_vocabulary_or_is_not() {
    let tokenizer = load(&json!({})).unwrap();
    let pieces = ["<unk>", "<s>", "</s>", "a", "b", "c", "Ġ", "Ġa", "<", ">", "|", "x", "[PAD12]"];
    assert_eq!(tokenizer.other_token(&pieces), None);
    assert_eq!(tokenizer.other_token(&pieces[..11]), Some((11, "x".into(), "missing".into())));
    let swapped = ["<unk>", "<s>", "</s>", "b", "a", "c", "Ġ", "Ġa", "<", ">", "|", "x"];
    assert_eq!(tokenizer.other_token(&swapped), Some((3, "a".into(), "\"b\"".into())));
}
