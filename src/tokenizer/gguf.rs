//! The tokenizer inside a GGUF file.
//!
//! A GGUF file has a vocabulary and names its rules; the rules themselves are llama.cpp's
//! (`src/llama-vocab.cpp`). They are rebuilt here for the kinds that give the same ids as the model's own
//! `tokenizer.json`. Other kinds are an error: nearly right ids give scores that are simply wrong.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use tokenizers::decoders::byte_fallback::ByteFallback;
use tokenizers::decoders::fuse::Fuse;
use tokenizers::decoders::sequence::Sequence as DecoderSequence;
use tokenizers::decoders::strip::Strip;
use tokenizers::models::bpe::{BPE, Merges, Vocab};
use tokenizers::normalizers::{NFC, Prepend, Replace, Sequence as NormalizerSequence};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence as PreTokenizerSequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, DecoderWrapper, NormalizerWrapper, SplitDelimiterBehavior, Tokenizer};

use super::barrier::{LLAMA3_WORDS, QWEN2_WORDS};
use super::description::{LONGEST_TOKEN, check_added, check_count, check_length};
use super::error::brief;
use crate::bounds::{Claim, quietly};
use crate::model::{GgufError, GgufMetadata};

/// Bytes of memory for a token while the library's tables are made.
const BYTES_PER_TOKEN: u64 = 600;

/// Why a GGUF file gives no tokenizer.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum GgufTokenizerError {
    /// The file can't be read, or a key is missing or of another type.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Metadata(#[from] GgufError),
    /// Rules that are not known to give the exact ids.
    #[error("{}: `{key}` is {found}, expected {expected}", path.display())]
    #[diagnostic(
        code(assay::input),
        help("pass the model's own tokenizer.json with --tokenizer; assay does not guess at token ids")
    )]
    UnknownRules {
        path: PathBuf,
        key: &'static str,
        /// The key's value.
        found: String,
        /// The known values.
        expected: &'static str,
    },
    /// A vocabulary that contradicts itself.
    #[error("{}: the tokenizer is damaged: {what}", path.display())]
    #[diagnostic(
        code(assay::input),
        help("pass the model's own tokenizer.json with --tokenizer, or fetch the file again")
    )]
    Damaged {
        path: PathBuf,
        /// What was found and what was expected.
        what: String,
    },
}

/// The tokenizer of the GGUF file at `path`.
///
/// It adds no special tokens when it encodes; those in the text are recognised.
///
/// # Errors
/// [`GgufTokenizerError`], where the file has no tokenizer, one of unknown rules, or a damaged one.
pub fn gguf_tokenizer(path: &Path) -> Result<Tokenizer, GgufTokenizerError> {
    from_metadata(&GgufMetadata::read(path)?)
}

/// The tokenizer that `metadata` describes.
///
/// # Errors
/// As [`gguf_tokenizer`].
pub fn from_metadata(metadata: &GgufMetadata) -> Result<Tokenizer, GgufTokenizerError> {
    // What contradicts itself in ways that are not thought of here ends in a panic of the library.
    quietly(|| made_of(metadata))
        .unwrap_or_else(|panic| Err(damaged(metadata, format!("the library ended with {panic:?}"))))
}

fn made_of(metadata: &GgufMetadata) -> Result<Tokenizer, GgufTokenizerError> {
    const MODEL: &str = "tokenizer.ggml.model";
    let pieces = Pieces::read(metadata)?;
    let mut tokenizer = match metadata.string(MODEL)? {
        Some("gpt2") => byte_level(metadata, &pieces)?,
        Some("llama") => sentence_piece(metadata, &pieces)?,
        _ => {
            return Err(GgufTokenizerError::UnknownRules {
                path: metadata.path().to_owned(),
                key: MODEL,
                found: metadata.shown(MODEL),
                expected: "\"gpt2\" (byte-level BPE) or \"llama\" (SentencePiece BPE)",
            });
        }
    };
    let added = |special: bool| {
        pieces.of(if special { &[Kind::Control, Kind::Unknown] } else { &[Kind::UserDefined] }).map(
            // Both are matched in the raw text, before it is normalised.
            move |(_, piece)| AddedToken::from(piece, special).normalized(false),
        )
    };
    let both: Vec<AddedToken> = added(true).chain(added(false)).collect();
    check_added(&both).map_err(|what| damaged(metadata, what))?;
    let failed = |error: tokenizers::Error| damaged(metadata, error.to_string());
    tokenizer.add_special_tokens(added(true)).map_err(failed)?;
    tokenizer.add_tokens(added(false)).map_err(failed)?;
    Ok(tokenizer)
}

