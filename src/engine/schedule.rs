//! Which rows go into the next pass, and whose keys and values are still needed.

use std::collections::VecDeque;
use std::ops::Range;

use super::draft::{Drafting, Speculation};
use super::forward::Forward;
use super::generate::Decode;
use super::request_tree::RequestTree;
use super::score::Score;
use super::sequence::Sequence;
use super::tree::TokenTree;
use super::work::{Answer, EngineError, Work};
use crate::model::{ForwardError, Row, Segment, SegmentId};
use crate::tokenizer::TokenRequest;
use crate::vocabulary::{Response, Stops};

/// Maximum rows of a pass. Matrix products reach their full speed from a few hundred rows on; beyond, only
/// memory use grows.
pub const ROWS_PER_PASS: usize = 1024;

/// Maximum number of active generations.
const DECODES: usize = 32;

/// A pass to be computed.
pub struct Pass {
    pub segments: Vec<Segment>,
    /// The rows whose logits are read, by segment and token.
    pub wanted: Vec<Row>,
    /// One for each of `wanted`.
    pub uses: Vec<LogitUse>,
}

/// What a row's logits are used for.
pub enum LogitUse {
    /// Some of a node's reads, all at one position.
    Node {
        node: usize,
        /// Range among the node's reads.
        reads: Range<usize>,
    },
    /// An active generation.
    Decode {
        /// Index into [`Schedule::decodes`].
        index: usize,
        /// Number of drafted tokens up to and including this row.
        drafted: usize,
    },
}

impl LogitUse {
    /// Whether the row is a drafted token's.
    pub fn is_draft(&self) -> bool {
        matches!(self, LogitUse::Decode { drafted: 1.., .. })
    }
}

/// The state of a node's keys and values.
#[derive(Clone, Copy, Default)]
struct CachedNode {
    /// Number of tokens computed.
    done: usize,
    /// Number of children and generations that still need them.
    needed_by: usize,
    released: bool,
}

/// The state of a walk over the tree.
pub struct Schedule<'t> {
    sequences: &'t [&'t Sequence],
    tree: &'t TokenTree,
    cached: Vec<CachedNode>,
    /// The next node in the tree's order.
    at: usize,
    /// Nodes before this index in the order have been checked for release.
    looked: usize,
    /// Active generations.
    pub decodes: Vec<Decode>,
    /// Generations whose prompt is computed and that wait for kv space or for others to finish.
    waiting: VecDeque<Decode>,
    scores: Vec<Vec<Option<Score>>>,
    missing: Vec<usize>,
    next_id: usize,
    live: usize,
    /// Maximum tokens whose keys and values are cached at once.
    kv_budget: usize,
    /// Maximum rows of the next passes; every active generation gets one row regardless.
    pub rows_per_pass: usize,
    drafting: Drafting,
    /// The cost so far.
    pub work: Work,
}

impl<'t> Schedule<'t> {
    /// A walk over requests, with the keys and values of at most `kv_budget` tokens cached.
    ///
    /// # Errors
    /// A request that alone exceeds the budget.
    pub fn new(requests: &'t RequestTree<'_>, kv_budget: usize) -> Result<Self, EngineError> {
        let (sequences, tree) = (requests.sequences(), requests.tree());
        for sequence in sequences {
            let needed = sequence.len() + sequence.request().max_new_tokens();
            if needed > kv_budget {
                return Err(EngineError::KvBudget { request: sequence.id, needed, budget: kv_budget });
            }
        }
        let truncated = sequences.iter().filter(|s| s.cut > 0).count();
        let tokens_alone = sequences.iter().map(|s| s.len()).sum();
        let work = Work { tokens_alone, tokens_planned: tree.tokens(), truncated, ..Work::default() };
        Ok(Self {
            sequences,
            tree,
            cached: tree
                .nodes()
                .iter()
                .map(|n| CachedNode { needed_by: n.children, ..CachedNode::default() })
                .collect(),
            at: 0,
            looked: 0,
            decodes: Vec::new(),
            waiting: VecDeque::new(),
            scores: sequences.iter().map(|s| vec![None; s.targets().len()]).collect(),
            missing: sequences.iter().map(|s| s.targets().len()).collect(),
            next_id: tree.nodes().len(),
            live: 0,
            kv_budget,
            rows_per_pass: ROWS_PER_PASS,
            drafting: Drafting::new(Speculation::Off),
            work,
        })
    }

