//! Runs a program over a text, and goes back where it fails.

use super::charset::{CharSet, Fold};
use super::program::{Loop, Op, Program};
use super::subject::Subject;
use super::syntax::{Greed, UNLIMITED};

/// Steps after which a search is given up: less than a second.
pub const MAX_STEPS: u64 = 50_000_000;
/// Ways back and changes that may be kept at a time: a hundred megabytes.
const MAX_TRAIL: usize = 4 << 20;
/// A slot that holds nothing.
const UNSET: usize = usize::MAX;
/// Characters that count as one step where one set is matched again and again.
const CHARS_PER_STEP: usize = 8;

/// What to do when the match fails, the last first.
#[derive(Debug, Clone, Copy)]
enum Entry {
    /// Give a slot its earlier value, and go further back.
    Restore { slot: u32, value: usize },
    /// Go on there.
    Choice { op: u32, soft: bool, at: usize },
    /// Go on there with one character less, but not before `least`.
    Fewer { op: u32, soft: bool, at: usize, least: usize },
    /// Match one more character, `left` at most, and go on behind the step.
    More { op: u32, soft: bool, at: usize, left: u32 },
}

/// Searches one text. What it needs is kept from search to search.
#[derive(Debug)]
pub struct Machine<'a> {
    program: &'a Program,
    text: &'a str,
    subject: Subject<'a>,
    slots: Vec<usize>,
    trail: Vec<Entry>,
    /// Marks to be restored, while it is open whether they are.
    marks: Vec<(u32, usize)>,
    /// Steps so far.
    pub steps: u64,
}

impl<'a> Machine<'a> {
    /// At the beginning of `text`.
    pub fn new(program: &'a Program, text: &'a str) -> Self {
        Self {
            program,
            text,
            subject: Subject(text),
            slots: vec![UNSET; program.slots],
            trail: Vec::new(),
            marks: Vec::new(),
            steps: 0,
        }
    }

    /// The span of a group of the last match.
    pub fn span(&self, group: usize) -> Option<(usize, usize)> {
        let (start, end) = (self.slots[2 * group], self.slots[2 * group + 1]);
        let is_left = self.program.last_mark.is_some_and(|last| self.slots[last] < 2 * group + 1);
        (start != UNSET && end != UNSET && start <= end && !is_left).then_some((start, end))
    }

    /// Whether there is a match at `from` or later, not an empty one at `from` if it `must_advance`.
    pub fn search(&mut self, from: usize, mut must_advance: bool) -> Result<bool, String> {
        let program = self.program;
        let mut start = from;
        loop {
            if let Some(first) = program.first {
                let rest = &self.text.as_bytes()[start..];
                let may_begin = |b: &u8| if *b < 128 { first.ascii >> b & 1 == 1 } else { first.others };
                match rest.iter().position(may_begin) {
                    Some(skipped) => {
                        start += skipped;
                        must_advance = must_advance && skipped == 0;
                        self.spend(skipped)?;
                    }
                    None => return Ok(false),
                }
            }
            let is_wanted = |set: &CharSet| self.subject.behind(set, start).is_some();
            if self.text.is_char_boundary(start)
                && program.wanted.as_ref().is_none_or(is_wanted)
                && self.matches_at(start, must_advance)?
            {
                return Ok(true);
            }
            must_advance = false;
            start += 1;
            if start > self.text.len() {
                return Ok(false);
            }
        }
    }

    /// Counts characters that were matched in a row.
    fn spend(&mut self, chars: usize) -> Result<(), String> {
        self.steps += (chars / CHARS_PER_STEP) as u64 + 1;
        if self.steps > MAX_STEPS {
            return Err(format!(
                "the search was given up after {MAX_STEPS} steps: the pattern backtracks too much"
            ));
        }
        Ok(())
    }

    fn set(&mut self, slot: usize, value: usize) {
        self.trail.push(Entry::Restore { slot: slot as u32, value: self.slots[slot] });
        self.slots[slot] = value;
    }