/// What a file says of the tokens that begin and end texts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GgufMarks {
    /// The token that begins a text.
    pub begin: Option<u32>,
    /// Tokens that are put before a text.
    pub before: Vec<u32>,
    /// Tokens that are put after it.
    pub after: Vec<u32>,
}

/// Reads `add_bos_token` and `add_eos_token` as transformers 5 does: without them, SentencePiece vocabularies put the token that begins
/// a text before it, and others nothing.
///
/// # Errors
/// Keys of another type, and ids that the vocabulary does not have.
pub fn gguf_marks(metadata: &GgufMetadata) -> Result<GgufMarks, GgufTokenizerError> {
    let count = Pieces::read(metadata)?.pieces.len() as u64;
    let token = |key: &str| -> Result<Option<u32>, GgufTokenizerError> {
        match metadata.whole(key)? {
            Some(id) if id < count => Ok(u32::try_from(id).ok()),
            Some(id) => Err(damaged(metadata, format!("`{key}` is {id}, and there are {count} tokens"))),
            None => Ok(None),
        }
    };
    let begin = token("tokenizer.ggml.bos_token_id")?;
    let sentence_piece = metadata.string("tokenizer.ggml.model")? == Some("llama");
    let add_begin = metadata.flag("tokenizer.ggml.add_bos_token")?.unwrap_or(sentence_piece);
    let add_end = metadata.flag("tokenizer.ggml.add_eos_token")?.unwrap_or(false);
    let end = if add_end { token("tokenizer.ggml.eos_token_id")? } else { None };
    let before = begin.filter(|_| add_begin).into_iter().collect();
    Ok(GgufMarks { begin, before, after: end.into_iter().collect() })
}

fn damaged(metadata: &GgufMetadata, what: String) -> GgufTokenizerError {
    GgufTokenizerError::Damaged { path: metadata.path().to_owned(), what: brief(&what) }
}

/// `tokenizer.ggml.token_type`, with the values of `llama_token_type` in `llama.h`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Unused,
    Byte,
}

/// The vocabulary; a piece's index is its id.
struct Pieces<'a> {
    pieces: Vec<&'a str>,
    kinds: Vec<Kind>,
}

impl<'a> Pieces<'a> {
    fn read(metadata: &'a GgufMetadata) -> Result<Self, GgufTokenizerError> {
        const TOKENS: &str = "tokenizer.ggml.tokens";
        const TYPES: &str = "tokenizer.ggml.token_type";
        let missing = || metadata.wrong(TOKENS, "an array of strings");
        let pieces = metadata.strings(TOKENS)?.ok_or_else(missing)?;
        let types =
            metadata.wholes(TYPES)?.ok_or_else(|| metadata.wrong(TYPES, "an array of whole numbers"))?;
        check_count(pieces.len(), "tokens").map_err(|what| damaged(metadata, what))?;
        for piece in &pieces {
            check_length(piece, LONGEST_TOKEN).map_err(|what| damaged(metadata, what))?;
        }
        let bytes: usize = pieces.iter().map(|piece| piece.len()).sum();
        let memory = pieces.len() as u64 * BYTES_PER_TOKEN + 8 * bytes as u64;
        Claim::of(memory)
            .map_err(|no_room| damaged(metadata, format!("its {} tokens take {no_room}", pieces.len())))?;
        if types.len() != pieces.len() {
            let what = format!("{} token types for {} tokens", types.len(), pieces.len());
            return Err(damaged(metadata, what));
        }
        let kinds = types.into_iter().map(|kind| match kind {
            1 => Ok(Kind::Normal),
            2 => Ok(Kind::Unknown),
            3 => Ok(Kind::Control),
            4 => Ok(Kind::UserDefined),
            5 => Ok(Kind::Unused),
            6 => Ok(Kind::Byte),
            _ => Err(damaged(metadata, format!("token type {kind}, expected 1 to 6"))),
        });
        let kinds = kinds.collect::<Result<_, _>>()?;
        let mut seen = HashSet::new();
        if let Some(piece) = pieces.iter().find(|piece| !seen.insert(**piece)) {
            return Err(damaged(metadata, format!("token {piece:?} occurs twice")));
        }
        Ok(Self { pieces, kinds })
    }

