//! One suite for every store, and what only the durable one can get wrong.

use std::{
    fs,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use super::*;
use crate::testing::{account_commit, small_world};

fn redb(dir: &Path) -> RedbStore {
    RedbStore::open(dir).unwrap()
}

/// Runs a test on every kind of store.
fn each(test: impl Fn(&dyn Store)) {
    test(&MemStore::default());
    let dir = tempfile::tempdir().unwrap();
    test(&redb(dir.path()));
}

fn assert_same(one: &World, other: &World) {
    assert_eq!(one.revision(), other.revision());
    assert_eq!(one.to_changes(), other.to_changes());
}

#[test]
fn a_new_store_is_the_empty_world() {
    each(|store| {
        assert_same(&store.read().unwrap(), &World::default());
        assert_eq!(store.log(Revision(0), 10).unwrap(), []);
    });
}

#[test]
fn what_is_appended_is_read_back() {
    each(|store| {
        let (commits, world) = small_world();
        store.append(Revision(0), &commits).unwrap();
        assert_same(&store.read().unwrap(), &world);
        assert_eq!(store.log(Revision(0), 100).unwrap(), commits);
        assert!(world.enis().count() == 2 && world.groups().all(|group| group.rules.len() == 1));
    });
}

#[test]
fn one_at_a_time_is_the_same_as_all_at_once() {
    each(|store| {
        let (commits, world) = small_world();
        for commit in &commits {
            store.append(Revision(commit.revision.0 - 1), std::slice::from_ref(commit)).unwrap();
        }
        assert_same(&store.read().unwrap(), &world);
    });
}

#[test]
fn the_log_is_read_in_pieces() {
    each(|store| {
        let (commits, _) = small_world();
        store.append(Revision(0), &commits).unwrap();
        assert_eq!(store.log(Revision(2), 3).unwrap(), commits[2..5]);
        assert_eq!(store.log(commits.last().unwrap().revision, 3).unwrap(), []);
    });
}

#[test]
fn a_commit_that_does_not_follow_changes_nothing() {
    each(|store| {
        let commits = [account_commit(1), account_commit(2), account_commit(4)];
        store.append(Revision(0), &commits[..2]).unwrap();
        let before = store.read().unwrap();
        for (expected, wrong) in [(2, &commits[2..]), (1, &commits[1..2]), (3, &commits[2..]), (0, &commits[..1])] {
            let refused = store.append(Revision(expected), wrong);
            assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{expected} {refused:?}");
        }
        assert_same(&store.read().unwrap(), &before);
        assert_eq!(store.log(Revision(0), 10).unwrap().len(), 2);
    });
}

#[test]
fn what_was_appended_survives_without_a_clean_end() {
    let dir = tempfile::tempdir().unwrap();
    let copy = tempfile::tempdir().unwrap();
    let (commits, world) = small_world();
    let store = redb(dir.path());
    store.append(Revision(0), &commits).unwrap();
    // The files as a killed process leaves them.
    for name in ["store.redb", "format"] {
        fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
    }
    assert_same(&redb(copy.path()).read().unwrap(), &world);
    drop(store);
    assert_same(&redb(dir.path()).read().unwrap(), &world);
}

fn filled() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    redb(dir.path()).append(Revision(0), &small_world().0).unwrap();
    let file = dir.path().join("store.redb");
    (dir, file)
}

/// The error of opening and reading a directory, which must name the file.
fn refused(dir: &Path, file: &str) -> String {
    let error = RedbStore::open(dir).and_then(|store| store.read()).unwrap_err();
    let text = error.to_string();
    assert!(text.contains(file), "{text}");
    text
}

#[test]
fn another_format_version_is_refused() {
    let (dir, file) = filled();
    fs::write(dir.path().join("format"), "9\n").unwrap();
    let error = refused(dir.path(), "format");
    assert!(
        error.contains(&format!("has format version 9; this sekimori reads version {FORMAT_VERSION}; ")),
        "{error}"
    );
    fs::write(dir.path().join("format"), format!("{FORMAT_VERSION}\n")).unwrap();
    let database = ::redb::Database::open(&file).unwrap();
    let write = database.begin_write().unwrap();
    let meta: ::redb::TableDefinition<'_, &str, u64> = ::redb::TableDefinition::new("meta");
    write.open_table(meta).unwrap().insert("format", 9).unwrap();
    write.commit().unwrap();
    drop(database);
    let error = refused(dir.path(), "store.redb");
    assert!(
        error.contains(&format!("has format version 9; this sekimori reads version {FORMAT_VERSION}; ")),
        "{error}"
    );
}

/// Writes another format version into a store and beside it.
fn set_version(dir: &Path, version: u64) {
    fs::write(dir.join("format"), format!("{version}\n")).unwrap();
    let database = ::redb::Database::open(dir.join("store.redb")).unwrap();
    let write = database.begin_write().unwrap();
    let meta: ::redb::TableDefinition<'_, &str, u64> = ::redb::TableDefinition::new("meta");
    write.open_table(meta).unwrap().insert("format", version).unwrap();
    write.commit().unwrap();
}

