//! Tokenizers' files that ask for all memory, for ever, or for a panic.

use std::path::Path;

use assay::tokenizer::Tokenizer;
use serde_json::{Value, json};

/// A byte-level tokenizer of a few letters with what `change` makes of it.
fn tokenizer(folder: &Path, change: impl FnOnce(&mut Value)) -> Result<Tokenizer, String> {
    let flags =
        json!({"single_word": false, "lstrip": false, "rstrip": false, "normalized": true, "special": false});
    let mut added = json!({"id": 5, "content": "<x>"});
    added.as_object_mut().unwrap().extend(flags.as_object().unwrap().clone());
    let mut file = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [added], "normalizer": null, "pre_tokenizer": null,
        "post_processor": null, "decoder": {"type": "BPEDecoder", "suffix": "_"},
        "model": {
            "type": "BPE", "dropout": null, "unk_token": "?", "vocab": {"?": 0, "a": 1, "e": 2, " ": 3, "ae": 4},
            "merges": [["a", "e"]],
        },
    });
    change(&mut file);
    let path = folder.join("tokenizer.json");
    std::fs::write(&path, file.to_string()).unwrap();
    Tokenizer::from_file(&path).map_err(|error| error.to_string())
}

fn refused(expected: &str, change: impl FnOnce(&mut Value)) {
    let folder = tempfile::tempdir().unwrap();
    let Err(error) = tokenizer(folder.path(), change) else { panic!("is no error, expected {expected}") };
    assert!(error.contains("tokenizer.json: no tokenizer: "), "{error}");
    assert!(error.contains(expected), "{error}, expected {expected}");
    assert!(!error.contains('\n') && error.len() < 600, "{error}");
}

#[test]
fn files_that_ask_for_too_much_are_no_tokenizers() {
    let twice = json!({"type": "Replace", "pattern": {"String": "e"}, "content": "ee"});
    refused("times as long", |file| {
        file["normalizer"] = json!({"type": "Sequence", "normalizers": vec![&twice; 40]})
    });
    refused("times as long", |file| {
        file["decoder"] = json!({"type": "Sequence", "decoders": vec![&twice; 40]})
    });
    refused("a trie of", |file| {
        file["normalizer"] = json!({"type": "Precompiled", "precompiled_charsmap": "/////wAAAAAAAAAAAAAA"});
    });
    refused("has the id 4294967295", |file| file["model"]["vocab"]["a"] = u32::MAX.into());
    refused("has the id -1", |file| file["model"]["vocab"]["a"] = json!(-1));
    refused("has the id [0,0,", |file| file["model"]["vocab"]["a"] = json!(vec![0; 100_000]));
    refused("a token has 5000 bytes", |file| file["model"]["vocab"]["e".repeat(5000)] = 6.into());
    refused("a token has 5000 bytes", |file| file["added_tokens"][0]["content"] = "e".repeat(5000).into());
    refused("has the id 4294967295", |file| file["added_tokens"][0]["id"] = u32::MAX.into());
    refused("300000 added tokens", |file| {
        file["added_tokens"] = json!(vec![file["added_tokens"][0].clone(); 300_000])
    });
    refused("`max_input_chars_per_word` is 1000000", |file| {
        file["model"] = json!({
            "type": "WordPiece", "unk_token": "?", "continuing_subword_prefix": "##", "max_input_chars_per_word": 1_000_000,
            "vocab": {"?": 0},
        });
    });
    refused("`continuing_subword_prefix` has more than", |file| {
        file["model"]["continuing_subword_prefix"] = "#".repeat(1000).into();
    });
    refused("tokens around a text", |file| {
        let ids = vec![3; 100];
        file["post_processor"] = json!({
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "a", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
            "special_tokens": {"a": {"id": "a", "ids": ids, "tokens": vec!["a"; 100]}},
        });
    });
}

