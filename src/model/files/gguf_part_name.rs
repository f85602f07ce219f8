//! The names of a model's parts: `<stem>-00001-of-00002.gguf`, as llama.cpp writes and seeks them (`llama_split_path`).

use std::path::{Path, PathBuf};

/// A file name of one of several parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GgufPartName {
    folder: PathBuf,
    /// What stands before the numbers.
    pub stem: String,
    /// From 1.
    pub number: u64,
    pub count: u64,
}

impl GgufPartName {
    /// The name of the file at `path`; `None` if it has no numbers.
    pub fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.strip_suffix(".gguf")?;
        let (rest, count) = name.rsplit_once("-of-")?;
        let (stem, number) = rest.rsplit_once('-')?;
        let whole = |digits: &str| {
            let plain = digits.len() == 5 && digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse::<u64>().ok().filter(|_| plain)
        };
        let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
        Some(Self { folder, stem: stem.to_owned(), number: whole(number)?, count: whole(count)? })
    }

    /// The path of part `number`, from 1.
    pub fn part(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{}-{number:05}-of-{:05}.gguf", self.stem, self.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_numbered_with_five_digits() {
        let name = GgufPartName::of(Path::new("a/m-x-00002-of-00003.gguf")).unwrap();
        assert_eq!((name.stem.as_str(), name.number, name.count), ("m-x", 2, 3));
        assert_eq!(name.part(1), Path::new("a/m-x-00001-of-00003.gguf"));
        for other in
            ["m.gguf", "m-1-of-2.gguf", "m-00001-of-00002.bin", "m-00001.gguf", "00001-of-00002.gguf"]
        {
            assert_eq!(GgufPartName::of(Path::new(other)), None, "{other}");
        }
    }
}
