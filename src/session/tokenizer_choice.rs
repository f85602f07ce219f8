//! The tokenizer of a run, held against the model: a tokenizer of another model gives numbers too, and wrong ones.

use std::path::Path;

use super::error::SessionError;
use super::model_source::{ModelSource, tokenizer_of};
use super::notice::{Notice, Notify};
use crate::model::ModelFiles;
use crate::tokenizer::Tokenizer;

/// Embeddings are padded to a multiple of this, or by at most [`PADDING`].
const MULTIPLE: usize = 64;
/// Largest share of padding, of the tokenizer's tokens: the embeddings of published models have up to 2.5 %.
const PADDING: f64 = 0.05;

/// A tokenizer, and why it may not be the model's.
pub struct ChosenTokenizer {
    pub tokenizer: Tokenizer,
    /// A sentence each; empty if nothing speaks against it.
    pub faults: Vec<String>,
    /// What may be a mistake, and is usual too. A sentence each.
    pub doubts: Vec<String>,
}

impl ChosenTokenizer {
    /// The tokenizer given by the user, or the model's own.
    ///
    /// # Errors
    /// There is none, or it is damaged.
    pub fn find(
        source: &ModelSource,
        typed: Option<&Path>,
        files: &ModelFiles,
    ) -> Result<Self, SessionError> {
        let (mut tokenizer, elsewhere) = match typed {
            None => (source.own_tokenizer(files.gguf_metadata())?, None),
            Some(path) => given(source, path, files)?,
        };
        let mut faults = tokenizer.contradictions.clone();
        faults.extend(size_fault(&tokenizer, files));
        let (unknown, doubts) = other_special_tokens(&tokenizer, files);
        faults.extend(unknown);
        faults.extend(elsewhere);
        if tokenizer.end_of_text.is_none() {
            tokenizer.end_of_text = files.config().eos_token_ids.first().copied();
        }
        Ok(Self { tokenizer, faults, doubts })
    }

    /// Tells what may be wrong with it.
    ///
    /// # Errors
    /// It may not be the model's, and another one is not allowed.
    pub fn check(
        &self,
        files: &ModelFiles,
        allow_other: bool,
        notify: Notify<'_>,
    ) -> Result<(), SessionError> {
        match self.faults.first() {
            Some(what) if !allow_other => return Err(SessionError::OtherTokenizer { what: what.clone() }),
            _ => self.faults.iter().for_each(|what| notify(Notice::OtherTokenizer(what.clone()))),
        }
        self.tokenizer.notes.iter().for_each(|what| notify(Notice::TokenizerNote(what.clone())));
        self.doubts.iter().for_each(|what| notify(Notice::SpecialTokensDiffer(what.clone())));
        let (tokens, rows) = (self.tokenizer.vocabulary_size(), files.config().vocab_size);
        if tokens > rows {
            notify(Notice::TokenizerLarger { tokens, rows });
        }
        Ok(())
    }
}

/// The tokenizer in a file, and how it differs from the model's own.
fn given(
    source: &ModelSource,
    path: &Path,
    files: &ModelFiles,
) -> Result<(Tokenizer, Option<String>), SessionError> {
    let tokenizer = tokenizer_of(path)?;
    let (shown, model) = (path.display(), source.path.display());
    if source.tokenizer_beside().is_some() {
        let own = match source.own_tokenizer(None) {
            Ok(own) => own,
            Err(error) => {
                let what = format!("{shown} cannot be compared with the model's own tokenizer: {error}");
                return Ok((tokenizer, Some(what)));
            }
        };
        // The copy may lie alone, without the files that name its tokens.
        let agrees = |copy: Option<u32>, own: Option<u32>| copy.is_none() || copy == own;
        if tokenizer.encodes_as(&own)
            && agrees(tokenizer.beginning_of_text, own.beginning_of_text)
            && agrees(tokenizer.end_of_text, own.end_of_text)
        {
            return Ok((own, None));
        }
        return Ok((tokenizer, Some(format!("{shown} is another tokenizer than the one in {model}"))));
    }
    let key = "tokenizer.ggml.tokens";
    let pieces = files.gguf_metadata().and_then(|metadata| metadata.strings(key).ok().flatten());
    let other = pieces.and_then(|pieces| tokenizer.other_token(&pieces));
    let other = other.map(|(id, here, there)| {
        format!(
            "{shown} is another tokenizer than the one in {model}: token {id} is {here:?}, and {there} there"
        )
    });
    Ok((tokenizer, other))
}

fn size_fault(tokenizer: &Tokenizer, files: &ModelFiles) -> Option<String> {
    let (tokens, rows) = (tokenizer.vocabulary_size(), files.config().vocab_size);
    // Tokens that were added and have no row may never be used; a vocabulary that goes beyond is of another model.
    let learnt = tokenizer.learnt_vocabulary_size();
    let most = tokens.next_multiple_of(MULTIPLE).max((tokens as f64 * (1.0 + PADDING)) as usize);
    let count = if learnt > rows { learnt } else { tokens };
    let other = learnt > rows || rows > most;
    other.then(|| {
        let path = tokenizer.path.display();
        format!("{path}: the tokenizer has {count} tokens, and the model's embedding {rows} rows")
    })
}

/// Tokens that begin and end texts, where the model's configuration and the tokenizer's files both name them and differ: faults, and doubts.
/// Fine-tuned chat models often keep the tokens of their base model in the configuration, which their tokenizer still has as special
/// tokens. A token that is none there is of another tokenizer.
fn other_special_tokens(tokenizer: &Tokenizer, files: &ModelFiles) -> (Vec<String>, Vec<String>) {
    let shown = tokenizer.path.display();
    let begin: Vec<u32> = files.beginning_of_text().into_iter().collect();
    let ends = files.config().eos_token_ids.as_slice();
    let both =
        [("begin", tokenizer.beginning_of_text, begin.as_slice()), ("end", tokenizer.end_of_text, ends)];
    let (mut faults, mut doubts) = (Vec::new(), Vec::new());
    for (what, found, expected) in both {
        let Some(found) = found.filter(|found| !expected.is_empty() && !expected.contains(found)) else {
            continue;
        };
        let listed: Vec<String> = expected.iter().map(u32::to_string).collect();
        let sentence = format!(
            "{shown}: texts {what} with token {found} by the tokenizer, and with {} by the model's configuration",
            listed.join(" or ")
        );
        let known = expected.iter().all(|token| tokenizer.is_special(*token));
        if known { &mut doubts } else { &mut faults }.push(sentence);
    }
    (faults, doubts)
}