    /// Sets a mark. Where it matters, those between it and the highest one are unset.
    fn mark(&mut self, slot: usize, at: usize) {
        if let Some(last) = self.program.last_mark
            && self.slots[last] < slot
        {
            for between in self.slots[last] + 1..slot {
                self.set(between, UNSET);
            }
            self.set(last, slot);
        }
        self.set(slot, at);
    }

    fn choice(&mut self, op: usize, at: usize, soft: bool) {
        self.trail.push(Entry::Choice { op: op as u32, soft, at });
    }

    /// Forgets the ways back since `height`, but not what they would have to restore.
    fn commit(&mut self, height: usize) {
        let mut kept = height;
        for i in height..self.trail.len() {
            if matches!(self.trail[i], Entry::Restore { .. }) {
                self.trail[kept] = self.trail[i];
                kept += 1;
            }
        }
        self.trail.truncate(kept);
    }

    /// Restores the marks that were collected; if it is `soft`, only those above the highest one that is set.
    fn restore_marks(&mut self, soft: bool) {
        let Some(last) = self.program.last_mark else { return };
        let highest = if soft { self.slots[last] } else { 0 };
        let marks = std::mem::take(&mut self.marks);
        for (slot, value) in &marks {
            if *slot as usize > highest {
                self.slots[*slot as usize] = *value;
            }
        }
        let kept = marks.iter().rev().filter(|(slot, _)| *slot as usize <= highest);
        self.trail.extend(kept.map(|(slot, value)| Entry::Restore { slot: *slot, value: *value }));
        self.marks = marks;
        self.marks.clear();
    }

    /// Whether the step may match at `at`, by its first byte.
    fn may_follow(&self, op: usize, at: usize) -> bool {
        match &self.program.ops[op] {
            Op::Text(text) => self.text.as_bytes().get(at) == text.as_bytes().first(),
            _ => true,
        }
    }

    /// Goes on at `op` from `at` or the nearest place before it down to `least` where that may match.
    fn fewer(
        &mut self,
        op: usize,
        soft: bool,
        mut at: usize,
        least: usize,
    ) -> Result<Option<(usize, usize)>, String> {
        let most = at;
        while !self.may_follow(op, at) {
            if at <= least {
                self.spend(most - at)?;
                return Ok(None);
            }
            at -= self.subject.before(at).map_or(1, char::len_utf8);
        }
        self.spend(most - at)?;
        if at > least {
            self.trail.push(Entry::Fewer { op: op as u32, soft, at, least });
        }
        Ok(Some((op, at)))
    }

    /// Goes on behind the step `op`, which matches characters lazily, from `at` or the nearest place after it
    /// where that may match.
    fn more(
        &mut self,
        op: usize,
        soft: bool,
        mut at: usize,
        mut left: u32,
    ) -> Result<Option<(usize, usize)>, String> {
        let Op::Each { set, .. } = &self.program.ops[op] else { return Ok(None) };
        let least = at;
        while !self.may_follow(op + 1, at) {
            match self.subject.behind(set, at) {
                Some(behind) if left > 0 => at = behind,
                _ => {
                    self.spend(at - least)?;
                    return Ok(None);
                }
            }
            left -= u32::from(left != UNLIMITED);
        }
        self.spend(at - least)?;
        if left > 0 {
            self.trail.push(Entry::More { op: op as u32, soft, at, left });
        }
        Ok(Some((op + 1, at)))
    }

    /// Goes back to the last choice: the step and the position to go on with.
    fn back(&mut self) -> Result<Option<(usize, usize)>, String> {
        while let Some(entry) = self.trail.pop() {
            match entry {
                Entry::Restore { slot, value } => {
                    if self.program.last_mark.is_some_and(|last| (slot as usize) < last) {
                        self.marks.push((slot, value));
                    } else {
                        self.slots[slot as usize] = value;
                    }
                }
                Entry::Choice { op, soft, at } => {
                    self.restore_marks(soft);
                    return Ok(Some((op as usize, at)));
                }
                Entry::Fewer { op, soft, at, least } => {
                    self.restore_marks(soft);
                    let at = at - self.subject.before(at).map_or(1, char::len_utf8);
                    if let Some(next) = self.fewer(op as usize, soft, at, least)? {
                        return Ok(Some(next));
                    }
                }
                Entry::More { op, soft, at, left } => {
                    self.restore_marks(soft);
                    let Op::Each { set, .. } = &self.program.ops[op as usize] else { continue };
                    let Some(at) = self.subject.behind(set, at) else { continue };
                    let left = if left == UNLIMITED { left } else { left - 1 };
                    if let Some(next) = self.more(op as usize, soft, at, left)? {
                        return Ok(Some(next));
                    }
                }
            }
        }
        self.marks.clear();
        Ok(None)
    }

