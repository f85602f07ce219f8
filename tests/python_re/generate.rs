//! Patterns, texts and replacements from a seed.

/// Characters of patterns and texts: cases, scripts, marks, digits, white space, beyond 16 bits.
const CHARACTERS: [&str; 44] = [
    "a", "a", "a", "b", "b", "c", "A", "B", "z", "_", "0", "1", "7", " ", "\n", "<", ">", "-", "&", "é", "É",
    "ß", "ſ", "s", "K", "k", "İ", "ı", "i", "µ", "μ", "σ", "ς", "Ж", "ж", "क", "ि", "٣", "字", "\u{1c}",
    "\u{a0}", "²", "𐐀", "𐐨",
];

/// Parts of patterns that stand for themselves wherever they are put.
const ATOMS: [&str; 62] = [
    r".",
    r"\d",
    r"\D",
    r"\s",
    r"\S",
    r"\w",
    r"\W",
    r"\<",
    r"\>",
    r"\-",
    r"\.",
    r"\/",
    r"\x61",
    r"\u00e9",
    r"\U00010428",
    r"\141",
    r"\0",
    r"\07",
    r"\n",
    r"\a",
    r"\v",
    r"\f",
    r"\t",
    r"\\",
    r"\{",
    r"\_",
    r"\é",
    "^",
    "$",
    r"\A",
    r"\Z",
    r"\b",
    r"\B",
    "{",
    "}",
    "]",
    "{,",
    "{1",
    "{a}",
    "()",
    "(?:)",
    "(?#c)",
    "<",
    ">",
    "&&",
    "--",
    "~~",
    "||",
    r"\u0130",
    r"\x{61}",
    r"\h",
    r"\K",
    r"\G",
    r"\p{L}",
    r"\z",
    r"\R",
    r"\X",
    r"\Q",
    r"\e",
    r"\8",
    r"\400",
    r"\x6",
];

/// Members of classes.
const MEMBERS: [&str; 40] = [
    r"\d",
    r"\D",
    r"\s",
    r"\S",
    r"\w",
    r"\W",
    r"\b",
    r"\n",
    r"\x61",
    r"\101",
    r"\]",
    r"\[",
    r"\-",
    r"\^",
    r"\\",
    "[",
    "[:alpha:",
    "&&",
    "||",
    "~~",
    "--",
    "a-c",
    "A-Z",
    "0-9",
    "à-ö",
    "А-я",
    "α-ω",
    "!-~",
    "^",
    "$",
    ".",
    "a-",
    "-z",
    r"\0-\x20",
    "\u{10400}-\u{10450}",
    "é-𐐀",
    r"\u017f",
    r"\h",
    r"\B",
    "z-a",
];

/// Pieces that noise is made of: most of it is refused.
const NOISE: [&str; 52] = [
    "(", ")", "(", ")", "[", "]", "{", "}", "|", "*", "+", "?", "??", "*+", "{2}", "{,2}", "{2,1}", "{3}?",
    "(?:", "(?", "(?P<n>", "(?P<n>", "(?P=n)", "(?P", "(?P>", "(?P<1>", "(?P<é>", "(?<", "(?<n>", "(?=",
    "(?!", "(?<=", "(?<!", "(?>", "(?(1)", "(?(n)", "(?(0)", "(?(9)", "(?i)", "(?i:", "(?-i:", "(?L)",
    "(?au)", "(?i-i:", "(?k)", "(?i", "(?-", "(?#", "\\", "\\1", "\\10", "#",
];

/// Parts of replacements.
const REPLACEMENTS: [&str; 28] = [
    "x", "é", "$1", "${1}", "&", r"\1", r"\2", r"\g<1>", r"\g<0>", r"\g<n>", r"\g<2>", r"\n", r"\t", r"\\",
    r"\.", r"\<", r"\0", r"\07", r"\141", r"\400", r"\g<", r"\g<x y>", r"\g", r"\h", r"\99", r"\g<>", "\n",
    r"\-",
];

/// Random numbers (SplitMix64): the cases are the same on every machine.
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// Less than `n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn of<'a>(&mut self, items: &[&'a str]) -> &'a str {
        items[self.below(items.len())]
    }
}

/// Makes a pattern, and knows its groups.
struct Pattern<'a> {
    random: &'a mut Random,
    out: String,
    groups: usize,
    closed: Vec<usize>,
    /// The group that is called `n`.
    named: usize,
}

/// A pattern.
pub fn pattern(random: &mut Random) -> String {
    if random.one_in(10) {
        let parts = 1 + random.below(6);
        return (0..parts)
            .map(|_| if random.one_in(3) { random.of(&CHARACTERS) } else { random.of(&NOISE) })
            .collect();
    }
    let mut pattern = Pattern { random, out: String::new(), groups: 0, closed: Vec::new(), named: 0 };
    if pattern.random.one_in(4) {
        let flags =
            pattern.random.of(&["(?i)", "(?i)", "(?m)", "(?s)", "(?x)", "(?a)", "(?ia)", "(?ims)", "(?u)"]);
        pattern.out.push_str(flags);
    }
    pattern.alternatives(3);
    pattern.out
}

