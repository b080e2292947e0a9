package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
	"go.etcd.io/etcd/client/v3/kubernetes"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
)

const (
	// startTimeout bounds the start of etcd, replay of its log included.
	startTimeout = 2 * time.Minute
	// stopTimeout bounds its end. What was acknowledged is on disk by then.
	stopTimeout = 2 * time.Second
	// quota is how large the database may grow, in bytes.
	quota = 8 << 30
)

// member is the etcd inside this process. It listens nowhere: its client calls
// it directly.
type member struct {
	etcd   *embed.Etcd
	lock   *os.File
	failed chan error
}

// startMember runs etcd in dir.
func startMember(ctx context.Context, dir string) (*member, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	m := &member{lock: lock, failed: make(chan error, 1)}
	if err := m.start(ctx, dir); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return m, nil
}

func (m *member) start(ctx context.Context, dir string) error {
	if err := guard(func() error { return inspect(dir) }); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	started := make(chan error, 1)
	go func() {
		started <- guard(func() (err error) {
			m.etcd, err = embed.StartEtcd(memberConfig(dir, m.failed))
			return err
		})
	}()
	if err := m.await(ctx, started); err != nil {
		return err
	}
	select {
	case <-m.etcd.Server.ReadyNotify():
		return markInitialized(dir)
	case err := <-m.failed:
		return err
	case <-ctx.Done():
		return fmt.Errorf("etcd did not become ready: %w", context.Cause(ctx))
	}
}

// await returns the outcome of the start. When etcd gives up, it ends its own
// goroutine after reporting why, and started stays silent.
func (m *member) await(ctx context.Context, started <-chan error) error {
	select {
	case err := <-started:
		return err
	case err := <-m.failed:
		return err
	case <-ctx.Done():
		return fmt.Errorf("etcd did not start: %w", context.Cause(ctx))
	}
}

// client returns a client that calls the member without a connection.
func (m *member) client() *kubernetes.Client {
	c := &kubernetes.Client{Client: v3client.New(m.etcd.Server)}
	c.Kubernetes = c
	return c
}

func (m *member) stop() error {
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		m.etcd.Close()
	}()
	select {
	case <-stopped:
		return m.lock.Close()
	case <-time.After(stopTimeout):
		// The lock goes with the process, which is about to end.
		return fmt.Errorf("stop etcd: not done within %s", stopTimeout)
	}
}

func memberConfig(dir string, failed chan<- error) *embed.Config {
	cfg := embed.NewConfig()
	cfg.Name = "garrison"
	cfg.Dir = dir
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	cfg.ListenPeerUrls, cfg.ListenClientUrls, cfg.AdvertiseClientUrls = nil, nil, nil
	// A single member elects itself after one election timeout, so a short
	// one is a quick start. It has no follower that could miss a heartbeat.
	cfg.TickMs, cfg.ElectionMs = 10, 100
	cfg.QuotaBackendBytes = quota
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(logger(failed))
	return cfg
}

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

// inspect refuses a directory in which etcd would start afresh although it was
// in use before, or whose database cannot be opened.
func inspect(dir string) error {
	database := filepath.Join(dir, "member", "snap", "db")
	logs, err := filepath.Glob(filepath.Join(dir, "member", "wal", "*.wal"))
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
			return lost(filepath.Join(dir, "member", "wal", "*.wal"))
		}
	}
	if !haveDatabase {
		return nil
	}
	return inspectDatabase(database)
}

func lost(file string) error {
	return fmt.Errorf("%s is missing or empty, though this directory was in use: restore it from a backup, or remove the directory to start with nothing", file)
}

// inspectDatabase opens the database as etcd will and visits every page, which
// panics at one that is damaged: in etcd this would end the process. A process
// that has it open is reported; etcd would wait for it for ever.
func inspectDatabase(file string) error {
	db, err := bbolt.Open(file, 0o600, &bbolt.Options{ReadOnly: true, Timeout: time.Second})
	if errors.Is(err, bbolterrors.ErrTimeout) {
		return fmt.Errorf("%s is in use by another process", file)
	}
	if err != nil {
		return fmt.Errorf("the database %s is damaged: %w", file, err)
	}
	defer db.Close()
	return db.View(func(tx *bbolt.Tx) error {
		if info, err := os.Stat(file); err != nil || info.Size() < tx.Size() {
			return errors.Join(err, fmt.Errorf("the database %s is damaged: its end is missing", file))
		}
		return tx.ForEach(func(bucket []byte, b *bbolt.Bucket) error {
			return b.ForEach(func(key, _ []byte) error {
				if len(key) == 0 {
					return fmt.Errorf("the database %s is damaged: an empty key in %s", file, bucket)
				}
				return nil
			})
		})
	})
}