    /// Whether the program matches at `start`; the slots are then its groups.
    fn matches_at(&mut self, start: usize, must_advance: bool) -> Result<bool, String> {
        self.slots.fill(UNSET);
        self.spend(self.slots.len())?;
        self.trail.clear();
        if let Some(last) = self.program.last_mark {
            self.slots[last] = 1;
        }
        let (mut op, mut at) = (0, start);
        loop {
            self.spend(0)?;
            if self.trail.len() > MAX_TRAIL {
                return Err(
                    "the search was given up: the text is too long for the pattern's choices".to_string()
                );
            }
            if matches!(self.program.ops[op], Op::Match) && !(must_advance && at == start) {
                (self.slots[0], self.slots[1]) = (start, at);
                return self.check_groups();
            }
            let next = match self.step(op, at)? {
                Some(next) => Some(next),
                None => self.back()?,
            };
            match next {
                Some(next) => (op, at) = next,
                None => return Ok(false),
            }
        }
    }

    /// After a match: Python fails where it left marks of two attempts to a group.
    fn check_groups(&self) -> Result<bool, String> {
        let Some(last) = self.program.last_mark else { return Ok(true) };
        let (marks, _) = self.slots.split_at(last.min(self.slots[last] + 1));
        match marks.chunks_exact(2).position(|mark| mark[0] > mark[1] && mark[0] != UNSET) {
            None => Ok(true),
            Some(group) => {
                Err(format!("the span of capturing group {group} is wrong: python's `re` fails here too"))
            }
        }
    }