    /// Sets speculative decoding.
    pub fn drafting(self, speculation: Speculation) -> Self {
        Self { drafting: Drafting::new(speculation), ..self }
    }

    /// The ancestors of `node`, root first.
    fn chain(&self, node: usize) -> Vec<SegmentId> {
        let mut chain = Vec::new();
        let mut above = self.tree.nodes()[node].parent;
        while let Some(node) = above {
            chain.push(SegmentId(node));
            above = self.tree.nodes()[node].parent;
        }
        chain.reverse();
        chain
    }

    /// One token of every active generation with its draft, then nodes in the tree's order until the pass is
    /// full; `None` at the end.
    pub fn next_pass(&mut self) -> Option<Pass> {
        self.start_waiting();
        let mut pass = Pass { segments: Vec::new(), wanted: Vec::new(), uses: Vec::new() };
        let mut rows = self.add_active(&mut pass);
        let active_rows = rows;
        // A generation that is started must be able to finish within the budget.
        let mut reserved: usize = self.decodes.iter().map(Decode::may_still_keep).sum();
        let mut decodes = self.decodes.len();
        while rows < self.rows_per_pass
            && decodes < DECODES
            && self.waiting.is_empty()
            && self.at < self.tree.order().len()
        {
            let free = self.kv_budget.saturating_sub(self.live + (rows - active_rows) + reserved);
            let next = self.next_cost();
            if next > free && !pass.segments.is_empty() {
                break;
            }
            let (added, starting) = self.add_node(&mut pass, self.rows_per_pass - rows);
            rows += added;
            decodes += starting.len();
            reserved += starting
                .iter()
                .map(|&request| self.sequences[request].request().max_new_tokens())
                .sum::<usize>();
        }
        (!pass.segments.is_empty()).then_some(pass)
    }

    /// Adds the active generations; returns their number of rows.
    fn add_active(&mut self, pass: &mut Pass) -> usize {
        let active = self.decodes.len();
        let mut rows = active;
        for index in 0..active {
            let decode = &self.decodes[index];
            // A generation's last possible token is not fed, and a draft must stay within what is reserved.
            let most = decode.may_still_keep().saturating_sub(1).min(self.rows_per_pass.saturating_sub(rows));
            let draft = self.drafting.draft(decode.tokens(), most, active);
            rows += draft.tokens.len();
            let mut prefix = self.chain(decode.leaf);
            prefix.push(SegmentId(decode.leaf));
            let tokens: Vec<u32> = decode.tokens().last().into_iter().chain(&draft.tokens).copied().collect();
            for drafted in 0..tokens.len() {
                pass.wanted.push(Row { segment: index, token: drafted });
                pass.uses.push(LogitUse::Decode { index, drafted });
            }
            pass.segments.push(Segment { id: decode.segment, prefix, tokens });
            self.decodes[index].begin(draft);
        }
        rows
    }

    /// Starts waiting generations: one if none is active, more as far as the kv budget lets them finish.
    fn start_waiting(&mut self) {
        let mut reserved: usize = self.decodes.iter().map(Decode::may_still_keep).sum();
        while let Some(next) = self.waiting.front() {
            reserved += next.may_still_keep();
            let fits = self.live + reserved <= self.kv_budget && self.decodes.len() < DECODES;
            if !fits && !self.decodes.is_empty() {
                return;
            }
            self.decodes.extend(self.waiting.pop_front());
        }
    }

