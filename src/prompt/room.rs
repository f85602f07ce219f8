//! The memory that the prompts of a task take, counted while they are built.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::error::PromptError;
use super::turns::Turn;
use crate::bounds::Claim;
use crate::vocabulary::{DocumentRequests, Request};

/// Bytes of a request and of a choice, beside their texts.
const REQUEST: usize = 64;

/// What the prompts of a task have taken so far.
#[derive(Debug, Default)]
pub struct PromptRoom {
    claim: Mutex<Claim>,
    documents: AtomicUsize,
}

impl PromptRoom {
    /// Counts a document's requests.
    ///
    /// # Errors
    /// There is no memory for more.
    pub fn take_document(&self, document: &DocumentRequests) -> Result<(), PromptError> {
        self.documents.fetch_add(1, Ordering::Relaxed);
        let mut last: Option<&Arc<str>> = None;
        let mut bytes: usize = document.choices.iter().map(|choice| choice.len() + REQUEST).sum();
        for request in &document.requests {
            let context = match request {
                Request::Loglikelihood { context, continuation } => {
                    bytes += continuation.len();
                    context
                }
                Request::GenerateUntil { context, .. } => context,
            };
            // The choices of a document mostly share their context.
            if !last.is_some_and(|last| Arc::ptr_eq(last, context)) {
                bytes += context.len();
            }
            last = Some(context);
            bytes += REQUEST;
        }
        self.take(&document.task, bytes)
    }

    /// Counts a few-shot example's turns, which are kept for the documents that have it too.
    ///
    /// # Errors
    /// There is no memory for more.
    pub fn take_shot(&self, task: &Arc<str>, turns: &[Turn]) -> Result<(), PromptError> {
        self.take(task, turns.iter().map(|turn| turn.text.len() + turn.delimiter.len() + REQUEST).sum())
    }

    fn take(&self, task: &Arc<str>, bytes: usize) -> Result<(), PromptError> {
        let grown = self.claim.lock().unwrap_or_else(PoisonError::into_inner).grow(bytes as u64);
        grown.map_err(|no_room| PromptError::TooLarge {
            task: task.clone(),
            documents: self.documents.load(Ordering::Relaxed),
            no_room,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::Gold;

    #[test]
    fn a_shared_context_is_counted_once() {
        let context: Arc<str> = "x".repeat(1000).into();
        let request = |context: &Arc<str>| Request::Loglikelihood {
            context: context.clone(),
            continuation: " y".into(),
        };
        let document = |requests: Vec<Request>| DocumentRequests {
            task: "t".into(),
            doc_id: 0,
            row: 0,
            gold: Gold::Index(0),
            requests,
            choices: vec!["y".into()],
            views: Vec::new(),
        };
        let taken = |requests: Vec<Request>| {
            let room = PromptRoom::default();
            room.take_document(&document(requests)).unwrap();
            format!("{:?}", room.claim)
        };
        let other: Arc<str> = "x".repeat(1000).into();
        assert!(taken(vec![request(&context), request(&context)]).contains("bytes: 1197"));
        assert!(taken(vec![request(&context), request(&other)]).contains("bytes: 2197"));
    }

    #[test]
    fn prompts_beyond_what_is_free_are_an_error() {
        let fault = PromptRoom::default().take(&"t".into(), 1 << 60).unwrap_err().to_string();
        let expected = "task `t`: the prompts of 0 documents take 1152921504606846976 bytes of memory";
        assert!(fault.starts_with(expected), "{fault}");
    }
}