#[test]
fn what_contradicts_itself_is_no_tokenizer() {
    refused("out of vocabulary", |file| file["model"]["merges"] = json!([["a", "zz"]]));
    refused("missing field", |file| file["decoder"] = json!({"type": "Strip", "content": " "}));
    refused("`model` is missing", |file| drop(file.as_object_mut().unwrap().remove("model")));
    refused("`model` is a list", |file| file["model"] = json!([]));
    refused("`added_tokens` is a number", |file| file["added_tokens"] = 3.into());
    refused("`truncation` is 3", |file| file["truncation"] = 3.into());
    refused("`version` is 2", |file| file["version"] = 2.into());
    refused("`dropout` is \"x\"", |file| file["model"]["dropout"] = "x".into());
    // A merge whose second piece is shorter than the mark that is cut off it.
    refused("", |file| file["model"]["continuing_subword_prefix"] = "####".into());
    // Deeper than any reader goes.
    let mut deep = json!({"type": "Lowercase"});
    for _ in 0..150 {
        deep = json!({"type": "Sequence", "normalizers": [deep]});
    }
    refused("recursion limit", |file| file["normalizer"] = deep);
}

#[test]
fn what_takes_for_ever_is_an_error_of_the_text() {
    let folder = tempfile::tempdir().unwrap();
    let slow = tokenizer(folder.path(), |file| {
        file["pre_tokenizer"] = json!({
            "type": "Split", "behavior": "Isolated", "invert": false, "pattern": {"Regex": r"(?:a|aa)+(?=\d)|(?:a|aa)+(?<=b)"},
        });
    })
    .unwrap();
    assert_eq!(slow.encode("ae").unwrap(), [4]);
    let error = slow.encode(&"a".repeat(100)).unwrap_err().to_string();
    assert!(error.starts_with("the tokenizer cannot encode a text of 100 bytes: the pattern "), "{error}");
}

#[test]
fn what_panics_is_an_error_of_the_text() {
    let folder = tempfile::tempdir().unwrap();
    // It cuts characters off the end of texts that have none.
    let strip = tokenizer(folder.path(), |file| {
        file["decoder"] = json!({"type": "Strip", "content": "a", "start": 0, "stop": 9});
    })
    .unwrap();
    assert_eq!(strip.encode("ae").unwrap(), [4]);
    let error = strip.decode(&[1]).unwrap_err().to_string();
    assert!(error.starts_with("the tokenizer cannot decode 1 tokens: the library ended with "), "{error}");
    // A generation of such tokens would be kept.
    let long = tokenizer(folder.path(), |file| {
        file["model"]["vocab"]["e".repeat(3000)] = 5.into();
        file["decoder"] = json!({"type": "Replace", "pattern": {"String": "e"}, "content": "e".repeat(15)});
    })
    .unwrap();
    assert_eq!(long.decode(&[2]).unwrap().len(), 15);
    let error = long.decode(&[5]).unwrap_err().to_string();
    assert!(error.ends_with("their text has 45000 bytes, expected 17408 at most"), "{error}");
    // Decoding nothing is no reason to end.
    let empty = tokenizer(folder.path(), |_| {}).unwrap();
    assert!(empty.decode(&[]).is_ok_and(|text| text.is_empty()));
}

#[test]
fn dropout_is_off_and_that_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let with = tokenizer(folder.path(), |file| file["model"]["dropout"] = json!(0.9)).unwrap();
    assert!(
        with.notes.len() == 1 && with.notes[0].contains("its dropout is switched off"),
        "{:?}",
        with.notes
    );
    for _ in 0..20 {
        assert_eq!(with.encode("aeae").unwrap(), [4, 4]);
    }
    let without = tokenizer(folder.path(), |_| {}).unwrap();
    assert!(without.notes.is_empty() && without.encodes_as(&with));
}