    /// Tokens that the rest of the next node will cache, with those of the generations that start there.
    fn next_cost(&self) -> usize {
        let id = self.tree.order()[self.at];
        let node = &self.tree.nodes()[id];
        let generated: usize =
            node.reads.iter().map(|read| self.sequences[read.request].request().max_new_tokens()).sum();
        node.end - node.start - self.cached[id].done + generated
    }

    /// Adds the next node, or as much of it as `most` rows allow; returns the number of rows and the
    /// generations that start there.
    fn add_node(&mut self, pass: &mut Pass, most: usize) -> (usize, Vec<usize>) {
        let id = self.tree.order()[self.at];
        let node = &self.tree.nodes()[id];
        let from = node.start + self.cached[id].done;
        let to = node.end.min(from + most);
        let segment = pass.segments.len();
        pass.segments.push(Segment {
            id: SegmentId(id),
            prefix: self.chain(id),
            tokens: self.sequences[node.sequence].slice(from, to),
        });
        // Reads of one position are adjacent, and share a row.
        let mut begin = node.reads.partition_point(|read| read.position < from);
        let last = node.reads.partition_point(|read| read.position < to);
        let mut starting = Vec::new();
        while begin < last {
            let position = node.reads[begin].position;
            let end = begin + node.reads[begin..last].partition_point(|read| read.position == position);
            pass.wanted.push(Row { segment, token: position - from });
            pass.uses.push(LogitUse::Node { node: id, reads: begin..end });
            starting.extend(self.generations(id, begin..end));
            begin = end;
        }
        self.cached[id].done += to - from;
        if to == node.end {
            self.at += 1;
        }
        (to - from, starting)
    }

