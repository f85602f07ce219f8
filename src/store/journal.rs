//! A run's journal: the run's identity, and every answer in order of arrival.
//!
//! The first record is the run's identity: everything that could change a result. A process may continue the
//! journal only if it is about to do the same run; then the recorded answers are reused as they are, and none
//! is computed again.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use miette::Diagnostic;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use super::differences::differences;
use super::record_file::{Order, RecordError, RecordFile, damaged, read_records, system_error};
use crate::disk;
use crate::vocabulary::Response;

/// The journal's name in a run's folder.
pub const JOURNAL: &str = "journal";

/// A journal cannot be used.
#[derive(Debug, Error, Diagnostic)]
pub enum JournalError {
    /// Its file cannot be used.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Record(#[from] RecordError),
    /// It belongs to another run.
    #[error("{path}: the folder holds another run: {what}")]
    #[diagnostic(
        code(assay::input),
        help(
            "a run goes on only with the command that began it, over the same files: name another folder with --output, or remove this one"
        )
    )]
    OtherRun {
        /// The folder.
        path: String,
        /// The first difference.
        what: String,
    },
}

/// The cost of a session (one process working on a run) up to its last record.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SessionWork {
    /// Since the process began.
    pub seconds: f64,
    /// Of all threads; `None` if the system does not report it.
    pub cpu_seconds: Option<f64>,
    /// Peak resident memory in bytes; `None` if the system does not report it.
    pub peak_memory_bytes: Option<u64>,
    /// Requests answered by the model.
    pub requests_computed: usize,
    /// Rows that went through the model for tokens of prompts and continuations.
    pub tokens_computed: usize,
    /// Rows that went through the model for generated tokens.
    pub tokens_generated: usize,
    /// Rows that went through the model for drafted tokens; 0 in journals from before there were drafts.
    #[serde(default)]
    pub tokens_drafted: usize,
    /// Drafted tokens that were accepted as generated tokens.
    #[serde(default)]
    pub tokens_accepted: usize,
    /// Forward passes that these rows took.
    pub passes: usize,
}

/// A session as recorded in the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// When it began, where and with what; only for people to read.
    pub facts: Value,
    /// What it cost.
    pub work: SessionWork,
}

/// A request as a journal identifies it: task, `doc_id` and index among the document's requests.
pub type RequestKey = (String, usize, usize);

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Record {
    Run(Value),
    Session(Value),
    Answer {
        task: String,
        doc_id: usize,
        request: usize,
        response: Response,
        /// Whether it was computed for another run, and taken from the response cache.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        cached: bool,
    },
    Work(SessionWork),
    Finished {},
}

/// The content of a journal.
#[derive(Debug, Default)]
pub struct History {
    /// Identity of the run; `None` if the journal is empty.
    pub identity: Option<Value>,
    pub answers: HashMap<RequestKey, Response>,
    /// Number of answers that were computed for other runs.
    pub from_cache: usize,
    /// In chronological order.
    pub sessions: Vec<Session>,
    /// Whether the run is finished, with its results and samples written.
    pub finished: bool,
}

impl History {
    /// Reads a journal without locking it, to inspect a run.
    ///
    /// # Errors
    /// It cannot be read or is damaged.
    pub fn read(path: &Path) -> Result<Self, RecordError> {
        let bytes = disk::read(path, disk::RECORDS).map_err(|source| system_error(path, "read", source))?;
        let mut history = Self::default();
        read_records(&bytes, Order::Chained, &mut |_, json| history.take(json))
            .map_err(|(line, what)| damaged(path, line, what))?;
        Ok(history)
    }

