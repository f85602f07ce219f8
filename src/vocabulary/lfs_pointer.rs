//! Pointers that git-lfs leaves in place of large files that were not fetched.

/// Whether a file that begins with these bytes is such a pointer.
///
/// Source: <https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md>.
pub fn is_lfs_pointer(beginning: &[u8]) -> bool {
    beginning.starts_with(b"version https://git-lfs.github.com/spec/")
        || beginning.starts_with(b"version https://hawser.github.com/spec/")
}

/// What to do about a pointer, for hints.
pub const FETCH_LFS: &str =
    "the folder was cloned without git-lfs: run `git lfs pull` in it, or download the file itself";