impl Pattern<'_> {
    fn alternatives(&mut self, depth: usize) {
        self.sequence(depth);
        while self.random.one_in(4) {
            self.out.push('|');
            self.sequence(depth);
        }
    }

    fn sequence(&mut self, depth: usize) {
        for _ in 0..self.random.below(4) + usize::from(!self.random.one_in(8)) {
            let before = self.out.len();
            self.item(depth);
            // Places may not be repeated.
            let is_place = ["^", "$", r"\A", r"\Z", r"\b", r"\B"].contains(&&self.out[before..]);
            if self.random.one_in(if is_place { 40 } else { 3 }) {
                let repeat = self.random.of(&[
                    "*", "*", "+", "+", "?", "{2}", "{1,2}", "{,2}", "{2,}", "{0}", "{0,1}", "{,}", "{1,3}",
                ]);
                self.out.push_str(repeat);
                let greed = self.random.of(&["", "", "", "?", "?", "+", "*"]);
                // What repeats a repeat is refused: seldom.
                if greed != "*" || self.random.one_in(20) {
                    self.out.push_str(greed);
                }
            }
        }
    }

    fn item(&mut self, depth: usize) {
        match self.random.below(if depth == 0 { 9 } else { 16 }) {
            0..=4 => self.out.push_str(self.random.of(&CHARACTERS)),
            5 | 6 => {
                // The last of them are refused.
                let known = if self.random.one_in(40) { ATOMS.len() } else { ATOMS.len() - 13 };
                self.out.push_str(self.random.of(&ATOMS[..known]));
            }
            7 => self.class(),
            8 => self.reference(),
            9..=11 => self.group(depth),
            12 => {
                self.out.push_str(
                    self.random.of(&["(?:", "(?:", "(?>", "(?i:", "(?-i:", "(?s-i:", "(?a:", "(?x:"]),
                );
                self.alternatives(depth - 1);
                self.out.push(')');
            }
            13 => {
                self.out.push_str(self.random.of(&["(?=", "(?!"]));
                self.alternatives(depth - 1);
                self.out.push(')');
            }
            14 => self.look_behind(),
            _ => self.conditional(depth),
        }
    }

    fn group(&mut self, depth: usize) {
        self.groups += 1;
        let group = self.groups;
        if self.named == 0 && self.random.one_in(4) {
            self.named = group;
            self.out.push_str("(?P<n>");
        } else {
            self.out.push('(');
        }
        self.alternatives(depth - 1);
        self.out.push(')');
        self.closed.push(group);
    }

    fn class(&mut self) {
        self.out.push_str(self.random.of(&["[", "[", "[^", "[]", "[^]"]));
        for _ in 0..1 + self.random.below(3) {
            let known = if self.random.one_in(40) { MEMBERS.len() } else { MEMBERS.len() - 3 };
            let part = if self.random.one_in(2) {
                self.random.of(&CHARACTERS)
            } else {
                self.random.of(&MEMBERS[..known])
            };
            self.out.push_str(part);
        }
        self.out.push(']');
    }

    fn reference(&mut self) {
        let group = match self.closed.len() {
            0 => 1,
            _ if self.random.one_in(20) => 1 + self.random.below(self.groups + 1),
            n => self.closed[self.random.below(n)],
        };
        if group == self.named && self.random.one_in(2) {
            self.out.push_str("(?P=n)");
        } else if self.closed.is_empty() && !self.random.one_in(40) {
            self.out.push_str(self.random.of(&CHARACTERS));
        } else {
            self.out.push_str(&format!("\\{group}"));
        }
    }

    /// Mostly of fixed width, as is wanted.
    fn look_behind(&mut self) {
        self.out.push_str(self.random.of(&["(?<=", "(?<!"]));
        match self.random.below(8) {
            0 => self.alternatives(1),
            1 => self.out.push_str(r"\b"),
            2 => self.class(),
            3 => self.out.push_str("a|b"),
            4 => self.out.push_str("(?:a|b){2}"),
            5 => self.out.push('^'),
            6 => self.reference(),
            _ => self.out.push_str(self.random.of(&CHARACTERS)),
        }
        self.out.push(')');
    }

    fn conditional(&mut self, depth: usize) {
        if self.closed.is_empty() && !self.random.one_in(40) {
            return self.group(depth);
        }
        // Seldom a group that is open, comes later, or is missing.
        let group = match self.closed.len() {
            0 => 1 + self.random.below(self.groups + 1),
            _ if self.random.one_in(6) => 1 + self.random.below(self.groups + 1),
            n => self.closed[self.random.below(n)],
        };
        let name = if group == self.named { "n".to_string() } else { group.to_string() };
        self.out.push_str(&format!("(?({name})"));
        self.sequence(depth - 1);
        if self.random.one_in(2) {
            self.out.push('|');
            self.sequence(depth - 1);
        }
        self.out.push(')');
    }
}

/// A text; most of its characters are the pattern's.
pub fn text(random: &mut Random, pattern: &str) -> String {
    let own: Vec<char> = pattern.chars().filter(|c| !"()[]{}?*+|\\^$".contains(*c)).collect();
    let mut out = String::new();
    for _ in 0..random.below(14) {
        match own.as_slice() {
            own if !own.is_empty() && random.one_in(3) => out.push(own[random.below(own.len())]),
            _ => out.push_str(random.of(&CHARACTERS)),
        }
    }
    if random.one_in(6) {
        out.push('\n');
    }
    out
}

/// A replacement.
pub fn replacement(random: &mut Random) -> String {
    (0..random.below(4)).map(|_| random.of(&REPLACEMENTS)).collect()
}