    /// Reads the records in `bytes`.
    ///
    /// # Errors
    /// The line of the first damaged record, and what is wrong with it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, (usize, String)> {
        let mut history = Self::default();
        read_records(bytes, Order::Chained, &mut |_, json| history.take(json))?;
        Ok(history)
    }

    /// Reads records without their checksums.
    ///
    /// # Errors
    /// The number, from 1, of the first invalid record, and what is wrong with it.
    pub fn from_records<'r>(records: impl IntoIterator<Item = &'r str>) -> Result<Self, (usize, String)> {
        let mut history = Self::default();
        for (place, json) in records.into_iter().enumerate() {
            history.take(json).map_err(|what| (place + 1, what))?;
        }
        Ok(history)
    }

    fn take(&mut self, json: &str) -> Result<(), String> {
        let record = serde_json::from_str(json).map_err(|e| format!("no record of a journal: {e}"))?;
        match (record, self.identity.is_some()) {
            (Record::Run(identity), false) => self.identity = Some(identity),
            (Record::Run(_), true) => return Err("a second run".into()),
            (_, false) => return Err("no run before it".into()),
            (Record::Session(facts), _) => {
                self.sessions.push(Session { facts, work: SessionWork::default() });
            }
            (Record::Answer { task, doc_id, request, response, cached }, _) => {
                self.from_cache += usize::from(cached);
                let known = self.answers.insert((task, doc_id, request), response);
                if known.is_some() {
                    return Err("a request that was answered before".into());
                }
            }
            (Record::Work(work), _) => match self.sessions.last_mut() {
                Some(session) => session.work = work,
                None => return Err("work without a session".into()),
            },
            (Record::Finished {}, _) => self.finished = true,
        }
        Ok(())
    }
}

/// The journal of the run in progress in this process.
#[derive(Debug)]
pub struct Journal {
    file: RecordFile,
    /// Whether it contains an answer.
    pub has_answers: bool,
}

impl Journal {
    /// Opens or creates a journal, and locks it against other processes.
    ///
    /// # Errors
    /// Another process holds the lock, the journal is damaged, or a system call fails.
    pub fn open(path: &Path) -> Result<(Self, History), RecordError> {
        let mut history = History::default();
        let file = RecordFile::open(path, Order::Chained, &mut |_, json| history.take(json))?;
        Ok((Self { file, has_answers: !history.answers.is_empty() }, history))
    }

    /// Bytes of a truncated last record that were dropped.
    pub fn dropped(&self) -> usize {
        self.file.dropped
    }

    /// The path of its file.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Checks that the journal is still the one in the run's folder.
    ///
    /// # Errors
    /// It was moved or removed.
    pub fn check_path(&self) -> Result<(), RecordError> {
        self.file.check_path()
    }

    /// Checks that a journal is empty or belongs to the run `identity`.
    ///
    /// # Errors
    /// It belongs to another run.
    pub fn check(&self, history: &History, identity: &Value) -> Result<(), JournalError> {
        let found = history.identity.as_ref();
        match found.and_then(|found| differences(found, identity).into_iter().next()) {
            None => Ok(()),
            Some(difference) => Err(JournalError::OtherRun {
                path: self.path().parent().unwrap_or(Path::new("")).display().to_string(),
                what: difference.to_string(),
            }),
        }
    }

    /// Begins a session of the run `identity`; a new journal becomes that run's.
    ///
    /// # Errors
    /// The journal belongs to another run, or a system call fails.
    pub fn begin(&mut self, history: &History, identity: &Value, facts: Value) -> Result<(), JournalError> {
        self.check(history, identity)?;
        let mut records = Vec::new();
        if history.identity.is_none() {
            records.push(json_of(&Record::Run(identity.clone())));
        }
        records.push(json_of(&Record::Session(facts)));
        Ok(self.file.append(&records)?)
    }

    /// Records answers, computed by the model or `cached`, and the session's cost so far.
    ///
    /// # Errors
    /// A system call fails.
    pub fn keep(
        &mut self,
        answers: impl IntoIterator<Item = (RequestKey, Response)>,
        cached: bool,
        work: SessionWork,
    ) -> Result<(), RecordError> {
        let answers = answers.into_iter().map(|((task, doc_id, request), response)| Record::Answer {
            task,
            doc_id,
            request,
            response,
            cached,
        });
        let records: Vec<String> =
            answers.chain([Record::Work(work)]).map(|record| json_of(&record)).collect();
        self.file.append(&records)?;
        self.has_answers |= records.len() > 1;
        Ok(())
    }

    /// Records the session's cost, and that all results are written.
    ///
    /// # Errors
    /// A system call fails.
    pub fn finish(&mut self, work: SessionWork) -> Result<(), RecordError> {
        self.file.append(&[json_of(&Record::Work(work)), json_of(&Record::Finished {})])
    }
}