    /// The target tokens of reads of a node; generations have none.
    pub fn targets(&self, node: usize, reads: Range<usize>) -> impl Iterator<Item = u32> + '_ {
        let reads = self.tree.nodes()[node].reads[reads].iter();
        reads.filter_map(|read| self.sequences[read.request].targets().get(read.target).copied())
    }

    /// The requests for generations among reads of a node.
    pub fn generations(&self, node: usize, reads: Range<usize>) -> Vec<usize> {
        let reads = self.tree.nodes()[node].reads[reads].iter().map(|read| read.request);
        reads.filter(|&r| matches!(self.sequences[r].request(), TokenRequest::GenerateUntil { .. })).collect()
    }

    /// A new generation, after the prompt that ends with `leaf`.
    pub fn decode(&mut self, request: usize, leaf: usize) -> Decode {
        let id = SegmentId(self.next_id);
        self.next_id += 1;
        let (until, max_new_tokens) = match self.sequences[request].request() {
            TokenRequest::GenerateUntil { until, max_new_tokens, .. } => (until.clone(), *max_new_tokens),
            TokenRequest::Loglikelihood { .. } => (Stops::from(Vec::new()), 0),
        };
        let prompt = self.sequences[request];
        Decode::new(prompt.id, leaf, id, prompt.slice(0, prompt.len()), until, max_new_tokens)
    }

    /// Queues a generation for the next passes with space for it.
    pub fn start(&mut self, decode: Decode) {
        self.cached[decode.leaf].needed_by += 1;
        self.waiting.push_back(decode);
    }

    /// Counts a computed pass.
    pub fn computed(&mut self, segments: &[Segment]) {
        for segment in segments {
            let count = segment.tokens.len();
            if segment.id.0 < self.tree.nodes().len() {
                self.work.tokens_computed += count;
            } else {
                self.work.tokens_generated += count;
            }
            self.live += count;
        }
        self.work.passes += 1;
        self.work.peak_live_kv_tokens = self.work.peak_live_kv_tokens.max(self.live);
    }

    /// Truncates drafts before the first of their rows in `unread`.
    pub fn cut_drafts<'a>(&mut self, unread: impl Iterator<Item = &'a LogitUse>) {
        for reader in unread {
            if let LogitUse::Decode { index, drafted: drafted @ 1.. } = reader {
                self.decodes[*index].draft.tokens.truncate(drafted - 1);
            }
        }
    }

    /// Drops rejected draft tokens, once the rows of the active generations are read.
    ///
    /// # Errors
    /// The model's.
    pub fn forget_rejected(&mut self, forward: &mut dyn Forward) -> Result<(), ForwardError> {
        for decode in &mut self.decodes {
            let (draft, accepted) = decode.end();
            let rejected = draft.tokens.len() - accepted;
            self.drafting.learn(&draft, accepted, decode.is_finished());
            self.work.tokens_drafted += draft.tokens.len();
            self.work.tokens_accepted += accepted;
            self.work.tokens_generated -= rejected;
            self.live -= rejected;
            if rejected > 0 && !decode.is_finished() {
                forward.truncate(decode.segment, decode.kept())?;
            }
        }
        Ok(())
    }

    /// Records the scores of a row's reads; answers requests whose last score this was.
    pub fn scored(&mut self, node: usize, reads: Range<usize>, row: &[Score], answers: &mut Vec<Answer>) {
        let reads = self.tree.nodes()[node].reads[reads].iter();
        for (read, score) in reads.filter(|read| !self.sequences[read.request].targets().is_empty()).zip(row)
        {
            self.scores[read.request][read.target] = Some(*score);
            self.missing[read.request] -= 1;
            if self.missing[read.request] > 0 {
                continue;
            }
            // Always summed in the continuation's order, whichever pass computed which part.
            let scores = || self.scores[read.request].iter().flatten();
            let response = Response::Loglikelihood {
                loglikelihood: scores().map(|s| f64::from(s.log_probability)).sum(),
                is_greedy: scores().all(|s| s.is_greedy),
                num_tokens: scores().count(),
                rounding: scores().map(|s| s.rounding).sum(),
                // A token that is neither the argmax nor a near-tie settles it.
                greedy_near_tie: scores().all(|s| s.is_greedy || s.is_near_tie)
                    && scores().any(|s| s.is_near_tie),
            };
            answers.push(Answer { id: self.sequences[read.request].id, response });
        }
    }

    /// Releases keys and values that nothing continues any more.
    pub fn release_finished(&mut self, forward: &mut dyn Forward) {
        let (done, going) = std::mem::take(&mut self.decodes).into_iter().partition(Decode::is_finished);
        self.decodes = going;
        for decode in done {
            forward.release(decode.segment);
            self.live -= decode.kept();
            self.cached[decode.leaf].needed_by -= 1;
            self.release_up(decode.leaf, forward);
        }
        for index in self.looked..self.at {
            self.release_up(self.tree.order()[index], forward);
        }
        self.looked = self.at;
    }

    /// Releases `node` if it is not needed, then its ancestors that are no longer needed.
    fn release_up(&mut self, node: usize, forward: &mut dyn Forward) {
        let mut candidate = Some(node);
        while let Some(id) = candidate {
            let node = &self.tree.nodes()[id];
            let length = node.end - node.start;
            let cached = &mut self.cached[id];
            if cached.released || cached.needed_by > 0 || cached.done < length {
                return;
            }
            cached.released = true;
            self.live -= length;
            forward.release(SegmentId(id));
            candidate = node.parent;
            if let Some(parent) = candidate {
                self.cached[parent].needed_by -= 1;
            }
        }
    }

    /// Releases everything.
    pub fn release_all(&mut self, forward: &mut dyn Forward) {
        // A generation that has only started has nothing cached yet.
        for decode in self.decodes.drain(..).filter(|decode| decode.kept() > 0) {
            forward.release(decode.segment);
        }
        for (id, cached) in self.cached.iter().enumerate() {
            if cached.done > 0 && !cached.released {
                forward.release(SegmentId(id));
            }
        }
    }
}
