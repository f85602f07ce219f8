//! The prompts of all tasks, unchanged and with odd pieces inserted, have the tokens of the plain way.

use std::sync::LazyLock;

use assay::dataset::DatasetStore;
use assay::prompt::{self, PromptOptions};
use assay::task::TaskIndex;
use assay::vocabulary::Request;
use proptest::prelude::*;

use super::pairs::{PIECES, assert_same, tokenizers};
use crate::material::shared;

/// A context and its continuations.
type Prompt = (String, Vec<String>);

/// Some prompts of each task; of the built-in samples if there are no datasets.
fn prompts() -> &'static [Prompt] {
    static PROMPTS: LazyLock<Vec<Prompt>> = LazyLock::new(|| {
        let datasets = shared("datasets");
        // The samples have too few rows for all shots.
        let options = PromptOptions {
            limits: Some(3).into(),
            num_fewshot: datasets.is_none().then_some(1),
            ..PromptOptions::default()
        };
        let store = DatasetStore::new(datasets).unwrap();
        let selection = TaskIndex::load(&[]).unwrap().select(&["all".to_string()]).unwrap();
        let mut prompts: Vec<Prompt> = Vec::new();
        for task in &selection.tasks {
            let built = prompt::build(task, &store, &options).unwrap();
            for request in built.documents.iter().flat_map(|document| &document.requests) {
                let rest = match request {
                    Request::Loglikelihood { continuation, .. } => vec![continuation.clone()],
                    Request::GenerateUntil { .. } => Vec::new(),
                };
                match prompts.last_mut() {
                    Some((context, all)) if context == request.context() => all.extend(rest),
                    _ => prompts.push((request.context().to_string(), rest)),
                }
            }
        }
        prompts
    });
    &PROMPTS
}

#[test]
fn prompts_have_the_tokens_of_the_whole_text() {
    assert!(prompts().len() > 100);
    for tokenizer in tokenizers() {
        for (context, continuations) in prompts() {
            assert_same(tokenizer, context, continuations);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn odd_prompts_have_the_tokens_of_the_whole_text(
        index in any::<prop::sample::Index>(),
        odd in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(&PIECES[..])), 1..8),
    ) {
        let (context, continuations) = index.get(prompts());
        let mut context = context.clone();
        let mut continuations = continuations.clone();
        for (at, piece) in odd {
            // One in three goes into a continuation, so that some are near the joint.
            let target = continuations.first_mut().filter(|_| piece.len() % 3 == 0).unwrap_or(&mut context);
            let mut at = at.index(target.len() + 1);
            while !target.is_char_boundary(at) {
                at -= 1;
            }
            target.insert_str(at, piece);
        }
        for tokenizer in tokenizers() {
            assert_same(tokenizer, &context, &continuations);
        }
    }
}
