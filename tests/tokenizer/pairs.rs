//! Requests are encoded from a cut on; the plain way encodes context and continuation whole.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use assay::python::text::rstrip;
use assay::tokenizer::{Tokenizer, encode_requests};
use assay::vocabulary::{DocumentRequests, Gold, Request};
use proptest::prelude::*;

use crate::material::shared;

fn document(context: &str, continuations: &[String]) -> DocumentRequests {
    let context: Arc<str> = context.into();
    let request =
        |text: &String| Request::Loglikelihood { context: context.clone(), continuation: text.clone() };
    DocumentRequests {
        task: "t".into(),
        doc_id: 0,
        row: 0,
        gold: Gold::Index(0),
        requests: continuations.iter().map(request).collect(),
        choices: Vec::new(),
        views: Vec::new(),
    }
}

/// `encode(context + continuation)[len(encode(context)):]`, with the context's trailing white space moved.
fn plain(tokenizer: &Tokenizer, context: &str, continuation: &str) -> (Vec<u32>, Vec<u32>) {
    let head = tokenizer.encode(rstrip(context)).unwrap();
    let whole = tokenizer.encode(&format!("{context}{continuation}")).unwrap();
    let rest = whole[head.len().min(whole.len())..].to_vec();
    (head, rest)
}

fn tokenizers() -> Vec<Tokenizer> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("sample_model/tokenizer.json");
    let others =
        ["mistral-7b-v0.1", "smollm2"].map(|name| shared(&format!("tokenizers/{name}/tokenizer.json")));
    let files: Vec<PathBuf> = std::iter::once(own).chain(others.into_iter().flatten()).collect();
    files.iter().map(|file| Tokenizer::from_file(file).unwrap()).collect()
}

fn assert_same(tokenizer: &Tokenizer, context: &str, continuations: &[String]) {
    let requests = encode_requests(tokenizer, &[document(context, continuations)]).unwrap();
    for (continuation, request) in continuations.iter().zip(&requests[0]) {
        let (head, rest) = plain(tokenizer, context, continuation);
        let path = tokenizer.path.display();
        assert_eq!(request.context().to_vec(), head, "{path}: context {context:?}");
        assert_eq!(request.continuation(), rest, "{path}: {context:?} and {continuation:?}");
    }
}

/// Pieces whose joints are where tokenizers differ.
fn text() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "a",
        "The",
        " ",
        "  ",
        "\n",
        "\n\n",
        "\t",
        "\r\n",
        "Answer",
        ":",
        ".",
        "?!",
        "12",
        "3",
        "é",
        "日本",
        "▁",
        "</s>",
        "<s>",
        "<|im_end|>",
        "'s",
        "_",
        "\u{a0}",
        "\u{2028}",
        "<0x0A>",
        "e\u{301}",
        "🙂",
        "\u{1f}",
    ]);
    prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_cut_changes_no_token(
        context in text().prop_filter("a context", |t| !rstrip(t).is_empty()),
        continuations in prop::collection::vec(text(), 1..4),
    ) {
        static TOKENIZERS: std::sync::OnceLock<Vec<Tokenizer>> = std::sync::OnceLock::new();
        for tokenizer in TOKENIZERS.get_or_init(tokenizers) {
            if tokenizer.encode(rstrip(&context)).unwrap().is_empty() {
                continue;
            }
            assert_same(tokenizer, &context, &continuations);
        }
    }
}

#[test]
fn an_empty_context_is_the_end_of_text() {
    for tokenizer in tokenizers() {
        let Some(end) = tokenizer.end_of_text else { continue };
        let requests = encode_requests(&tokenizer, &[document("", &["Paris".to_string()])]).unwrap();
        assert_eq!(requests[0][0].context().to_vec(), [end]);
        assert_eq!(requests[0][0].continuation(), tokenizer.encode("Paris").unwrap());
    }
}