    /// One step: the next one and its position, or `None` if it fails.
    fn step(&mut self, op: usize, at: usize) -> Result<Option<(usize, usize)>, String> {
        let program = self.program;
        Ok(match &program.ops[op] {
            Op::Text(text) => {
                let matches = self.text.as_bytes()[at..].starts_with(text.as_bytes());
                matches.then(|| (op + 1, at + text.len()))
            }
            Op::One(set) => self.subject.behind(set, at).map(|at| (op + 1, at)),
            Op::Each { set, min, max, greed, soft } => {
                return self.each(op, at, set, (*min, *max), *greed, *soft);
            }
            Op::At(position) => self.subject.is_at(*position, at).then_some((op + 1, at)),
            Op::Split { to, soft } => {
                self.choice(*to, at, *soft);
                Some((op + 1, at))
            }
            Op::Jump { to } => Some((*to, at)),
            Op::Mark(slot) => {
                self.mark(*slot, at);
                Some((op + 1, at))
            }
            Op::Reference { group, fold } => self.reference(*group, *fold, at)?.map(|at| (op + 1, at)),
            Op::Unless { group, to } => Some((if self.span(*group).is_some() { op + 1 } else { *to }, at)),
            Op::Enter(of) => {
                self.set(of.count, 0);
                self.set(of.last, UNSET);
                Some((op + 1, at))
            }
            Op::Again { body, of } => {
                if self.slots[of.count] < of.min as usize {
                    self.begin_required(of);
                    Some((*body, at))
                } else if self.may_repeat(of, at) {
                    self.choice(op + 1, at, false);
                    self.begin_optional(of, at);
                    Some((*body, at))
                } else {
                    Some((op + 1, at))
                }
            }
            Op::Leave { to, body, of, soft } => {
                if self.slots[of.count] < of.min as usize {
                    self.begin_required(of);
                    Some((*body, at))
                } else {
                    self.choice(op + 1, at, *soft);
                    Some((*to, at))
                }
            }
            Op::Retry { body, of } => self.may_repeat(of, at).then(|| {
                self.begin_optional(of, at);
                (*body, at)
            }),
            Op::Hold { to, of, height } => {
                let required = self.slots[of.count] < of.min as usize;
                if !required && !self.may_repeat(of, at) {
                    return Ok(Some((*to, at)));
                }
                self.set(*height, self.trail.len() + 1);
                if required {
                    self.begin_required(of);
                } else {
                    self.choice(*to, at, false);
                    self.begin_optional(of, at);
                }
                Some((op + 1, at))
            }
            Op::Held { to, height } => {
                self.commit(self.slots[*height]);
                Some((*to, at))
            }
            Op::Atomic { height } => {
                self.set(*height, self.trail.len() + 1);
                Some((op + 1, at))
            }
            Op::Commit { height } => {
                self.commit(self.slots[*height]);
                Some((op + 1, at))
            }
            Op::Look { back, height, position } => self.subject.look_back(*back, at).map(|before| {
                self.set(*position, at);
                self.set(*height, self.trail.len() + 1);
                (op + 1, before)
            }),
            Op::Looked { height, position } => {
                self.commit(self.slots[*height]);
                Some((op + 1, self.slots[*position]))
            }
            Op::LookNot { back, height, to, soft } => match self.subject.look_back(*back, at) {
                None => Some((*to, at)),
                Some(before) => {
                    self.set(*height, self.trail.len() + 1);
                    self.choice(*to, at, *soft);
                    Some((op + 1, before))
                }
            },
            Op::Forbidden { height } => {
                self.commit(self.slots[*height]);
                None
            }
            // An empty match where one is not wanted.
            Op::Match => None,
        })
    }

    fn may_repeat(&self, of: &Loop, at: usize) -> bool {
        let is_below = of.max == UNLIMITED || self.slots[of.count] < of.max as usize;
        // After an empty round, another one would be like it.
        is_below && self.slots[of.last] != at
    }

    fn begin_required(&mut self, of: &Loop) {
        self.set(of.count, self.slots[of.count] + 1);
    }

    fn begin_optional(&mut self, of: &Loop, at: usize) {
        self.begin_required(of);
        self.set(of.last, at);
    }

    fn each(
        &mut self,
        op: usize,
        start: usize,
        set: &CharSet,
        (min, max): (u32, u32),
        greed: Greed,
        soft: bool,
    ) -> Result<Option<(usize, usize)>, String> {
        let wanted = if greed == Greed::Lazy { min } else { max };
        let (mut at, mut count) = (start, 0);
        let mut least = start;
        while count < wanted || wanted == UNLIMITED {
            let Some(behind) = self.subject.behind(set, at) else { break };
            at = behind;
            count = count.saturating_add(1);
            if count == min {
                least = at;
            }
        }
        self.spend(at - start)?;
        if count < min {
            return Ok(None);
        }
        match greed {
            Greed::Greedy => self.fewer(op + 1, soft, at, least),
            Greed::Possessive => Ok(Some((op + 1, at))),
            Greed::Lazy => self.more(op, soft, at, if max == UNLIMITED { max } else { max - count }),
        }
    }

    fn reference(&mut self, group: usize, fold: Fold, at: usize) -> Result<Option<usize>, String> {
        let Some((start, end)) = self.span(group) else { return Ok(None) };
        self.spend(end - start)?;
        let (wanted, rest) = (&self.text[start..end], &self.text[at..]);
        if fold == Fold::None {
            return Ok(rest.as_bytes().starts_with(wanted.as_bytes()).then_some(at + wanted.len()));
        }
        let mut chars = rest.chars();
        for c in wanted.chars() {
            match chars.next() {
                Some(other) if fold.apply(c as u32) == fold.apply(other as u32) => {}
                _ => return Ok(None),
            }
        }
        Ok(Some(self.text.len() - chars.as_str().len()))
    }
}
