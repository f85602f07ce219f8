//! A `tokenizer.json`: loaded, a text encoded, its tokens and others decoded.
#![no_main]

use std::cell::OnceCell;
use std::path::PathBuf;

use assay::tokenizer::Tokenizer;
use libfuzzer_sys::fuzz_target;

thread_local! {
    static FILE: OnceCell<PathBuf> = const { OnceCell::new() };
}

const TEXTS: [&str; 4] = ["", "a", "Is 1 < 22?\n  the theme   é\u{301} ﬁ \u{fdfa}", "aeaeaeaeaeaeaeaeaeaeaeaeaeae!"];

fuzz_target!(|bytes: &[u8]| {
    FILE.with(|file| {
        // A folder of its own, so that no files lie beside the tokenizer.
        let file = file.get_or_init(|| {
            let folder = std::env::temp_dir().join(format!("assay-fuzz-tokenizer-{}", std::process::id()));
            std::fs::create_dir_all(&folder).expect("a folder for temporary files");
            folder.join("tokenizer.json")
        });
        std::fs::write(file, bytes).expect("a file in it");
        let Ok(tokenizer) = Tokenizer::from_file(file) else { return };
        for text in TEXTS {
            let Ok(tokens) = tokenizer.encode(text) else { continue };
            let _ = tokenizer.decode(&tokens);
            let _ = tokenizer.decode_with_special(&tokens);
        }
        let _ = tokenizer.decode(&[0, 1, 2, 3, 4, 5, 6, 7, 1 << 20, u32::MAX]);
        let _ = (tokenizer.vocabulary_size(), tokenizer.learnt_vocabulary_size());
    });
});
