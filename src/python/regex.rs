//! Python's `re` on a backtracking engine of the same family.

use fancy_regex::{Captures, Regex};

use super::text::strip;

/// Maximum bytes of a substitution's result.
const MAX_RESULT: usize = 16 << 20;

/// A pattern written for Python's `re`, matched by its rules.
#[derive(Debug, Clone)]
pub struct PythonRegex {
    regex: Regex,
}

impl PythonRegex {
    /// Compiles `pattern`; the error is the engine's message, in one line.
    pub fn new(pattern: &str) -> Result<Self, String> {
        let regex = Regex::new(&translate(pattern))
            .map_err(|e| e.to_string().split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase())?;
        Ok(Self { regex })
    }

    /// Whether a match is a tuple in Python: the pattern has two groups or more.
    pub fn has_several_groups(&self) -> bool {
        self.regex.captures_len() > 2
    }

    /// `re.findall(pattern, text)`, each match reduced as by the harness's regex filter: the entire match if
    /// the pattern has no group, else the first non-empty group (an empty string if all are empty).
    pub fn find_all(&self, text: &str) -> Result<Vec<String>, String> {
        let mut found = Vec::new();
        for captures in self.regex.captures_iter(text) {
            let captures = captures.map_err(|e| e.to_string())?;
            found.push(first_group(&captures));
        }
        Ok(found)
    }

    /// The match of `re.search`, reduced as by [`find_all`](Self::find_all) and stripped.
    pub fn search(&self, text: &str) -> Result<Option<String>, String> {
        let captures = self.regex.captures(text).map_err(|e| e.to_string())?;
        Ok(captures.map(|c| strip(&first_group(&c)).to_string()))
    }

    /// Number of matches.
    pub fn count(&self, text: &str) -> Result<usize, String> {
        let mut count = 0;
        for found in self.regex.find_iter(text) {
            found.map_err(|e| e.to_string())?;
            count += 1;
        }
        Ok(count)
    }

    /// `re.sub(pattern, replacement, text, count)`, with `\1` and `\g<name>` in the replacement; a `count` of
    /// 0 replaces all. It is an error if the result could be longer than [`MAX_RESULT`].
    pub fn sub(&self, text: &str, replacement: &str, count: usize) -> Result<String, String> {
        let replacement = translate_replacement(replacement);
        let groups = replacement.matches("${").count();
        let count = if count == 0 { usize::MAX } else { count };
        let (mut out, mut copied) = (String::new(), 0);
        for captures in self.regex.captures_iter(text).take(count) {
            let captures = captures.map_err(|e| e.to_string())?;
            let Some(whole) = captures.get(0) else { continue };
            out.push_str(&text[copied..whole.start()]);
            let longest = captures.iter().flatten().map(|group| group.as_str().len()).max().unwrap_or(0);
            let added = groups.saturating_mul(longest).saturating_add(replacement.len());
            if added > MAX_RESULT.saturating_sub(out.len()) {
                return Err(format!("the result would be longer than {MAX_RESULT} bytes"));
            }
            captures.expand(&replacement, &mut out);
            copied = whole.end();
        }
        out.push_str(&text[copied..]);
        Ok(out)
    }
}

fn first_group(captures: &Captures<'_>) -> String {
    let mut groups = captures.iter().flatten().map(|m| m.as_str());
    let whole = groups.next().unwrap_or_default();
    if captures.len() == 1 {
        return whole.to_string();
    }
    groups.find(|text| !text.is_empty()).unwrap_or_default().to_string()
}

/// In Python `$` also matches before a trailing line feed, and `\Z` matches only at the very end.
fn translate(pattern: &str) -> String {
    let multi_line = pattern
        .strip_prefix("(?")
        .and_then(|rest| rest.split(')').next())
        .is_some_and(|flags| flags.chars().all(|c| c.is_ascii_alphabetic()) && flags.contains('m'));
    let mut out = String::with_capacity(pattern.len());
    let mut in_class = false;
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('Z') if !in_class => out.push_str("\\z"),
                Some(escaped) => {
                    out.push('\\');
                    out.push(escaped);
                }
                None => out.push('\\'),
            },
            '[' if !in_class => {
                in_class = true;
                out.push('[');
            }
            // In Python a bracket inside a class is literal; the engine would open a nested class.
            '[' => out.push_str("\\["),
            ']' if in_class => {
                let opens = out.ends_with('[') && !out.ends_with("\\[") || out.ends_with("[^");
                in_class = opens;
                out.push_str(if opens { "\\]" } else { "]" });
            }
            '$' if !in_class && !multi_line => out.push_str("(?=\\n?\\z)"),
            c => out.push(c),
        }
    }
    out
}

fn translate_replacement(replacement: &str) -> String {
    let mut out = String::with_capacity(replacement.len());
    let mut chars = replacement.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '$' => out.push_str("$$"),
            '\\' => match chars.next() {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some('g') if chars.peek() == Some(&'<') => {
                    chars.next();
                    let name: String = chars.by_ref().take_while(|&c| c != '>').collect();
                    out.push_str(&format!("${{{name}}}"));
                }
                Some(digit) if digit.is_ascii_digit() => {
                    let mut group = String::from(digit);
                    if let Some(second) = chars.next_if(char::is_ascii_digit) {
                        group.push(second);
                    }
                    out.push_str(&format!("${{{group}}}"));
                }
                Some('\\') => out.push('\\'),
                Some(other) => {
                    out.push('\\');
                    out.push(other);
                }
                None => out.push('\\'),
            },
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sub(pattern: &str, replacement: &str, text: &str) -> String {
        PythonRegex::new(pattern).unwrap().sub(text, replacement, 0).unwrap()
    }

    #[test]
    fn substitutes_as_re_sub() {
        assert_eq!(sub(r"\[.*?\]", "", "a [title] b [x]c"), "a  b c");
        assert_eq!(sub(r"(\w+) (\w+)", r"\2 \g<1>", "left right"), "right left");
        assert_eq!(sub(r"\.$", "", "18.\n"), "18\n");
        assert_eq!(sub(r"(?s).*#### ", "", "a\nb\n#### 7"), "7");
        assert_eq!(sub(r"\$", "", "$5"), "5");
        assert_eq!(sub("[$]", "$1", "$5"), "$15");
        assert_eq!(PythonRegex::new("a").unwrap().sub("aaa", "b", 2).unwrap(), "bba");
    }

    #[test]
    fn finds_as_re_findall() {
        let answer = PythonRegex::new(r"#### (\-?[0-9\.\,]+)").unwrap();
        assert_eq!(answer.find_all("x #### 1,000.\n#### -2").unwrap(), ["1,000.", "-2"]);
        let flexible = PythonRegex::new(r"(-?[$0-9.,]{2,})|(-?[0-9]+)").unwrap();
        assert_eq!(flexible.find_all("so 5 and $12.").unwrap(), ["5", "$12."]);
        assert_eq!(PythonRegex::new("[[a]+").unwrap().find_all("[a]").unwrap(), ["[a"]);
        assert_eq!(PythonRegex::new("[]a]+").unwrap().find_all("[a]").unwrap(), ["a]"]);
    }

    #[test]
    fn a_broken_pattern_is_an_error() {
        assert!(PythonRegex::new("(open").is_err());
    }
}