fn json_of(record: &Record) -> String {
    // Maps have string keys and numbers are finite: JSON can represent all of it.
    serde_json::to_string(record).unwrap_or_default()
}

/// The identity of the run of the journal at `path`, and whether it is finished, without reading the entire
/// file; `None` if that cannot be determined.
pub fn peek(path: &Path) -> Option<(Value, bool)> {
    const TAIL: u64 = 64 << 10;
    let mut file = disk::open(path).ok()?;
    let mut first = String::new();
    BufReader::new(&file).read_line(&mut first).ok()?;
    let mut identity = None;
    read_records(first.as_bytes(), Order::Chained, &mut |_, json| {
        if let Ok(Record::Run(found)) = serde_json::from_str(json) {
            identity = Some(found);
        }
        Ok(())
    })
    .ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL))).ok()?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail).ok()?;
    let last = tail.strip_suffix(b"\n")?.rsplit(|byte| *byte == b'\n').next()?;
    let finished = last.windows(12).take(32).any(|window| window == b"{\"finished\":");
    Some((identity?, finished))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn scored(loglikelihood: f64) -> Response {
        Response::Loglikelihood {
            loglikelihood,
            is_greedy: true,
            num_tokens: 3,
            rounding: 0.1,
            greedy_near_tie: false,
        }
    }

    #[test]
    fn what_was_kept_is_found_to_the_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(JOURNAL);
        let identity = json!({"weights": "abc"});
        let (mut journal, history) = Journal::open(&path).unwrap();
        journal.begin(&history, &identity, json!({"started": "now"})).unwrap();
        let numbers = [-0.1 - 0.2, -1e-300, -123.456_789_012_345_67, -f64::MIN_POSITIVE];
        let answers = numbers.iter().enumerate().map(|(n, ll)| (("t\n1".to_string(), n, 0), scored(*ll)));
        journal.keep(answers, false, SessionWork { passes: 1, ..SessionWork::default() }).unwrap();
        drop(journal);
        assert_eq!(peek(&path), Some((identity.clone(), false)));

        let (mut journal, history) = Journal::open(&path).unwrap();
        for (n, ll) in numbers.iter().enumerate() {
            let Response::Loglikelihood { loglikelihood, .. } = history.answers[&("t\n1".to_string(), n, 0)]
            else {
                panic!()
            };
            assert_eq!(loglikelihood.to_bits(), ll.to_bits());
        }
        assert_eq!((history.sessions.len(), history.sessions[0].work.passes), (1, 1));
        journal.begin(&history, &identity, json!({})).unwrap();
        journal.finish(SessionWork::default()).unwrap();
        drop(journal);
        assert_eq!(peek(&path), Some((identity, true)));
        let (mut journal, history) = Journal::open(&path).unwrap();
        assert!(history.finished);
        let error = journal.begin(&history, &json!({"weights": "abd"}), json!({})).unwrap_err();
        assert!(error.to_string().contains("weights: `abc` there, `abd` here"), "{error}");
    }

    #[test]
    fn no_answer_stands_twice_and_none_before_its_run() {
        let lines = |records: &[Record]| -> Result<History, (usize, String)> {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(JOURNAL);
            let mut file = RecordFile::open(&path, Order::Chained, &mut |_, _| Ok(())).unwrap();
            file.append(&records.iter().map(json_of).collect::<Vec<_>>()).unwrap();
            History::from_bytes(&std::fs::read(&path).unwrap())
        };
        let run = || Record::Run(json!({}));
        let answer = || Record::Answer {
            task: "t".into(),
            doc_id: 0,
            request: 0,
            response: scored(-1.0),
            cached: false,
        };
        assert!(lines(&[run(), answer()]).is_ok());
        assert_eq!(lines(&[run(), answer(), answer()]).unwrap_err().0, 3);
        assert_eq!(lines(&[answer()]).unwrap_err().0, 1);
        assert_eq!(lines(&[run(), run()]).unwrap_err().0, 2);
        assert_eq!(lines(&[run(), Record::Work(SessionWork::default())]).unwrap_err().0, 2);
    }
}
