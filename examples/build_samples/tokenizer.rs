//! Trains the sample model's tokenizer: byte-level BPE, each digit a token of its own.

use std::path::Path;

use serde_json::json;
use tokenizers::decoders::byte_level::ByteLevel as ByteLevelDecoder;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::{AddedToken, NormalizerWrapper, PostProcessorWrapper, Result, Tokenizer, TokenizerBuilder};

/// Number of tokens in the vocabulary: three special ones, 256 bytes, and the most frequent pieces of the
/// training text.
pub const VOCABULARY: usize = 1024;

/// The special tokens; a token's index is its id.
pub const SPECIAL: [&str; 3] = ["<unk>", "<s>", "</s>"];

/// Id of the token before a text, which the benchmarks' prompts do not use.
pub const BEGIN: u32 = 1;

/// Id of the token after a text.
pub const END: u32 = 2;

/// Trains a tokenizer on the pages.
pub fn train(pages: &[String]) -> Result<Tokenizer> {
    let special = SPECIAL.iter().map(|token| AddedToken::from(*token, true)).collect();
    let mut trainer = BpeTrainerBuilder::new()
        .vocab_size(VOCABULARY)
        .min_frequency(2)
        .show_progress(false)
        .special_tokens(special)
        // All 256 bytes, so that no text is unknown.
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build();
    // With single digits a sum is computed column by column, rather than learned with 20 and 21 as unrelated
    // words.
    let split = Sequence::new(vec![Digits::new(true).into(), ByteLevel::new(false, true, true).into()]);
    let mut tokenizer = TokenizerBuilder::new()
        .with_model(BPE::default())
        .with_normalizer(None::<NormalizerWrapper>)
        .with_pre_tokenizer(Some(split))
        .with_post_processor(None::<PostProcessorWrapper>)
        .with_decoder(Some(ByteLevelDecoder::default()))
        .build()?;
    tokenizer.train(&mut trainer, pages.iter())?;
    Ok(serde_json::from_str(&serde_json::to_string(&tokenizer)?)?)
}

/// Writes `tokenizer.json` and `tokenizer_config.json`.
pub fn save(tokenizer: &Tokenizer, folder: &Path) -> Result<()> {
    tokenizer.save(folder.join("tokenizer.json"), false)?;
    let added: serde_json::Map<_, _> = SPECIAL
        .iter()
        .enumerate()
        .map(|(id, token)| {
            let entry = json!({
                "content": token, "lstrip": false, "normalized": false, "rstrip": false, "single_word": false,
                "special": true,
            });
            (id.to_string(), entry)
        })
        .collect();
    let config = json!({
        "add_bos_token": false,
        "add_eos_token": false,
        "added_tokens_decoder": added,
        "bos_token": SPECIAL[BEGIN as usize],
        "clean_up_tokenization_spaces": false,
        "eos_token": SPECIAL[END as usize],
        "model_max_length": crate::network::CONTEXT,
        "pad_token": null,
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": SPECIAL[0],
    });
    std::fs::write(folder.join("tokenizer_config.json"), serde_json::to_string_pretty(&config)? + "\n")?;
    Ok(())
}

/// The ids of a text, without any special token.
pub fn ids(tokenizer: &Tokenizer, text: &str) -> Result<Vec<u32>> {
    Ok(tokenizer.encode(text, false)?.get_ids().to_vec())
}