    fn vocab(&self) -> Vocab {
        (0u32..).zip(&self.pieces).map(|(id, piece)| (piece.to_string(), id)).collect()
    }

    /// Ids and pieces of these kinds.
    fn of(&self, kinds: &'static [Kind]) -> impl ExactSizeIterator<Item = (usize, &'a str)> + Clone {
        let chosen = self.kinds.iter().zip(&self.pieces).enumerate();
        let chosen = chosen.filter(|(_, (kind, _))| kinds.contains(kind));
        chosen.map(|(id, (_, piece))| (id, *piece)).collect::<Vec<_>>().into_iter()
    }
}

/// Byte-level BPE: the merges are in the file, the rule that splits a text into words is given by name.
fn byte_level(metadata: &GgufMetadata, pieces: &Pieces) -> Result<Tokenizer, GgufTokenizerError> {
    const PRE: &str = "tokenizer.ggml.pre";
    const MERGES: &str = "tokenizer.ggml.merges";
    let words = match metadata.string(PRE)? {
        // As transformers converts a GGUF file, and so as in the resulting tokenizer.json. llama.cpp's own
        // rule for `smollm` splits off digits first: no piece has two, so it differs only where several
        // blanks precede a digit.
        Some("gpt-2" | "smollm") => Words::Gpt2,
        Some("llama-bpe" | "llama3" | "llama-v3") => Words::Llama3,
        Some("qwen2") => Words::Qwen2,
        // `default` is what converters wrote for models that they did not know.
        _ => {
            return Err(GgufTokenizerError::UnknownRules {
                path: metadata.path().to_owned(),
                key: PRE,
                found: metadata.shown(PRE),
                expected: "\"gpt-2\", \"smollm\", \"llama-bpe\" or \"qwen2\"",
            });
        }
    };
    let merges = metadata.strings(MERGES)?.ok_or_else(|| metadata.wrong(MERGES, "an array of strings"))?;
    check_count(merges.len(), "merges").map_err(|what| damaged(metadata, what))?;
    let merges: Merges = merges
        .into_iter()
        .map(|merge| match merge.split_once(' ') {
            Some((left, right)) => Ok((left.to_owned(), right.to_owned())),
            None => Err(damaged(metadata, format!("merge {merge:?}, expected two pieces and a space"))),
        })
        .collect::<Result<_, _>>()?;
    let bpe = BPE::builder()
        .vocab_and_merges(pieces.vocab(), merges)
        // Llama 3's tokenizer.json encodes a word that is a piece as that piece.
        .ignore_merges(words == Words::Llama3)
        .build()
        .map_err(|error| damaged(metadata, error.to_string()))?;
    let mut tokenizer = Tokenizer::new(bpe);
    words.set(&mut tokenizer).map_err(|error| damaged(metadata, error.to_string()))?;
    tokenizer.with_decoder(Some(ByteLevel::default()));
    Ok(tokenizer)
}

/// How a text is split into words, within which BPE merges.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Words {
    Gpt2,
    Llama3,
    Qwen2,
}

impl Words {
    fn set(self, tokenizer: &mut Tokenizer) -> tokenizers::Result<()> {
        let gpt2 = ByteLevel::new(false, true, true);
        match self {
            Words::Gpt2 => tokenizer.with_pre_tokenizer(Some(gpt2)),
            Words::Llama3 | Words::Qwen2 => {
                let pattern = if self == Words::Qwen2 { QWEN2_WORDS } else { LLAMA3_WORDS };
                let pattern = SplitPattern::Regex(pattern.to_owned());
                let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false)?;
                let steps = vec![split.into(), ByteLevel::new(false, true, false).into()];
                tokenizer.with_pre_tokenizer(Some(PreTokenizerSequence::new(steps)))
            }
        };
        if self == Words::Qwen2 {
            tokenizer.with_normalizer(Some(NFC))?;
        }
        Ok(())
    }
}

