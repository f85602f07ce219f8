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
    /// Names that its lines of `task`, `group` and `tag` declare, as far as it could be read.
    declared: Vec<String>,
    /// Names in the list of tasks that a group has: of tasks that may be declared in it or elsewhere.
    listed: Vec<String>,
}

impl OddFile {
    /// The file at `path`, of which `source` was read before `error` occurred.
    pub fn new(path: PathBuf, source: &[u8], error: &TaskError) -> Self {
        let text = String::from_utf8_lossy(source);
        let is_part_of_a_name = |c: char| c.is_alphanumeric() || "_-./".contains(c);
        let (mut declared, mut listed) = (Vec::new(), Vec::new());
        for line in text.lines().map(str::trim_start) {
            let item = line.trim_start_matches("- ").trim_start();
            let Some((key, value)) = item.split_once(':').map(|(key, value)| (key.trim_end(), value)) else {
                continue;
            };
            if !["task", "group", "tag"].contains(&key) {
                continue;
            }
            let in_list = key == "task" && (line.starts_with("- ") || value.trim_start().starts_with('['));
            let names = if in_list { &mut listed } else { &mut declared };
            let words = value.split(|c| !is_part_of_a_name(c)).filter(|word| !word.is_empty());
            names.extend(words.map(str::to_owned));
        }
        Self { path, what: error.to_string().replace('\n', " "), declared, listed }
    }

    /// Whether the file may declare `name`, which another file declares or not.
    pub fn may_declare(&self, name: &str, elsewhere: bool) -> bool {
        let has = |names: &[String]| names.iter().any(|mentioned| mentioned == name);
        has(&self.declared) || !elsewhere && has(&self.listed)
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
        let source = b"group: some\ntask: [unclosed\ntag: [many\ndoc_to_text: qa\n  - task: inner\ntask: own";
        let file = OddFile::new("x.yaml".into(), source, &error);
        for (name, here, elsewhere) in [
            ("unclosed", true, false),
            ("many", true, true),
            ("some", true, true),
            ("own", true, true),
            ("inner", true, false),
            ("qa", false, false),
            ("task", false, false),
        ] {
            assert_eq!(file.may_declare(name, false), here, "{name}");
            assert_eq!(file.may_declare(name, true), elsewhere, "{name}, which is declared elsewhere");
        }
        assert_eq!(notes(&[file]).collect::<Vec<_>>(), ["x.yaml: no UTF-8 text; the file is left out"]);
    }
}
