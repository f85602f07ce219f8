//! Python's `re`, as of CPython 3.11: what it accepts, what a pattern means, and what it finds.
//!
//! No other engine is below: each gives other meanings to some escapes (`\<`, `\h`), to `\w` and `\b` beyond
//! ASCII, to empty rounds of loops and to groups in them. So patterns are read by Python's grammar, and
//! matched by going back, which has a limit of steps.

mod analysis;
mod characters;
mod charset;
mod escape;
mod inline_flags;
mod machine;
mod parser;
mod program;
mod source;
mod subject;
mod syntax;
mod template;

use std::sync::Arc;

use super::text::strip;
use machine::Machine;
use program::Program;
use template::Piece;

/// Maximum bytes of a substitution's result.
const MAX_RESULT: usize = 16 << 20;

/// Where a match and its groups begin and end, in bytes; `None` for a group that did not match.
pub type Spans = Vec<Option<(usize, usize)>>;

/// A pattern written for Python's `re`, matched by its rules.
#[derive(Debug, Clone)]
pub struct PythonRegex {
    program: Arc<Program>,
}

/// The matches of a pattern in a text, as `re.finditer`.
struct Matches<'a> {
    machine: Machine<'a>,
    /// Where the last match ended.
    end: usize,
    /// Whether the last match was empty: the next one at its place may not be.
    was_empty: bool,
}

impl Matches<'_> {
    /// Goes to the next match, whose groups are the machine's spans.
    fn advance(&mut self) -> Result<bool, String> {
        let found = self.machine.search(self.end, self.was_empty)?;
        if let Some((start, end)) = self.machine.span(0).filter(|_| found) {
            (self.end, self.was_empty) = (end, start == end);
        }
        Ok(found)
    }
}

impl PythonRegex {
    /// Compiles `pattern`; the error is Python's message, in one line.
    pub fn new(pattern: &str) -> Result<Self, String> {
        Ok(Self { program: Arc::new(program::compile(parser::parse(pattern)?)?) })
    }

    /// Whether a match is a tuple in Python: the pattern has two groups or more.
    pub fn has_several_groups(&self) -> bool {
        self.program.groups > 2
    }

    fn matches<'a>(&'a self, text: &'a str) -> Matches<'a> {
        Matches { machine: Machine::new(&self.program, text), end: 0, was_empty: false }
    }

    /// `re.finditer(pattern, text)`.
    pub fn find_spans(&self, text: &str) -> Result<Vec<Spans>, String> {
        let mut matches = self.matches(text);
        let mut found = Vec::new();
        while matches.advance()? {
            found.push((0..self.program.groups).map(|group| matches.machine.span(group)).collect());
        }
        Ok(found)
    }

    /// `re.findall(pattern, text)`, each match reduced as by the harness's regex filter: the entire match if
    /// the pattern has no group, else the first non-empty group (an empty string if all are empty).
    pub fn find_all(&self, text: &str) -> Result<Vec<String>, String> {
        let mut matches = self.matches(text);
        let mut found = Vec::new();
        while matches.advance()? {
            found.push(self.first_group(&matches, text).to_string());
        }
        Ok(found)
    }

    fn first_group<'a>(&self, matches: &Matches<'_>, text: &'a str) -> &'a str {
        let of = |group| matches.machine.span(group).map_or("", |(start, end)| &text[start..end]);
        match self.program.groups {
            1 => of(0),
            groups => (1..groups).map(of).find(|text| !text.is_empty()).unwrap_or_default(),
        }
    }

    /// The match of `re.search`, reduced as by [`find_all`](Self::find_all) and stripped. Adds the steps that
    /// it took.
    pub fn search(&self, text: &str, steps: &mut u64) -> Result<Option<String>, String> {
        let mut matches = self.matches(text);
        let found = matches.advance()?;
        *steps += matches.machine.steps;
        Ok(found.then(|| strip(self.first_group(&matches, text)).to_string()))
    }