#[test]
fn a_store_of_the_release_before_is_raised_and_an_older_one_refused() {
    let (dir, _) = filled();
    set_version(dir.path(), 7);
    let store = redb(dir.path());
    assert_same(&store.read().unwrap(), &small_world().1);
    let next = account_commit(store.read().unwrap().revision().next().0);
    store.append(store.read().unwrap().revision(), &[next]).unwrap();
    drop(store);
    assert_eq!(fs::read_to_string(dir.path().join("format")).unwrap(), format!("{FORMAT_VERSION}\n"));
    // A crash between the store and the marker is made good at the next start.
    fs::write(dir.path().join("format"), "7\n").unwrap();
    assert_eq!(redb(dir.path()).read().unwrap().revision(), small_world().1.revision().next());
    assert_eq!(fs::read_to_string(dir.path().join("format")).unwrap(), format!("{FORMAT_VERSION}\n"));
    set_version(dir.path(), 6);
    assert!(refused(dir.path(), "format").contains("has format version 6"));
}

#[test]
fn a_lost_emptied_or_cut_store_never_starts_empty() {
    let (dir, file) = filled();
    let whole = fs::read(&file).unwrap();
    fs::write(&file, "").unwrap();
    assert!(refused(dir.path(), "store.redb").contains("it is empty"));
    for length in [1, 100, 512, whole.len() / 2, whole.len() - 1] {
        fs::write(&file, &whole[..length]).unwrap();
        refused(dir.path(), "store.redb");
    }
    fs::write(&file, vec![0x5a; whole.len()]).unwrap();
    refused(dir.path(), "store.redb");
    fs::remove_file(&file).unwrap();
    assert!(refused(dir.path(), "store.redb").contains("is missing, but"));
    assert!(!file.exists());
    let other = tempfile::tempdir().unwrap();
    redb(other.path());
    fs::copy(other.path().join("store.redb"), &file).unwrap();
    assert!(refused(dir.path(), "store.redb").contains("says otherwise"));
}

#[test]
fn garbage_anywhere_is_either_harmless_or_refused() {
    let (dir, file) = filled();
    let whole = fs::read(&file).unwrap();
    let world = small_world().1;
    let mut refusals = 0;
    for offset in (0..whole.len()).step_by(1009) {
        fs::write(&file, &whole).unwrap();
        let opened = OpenOptions::new().write(true).open(&file).unwrap();
        opened.write_all_at(&[0xa5; 16], offset as u64).unwrap();
        drop(opened);
        match RedbStore::open(dir.path()).and_then(|store| store.read()) {
            Ok(found) => assert_same(&found, &world),
            Err(error) => {
                assert!(error.to_string().contains("store.redb"), "{error}");
                refusals += 1;
            }
        }
    }
    assert!(refusals > 3, "{refusals} of {}", whole.len() / 1009);
}

#[test]
fn a_row_that_cannot_be_read_is_named() {
    for (key, json) in [("b/account/7", "{"), ("b/account/7", r#"{"DeleteVpc":"vpc-1"}"#), ("k/eni/x", r#"{"a":1}"#)]
    {
        let (dir, file) = filled();
        let database = ::redb::Database::open(&file).unwrap();
        let write = database.begin_write().unwrap();
        let state: ::redb::TableDefinition<'_, &str, &[u8]> = ::redb::TableDefinition::new("state");
        write.open_table(state).unwrap().insert(key, json.as_bytes()).unwrap();
        write.commit().unwrap();
        drop(database);
        let error = refused(dir.path(), "store.redb");
        assert!(error.contains(&format!("`{key}`")), "{error}");
    }
}

#[test]
fn a_half_made_store_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("store.redb.new"), "half").unwrap();
    redb(dir.path()).append(Revision(0), &[account_commit(1)]).unwrap();
    assert_eq!(redb(dir.path()).read().unwrap().revision(), Revision(1));
    assert!(!dir.path().join("store.redb.new").exists());
}

#[test]
fn the_marker_is_written_after_the_first_commit_only() {
    let dir = tempfile::tempdir().unwrap();
    let marker = dir.path().join("format");
    let store = redb(dir.path());
    assert!(!marker.exists());
    store.append(Revision(0), &[account_commit(1)]).unwrap();
    assert_eq!(fs::read_to_string(&marker).unwrap(), format!("{FORMAT_VERSION}\n"));
    drop(store);
    // A crash between the commit and the marker is made good at the next start.
    fs::remove_file(&marker).unwrap();
    redb(dir.path());
    assert!(marker.exists());
}

#[test]
fn a_directory_has_one_user_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let held = lock(dir.path()).unwrap();
    assert!(matches!(lock(dir.path()), Err(LockError::InUse(_))));
    drop(held);
    lock(dir.path()).unwrap();
}

#[test]
fn two_servers_cannot_share_a_store() {
    let (dir, _) = filled();
    let _held = redb(dir.path());
    assert!(matches!(RedbStore::open(dir.path()), Err(StoreError::InUse { .. })));
}
