//! Files below an `--include` folder that cannot be read as task files. They do not hinder tasks beside them, but are reported, and are
//! an error for whoever asks for what they declare.

use std::path::PathBuf;

use super::error::TaskError;

/// Number of files that are reported one by one.
const SHOWN: usize = 3;

/// A file that cannot be read.
pub struct OddFile {
    pub path: PathBuf,
    /// Its error, in one line.
    what: String,
    /// Names that its lines of `task`, `group` and `tag` mention, as far as it could be read.
    names: Vec<String>,
}

impl OddFile {
    /// The file at `path`, of which `source` was read before `error` occurred.
    pub fn new(path: PathBuf, source: &[u8], error: &TaskError) -> Self {
        let text = String::from_utf8_lossy(source);
        let declares = |line: &&str| {
            let line = line.trim_start().trim_start_matches("- ").trim_start();
            let key = line.split_once(':').map_or("", |(key, _)| key.trim_end());
            ["task", "group", "tag"].contains(&key)
        };
        let is_part_of_a_name = |c: char| c.is_alphanumeric() || "_-./".contains(c);
        let values = text.lines().filter(declares).filter_map(|line| Some(line.split_once(':')?.1));
        let words = values.flat_map(|value| value.split(move |c| !is_part_of_a_name(c)));
        let names = words.filter(|word| !word.is_empty()).map(str::to_owned).collect();
        Self { path, what: error.to_string().replace('\n', " "), names }
    }

    /// Whether the file may declare `name`.
    pub fn mentions(&self, name: &str) -> bool {
        self.names.iter().any(|mentioned| mentioned == name)
    }
}

/// A line for each of the first files, and one for the rest.
pub fn notes(files: &[OddFile]) -> impl Iterator<Item = String> + '_ {
    let left_out = |file: &OddFile| format!("{}; the file is left out", file.what);
    let rest = files.len().saturating_sub(SHOWN);
    let last =
        (rest > 0).then(|| format!("{rest} more files below --include cannot be read and are left out"));
    files.iter().take(SHOWN).map(left_out).chain(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_mentions_what_it_declares_and_nothing_else() {
        let error = TaskError::NotText { path: "x.yaml".into() };
        let source = b"task: [unclosed\ntag: many\ndoc_to_text: qa\n  - task: inner";
        let file = OddFile::new("x.yaml".into(), source, &error);
        for (name, expected) in
            [("unclosed", true), ("many", true), ("inner", true), ("qa", false), ("task", false)]
        {
            assert_eq!(file.mentions(name), expected, "{name}");
        }
        assert_eq!(notes(&[file]).collect::<Vec<_>>(), ["x.yaml: no UTF-8 text; the file is left out"]);
    }
}