    /// Number of matches. Adds the steps that it took.
    pub fn count(&self, text: &str, steps: &mut u64) -> Result<usize, String> {
        let mut matches = self.matches(text);
        let mut count = 0;
        while matches.advance()? {
            count += 1;
        }
        *steps += matches.machine.steps;
        Ok(count)
    }

    /// Checks a replacement; the error is Python's message.
    pub fn check_replacement(&self, replacement: &str) -> Result<(), String> {
        self.template(replacement).map(drop)
    }

    fn template(&self, replacement: &str) -> Result<Vec<Piece>, String> {
        template::parse(replacement, self.program.groups, &self.program.names)
            .map_err(|e| format!("bad replacement `{}`: {e}", replacement.replace(['\n', '\r'], " ")))
    }

    /// `re.sub(pattern, replacement, text, count)`, with `\1` and `\g<name>` in the replacement; a `count` of
    /// 0 replaces all. It is an error if the result would be longer than [`MAX_RESULT`].
    pub fn sub(&self, text: &str, replacement: &str, count: usize) -> Result<String, String> {
        self.sub_counting(text, replacement, count, &mut 0)
    }

    /// As [`sub`](Self::sub); adds the steps that it took.
    pub fn sub_counting(
        &self,
        text: &str,
        replacement: &str,
        count: usize,
        steps: &mut u64,
    ) -> Result<String, String> {
        let template = self.template(replacement)?;
        let mut matches = self.matches(text);
        let (mut out, mut copied, mut replaced) = (String::new(), 0, 0);
        while (count == 0 || replaced < count) && matches.advance()? {
            let Some((start, end)) = matches.machine.span(0) else { break };
            out.push_str(&text[copied..start]);
            for piece in &template {
                let added = match piece {
                    Piece::Text(text) => text.as_str(),
                    Piece::Group(group) => {
                        matches.machine.span(*group).map_or("", |(start, end)| &text[start..end])
                    }
                };
                if added.len() > MAX_RESULT.saturating_sub(out.len()) {
                    return Err(format!("the result would be longer than {MAX_RESULT} bytes"));
                }
                out.push_str(added);
            }
            copied = end;
            replaced += 1;
        }
        out.push_str(&text[copied..]);
        *steps += matches.machine.steps;
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sub(pattern: &str, replacement: &str, text: &str) -> String {
        PythonRegex::new(pattern).unwrap().sub(text, replacement, 0).unwrap()
    }

    fn find(pattern: &str, text: &str) -> Vec<String> {
        PythonRegex::new(pattern).unwrap().find_all(text).unwrap()
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
        // An empty match may follow a match, but not an empty one at the same place.
        assert_eq!(sub("x*", "-", "abxd"), "-a-b--d-");
        assert_eq!(sub(r"\b|\w+", "-", "ab"), "---");
        assert_eq!(sub("(a)|b", r"[\1]", "ab"), "[a][]");
        assert_eq!(sub("(?P<n>a)", r"\g<n>\101\0\n\.\\", "a"), "aA\0\n\\.\\");
    }

    #[test]
    fn finds_as_re_findall() {
        let answer = PythonRegex::new(r"#### (\-?[0-9\.\,]+)").unwrap();
        assert_eq!(answer.find_all("x #### 1,000.\n#### -2").unwrap(), ["1,000.", "-2"]);
        let flexible = PythonRegex::new(r"(-?[$0-9.,]{2,})|(-?[0-9]+)").unwrap();
        assert_eq!(flexible.find_all("so 5 and $12.").unwrap(), ["5", "$12."]);
        assert_eq!(find("[[a]+", "[a]"), ["[a"]);
        assert_eq!(find("[]a]+", "[a]"), ["a]"]);
        assert_eq!(find("[a&&b||c~~]+", "a&b|c~"), ["a&b|c~"]);
    }

    #[test]
    fn escapes_are_those_of_python() {
        assert_eq!(find(r"\<b\>", "<b> b"), ["<b>"]);
        assert_eq!(find(r"\a\x41\u00e9\U0001f600\101\0", "\u{7}Aé😀A\0"), ["\u{7}Aé😀A\0"]);
        // A vowel sign is no part of a word, and a digit of any script is a digit.
        assert_eq!(find(r"\w+", "कि_ x٣"), ["क", "_", "x٣"]);
        assert_eq!(find(r"\d+", "٣4²"), ["٣4"]);
        assert_eq!(find(r"\s", "\u{1c}\u{200b}\u{3000}"), ["\u{1c}", "\u{3000}"]);
        assert_eq!(find(r"(?a)\w+|\s", "é\u{1c}ab"), ["ab"]);
        assert_eq!(find(r"a\Z", "a\n"), [""; 0]);
        assert_eq!(find(r"a$", "a\n"), ["a"]);
        assert_eq!(find(r"(?i)straſſe|k", "STRASSE K"), ["STRASSE", "K"]);
    }

    #[test]
    fn loops_and_groups_are_those_of_python() {
        let spans = |pattern: &str, text: &str| {
            PythonRegex::new(pattern).unwrap().find_spans(text).unwrap().swap_remove(0)
        };
        assert_eq!(spans("(a*)*", "aa"), [Some((0, 2)), Some((2, 2))]);
        assert_eq!(spans("(?:(a)|b)*", "ab"), [Some((0, 2)), Some((0, 1))]);
        assert_eq!(spans("(a)?(?(1)b|c)", "c"), [Some((0, 1)), None]);
        // Python keeps what a group matched in an alternative that failed, in a possessive loop.
        assert_eq!(spans("(?:(a)x|a)*+", "axa"), [Some((0, 3)), Some((2, 3))]);
        assert_eq!(find("a++a|b", "aab"), ["b"]);
        assert_eq!(find("(?>a|ab)c", "abc ac"), ["ac"]);
        assert_eq!(find("(?<=é.)b", "éab"), ["b"]);
        assert_eq!(find("a{,2}b|a{2,1", "aaab a{2,1"), ["aab", "a{2,1"]);
    }

    #[test]
    fn what_python_refuses_is_an_error() {
        for (pattern, message) in [
            ("(open", "missing ), unterminated subpattern at position 0"),
            (r"a\h", r"bad escape \h at position 1"),
            (r"\K", r"bad escape \K at position 0"),
            (r"\p{L}", r"bad escape \p at position 0"),
            ("a\n\\G", r"bad escape \G at position 2 (line 2, column 1)"),
            ("a**", "multiple repeat at position 2"),
            ("(?<=a*)b", "look-behind requires fixed-width pattern"),
            ("a(?i)", "global flags not at the start of the expression at position 1"),
            (r"[\d-z]", r"bad character range \d-z at position 1"),
            ("(?P<n>a)(?P<n>b)", "redefinition of group name 'n' as group 2; was group 1 at position 12"),
            (r"(a)\2", "invalid group reference 2 at position 4"),
            ("x\\", "bad escape (end of pattern) at position 1"),
        ] {
            assert_eq!(PythonRegex::new(pattern).unwrap_err(), message, "{pattern}");
        }
        let error = PythonRegex::new("a").unwrap().sub("a", r"\1", 0).unwrap_err();
        assert_eq!(error, r"bad replacement `\1`: invalid group reference 1 at position 1");
        assert!(PythonRegex::new(r"\N{DIGIT ONE}").is_err());
        assert!(PythonRegex::new(&("(".repeat(100_000) + &")".repeat(100_000))).is_err());
    }

    #[test]
    fn an_endless_search_is_given_up() {
        let error = PythonRegex::new("(x+x+)+y").unwrap().find_all(&"x".repeat(60)).unwrap_err();
        assert!(error.contains("backtracks"), "{error}");
    }
}