/// SentencePiece BPE with byte fallback, built as transformers' `LlamaConverter` builds it.
fn sentence_piece(metadata: &GgufMetadata, pieces: &Pieces) -> Result<Tokenizer, GgufTokenizerError> {
    const SCORES: &str = "tokenizer.ggml.scores";
    const UNKNOWN: &str = "tokenizer.ggml.unknown_token_id";
    let scores =
        metadata.numbers(SCORES)?.ok_or_else(|| metadata.wrong(SCORES, "an array of finite numbers"))?;
    if scores.len() != pieces.pieces.len() {
        let what = format!("{} scores for {} tokens", scores.len(), pieces.pieces.len());
        return Err(damaged(metadata, what));
    }
    let vocab = pieces.vocab();
    let merges = merges_by_score(metadata, pieces, &vocab, &scores)?;
    let mut bpe = BPE::builder().vocab_and_merges(vocab, merges).fuse_unk(true).byte_fallback(true);
    if let Some(id) = metadata.whole(UNKNOWN)? {
        let unknown = usize::try_from(id).ok().and_then(|id| pieces.pieces.get(id));
        bpe = bpe.unk_token(unknown.ok_or_else(|| metadata.wrong(UNKNOWN, "a token id"))?.to_string());
    }
    let failed = |error: tokenizers::Error| damaged(metadata, error.to_string());
    let mut tokenizer = Tokenizer::new(bpe.build().map_err(failed)?);

    // A space before the text is llama.cpp's default for this model.
    let prefix = metadata.flag("tokenizer.ggml.add_space_prefix")?.unwrap_or(true);
    let mut normalizers: Vec<NormalizerWrapper> = Vec::new();
    let mut decoders: Vec<DecoderWrapper> =
        vec![Replace::new("▁", " ").map_err(failed)?.into(), ByteFallback::new().into(), Fuse::new().into()];
    if prefix {
        normalizers.push(Prepend::new("▁".to_owned()).into());
        decoders.push(Strip::new(' ', 1, 0).into());
    }
    normalizers.push(Replace::new(" ", "▁").map_err(failed)?.into());
    tokenizer.with_normalizer(Some(NormalizerSequence::new(normalizers))).map_err(failed)?;
    tokenizer.with_decoder(Some(DecoderSequence::new(decoders)));
    Ok(tokenizer)
}

/// In characters. No vocabulary has longer pieces; trying all their splits would take forever.
const MAX_PIECE: usize = 1024;
/// Most bytes of the parts that are looked up. Vocabularies in use need a hundredth.
const MAX_LOOKED_UP: usize = 4 << 30;

/// All ways to make a piece of two others, best score first: `generate_merges` of transformers'
/// `convert_slow_tokenizer.py`. Among equal scores longer left parts come first, then longer right ones, then lower ids.
fn merges_by_score(
    metadata: &GgufMetadata,
    pieces: &Pieces,
    vocab: &Vocab,
    scores: &[f64],
) -> Result<Merges, GgufTokenizerError> {
    struct Merge<'a> {
        score: f64,
        left: &'a str,
        right: &'a str,
        left_length: usize,
        right_length: usize,
    }
    let mut merges = Vec::new();
    let mut looked_up = 0;
    for (id, piece) in pieces.of(&[Kind::Normal]) {
        let length = piece.chars().count();
        looked_up += length * piece.len();
        if looked_up > MAX_LOOKED_UP {
            return Err(damaged(metadata, "its tokens are too long to try all their splits".into()));
        }
        if length > MAX_PIECE {
            return Err(damaged(metadata, format!("token {id} has {length} characters")));
        }
        for (left_length, (at, _)) in piece.char_indices().enumerate().skip(1) {
            let (left, right) = piece.split_at(at);
            if vocab.contains_key(left) && vocab.contains_key(right) {
                let right_length = length - left_length;
                merges.push(Merge { score: scores[id], left, right, left_length, right_length });
            }
        }
    }
    // Stable, so that ids break the remaining ties.
    merges.sort_by(|a, b| {
        let lengths = |m: &Merge| (m.left_length, m.right_length);
        b.score.total_cmp(&a.score).then_with(|| lengths(b).cmp(&lengths(a)))
    });
    Ok(merges.into_iter().map(|m| (m.left.to_owned(), m.right.to_owned())).collect())
}
