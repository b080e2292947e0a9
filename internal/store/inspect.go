package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
	"go.etcd.io/etcd/server/v3/storage/wal"
)

// guard turns a panic of f into an error, reads beyond the end of a mapped
// file included: this is how damaged data shows itself.
func guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the data in it is damaged: %v", r)
		}
	}()
	return f()
}

// initialized is the name of the file that says that etcd has once been ready
// in a directory, and has data to lose.
const initialized = "initialized"

func markInitialized(dir string) error {
	f, err := os.OpenFile(filepath.Join(dir, initialized), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// inspect looks at a directory before etcd does. It refuses one that was in use
// and in which etcd would start afresh, one that etcd would crash at, and one
// from which it would silently lose writes.
func inspect(dir string) error {
	database := filepath.Join(dir, "member", "snap", "db")
	logDir := filepath.Join(dir, "member", "wal")
	logs, err := filepath.Glob(filepath.Join(logDir, "*.wal"))
	if err != nil {
		return err
	}
	info, err := os.Stat(database)
	haveDatabase := err == nil && info.Size() > 0
	if _, err := os.Stat(filepath.Join(dir, initialized)); err == nil {
		switch {
		case !haveDatabase:
			return lost(database)
		case len(logs) == 0:
			return lost(filepath.Join(logDir, "*.wal"))
		}
	}
	applied := uint64(0)
	if haveDatabase {
		if applied, err = inspectDatabase(database); err != nil {
			return fmt.Errorf("the database %s: %w", database, err)
		}
	}
	if len(logs) > 0 {
		if err := inspectLog(logDir, applied); err != nil {
			return fmt.Errorf("the log %s is damaged: %w", logDir, err)
		}
	}
	return nil
}

func lost(file string) error {
	return fmt.Errorf("%s is missing or empty, though this directory was in use: restore it from a backup, or remove the directory to start with nothing", file)
}

// inspectDatabase opens the database as etcd will and visits every page, which
// panics at one that is damaged: in etcd this would end the process. A process
// that has it open is reported; etcd would wait for it for ever. It returns the
// index of the last entry of the log that was applied.
func inspectDatabase(file string) (applied uint64, err error) {
	db, err := bbolt.Open(file, 0o600, &bbolt.Options{ReadOnly: true, Timeout: time.Second})
	if errors.Is(err, bbolterrors.ErrTimeout) {
		return 0, errors.New("another process uses it")
	}
	if err != nil {
		return 0, fmt.Errorf("it is damaged: %w", err)
	}
	defer db.Close()
	err = db.View(func(tx *bbolt.Tx) error {
		if info, err := os.Stat(file); err != nil || info.Size() < tx.Size() {
			return errors.Join(err, errors.New("it is damaged: its end is missing"))
		}
		if meta := tx.Bucket([]byte("meta")); meta != nil {
			if index := meta.Get([]byte("consistent_index")); len(index) == 8 {
				applied = binary.BigEndian.Uint64(index)
			}
		}
		return tx.ForEach(visit)
	})
	return applied, err
}

func visit(bucket []byte, b *bbolt.Bucket) error {
	return b.ForEach(func(key, _ []byte) error {
		if len(key) == 0 {
			return fmt.Errorf("it is damaged: an empty key in %s", bucket)
		}
		return nil
	})
}

// inspectLog reads the log as etcd will, and compares its end with what the
// database has applied of it. A record that cannot be read looks like a write
// that a crash cut off, so etcd drops the rest; but what was applied had been
// written in full. Were the log to go on from before that, the database would
// take new entries for those that it has, and ignore them.
func inspectLog(dir string, applied uint64) error {
	log := logger(make(chan error, 1))
	snapshots, err := wal.ValidSnapshotEntries(log, dir)
	if err != nil {
		return err
	}
	if len(snapshots) == 0 { // a new log has one
		return errors.New("its beginning cannot be read")
	}
	last := snapshots[len(snapshots)-1]
	w, err := wal.OpenForRead(log, dir, last)
	if err != nil {
		return err
	}
	defer w.Close()
	_, _, entries, err := w.ReadAll()
	if err != nil {
		return err
	}
	end := last.GetIndex()
	if len(entries) > 0 {
		end = entries[len(entries)-1].GetIndex()
	}
	if end < applied {
		return fmt.Errorf("it can be read up to entry %d, but the database has %d", end, applied)
	}
	return nil
}