#[test]
fn damaged_files_beside_a_tokenizer_have_a_place() {
    for name in ["tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(name), "{\n \"a\": x}").unwrap();
        let error = tokenizer(folder.path(), |_| {}).err().unwrap();
        assert!(error.ends_with(&format!("{name}:2:7: expected value")), "{error}");
    }
    for (value, expected) in [
        ("\"eos_token\": 5", "`eos_token` is 5, expected a token"),
        (
            "\"bos_token\": {\"content\": \"a\", \"special\": 1}",
            "`bos_token` is {\"content\":\"a\",\"special\":1}, expected a token",
        ),
        ("\"additional_special_tokens\": 5", "`additional_special_tokens` is 5, expected a list"),
        ("\"extra_special_tokens\": \"a\"", "`extra_special_tokens` is \"a\", expected a list or an object"),
        ("\"tokenizer_class\": []", "`tokenizer_class` is [], expected a name"),
        ("\"added_tokens_decoder\": []", "`added_tokens_decoder` is no object of ids and tokens"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tokenizer_config.json"), format!("{{\n {value}}}")).unwrap();
        let error = tokenizer(folder.path(), |_| {}).err().unwrap();
        assert!(error.ends_with(&format!("tokenizer_config.json:2:2: {expected}")), "{error}");
    }
}

/// Numbers that are the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % most
    }
}

/// Another value in the place of one in `value`, which is of the same kind mostly, or one that is lost or stands twice.
fn mutate(value: &mut Value, numbers: &mut Numbers) {
    let descend = numbers.below(8) > 0;
    match value {
        Value::Object(entries) if descend && !entries.is_empty() => {
            let place = numbers.below(entries.len());
            let key = entries.keys().nth(place).unwrap().clone();
            if numbers.below(12) == 0 {
                let moved = entries.shift_remove(&key).unwrap();
                if numbers.below(2) == 0 {
                    entries.insert(format!("{key}{key}"), moved);
                }
            } else {
                mutate(&mut entries[&key], numbers);
            }
        }
        Value::Array(items) if descend && !items.is_empty() => {
            let place = numbers.below(items.len());
            match numbers.below(8) {
                0 => drop(items.remove(place)),
                1 => items.extend(vec![items[place].clone(); 40]),
                _ => mutate(&mut items[place], numbers),
            }
        }
        Value::String(text) => {
            let odd = ["", "é", "ee", "▁", "##", "(?=a)", "a*", "(a|aa)+$", "$A $A", "\u{0}", "e", " "];
            *text = match numbers.below(4) {
                0 => text.repeat(2),
                1 => format!("{text}{}", odd[numbers.below(odd.len())]),
                _ => odd[numbers.below(odd.len())].to_string(),
            };
        }
        Value::Bool(flag) => *flag = !*flag,
        Value::Number(number) => {
            let odd = [json!(0), json!(1), json!(-1), json!(7), json!(1 << 20), json!(u64::MAX), json!(0.5)];
            if let Value::Number(odd) = &odd[numbers.below(odd.len())] {
                *number = odd.clone();
            }
        }
        other => {
            let odd = [json!(null), json!(null), json!(0.5), json!("a"), json!([]), json!({})];
            *other = odd[numbers.below(odd.len())].clone();
        }
    }
}

/// A small search for what was forgotten; `fuzz/` has the large one. `ASSAY_MUTATIONS` is their number.
#[test]
fn mutated_files_end_in_tokens_or_an_error() {
    let count = std::env::var("ASSAY_MUTATIONS").ok().and_then(|count| count.parse().ok()).unwrap_or(600);
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/tokenizer");
    let mut seeds: Vec<_> = std::fs::read_dir(seeds).unwrap().map(|entry| entry.unwrap().path()).collect();
    seeds.sort();
    assert!(seeds.len() >= 6);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.json");
    let mut numbers = Numbers(7);
    let mut loaded = 0;
    for i in 0..count {
        let mut file: Value =
            serde_json::from_slice(&std::fs::read(&seeds[i % seeds.len()]).unwrap()).unwrap();
        for _ in 0..1 + numbers.below(2) {
            mutate(&mut file, &mut numbers);
        }
        std::fs::write(&path, file.to_string()).unwrap();
        let Ok(tokenizer) = Tokenizer::from_file(&path) else { continue };
        loaded += 1;
        for text in ["", "a", "ae ea\n  é<s>a", "Is 1 < 22?"] {
            if let Ok(tokens) = tokenizer.encode(text) {
                let _ = (tokenizer.decode(&tokens), tokenizer.decode_with_special(&tokens));
            }
        }
        let _ = tokenizer.decode(&[0, 1, 2, 3, 4, 5, 6, u32::MAX]);
    }
    assert!(loaded > count / 5, "{loaded} of {count} are tokenizers still");
}
