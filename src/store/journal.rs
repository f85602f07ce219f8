//! A run's journal: what it is a run of, and every answer as it came.
//!
//! The first record says what run this is: whatever could change a result. Whoever opens the journal must be about to do the same
//! run; then its answers are taken as they are, and none is computed again.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use miette::Diagnostic;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use super::differences::differences;
use super::record_file::{Order, RecordError, RecordFile, damaged, read_records, system_error};
use crate::vocabulary::Response;

/// The journal's name in a run's folder.
pub const JOURNAL: &str = "journal";

/// A journal cannot be used.
#[derive(Debug, Error, Diagnostic)]
pub enum JournalError {
    /// Its file.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Record(#[from] RecordError),
    /// It is of another run.
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

/// What a session, one process working on a run, cost up to its last record.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SessionWork {
    /// Since the process began.
    pub seconds: f64,
    /// Of all threads; none where the system does not say.
    pub cpu_seconds: Option<f64>,
    /// The most memory that was resident, in bytes; none where the system does not say.
    pub peak_memory_bytes: Option<u64>,
    /// Requests answered by the model.
    pub requests_computed: usize,
    /// Rows that went through the model for prompts and continuations.
    pub tokens_computed: usize,
    /// Rows that went through the model for generated tokens.
    pub tokens_generated: usize,
    /// Rows that went through the model for drafted tokens; none where no drafts were known yet.
    #[serde(default)]
    pub tokens_drafted: usize,
    /// Those of them that turned out to be generated tokens.
    #[serde(default)]
    pub tokens_accepted: usize,
    /// Passes in which they went.
    pub passes: usize,
}

/// A session as the journal has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// When it began, where and with what: for people to read.
    pub facts: Value,
    /// What it cost.
    pub work: SessionWork,
}

/// A request by the names that a journal uses: task, `doc_id` and place among the document's requests.
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
        /// Whether another run's model gave it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        cached: bool,
    },
    Work(SessionWork),
    Finished {},
}

/// What a journal holds.
#[derive(Debug, Default)]
pub struct History {
    /// What run it is of; none if it holds nothing.
    pub identity: Option<Value>,
    /// The answers.
    pub answers: HashMap<RequestKey, Response>,
    /// How many of them other runs gave.
    pub from_cache: usize,
    /// The sessions, in order.
    pub sessions: Vec<Session>,
    /// Whether the run was finished, its results and samples written.
    pub finished: bool,
}

impl History {
    /// Reads a journal without locking it, as one does to look at a run.
    ///
    /// # Errors
    /// It cannot be read or is damaged.
    pub fn read(path: &Path) -> Result<Self, RecordError> {
        let bytes = std::fs::read(path).map_err(|source| system_error(path, "read", source))?;
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
    /// The place of the first that is none, from 1, and what is wrong with it.
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

/// The journal of the run that this process is doing.
#[derive(Debug)]
pub struct Journal {
    file: RecordFile,
    /// Whether an answer is in it.
    pub has_answers: bool,
}

impl Journal {
    /// Opens or makes a journal and keeps other processes out of it.
    ///
    /// # Errors
    /// Another process has it, or it is damaged, or the system refuses.
    pub fn open(path: &Path) -> Result<(Self, History), RecordError> {
        let mut history = History::default();
        let file = RecordFile::open(path, Order::Chained, &mut |_, json| history.take(json))?;
        Ok((Self { file, has_answers: !history.answers.is_empty() }, history))
    }

    /// Bytes of an answer cut short that were dropped.
    pub fn dropped(&self) -> usize {
        self.file.dropped
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Checks that the journal is still the one in the run's folder.
    ///
    /// # Errors
    /// It was moved or removed.
    pub fn check_place(&self) -> Result<(), RecordError> {
        self.file.check_place()
    }

    /// Checks that what a journal holds is of the run `identity`, if it holds anything.
    ///
    /// # Errors
    /// It is another run's.
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

    /// Begins a session of the run `identity`: a new journal becomes that run's.
    ///
    /// # Errors
    /// The journal is another run's, or the system refuses.
    pub fn begin(&mut self, history: &History, identity: &Value, facts: Value) -> Result<(), JournalError> {
        self.check(history, identity)?;
        let mut records = Vec::new();
        if history.identity.is_none() {
            records.push(json_of(&Record::Run(identity.clone())));
        }
        records.push(json_of(&Record::Session(facts)));
        Ok(self.file.append(&records)?)
    }

    /// Keeps answers, given by the model or `cached`, and what the session cost so far.
    ///
    /// # Errors
    /// The system refuses.
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

    /// Notes what the session cost, and that all results are written.
    ///
    /// # Errors
    /// The system refuses.
    pub fn finish(&mut self, work: SessionWork) -> Result<(), RecordError> {
        self.file.append(&[json_of(&Record::Work(work)), json_of(&Record::Finished {})])
    }
}

fn json_of(record: &Record) -> String {
    // Maps with keys of text and finite numbers: nothing that JSON cannot hold.
    serde_json::to_string(record).unwrap_or_default()
}

/// What run the journal at `path` is of, and whether it is finished, without reading all of it; none where that cannot be told.
pub fn glance(path: &Path) -> Option<(Value, bool)> {
    const TAIL: u64 = 64 << 10;
    let mut file = File::open(path).ok()?;
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
        assert_eq!(glance(&path), Some((identity.clone(), false)));

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
        assert_eq!(glance(&path), Some((identity, true)));
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
